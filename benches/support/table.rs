//! Figures as Markdown tables, ready for the documentation.

pub struct Table {
    columns: usize,
}

impl Table {
    pub fn new(title: &str, columns: &[&str]) -> Self {
        println!("\n### {title}\n\n| {} |\n|{}", columns.join(" | "), " --- |".repeat(columns.len()));
        Self { columns: columns.len() }
    }

    pub fn row(&self, cells: &[String]) {
        assert_eq!(cells.len(), self.columns);
        println!("| {} |", cells.join(" | "));
    }
}

/// A number with separators for thousands.
pub fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
