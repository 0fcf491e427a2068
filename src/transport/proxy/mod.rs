//! Proxies that the operator of an app configures.

mod tunnel;

use std::env;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use percent_encoding::percent_decode_str;
use url::{Host, Url};
use zeroize::Zeroizing;

pub(super) use self::tunnel::Proxied;
use crate::error::{ConfigError, TextFault};
use crate::values::secret::Secret;

/// A proxy through which an [`HttpClient`](super::HttpClient) connects to code hosts, chosen by the operator of the app. Give it to
/// [`HttpClientBuilder::proxy`](super::HttpClientBuilder::proxy) for all integrations, or to
/// [`HttpClient::with_proxy`](super::HttpClient::with_proxy) for one. Without one, and whatever the environment says, connections
/// are direct; see [`from_env`](Self::from_env).
///
/// The URL begins with the kind of proxy:
///
/// | | tunnel | who looks up the code host's name |
/// | --- | --- | --- |
/// | `http://` | `CONNECT` (RFC 9110 section 9.3.6) | the proxy |
/// | `https://` | `CONNECT`, and the connection to the proxy is encrypted | the proxy |
/// | `socks5://` | SOCKS 5 (RFC 1928) | the app |
/// | `socks5h://` | SOCKS 5 | the proxy |
///
/// TLS with the code host is end to end: no proxy sees more than its name and port. Where the proxy looks up the name, the
/// [`Network`](super::Network) checks names and addresses in URLs, but cannot check the addresses that the name has: let the
/// proxy refuse private ones.
///
/// `Debug` shows no user and no password.
///
/// ```
/// use codehost_oauth::transport::{HttpClient, Network, Proxy};
///
/// let proxy = Proxy::parse("http://app@proxy.corp.example:3128")?
///     .password("s3cr3t".to_owned())?
///     .except("gitlab.corp.example, .lab.corp.example, 10.0.0.0/8");
/// assert_eq!(format!("{proxy:?}"), r#"Proxy("http://proxy.corp.example:3128")"#);
/// let http = HttpClient::builder(Network::public_only()).proxy(proxy).build()?;
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Proxy {
    kind: Kind,
    host: Host,
    port: u16,
    credentials: Option<Arc<Credentials>>,
    /// Decides which code hosts are reached through the proxy.
    matcher: Arc<Matcher>,
    /// PEM texts that are trusted for an `https` proxy, in addition to the system's authorities.
    certificates: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Https,
    /// The app looks up the names.
    Socks5,
    /// The proxy looks up the names.
    Socks5h,
}

struct Credentials {
    user: String,
    password: Secret,
}

