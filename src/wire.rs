//! What both platforms' answers have in common.

use url::Url;

/// A text to show: nothing if it is empty, refused if it holds control characters.
pub(crate) fn printable(text: Option<String>) -> Result<Option<String>, ()> {
    let text = text.filter(|text| !text.is_empty());
    if text.as_ref().is_some_and(|text| text.chars().any(char::is_control)) { Err(()) } else { Ok(text) }
}

/// A link to show: `http` or `https`, so never `javascript:`.
pub(crate) fn web_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.username().is_empty())
}
