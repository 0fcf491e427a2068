//! Why a request is not answered with what it asked for.

use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use http::StatusCode;
use maud::html;

use super::access::Refusal;
use super::assets;
use super::attempts::TooMany;
use super::overview::Problem;
use super::pages::{AdminPage, secure};
use super::visit::Request;
use crate::error::{AppError, SealError, StoreError};
use crate::observe;
use crate::router::Failure;
use crate::settings::{FieldErrors, IntegrationsError, StoredIntegration, UnreadableIntegration};

#[derive(Debug)]
pub(super) enum Fault {
    /// There is no such page or integration.
    NotFound,
    /// The page does not have the method of the request.
    Method,
    /// Nobody is logged in.
    LoggedOut,
    /// Somebody is logged in who may not.
    NoAccess,
    /// The body is longer than the routes allow.
    TooLong,
    /// The body broke off.
    Body,
    /// A form has this field twice.
    DuplicateField(&'static str),
    /// The body is not the JSON that is expected, with the reason.
    Json(String),
    /// The body has another type than `application/json`.
    NotJson,
    /// A write without the version that was read.
    NoVersion,
    /// The administrator has not tested a login, or the report is too old.
    NoReport,
    /// The settings of the integration cannot be read.
    Unreadable(Box<UnreadableIntegration>),
    /// Too many checks and changes.
    TooMany(TooMany),
    /// Another administrator was faster. What is stored now.
    Stale(Option<Box<StoredIntegration>>),
    /// The settings are wrong.
    Fields(FieldErrors),
    /// The app's reason.
    Refused(Refusal),
    /// Of the session or the CSRF token.
    Login(Box<Failure>),
    /// Of the store or the keys.
    Integrations(IntegrationsError),
    App(AppError),
}

impl Fault {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::LoggedOut => StatusCode::UNAUTHORIZED,
            Self::NoAccess => StatusCode::FORBIDDEN,
            Self::NoReport => StatusCode::NOT_FOUND,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body | Self::DuplicateField(_) | Self::Json(_) => StatusCode::BAD_REQUEST,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NoVersion => StatusCode::PRECONDITION_REQUIRED,
            Self::Stale(_) | Self::Refused(_) => StatusCode::CONFLICT,
            Self::Fields(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Login(failure) => failure.cause.status(),
            Self::Integrations(IntegrationsError::IdTaken | IntegrationsError::ProposalExpired) => StatusCode::CONFLICT,
            // Whoever enters the secret again can go on.
            Self::Integrations(IntegrationsError::Seal(
                SealError::UnknownKey { .. } | SealError::Rejected | SealError::Malformed,
            )) => StatusCode::CONFLICT,
            Self::Unreadable(_) | Self::Integrations(_) | Self::App(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The stable code, what happened, and what to do. Nothing about the app's network.
    pub(super) fn texts(&self) -> (&'static str, String, String) {
        let own = |code, message: &str, hint: &str| (code, message.to_owned(), hint.to_owned());
        match self {
            Self::NotFound => own(
                "not_found",
                "There is no such page or integration.",
                "Check the address, or go back to the list of integrations.",
            ),
            Self::Method => own(
                "method_not_allowed",
                "This page does not have the method of the request.",
                "Use a method that the header `Allow` names, or go back to the list of integrations.",
            ),
            Self::LoggedOut => own("logged_out", "You are not logged in.", "Log in, then open this page again."),
            Self::NoAccess => own(
                "no_access",
                "You do not have access to this page.",
                "Log in as an administrator, or ask an administrator for access.",
            ),
            Self::TooLong => own(
                "too_long",
                "The request is longer than 256 KiB.",
                "Go back with the button of your browser, shorten what you entered, and send it again.",
            ),
            Self::Body => own("body", "The request broke off before its end.", "Send it again."),
            Self::DuplicateField(name) => own(
                "duplicate_field",
                &format!("The form has the field `{name}` twice."),
                "Open the page again and repeat what you did.",
            ),
            Self::Json(reason) => own("json", reason, "Compare the body with the documentation of this request."),
            Self::NotJson => own(
                "content_type",
                "The body is not application/json.",
                "Send JSON with the header `content-type: application/json`.",
            ),
            Self::NoVersion => own(
                "version_required",
                "The version of the integration is missing.",
                "Send the ETag that you have read as If-Match, or the member `version`.",
            ),
            Self::NoReport => own(
                "no_report",
                "There is no report of a test login in this browser.",
                "Test the login. A report is kept for an hour.",
            ),
            Self::Unreadable(unreadable) => {
                let Problem { code, message, hint } = (&**unreadable).into();
                (code, format!("This integration cannot be used. {message}"), hint)
            }
            Self::TooMany(too_many) => {
                let (message, hint) = too_many.texts();
                own("too_many", message, hint)
            }
            Self::Stale(None) => own(
                "stale",
                "The integration was deleted in the meantime.",
                "Nothing was saved. Go back to the list of integrations.",
            ),
            Self::Stale(Some(_)) => own(
                "stale",
                "The integration was changed in the meantime.",
                "Nothing was saved. Look at what has changed, and repeat your change.",
            ),
            Self::Fields(errors) => own("fields", &errors.to_string(), "Correct the fields that are marked."),
            Self::Refused(refusal) => ("refused", refusal.message.clone(), refusal.hint.clone()),
            Self::Login(failure) => {
                let advice = failure.cause.advice();
                (failure.cause.public_code(), advice.public_message.into_owned(), String::new())
            }
            Self::Integrations(IntegrationsError::ProposalExpired) => own(
                "proposal_expired",
                "The new base URL was not confirmed within an hour.",
                "Enter the new base URL again.",
            ),
            Self::Integrations(IntegrationsError::IdTaken) => {
                own("id_taken", "There is or was an integration with this ID.", "Add the integration again.")
            }
            Self::Integrations(IntegrationsError::Seal(error)) => {
                let (code, message, hint) = seal_texts(error);
                own(code, message, hint)
            }
            Self::Integrations(_) | Self::App(_) => own("app", "An error occurred in this app.", TRY_LATER),
        }
    }

    /// Whether it says only that somebody may not see the page.
    pub(super) fn is_about_stranger(&self) -> bool {
        matches!(self, Self::LoggedOut | Self::NoAccess)
    }
}

/// Why a secret cannot be encrypted or decrypted: the code, what happened, and what to do.
fn seal_texts(error: &SealError) -> (&'static str, &'static str, &'static str) {
    let (message, hint) = match error {
        SealError::UnknownKey { .. } => (
            "The app no longer has the key that encrypted the secret.",
            "Enter the secret again, or ask the operator of this app to restore the key.",
        ),
        SealError::Rejected | SealError::Expired => (
            "The stored secret cannot be decrypted.",
            "Enter the secret again, and tell the operator of this app: the app has another key under the same ID, or what is stored was \
             changed or moved.",
        ),
        SealError::Malformed => (
            "The stored secret does not have the format of this version of the app.",
            "Enter the secret again, or ask the operator of this app to update all nodes.",
        ),
        SealError::NoKey | SealError::KeyLength { .. } | SealError::DuplicateKey { .. } | SealError::KeyText => (
            "This app has no key to encrypt secrets with.",
            "Ask the operator of this app to set the keys of its key ring.",
        ),
        SealError::TooLarge => ("The secret is too long to be encrypted.", "Enter a shorter one."),
        SealError::Random => ("The secret could not be encrypted.", TRY_LATER),
    };
    (error.code(), message, hint)
}

const TRY_LATER: &str = "Try again later. If it keeps happening, tell the operator of this app.";

impl Request {
    /// Shows why a request is not answered with what it asked for.
    pub(super) async fn fault(mut self, fault: Fault) -> Response {
        fault.log();
        let admin = std::sync::Arc::clone(&self.admin.0);
        let (_, message, hint) = fault.texts();
        let (message, hint) = (admin.text(&message), admin.text(&hint));
        let body = html! {
            h1 { (message) }
            p { (hint) }
            p.ch-actions {
                @if fault.is_about_stranger() {
                    a href=(admin.access.login_path()) { (admin.text("Log in")) }
                } @else {
                    a href=(if self.base.is_empty() { "/" } else { &self.base }) { (admin.text("Integrations")) }
                }
            }
        };
        let page = AdminPage::new(&message, assets::head(&self.base), body, fault.status());
        let mut response = admin.pages.layout(&mut self.head, page).await;
        *response.status_mut() = fault.status();
        secure(&mut response, &[]);
        response
    }
}

impl Fault {
    /// For the operator.
    pub(super) fn log(&self) {
        match self {
            Self::Unreadable(unreadable) => observe::error(&StoreError::from((**unreadable).clone()).to_string()),
            Self::Integrations(error) => observe::error(&error.to_string()),
            Self::App(error) => observe::error(&error.to_string()),
            _ => {}
        }
    }
}

impl From<BytesRejection> for Fault {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE { Self::TooLong } else { Self::Body }
    }
}

impl From<TooMany> for Fault {
    fn from(too_many: TooMany) -> Self {
        Self::TooMany(too_many)
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Login(Box::new(failure))
    }
}

impl From<IntegrationsError> for Fault {
    fn from(error: IntegrationsError) -> Self {
        match error {
            IntegrationsError::Stale { stored } => Self::Stale(Some(stored)),
            IntegrationsError::Deleted => Self::Stale(None),
            IntegrationsError::Fields(errors) => Self::Fields(errors),
            IntegrationsError::Refused(error) => match error.downcast::<Refusal>() {
                Ok(refusal) => Self::Refused(*refusal),
                Err(error) => Self::App(error),
            },
            error => Self::Integrations(error),
        }
    }
}
