use super::Finding;
use crate::error::{Audience, Error, TokenError};

/// What the answer to a made-up code says about the client id and secret: a platform looks at them before it looks at
/// the code.
///
/// `others_prove`: whether any other OAuth error is a proof that the credentials were accepted, since the platform has
/// one error of its own for those that are not.
pub(crate) fn credentials(answer: Result<(), Error>, others_prove: bool) -> Vec<Finding> {
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
            let message = "The client id or the secret is wrong; the code host does not say which of them.";
            vec![Finding::from_error(&error).saying(message)]
        }
        Error::Token { cause: TokenError::CallbackUrlRejected { .. } | TokenError::GrantNotAllowed, .. } => {
            vec![accepted, Finding::from_error(&error)]
        }
        Error::Token { .. } if others_prove => vec![accepted],
        Error::Token { .. } | Error::Api { .. } => vec![
            Finding::unknown("credentials_unclear", "The answer does not tell whether the credentials are right.")
                .fix(Audience::CodeHost, error.hint()),
        ],
        _ => vec![Finding::from_error(&error)],
    }
}
