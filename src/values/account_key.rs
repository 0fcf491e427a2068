use std::fmt;

use crate::values::integration_id::IntegrationId;

/// Identifies a user: the integration, and the user's immutable id at the platform. Store users by nothing else.
///
/// A user name or e-mail address can be given up, and then another user can take it. The id is unique only at one code host: if the base
/// URL of an integration leads to another server, user 42 there gets the account of user 42 here. So give another code host
/// another integration id, and keep the id only if the same server has moved.
/// [`Display`](fmt::Display) gives a stable text for a database: lower-case ASCII, so that no collation makes two keys
/// equal, and different for different keys.
///
/// ```
/// use codehost_oauth::AccountKey;
///
/// let key = AccountKey::new("demo".parse()?, "gitlab", "42");
/// assert_eq!(key.to_string(), "gitlab:demo:42");
/// assert_ne!(key, AccountKey::new("other".parse()?, "gitlab", "42"));
/// assert_eq!(AccountKey::new("demo".parse()?, "custom", "aB").to_string(), "custom:demo:a.42");
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountKey {
    platform: &'static str,
    integration: IntegrationId,
    subject: Box<str>,
}

impl AccountKey {
    /// The key of the user whose immutable id at the platform is `subject`.
    pub fn new(integration: IntegrationId, platform_id: &'static str, subject: impl Into<Box<str>>) -> Self {
        Self { platform: platform_id, integration, subject: subject.into() }
    }

    /// The integration that the user logged in through.
    pub fn integration(&self) -> &IntegrationId {
        &self.integration
    }

    /// Whether it is a key of this integration at this platform, with an id that can be stored: 1 to 255 bytes without
    /// control characters.
    pub(crate) fn belongs_to(&self, integration: &IntegrationId, platform_id: &str) -> bool {
        let is_id = (1..=255).contains(&self.subject.len()) && !self.subject.contains(char::is_control);
        self.integration == *integration && self.platform == platform_id && is_id
    }

    /// The user's immutable id at the platform: GitLab's number, Bitbucket's UUID in lower case without braces.
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Display for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.platform, self.integration)?;
        for byte in self.subject.bytes() {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' => write!(f, "{}", char::from(byte))?,
                _ => write!(f, ".{byte:02x}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKey({self})")
    }
}
