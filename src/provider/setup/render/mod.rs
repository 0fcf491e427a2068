mod html;
mod markdown;
mod text;

pub(super) use self::html::html;
pub(super) use self::markdown::markdown;
pub(super) use self::text::text;

use super::guide::SetupGuide;
use super::link::{LinkAddress, SetupLink};
use super::scope::SetupScope;

/// The headings, the same in every rendering.
const LINKS: &str = "Where to create it";
const STEPS: &str = "Steps";
const FIELDS: &str = "Fields of the form";
const CREDENTIALS: &str = "What to copy back";
const WARNINGS: &str = "Warnings";

/// The URL, if it may become a link.
fn web_link(link: &SetupLink) -> Option<&str> {
    match &link.address {
        LinkAddress::Url(url) if matches!(url.scheme(), "https" | "http") => Some(url.as_str()),
        _ => None,
    }
}

fn scopes_heading(guide: &SetupGuide) -> &'static str {
    if guide.has_scope_boxes { "Scopes" } else { "Scopes that logins ask for (the form has no boxes for them)" }
}

/// What to do with the box of a scope: empty if the form has none.
fn mark(guide: &SetupGuide, scope: &SetupScope) -> &'static str {
    match scope.must_tick() {
        _ if !guide.has_scope_boxes => "",
        true => "Tick ",
        false => "Included: ",
    }
}
