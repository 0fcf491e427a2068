use super::Finding;
use crate::error::{Audience, Error, TokenError};

/// Turns the response to a made-up code into findings about the client id and secret: a platform checks these before the
/// code.
///
/// `others`: what an OAuth error proves that is about something else. `rejected`: the message for wrong credentials.
///
/// ```
/// # async fn example(provider: &dyn codehost_oauth::OAuthProvider) {
/// use codehost_oauth::check::{OtherErrors, credential_findings};
/// use codehost_oauth::error::{Error, TransportError};
///
/// // In `OAuthProvider::check`: let response = token_endpoint.probe(http, client, &request.callback_url).await;
/// let response = Err(Error::from(TransportError::TimedOut));
/// let findings = credential_findings(response, OtherErrors::ProveNothing, "The Client ID or the Secret is wrong.");
/// assert_eq!(findings[0].code, "timed_out");
/// # }
/// ```
pub fn credential_findings(response: Result<(), Error>, others: OtherErrors, rejected: &'static str) -> Vec<Finding> {
    let accepted = Finding::ok("credentials", "ID and secret are accepted.");
    let error = match response {
        Ok(()) => {
            let message = "The token endpoint gave tokens for a code that was made up for this check.";
            let fix = "Check that the base URL is that of the real code host.";
            return vec![Finding::problem("code_not_checked", message).fix(Audience::Administrator, fix)];
        }
        Err(error) => error,
    };
    match &error {
        Error::Token { cause: TokenError::CodeRejected, .. } => vec![accepted],
        Error::Token { cause: TokenError::ClientRejected { .. }, .. } => {
            vec![Finding::from_error(&error).with_message(rejected)]
        }
        Error::Token { cause: TokenError::CallbackUrlRejected { .. } | TokenError::GrantNotAllowed, .. } => {
            vec![accepted, Finding::from_error(&error)]
        }
        Error::Token { .. } if others == OtherErrors::ProveAccepted && is_processed(&error) => vec![accepted],
        Error::Token { .. } | Error::Api { .. } => vec![
            Finding::unknown("credentials_unclear", "The response does not show whether ID and secret are correct.")
                .fix(error.advice().audience, error.advice().hint),
        ],
        _ => vec![Finding::from_error(&error)],
    }
}

/// What an OAuth error at the token endpoint proves about client id and secret if it is about something else, such as the scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtherErrors {
    /// That they are accepted: the platform checks them first, and has an error of its own for wrong ones.
    ProveAccepted,
    /// Nothing.
    ProveNothing,
}

/// Whether the response to a made-up code proves that the platform accepts the client: the result of
/// [`accepts_client`](crate::OAuthProvider::accepts_client). `others` is as for [`credential_findings`], but here only errors
/// about the request prove it, because a wrong result would make users log in again.
///
/// # Errors
///
/// [`TokenError::ClientRejected`] if the platform refuses the client, other errors if the response proves nothing.
pub fn accepts_client(response: Result<(), Error>, others: OtherErrors) -> Result<bool, Error> {
    match response {
        // No code host gives tokens for a made-up code, so another server has responded.
        Ok(()) => Ok(false),
        Err(Error::Token {
            cause: TokenError::CodeRejected | TokenError::CallbackUrlRejected { .. } | TokenError::GrantNotAllowed,
            response,
        }) if response.has_status_of_refusal() => Ok(true),
        Err(error @ Error::Token { cause: TokenError::ClientRejected { .. }, .. }) => Err(error),
        Err(error) if others == OtherErrors::ProveAccepted && is_about_the_request(&error) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Any OAuth error except those for a request that was not processed (RFC 6749 section 4.1.2.1, RFC 8628 section 3.5).
fn is_processed(error: &Error) -> bool {
    const NOT_PROCESSED: [&str; 3] = ["server_error", "temporarily_unavailable", "slow_down"];
    has_code(error, |code| !NOT_PROCESSED.contains(&code))
}

/// An OAuth error about the request itself (RFC 6749 section 5.2). No other error may log a user out.
fn is_about_the_request(error: &Error) -> bool {
    const ABOUT_THE_REQUEST: [&str; 4] =
        ["invalid_request", "invalid_grant", "invalid_scope", "unsupported_grant_type"];
    has_code(error, |code| ABOUT_THE_REQUEST.contains(&code))
}

fn has_code(error: &Error, is_wanted: impl Fn(&str) -> bool) -> bool {
    match error {
        Error::Token { response, .. } => {
            response.has_status_of_refusal()
                && is_wanted(response.error().map(|error| error.sanitized()).unwrap_or_default())
        }
        _ => false,
    }
}
