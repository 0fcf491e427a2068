use super::{CREDENTIALS, FIELDS, LINKS, STEPS, WARNINGS, mark, scopes_heading, web_link};
use crate::provider::setup::SetupGuide;
use crate::util::html::escape_line;
use crate::util::text::push;

/// A fragment without script, style, class or id.
pub(crate) fn html(guide: &SetupGuide) -> String {
    let mut out = format!("<h2>{}</h2>\n", escape_line(&guide.title));
    push(&mut out, format_args!("<p>{}: {}</p>\n", escape_line(&guide.platform_name), code(guide.base_url.as_str())));

    list(&mut out, LINKS, "ol", &guide.links, |link| {
        let shown = code(link.address.as_str());
        let address = match web_link(link) {
            Some(url) => {
                format!("<a href=\"{}\" target=\"_blank\" rel=\"noopener noreferrer\">{shown}</a>", escape_line(url))
            }
            None => shown,
        };
        format!("{} ({}): {address}{}", escape_line(&link.label), escape_line(&link.who), note(link.note.as_deref()))
    });
    list(&mut out, STEPS, "ol", &guide.steps, |step| escape_line(step));

    if !guide.fields.is_empty() {
        push(&mut out, format_args!("<h3>{FIELDS}</h3>\n<dl>\n"));
        for field in &guide.fields {
            let value = if field.copy { code(&field.value) } else { escape_line(&field.value) };
            let note = note(field.note.as_deref());
            push(&mut out, format_args!("<dt>{}</dt>\n<dd>{value}{note}</dd>\n", escape_line(&field.label)));
        }
        out.push_str("</dl>\n");
    }

    list(&mut out, scopes_heading(guide), "ul", &guide.scopes, |scope| {
        let description = &scope.description;
        let name = code(description.scope.as_str());
        let mut item = match description.label == description.scope.as_str() {
            true => name,
            false => format!("<strong>{}</strong> ({name})", escape_line(&description.label)),
        };
        item.insert_str(0, mark(guide, scope));
        push(
            &mut item,
            format_args!(": {}{}", escape_line(&description.reason), note(guide.scope_note(scope).as_deref())),
        );
        item
    });
    list(&mut out, CREDENTIALS, "ul", &guide.credentials, |names| {
        let [id, secret] = [escape_line(&names.id), escape_line(&names.secret)];
        format!("<strong>{id}</strong> and <strong>{secret}</strong>{}", note(Some(&names.note)))
    });
    list(&mut out, WARNINGS, "ul", &guide.warnings, |warning| escape_line(warning));
    out
}

fn list<T>(out: &mut String, heading: &str, tag: &str, items: &[T], item: impl Fn(&T) -> String) {
    if items.is_empty() {
        return;
    }
    push(out, format_args!("<h3>{heading}</h3>\n<{tag}>\n"));
    for entry in items {
        push(out, format_args!("<li>{}</li>\n", item(entry)));
    }
    push(out, format_args!("</{tag}>\n"));
}

fn note(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty())
        .map(|text| format!("<br><small>{}</small>", escape_line(text)))
        .unwrap_or_default()
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", escape_line(text))
}
