use std::sync::Arc;

use http::StatusCode;

use super::HostError;
use crate::error::{Advice, Audience, Error, advised};
use crate::integration::Integration;

/// Why a request to one of the routes did not do what it should, and at which integration.
///
/// ```
/// use codehost_oauth::error::{Error, VerifyError};
/// use codehost_oauth::router::{Failure, FailureCause};
///
/// let failure = Failure::from(Error::from(VerifyError::Denied));
/// assert_eq!((failure.cause.code(), failure.cause.status().as_u16()), ("denied", 400));
/// assert_eq!(FailureCause::Csrf.status().as_u16(), 403);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure {
    /// What happened.
    pub cause: FailureCause,
    /// Where, if that is known: for a link to try again.
    pub integration: Option<Arc<Integration>>,
}

impl Failure {
    pub(super) fn at(integration: &Arc<Integration>, cause: FailureCause) -> Self {
        Self { cause, integration: Some(Arc::clone(integration)) }
    }
}

impl<T: Into<FailureCause>> From<T> for Failure {
    fn from(cause: T) -> Self {
        Self { cause: cause.into(), integration: None }
    }
}

/// What happened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FailureCause {
    /// The login itself failed, or was not allowed.
    #[error(transparent)]
    Login(#[from] Error),
    /// No integration has that id.
    #[error("there is no such integration")]
    UnknownIntegration,
    /// The form was not sent by a page of this host in this browser.
    #[error("the form has no valid CSRF token")]
    Csrf,
    /// Nobody is signed in that an account could be connected to.
    #[error("nobody is signed in")]
    NotSignedIn,
    /// There is no session, or its store failed.
    #[error("the session could not be read or stored")]
    Session(#[source] HostError),
    /// The host itself failed.
    #[error("the host failed")]
    Host(#[source] HostError),
}

impl FailureCause {
    /// The status of a page about it.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Login(_) if self.is_hidden() => StatusCode::BAD_GATEWAY,
            Self::Login(error) => match error.audience() {
                Audience::User => StatusCode::BAD_REQUEST,
                Audience::CodeHost => StatusCode::BAD_GATEWAY,
                Audience::Administrator | Audience::Operator => StatusCode::INTERNAL_SERVER_ERROR,
            },
            Self::UnknownIntegration => StatusCode::NOT_FOUND,
            Self::Csrf | Self::NotSignedIn => StatusCode::FORBIDDEN,
            Self::Session(_) | Self::Host(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What strangers may read of [`code`](Self::code): one code for everything that went wrong on the way to the code
    /// host. Which it was would tell them about the network behind this host.
    ///
    /// ```
    /// use codehost_oauth::{error::{Error, TransportError}, router::FailureCause};
    ///
    /// let cause = FailureCause::Login(Error::from(TransportError::NameNotFound));
    /// assert_eq!((cause.code(), cause.public_code()), ("name_not_found", "instance_unreachable"));
    /// ```
    pub fn public_code(&self) -> &'static str {
        if self.is_hidden() { "instance_unreachable" } else { self.code() }
    }

    fn is_hidden(&self) -> bool {
        matches!(self, Self::Login(Error::Transport(_) | Error::Answer { .. }))
    }

    fn advice(&self) -> Advice {
        match self {
            Self::Login(error) => error.advice(),
            Self::UnknownIntegration => {
                Advice::user("integration_unknown", "Check the link, or ask whoever gave it to you for a new one.")
            }
            Self::Csrf => Advice::user(
                "csrf",
                "Open the page again and press the button once more. If it keeps happening, allow cookies for this site.",
            ),
            Self::NotSignedIn => Advice::user("not_signed_in", "Log in first, then connect the account."),
            Self::Session(_) => {
                Advice::operator("session", "Mount the routes below a session layer, and look into the session store.")
                    .public(TRY_LATER)
                    .transient()
            }
            Self::Host(_) => {
                Advice::operator("host", "Look into the source of this error.").public(TRY_LATER).transient()
            }
        }
    }
}

const TRY_LATER: &str = "Something went wrong here. Please try again later.";

advised!(FailureCause);
