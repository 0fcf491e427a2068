use serde::Deserialize;
use url::Url;

use super::setup;
use crate::base_url::BaseUrl;
use crate::error::{AccountError, AnswerError, ApiError, Error, TokenError};
use crate::oauth::{Grant, TokenRefusal};
use crate::setup::AppOwner;
use crate::transport::Reply;

/// What a refusal of `/oauth/token` means. Descriptions are translated and change, so only codes count.
pub(super) fn token(base_url: &BaseUrl, refusal: &TokenRefusal<'_>) -> Error {
    let cause = match (refusal.error, refusal.grant) {
        ("invalid_client", _) => TokenError::ClientRejected { setup_link: setup_link(base_url) },
        ("invalid_grant", Grant::AuthorizationCode) => TokenError::CodeRejected,
        ("invalid_grant", Grant::RefreshToken) => TokenError::RefreshRejected,
        ("invalid_scope", _) => TokenError::ScopeRejected,
        ("unauthorized_client" | "unsupported_grant_type", _) => TokenError::GrantNotAllowed,
        // Not an OAuth error: maintenance mode, a wrong path, something in front of GitLab. It says nothing about a
        // token, so nobody has to log in again over it.
        ("", _) => {
            return match api(base_url, refusal.reply) {
                Error::Api { cause: ApiError::TokenRejected, .. } => refusal.reply.unusable(AnswerError::Status),
                error => error,
            };
        }
        // The API's way to say that there is no such endpoint, in a member that looks like an OAuth error.
        _ if refusal.reply.status() == http::StatusCode::NOT_FOUND => return api(base_url, refusal.reply),
        _ => TokenError::Refused,
    };
    Error::Token { cause, answer: refusal.answer() }
}

/// What a refusal of `/oauth/revoke` means. A wrong secret is 403 here, and no token is unknown.
pub(super) fn revocation(base_url: &BaseUrl, reply: &Reply) -> Error {
    let error = reply.refusal::<Refusal>().error;
    match error.as_ref().and_then(|error| error.as_str()) {
        Some(error @ ("unauthorized_client" | "invalid_client")) => Error::Token {
            cause: TokenError::ClientRejected { setup_link: setup_link(base_url) },
            answer: Box::new(reply.answer().saying(Some(error), None)),
        },
        Some(error) => {
            Error::Token { cause: TokenError::Refused, answer: Box::new(reply.answer().saying(Some(error), None)) }
        }
        None => api(base_url, reply),
    }
}

/// What a refusal of `/api/v4` means. It comes in two shapes: an OAuth error, or a `message`.
pub(super) fn api(base_url: &BaseUrl, reply: &Reply) -> Error {
    let refusal: Refusal = reply.refusal();
    let message = refusal.message.as_ref().and_then(|message| message.as_str()).unwrap_or_default();
    let error = refusal.error.as_ref().and_then(|error| error.as_str()).unwrap_or_default();
    let description = refusal.error_description.as_ref().and_then(|text| text.as_str()).unwrap_or_default();
    let said = if error.is_empty() { message } else { error };
    let answer = || Box::new(reply.answer().saying(Some(said), Some(description)));
    let api = |cause| Error::Api { cause, answer: answer() };
    match reply.status().as_u16() {
        401 if error == "invalid_token" && description.contains("expired") => api(ApiError::TokenExpired),
        401 if error == "invalid_token" && description.contains("revoked") => api(ApiError::TokenRevoked),
        401 => api(ApiError::TokenRejected),
        403 if error == "insufficient_scope" => {
            let missing = sufficient(refusal.scope.as_ref().and_then(|scope| scope.as_str()).unwrap_or_default());
            api(ApiError::ScopeMissing { missing: vec![missing], setup_link: setup_link(base_url) })
        }
        403 if message.contains("read-only instance") => reply.unusable(AnswerError::ReadOnly),
        403 => match account(base_url, message) {
            Some(cause) => Error::Account { cause, answer: Some(answer()) },
            None => api(ApiError::Forbidden),
        },
        404 => api(ApiError::NotFound),
        _ => reply.unusable(AnswerError::Status),
    }
}

/// The members of both shapes; any of them can be an object in some version.
#[derive(Default, Deserialize)]
struct Refusal {
    message: Option<serde_json::Value>,
    error: Option<serde_json::Value>,
    error_description: Option<serde_json::Value>,
    scope: Option<serde_json::Value>,
}

/// Where the application is most likely found.
fn setup_link(base_url: &BaseUrl) -> Option<Box<Url>> {
    setup::links(base_url, &AppOwner::User).into_iter().find_map(|link| link.url().cloned().map(Box::new))
}

/// The scopes that would do, any one of them; only names that are known, since a peer wrote the list.
fn sufficient(scopes: &str) -> String {
    let known = ["read_user", "read_api", "api"];
    let listed: Vec<&str> = known.into_iter().filter(|name| scopes.split(' ').any(|scope| scope == *name)).collect();
    if listed.is_empty() { "read_user".to_owned() } else { listed.join(" or ") }
}

/// Why GitLab refuses a person whose token is good. The texts stand in its source and are not translated.
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

/// The page at which the terms wait, if the message names one below the base URL: the peer wrote the message.
fn terms_url(base_url: &BaseUrl, message: &str) -> Option<Box<Url>> {
    let terms = base_url.endpoint(&["-", "users", "terms"]);
    message.split_whitespace().any(|word| word.starts_with(base_url.as_str())).then(|| Box::new(terms))
}
