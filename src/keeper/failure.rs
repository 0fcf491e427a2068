//! The meaning of a failed refresh.

use std::sync::Arc;

use crate::error::{Error, ResponseError, TokenError};

/// Why a refresh gave no new tokens.
pub(super) struct Failure {
    pub(super) error: Arc<Error>,
    /// The code host has certainly not used up the refresh token.
    pub(super) is_token_unused: bool,
}

impl Failure {
    pub(super) fn of_refresh(error: Error) -> Self {
        let is_token_unused = match &error {
            Error::Token { .. } | Error::Config(_) => true,
            Error::Response { cause, .. } => matches!(cause, ResponseError::RateLimited { .. }),
            _ => false,
        };
        Self { error: Arc::new(error), is_token_unused }
    }
}

/// Whether the code host rejects the refresh token. The same error with another status, for example on a proxy's error page, counts
/// as an outage.
pub(super) fn is_refresh_token_rejected(error: &Error) -> bool {
    matches!(error, Error::Token { cause: TokenError::RefreshRejected, response } if response.has_status_of_refusal())
}

/// Whether a response is not about the tokens: 429, 5xx, maintenance. Requests without a response are counted elsewhere, by the
/// client's breaker.
pub(super) fn is_outage(error: &Error) -> bool {
    matches!(error, Error::Response { cause, .. } if cause.advice().is_transient)
}

/// Whether the code host asks this client to wait, whatever connection it asks for.
pub(super) fn is_told_to_wait(outage: &Error) -> bool {
    outage.advice().retry_after.is_some()
        || matches!(outage, Error::Response { cause: ResponseError::RateLimited { .. } | ResponseError::ReadOnly, .. })
}

/// Turns a refusal that can be about the refresh token or about the client into one for an administrator.
pub(super) fn ambiguous(refusal: Error) -> Error {
    match refusal {
        Error::Token { response, .. } => Error::Token { cause: TokenError::Refused, response },
        error => error,
    }
}
