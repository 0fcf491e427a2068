use std::fmt;

use http::Uri;

/// A link that a code host gave, to show: `http` or `https`, so never `javascript:`, and with no user information in it.
///
/// It is kept as text, as the code host wrote it, since that is what a page or a table takes.
///
/// ```
/// use codehost_oauth::WebUrl;
///
/// let url = WebUrl::parse("https://git.example.com/alice").unwrap();
/// assert_eq!(url.as_str(), "https://git.example.com/alice");
/// assert!(WebUrl::parse("javascript:alert(1)").is_none());
/// assert!(WebUrl::parse("https://git.example.com@evil.test/").is_none());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WebUrl(Box<str>);

impl WebUrl {
    /// `None` unless it is an `http` or `https` URL in ASCII (RFC 3986) without user info.
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        // User info would stand before the host name.
        let port = uri.authority()?.as_str().strip_prefix(uri.host()?)?;
        (is_web && is_port(port) && text.is_ascii()).then(|| Self(text.into()))
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

/// Shows its length only: the code host or a user wrote it.
impl fmt::Debug for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebUrl({} bytes)", self.0.len())
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

/// `:` and a number, or nothing. A sign is refused, though Rust's number parser allows it.
fn is_port(text: &str) -> bool {
    text.strip_prefix(':')
        .is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_kept_as_they_are() {
        for text in [
            "https://git.example.com/alice",
            "http://localhost:3000/-/u/avatar.png",
            "https://a--b.net/%7Bx%7D/?s=80&d=identicon#top",
            "https://git.example.com",
            "HTTPS://A.com:443/",
            "https://[2001:db8::1]:8443/a@b",
        ] {
            assert_eq!(WebUrl::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn anything_but_a_link_to_a_page_is_refused() {
        for text in [
            "",
            "/alice",
            "ftp://a.com/",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://a@b.com/",
            "https://:p@b.com/",
            "https://a@b@c.com/",
            "https://a.com:99999/",
            "https://a.com:+8443/",
            "https:///a",
            "https:a.com",
            "https://a.com\\@b.com/",
            "https://a.com/\u{e9}",
            "https://\u{e9}.com/",
            "https://a.com/a b",
            "https://a.com/\n",
        ] {
            assert!(WebUrl::parse(text).is_none(), "{text}");
        }
    }
}
