use super::{CREDENTIALS, FIELDS, LINKS, STEPS, WARNINGS, mark, scopes_heading, web_link};
use crate::provider::setup::SetupGuide;
use crate::util::text::{one_line, push};

/// CommonMark that GitHub's extensions do not change.
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
        push(&mut out, format_args!("{number}. {}\n", prose(step)));
    }

    heading(&mut out, FIELDS, guide.fields.is_empty());
    for field in &guide.fields {
        let value = if field.copy { code(&field.value) } else { prose(&field.value) };
        push(&mut out, format_args!("- **{}**: {value}", escape(&field.label)));
        end(&mut out, field.note.as_deref());
    }

    heading(&mut out, scopes_heading(guide), guide.scopes.is_empty());
    for scope in &guide.scopes {
        let description = &scope.description;
        let name = code(description.scope.as_str());
        let name = match description.label == description.scope.as_str() {
            true => name,
            false => format!("**{}** ({name})", escape(&description.label)),
        };
        push(&mut out, format_args!("- {}{name}: {}", mark(guide, scope), prose(&description.reason)));
        end(&mut out, guide.scope_note(scope).as_deref());
    }

    heading(&mut out, CREDENTIALS, guide.credentials.is_empty());
    for names in &guide.credentials {
        push(&mut out, format_args!("- **{}** and **{}**", escape(&names.id), escape(&names.secret)));
        end(&mut out, Some(&names.note));
    }

    heading(&mut out, WARNINGS, guide.warnings.is_empty());
    for warning in &guide.warnings {
        push(&mut out, format_args!("- {}\n", prose(warning)));
    }
    out
}

fn heading(out: &mut String, text: &str, skip: bool) {
    if !skip {
        push(out, format_args!("\n### {text}\n\n"));
    }
}

/// Ends a list item, with the note on a line of its own.
fn end(out: &mut String, note: Option<&str>) {
    match note.filter(|note| !note.is_empty()) {
        Some(note) => push(out, format_args!("\\\n   {}\n", prose(note))),
        None => out.push('\n'),
    }
}

/// Escapes sentences. Names in them, such as `read_user` and `<GROUP_PATH>`, become code spans, so that the source shows
/// them as they must be entered.
fn prose(text: &str) -> String {
    let text = one_line(text);
    let words = text.trim().split(' ').map(|word| match name_in(word) {
        Some((name, rest)) => (code(name), rest),
        None => (String::new(), word),
    });
    let mut out = String::with_capacity(text.len());
    for (index, (name, rest)) in words.enumerate() {
        if index > 0 {
            out.push(' ');
        }
        out.push_str(&name);
        push_escaped(&mut out, rest);
    }
    out
}

/// The name that a word begins with, if nothing but punctuation follows: a scope with `_` or `:` in it, or a placeholder.
fn name_in(word: &str) -> Option<(&str, &str)> {
    let name = word.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '"']);
    let is_scope = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.contains(['_', ':'])
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_:".contains(&byte));
    let inner = name.strip_prefix('<').and_then(|name| name.strip_suffix('>'));
    let is_placeholder =
        inner.is_some_and(|inner| !inner.is_empty() && inner.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
    (is_scope || is_placeholder).then(|| word.split_at_checked(name.len())).flatten()
}

/// Escapes a text: a backslash before every character that could have a meaning in Markdown at its position.
fn escape(text: &str) -> String {
    let text = one_line(text);
    let text = text.trim();
    let mut out = String::with_capacity(text.len());
    push_escaped(&mut out, text);
    out
}

/// Appends escaped text to a block.
fn push_escaped(out: &mut String, text: &str) {
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
}

/// A code span. Its fence has more backticks than the text has in a row.
fn code(text: &str) -> String {
    let text = one_line(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.saturating_add(1));
    // Without a space at both ends, an outer backtick would belong to the fence.
    let pad = if text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}
