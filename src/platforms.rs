use crate::error::ConfigError;
use crate::provider::Platform;
use crate::{bitbucket, gitlab};

/// The built-in platforms: the one place that lists them.
const BUILT_IN: [Platform; 2] = [bitbucket::PLATFORM, gitlab::PLATFORM];

impl Platform {
    /// The built-in platforms, for a form's select box.
    ///
    /// ```
    /// use codehost_oauth::Platform;
    ///
    /// let ids: Vec<_> = Platform::built_in().iter().map(Platform::id).collect();
    /// assert_eq!(ids, ["bitbucket-cloud", "gitlab"]);
    /// ```
    pub fn built_in() -> &'static [Self] {
        &BUILT_IN
    }

    /// The built-in platform with this id.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Platform`] if there is none.
    pub fn find(id: &str) -> Result<Self, ConfigError> {
        BUILT_IN.into_iter().find(|platform| platform.id() == id).ok_or(ConfigError::Platform)
    }
}
