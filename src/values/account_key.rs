use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::error::ConfigError;
use crate::values::integration_id::IntegrationId;

/// Identifies a user: the integration, and the user's immutable id at the platform. Store users by nothing else.
///
/// A user name or e-mail address can be given up, and then another user can take it. The id is unique only at one code host: if the base
/// URL of an integration leads to another server, user 42 there gets the account of user 42 here. So give another code host
/// another integration id, and keep the id only if the same server has moved.
/// [`Display`](fmt::Display) gives a stable text for a database: lower-case ASCII, so that no collation makes two keys
/// equal, and different for different keys. [`FromStr`] reads it again.
///
/// ```
/// use codehost_oauth::AccountKey;
///
/// let key = AccountKey::new("demo".parse()?, "gitlab", "42");
/// assert_eq!(key.to_string(), "gitlab:demo:42");
/// assert_eq!("gitlab:demo:42".parse::<AccountKey>()?, key);
/// assert_ne!(key, AccountKey::new("other".parse()?, "gitlab", "42"));
/// assert_eq!(AccountKey::new("demo".parse()?, "custom", "aB").to_string(), "custom:demo:a.42");
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountKey {
    platform: Cow<'static, str>,
    integration: IntegrationId,
    subject: Box<str>,
}

impl AccountKey {
    /// The key of the user whose immutable id at the platform is `subject`.
    pub fn new(integration: IntegrationId, platform_id: &'static str, subject: impl Into<Box<str>>) -> Self {
        Self { platform: Cow::Borrowed(platform_id), integration, subject: subject.into() }
    }

    /// The integration that the user logged in through.
    pub fn integration(&self) -> &IntegrationId {
        &self.integration
    }

    /// The id of the platform, such as `gitlab`.
    pub fn platform_id(&self) -> &str {
        &self.platform
    }

    /// The user's immutable id at the platform: GitLab's number, Bitbucket's UUID in lower case without braces.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether it is a key of this integration at this platform, with an id that can be stored.
    pub(crate) fn belongs_to(&self, integration: &IntegrationId, platform_id: &str) -> bool {
        self.integration == *integration && self.platform == platform_id && is_id(&self.subject)
    }
}

impl FromStr for AccountKey {
    type Err = ConfigError;

    /// Reads a stored key: exactly what [`Display`](fmt::Display) gave.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, ':');
        let (Some(platform), Some(integration), Some(subject)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(ConfigError::AccountKeyText);
        };
        let is_platform_id = |text: &str| {
            let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
            (1..=MAX_PLATFORM_ID).contains(&text.len()) && text.bytes().all(is_allowed)
        };
        let subject = read_subject(subject).filter(|subject| is_id(subject)).ok_or(ConfigError::AccountKeyText)?;
        let integration = integration.parse().map_err(|_| ConfigError::AccountKeyText)?;
        let key = Self { platform: Cow::Owned(platform.to_owned()), integration, subject: subject.into() };
        // One text for each key, or a user could have two accounts.
        if is_platform_id(platform) && key.to_string() == text { Ok(key) } else { Err(ConfigError::AccountKeyText) }
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

/// 1 to 255 bytes without control characters.
fn is_id(subject: &str) -> bool {
    (1..=255).contains(&subject.len()) && !subject.contains(char::is_control)
}

/// The inverse of what `Display` does with a subject; `None` if it is not the text of one.
fn read_subject(text: &str) -> Option<String> {
    let mut parts = text.split('.');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (byte, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(byte, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// More than any platform's id needs.
const MAX_PLATFORM_ID: usize = 63;
