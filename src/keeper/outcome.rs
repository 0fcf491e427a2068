use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, KeeperError};
use crate::scope::Scopes;
use crate::token::AccessToken;

/// What became of a connection's access token when somebody asked for it.
///
/// ```
/// use std::time::Duration;
/// use codehost_oauth::keeper::{LoginReason, Outcome};
///
/// assert!(Outcome::NeedsLogin(LoginReason::Refused).into_token().unwrap_err().needs_login());
/// let outage = Outcome::Retry { after: Duration::from_secs(30), cause: None };
/// assert!(outage.into_token().unwrap_err().is_transient());
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// This node obtained new tokens and stored them.
    Renewed(AccessToken),
    /// Another node did, or a new login; these are theirs.
    RenewedElsewhere(AccessToken),
    /// The stored access token is good for a while yet: not due, or due while a renewal is not possible at the moment.
    StillValid(AccessToken),
    /// Only a new login by the person helps.
    NeedsLogin(LoginReason),
    /// Not now; the stored tokens are kept.
    Retry {
        /// How long to wait, at most 15 minutes.
        after: Duration,
        /// What went wrong, if something did: an outage of the code host, for example.
        cause: Option<Arc<Error>>,
    },
}

impl Outcome {
    /// The access token, if there is one.
    ///
    /// # Errors
    ///
    /// [`KeeperError::NeedsLogin`] or [`KeeperError::Retry`].
    pub fn into_token(self) -> Result<AccessToken, KeeperError> {
        match self {
            Self::Renewed(token) | Self::RenewedElsewhere(token) | Self::StillValid(token) => Ok(token),
            Self::NeedsLogin(reason) => Err(KeeperError::NeedsLogin(reason)),
            Self::Retry { after, cause } => Err(KeeperError::Retry { after, cause }),
        }
    }

    pub(super) fn duplicate(&self) -> Self {
        match self {
            Self::Renewed(token) => Self::Renewed(token.duplicate()),
            Self::RenewedElsewhere(token) => Self::RenewedElsewhere(token.duplicate()),
            Self::StillValid(token) => Self::StillValid(token.duplicate()),
            Self::NeedsLogin(reason) => Self::NeedsLogin(reason.clone()),
            Self::Retry { after, cause } => Self::Retry { after: *after, cause: cause.clone() },
        }
    }
}

/// Why only a new login helps.
///
/// ```
/// use codehost_oauth::keeper::LoginReason;
///
/// assert_eq!(LoginReason::AnswerLost.code(), "refresh_answer_lost");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginReason {
    /// Nothing is stored for this connection.
    NotConnected,
    /// The access token has expired, and the platform gave no refresh token.
    NoRefreshToken,
    /// The platform does not accept the refresh token any more: revoked, or expired.
    Refused,
    /// The same, after an earlier refresh whose answer never came or was never stored: a crash or a broken connection
    /// at the wrong moment. The platform had most likely spent the token.
    AnswerLost,
    /// A refresh gave tokens of another person. They were not used.
    SubjectChanged,
    /// The integration asks for more scopes than it did when the user logged in, so calls that need them would be refused.
    /// The stored tokens are kept, and used again if the integration asks for less.
    ScopesMissing {
        /// The scopes that were never asked for and never granted.
        scopes: Scopes,
    },
}

impl LoginReason {
    /// A stable name for the reason, `snake_case`: for logs, metrics and tests.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotConnected => "not_connected",
            Self::NoRefreshToken => "no_refresh_token",
            Self::Refused => "refresh_rejected",
            Self::AnswerLost => "refresh_answer_lost",
            Self::SubjectChanged => "refresh_subject_changed",
            Self::ScopesMissing { .. } => "scopes_missing",
        }
    }

    /// The reason as it is stored; `None` for what is never stored.
    pub(super) fn from_code(code: &str) -> Option<Self> {
        [Self::Refused, Self::AnswerLost, Self::SubjectChanged].into_iter().find(|reason| reason.code() == code)
    }
}

impl fmt::Display for LoginReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotConnected => "nothing is stored for this connection",
            Self::NoRefreshToken => "the access token has expired and there is no refresh token",
            Self::Refused => "the code host does not accept the refresh token any more",
            Self::AnswerLost => "the answer to an earlier refresh was lost",
            Self::SubjectChanged => "a refresh gave tokens of another person",
            Self::ScopesMissing { scopes } => {
                return write!(f, "the integration asks for scopes that this connection lacks: {scopes}");
            }
        })
    }
}

/// What a call with an access token can end with; see [`TokenKeeper::with_token`](super::TokenKeeper::with_token).
///
/// ```
/// use codehost_oauth::{error::Error, keeper::CallError};
///
/// # let transport = codehost_oauth::error::TransportError::TimedOut;
/// let error: CallError<Error> = Error::from(transport).into();
/// assert!(matches!(error, CallError::Failed(_)));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError<E> {
    /// The API answered 401: it does not accept the access token.
    #[error("the code host does not accept the access token")]
    Unauthorized,
    /// The call failed in another way.
    #[error("{0}")]
    Failed(E),
    /// There is no access token to call with.
    #[error("{0}")]
    Keeper(KeeperError),
}

/// Lets a call of [`Integration`](crate::Integration) end with `?`.
impl From<Error> for CallError<Error> {
    fn from(error: Error) -> Self {
        use crate::error::ApiError;
        match error {
            Error::Api { cause: ApiError::TokenExpired | ApiError::TokenRevoked | ApiError::TokenRejected, .. } => {
                Self::Unauthorized
            }
            error => Self::Failed(error),
        }
    }
}
