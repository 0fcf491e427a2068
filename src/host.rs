use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::base_url::BaseUrl;
use crate::error::{BaseUrlError, ConfigError};
use crate::network::is_loopback_host;

/// The one public URL of the app that embeds this crate, as browsers reach it.
///
/// It is configured once, never taken from a request's `Host` or `X-Forwarded-*` header, since callback URLs are built
/// from it. `https://`, or `http://` on a loopback address for development (RFC 8252 section 7.3).
///
/// ```
/// use codehost_oauth::Host;
///
/// let host: Host = "https://packages.example.com/".parse()?;
/// assert_eq!(host.as_str(), "https://packages.example.com");
/// assert!("http://packages.example.com".parse::<Host>().is_err());
/// assert!("http://127.0.0.1:9000".parse::<Host>().is_ok());
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Host(BaseUrl);

impl Host {
    /// The canonical text, without a slash at the end.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The path of the app's first page: `/`, or the sub-path that the app lives at.
    ///
    /// ```
    /// # use codehost_oauth::Host;
    /// assert_eq!("https://packages.example.com".parse::<Host>()?.path(), "/");
    /// assert_eq!("https://example.com/packages/".parse::<Host>()?.path(), "/packages");
    /// # Ok::<(), codehost_oauth::error::ConfigError>(())
    /// ```
    pub fn path(&self) -> &str {
        match self.0.path() {
            "" => "/",
            path => path,
        }
    }

    pub(crate) fn url(&self) -> &BaseUrl {
        &self.0
    }
}

impl FromStr for Host {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = crate::base_url::read(text).map_err(ConfigError::Host)?;
        let loopback = url.host().is_some_and(|host| is_loopback_host(&host));
        if url.scheme() != "https" && !loopback {
            return Err(ConfigError::Host(BaseUrlError::PlainHttp));
        }
        Ok(Self(BaseUrl::from_url(url)))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({})", self.as_str())
    }
}

/// Names one integration in the host, in its callback URL and in every account key: 1 to 63 of `a-z`, `0-9` and `-`,
/// beginning and ending with a letter or digit.
///
/// Never give a deleted integration's id to another one, nor keep an id for another code host: the account keys of the one
/// before would come to belong to strangers.
///
/// ```
/// use codehost_oauth::IntegrationId;
///
/// assert_eq!(IntegrationId::from_name("On-premise GitLab")?.as_str(), "onpremisegitlab");
/// assert_eq!(IntegrationId::random()?.as_str().len(), 26);
/// assert!("Demo".parse::<IntegrationId>().is_err());
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IntegrationId(Arc<str>);

impl IntegrationId {
    /// The slug of an integration's name: its ASCII letters and digits, in lower case.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoSlug`] if the name has no ASCII letter or digit, or more than 63.
    pub fn from_name(name: &str) -> Result<Self, ConfigError> {
        let slug: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        slug.parse().map_err(|_| ConfigError::NoSlug)
    }

    /// 26 random letters and digits. Right where tenants create integrations: it cannot be guessed, chosen or overlap.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Random`] if the system gives no random bytes.
    pub fn random() -> Result<Self, ConfigError> {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let mut bytes = [0_u8; 26];
        crate::random::fill(&mut bytes).map_err(|_| ConfigError::Random)?;
        let letter = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied().map_or('a', char::from);
        Ok(Self(bytes.iter().map(letter).collect::<String>().into()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether one id begins with the other.
    ///
    /// Bitbucket accepts every callback URL that begins with the registered one, so refuse a new id that overlaps with
    /// one in use where OAuth applications are shared between integrations. Random ids never overlap.
    ///
    /// ```
    /// # use codehost_oauth::IntegrationId;
    /// let [a, b]: [IntegrationId; 2] = ["git".parse()?, "git-2".parse()?];
    /// assert!(a.overlaps(&b) && b.overlaps(&a));
    /// # Ok::<(), codehost_oauth::error::ConfigError>(())
    /// ```
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.starts_with(&*other.0) || other.0.starts_with(&*self.0)
    }
}

impl FromStr for IntegrationId {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let valid = (1..=63).contains(&text.len())
            && text.bytes().all(inside)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if valid { Ok(Self(text.into())) } else { Err(ConfigError::IntegrationId) }
    }
}

impl fmt::Display for IntegrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IntegrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IntegrationId({})", self.0)
    }
}

/// Where the code host sends the browser back to: `{host}/oauth/callback/{platform}/{id}`.
///
/// It is computed before any credentials exist, and the string that the setup guide shows is the string that is sent,
/// byte for byte. Each integration has its own, which is what keeps a hostile code host from obtaining the codes of
/// another (RFC 9700 section 4.4.2.2).
///
/// ```
/// use codehost_oauth::{CallbackUrl, Host};
///
/// let host: Host = "https://packages.example.com/app".parse()?;
/// let url = CallbackUrl::new(&host, "gitlab", &"demo".parse()?);
/// assert_eq!(url.as_str(), "https://packages.example.com/app/oauth/callback/gitlab/demo");
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CallbackUrl {
    text: Arc<str>,
    /// Where the path begins.
    path: usize,
    /// Where it begins for the router of a host whose proxy strips the host's own sub-path.
    route: usize,
}

impl CallbackUrl {
    /// The callback URL of one integration. `platform_id` is [`Platform::id`](crate::Platform::id).
    pub fn new(host: &Host, platform_id: &str, id: &IntegrationId) -> Self {
        let url = host.url().endpoint(&["oauth", "callback", platform_id, id.as_str()]);
        let path = url.as_str().len().saturating_sub(url.path().len());
        let route = path.saturating_add(host.url().path().len());
        Self { text: url.as_str().into(), path, route }
    }

    /// The text to show, to register and to send.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a request for `path` is one for this URL: the whole path, or the path below the host's own sub-path,
    /// with nothing added and nothing encoded differently.
    pub fn is_at(&self, path: &str) -> bool {
        [self.path, self.route].into_iter().any(|begin| self.text.get(begin..) == Some(path))
    }

    /// The text, shared.
    pub(crate) fn text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }
}

impl fmt::Display for CallbackUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! serialize_as_str {
    ($($type:ty),*) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    )*};
}

serialize_as_str!(Host, IntegrationId, CallbackUrl);
