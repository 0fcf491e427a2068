use std::fmt;
use std::sync::Arc;

use url::Url;

use crate::error::ConfigError;
use crate::values::integration_id::IntegrationId;
use crate::values::public_url::PublicUrl;

/// Where the code host sends the browser back to: `{public_url}/oauth/callback/{platform}/{id}`, unless the app
/// [chooses another path](Self::at).
///
/// It is computed before any credentials exist, and the string that the setup guide shows is the string that is sent,
/// byte for byte. Each integration has its own, which is what keeps a hostile code host from obtaining the codes of
/// another (RFC 9700 section 4.4.2.2).
///
/// ```
/// use codehost_oauth::{CallbackUrl, PublicUrl};
///
/// let app: PublicUrl = "https://packages.example.com/app".parse()?;
/// let url = CallbackUrl::new(&app, "gitlab", &"demo".parse()?);
/// assert_eq!(url.as_str(), "https://packages.example.com/app/oauth/callback/gitlab/demo");
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CallbackUrl {
    text: Arc<str>,
    /// Where the path begins in `text`.
    path_start: usize,
    /// The same without the public URL's sub-path, which a proxy may remove.
    route_start: usize,
}

impl CallbackUrl {
    /// The callback URL of one integration, where the app chooses none: `{public_url}/oauth/callback/{platform}/{id}`.
    /// `platform_id` is [`Platform::id`](crate::Platform::id).
    pub fn new(public_url: &PublicUrl, platform_id: &str, id: &IntegrationId) -> Self {
        Self::from_url(public_url, &public_url.url().page(&["oauth", "callback", platform_id, id.as_str()]))
    }

    /// The callback URL at a path of the app's choice, below its public URL.
    ///
    /// Give each integration a path of its own, and none that begins with another's: a platform may accept every URL that
    /// begins with the registered one. One path for all is safe only where every integration's code host is chosen by the
    /// app's own administrators: a code host that a tenant has chosen could otherwise ask for codes that belong to another
    /// (RFC 9700 section 4.4). The login itself is refused then, but the code has been sent.
    ///
    /// ```
    /// use codehost_oauth::{CallbackUrl, PublicUrl};
    ///
    /// let app: PublicUrl = "https://example.com/packages".parse()?;
    /// assert_eq!(CallbackUrl::at(&app, "/auth/callback")?.as_str(), "https://example.com/packages/auth/callback");
    /// assert_eq!(CallbackUrl::at(&app, "/auth/../callback").unwrap_err().code(), "callback_path");
    /// # Ok::<(), codehost_oauth::error::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::CallbackPath`] unless the path is a slash and letters, digits, `-`, `.`, `_` or `~`, once or more,
    /// and at most 200 bytes long.
    pub fn at(public_url: &PublicUrl, path: &str) -> Result<Self, ConfigError> {
        let url = public_url.join(path).ok_or(ConfigError::CallbackPath)?;
        Ok(Self::from_url(public_url, &url))
    }

    fn from_url(public_url: &PublicUrl, url: &Url) -> Self {
        let path = url.as_str().len().saturating_sub(url.path().len());
        let route = path.saturating_add(public_url.url().path().len());
        Self { text: url.as_str().into(), path_start: path, route_start: route }
    }

    /// The text to show, to register and to send.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a request for `path` is one for this URL: the whole path, or the path below the app's own sub-path,
    /// with nothing added and nothing encoded differently.
    pub fn is_at(&self, path: &str) -> bool {
        [self.path_start, self.route_start].into_iter().any(|begin| self.text.get(begin..) == Some(path))
    }
}

impl fmt::Display for CallbackUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for CallbackUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
