use std::fmt;

use crate::values::scope::Scopes;

/// Why the user must log in again.
///
/// ```
/// use codehost_oauth::keeper::LoginReason;
///
/// assert_eq!(LoginReason::ResponseLost.code(), "refresh_response_lost");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginReason {
    /// Nothing is stored for this connection.
    NotConnected,
    /// The access token has expired or was revoked, and the platform gave no refresh token.
    NoRefreshToken,
    /// The platform no longer accepts the refresh token: it was revoked, or has expired.
    RefreshTokenRejected,
    /// The platform no longer accepts the refresh token, and the response to an earlier refresh was lost: after a crash
    /// or a broken connection. Most likely that refresh used up the token.
    ResponseLost,
    /// A refresh gave tokens of another user. They are not used.
    SubjectChanged,
    /// The integration requests more scopes than it did when the user logged in. API calls that need them would be
    /// refused. The stored tokens are kept, and used again if the integration no longer requests these scopes.
    ScopesMissing {
        /// The scopes that were neither requested nor granted.
        scopes: Scopes,
    },
}

impl LoginReason {
    /// A stable name for the reason, `snake_case`: for logs, metrics and tests.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotConnected => "not_connected",
            Self::NoRefreshToken => "no_refresh_token",
            Self::RefreshTokenRejected => "refresh_rejected",
            Self::ResponseLost => "refresh_response_lost",
            Self::SubjectChanged => "refresh_subject_changed",
            Self::ScopesMissing { .. } => "scopes_missing",
        }
    }

    /// The reason with this code; `None` for reasons that are never stored.
    pub(super) fn from_code(code: &str) -> Option<Self> {
        [Self::RefreshTokenRejected, Self::ResponseLost, Self::SubjectChanged]
            .into_iter()
            .find(|reason| reason.code() == code)
    }
}

impl fmt::Display for LoginReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotConnected => "nothing is stored for this connection",
            Self::NoRefreshToken => "the access token is no longer valid, and there is no refresh token",
            Self::RefreshTokenRejected => "the code host no longer accepts the refresh token",
            Self::ResponseLost => "the response to an earlier refresh was lost",
            Self::SubjectChanged => "a refresh gave tokens of another user",
            Self::ScopesMissing { scopes } => {
                return write!(f, "the integration requests scopes that this connection does not have: {scopes}");
            }
        })
    }
}
