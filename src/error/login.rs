use url::Url;

use super::{Advice, UntrustedText, advised};

/// Why a request to the callback URL is not an authorization response (RFC 6749 section 4.1.2).
///
/// ```
/// use codehost_oauth::{error::CallbackError, Callback};
///
/// let uri = "/oauth/callback/gitlab/demo?state=a&state=b".parse()?;
/// assert!(matches!(Callback::from_uri(&uri).unwrap_err(), CallbackError::Repeated { name: "state" }));
/// # Ok::<(), http::uri::InvalidUri>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackError {
    /// More than 16 KiB.
    #[error("the callback's query is too long")]
    TooLong,
    /// A parameter more than once (RFC 6749 section 3.1).
    #[error("the callback has the parameter `{name}` more than once")]
    Repeated {
        /// The parameter.
        name: &'static str,
    },
    /// Bytes that are not UTF-8, control characters, or a broken percent escape.
    #[error("the callback's query is not valid percent-encoded UTF-8 text")]
    Encoding,
    /// Both `code` and `error`.
    #[error("the callback has both a code and an error")]
    CodeAndError,
    /// `access_token` or `id_token`: a response of the implicit flow, which is never used.
    #[error("the callback contains a token, which this flow never asks for")]
    Implicit,
}

impl CallbackError {
    pub(crate) fn advice_row(&self) -> Advice {
        let code = match self {
            Self::TooLong => "callback_too_long",
            Self::Repeated { .. } => "callback_repeated",
            Self::Encoding => "callback_encoding",
            Self::CodeAndError => "callback_code_and_error",
            Self::Implicit => "callback_implicit",
        };
        Advice::user(code, START_AGAIN)
    }
}

/// Why a callback does not finish the pending login.
///
/// The state is checked first, so nothing else is read from a callback with a wrong one.
///
/// ```
/// use codehost_oauth::error::{Audience, VerifyError};
///
/// assert_eq!(VerifyError::Expired.code(), "login_expired");
/// assert_eq!(VerifyError::ScopeNotEnabled.advice().audience, Audience::Administrator);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// No `state` in the callback.
    #[error("the callback has no state")]
    StateMissing,
    /// No pending login of this browser has this state: it is another browser's, or it was used before.
    #[error("this browser has no pending login with the callback's state")]
    StateUnknown,
    /// A pending login of another integration (RFC 9700 section 4.4, mix-up), or of this one at another base URL.
    #[error("the callback and the pending login belong to different integrations")]
    OtherIntegration,
    /// The right integration at a URL that was not registered.
    #[error("the callback arrived at another URL than the one that was sent to the code host")]
    OtherCallbackUrl,
    /// The pending login of a connection or a test at `finish_login`, or another one at `finish_connect` or `finish_test`.
    #[error("the pending login was begun for another purpose")]
    OtherPurpose,
    /// A connection or a test login that another user of the app has begun.
    #[error("another user is logged in than the one who began it")]
    OtherUser,
    /// Older than one hour.
    #[error("the pending login is older than one hour")]
    Expired,
    /// Begun in the future, by more than half a minute.
    #[error("the pending login was begun in the future; the clocks of the app's nodes differ")]
    Clock,
    /// `iss` names another authorization server (RFC 9207).
    #[error("the callback names another issuer than {expected}")]
    OtherIssuer {
        /// The issuer that this integration expects.
        expected: String,
    },
    /// A claim of the ID token is missing or does not fit this login (OpenID Connect Core section 3.1.3.7). It is found after the
    /// exchange of the code.
    #[error("the ID token's claim {claim} does not fit this login")]
    IdToken {
        /// The claim: `iss`, `aud`, `nonce`, `exp`, `iat` or `sub`; `id_token` if it cannot be read.
        claim: &'static str,
    },
    /// The user pressed "Deny". Not a failure: nothing has to be fixed.
    #[error("the user did not allow the login")]
    Denied,
    /// The OAuth application lacks a scope that was asked for.
    #[error("the OAuth application does not have every scope that was asked for")]
    ScopeNotEnabled,
    /// The user has authorized the OAuth application before, with other scopes, and the code host keeps those.
    #[error("the user's earlier authorization has other scopes")]
    ConsentTooNarrow {
        /// Where the user revokes the authorization.
        where_to: Option<Box<Url>>,
    },
    /// The code host does not accept the callback URL.
    #[error("the callback URL is not that of the OAuth application")]
    CallbackUrlRejected,
    /// The code host has suspended the OAuth application.
    #[error("the code host has suspended the OAuth application")]
    ApplicationSuspended,
    /// The authorization endpoint reported a temporary failure.
    #[error("the code host could not complete the authorization")]
    Unavailable,
    /// Another error of the authorization endpoint (RFC 6749 section 4.1.2.1).
    #[error("the code host refused the authorization request")]
    Refused {
        /// `error`.
        error: UntrustedText,
        /// `error_description`.
        description: Option<UntrustedText>,
    },
    /// Neither a code nor an error.
    #[error("the callback has neither a code nor an error")]
    CodeMissing,
    /// A code that is empty, too long, or has characters that are not allowed in a code.
    #[error("the callback's code is not valid")]
    Code,
}

