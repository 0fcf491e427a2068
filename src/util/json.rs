//! Reads JSON responses member by member, so that one invalid member does not affect the others.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::{Zeroize as _, Zeroizing};

use crate::util::text::display_text;

/// The members of a JSON object, parsed one by one. `text` and `read` return `None` for a member that is missing, duplicated or
/// of another type; [`strict`](Self::strict) returns an error for the last two.
#[derive(Default)]
pub(crate) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// `None` if `json` is not an object.
    pub(crate) fn parse(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// A text. Bytes and escapes that are not characters are replaced.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let raw = self.once(name).ok()??;
        let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
        // Most texts have no escape.
        if !inner.contains('\\') {
            return Some(inner.to_owned());
        }
        serde_json::from_str::<Lossy>(raw).ok().map(|text| text.0)
    }

    /// A text to show: see [`display_text`].
    pub(crate) fn display_text(&self, name: &str) -> Option<String> {
        self.text(name).and_then(display_text)
    }

    /// A member as a `T`. Null counts as missing.
    pub(crate) fn read<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        let raw = self.once(name).ok()?.filter(|raw| *raw != NULL)?;
        serde_json::from_str(raw).ok()
    }

    /// The members of an object inside this one; none if there is no such object.
    pub(crate) fn members(&self, name: &str) -> Self {
        self.read(name).unwrap_or_default()
    }

    /// The texts of a list; entries of other types are left out.
    pub(crate) fn texts(&self, name: &str) -> Option<Vec<String>> {
        Some(self.list::<Lossy>(name)?.into_iter().map(|text| text.0).collect())
    }

    /// The objects of a list; entries of other types are left out.
    pub(crate) fn objects(&self, name: &str) -> Option<Vec<Self>> {
        self.list(name)
    }

    /// A member that must not be misread: `None` if it is missing or null.
    ///
    /// # Errors
    ///
    /// Its name, if it is of another type or there twice.
    pub(crate) fn strict<T: Deserialize<'a>>(&self, name: &'static str) -> Result<Option<T>, &'static str> {
        match self.once(name) {
            Ok(None | Some(NULL)) => Ok(None),
            Ok(Some(raw)) => serde_json::from_str(raw).map(Some).map_err(|_| name),
            Err(Duplicate) => Err(name),
        }
    }

    /// A member that must be there and must not be misread.
    ///
    /// # Errors
    ///
    /// Its name, if it is missing, null, of another type or there twice.
    pub(crate) fn required<T: Deserialize<'a>>(&self, name: &'static str) -> Result<T, &'static str> {
        self.strict(name)?.ok_or(name)
    }

    /// Whether the member is there, and is neither null, false nor an empty text.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        !matches!(self.once(name), Ok(None | Some(NULL | "false" | "\"\"")))
    }

    /// Whether the member is there and null.
    pub(crate) fn is_null(&self, name: &str) -> bool {
        matches!(self.once(name), Ok(Some(NULL)))
    }

    fn list<T: Deserialize<'a>>(&self, name: &str) -> Option<Vec<T>> {
        let entries: Entries<'a> = self.read(name)?;
        Some(entries.0.into_iter().filter_map(|raw| serde_json::from_str(raw.get()).ok()).collect())
    }

    fn once(&self, name: &str) -> Result<Option<&'a str>, Duplicate> {
        let mut found = self.0.iter().filter(|(key, _)| key == name).map(|(_, raw)| raw.get());
        match (found.next(), found.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Duplicate),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<'a>(PhantomData<&'a str>);

        impl<'de: 'a, 'a> Visitor<'de> for Reader<'a> {
            type Value = Members<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(USUAL_MEMBERS);
                while let Some(Key(name)) = map.next_key()? {
                    if members.len() >= MAX_MEMBERS {
                        return Err(A::Error::custom("too many members"));
                    }
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Reader(PhantomData))
    }
}

/// The text of a good response's body, and whether all of it was text. A byte order mark is cut, bytes that are not UTF-8
/// become U+FFFD, and so do raw control characters, which JSON does not allow and some servers put into names.
pub(crate) fn body_text(body: Vec<u8>) -> (Zeroizing<String>, bool) {
    let (mut text, is_text) = match String::from_utf8(body) {
        Ok(text) => (Zeroizing::new(text), true),
        Err(error) => (readable(&Zeroizing::new(error.into_bytes())), false),
    };
    if text.starts_with('\u{FEFF}') {
        text.remove(0);
    }
    // Line ends between members are allowed.
    if text.bytes().min().is_some_and(|byte| byte < b' ') && !is_json(&text) {
        let replace = |c: char| match c {
            '\t' | '\n' | '\r' => ' ',
            c if c < ' ' => char::REPLACEMENT_CHARACTER,
            c => c,
        };
        let mut replaced = zeroizing_buffer(text.len());
        replaced.extend(text.chars().map(replace));
        text = replaced;
    }
    (text, is_text)
}

