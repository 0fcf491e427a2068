use std::fmt;

use crate::values::scope::Scopes;

/// Why only a new login helps.
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
    /// The access token has expired, and the platform gave no refresh token.
    NoRefreshToken,
    /// The platform does not accept the refresh token any more: revoked, or expired.
    Refused,
    /// The same, after an earlier refresh whose response never came or was never stored: a crash or a broken connection
    /// at the wrong moment. The platform had most likely spent the token.
    ResponseLost,
    /// A refresh gave tokens of another user. They were not used.
    SubjectChanged,
    /// The integration asks for more scopes than it did when the user logged in, so calls that need them would be refused.
    /// The stored tokens are kept, and used again if the integration asks for less.
    ScopesMissing {
        /// The scopes that were never asked for and never granted.
        scopes: Scopes,
    },
}

impl LoginReason {
    /// A stable name for the reason, `snake_case`: for logs, metrics and tests.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotConnected => "not_connected",
            Self::NoRefreshToken => "no_refresh_token",
            Self::Refused => "refresh_rejected",
            Self::ResponseLost => "refresh_response_lost",
            Self::SubjectChanged => "refresh_subject_changed",
            Self::ScopesMissing { .. } => "scopes_missing",
        }
    }

    /// The reason as it is stored; `None` for what is never stored.
    pub(super) fn from_code(code: &str) -> Option<Self> {
        [Self::Refused, Self::ResponseLost, Self::SubjectChanged].into_iter().find(|reason| reason.code() == code)
    }
}

impl fmt::Display for LoginReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotConnected => "nothing is stored for this connection",
            Self::NoRefreshToken => "the access token has expired and there is no refresh token",
            Self::Refused => "the code host does not accept the refresh token any more",
            Self::ResponseLost => "the answer to an earlier refresh was lost",
            Self::SubjectChanged => "a refresh gave tokens of another person",
            Self::ScopesMissing { scopes } => {
                return write!(f, "the integration asks for scopes that this connection lacks: {scopes}");
            }
        })
    }
}
