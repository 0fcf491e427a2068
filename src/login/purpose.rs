use serde::{Deserialize, Serialize};

use crate::error::{ConfigError, TextFault};

/// What a login is for. It is fixed when the login begins and compared when it comes back.
///
/// An app that lets a logged-in user connect a second account, or an administrator test a login, must not confuse them: an
/// attacker who could finish a connection or a test as a login, or as another user, would get an account that is not theirs.
///
/// Source: draft-ietf-oauth-security-topics-update section 2.3 (the same user finishes what they began).
///
/// ```
/// use codehost_oauth::Purpose;
///
/// let connect = Purpose::connect("user-7")?;
/// assert_eq!(connect.user_id(), Some("user-7"));
/// assert_ne!(connect, Purpose::LogIn);
/// assert_ne!(connect, Purpose::test("user-7")?);
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
    /// The code host's account is connected to a user of the app, who is logged in.
    #[non_exhaustive]
    Connect {
        /// The app's own id of the user who is logged in.
        user_id: Box<str>,
    },
    /// An administrator of the app, who is logged in, tries whether logins work. Nobody is logged in, and nothing is connected.
    #[non_exhaustive]
    Test {
        /// The app's own id of the administrator.
        user_id: Box<str>,
    },
}

impl Purpose {
    /// Connecting an account to the app's user `user_id`, who is logged in.
    ///
    /// # Errors
    ///
    /// [`ConfigError::UserId`] if the id is empty, longer than 255 bytes, or has control characters.
    pub fn connect(user_id: &str) -> Result<Self, ConfigError> {
        Ok(Self::Connect { user_id: checked(user_id)? })
    }

    /// A test login of the app's user `user_id`, who is logged in.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn test(user_id: &str) -> Result<Self, ConfigError> {
        Ok(Self::Test { user_id: checked(user_id)? })
    }

    /// The app's user who connects an account or tests a login; `None` for a login.
    pub fn user_id(&self) -> Option<&str> {
        match self {
            Self::LogIn => None,
            Self::Connect { user_id } | Self::Test { user_id } => Some(user_id),
        }
    }

    /// Whether both are connections, or both are tests, also for different users.
    pub(super) fn is_same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

fn checked(user_id: &str) -> Result<Box<str>, ConfigError> {
    let fault = TextFault::of(user_id, MAX_USER_ID, |_| true)
        .or_else(|| user_id.contains(char::is_control).then_some(TextFault::Character));
    match fault {
        Some(fault) => Err(ConfigError::UserId(fault)),
        None => Ok(user_id.into()),
    }
}

/// `log_in`, `connect:USER_ID` or `test:USER_ID`. Not an `Option`: serde reads a missing one as `None`, which would be a login.
impl From<Purpose> for String {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::LogIn => LOG_IN.to_owned(),
            Purpose::Connect { user_id } => format!("{CONNECT}{user_id}"),
            Purpose::Test { user_id } => format!("{TEST}{user_id}"),
        }
    }
}

impl TryFrom<String> for Purpose {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if let Some(user_id) = text.strip_prefix(CONNECT) {
            Self::connect(user_id)
        } else if let Some(user_id) = text.strip_prefix(TEST) {
            Self::test(user_id)
        } else if text == LOG_IN {
            Ok(Self::LogIn)
        } else {
            Err(ConfigError::Purpose)
        }
    }
}

const MAX_USER_ID: usize = 255;
const LOG_IN: &str = "log_in";
const CONNECT: &str = "connect:";
const TEST: &str = "test:";