impl Proxy {
    /// A proxy from its URL: `http`, `https`, `socks5` or `socks5h`, a name or an address, and a port (80, 443 or 1080 if there is
    /// none). User and password may be in the URL, percent-encoded.
    ///
    /// ```
    /// use codehost_oauth::transport::Proxy;
    ///
    /// assert!(Proxy::parse("socks5h://app:s3cr3t@127.0.0.1:1080").is_ok());
    /// assert_eq!(Proxy::parse("proxy.corp.example:3128").unwrap_err().code(), "proxy_url");
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::ProxyUrl`], and for user and password [`ConfigError::ProxyUser`], [`ConfigError::ProxyPassword`] or
    /// [`ConfigError::ProxySocksCredentials`].
    pub fn parse(url: &str) -> Result<Self, ConfigError> {
        let url = Url::parse(url).map_err(|_| ConfigError::ProxyUrl)?;
        let (kind, default_port) = match url.scheme() {
            "http" => (Kind::Http, 80),
            "https" => (Kind::Https, 443),
            "socks5" => (Kind::Socks5, 1080),
            "socks5h" => (Kind::Socks5h, 1080),
            _ => return Err(ConfigError::ProxyUrl),
        };
        let is_complete = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        // `url` parses addresses in `http` URLs only.
        let host = url.host_str().filter(|_| is_complete).and_then(|host| Host::parse(host).ok());
        let proxy = Self {
            kind,
            host: host.ok_or(ConfigError::ProxyUrl)?,
            port: url.port().unwrap_or(default_port),
            credentials: None,
            matcher: matcher(""),
            certificates: Vec::new(),
        };
        if url.username().is_empty() && url.password().is_none() {
            return Ok(proxy);
        }
        let decode = |text| percent_decode_str(text).decode_utf8().map_err(|_| TextFault::Character);
        let user = decode(url.username()).map_err(ConfigError::ProxyUser)?;
        let password = decode(url.password().unwrap_or_default()).map_err(ConfigError::ProxyPassword)?;
        proxy.with_credentials(user.into_owned(), password.into_owned())
    }

    /// The proxy that the environment names for `https` URLs, as other programs use it: `https_proxy` or `all_proxy`, and
    /// `no_proxy` for the code hosts that are reached directly; each also in upper case. `None` if there is none.
    ///
    /// Nothing else in this crate reads these variables.
    ///
    /// ```
    /// use codehost_oauth::transport::{HttpClient, Network, Proxy};
    ///
    /// let mut builder = HttpClient::builder(Network::public_only());
    /// if let Some(proxy) = Proxy::from_env()? {
    ///     builder = builder.proxy(proxy);
    /// }
    /// let http = builder.build()?;
    /// # Ok::<(), codehost_oauth::error::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn from_env() -> Result<Option<Self>, ConfigError> {
        let first =
            |names: [&str; 2]| names.iter().find_map(|name| env::var(name).ok().filter(|text| !text.is_empty()));
        let url = first(["https_proxy", "HTTPS_PROXY"]).or_else(|| first(["all_proxy", "ALL_PROXY"]));
        let Some(url) = url.map(Zeroizing::new) else { return Ok(None) };
        // Other programs accept a name and a port without a scheme.
        let url = if url.contains("://") { url } else { Zeroizing::new(format!("http://{}", *url)) };
        let except = first(["no_proxy", "NO_PROXY"]).unwrap_or_default();
        Ok(Some(Self::parse(&url)?.except(&except)))
    }

    /// Sets the password of the user in the URL, for an app that stores it elsewhere. `CONNECT` uses `Basic` (RFC 7617), SOCKS
    /// uses RFC 1929.
    ///
    /// ```
    /// use codehost_oauth::transport::Proxy;
    ///
    /// assert!(Proxy::parse("http://my%40user@proxy.example.com:3128")?.password("s3cr3t".to_owned()).is_ok());
    /// let without_user = Proxy::parse("http://proxy.example.com:3128")?;
    /// assert_eq!(without_user.password("s3cr3t".to_owned()).unwrap_err().to_string(), "the proxy's user is empty");
    /// # Ok::<(), codehost_oauth::error::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::ProxyUser`] if the URL has no user, [`ConfigError::ProxyPassword`] if the password is longer than 255 bytes
    /// or has control characters, [`ConfigError::ProxySocksCredentials`] if both together are longer than 128 bytes.
    pub fn password(self, password: String) -> Result<Self, ConfigError> {
        let user = self.credentials.as_ref().map(|credentials| credentials.user.clone()).unwrap_or_default();
        self.with_credentials(user, password)
    }

    /// Code hosts that are reached directly, separated by commas: a name, which includes the names below it
    /// (`corp.example` or `.corp.example`), an address, a range (`10.0.0.0/8`), or `*` for all. A name is not looked up for this, so
    /// addresses and ranges only match addresses in base URLs. It replaces what was set before.
    #[must_use]
    pub fn except(self, list: &str) -> Self {
        Self { matcher: matcher(list), ..self }
    }

    /// Also trusts the certificate authorities in `pem` for an `https` proxy. The certificates that integrations trust do not
    /// count for it.
    #[must_use]
    pub fn root_certificates(mut self, pem: &str) -> Self {
        self.certificates.push(pem.as_bytes().to_vec());
        self
    }

    fn with_credentials(self, user: String, password: String) -> Result<Self, ConfigError> {
        let password = Secret::unchecked(password);
        if let Some(fault) = fault_of(&user, |c| c == ':' || c.is_control()) {
            return Err(ConfigError::ProxyUser(fault));
        }
        if let Some(fault) = fault_of(password.expose(), char::is_control).filter(|fault| *fault != TextFault::Empty) {
            return Err(ConfigError::ProxyPassword(fault));
        }
        let length = user.len().saturating_add(password.expose().len());
        if matches!(self.kind, Kind::Socks5 | Kind::Socks5h) && length > MAX_SOCKS_CREDENTIALS {
            return Err(ConfigError::ProxySocksCredentials { limit: MAX_SOCKS_CREDENTIALS });
        }
        Ok(Self { credentials: Some(Arc::new(Credentials { user, password })), ..self })
    }

    /// Whether a code host is reached through this proxy.
    fn is_for(&self, code_host: &Uri) -> bool {
        self.matcher.intercept(code_host).is_some()
    }

    fn uri(&self) -> Option<Uri> {
        // The scheme selects a layer: `http` and `https` are all that the TLS layer knows.
        let scheme = if self.kind == Kind::Https { "https" } else { "http" };
        let authority = format!("{}:{}", self.host, self.port);
        Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build().ok()
    }
}

/// Kind, host and port.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Proxy").field(&self.to_string()).finish()
    }
}

/// The URL, without user and password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            Kind::Http => "http",
            Kind::Https => "https",
            Kind::Socks5 => "socks5",
            Kind::Socks5h => "socks5h",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl Credentials {
    /// The value of `Proxy-Authorization`.
    fn basic(&self) -> Option<HeaderValue> {
        let pair = Zeroizing::new(format!("{}:{}", self.user, self.password.expose()));
        let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// The rules of a `no_proxy` list, as curl has them. The proxy in it is not used.
fn matcher(except: &str) -> Arc<Matcher> {
    Arc::new(Matcher::builder().all("http://proxy").no(except).build())
}

/// What is wrong with a user or a password.
fn fault_of(text: &str, is_refused: impl Fn(char) -> bool) -> Option<TextFault> {
    match text {
        "" => Some(TextFault::Empty),
        _ if text.len() > MAX_CREDENTIAL => Some(TextFault::TooLong { limit: MAX_CREDENTIAL, unit: "bytes" }),
        _ => text.contains(is_refused).then_some(TextFault::Character),
    }
}

/// The longest user and the longest password, in bytes.
const MAX_CREDENTIAL: usize = 255;
/// The longest user and password together, in bytes: hyper-util has room for them and for a host name of 121 bytes.
const MAX_SOCKS_CREDENTIALS: usize = 128;
