//! What a failed refresh means.

use std::sync::Arc;

use crate::error::{Error, ResponseError, TokenError};

/// Why there are no new tokens, and whether the refresh token was surely not spent for it.
pub(super) struct Failure {
    pub(super) error: Arc<Error>,
    pub(super) is_unspent: bool,
}

impl Failure {
    pub(super) fn of_refresh(error: Error) -> Self {
        let is_unspent = match &error {
            Error::Token { .. } | Error::Config(_) => true,
            Error::Response { cause, .. } => matches!(cause, ResponseError::RateLimited { .. }),
            _ => false,
        };
        Self { error: Arc::new(error), is_unspent }
    }
}

/// Whether the code host says that the refresh token is dead, as the standard has it said: with status 400 or 401. The
/// same words from a proxy's error page are an outage.
pub(super) fn is_dead(error: &Error) -> bool {
    match error {
        Error::Token { cause: TokenError::RefreshRejected, response } => {
            matches!(response.status().as_u16(), 400 | 401)
        }
        _ => false,
    }
}

/// The code host as a whole does not answer at the moment, or wants to be left alone: 429, 5xx, maintenance.
pub(super) fn is_outage(error: &Error) -> bool {
    matches!(error, Error::Response { cause, .. } if cause.advice().is_transient)
}

/// A refusal of which nobody can tell whether it is about the token or the client: an administrator must look.
pub(super) fn unclear(refusal: Error) -> Error {
    match refusal {
        Error::Token { response, .. } => Error::Token { cause: TokenError::Refused, response },
        error => error,
    }
}
