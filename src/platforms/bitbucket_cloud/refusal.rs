use url::Url;

use super::scopes;
use crate::error::{ApiError, Error, ResponseError, TokenError};
use crate::platforms::refusal::no_oauth_error;
use crate::provider::token_endpoint::{Grant, TokenRefusal};
use crate::transport::ApiResponse;
use crate::util::json::Members;
use crate::values::base_url::BaseUrl;
use crate::values::scope::Scope;

/// The meaning of a refusal of the token endpoint. The error code alone is ambiguous: the grant decides, and for a missing
/// callback URL the description.
pub(super) fn token(base_url: &BaseUrl, refusal: &TokenRefusal<'_>) -> Error {
    let says = |text: &str| refusal.description.to_ascii_lowercase().contains(text);
    let setup_link = || Some(setup_link(base_url));
    let cause = match (refusal.error, refusal.grant) {
        ("invalid_request", Grant::AuthorizationCode) if says("callback uri") => TokenError::CallbackUrlRejected {
            callback_url: refusal.callback_url.unwrap_or_default().to_owned(),
            setup_link: setup_link(),
        },
        // `invalid_client` was never seen. A rejected refresh token has the error of a wrong secret: see `may_be_about_client`.
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
        ("", _) => return no_oauth_error(refusal, api(base_url, refusal.response)),
        _ => TokenError::Refused,
    };
    Error::Token { cause, response: refusal.summary() }
}

/// Whether a refused refresh may be about the client: Bitbucket has one error for a rejected refresh token, for a wrong secret and
/// for a client that it refuses for some minutes. With any code, a description that names the client or its credentials counts.
pub(super) fn may_be_about_client(refusal: &Error) -> bool {
    let Error::Token { response, .. } = refusal else {
        return false;
    };
    let description = response.description().map(|text| text.sanitized().to_ascii_lowercase()).unwrap_or_default();
    response.error().is_some_and(|error| error.sanitized() == "unauthorized_client")
        || ["client", "credentials"].iter().any(|word| description.contains(word))
}

/// The meaning of a refusal of `/2.0`. The body may be empty or have members of unexpected types.
pub(super) fn api(base_url: &BaseUrl, response: &ApiResponse) -> Error {
    let error = Members::parse(response.text()).unwrap_or_default().members("error");
    let message = error.text("message").unwrap_or_default();
    let detail = error.text("detail");
    let summary = || Box::new(response.summary().with_error(Some(message.as_str()), detail.as_deref()));
    let api = |cause| Error::Api { cause, response: summary() };
    match response.status().as_u16() {
        // The other text, "invalid, expired, or not supported", does not say which of these it is.
        401 if message.to_ascii_lowercase().contains("access token expired") => api(ApiError::TokenExpired),
        401 => api(ApiError::TokenRejected),
        400 | 403 if lacks_scope(&error) => {
            let mut missing = missing(&error.members("detail"));
            if missing.is_empty() {
                missing.push(ACCOUNT_LABEL.to_owned());
            }
            api(ApiError::ScopeMissing { missing, setup_link: Some(setup_link(base_url)) })
        }
        403 => api(ApiError::Forbidden),
        404 => api(ApiError::NotFound),
        410 => api(ApiError::EndpointRemoved),
        _ => Error::Response { cause: ResponseError::Status, response: summary() },
    }
}

/// Whether a 403 means that the user is not in the workspace. It can also mean that the workspace has a condition that this
/// login does not meet, such as two-step verification or an allowed network; that does not show whether the user is a
/// member. By the API's description, a 403 without text means that the user is not in the workspace.
pub(super) fn means_not_a_member(response: &ApiResponse) -> bool {
    let error = Members::parse(response.text()).unwrap_or_default().members("error");
    let lower_case = |name| error.text(name).unwrap_or_default().to_ascii_lowercase();
    let text = format!("{} {}", lower_case("message"), lower_case("detail"));
    let has_any = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    text.trim().is_empty() || (has_any(&NO_ACCESS) && !has_any(&CONDITIONS))
}

/// Parts of texts that deny access, in lower case. The texts of this endpoint are not documented, so these are several wordings.
/// A text with none of them is an error, never a result.
const NO_ACCESS: [&str; 5] = ["no access", "not have access", "not a member", "access denied", "not have permission"];

/// Parts of texts about a condition of the workspace, in lower case: two-step verification, allowed IP addresses, single sign-on,
/// a suspended workspace, and other words for them. If one matches by mistake, the result is an error, never a membership.
///
/// Source: support.atlassian.com, "Error 403 when performing Git operations", for texts such as "an admin must whitelist your
/// IP" and "enable two-step authentication". The other words are a precaution.
const CONDITIONS: [&str; 21] = [
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
];

/// The page with the user's workspaces, because it is not known which of them owns the OAuth client.
fn setup_link(base_url: &BaseUrl) -> Box<Url> {
    Box::new(base_url.page(&["account", "workspaces", ""]))
}

/// Whether a scope is missing: then `detail` is an object. In the API's description it is a text; then only the message shows it.
fn lacks_scope(error: &Members<'_>) -> bool {
    error.members("detail").is_set("required")
        || error.text("message").is_some_and(|message| message.contains("privilege scopes"))
}

/// The check box that every call of a login needs. It is named if the response names no check box of the form: the response
/// may name the granular scopes of API tokens.
const ACCOUNT_LABEL: &str = "Account: Read";

/// The check boxes of the scopes that are required and not granted. Unknown scopes are left out: the server wrote the list.
fn missing(detail: &Members<'_>) -> Vec<String> {
    let granted = detail.texts("granted").unwrap_or_default();
    let required = detail.texts("required").unwrap_or_default();
    let lacking = required.into_iter().filter(|scope| !granted.contains(scope));
    lacking
        .filter_map(|scope| scope.parse::<Scope>().ok())
        .filter(|scope| scopes::describe(scope).label != scope.as_str())
        .map(|scope| scopes::describe(&scope).label.into_owned())
        .collect()
}
