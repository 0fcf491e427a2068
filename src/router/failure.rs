use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::operation::Operation;
use crate::error::{Advice, AppError, Audience, Error, advised};
use crate::integration::Integration;
use crate::login::ReturnTo;
use crate::values::public_url::PublicUrl;

/// Why a request to one of the routes failed, and at which integration.
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
    /// The cause.
    pub cause: FailureCause,
    /// The integration, if it is known.
    pub integration: Option<Integration>,
    /// The path to which the user wanted to return, if it is known.
    pub return_to: Option<ReturnTo>,
    /// The path of the login link, or that of the app's start page.
    path: String,
    has_login: bool,
    /// What the request was to do.
    operation: Option<Operation>,
    is_logged: bool,
    /// Whether the app runs on its developer's machine.
    is_development: bool,
}

impl Failure {
    /// The path with which the user can go on: the login link with its `return_to`, or the app's start page if there is no
    /// integration to log in with. Show it as a link on every page about a failure.
    ///
    /// ```
    /// use codehost_oauth::router::{Failure, FailureCause};
    ///
    /// assert_eq!(Failure::from(FailureCause::UnknownIntegration).continue_path(), "/");
    /// ```
    pub fn continue_path(&self) -> String {
        match &self.return_to {
            Some(path) if self.has_login => login_path(&self.path, Some(path)),
            _ => self.path.clone(),
        }
    }

    /// Sets what the page needs besides cause and integration.
    pub(super) fn set_context(&mut self, operation: Operation, public_url: &PublicUrl, return_to: Option<ReturnTo>) {
        let is_unknown = matches!(self.cause, FailureCause::UnknownIntegration);
        let login = self.integration.as_ref().filter(|_| !is_unknown).map(|integration| integration.login_link().url);
        self.has_login = login.is_some();
        self.path = login.as_ref().map_or(public_url.path(), |url| url.path()).to_owned();
        self.operation = Some(operation);
        self.is_development = public_url.url().is_loopback();
        self.return_to = self.return_to.take().or(return_to);
    }

    /// A failure that has been logged already.
    pub(super) fn logged(error: Error) -> Self {
        Self { is_logged: true, ..error.into() }
    }

    pub(super) fn is_logged(&self) -> bool {
        self.is_logged
    }

    /// What the page does not tell the user, for the developer: only if the app's public URL is a loopback address.
    pub(super) fn details(&self) -> Option<String> {
        if !self.is_development {
            return None;
        }
        let advice = self.cause.advice();
        // The page has the hint for a user already.
        let hint = (advice.audience != Audience::User).then_some(advice.hint.as_ref());
        let parts = [Some(self.cause.with_source()), hint.map(str::to_owned), self.cause.operator_note()];
        Some(parts.into_iter().flatten().collect::<Vec<_>>().join(". "))
    }

    /// The heading of the page.
    pub(super) fn title(&self) -> &'static str {
        match (&self.cause, self.operation) {
            (FailureCause::Csrf | FailureCause::NotLoggedIn, _) => "Request refused",
            (_, Some(Operation::LogOut)) => "Log-out failed",
            (_, Some(Operation::BeginConnect | Operation::FinishConnect)) => "The account was not connected",
            (_, Some(Operation::FinishTest)) => "Test login failed",
            _ => "Login failed",
        }
    }

    pub(super) fn has_login(&self) -> bool {
        self.has_login
    }
}

/// A login link with the path to return to.
pub(super) fn login_path(path: &str, return_to: Option<&ReturnTo>) -> String {
    let Some(return_to) = return_to else {
        return path.to_owned();
    };
    format!("{path}?return_to={}", utf8_percent_encode(return_to.as_str(), QUERY))
}

/// What is percent-encoded in a query: all but unreserved characters (RFC 3986 section 2.3) and slashes.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

impl<T: Into<FailureCause>> From<T> for Failure {
    fn from(cause: T) -> Self {
        Self {
            cause: cause.into(),
            integration: None,
            return_to: None,
            path: "/".to_owned(),
            has_login: false,
            operation: None,
            is_logged: false,
            is_development: false,
        }
    }
}

