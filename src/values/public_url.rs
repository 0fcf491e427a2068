use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::error::{BaseUrlError, ConfigError};
use crate::values::base_url::BaseUrl;

/// The one public URL of the app that embeds this crate, as browsers reach it.
///
/// It is configured once, never taken from a request's `Host` or `X-Forwarded-*` header, since callback URLs are built
/// from it. `https://`, or `http://` on a loopback address for development (RFC 8252 section 7.3).
///
/// ```
/// use codehost_oauth::PublicUrl;
///
/// let app: PublicUrl = "https://packages.example.com/".parse()?;
/// assert_eq!(app.as_str(), "https://packages.example.com");
/// assert!("http://packages.example.com".parse::<PublicUrl>().is_err());
/// assert!("http://127.0.0.1:9000".parse::<PublicUrl>().is_ok());
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicUrl(BaseUrl);

impl PublicUrl {
    /// The canonical text, without a slash at the end.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The path of the app's first page: `/`, or the sub-path that the app lives at.
    ///
    /// ```
    /// # use codehost_oauth::PublicUrl;
    /// assert_eq!("https://packages.example.com".parse::<PublicUrl>()?.path(), "/");
    /// assert_eq!("https://example.com/packages/".parse::<PublicUrl>()?.path(), "/packages");
    /// # Ok::<(), codehost_oauth::error::ConfigError>(())
    /// ```
    pub fn path(&self) -> &str {
        match self.0.path() {
            "" => "/",
            path => path,
        }
    }

    /// The public URL of an app that has no TLS, for an intranet: `http://` at any host.
    ///
    /// An attacker who can read or change the network's traffic can then log in as any user. Cookies are not `Secure`, and a code
    /// host may refuse the callback URL.
    ///
    /// ```
    /// use codehost_oauth::PublicUrl;
    ///
    /// let app = PublicUrl::danger_allow_http("http://packages.intranet:8080")?;
    /// assert_eq!(app.as_str(), "http://packages.intranet:8080");
    /// assert!("http://packages.intranet:8080".parse::<PublicUrl>().is_err());
    /// # Ok::<(), codehost_oauth::error::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::PublicUrl`], except for the scheme `http`.
    pub fn danger_allow_http(text: &str) -> Result<Self, ConfigError> {
        let url = crate::values::base_url::read(text).map_err(ConfigError::PublicUrl)?;
        Ok(Self(BaseUrl::from_url(url)))
    }

    pub(crate) fn url(&self) -> &BaseUrl {
        &self.0
    }

    /// The URL of a path below this one, such as `/auth/callback`: a slash and letters, digits, `-`, `.`, `_` or `~`, once
    /// or more. Nothing that a browser, a proxy and a router could read differently.
    pub(crate) fn join(&self, path: &str) -> Option<Url> {
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let valid = |segment: &&str| !matches!(*segment, "" | "." | "..") && segment.bytes().all(allowed);
        (path.len() <= MAX_PATH && segments.iter().all(valid)).then(|| self.0.page(&segments))
    }
}

impl FromStr for PublicUrl {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let app = Self::danger_allow_http(text)?;
        if app.0.is_https() || app.0.is_loopback() {
            return Ok(app);
        }
        Err(ConfigError::PublicUrl(BaseUrlError::PlainHttp))
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicUrl({})", self.as_str())
    }
}

impl serde::Serialize for PublicUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The longest path, in bytes.
const MAX_PATH: usize = 200;
