use http::StatusCode;
use url::Url;

use super::setup;
use crate::error::{AccountError, ApiError, Error, ResponseError, TokenError};
use crate::platforms::refusal::no_oauth_error;
use crate::provider::token_endpoint::{Grant, TokenRefusal};
use crate::transport::ApiResponse;
use crate::util::json::Members;
use crate::values::base_url::BaseUrl;

/// The meaning of a refusal of `/login/oauth/access_token`, which mostly has status 200.
///
/// Source: docs.github.com, "Troubleshooting OAuth app access token request errors".
pub(super) fn token(base_url: &BaseUrl, refusal: &TokenRefusal<'_>) -> Error {
    let cause = match (refusal.error, refusal.grant) {
        // An unknown client ID, or a base URL that is not that of this GitHub.
        ("Not Found", _) if refusal.response.status() == StatusCode::NOT_FOUND => client_rejected(base_url),
        ("incorrect_client_credentials" | "invalid_client", _) => client_rejected(base_url),
        ("bad_verification_code" | "invalid_grant", Grant::AuthorizationCode) => TokenError::CodeRejected,
        ("bad_refresh_token" | "invalid_grant", Grant::RefreshToken) => TokenError::RefreshRejected,
        ("redirect_uri_mismatch", _) => TokenError::CallbackUrlRejected {
            callback_url: refusal.callback_url.unwrap_or_default().to_owned(),
            setup_link: setup_link(base_url),
        },
        ("invalid_scope", _) => TokenError::ScopeRejected,
        ("unsupported_grant_type" | "unauthorized_client", _) => TokenError::GrantNotAllowed,
        ("unverified_user_email", _) => {
            return Error::Account { cause: AccountError::Unconfirmed, response: Some(refusal.summary()) };
        }
        ("", _) => return no_oauth_error(refusal, api(refusal.response)),
        _ => TokenError::Refused,
    };
    Error::Token { cause, response: refusal.summary() }
}

/// The meaning of a refusal of the API. Status 403 has many meanings; what a user or administrator can do about it comes first.
///
/// Source: docs.github.com, "Troubleshooting the REST API" and "Rate limits for the REST API".
pub(super) fn api(response: &ApiResponse) -> Error {
    let message = Members::parse(response.text()).unwrap_or_default().text("message").unwrap_or_default();
    let says = |text: &str| message.contains(text);
    let summary = || Box::new(response.summary().with_error(Some(message.as_str()), None));
    let api = |cause| Error::Api { cause, response: summary() };
    match response.status().as_u16() {
        401 => api(ApiError::TokenRejected),
        403 if response.header("x-github-sso").is_some() || says("SAML enforcement") => {
            Error::Account { cause: AccountError::SignOnRequired, response: Some(summary()) }
        }
        403 if says("OAuth App access restrictions") => api(ApiError::ApplicationNotApproved),
        403 if says("account was suspended") => {
            Error::Account { cause: AccountError::Blocked, response: Some(summary()) }
        }
        // After the others: the last request that a limit allows says that none remain.
        403 if is_rate_limit(response, &message) => response.rate_limited(),
        403 => api(ApiError::Forbidden),
        404 => api(ApiError::NotFound),
        410 => api(ApiError::EndpointRemoved),
        _ => Error::Response { cause: ResponseError::Status, response: summary() },
    }
}

pub(super) fn client_rejected(base_url: &BaseUrl) -> TokenError {
    TokenError::ClientRejected { setup_link: setup_link(base_url) }
}

fn setup_link(base_url: &BaseUrl) -> Option<Box<Url>> {
    Some(Box::new(setup::applications(base_url)))
}

fn is_rate_limit(response: &ApiResponse, message: &str) -> bool {
    response.header("x-ratelimit-remaining") == Some("0")
        || response.header("retry-after").is_some()
        || message.contains("rate limit")
        || message.contains("Maximum number of login attempts exceeded")
}
