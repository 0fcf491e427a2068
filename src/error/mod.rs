//! What can go wrong, who must act, and the fix.
//!
//! There is one enum for each phase, so that a host can match on what it cares about. All of them, and [`Error`] which
//! holds any of them, answer the same seven questions: [`code`](Error::code), [`audience`](Error::audience),
//! [`hint`](Error::hint), [`public_message`](Error::public_message), [`is_transient`](Error::is_transient),
//! [`needs_login`](Error::needs_login) and [`retry_after`](Error::retry_after).
//!
//! No `Debug`, `Display` or `source()` of these types holds a token, code, secret, state, verifier or any text that a
//! peer sent, with one exception: a redirect names scheme, host and port of its target. What a peer said is at
//! [`Answer`], as [`UntrustedText`].

mod advice;
mod answer;
mod config;
#[cfg(feature = "seal")]
mod keeper;
mod login;
mod platform;
#[cfg(feature = "seal")]
mod seal;
mod transport;

pub use self::advice::Audience;
pub(crate) use self::advice::{Advice, MAX_RETRY_AFTER, advised};
pub(crate) use self::answer::is_invisible;
pub use self::answer::{Answer, UntrustedText};
pub use self::config::{BaseUrlError, ConfigError};
#[cfg(feature = "seal")]
pub use self::keeper::{KeeperError, StoreError};
pub use self::login::{CallbackError, VerifyError};
pub use self::platform::{AccountError, ApiError, TokenError};
#[cfg(feature = "seal")]
pub use self::seal::SealError;
pub use self::transport::{AnswerError, TransportError};

/// Any failure between a form and a finished login.
///
/// ```
/// use codehost_oauth::error::{Audience, Error, TransportError};
///
/// let error = Error::from(TransportError::TimedOut);
/// assert_eq!(error.code(), "timed_out");
/// assert_eq!(error.audience(), Audience::CodeHost);
/// assert!(error.is_transient() && !error.needs_login());
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A base URL that is none, or that belongs to something else.
    #[error(transparent)]
    BaseUrl(#[from] BaseUrlError),
    /// A value that the host or its administrator set.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The request that came to the callback URL.
    #[error(transparent)]
    Callback(#[from] CallbackError),
    /// The callback against the pending login.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// No answer came.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// An answer came that is not one of this platform's.
    #[error("{cause}")]
    Answer {
        /// What is wrong with it.
        cause: AnswerError,
        /// What came.
        answer: Box<Answer>,
    },
    /// The token endpoint refused.
    #[error("{cause}")]
    Token {
        /// Why.
        cause: TokenError,
        /// What it said.
        answer: Box<Answer>,
    },
    /// The API refused the token.
    #[error("{cause}")]
    Api {
        /// Why.
        cause: ApiError,
        /// What it said.
        answer: Box<Answer>,
    },
    /// The person's account cannot log in.
    #[error("{cause}")]
    Account {
        /// Why.
        cause: AccountError,
        /// What the platform said, if it was the platform that refused.
        answer: Option<Box<Answer>>,
    },
}

impl Error {
    /// What the code host answered, where it answered at all.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Answer { answer, .. } | Self::Token { answer, .. } | Self::Api { answer, .. } => Some(answer),
            Self::Account { answer, .. } => answer.as_deref(),
            Self::BaseUrl(_) | Self::Config(_) | Self::Callback(_) | Self::Verify(_) | Self::Transport(_) => None,
        }
    }

    /// Whether the API answered 401: it does not accept the access token, or does not know it yet.
    pub(crate) fn is_unauthorized(&self) -> bool {
        let refused = |cause: &ApiError| {
            matches!(cause, ApiError::TokenExpired | ApiError::TokenRevoked | ApiError::TokenRejected)
        };
        matches!(self, Self::Api { cause, .. } if refused(cause))
    }

    pub(crate) fn advice(&self) -> Advice {
        match self {
            Self::BaseUrl(cause) => cause.advice(),
            Self::Config(cause) => cause.advice(),
            Self::Callback(cause) => cause.advice(),
            Self::Verify(cause) => cause.advice(),
            Self::Transport(cause) => cause.advice(),
            Self::Answer { cause, .. } => cause.advice(),
            Self::Token { cause, .. } => cause.advice(),
            Self::Api { cause, .. } => cause.advice(),
            Self::Account { cause, .. } => cause.advice(),
        }
    }
}

impl From<AccountError> for Error {
    fn from(cause: AccountError) -> Self {
        Self::Account { cause, answer: None }
    }
}

advised!(Error);
