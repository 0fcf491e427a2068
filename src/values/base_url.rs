use std::fmt;
use std::sync::Arc;

use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::error::BaseUrlError;
use crate::values::network::{Network, is_host_name, is_loopback_host};

/// The base URL of a code host, as its administrator typed it: scheme, host, port and sub-path, and nothing else.
///
/// The text is checked before a URL parser sees it, since parsers repair what they should refuse: a tab, a backslash,
/// `0x7f.1` for 127.0.0.1. The result has one canonical spelling, without a slash at the end, and every
/// endpoint of the platform is built from it by [`endpoint`](Self::endpoint), so a sub-path cannot get lost.
///
/// Source: WHATWG URL, whose repairs are refused here; RFC 3986 section 3 for the parts.
///
/// ```
/// use codehost_oauth::{transport::Network, BaseUrl};
///
/// let base = BaseUrl::parse("https://GIT.example.com:443/gitlab/", &Network::public_only())?;
/// assert_eq!(base.as_str(), "https://git.example.com/gitlab");
/// assert_eq!(base.page(&["oauth", "token"]).as_str(), "https://git.example.com/gitlab/oauth/token");
/// # Ok::<(), codehost_oauth::error::BaseUrlError>(())
/// ```
///
/// # Example: refused
///
/// ```
/// use codehost_oauth::{error::BaseUrlError, transport::Network, BaseUrl};
///
/// let refused = |text| BaseUrl::parse(text, &Network::public_only()).unwrap_err();
/// assert!(matches!(refused("https://10.0.0.5"), BaseUrlError::AddressNotAllowed));
/// assert!(matches!(refused("https://git.example.com@evil.test"), BaseUrlError::UserInfo));
/// assert!(matches!(refused("git.example.com"), BaseUrlError::NoScheme));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BaseUrl {
    /// Canonical; it ends with a slash only if the path is empty, where `Url` puts one. Shared, since providers,
    /// credentials and tokens all know theirs.
    url: Arc<Url>,
}

impl BaseUrl {
    /// Parses what an administrator typed. White space around it is removed.
    ///
    /// # Errors
    ///
    /// [`BaseUrlError`] says what is wrong in words for the administrator. It never repeats user information
    /// or a query, which may hold a secret.
    pub fn parse(text: &str, network: &Network) -> Result<Self, BaseUrlError> {
        // A copied text often has white space at its ends. Inside, it is refused.
        let url = read(text.trim())?;
        let host = url.host().ok_or(BaseUrlError::NoHost)?;
        match &host {
            url::Host::Domain(name) if !network.permits_name(name) => return Err(BaseUrlError::LocalName),
            url::Host::Ipv4(v4) if !network.permits((*v4).into()) => return Err(BaseUrlError::AddressNotAllowed),
            url::Host::Ipv6(v6) if !network.permits((*v6).into()) => return Err(BaseUrlError::AddressNotAllowed),
            _ => {}
        }
        if url.scheme() != "https" && !network.permits_http(&host) {
            return Err(BaseUrlError::PlainHttp);
        }
        Ok(Self::from_url(url))
    }

