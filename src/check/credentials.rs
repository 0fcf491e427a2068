use super::Finding;
use crate::error::{Answer, Audience, Error, TokenError};

/// What the answer to a made-up code says about the client id and secret: a platform looks at them before it looks at
/// the code.
///
/// `others_prove`: whether any other OAuth error is a proof that the credentials were accepted, since the platform has
/// one error of its own for those that are not. `rejected`: what that error can mean, as a sentence.
pub(crate) fn credentials(answer: Result<(), Error>, others_prove: bool, rejected: &'static str) -> Vec<Finding> {
    let accepted = Finding::ok("credentials", "The client id and secret are accepted.");
    let error = match answer {
        Ok(()) => {
            let message = "The token endpoint gave tokens for a code that was made up for this check.";
            let fix = "Check that the base URL leads to the real code host.";
            return vec![Finding::problem("code_not_checked", message).fix(Audience::Administrator, fix)];
        }
        Err(error) => error,
    };
    match &error {
        Error::Token { cause: TokenError::CodeRejected, .. } => vec![accepted],
        Error::Token { cause: TokenError::ClientRejected { .. }, .. } => {
            vec![Finding::from_error(&error).saying(rejected)]
        }
        Error::Token { cause: TokenError::CallbackUrlRejected { .. } | TokenError::GrantNotAllowed, .. } => {
            vec![accepted, Finding::from_error(&error)]
        }
        Error::Token { .. } if others_prove && is_about_the_request(&error) => vec![accepted],
        Error::Token { .. } | Error::Api { .. } => vec![
            Finding::unknown("credentials_unclear", "The answer does not tell whether the credentials are right.")
                .fix(Audience::CodeHost, error.hint()),
        ],
        _ => vec![Finding::from_error(&error)],
    }
}

/// Whether the answer to a made-up code proves that the platform accepts the client, as a provider's
/// [`accepts_client`](crate::OAuthProvider::accepts_client) has to say; `others_prove` as for [`credentials`].
pub(crate) fn acceptance(answer: Result<(), Error>, others_prove: bool) -> Result<bool, Error> {
    match answer {
        Ok(()) => Ok(true),
        Err(Error::Token {
            cause: TokenError::CodeRejected | TokenError::CallbackUrlRejected { .. } | TokenError::GrantNotAllowed,
            answer,
        }) if is_refusal(&answer) => Ok(true),
        Err(error @ Error::Token { cause: TokenError::ClientRejected { .. }, .. }) => Err(error),
        Err(error) if others_prove && is_about_the_request(&error) => Ok(true),
        Err(error) => Err(error),
    }
}

/// An OAuth error about what was asked, and not one that says that it was not looked at (RFC 6749 sections 4.1.2.1 and
/// 5.2, RFC 8628 section 3.5).
fn is_about_the_request(error: &Error) -> bool {
    const NOT_NOW: [&str; 3] = ["server_error", "temporarily_unavailable", "slow_down"];
    match error {
        Error::Token { answer, .. } => {
            is_refusal(answer) && !answer.error().is_some_and(|error| NOT_NOW.contains(&error.sanitized()))
        }
        _ => false,
    }
}

/// As the standard has a refusal said. The same words with another status are from a proxy, or an outage.
fn is_refusal(answer: &Answer) -> bool {
    matches!(answer.status().as_u16(), 200 | 400 | 401)
}

/// What a refusal of the client means at a platform that says it of nothing else.
pub(crate) const WRONG_CREDENTIALS: &str =
    "The client id or the secret is wrong; the code host does not say which of them.";
