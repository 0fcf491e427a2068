use std::fmt::{self, Write};

use super::{CheckReport, Level, Verdict};
use crate::error::Audience;
use crate::util::html::escape_line;
use crate::util::text::one_line;

/// Plain text for a terminal.
pub(super) fn text(report: &CheckReport, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(out, "{}: {}", report.platform_name, report.base_url)?;
    writeln!(out, "{}", verdict(report.verdict()))?;
    writeln!(out)?;
    for finding in &report.findings {
        writeln!(out, "  {:<8} {} [{}]", level(finding.level), one_line(&finding.message), finding.code)?;
        if let Some(fix) = &finding.fix {
            writeln!(out, "           {}: {}", who(finding.audience), one_line(fix))?;
        }
    }
    if !report.not_checked.is_empty() {
        writeln!(out, "\n{NOT_CHECKED}")?;
        for row in &report.not_checked {
            writeln!(out, "  - {} [{}]", one_line(&row.message), row.code)?;
        }
    }
    if let Some(connection) = &report.connection {
        writeln!(out, "\n{CONNECTION}")?;
        for line in connection.to_string().lines() {
            writeln!(out, "  - {}", one_line(line))?;
        }
    }
    Ok(())
}

/// A fragment without script, style, class or id.
pub(super) fn html(report: &CheckReport) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_html(report, &mut out);
    out
}

fn write_html(report: &CheckReport, out: &mut String) -> fmt::Result {
    let base_url = escape_line(report.base_url.as_str());
    writeln!(out, "<p><strong>{}</strong></p>", verdict(report.verdict()))?;
    writeln!(out, "<p>{}: <code>{base_url}</code></p>\n<ul>", escape_line(report.platform_name))?;
    for finding in &report.findings {
        write!(out, "<li><strong>{}</strong>: {}", level(finding.level), escape_line(&finding.message))?;
        if let Some(fix) = &finding.fix {
            write!(out, "<br><small>{}: {}</small>", who(finding.audience), escape_line(fix))?;
        }
        writeln!(out, "</li>")?;
    }
    writeln!(out, "</ul>")?;
    if !report.not_checked.is_empty() {
        writeln!(out, "<p>{NOT_CHECKED}</p>\n<ul>")?;
        for row in &report.not_checked {
            writeln!(out, "<li>{}</li>", escape_line(&row.message))?;
        }
        writeln!(out, "</ul>")?;
    }
    if let Some(connection) = &report.connection {
        writeln!(out, "<p>{CONNECTION}</p>\n<ul>")?;
        for line in connection.to_string().lines() {
            writeln!(out, "<li>{}</li>", escape_line(line))?;
        }
        writeln!(out, "</ul>")?;
    }
    Ok(())
}

const NOT_CHECKED: &str = "Not checked:";
const CONNECTION: &str = "Connection (for the operator only):";

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::AllRight => "Everything that can be checked without a login is correct.",
        Verdict::Wrong => "Something is wrong: logins would fail.",
        Verdict::CouldNotTell => "The check could not find out whether logins would work.",
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Note => "note",
        Level::Warning => "warning",
        Level::Problem => "problem",
        Level::Unknown => "unknown",
    }
}

fn who(audience: Option<Audience>) -> &'static str {
    match audience {
        Some(Audience::User) => "What the user can do",
        Some(Audience::Administrator) => "What the administrator can do",
        Some(Audience::Operator) => "What the operator of this app can do",
        Some(Audience::CodeHost) => "What the operator of the code host can do",
        None => "What to do",
    }
}
