use std::borrow::Cow;
use std::time::Duration;

/// Who must act so that it works the next time.
///
/// ```
/// use codehost_oauth::error::{Audience, VerifyError};
///
/// assert_eq!(VerifyError::Denied.audience(), Audience::User);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Audience {
    /// The person who logs in.
    User,
    /// Whoever created the integration and the OAuth application.
    Administrator,
    /// Whoever runs the host.
    Operator,
    /// Whoever runs the code host.
    CodeHost,
}

/// The answers to the seven questions, one row for each cause.
#[derive(Debug)]
pub(crate) struct Advice {
    pub(crate) code: &'static str,
    pub(crate) audience: Audience,
    pub(crate) hint: Cow<'static, str>,
    pub(crate) public: Cow<'static, str>,
    pub(crate) transient: bool,
    pub(crate) needs_login: bool,
    pub(crate) retry_after: Option<Duration>,
}

impl Advice {
    /// The person who logs in must act; the hint is meant for them and safe to show.
    pub(crate) fn user(code: &'static str, hint: impl Into<Cow<'static, str>>) -> Self {
        let hint = hint.into();
        Self { public: hint.clone(), ..Self::new(code, Audience::User, hint) }
    }

    pub(crate) fn administrator(code: &'static str, hint: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code, Audience::Administrator, hint)
    }

    pub(crate) fn operator(code: &'static str, hint: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code, Audience::Operator, hint)
    }

    pub(crate) fn code_host(code: &'static str, hint: impl Into<Cow<'static, str>>) -> Self {
        Self { public: Cow::Borrowed(UNREACHABLE), ..Self::new(code, Audience::CodeHost, hint) }
    }

    pub(crate) fn transient(self) -> Self {
        Self { transient: true, ..self }
    }

    pub(crate) fn needs_login(self) -> Self {
        Self { needs_login: true, ..self }
    }

    pub(crate) fn retry_after(self, retry_after: Option<Duration>) -> Self {
        Self { retry_after: retry_after.map(|wait| wait.min(MAX_RETRY_AFTER)), transient: true, ..self }
    }

    pub(crate) fn public(self, public: &'static str) -> Self {
        Self { public: Cow::Borrowed(public), ..self }
    }

    /// One text for every network cause: which of them it was would tell a stranger about the network behind the host.
    pub(crate) fn unreachable(self) -> Self {
        self.public(UNREACHABLE)
    }

    fn new(code: &'static str, audience: Audience, hint: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            audience,
            hint: hint.into(),
            public: Cow::Borrowed(MISCONFIGURED),
            transient: false,
            needs_login: false,
            retry_after: None,
        }
    }
}

/// Whoever asks to wait for longer, a code host or a provider, is asked again sooner.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(15 * 60);

const UNREACHABLE: &str = "The code host could not be reached or did not answer as expected. Please try again later.";
const MISCONFIGURED: &str = "This login is not set up correctly. Please tell the administrator.";

/// Gives an enum that has a private `advice(&self) -> Advice` the public questions.
macro_rules! advised {
    ($type:ty) => {
        impl $type {
            /// A stable name for the cause, `snake_case`: for logs, metrics and tests.
            pub fn code(&self) -> &'static str {
                self.advice().code
            }

            /// Who must act.
            pub fn audience(&self) -> $crate::error::Audience {
                self.advice().audience
            }

            /// What that person must do. May name set-up details; show it to administrators only, unless
            /// [`audience`](Self::audience) is the user.
            pub fn hint(&self) -> std::borrow::Cow<'static, str> {
                self.advice().hint
            }

            /// A sentence that anybody may read.
            pub fn public_message(&self) -> std::borrow::Cow<'static, str> {
                self.advice().public
            }

            /// Whether the same call may succeed later without anybody doing anything. A code or a refresh token is
            /// spent all the same: start a new login, do not repeat the exchange.
            pub fn is_transient(&self) -> bool {
                self.advice().transient
            }

            /// Whether stored tokens are dead and only a new login by the person helps.
            pub fn needs_login(&self) -> bool {
                self.advice().needs_login
            }

            /// How long the code host asked to wait, at most 15 minutes.
            pub fn retry_after(&self) -> Option<std::time::Duration> {
                self.advice().retry_after
            }
        }
    };
}

pub(crate) use advised;
