use std::fmt;

use url::Url;

/// A link that a code host gave, to show: `http` or `https`, so never `javascript:`, with no user information in it, and
/// spelled as a browser would spell it.
///
/// It is kept as text, since that is what a page or a table takes.
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
    /// `None` unless it is an `http` or `https` URL without user info.
    pub fn parse(text: &str) -> Option<Self> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_spelled_as_a_browser_spells_them() {
        for (text, spelled) in [
            ("https://git.example.com/alice", "https://git.example.com/alice"),
            ("http://localhost:3000/-/u/avatar.png", "http://localhost:3000/-/u/avatar.png"),
            ("https://a--b.net/%7Bx%7D/?s=80&d=identicon", "https://a--b.net/%7Bx%7D/?s=80&d=identicon"),
            ("https://git.example.com", "https://git.example.com/"),
            ("https://A.com:443/", "https://a.com/"),
            ("https://a.com:08443/", "https://a.com:8443/"),
            ("https://0x7f.1/", "https://127.0.0.1/"),
            ("https://a.com/x/../b", "https://a.com/b"),
            ("https://a.com/%2e%2e/b", "https://a.com/b"),
            ("https://a.com/\u{e9} b", "https://a.com/%C3%A9%20b"),
            ("https:///a", "https://a/"),
        ] {
            assert_eq!(WebUrl::parse(text).unwrap().as_str(), spelled, "{text}");
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
            "https://a.com:99999/",
            "https://a.com:+8443/",
            "https://xn--a.com/",
        ] {
            assert!(WebUrl::parse(text).is_none(), "{text}");
        }
    }
}
