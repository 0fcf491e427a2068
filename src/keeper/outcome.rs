use std::sync::Arc;
use std::time::Duration;

use super::error::KeeperError;
use super::login_reason::LoginReason;
use crate::error::Error;
use crate::values::token::AccessToken;

/// How a caller got a connection's access token, or why it did not.
///
/// ```
/// use std::time::Duration;
/// use codehost_oauth::{keeper::LoginReason, testing::Outcome};
///
/// assert!(Outcome::NeedsLogin(LoginReason::RefreshTokenRejected).into_token().unwrap_err().advice().needs_login);
/// let outage = Outcome::Retry { after: Duration::from_secs(30), cause: None };
/// assert!(outage.into_token().unwrap_err().advice().is_transient);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// This node obtained new tokens and stored them.
    Renewed(AccessToken),
    /// The tokens of another node's refresh, or of a new login.
    RenewedElsewhere(AccessToken),
    /// The stored access token is still valid: it is not due for renewal, or a renewal is not possible at the moment.
    StillValid(AccessToken),
    /// Only a new login by the user helps.
    NeedsLogin(LoginReason),
    /// A renewal is not possible at the moment. The stored tokens are kept.
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

/// The outcome during a pause. It is an error if an administrator can do something about the cause.
pub(super) fn retry_later(after: Duration, cause: Option<Arc<Error>>) -> Result<Outcome, KeeperError> {
    match cause {
        Some(cause) if is_refusal(&cause) => Err(KeeperError::Refused { after, cause }),
        cause => Ok(Outcome::Retry { after, cause }),
    }
}

fn is_refusal(error: &Error) -> bool {
    match error {
        Error::Token { response, .. } => !response.status().is_server_error(),
        // After a 401, new tokens are not known everywhere yet.
        Error::Account { .. } | Error::Api { .. } => !error.is_unauthorized(),
        _ => false,
    }
}

/// Another task or node is refreshing.
pub(super) fn busy() -> Outcome {
    Outcome::Retry { after: BUSY_DELAY, cause: None }
}

pub(super) const BUSY_DELAY: Duration = Duration::from_secs(1);