/// The cause of a [`Failure`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FailureCause {
    /// The login failed, or the user did not allow it.
    #[error(transparent)]
    Login(#[from] Error),
    /// The app has no integration with this id, or it is disabled.
    #[error("the app has no integration with this ID, or it is disabled")]
    UnknownIntegration,
    /// The form was not sent by a page of this app in this browser.
    #[error("the form has no valid CSRF token")]
    Csrf,
    /// An account was to be connected, but no user is logged in.
    #[error("no user is logged in")]
    NotLoggedIn,
    /// The user logged out while the login was in progress.
    #[error("the user logged out while the login was in progress")]
    LoggedOut,
    /// [`FindIntegration`](crate::FindIntegration) no longer finds the integration with which the login began: it was deleted or
    /// disabled.
    #[error("the integration was removed while the login was in progress")]
    IntegrationGone,
    /// The integration now has another code host or OAuth application than when the login began.
    #[error("the integration was changed while the login was in progress")]
    IntegrationChanged,
    /// The routes are not below the session layer, or it is of another version.
    #[error("the request has no session: it did not pass through {layer}")]
    NoSessionLayer {
        /// The layer that should have added the session: [`SessionSource::layer`](super::SessionSource::layer).
        layer: &'static str,
    },
    /// The integration was built with another public URL than the routes: cookies and redirects would not fit.
    #[error("the integration has another public URL than the routes")]
    OtherPublicUrl,
    /// What was typed is too long to be kept in this browser's session or cookies until the form can be saved.
    #[error("the text is too long to be kept until the form is saved")]
    TooLongToKeep,
    /// The session store failed.
    #[error("the session could not be read or stored")]
    Session(#[source] AppError),
    /// The app's [`LoginHandler`](super::LoginHandler) failed.
    #[error("the app's login handler failed")]
    LoginHandler(#[source] AppError),
    /// The app's [`FindIntegration`](crate::FindIntegration) failed.
    #[error("the app could not look up the integration")]
    FindIntegration(#[source] AppError),
}

impl FailureCause {
    /// The HTTP status of a page about it.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Login(error) => StatusCode::from_u16(error.status()).unwrap_or_default(),
            Self::UnknownIntegration => StatusCode::NOT_FOUND,
            Self::Csrf | Self::NotLoggedIn => StatusCode::FORBIDDEN,
            Self::LoggedOut | Self::IntegrationGone | Self::IntegrationChanged | Self::TooLongToKeep => {
                StatusCode::BAD_REQUEST
            }
            Self::NoSessionLayer { .. }
            | Self::OtherPublicUrl
            | Self::Session(_)
            | Self::LoginHandler(_)
            | Self::FindIntegration(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The [`code`](Self::code) that anybody may read. All failures between the app and the code host have the same one: the
    /// cause would tell strangers about the app's network.
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

    /// Its text, with that of the app's own error.
    pub(super) fn with_source(&self) -> String {
        match self {
            Self::Session(source) | Self::LoginHandler(source) | Self::FindIntegration(source) => {
                format!("{self}: {source}")
            }
            _ => self.to_string(),
        }
    }

    /// What to check if this happens to every user.
    pub(super) fn operator_note(&self) -> Option<String> {
        match self {
            Self::Login(error) => error.operator_note(),
            Self::Csrf => Some(
                "If this happens to everybody, look for: a form without the CSRF token of its page; no session layer around \
                 the routes; a Secure cookie on plain HTTP; a page at another host name than the public URL's"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    fn is_hidden(&self) -> bool {
        matches!(self, Self::Login(error) if error.is_about_network())
    }

    fn advice_row(&self) -> Advice {
        match self {
            Self::Login(error) => error.advice_row(),
            Self::UnknownIntegration => {
                Advice::user("integration_unknown", "Check the link, or ask for a new one where you got it.")
            }
            Self::Csrf => Advice::user(
                "csrf",
                "Open the page again and press the button once more. If it keeps happening, allow cookies for this site.",
            ),
            Self::NotLoggedIn => Advice::user("not_logged_in", "Log in first, then connect the account."),
            Self::LoggedOut => Advice::user(
                "logged_out",
                "Start the login again if you want to log in: you logged out while it was in progress.",
            ),
            Self::IntegrationGone => Advice::user(
                "integration_gone",
                "Log in another way, or ask an administrator of this app why this one was removed.",
            ),
            Self::IntegrationChanged => {
                Advice::user("integration_changed", "Start the login again: its settings have just been changed.")
            }
            Self::TooLongToKeep => Advice::user(
                "too_long_to_keep",
                "Enter the secrets again each time you send the form: they are too long to be kept.",
            ),
            Self::OtherPublicUrl => {
                Advice::operator("other_public_url", "Give the integration and `LoginRoutes` the same public URL.")
                    .public(TRY_LATER)
            }
            Self::NoSessionLayer { layer } => Advice::operator(
                "no_session_layer",
                format!("Mount the routes below {layer}. Sessions of a layer of another version are not found."),
            )
            .public(TRY_LATER),
            Self::Session(_) => {
                Advice::operator("session", "Check the session store and its log.").public(TRY_LATER).transient()
            }
            Self::LoginHandler(_) => Advice::operator("login_handler_failed", FIX_SOURCE).public(TRY_LATER).transient(),
            Self::FindIntegration(_) => {
                Advice::operator("find_integration_failed", FIX_SOURCE).public(TRY_LATER).transient()
            }
        }
    }
}

const FIX_SOURCE: &str = "Fix the cause, which the log and the `source()` of this error name.";
const TRY_LATER: &str = "This app has a problem at the moment. Please try again later.";

advised!(FailureCause);
