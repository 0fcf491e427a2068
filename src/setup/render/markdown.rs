use std::fmt::Write;

use super::{CREDENTIALS, FIELDS, LINKS, SCOPES, STEPS, WARNINGS, implied, one_line, web_link};
use crate::setup::SetupGuide;

/// CommonMark that stays what it is under GitHub's extensions.
pub(crate) fn markdown(guide: &SetupGuide) -> String {
    let mut out = format!("## {}\n\n{}: ", escape(&guide.title), escape(&guide.platform_name));
    push(&mut out, format_args!("{}\n", code(guide.base_url.as_str())));

    heading(&mut out, LINKS, guide.links.is_empty());
    for (link, number) in guide.links.iter().zip(1_usize..) {
        let address = web_link(link).map_or_else(|| code(link.address.as_str()), |url| format!("<{url}>"));
        push(&mut out, format_args!("{number}. {} ({}): {address}", escape(&link.label), escape(&link.who)));
        end(&mut out, link.note.as_deref());
    }

    heading(&mut out, STEPS, guide.steps.is_empty());
    for (step, number) in guide.steps.iter().zip(1_usize..) {
        push(&mut out, format_args!("{number}. {}\n", escape(step)));
    }

    heading(&mut out, FIELDS, guide.fields.is_empty());
    for field in &guide.fields {
        let value = if field.copy { code(&field.value) } else { escape(&field.value) };
        push(&mut out, format_args!("- **{}**: {value}", escape(&field.label)));
        end(&mut out, field.note.as_deref());
    }

    heading(&mut out, SCOPES, guide.scopes.is_empty());
    for scope in &guide.scopes {
        let description = &scope.description;
        push(&mut out, format_args!("- **{}**", escape(&description.label)));
        if description.label != description.scope.as_str() {
            push(&mut out, format_args!(" ({})", code(description.scope.as_str())));
        }
        push(&mut out, format_args!(": {}", escape(&description.reason)));
        end(&mut out, implied(scope).as_deref());
    }

    heading(&mut out, CREDENTIALS, guide.credentials.is_empty());
    for names in &guide.credentials {
        push(&mut out, format_args!("- **{}** and **{}**", escape(&names.id), escape(&names.secret)));
        end(&mut out, Some(&names.note));
    }

    heading(&mut out, WARNINGS, guide.warnings.is_empty());
    for warning in &guide.warnings {
        push(&mut out, format_args!("- {}\n", escape(warning)));
    }
    out
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = out.write_fmt(text);
}

fn heading(out: &mut String, text: &str, skip: bool) {
    if !skip {
        push(out, format_args!("\n### {text}\n\n"));
    }
}

/// Ends a list item, with a note in a line of its own.
fn end(out: &mut String, note: Option<&str>) {
    match note.filter(|note| !note.is_empty()) {
        Some(note) => push(out, format_args!("\\\n   {}\n", escape(note))),
        None => out.push('\n'),
    }
}

/// Text that stays text: a backslash before everything that could begin a construct where it stands.
fn escape(text: &str) -> String {
    let text = one_line(text);
    let text = text.trim();
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let special = match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '{' | '}' | '<' | '>' | '#' | '!' | '|' | '~' | '&'
            | '$' | '@' => true,
            // List markers and underlines of headings.
            '-' | '+' | '=' => out.is_empty(),
            // "1." begins a list, "www." and "://" a link on GitHub.
            '.' => out.bytes().all(|byte| byte.is_ascii_digit()) || out.to_ascii_lowercase().ends_with("www"),
            ':' => rest.as_str().starts_with('/'),
            _ => false,
        };
        if special {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A code span, in more backticks than it holds in a row.
fn code(text: &str) -> String {
    let text = one_line(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.saturating_add(1));
    // Without a space at both ends, an outer backtick would belong to the fence.
    let pad = if text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}
