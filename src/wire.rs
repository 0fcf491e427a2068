//! What both platforms' answers have in common.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A text of an answer, borrowed unless it holds an escape. (`Option<Cow<str>>` would always be a copy.)
#[derive(Default)]
pub(crate) struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    pub(crate) fn into_owned(self) -> String {
        self.0.into_owned()
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Reader)
    }
}

/// A text to show: nothing if it is empty, refused if it holds control characters.
pub(crate) fn printable(text: Option<Text<'_>>) -> Result<Option<String>, ()> {
    match text.filter(|text| !text.is_empty()) {
        Some(text) if has_control(&text) => Err(()),
        text => Ok(text.map(Text::into_owned)),
    }
}

pub(crate) fn has_control(text: &str) -> bool {
    // Most texts need no second look, which decodes them. The fold has no early end, so it takes many bytes at a time.
    let plain = text.bytes().fold(true, |all, byte| all & matches!(byte, b' '..=b'~'));
    !plain && text.chars().any(char::is_control)
}
