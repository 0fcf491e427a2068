mod html;
mod markdown;
mod text;

pub(super) use self::html::html;
pub(super) use self::markdown::markdown;
pub(super) use self::text::text;

use std::borrow::Cow;

use super::link::{LinkAddress, SetupLink};
use super::request::is_control;
use super::scope::SetupScope;

/// The headings, the same in every rendering.
const LINKS: &str = "Where";
const STEPS: &str = "Steps";
const FIELDS: &str = "Fields of the form";
const SCOPES: &str = "Scopes";
const CREDENTIALS: &str = "What to copy back";
const WARNINGS: &str = "Take care";

/// One line without anything that could control a terminal.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let replace = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if is_control(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    Cow::Owned(text.chars().map(replace).collect())
}

/// The URL, if the address is one that may become a link.
fn web_link(link: &SetupLink) -> Option<&str> {
    match &link.address {
        LinkAddress::Url(url) if matches!(url.scheme(), "https" | "http") => Some(url.as_str()),
        _ => None,
    }
}

/// What to do with a check box that ticks itself.
fn implied(scope: &SetupScope) -> Option<String> {
    let by = scope.implied_by.as_ref()?;
    Some(match scope.requested {
        true => format!("Ticked and greyed out as soon as {by} is ticked."),
        false => format!("Not asked for by a login, but it comes with {by}."),
    })
}
