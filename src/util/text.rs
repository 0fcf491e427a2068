use std::borrow::Cow;

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
