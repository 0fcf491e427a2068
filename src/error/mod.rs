//! What can go wrong, who must act, and the fix.
//!
//! There is one enum for each phase. [`Error`] holds any of them, except [`SealError`], [`StoreError`] and the errors of
//! the keeper. Each has a [`code`](Error::code) and gives [`Advice`]: who must act, what they must do, what anybody may read, and
//! whether it helps to wait or to log in again.
//!
//! No `Debug`, `Display` or `source()` of these types contains a token, code, secret, state, verifier or any text that a
//! server sent, with one exception: a redirect names scheme, host and port of its target. The texts of a server are in
//! [`ResponseSummary`], as [`UntrustedText`].

mod advice;
mod base_url;
mod config;
mod login;
mod platform;
mod proxy;
mod response;
#[cfg(feature = "seal")]
mod seal;
#[cfg(feature = "seal")]
mod store;
mod text_fault;
mod transport;

pub use self::advice::{Advice, Audience};
pub(crate) use self::advice::{MAX_RETRY_AFTER, advised};
pub use self::base_url::BaseUrlError;
pub use self::config::ConfigError;
pub use self::login::{CallbackError, VerifyError};
pub use self::platform::{AccountError, ApiError, TokenError};
pub use self::proxy::ProxyError;
pub use self::response::{ResponseSummary, UntrustedText};
#[cfg(feature = "seal")]
#[cfg_attr(docsrs, doc(cfg(feature = "seal")))]
pub use self::seal::SealError;
#[cfg(feature = "seal")]
#[cfg_attr(docsrs, doc(cfg(feature = "seal")))]
pub use self::store::StoreError;
pub use self::text_fault::TextFault;
pub use self::transport::{ResponseError, TransportError};

/// A failure of the app itself, such as of its database; for the traits that an app implements.
pub type AppError = Box<dyn std::error::Error + Send + Sync>;

/// Any failure, from the settings of an integration to a finished login.
///
/// ```
/// use codehost_oauth::error::{Audience, Error, TransportError};
///
/// let error = Error::from(TransportError::TimedOut);
/// assert_eq!(error.code(), "timed_out");
/// assert_eq!(error.advice().audience, Audience::CodeHost);
/// assert!(error.advice().is_transient);
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A base URL that cannot be used, or that belongs to something else.
    #[error(transparent)]
    BaseUrl(#[from] BaseUrlError),
    /// A value that the app or its administrator set.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A request to the callback URL that is not an authorization response.
    #[error(transparent)]
    Callback(#[from] CallbackError),
    /// A callback that does not finish the pending login.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// No complete response came.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A response that cannot be used.
    #[error("{cause}")]
    Response {
        /// What is wrong with it.
        cause: ResponseError,
        /// The response.
        response: Box<ResponseSummary>,
    },
    /// The token endpoint refused.
    #[error("{cause}")]
    Token {
        /// Why.
        cause: TokenError,
        /// The response.
        response: Box<ResponseSummary>,
    },
    /// The API refused the token.
    #[error("{cause}")]
    Api {
        /// Why.
        cause: ApiError,
        /// The response.
        response: Box<ResponseSummary>,
    },
    /// The user's account cannot log in.
    #[error("{cause}")]
    Account {
        /// Why.
        cause: AccountError,
        /// The response, if the platform refused.
        response: Option<Box<ResponseSummary>>,
    },
}

impl Error {
    /// The code host's response, if it gave one.
    pub fn summary(&self) -> Option<&ResponseSummary> {
        match self {
            Self::Response { response, .. } | Self::Token { response, .. } | Self::Api { response, .. } => {
                Some(response)
            }
            Self::Account { response, .. } => response.as_deref(),
            Self::BaseUrl(_) | Self::Config(_) | Self::Callback(_) | Self::Verify(_) | Self::Transport(_) => None,
        }
    }

    /// The HTTP status for the app's own response about this error: 400 if the user must act, 502 if the operator of the code
    /// host must or it could not be reached, 500 if the administrator or the operator must.
    ///
    /// ```
    /// use codehost_oauth::error::{Error, TransportError, VerifyError};
    ///
    /// assert_eq!(Error::from(VerifyError::Denied).status(), 400);
    /// assert_eq!(Error::from(TransportError::NameNotFound).status(), 502);
    /// ```
    pub fn status(&self) -> u16 {
        if self.is_about_network() {
            return 502;
        }
        match self.advice_row().audience {
            Audience::CodeHost => 502,
            Audience::User => 400,
            Audience::Administrator | Audience::Operator => 500,
        }
    }

    /// Whether the API responded with 401: it does not accept the access token, or does not know it yet.
    pub(crate) fn is_unauthorized(&self) -> bool {
        let refused = |cause: &ApiError| {
            matches!(cause, ApiError::TokenExpired | ApiError::TokenRevoked | ApiError::TokenRejected)
        };
        matches!(self, Self::Api { cause, .. } if refused(cause))
    }

    /// Whether the cause tells about the app's network, so that strangers must not read it.
    pub(crate) fn is_about_network(&self) -> bool {
        matches!(self, Self::Transport(_) | Self::Response { .. })
    }

    /// Details for the operator only: see [`TransportError::operator_note`] and [`VerifyError::operator_note`]. Log them, and
    /// show them to no one else.
    pub fn operator_note(&self) -> Option<String> {
        match self {
            Self::Transport(cause) => cause.operator_note(),
            Self::Verify(cause) => cause.operator_note().map(str::to_owned),
            _ => None,
        }
    }

    pub(crate) fn advice_row(&self) -> Advice {
        match self {
            Self::BaseUrl(cause) => cause.advice_row(),
            Self::Config(cause) => cause.advice_row(),
            Self::Callback(cause) => cause.advice_row(),
            Self::Verify(cause) => cause.advice_row(),
            Self::Transport(cause) => cause.advice_row(),
            Self::Response { cause, .. } => cause.advice_row(),
            Self::Token { cause, .. } => cause.advice_row(),
            Self::Api { cause, .. } => cause.advice_row(),
            Self::Account { cause, .. } => cause.advice_row(),
        }
    }
}

impl From<AccountError> for Error {
    fn from(cause: AccountError) -> Self {
        Self::Account { cause, response: None }
    }
}

advised!(Error);