    /// The canonical text, without a slash at the end.
    pub fn as_str(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// Host name or address, with the port if it is not the scheme's own: what to show under a login button.
    ///
    /// ```
    /// # use codehost_oauth::{transport::Network, BaseUrl};
    /// let base = BaseUrl::parse("https://git.example.com:8443/gitlab", &Network::public_only())?;
    /// assert_eq!(base.authority(), "git.example.com:8443");
    /// # Ok::<(), codehost_oauth::error::BaseUrlError>(())
    /// ```
    pub fn authority(&self) -> &str {
        self.url.authority()
    }

    /// The sub-path, empty or beginning with a slash, never ending with one.
    pub fn path(&self) -> &str {
        self.url.path().trim_end_matches('/')
    }

    /// A page below this URL, for a browser. Each segment is percent-encoded as a whole, so no segment can change host or
    /// path; `.` and `..`, which cannot be encoded, are left out.
    ///
    /// ```
    /// # use codehost_oauth::{transport::Network, BaseUrl};
    /// let base = BaseUrl::parse("https://api.example.com/2.0", &Network::public_only())?;
    /// let url = base.page(&["users", "{a/b}", ".."]);
    /// assert_eq!(url.as_str(), "https://api.example.com/2.0/users/%7Ba%2Fb%7D");
    /// # Ok::<(), codehost_oauth::error::BaseUrlError>(())
    /// ```
    pub fn page(&self, segments: &[&str]) -> Url {
        // Not `path_segments_mut`: it drops tabs and line ends from a segment, and then goes to the parent path at `.<TAB>.`.
        let mut path = self.path().to_owned();
        for segment in segments.iter().filter(|segment| !matches!(**segment, "." | "..")) {
            path.push('/');
            path.extend(utf8_percent_encode(segment, SEGMENT));
        }
        let mut url = Url::clone(&self.url);
        url.set_path(&path);
        url
    }

    /// An endpoint below this URL, for a request. Segments are as in [`page`](Self::page).
    ///
    /// ```
    /// # use codehost_oauth::{transport::Network, BaseUrl};
    /// let base = BaseUrl::parse("https://git.example.com/gitlab", &Network::public_only())?;
    /// assert_eq!(base.endpoint(&["oauth", "token"]), "https://git.example.com/gitlab/oauth/token");
    /// # Ok::<(), codehost_oauth::error::BaseUrlError>(())
    /// ```
    pub fn endpoint(&self, segments: &[&str]) -> Uri {
        uri(&self.page(segments))
    }

    /// The same with a query. Its names and values are encoded as in a form: a blank becomes `+`.
    ///
    /// ```
    /// # use codehost_oauth::{transport::Network, BaseUrl};
    /// let base = BaseUrl::parse("https://git.example.com/gitlab", &Network::public_only())?;
    /// let uri = base.endpoint_with_query(&["groups"], &[("search", "a & b"), ("page", "2")]);
    /// assert_eq!(uri, "https://git.example.com/gitlab/groups?search=a+%26+b&page=2");
    /// # Ok::<(), codehost_oauth::error::BaseUrlError>(())
    /// ```
    pub fn endpoint_with_query(&self, segments: &[&str], query: &[(&str, &str)]) -> Uri {
        let mut url = self.page(segments);
        url.query_pairs_mut().extend_pairs(query);
        uri(&url)
    }

    /// The same scheme, host and port with another sub-path.
    pub(crate) fn with_path(&self, path: &str) -> Self {
        let mut url = Url::clone(&self.url);
        url.set_path(path);
        Self::from_url(url)
    }

    pub(crate) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    pub(crate) fn is_loopback(&self) -> bool {
        self.url.host().is_some_and(|host| is_loopback_host(&host))
    }

    /// A base URL that stands in the source.
    #[allow(clippy::expect_used, reason = "the text is a constant of this crate, and a test parses each")]
    pub(crate) fn constant(text: &'static str) -> Self {
        Self::parse(text, &Network::public_only()).expect("a valid constant")
    }

    pub(crate) fn from_url(mut url: Url) -> Self {
        // The same value with and without the slash at the end: credentials are compared by it.
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Self { url: Arc::new(url) }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({})", self.as_str())
    }
}

impl AsRef<str> for BaseUrl {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl serde::Serialize for BaseUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A URL of scheme, authority, and an encoded path and query is a URI; a request to none is refused.
fn uri(url: &Url) -> Uri {
    Uri::try_from(url.as_str()).unwrap_or_default()
}

/// Parses a URL of scheme, host, port and path. Refuses a host that the `url` crate would read differently from its text (`0177.1`,
/// `①`, `%31`). Does not check the network policy.
pub(crate) fn read(text: &str) -> Result<Url, BaseUrlError> {
    let raw_host = raw_host(text)?;
    let url = Url::parse(text).map_err(|_| BaseUrlError::InvalidHost)?;
    let host = url.host().ok_or(BaseUrlError::NoHost)?;
    let canonical = host.to_string();
    if raw_host.to_ascii_lowercase() != canonical {
        return Err(BaseUrlError::HostSpelling { read_as: canonical });
    }
    match host {
        url::Host::Domain(name) if name.ends_with('.') => return Err(BaseUrlError::TrailingDot),
        url::Host::Domain(name) if !is_host_name(name) => return Err(BaseUrlError::InvalidHost),
        url::Host::Ipv6(v6) => {
            if let Some(v4) = v6.to_ipv4_mapped() {
                return Err(BaseUrlError::HostSpelling { read_as: v4.to_string() });
            }
        }
        _ => {}
    }
    if url.port().is_some_and(|port| BLOCKED_PORTS.contains(&port)) {
        return Err(BaseUrlError::Port);
    }
    Ok(url)
}

/// The host of a URL, as it was written: nothing is repaired.
fn raw_host(text: &str) -> Result<&str, BaseUrlError> {
    if text.is_empty() {
        return Err(BaseUrlError::Empty);
    }
    if text.len() > MAX_LENGTH {
        return Err(BaseUrlError::TooLong);
    }
    if !text.is_ascii() {
        return Err(BaseUrlError::NotAscii { read_as: punycode(text) });
    }
    let rest = split_scheme(text)?;
    let (authority, path) = match rest.find(['/', '?', '#', '\\']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if authority.contains('@') {
        return Err(BaseUrlError::UserInfo);
    }
    if path.contains(['?', '#']) {
        return Err(BaseUrlError::QueryOrFragment);
    }
    let plain = |c: &char| c.is_ascii_alphanumeric() || ".-:/_~".contains(*c);
    let strange = authority.chars().find(|c| !plain(c) && !"[]".contains(*c));
    if let Some(found) = strange.or_else(|| path.chars().find(|c| !plain(c))) {
        return Err(BaseUrlError::Character { found });
    }
    let inner = path.strip_suffix('/').unwrap_or(path);
    let mut segments = inner.split('/').skip(1);
    if segments.any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(BaseUrlError::Path);
    }
    let host = host_of(authority)?;
    if host.is_empty() {
        return Err(BaseUrlError::NoHost);
    }
    Ok(host)
}

/// The longest text that is looked at, in bytes.
const MAX_LENGTH: usize = 2048;

/// Ports that no browser opens (WHATWG Fetch, "bad port"): an authorization page cannot be there, but a mail server
/// or a database that would read our request as commands can. Also port 0, and 6379 of Redis.
const BLOCKED_PORTS: [u16; 84] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
    532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060,
    5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 6379, 10080,
];

/// The part after `https://` or `http://`.
fn split_scheme(text: &str) -> Result<&str, BaseUrlError> {
    if let Some(found) = text.chars().find(|c| c.is_ascii_control() || *c == ' ') {
        return Err(BaseUrlError::Character { found });
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        let named = text.split_once(':').is_some_and(|(scheme, rest)| {
            !scheme.contains(['.', '/']) && !rest.starts_with(|c: char| c.is_ascii_digit())
        });
        return Err(if named { BaseUrlError::Scheme } else { BaseUrlError::NoScheme });
    };
    match scheme.to_ascii_lowercase().as_str() {
        "https" | "http" => Ok(rest),
        _ => Err(BaseUrlError::Scheme),
    }
}

/// The host of an authority, without the port, which is a number without leading zeros.
fn host_of(authority: &str) -> Result<&str, BaseUrlError> {
    let end_of_host = authority.rfind(']').map_or(0, |at| at.saturating_add(1));
    let Some(colon) = authority.get(end_of_host..).and_then(|tail| tail.find(':')) else {
        return Ok(authority);
    };
    let (host, port) = authority.split_at(end_of_host.saturating_add(colon));
    let port = port.strip_prefix(':').unwrap_or(port);
    let plain = !port.is_empty() && !port.starts_with('0') && port.bytes().all(|byte| byte.is_ascii_digit());
    if plain && port.parse::<u16>().is_ok() { Ok(host) } else { Err(BaseUrlError::Port) }
}

/// What is encoded in a path segment: all but `pchar` (RFC 3986 section 3.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// How a parser would spell the host of an international URL, to show in the error.
fn punycode(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    url.domain().filter(|domain| domain.contains("xn--")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3986 section 3.3, and nothing beside it.
    #[test]
    fn endpoint_encodes_every_byte_that_is_not_allowed_in_a_segment() {
        let base = BaseUrl::constant("https://git.example.com/sub");
        for byte in 0..=0x7f_u8 {
            let allowed = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
            let expected = if allowed { char::from(byte).to_string() } else { format!("%{byte:02X}") };
            let url = base.page(&[&format!("a{}b", char::from(byte))]);
            assert_eq!(url.as_str(), format!("https://git.example.com/sub/a{expected}b"));
        }
        assert_eq!(base.page(&["aZ09-/ \u{e4}\n"]).path(), "/sub/aZ09-%2F%20%C3%A4%0A");
    }
}
