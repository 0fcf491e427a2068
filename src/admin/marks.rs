//! A mark for each platform: drawings of our own in the colour of the platform, not its logo.

use maud::{Markup, html};

/// The mark of a platform. It stands beside the name, so a screen reader skips it.
pub(super) fn mark(platform: &str) -> Markup {
    let url = format!("data:image/svg+xml,{}", percent_encoding::utf8_percent_encode(&svg(platform), IN_URL));
    html! { img.ch-mark src=(url) alt="" width="24" height="24"; }
}

fn svg(platform: &str) -> String {
    let (color, drawing) = match platform {
        "gitlab" => ("#d1481f", "<path d='M12 18.5 5 12.4l2-6.4 2.3 4.6h5.4L17 6l2 6.4z'/>"),
        "github" => (
            "#24292f",
            "<path d='M7 5.5 9.6 7a9 9 0 0 1 4.8 0L17 5.5v4a5.3 5.3 0 0 1 .8 2.9c0 3.2-2.6 5.1-5.8 5.1s-5.8-1.9-5.8-5.1c0-1.1.3-2.1.8-2.9z'/>",
        ),
        "bitbucket-cloud" => ("#1458b8", "<path d='M5.5 6h13l-1.9 12H7.4zm4.2 4 .7 4h3.2l.7-4z' fill-rule='evenodd'/>"),
        "bitbucket-data-center" => (
            "#253858",
            "<path d='M6 5.5h12l-1.2 8H7.2zm3.8 2.7.5 2.6h3.4l.5-2.6z' fill-rule='evenodd'/><path d='M5.5 15.5h13v3h-13z'/>",
        ),
        "forgejo" => (
            "#b5421b",
            "<path d='M7 5.5a2 2 0 0 1 1 3.7v3.2c1-.9 2.3-1.4 4-1.4 1.6 0 2.6-.7 3-2a2 2 0 1 1 2 .4c-.6 2.4-2.4 3.6-5 3.6-2.4 0-4 1-4 2.7a2 2 0 1 1-2 0V9.2A2 2 0 0 1 7 5.5z'/>",
        ),
        _ => ("#59636c", "<path d='m9 7-5 5 5 5 1.5-1.5L7 12l3.5-3.5zm6 0 5 5-5 5-1.5-1.5L17 12l-3.5-3.5z'/>"),
    };
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'><rect width='24' height='24' rx='5' fill='{color}'/><g \
         fill='#fff'>{drawing}</g></svg>"
    )
}

/// What would end the URL or mean something else in it.
const IN_URL: &percent_encoding::AsciiSet =
    &percent_encoding::CONTROLS.add(b' ').add(b'#').add(b'%').add(b'<').add(b'>').add(b'"').add(b'{').add(b'}');
