//! Texts that are shown, and texts of bytes.

use std::borrow::Cow;
use std::fmt;

/// A text of a code host to show, such as a user name; `None` if nothing is left of it. Control characters become U+FFFD.
/// Invisible characters, which hide a text or change its direction, are removed, except the joiners that some scripts need. At
/// most 512 characters are kept.
///
/// ```
/// use codehost_oauth::provider::display_text;
///
/// assert_eq!(display_text("Jane\u{7}".to_owned()).as_deref(), Some("Jane\u{FFFD}"));
/// assert_eq!(display_text("  ".to_owned()), None);
/// ```
pub fn display_text(text: String) -> Option<String> {
    let text: String = if text.len() <= MAX_DISPLAY_TEXT && is_plain(&text) {
        text
    } else {
        let kept = text.chars().filter(|c| !is_invisible(*c) || matches!(c, '\u{200C}' | '\u{200D}'));
        let replaced = kept.map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
        replaced.take(MAX_DISPLAY_TEXT).collect()
    };
    (!text.trim().is_empty()).then_some(text)
}

pub(crate) fn has_control(text: &str) -> bool {
    !is_plain(text) && text.chars().any(char::is_control)
}

/// Visible ASCII and spaces, as most texts are.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Direction overrides, zero-width characters, line separators and tags: they make a text look like another one, or hide a part
/// of it. For names and values of others that are shown.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// The text on one line, without characters that could control a terminal.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(controls_layout) {
        return Cow::Borrowed(text);
    }
    let replace = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if controls_layout(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    Cow::Owned(text.chars().map(replace).collect())
}

/// Characters that change how their neighbours are shown: control characters, line and paragraph separators, and direction marks.
/// For texts that stay on one line of a terminal or a form.
pub(crate) fn controls_layout(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

/// Whether two issuers are the same, with or without a slash at the end.
pub(crate) fn is_same_issuer(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

/// A text as a sentence: with a capital letter and a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// Appends formatted text.
pub(crate) fn push(out: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = fmt::Write::write_fmt(out, text);
}

/// Two digits of `0-9` and `a-f` for each byte.
#[cfg(feature = "seal")]
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const MAX_DISPLAY_TEXT: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_texts_are_visible() {
        for (text, expected) in [
            ("Jane Doe", Some("Jane Doe")),
            ("", None),
            (" \t", Some(" \u{FFFD}")),
            ("   ", None),
            ("Pat O\u{92}Brien", Some("Pat O\u{FFFD}Brien")),
            ("a\u{0}b\u{7f}", Some("a\u{FFFD}b\u{FFFD}")),
            ("evil\u{202E}txt.exe\u{200B}", Some("eviltxt.exe")),
            ("\u{200B}\u{FEFF}", None),
            // Persian and family emoji need their joiners.
            ("\u{645}\u{6CC}\u{200C}\u{62E}", Some("\u{645}\u{6CC}\u{200C}\u{62E}")),
            ("\u{1F468}\u{200D}\u{1F469}", Some("\u{1F468}\u{200D}\u{1F469}")),
        ] {
            assert_eq!(display_text(text.to_owned()).as_deref(), expected, "{text:?}");
        }
        assert_eq!(display_text("\u{e9}".repeat(100_000)).unwrap().chars().count(), 512);
        assert_eq!(display_text("e".repeat(100_000)).unwrap().chars().count(), 512);
    }

    #[test]
    fn a_sentence_begins_and_ends_like_one() {
        for (text, expected) in [("it is wrong", "It is wrong."), ("It is wrong.", "It is wrong."), ("", ".")] {
            assert_eq!(sentence(text), expected);
        }
    }

    #[cfg(feature = "seal")]
    #[test]
    fn each_byte_has_two_digits() {
        assert_eq!(hex(&[0, 0xa5, 0xff]), "00a5ff");
    }
}
