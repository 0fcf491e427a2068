//! Why a request is not answered with what it asked for.

use axum::response::Response;
use http::StatusCode;
use maud::html;

use super::access::Refusal;
use super::assets;
use super::attempts::TooMany;
use super::overview::Problem;
use super::pages::{AdminPage, secure};
use super::visit::Request;
use crate::error::{AppError, StoreError};
use crate::observe;
use crate::router::Failure;
use crate::settings::{FieldErrors, IntegrationsError, StoredIntegration, UnreadableIntegration};

#[derive(Debug)]
pub(super) enum Fault {
    /// There is no such page or integration.
    NotFound,
    /// Nobody is signed in.
    SignedOut,
    /// Somebody is signed in who may not.
    NoAccess,
    /// The body is not a form, or too long.
    Body,
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
    /// Too many checks and changes by this owner.
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
            Self::SignedOut => StatusCode::UNAUTHORIZED,
            Self::NoAccess => StatusCode::FORBIDDEN,
            Self::NoReport => StatusCode::NOT_FOUND,
            Self::Body | Self::Json(_) => StatusCode::BAD_REQUEST,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NoVersion => StatusCode::PRECONDITION_REQUIRED,
            Self::Stale(_) | Self::Refused(_) => StatusCode::CONFLICT,
            Self::Fields(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Login(failure) => failure.cause.status(),
            Self::Integrations(IntegrationsError::IdTaken | IntegrationsError::NoProposal) => StatusCode::CONFLICT,
            Self::Unreadable(_) | Self::Integrations(_) | Self::App(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The stable code, what happened, and what to do. Nothing about the app's network.
    pub(super) fn texts(&self, sign_in_path: &str) -> (&'static str, String, String) {
        let own = |code, message: &str, hint: &str| (code, message.to_owned(), hint.to_owned());
        match self {
            Self::NotFound => own(
                "not_found",
                "There is no such page or integration.",
                "Check the address, or go back to the list of integrations.",
            ),
            Self::SignedOut => {
                let hint = format!("Log in at {sign_in_path}, then open this page again.");
                ("signed_out", "You are not logged in.".to_owned(), hint)
            }
            Self::NoAccess => own(
                "no_access",
                "You do not have access to this page.",
                "Log in as an administrator, or ask an administrator for access.",
            ),
            Self::Body => own("body", "The request could not be read.", "Open the page again and repeat what you did."),
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
            Self::Integrations(IntegrationsError::NoProposal) => own(
                "no_proposal",
                "The new base URL was not confirmed within an hour.",
                "Enter the new base URL again.",
            ),
            Self::Integrations(IntegrationsError::IdTaken) => {
                own("id_taken", "There is or was an integration with this ID.", "Add the integration again.")
            }
            Self::Integrations(IntegrationsError::Seal(_)) => own(
                "seal",
                "The app no longer has the key that encrypted the secret.",
                "Edit the integration and enter the secret again.",
            ),
            Self::Integrations(_) | Self::App(_) => own(
                "app",
                "Something went wrong.",
                "Try again later. If it keeps happening, tell the people who run this app.",
            ),
        }
    }
}

impl Request {
    /// Shows why a request is not answered with what it asked for.
    pub(super) async fn fault(mut self, fault: Fault) -> Response {
        fault.log();
        let admin = std::sync::Arc::clone(&self.admin.0);
        let sign_in_path = admin.access.login_path();
        let text = |text: String| admin.pages.text(&text).map_or(text, Into::into);
        let (_, message, hint) = fault.texts(sign_in_path);
        let (message, hint) = (text(message), text(hint));
        let is_stranger = matches!(fault, Fault::SignedOut | Fault::NoAccess);
        let body = html! {
            h1 { (message) }
            p { (hint) }
            p.ch-actions {
                @if is_stranger {
                    a href=(sign_in_path) { (text("Log in".to_owned())) }
                } @else {
                    a href=(if self.base.is_empty() { "/" } else { &self.base }) { (text("Integrations".to_owned())) }
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

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Login(Box::new(failure))
    }
}

impl From<IntegrationsError> for Fault {
    fn from(error: IntegrationsError) -> Self {
        match error {
            IntegrationsError::Stale { stored } => Self::Stale(stored),
            IntegrationsError::Fields(errors) => Self::Fields(errors),
            IntegrationsError::Refused(error) => match error.downcast::<Refusal>() {
                Ok(refusal) => Self::Refused(*refusal),
                Err(error) => Self::App(error),
            },
            error => Self::Integrations(error),
        }
    }
}
