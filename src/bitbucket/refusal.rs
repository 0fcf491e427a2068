use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::scopes;
use crate::base_url::BaseUrl;
use crate::error::{AnswerError, ApiError, Error, TokenError};
use crate::oauth::{Grant, TokenRefusal};
use crate::scope::Scope;
use crate::transport::Reply;

/// What a refusal of the token endpoint means. The codes alone do not say what broke, so the grant decides, and for a
/// missing callback URL the text does.
pub(super) fn token(base_url: &BaseUrl, refusal: &TokenRefusal<'_>) -> Error {
    let says = |text: &str| refusal.description.to_ascii_lowercase().contains(text);
    let setup_link = || Some(setup_link(base_url));
    let cause = match (refusal.error, refusal.grant) {
        ("invalid_request", Grant::AuthorizationCode) if says("callback uri") => TokenError::CallbackUrlRejected {
            callback_url: refusal.callback_url.unwrap_or_default().to_owned(),
            setup_link: setup_link(),
        },
        // `invalid_client` was never seen; a dead refresh token is answered like a wrong secret: see `can_mean_client`.
        ("unauthorized_client" | "invalid_client", Grant::AuthorizationCode) => {
            TokenError::ClientRejected { setup_link: setup_link() }
        }
        ("invalid_grant", _) if says("client_credentials") || says("grant type") => TokenError::GrantNotAllowed,
        ("invalid_grant", Grant::AuthorizationCode) => TokenError::CodeRejected,
        ("unauthorized_client" | "invalid_grant", Grant::RefreshToken) => TokenError::RefreshRejected,
        ("invalid_request", Grant::RefreshToken) if says("refresh_token") => TokenError::RefreshRejected,
        ("invalid_client", Grant::RefreshToken) => TokenError::ClientRejected { setup_link: setup_link() },
        ("invalid_scope", _) => TokenError::ScopeRejected,
        ("unsupported_grant_type", _) => TokenError::GrantNotAllowed,
        // Not an OAuth error, so it says nothing about a token, and nobody has to log in again over it.
        ("", _) => {
            return match api(base_url, refusal.reply) {
                Error::Api { cause: ApiError::TokenExpired | ApiError::TokenRejected, .. } => {
                    refusal.reply.unusable(AnswerError::Status)
                }
                error => error,
            };
        }
        _ => TokenError::Refused,
    };
    Error::Token { cause, answer: refusal.answer() }
}

/// Whether a refused refresh may be about the client: a dead refresh token has the words of a wrong secret, and those of a
/// client that is refused for some minutes.
pub(super) fn can_mean_client(refusal: &Error) -> bool {
    let Error::Token { answer, .. } = refusal else {
        return false;
    };
    answer.error().is_some_and(|error| error.sanitized() == "unauthorized_client")
}

/// What a refusal of `/2.0` means. The body may be empty or of odd types.
pub(super) fn api(base_url: &BaseUrl, reply: &Reply) -> Error {
    let error = reply.refusal::<Refusal>().error.unwrap_or_default();
    let message = error.message.as_ref().and_then(Value::as_str).unwrap_or_default();
    let detail = error.detail.as_ref();
    let answer = || Box::new(reply.answer().saying(Some(message), detail.and_then(Value::as_str)));
    let api = |cause| Error::Api { cause, answer: answer() };
    match reply.status().as_u16() {
        // The other text, "invalid, expired, or not supported", says nothing of the kind.
        401 if message.to_ascii_lowercase().contains("access token expired") => api(ApiError::TokenExpired),
        401 => api(ApiError::TokenRejected),
        400 | 403 if lacks_scope(message, detail) => api(ApiError::ScopeMissing {
            missing: detail
                .map(missing)
                .filter(|missing| !missing.is_empty())
                .unwrap_or_else(|| vec![ACCOUNT.to_owned()]),
            setup_link: Some(setup_link(base_url)),
        }),
        403 => api(ApiError::Forbidden),
        404 => api(ApiError::NotFound),
        410 => api(ApiError::EndpointRemoved),
        _ => reply.unusable(AnswerError::Status),
    }
}

/// Whether a 403 says that the user is not in the workspace, and not that the workspace asks for something else of them,
/// such as two-step verification or another network. Without a word it is the first, which the API's description has.
pub(super) fn is_no_access(reply: &Reply) -> bool {
    let error = reply.refusal::<Refusal>().error.unwrap_or_default();
    let text = |value: Option<Value>| value.as_ref().and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    let said = format!("{} {}", text(error.message), text(error.detail));
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let is_condition = says(&[
        "two-step",
        "two step",
        "two-factor",
        "two factor",
        "2fa",
        "2sv",
        "verification",
        "ip address",
        " ip",
        "[ip]",
        "allowlist",
        "allow list",
        "whitelist",
        "network",
        "restrict",
        "policy",
        "single sign",
        "sso",
        "saml",
        "suspended",
        "because",
    ]);
    said.trim().is_empty()
        || (says(&["no access", "not have access", "not a member", "access denied", "not have permission"])
            && !is_condition)
}

/// The list of one's workspaces: which of them owns the consumer is not known here.
fn setup_link(base_url: &BaseUrl) -> Box<Url> {
    Box::new(base_url.endpoint(&["account", "workspaces", ""]))
}

#[derive(Default, Deserialize)]
struct Refusal {
    error: Option<Inner>,
}

/// `detail` is a text, or for scopes an object.
#[derive(Default, Deserialize)]
struct Inner {
    message: Option<Value>,
    detail: Option<Value>,
}

/// The API's description has `detail` as a text, in which case only the message tells.
fn lacks_scope(message: &str, detail: Option<&Value>) -> bool {
    detail.is_some_and(|detail| detail.get("required").is_some()) || message.contains("privilege scopes")
}

/// The check box that every call of a login needs, where the answer names none that the form has: it may name the
/// granular scopes of API tokens.
const ACCOUNT: &str = "Account: Read";

/// The check boxes of the scopes that are required and not granted; only of known scopes, since a peer wrote the list.
fn missing(detail: &Value) -> Vec<String> {
    let list = |member: &str| -> Vec<&str> {
        let values = detail.get(member).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        values.iter().filter_map(Value::as_str).collect()
    };
    let granted = list("granted");
    let lacking = list("required").into_iter().filter(|scope| !granted.contains(scope));
    lacking
        .filter_map(|scope| scope.parse::<Scope>().ok())
        .filter(|scope| scopes::describe(scope).label != scope.as_str())
        .map(|scope| scopes::describe(&scope).label.into_owned())
        .collect()
}
