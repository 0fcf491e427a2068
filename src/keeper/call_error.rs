use super::error::KeeperError;
use crate::error::{Advice, ApiError, Error};

/// Why an API call with an access token failed; see [`TokenKeeper::with_token`](super::TokenKeeper::with_token).
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
    /// The API responded with 401: it does not accept the access token.
    #[error("the code host does not accept the access token")]
    Unauthorized,
    /// The call failed in another way.
    #[error("{0}")]
    Failed(E),
    /// The keeper has no valid access token.
    #[error("{0}")]
    Keeper(KeeperError),
}

impl CallError<Error> {
    /// A stable name for the cause, `snake_case`: for logs, metrics and tests.
    pub fn code(&self) -> &'static str {
        self.advice().code
    }

    /// Who must act, what they must do, and what may be shown to whom.
    ///
    /// ```
    /// use codehost_oauth::{error::Error, keeper::CallError};
    ///
    /// let after_a_refresh = CallError::<Error>::Unauthorized;
    /// assert_eq!(after_a_refresh.code(), "token_rejected");
    /// assert!(after_a_refresh.advice().needs_login);
    /// ```
    pub fn advice(&self) -> Advice {
        match self {
            Self::Unauthorized => ApiError::TokenRejected.advice(),
            Self::Failed(error) => error.advice(),
            Self::Keeper(error) => error.advice(),
        }
    }
}

/// So that a call of [`Integration`](crate::Integration) can be followed by `?`.
impl From<Error> for CallError<Error> {
    fn from(error: Error) -> Self {
        if error.is_unauthorized() { Self::Unauthorized } else { Self::Failed(error) }
    }
}
