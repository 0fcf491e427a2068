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
    provider: fn(BaseUrl) -> Result<Arc<dyn OAuthProvider>, BaseUrlError>,
}

impl Platform {
    /// A platform. `id` is a part of callback URLs and account keys, so it must never change.
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
    pub const fn new(
        id: &'static str,
        name: &'static str,
        provider: fn(BaseUrl) -> Result<Arc<dyn OAuthProvider>, BaseUrlError>,
    ) -> Self {
        let bytes = id.as_bytes();
        let mut at_byte = 0;
        assert!(!bytes.is_empty(), "a platform's id is empty");
        while at_byte < bytes.len() {
            let valid = matches!(bytes[at_byte], b'a'..=b'z' | b'0'..=b'9' | b'-');
            assert!(valid, "a platform's id has only lower-case letters, digits and hyphens");
            at_byte += 1;
        }
        Self { id, name, provider }
    }

    /// The stable id.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// The display name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The provider at a base URL.
    ///
    /// # Errors
    ///
    /// [`BaseUrlError::OtherPlatform`] if the URL cannot belong to this platform.
    pub fn provider(&self, base_url: BaseUrl) -> Result<Arc<dyn OAuthProvider>, BaseUrlError> {
        (self.provider)(base_url)
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