/// The bytes as text, with U+FFFD in place of those that are not UTF-8.
fn readable(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = zeroizing_buffer(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

/// A text with enough capacity even if each byte becomes U+FFFD: a text that grows leaves copies that are not zeroized.
fn zeroizing_buffer(length: usize) -> Zeroizing<String> {
    Zeroizing::new(String::with_capacity(length.saturating_mul(char::REPLACEMENT_CHARACTER.len_utf8())))
}

/// The body as text; empty if it is not UTF-8.
pub(crate) fn text_or_empty(body: Vec<u8>) -> Zeroizing<String> {
    Zeroizing::new(String::from_utf8(body).unwrap_or_else(|error| {
        error.into_bytes().zeroize();
        String::new()
    }))
}

/// Whether a text is a JSON object or list.
pub(crate) fn is_json(text: &str) -> bool {
    text.trim_ascii_start().starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

const NULL: &str = "null";
/// Enough for most objects.
const USUAL_MEMBERS: usize = 24;
/// More members than any platform's response has, and entries of a list. Each takes memory beside its text.
const MAX_MEMBERS: usize = 4096;
const MAX_ENTRIES: usize = 1000;

/// The member is there more than once, so it is not known which one counts.
struct Duplicate;

/// The name of a member, borrowed unless it holds an escape. (`Cow` by itself would always be a copy.)
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<'a>(PhantomData<&'a str>);

        impl<'de: 'a, 'a> Visitor<'de> for Reader<'a> {
            type Value = Key<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Reader(PhantomData))
    }
}

/// A text in which escapes of half a character are U+FFFD; serde refuses the whole text.
struct Lossy(String);

impl<'de> Deserialize<'de> for Lossy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Lossy;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_bytes<E: Error>(self, text: &[u8]) -> Result<Self::Value, E> {
                Ok(Lossy(String::from_utf8_lossy(text).into_owned()))
            }
        }

        deserializer.deserialize_bytes(Reader)
    }
}

/// The entries of a list, at most [`MAX_ENTRIES`].
struct Entries<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<'a>(PhantomData<&'a str>);

        impl<'de: 'a, 'a> Visitor<'de> for Reader<'a> {
            type Value = Entries<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = list.next_element()? {
                    if entries.len() < MAX_ENTRIES {
                        entries.push(entry);
                    }
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_seq(Reader(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_odd_member_spoils_no_other() {
        let json = r#"{"half":"a\ud83d!","huge":1e400,"twice":1,"tw\u0069ce":2,"list":[1,{"x":"y"},"z"],"no":false,
            "null":null,"empty":"","deep":DEEP,"good":"text"}"#;
        let json = json.replace("DEEP", &("[".repeat(1000) + &"]".repeat(1000)));
        let members = Members::parse(&json).unwrap();
        assert_eq!(members.text("good").as_deref(), Some("text"));
        assert!(members.text("half").is_some_and(|text| text.starts_with("a\u{FFFD}") && text.ends_with('!')));
        assert_eq!(
            (members.read::<f64>("huge"), members.read::<u64>("twice"), members.text("list")),
            (None, None, None)
        );
        assert_eq!(members.texts("list"), Some(vec!["z".to_owned()]));
        let objects = members.objects("list").unwrap();
        assert_eq!(objects.iter().map(|object| object.text("x")).collect::<Vec<_>>(), [Some("y".to_owned())]);
        for (name, said, strict) in [
            ("twice", true, Err("twice")),
            ("no", false, Err("no")),
            ("null", false, Ok(None)),
            ("empty", false, Ok(Some(String::new()))),
            ("absent", false, Ok(None)),
            ("good", true, Ok(Some("text".to_owned()))),
            ("half", true, Err("half")),
        ] {
            assert_eq!((members.is_set(name), members.strict(name)), (said, strict), "{name}");
        }
        assert!(members.is_null("null") && !members.is_null("absent") && !members.is_null("empty"));
        for none in ["[]", "\"a\"", "null", "", "{", "{\"a\":1}x", "{\"a\" 1}"] {
            assert!(Members::parse(none).is_none(), "{none}");
        }
        let many = |count: usize| format!("{{{}}}", vec![r#""a":1"#; count].join(","));
        assert!(Members::parse(&many(4096)).is_some() && Members::parse(&many(4097)).is_none());
    }

    #[test]
    fn only_unreadable_parts_of_a_body_are_replaced() {
        for (body, expected) in [
            (&b"{\"a\":\n\t1}"[..], "{\"a\":\n\t1}"),
            (b"\xEF\xBB\xBF{}", "{}"),
            (b"{\"a\":\"b\tc\x01\"}\n", "{\"a\":\"b c\u{FFFD}\"} "),
            (b"{\"a\":\"caf\xe9\"}", "{\"a\":\"caf\u{FFFD}\"}"),
        ] {
            assert_eq!(*body_text(body.to_vec()).0, expected);
        }
        assert!(body_text(b"{}".to_vec()).1 && !body_text(b"\xff".to_vec()).1);
        assert!(is_json(" \r\n{\"a\":[1]} ") && is_json("[]"));
        assert!(!is_json("\"a\"") && !is_json("7") && !is_json("{") && !is_json("<html>") && !is_json("{}x"));
    }
}