impl VerifyError {
    /// What to check if this happens to every user. Log it, and show it to the operator only.
    ///
    /// ```
    /// use codehost_oauth::error::VerifyError;
    ///
    /// assert!(VerifyError::StateUnknown.operator_note().is_some_and(|note| note.contains("SameSite=Strict")));
    /// assert_eq!(VerifyError::Denied.operator_note(), None);
    /// ```
    pub fn operator_note(&self) -> Option<&'static str> {
        matches!(self, Self::StateUnknown).then_some(
            "If this happens to everybody, look for: no session layer around the routes; a session cookie with \
             SameSite=Strict (use Lax); a Secure cookie on plain HTTP; a login page that was opened at another host name than \
             the public URL's. If it happens to one user, the callback was probably used already, by a reload",
        )
    }

    pub(crate) fn advice_row(&self) -> Advice {
        match self {
            Self::StateMissing => Advice::user("state_missing", START_AGAIN),
            Self::StateUnknown => Advice::user(
                "state_unknown",
                "Start the login again in this browser. If it keeps happening, allow cookies for this site.",
            ),
            Self::OtherIntegration => Advice::user("other_integration", START_AGAIN),
            Self::OtherCallbackUrl => Advice::operator(
                "other_callback_url",
                "Compare the app's configured public URL with the address in the browser at the callback.",
            ),
            Self::OtherPurpose => Advice::user("other_purpose", START_AGAIN),
            Self::OtherUser => Advice::user("other_user", "Log in as the user who began it."),
            Self::Expired => Advice::user("login_expired", "Start the login again: it took longer than one hour.")
                .public("The login took longer than one hour. Start it again."),
            Self::Clock => Advice::operator("clock", "Synchronize the clocks of the app's nodes."),
            Self::OtherIssuer { .. } => Advice::administrator(
                "other_issuer",
                "Compare the code host's own URL with the base URL. If they differ, enter the code host's own URL as the base URL, or set it as the issuer.",
            ),
            Self::IdToken { claim } => Advice::operator(
                "id_token",
                match *claim {
                    "iss" => "Set the code host's own URL as the issuer.",
                    "exp" | "iat" => "Synchronize the clocks of the code host and of the app's nodes.",
                    _ => "Switch the ID token off: the code host's ID tokens cannot be used.",
                },
            ),
            Self::Denied => Advice::user("denied", "Start the login again, and allow it.")
                .public("You did not allow the login. Start it again to allow it."),
            Self::ScopeNotEnabled => Advice::scope_not_enabled(),
            Self::ConsentTooNarrow { where_to } => Advice::consent_too_narrow(where_to.as_deref()),
            Self::CallbackUrlRejected => Advice::administrator(
                "callback_url_rejected",
                "Copy the callback URL of the setup guide into the OAuth application.",
            ),
            Self::ApplicationSuspended => Advice::administrator(
                "application_suspended",
                "Ask the code host's support why the OAuth application is suspended.",
            ),
            Self::Unavailable => Advice::code_host("authorization_unavailable", "Try again in a moment.").transient(),
            Self::Refused { .. } => Advice::administrator(
                "authorization_refused",
                "Compare the OAuth application with the setup guide: callback URL, scopes, grant type.",
            ),
            Self::CodeMissing => Advice::user("code_missing", START_AGAIN),
            Self::Code => Advice::user("code_malformed", START_AGAIN),
        }
    }
}

const START_AGAIN: &str = "Start the login again.";

advised!(CallbackError);
advised!(VerifyError);
