use std::fmt;

use url::Url;

use crate::base_url::is_host_name;
use crate::percent::Plain;

/// A link that a code host gave, to show: `http` or `https`, so never `javascript:`, with no user information in it, and
/// spelled as a browser would spell it.
///
/// It is a text, since that is what a page or a table takes; parsing the two of a login would cost more than the rest of
/// the answer.
///
/// ```
/// use codehost_oauth::WebUrl;
///
/// let url = WebUrl::parse("https://git.example.com/alice").unwrap();
/// assert_eq!(url.as_str(), "https://git.example.com/alice");
/// assert_eq!(WebUrl::parse("HTTPS://GIT.example.com").unwrap().as_str(), "https://git.example.com/");
/// assert!(WebUrl::parse("javascript:alert(1)").is_none());
/// assert!(WebUrl::parse("https://git.example.com@evil.test/").is_none());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WebUrl(Box<str>);

impl WebUrl {
    /// `None` for what is no such link.
    pub fn parse(text: &str) -> Option<Self> {
        if is_plain(text) == Some(true) {
            return Some(Self(text.into()));
        }
        let url = Url::parse(text).ok()?;
        let shown = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
        shown.then(|| Self(String::from(url).into()))
    }

    /// The link.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebUrl({})", self.0)
    }
}

impl AsRef<str> for WebUrl {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl serde::Serialize for WebUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Whether a URL parser would give the text back as it is: the usual case, and cheap to tell. When in doubt it is not.
fn is_plain(text: &str) -> Option<bool> {
    let (default_port, rest) = match text.strip_prefix("https://") {
        Some(rest) => ("443", rest),
        None => ("80", text.strip_prefix("http://")?),
    };
    let (authority, path) = rest.split_at_checked(rest.find('/')?)?;
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    // A number at the end makes it an address, and `xn--` an international name: both have more than one spelling.
    let name = is_host_name(host)
        && host.bytes().rev().take_while(|byte| *byte != b'.').all(|byte| byte.is_ascii_lowercase())
        && host.bytes().fold(true, |all, byte| all & !byte.is_ascii_uppercase())
        && !has_pair(host, b"xn");
    let port = port.is_none_or(|port| {
        let digits = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
        digits && port != default_port && port.parse::<u16>().is_ok()
    });
    // `.` and `..`, also as `%2e`, are segments that a parser takes out.
    let clean =
        path.bytes().fold(true, |all, byte| all & PATH.has(byte)) && !has_pair(path, b"/.") && !has_pair(path, b"%2");
    Some(name && port && clean)
}

/// Whether the two bytes stand side by side. Without an early end, so that many are looked at at a time.
fn has_pair(text: &str, [first, second]: &[u8; 2]) -> bool {
    let text = text.as_bytes();
    let pairs = text.iter().zip(text.get(1..).unwrap_or_default());
    pairs.fold(false, |any, (left, right)| any | ((left == first) & (right == second)))
}

/// What a parser leaves as it is, in a path as in a query.
static PATH: Plain = Plain::new(b"!$%&()*+,-./:;=?@_~");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_plain_is_what_a_parser_gives(text in "https?://[a-z0-9.:+x-]{1,12}/[!-~]{0,12}") {
            if is_plain(&text) == Some(true) {
                prop_assert_eq!(Url::parse(&text).map(String::from), Ok(text));
            }
        }
    }

    #[test]
    fn usual_links_are_plain_and_strange_ones_are_not() {
        for text in [
            "https://git.example.com/alice",
            "http://localhost:3000/-/u/avatar.png",
            "https://a--b.net/%7Bx%7D/?s=80&d=identicon",
        ] {
            assert_eq!(is_plain(text), Some(true), "{text}");
        }
        for text in [
            "https://git.example.com",
            "https://a@b.com/",
            "https://1.2.3.4/",
            "https://0x7f.1/",
            "https://A.com/",
            "https://a.com:443/",
            "https://a.com:/",
            "https://a.com:+8443/",
            "https://a.com:08443/",
            "https://a.com:99999/",
            "https://a.com/../b",
            "https://a.com/%2e%2e/b",
            "https://a.com/a b",
            "https://a.com/\u{e9}",
            "https://xn--a.com/",
            "ftp://a.com/",
            "https:///a",
            "https://a.com/a?b#c",
        ] {
            assert_ne!(is_plain(text), Some(true), "{text}");
        }
    }
}
