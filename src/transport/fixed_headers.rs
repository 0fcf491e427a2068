use std::fmt;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::origin::Origin;
use crate::error::ConfigError;
use crate::values::base_url::BaseUrl;

/// Headers that an access gateway in front of a code host demands, such as `CF-Access-Client-Id` and `CF-Access-Client-Secret`
/// (Cloudflare Access), or `Proxy-Authorization` (Google's IAP). They are sent with every request to the origin of one URL
/// (its scheme, name and port), and to no other. Give them to
/// [`HttpClient::with_headers`](crate::transport::HttpClient::with_headers).
///
/// `Debug` shows nothing of them.
///
/// ```
/// use codehost_oauth::BaseUrl;
/// use codehost_oauth::transport::{FixedHeaders, HttpClient, Network};
///
/// let http = HttpClient::builder(Network::public_only()).build()?;
/// let base_url = BaseUrl::parse("https://git.example.com", http.network())?;
/// let headers = [("CF-Access-Client-Id", "app.access"), ("CF-Access-Client-Secret", "s3cr3t")];
/// let http = http.with_headers(FixedHeaders::new(&base_url, headers)?);
/// assert!(FixedHeaders::new(&base_url, [("Authorization", "Bearer x")]).is_err());
/// # Ok::<(), codehost_oauth::error::Error>(())
/// ```
#[derive(Clone)]
pub struct FixedHeaders {
    /// Every base URL has one.
    origin: Option<Origin>,
    headers: HeaderMap,
}

impl FixedHeaders {
    /// Headers for the origin of `url`, as names and values.
    ///
    /// # Errors
    ///
    /// [`ConfigError::HeaderName`] or [`ConfigError::HeaderValue`] if a name or a value is not valid in HTTP,
    /// [`ConfigError::HeaderReserved`] if the header belongs to the request: `Authorization`, `Host`, `Content-Type` and the like.
    pub fn new<'a>(url: &BaseUrl, headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ConfigError> {
        let mut fixed = HeaderMap::new();
        for (position, (name, value)) in (1_usize..).zip(headers) {
            // Errors show the position: the text in place of the name could be the secret.
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| ConfigError::HeaderName { position })?;
            if OF_REQUEST.contains(&name) {
                return Err(ConfigError::HeaderReserved { name: name.to_string() });
            }
            let mut value = HeaderValue::from_str(value).map_err(|_| ConfigError::HeaderValue { position })?;
            value.set_sensitive(true);
            fixed.append(name, value);
        }
        Ok(Self { origin: Origin::of(&url.endpoint(&[])).ok(), headers: fixed })
    }

    /// Adds them to a request to `origin`, if they are for it.
    pub(super) fn add_to(&self, headers: &mut HeaderMap, origin: &Origin) {
        if self.origin.as_ref() == Some(origin) {
            headers.extend(self.headers.clone());
        }
    }
}

impl fmt::Debug for FixedHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedHeaders").finish_non_exhaustive()
    }
}

/// What this crate or the HTTP library sets.
const OF_REQUEST: [HeaderName; 14] = [
    ACCEPT,
    ACCEPT_ENCODING,
    AUTHORIZATION,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    EXPECT,
    HOST,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    USER_AGENT,
];
