use std::fmt;
use std::str::FromStr;

use crate::error::ConfigError;
use crate::values::account_key::AccountKey;
use crate::values::integration_id::IntegrationId;

/// The id of a connection: one user's stored tokens at one integration. Its text is that of the account key.
///
/// ```
/// use codehost_oauth::{keeper::ConnectionId, AccountKey};
///
/// let key = AccountKey::new("demo".parse()?, "gitlab", "42");
/// let connection = ConnectionId::from(&key);
/// assert_eq!(connection.as_str(), "gitlab:demo:42");
/// assert_eq!(connection.integration().as_str(), "demo");
/// assert_eq!("gitlab:demo:42".parse::<ConnectionId>()?, connection);
/// assert!("demo".parse::<ConnectionId>().is_err());
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    text: Box<str>,
    integration: IntegrationId,
}

impl ConnectionId {
    /// The text, for a store: `a-z`, `0-9`, `.`, `:` and `-`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The integration of the tokens.
    pub fn integration(&self) -> &IntegrationId {
        &self.integration
    }
}

impl From<&AccountKey> for ConnectionId {
    fn from(key: &AccountKey) -> Self {
        Self { text: key.to_string().into(), integration: key.integration().clone() }
    }
}

impl FromStr for ConnectionId {
    type Err = ConfigError;

    /// Parses an account key's text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::from(&text.parse::<AccountKey>()?))
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionId({})", self.text)
    }
}
