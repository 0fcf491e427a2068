use url::Url;

use super::setup;
use crate::error::{AccountError, ApiError, Error, ResponseError, TokenError};
use crate::platforms::refusal::no_oauth_error;
use crate::provider::setup::AppOwner;
use crate::provider::token_endpoint::{Grant, TokenRefusal};
use crate::transport::ApiResponse;
use crate::util::json::Members;
use crate::values::base_url::BaseUrl;

/// The meaning of a refusal of `/oauth/token`. Only the error code counts: descriptions are translated, and they change.
pub(super) fn token(base_url: &BaseUrl, refusal: &TokenRefusal<'_>) -> Error {
    let cause = match (refusal.error, refusal.grant) {
        ("invalid_client", _) => TokenError::ClientRejected { setup_link: setup_link(base_url) },
        ("invalid_grant", Grant::AuthorizationCode) => TokenError::CodeRejected,
        ("invalid_grant", Grant::RefreshToken) => TokenError::RefreshRejected,
        ("invalid_scope", _) => TokenError::ScopeRejected,
        ("unauthorized_client" | "unsupported_grant_type", _) => TokenError::GrantNotAllowed,
        // Maintenance mode, a wrong path, or a proxy in front of GitLab.
        ("", _) => return no_oauth_error(refusal, api(base_url, refusal.response)),
        // For an unknown endpoint, GitLab's API responds with a member that looks like an OAuth error.
        _ if refusal.response.status() == http::StatusCode::NOT_FOUND => return api(base_url, refusal.response),
        _ => TokenError::Refused,
    };
    Error::Token { cause, response: refusal.summary() }
}

/// The meaning of a refusal of `/oauth/revoke`. A wrong secret is 403 here; an unknown token is not refused.
pub(super) fn revocation(base_url: &BaseUrl, response: &ApiResponse) -> Error {
    let error = Members::parse(response.text()).unwrap_or_default().text("error");
    match error.as_deref() {
        Some(error @ ("unauthorized_client" | "invalid_client")) => Error::Token {
            cause: TokenError::ClientRejected { setup_link: setup_link(base_url) },
            response: Box::new(response.summary().with_error(Some(error), None)),
        },
        Some(error) => Error::Token {
            cause: TokenError::Refused,
            response: Box::new(response.summary().with_error(Some(error), None)),
        },
        None => api(base_url, response),
    }
}

/// The meaning of a refusal of `/api/v4`. It has one of two forms: an OAuth error, or a `message`.
pub(super) fn api(base_url: &BaseUrl, response: &ApiResponse) -> Error {
    let members = Members::parse(response.text()).unwrap_or_default();
    // Each of them is an object in some version.
    let text = |name| members.text(name).unwrap_or_default();
    let (message, error, description) = (text("message"), text("error"), text("error_description"));
    let code = if error.is_empty() { &message } else { &error };
    let summary = || Box::new(response.summary().with_error(Some(code), Some(description.as_str())));
    let api = |cause| Error::Api { cause, response: summary() };
    match response.status().as_u16() {
        401 if error == "invalid_token" && description.contains("expired") => api(ApiError::TokenExpired),
        401 if error == "invalid_token" && description.contains("revoked") => api(ApiError::TokenRevoked),
        401 => api(ApiError::TokenRejected),
        403 if error == "insufficient_scope" => {
            let missing = vec![sufficient(&text("scope"))];
            api(ApiError::ScopeMissing { missing, setup_link: setup_link(base_url) })
        }
        403 if message.contains("read-only instance") => response.unusable(ResponseError::ReadOnly),
        403 => match account(base_url, &message) {
            Some(cause) => Error::Account { cause, response: Some(summary()) },
            None => api(ApiError::Forbidden),
        },
        404 => api(ApiError::NotFound),
        _ => Error::Response { cause: ResponseError::Status, response: summary() },
    }
}

/// The page on which the application most likely is.
fn setup_link(base_url: &BaseUrl) -> Option<Box<Url>> {
    setup::links(base_url, &AppOwner::User).into_iter().find_map(|link| link.url().cloned().map(Box::new))
}

/// Names the scopes that GitLab listed. Each of them would be enough. Unknown names are left out: the server wrote the list.
fn sufficient(scopes: &str) -> String {
    let known = ["read_user", "read_api", "api"];
    let listed: Vec<&str> = known.into_iter().filter(|name| scopes.split(' ').any(|scope| scope == *name)).collect();
    if listed.is_empty() { "read_user".to_owned() } else { listed.join(" or ") }
}

/// Why GitLab refuses a user whose token is valid. The texts are from GitLab's source and are not translated.
fn account(base_url: &BaseUrl, message: &str) -> Option<AccountError> {
    let says = |text: &str| message.contains(text);
    Some(if says("Terms of Service") {
        AccountError::TermsNotAccepted { url: terms_url(base_url, message) }
    } else if says("pending approval") {
        AccountError::PendingApproval
    } else if says("deactivated") {
        AccountError::Deactivated
    } else if says("not confirmed") {
        AccountError::Unconfirmed
    } else if says("blocked") || says("banned") {
        AccountError::Blocked
    } else if says("password") && says("expired") {
        AccountError::PasswordExpired
    } else if says("internal user") {
        AccountError::NotAPerson
    } else {
        return None;
    })
}

/// The page to accept the terms, if the message has an address below the base URL. The page's path is not taken from it.
fn terms_url(base_url: &BaseUrl, message: &str) -> Option<Box<Url>> {
    let terms = base_url.page(&["-", "users", "terms"]);
    message.split_whitespace().any(|word| word.starts_with(base_url.as_str())).then(|| Box::new(terms))
}
