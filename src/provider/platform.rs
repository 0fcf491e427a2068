use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::oauth_provider::OAuthProvider;
use crate::error::BaseUrlError;
use crate::values::base_url::BaseUrl;

/// A kind of code host, such as Bitbucket Cloud or GitLab.
///
/// ```
/// use codehost_oauth::{transport::Network, BaseUrl, Platform};
///
/// let platform = Platform::find("gitlab")?;
/// assert_eq!(platform.name(), "GitLab");
/// let provider = platform.provider(BaseUrl::parse("https://git.example.com", &Network::public_only())?)?;
/// assert_eq!(provider.platform(), platform);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Platform {
    id: &'static str,
    name: &'static str,
    provider: Constructor,
    services: &'static [Service],
}

/// Makes a provider from the base URL and, if the API is at another URL than usual, that URL.
type Constructor = fn(BaseUrl, Option<BaseUrl>) -> Result<Arc<dyn OAuthProvider>, BaseUrlError>;

/// A code host that a platform's own company or project runs for everyone: a tile in a form, in place of a field for the URL.
///
/// ```
/// use codehost_oauth::Platform;
///
/// let services = Platform::all().iter().flat_map(|platform| platform.services());
/// let names: Vec<_> = services.map(|service| service.name).collect();
/// assert_eq!(names, ["Bitbucket Cloud", "Codeberg", "Gitea", "GitHub", "GitLab.com"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// The display name.
    pub name: &'static str,
    /// The base URL.
    pub base_url: &'static str,
}

impl Service {
    /// A service.
    pub const fn new(name: &'static str, base_url: &'static str) -> Self {
        Self { name, base_url }
    }
}

impl Platform {
    /// A platform. `provider` makes its provider from the base URL and, if the API is at another URL than usual, that URL. `id`
    /// is a part of callback URLs and account keys, so it must never change.
    ///
    /// # Panics
    ///
    /// In a constant at compile time, if `id` is empty or has characters other than lower-case letters, digits and hyphens.
    #[allow(
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "evaluated by the compiler"
    )]
    pub const fn new(id: &'static str, name: &'static str, provider: Constructor) -> Self {
        let bytes = id.as_bytes();
        let mut at_byte = 0;
        assert!(!bytes.is_empty(), "a platform's id is empty");
        while at_byte < bytes.len() {
            let valid = matches!(bytes[at_byte], b'a'..=b'z' | b'0'..=b'9' | b'-');
            assert!(valid, "a platform's id has only lower-case letters, digits and hyphens");
            at_byte += 1;
        }
        Self { id, name, provider, services: &[] }
    }

    /// Adds the services that the platform's own company or project runs.
    #[must_use]
    pub const fn with_services(self, services: &'static [Service]) -> Self {
        Self { services, ..self }
    }

    /// The stable id.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// The display name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The services that the platform's own company or project runs, the main one first. Empty if everyone runs their own.
    pub fn services(&self) -> &'static [Service] {
        self.services
    }

    /// The provider at a base URL.
    ///
    /// # Errors
    ///
    /// [`BaseUrlError::OtherPlatform`] if the URL cannot belong to this platform.
    pub fn provider(&self, base_url: BaseUrl) -> Result<Arc<dyn OAuthProvider>, BaseUrlError> {
        (self.provider)(base_url, None)
    }

    /// The provider at a base URL, whose API is at another URL than usual: a fake, or an address of the same code host inside the
    /// operator's network. Tokens and the client secret go there, so take the URL from the operator, never from a tenant.
    ///
    /// # Errors
    ///
    /// As [`provider`](Self::provider).
    pub fn provider_with_api_url(
        &self,
        base_url: BaseUrl,
        api_url: BaseUrl,
    ) -> Result<Arc<dyn OAuthProvider>, BaseUrlError> {
        (self.provider)(base_url, Some(api_url))
    }
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Platform({})", self.id)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Platform {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Platform {}

impl Hash for Platform {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}
