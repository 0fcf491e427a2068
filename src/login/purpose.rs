use serde::{Deserialize, Serialize};

use crate::error::{ConfigError, TextFault};

/// What a login is for. It is fixed when the login begins and compared when it comes back.
///
/// An app that lets a signed-in user connect a second account must not confuse the two: an attacker who could finish a
/// connection as a login, or as another user, would get an account that is not theirs.
///
/// Source: draft-ietf-oauth-security-topics-update section 2.3 (the same user finishes what they began).
///
/// ```
/// use codehost_oauth::Purpose;
///
/// let connect = Purpose::connect("user-7")?;
/// assert_eq!(connect.user_id(), Some("user-7"));
/// assert_ne!(connect, Purpose::LogIn);
/// // An empty id would fit every user.
/// assert!(Purpose::connect("").is_err());
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub enum Purpose {
    /// The user of the callback is logged in.
    #[default]
    LogIn,
    /// The code host's account is connected to a user of the app, who is signed in.
    #[non_exhaustive]
    Connect {
        /// The app's own id of the user who is signed in.
        user_id: Box<str>,
    },
}

impl Purpose {
    /// Connecting an account to the app's user `user_id`, who is signed in.
    ///
    /// # Errors
    ///
    /// [`ConfigError::UserId`] if the id is empty, longer than 255 bytes, or has control characters.
    pub fn connect(user_id: &str) -> Result<Self, ConfigError> {
        let fault = TextFault::of(user_id, MAX_USER_ID, |_| true)
            .or_else(|| user_id.contains(char::is_control).then_some(TextFault::Character));
        match fault {
            Some(fault) => Err(ConfigError::UserId(fault)),
            None => Ok(Self::Connect { user_id: user_id.into() }),
        }
    }

    /// The app's user that an account is to be connected to; `None` for a login.
    pub fn user_id(&self) -> Option<&str> {
        match self {
            Self::LogIn => None,
            Self::Connect { user_id } => Some(user_id),
        }
    }
}

/// `log_in` or `connect:USER_ID`. Not an `Option`: serde reads a missing one as `None`, which would be a login.
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
            None => Err(ConfigError::Purpose),
        }
    }
}

const MAX_USER_ID: usize = 255;
const LOG_IN: &str = "log_in";
const CONNECT: &str = "connect:";
