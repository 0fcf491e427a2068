use http::StatusCode;
use serde_json::value::RawValue;
use url::Url;

use super::identity::Identity;
use super::setup;
use crate::error::{AccountError, ApiError, Error, ResponseError, TokenError};
use crate::platforms::refusal::no_oauth_error;
use crate::provider::token_endpoint::{Grant, TokenRefusal};
use crate::transport::ApiResponse;
use crate::util::json::Members;
use crate::values::base_url::BaseUrl;

/// The meaning of a refusal of the token endpoint, by its code only: no description is documented.
pub(super) fn token(base_url: &BaseUrl, refusal: &TokenRefusal<'_>) -> Error {
    let cause = match (refusal.error, refusal.grant) {
        ("invalid_client", _) => TokenError::ClientRejected { setup_link: setup_link(base_url) },
        ("invalid_grant", Grant::AuthorizationCode) => TokenError::CodeRejected,
        ("invalid_grant", Grant::RefreshToken) => TokenError::RefreshRejected,
        ("invalid_scope", _) => TokenError::ScopeRejected,
        ("unsupported_grant_type" | "unauthorized_client", _) => TokenError::GrantNotAllowed,
        ("", _) => return no_oauth_error(refusal, api(refusal.response)),
        _ => TokenError::Refused,
    };
    Error::Token { cause, response: refusal.summary() }
}

/// The meaning of a refusal of the REST API. Status 401 has two: with the headers that name the user, the user lacks a right.
///
/// Source: developer.atlassian.com, "Bitbucket Data Center REST API", section "Errors".
pub(super) fn api(response: &ApiResponse) -> Error {
    let (exception, message) = first_error(response);
    let summary = || Box::new(response.summary().with_error(Some(&exception), message.as_deref()));
    let api = |cause| Error::Api { cause, response: summary() };
    let denied = response.header("x-authentication-denied-reason").unwrap_or_default();
    if exception.ends_with(".CaptchaRequiredAuthenticationException") || denied.starts_with("CAPTCHA") {
        return Error::Account { cause: AccountError::CaptchaRequired, response: Some(summary()) };
    }
    match response.status() {
        StatusCode::UNAUTHORIZED if Identity::of(response).is_none() => api(ApiError::TokenRejected),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => api(ApiError::Forbidden),
        StatusCode::NOT_FOUND => api(ApiError::NotFound),
        StatusCode::GONE => api(ApiError::EndpointRemoved),
        _ => Error::Response { cause: ResponseError::Status, response: summary() },
    }
}

/// The error of a response that anonymous visitors get too: the token was not accepted.
pub(super) fn anonymous(response: &ApiResponse) -> Error {
    Error::Api { cause: ApiError::TokenRejected, response: Box::new(response.summary()) }
}

/// Whether the refusal has the form of Bitbucket's REST API.
pub(super) fn is_bitbucket(response: &ApiResponse) -> bool {
    first_error(response).0.starts_with("com.atlassian.bitbucket.")
}

/// Whether the project does not exist, or is hidden from the user.
pub(super) fn is_no_such_project(response: &ApiResponse) -> bool {
    first_error(response).0.ends_with(".NoSuchProjectException")
}

/// Name of the exception, and message, of the first error. Messages are translated.
fn first_error(response: &ApiResponse) -> (String, Option<String>) {
    let members = Members::parse(response.text()).unwrap_or_default();
    let errors: Vec<&RawValue> = members.read("errors").unwrap_or_default();
    let first = errors.first().and_then(|error| Members::parse(error.get())).unwrap_or_default();
    (first.text("exceptionName").unwrap_or_default(), first.text("message"))
}

fn setup_link(base_url: &BaseUrl) -> Option<Box<Url>> {
    Some(Box::new(setup::applications(base_url)))
}
