//! The built-in platforms, each in its own folder.

mod address;
pub mod bitbucket_cloud;
pub mod bitbucket_data_center;
pub mod forgejo;
pub mod github;
pub mod gitlab;
mod id;
mod recognize;

use crate::error::ConfigError;
use crate::provider::platform::Platform;

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
