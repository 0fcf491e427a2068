use std::borrow::Cow;
use std::time::Duration;

/// Who must act before the same call can succeed.
///
/// ```
/// use codehost_oauth::error::{Audience, VerifyError};
///
/// assert_eq!(VerifyError::Denied.advice().audience, Audience::User);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Audience {
    /// The user who logs in.
    User,
    /// The administrator who created the integration and the OAuth application.
    Administrator,
    /// The operator of the app.
    Operator,
    /// The operator of the code host.
    CodeHost,
}

/// Who must act on an error, what they must do, and what may be shown to whom.
///
/// ```
/// use codehost_oauth::error::{Audience, Error, TransportError};
///
/// let advice = Error::from(TransportError::TimedOut).advice();
/// assert_eq!((advice.code, advice.audience), ("timed_out", Audience::CodeHost));
/// assert!(advice.is_transient && !advice.needs_login);
/// assert!(!advice.public_message.contains("timed out"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Advice {
    /// A stable name for the cause, `snake_case`: for logs, metrics and tests.
    pub code: &'static str,
    /// Who must act.
    pub audience: Audience,
    /// What they must do. It may name details of the setup: show it to administrators only, unless the audience is the
    /// user.
    pub hint: Cow<'static, str>,
    /// A sentence that anybody may read.
    pub public_message: Cow<'static, str>,
    /// Whether the same call may succeed later, without a change by anybody. Treat the code or the refresh token of this
    /// call as used up, unless the error says that nothing was sent: start a new login instead of repeating the exchange.
    pub is_transient: bool,
    /// Whether the user must log in again. For an access token that the API does not accept: unless a refresh renews it.
    pub needs_login: bool,
    /// How long to wait before the next attempt, as the code host asked or a keeper has decided: at most 15 minutes.
    pub retry_after: Option<Duration>,
}

impl Advice {
    /// The user must act. The hint is for them, so it is the public message too.
    pub(crate) fn user(code: &'static str, hint: impl Into<Cow<'static, str>>) -> Self {
        let hint = hint.into();
        Self { public_message: hint.clone(), ..Self::new(code, Audience::User, hint) }
    }

    pub(crate) fn administrator(code: &'static str, hint: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code, Audience::Administrator, hint)
    }

    pub(crate) fn operator(code: &'static str, hint: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code, Audience::Operator, hint)
    }

    pub(crate) fn code_host(code: &'static str, hint: impl Into<Cow<'static, str>>) -> Self {
        Self { public_message: Cow::Borrowed(UNREACHABLE), ..Self::new(code, Audience::CodeHost, hint) }
    }

    pub(crate) fn transient(self) -> Self {
        Self { is_transient: true, ..self }
    }

    pub(crate) fn needs_login(self) -> Self {
        Self { needs_login: true, ..self }
    }

    pub(crate) fn retry_after(self, retry_after: Option<Duration>) -> Self {
        Self { retry_after: retry_after.map(|wait| wait.min(MAX_RETRY_AFTER)), is_transient: true, ..self }
    }

    pub(crate) fn public(self, public: &'static str) -> Self {
        Self { public_message: Cow::Borrowed(public), ..self }
    }

    /// One text for every network cause: the cause would tell a stranger about the app's network.
    pub(crate) fn hide_cause(self) -> Self {
        self.public(UNREACHABLE)
    }

    fn new(code: &'static str, audience: Audience, hint: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            audience,
            hint: hint.into(),
            public_message: Cow::Borrowed(MISCONFIGURED),
            is_transient: false,
            needs_login: false,
            retry_after: None,
        }
    }
}

/// A longer wait that a code host or a provider asks for is cut to this.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(15 * 60);

const UNREACHABLE: &str =
    "The code host could not be reached, or its response was not as expected. Please try again later.";
const MISCONFIGURED: &str = "This login is not set up correctly. Please tell the administrator.";

/// Adds the public `code` and `advice` to an enum that has a private `advice_row(&self) -> Advice`.
macro_rules! advised {
    ($type:ty) => {
        impl $type {
            /// A stable name for the cause, `snake_case`: for logs, metrics and tests.
            pub fn code(&self) -> &'static str {
                self.advice_row().code
            }

            /// Who must act, what they must do, and what may be shown to whom.
            pub fn advice(&self) -> $crate::error::Advice {
                self.advice_row()
            }
        }
    };
}

pub(crate) use advised;
