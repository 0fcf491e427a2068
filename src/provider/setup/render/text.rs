use std::fmt::{Result, Write};

use super::{CREDENTIALS, FIELDS, LINKS, STEPS, WARNINGS, scopes_heading};
use crate::provider::setup::SetupGuide;
use crate::util::text::one_line;

/// Plain text for a terminal.
pub(crate) fn text(guide: &SetupGuide, out: &mut dyn Write) -> Result {
    wrap(out, "", "", &guide.title)?;
    line(out, &format!("{}: {}", guide.platform_name, guide.base_url))?;

    heading(out, LINKS, guide.links.is_empty())?;
    for (link, number) in guide.links.iter().zip(1_usize..) {
        wrap(out, &format!("{number:>3}. "), "     ", &format!("{} ({})", link.label, link.who))?;
        line(out, &format!("     {}", link.address.as_str()))?;
        note(out, "     ", link.note.as_deref())?;
    }

    heading(out, STEPS, guide.steps.is_empty())?;
    for (step, number) in guide.steps.iter().zip(1_usize..) {
        wrap(out, &format!("{number:>3}. "), "     ", step)?;
    }

    heading(out, FIELDS, guide.fields.is_empty())?;
    for field in &guide.fields {
        if field.copy {
            line(out, &format!("  {}", field.label))?;
            line(out, &format!("    {}", field.value))?;
        } else {
            line(out, &format!("  {}: {}", field.label, field.value))?;
        }
        note(out, "    ", field.note.as_deref())?;
    }

    heading(out, scopes_heading(guide), guide.scopes.is_empty())?;
    for scope in &guide.scopes {
        let tick = match scope.must_tick() {
            _ if !guide.has_scope_boxes => "-",
            true => "[x]",
            false => "[-]",
        };
        line(out, &format!("  {tick} {}", name_and_scope(&scope.description.label, scope.description.scope.as_str())))?;
        wrap(out, "      ", "      ", &scope.description.reason)?;
        note(out, "      ", guide.scope_note(scope).as_deref())?;
    }

    heading(out, CREDENTIALS, guide.credentials.is_empty())?;
    for names in &guide.credentials {
        line(out, &format!("  {} and {}", names.id, names.secret))?;
        note(out, "    ", Some(&names.note))?;
    }

    heading(out, WARNINGS, guide.warnings.is_empty())?;
    for warning in &guide.warnings {
        wrap(out, "  - ", "    ", warning)?;
    }
    Ok(())
}

/// Columns of a line.
const WIDTH: usize = 80;

fn heading(out: &mut dyn Write, text: &str, skip: bool) -> Result {
    if skip { Ok(()) } else { writeln!(out, "\n{text}") }
}

fn note(out: &mut dyn Write, indent: &str, text: Option<&str>) -> Result {
    text.filter(|text| !text.is_empty()).map_or(Ok(()), |text| wrap(out, indent, indent, text))
}

/// A line that is never broken, since it may contain a value to copy.
fn line(out: &mut dyn Write, text: &str) -> Result {
    writeln!(out, "{}", one_line(text))
}

fn name_and_scope(label: &str, scope: &str) -> String {
    if label == scope { label.to_owned() } else { format!("{label} ({scope})") }
}

/// Breaks at spaces; a word that is too long gets a line of its own.
fn wrap(out: &mut dyn Write, first: &str, indent: &str, text: &str) -> Result {
    let text = one_line(text);
    out.write_str(first)?;
    let mut column = first.chars().count();
    let mut at_start = true;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if !at_start && column.saturating_add(length) >= WIDTH {
            write!(out, "\n{indent}")?;
            column = indent.chars().count();
            at_start = true;
        }
        if !at_start {
            out.write_str(" ")?;
            column = column.saturating_add(1);
        }
        out.write_str(word)?;
        column = column.saturating_add(length);
        at_start = false;
    }
    out.write_str("\n")
}
