use serde::{Deserialize, Serialize};

use crate::error::ConfigError;

/// What a login is for. It is fixed when the login begins and compared when it comes back.
///
/// A host that lets a signed-in person connect a second account must not take the one for the other: whoever could
/// finish a connection as a login, or finish it as somebody else, would have an account that is not theirs.
///
/// Source: draft-ietf-oauth-security-topics-update section 2.3 (the same user finishes what they began).
///
/// ```
/// use codehost_oauth::Purpose;
///
/// let connect = Purpose::connect("user-7")?;
/// assert_eq!(connect.user_id(), Some("user-7"));
/// assert_ne!(connect, Purpose::LogIn);
/// // An empty id would be everybody's.
/// assert!(Purpose::connect("").is_err());
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub enum Purpose {
    /// Whoever comes back is logged in.
    #[default]
    LogIn,
    /// Whoever comes back is connected to an account of the host's own.
    #[non_exhaustive]
    Connect {
        /// The host's own id of the person who is signed in.
        user_id: Box<str>,
    },
}

impl Purpose {
    /// Connecting an account to the host's user `user_id`, who is signed in.
    ///
    /// # Errors
    ///
    /// [`ConfigError::UserId`] if the id is empty, longer than 255 bytes, or has control characters.
    pub fn connect(user_id: &str) -> Result<Self, ConfigError> {
        let valid = (1..=MAX_USER_ID).contains(&user_id.len()) && !user_id.chars().any(char::is_control);
        if valid { Ok(Self::Connect { user_id: user_id.into() }) } else { Err(ConfigError::UserId) }
    }

    /// The host's user that an account is to be connected to; `None` for a login.
    pub fn user_id(&self) -> Option<&str> {
        match self {
            Self::LogIn => None,
            Self::Connect { user_id } => Some(user_id),
        }
    }
}

/// `log_in` or `connect:USER_ID`: not an `Option`, which serde would take for a login where it is missing.
impl From<Purpose> for String {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::LogIn => LOG_IN.to_owned(),
            Purpose::Connect { user_id } => format!("{CONNECT}{user_id}"),
        }
    }
}

impl TryFrom<String> for Purpose {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.strip_prefix(CONNECT) {
            Some(user_id) => Self::connect(user_id),
            None if text == LOG_IN => Ok(Self::LogIn),
            None => Err(ConfigError::UserId),
        }
    }
}

const MAX_USER_ID: usize = 255;
const LOG_IN: &str = "log_in";
const CONNECT: &str = "connect:";
