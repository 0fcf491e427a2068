//! Curves as SVG: both axes logarithmic, one panel beside the other.

use std::fmt::Write as _;

pub struct Panel {
    pub title: &'static str,
    pub x: &'static str,
    pub y: &'static str,
    pub curves: Vec<Curve>,
}

pub struct Curve {
    pub name: String,
    /// Number and nanoseconds.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 400.0;
/// Margins of the plot within its panel.
const LEFT: f64 = 84.0;
const RIGHT: f64 = 130.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 56.0;
/// Colours for readers who do not see red and green as different (Okabe and Ito).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#333333"];

pub fn svg(panels: &[Panel]) -> String {
    let width = WIDTH * panels.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" width=\"{width}\" height=\"{HEIGHT}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#222\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for (index, panel) in panels.iter().enumerate() {
        writeln!(svg, "<g transform=\"translate({} 0)\">", WIDTH * index as f64).unwrap();
        draw(&mut svg, panel);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, panel: &Panel) {
    let points = || panel.curves.iter().flat_map(|curve| &curve.points);
    let decades = |value: fn(&(f64, f64)) -> f64| {
        let low = points().map(value).fold(f64::INFINITY, f64::min).log10().floor();
        let high = points().map(value).fold(0.0, f64::max).log10().ceil();
        (low, high.max(low + 1.0))
    };
    let (x_range, y_range) = (decades(|point| point.0), decades(|point| point.1));
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let x = |value: f64| LEFT + (value.log10() - x_range.0) / (x_range.1 - x_range.0) * (right - LEFT);
    let y = |value: f64| bottom - (value.log10() - y_range.0) / (y_range.1 - y_range.0) * (bottom - TOP);

    writeln!(svg, "<text x=\"{LEFT}\" y=\"26\" font-size=\"16\" font-weight=\"600\">{}</text>", panel.title).unwrap();
    for power in y_range.0 as i32..=y_range.1 as i32 {
        let at = y(10_f64.powi(power));
        writeln!(svg, "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#ddd\"/>").unwrap();
        let label = time(10_f64.powi(power));
        writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 8.0, at + 4.5).unwrap();
    }
    for power in x_range.0 as i32..=x_range.1 as i32 {
        let at = x(10_f64.powi(power));
        writeln!(svg, "<path d=\"M{at:.1} {bottom}v5\" stroke=\"#222\"/>").unwrap();
        let label = super::table::grouped(10_f64.powi(power));
        writeln!(svg, "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>", bottom + 20.0).unwrap();
    }
    writeln!(svg, "<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" stroke=\"#222\" fill=\"none\"/>").unwrap();
    let (middle, centre) = ((LEFT + right) / 2.0, (TOP + bottom) / 2.0);
    writeln!(svg, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>", HEIGHT - 12.0, panel.x).unwrap();
    writeln!(svg, "<text transform=\"translate(16 {centre}) rotate(-90)\" text-anchor=\"middle\">{}</text>", panel.y)
        .unwrap();

    let ends: Vec<f64> = panel.curves.iter().map(|curve| y(curve.points.last().unwrap().1)).collect();
    for ((curve, colour), label) in panel.curves.iter().zip(COLOURS.iter().cycle()).zip(spread_labels(&ends)) {
        let path: Vec<String> =
            curve.points.iter().map(|(number, nanos)| format!("{:.1} {:.1}", x(*number), y(*nanos))).collect();
        writeln!(svg, "<path d=\"M{}\" stroke=\"{colour}\" stroke-width=\"2\" fill=\"none\"/>", path.join("L"))
            .unwrap();
        for (number, nanos) in &curve.points {
            writeln!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{colour}\"/>", x(*number), y(*nanos))
                .unwrap();
        }
        let (number, nanos) = curve.points.last().unwrap();
        writeln!(
            svg,
            "<path d=\"M{:.1} {:.1}L{:.1} {label:.1}\" stroke=\"{colour}\" stroke-width=\"0.7\"/>",
            x(*number) + 4.0,
            y(*nanos),
            right + 14.0
        )
        .unwrap();
        writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>", right + 17.0, label + 4.5, curve.name)
            .unwrap();
    }
}

/// The positions of the labels: near the ends of their curves, without overlaps.
fn spread_labels(ends: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ends.len()).collect();
    order.sort_by(|a, b| ends[*a].total_cmp(&ends[*b]));
    let mut positions = ends.to_vec();
    let mut above = TOP - 20.0;
    for index in order.iter().copied() {
        positions[index] = ends[index].max(above + 17.0);
        above = positions[index];
    }
    let mut below = HEIGHT - BOTTOM + 12.0;
    for index in order.into_iter().rev() {
        positions[index] = positions[index].min(below - 17.0);
        below = positions[index];
    }
    positions
}

fn time(nanos: f64) -> String {
    match nanos {
        _ if nanos < 1e3 => format!("{nanos:.0} ns"),
        _ if nanos < 1e6 => format!("{:.0} µs", nanos / 1e3),
        _ if nanos < 1e9 => format!("{:.0} ms", nanos / 1e6),
        _ => format!("{:.0} s", nanos / 1e9),
    }
}
