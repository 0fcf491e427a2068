//! The built-in platforms, each in its own folder.

mod address;
pub mod bitbucket_cloud;
pub mod bitbucket_data_center;
pub mod forgejo;
pub mod github;
pub mod gitlab;
mod recognize;
mod refusal;

use std::sync::Arc;

use crate::error::ConfigError;
use crate::provider::oauth_provider::OAuthProvider;
use crate::provider::platform::Platform;
use crate::values::base_url::BaseUrl;

/// The only list of the built-in platforms.
const BUILT_IN: [Platform; 5] =
    [bitbucket_cloud::PLATFORM, bitbucket_data_center::PLATFORM, forgejo::PLATFORM, github::PLATFORM, gitlab::PLATFORM];

impl Platform {
    /// The built-in platforms, for a form's select box.
    ///
    /// ```
    /// use codehost_oauth::Platform;
    ///
    /// let ids: Vec<_> = Platform::all().iter().map(Platform::id).collect();
    /// assert_eq!(ids, ["bitbucket-cloud", "bitbucket-data-center", "forgejo", "github", "gitlab"]);
    /// ```
    pub fn all() -> &'static [Self] {
        &BUILT_IN
    }

    /// The built-in platform with this id.
    ///
    /// ```
    /// use codehost_oauth::Platform;
    ///
    /// let error = Platform::find("sourcehut").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the platform must be one of bitbucket-cloud, bitbucket-data-center, forgejo, github, gitlab"
    /// );
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::Platform`] if there is none.
    pub fn find(id: &str) -> Result<Self, ConfigError> {
        find_in(&BUILT_IN, id)
    }
}

/// The platform with this id among `platforms`.
pub(crate) fn find_in(platforms: &[Platform], id: &str) -> Result<Platform, ConfigError> {
    let known = || platforms.iter().map(Platform::id).collect::<Vec<_>>().join(", ");
    let found = platforms.iter().find(|platform| platform.id() == id).copied();
    found.ok_or_else(|| ConfigError::Platform { known: known() })
}

/// The provider of a platform, which gets the API URL if the app has set one.
fn at_api_url<P: OAuthProvider + 'static>(
    provider: P,
    api_url: Option<BaseUrl>,
    with_api_url: fn(P, BaseUrl) -> P,
) -> Arc<dyn OAuthProvider> {
    Arc::new(match api_url {
        Some(api_url) => with_api_url(provider, api_url),
        None => provider,
    })
}

/// The id of a user or a group, if a platform can have it: a positive number that fits into the `i64` of its database.
fn database_id(id: u64) -> Option<u64> {
    i64::try_from(id).is_ok_and(|id| id > 0).then_some(id)
}
