use std::sync::Arc;

use http::StatusCode;

use super::HostError;
use crate::error::{Advice, Audience, Error, advised};
use crate::host::{Host, IntegrationId};
use crate::integration::Integration;
use crate::login::ReturnTo;
use crate::percent::{Plain, push_encoded};

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
    /// Where, if that is known.
    pub integration: Option<Arc<Integration>>,
    /// Where the user wanted to go, if that is known.
    pub return_to: Option<ReturnTo>,
    /// The path of the login link, or that of the app's first page.
    way: String,
    has_login: bool,
    is_logged: bool,
}

impl Failure {
    /// The path of a link that leads on: the login link with the `return_to` that was wanted, or the app's first page if
    /// there is no integration to log in through. Every page about a failure should show it.
    ///
    /// ```
    /// use codehost_oauth::router::{Failure, FailureCause};
    ///
    /// assert_eq!(Failure::from(FailureCause::UnknownIntegration).way_on(), "/");
    /// ```
    pub fn way_on(&self) -> String {
        match &self.return_to {
            Some(path) if self.has_login => login_path(&self.way, Some(path)),
            _ => self.way.clone(),
        }
    }

    /// Says where it leads on from here, unless that is known.
    pub(super) fn leads_on(&mut self, public_url: &Host, id: Option<&IntegrationId>, return_to: Option<ReturnTo>) {
        let gone = matches!(self.cause, FailureCause::UnknownIntegration);
        let id = id.filter(|_| !gone);
        self.has_login = id.is_some();
        self.way = match id {
            Some(id) => public_url.url().endpoint(&["login", id.as_str()]).path().to_owned(),
            None => public_url.path().to_owned(),
        };
        self.return_to = self.return_to.take().or(return_to);
    }

    /// One that has been logged where it happened.
    pub(super) fn logged(error: Error) -> Self {
        Self { is_logged: true, ..error.into() }
    }

    pub(super) fn is_logged(&self) -> bool {
        self.is_logged
    }

    pub(super) fn has_login(&self) -> bool {
        self.has_login
    }
}

/// A login link with where to go afterwards.
pub(super) fn login_path(path: &str, return_to: Option<&ReturnTo>) -> String {
    let Some(return_to) = return_to else {
        return path.to_owned();
    };
    let mut text = format!("{path}?return_to=").into_bytes();
    push_encoded(&mut text, return_to.as_str(), &QUERY);
    String::from_utf8_lossy(&text).into_owned()
}

/// What may stand in the value of a query's field as it is.
static QUERY: Plain = Plain::new(b"-._~/");

impl<T: Into<FailureCause>> From<T> for Failure {
    fn from(cause: T) -> Self {
        Self {
            cause: cause.into(),
            integration: None,
            return_to: None,
            way: "/".to_owned(),
            has_login: false,
            is_logged: false,
        }
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
    /// The browser was logged out while its login was under way.
    #[error("the browser was logged out while its login was under way")]
    LoggedOut,
    /// The integration has been deleted, or leads to another code host or OAuth application, since the login was sent.
    #[error("the integration was deleted or changed while a login was under way")]
    IntegrationChanged,
    /// The routes are not below a session layer, or it is of another version.
    #[error(
        "the request has no session of tower-sessions-core 0.15: the routes are not below a session layer, or it is of \
         another version of tower-sessions"
    )]
    NoSessionLayer,
    /// The session store failed.
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
            Self::LoggedOut | Self::IntegrationChanged => StatusCode::BAD_REQUEST,
            Self::NoSessionLayer | Self::Session(_) | Self::Host(_) => StatusCode::SERVICE_UNAVAILABLE,
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
            Self::LoggedOut => Advice::user(
                "logged_out",
                "You have logged out meanwhile. Start the login again if you want to log in.",
            ),
            Self::IntegrationChanged => {
                Advice::user("integration_changed", "This login has just been changed. Start it again.")
            }
            Self::NoSessionLayer => Advice::operator(
                "no_session_layer",
                "Mount the routes below a `SessionManagerLayer` of tower-sessions 0.15.",
            )
            .public(TRY_LATER),
            Self::Session(_) => {
                Advice::operator("session", "Look into the session store and its log.").public(TRY_LATER).transient()
            }
            Self::Host(_) => {
                Advice::operator("host", "Look into the source of this error.").public(TRY_LATER).transient()
            }
        }
    }
}

const TRY_LATER: &str = "Something went wrong here. Please try again later.";

advised!(FailureCause);
