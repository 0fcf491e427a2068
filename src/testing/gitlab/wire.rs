//! Responses in GitLab's form.

use super::user::rails_json;
use crate::testing::wire::{FakeResponse, add_header, random_hex, respond};

pub(super) const JSON: (&str, &str) = ("Content-Type", "application/json; charset=utf-8");
pub(super) const NO_STORE: (&str, &str) = ("Cache-Control", "no-store");
pub(super) const PRAGMA: (&str, &str) = ("Pragma", "no-cache");
pub(super) const NO_CACHE: (&str, &str) = ("Cache-Control", "no-cache");
pub(super) const PRIVATE: (&str, &str) = ("Cache-Control", "max-age=0, private, must-revalidate");
pub(super) const VARY: (&str, &str) = ("Vary", "Accept");
const API_JSON: (&str, &str) = ("Content-Type", "application/json");

/// An error of the token endpoint.
pub(super) struct OAuthError {
    status: u16,
    code: &'static str,
    description: String,
    /// Errors that Doorkeeper raises before it looks at the grant have no `Vary`.
    early: bool,
}

impl OAuthError {
    pub(super) fn invalid_grant() -> Self {
        Self::new(
            400,
            "invalid_grant",
            "The provided authorization grant is invalid, expired, revoked, does not match the redirection URI used \
             in the authorization request, or was issued to another client.",
        )
    }

    pub(super) fn invalid_client() -> Self {
        Self::new(401, "invalid_client", CLIENT_FAILED)
    }

    pub(super) fn invalid_scope() -> Self {
        Self::new(400, "invalid_scope", INVALID_SCOPE)
    }

    pub(super) fn missing(parameter: &str) -> Self {
        Self::new(400, "invalid_request", &missing_parameter(parameter))
    }

    pub(super) fn malformed() -> Self {
        Self::new(
            400,
            "invalid_request",
            "The request is missing a required parameter, includes an unsupported parameter value, or is otherwise \
             malformed.",
        )
    }

    pub(super) fn two_mechanisms() -> Self {
        let text = "The request utilizes more than one mechanism for authenticating the client.";
        Self::new(400, "invalid_request", text)
    }

    pub(super) fn unsupported_grant_type() -> Self {
        let text = "The authorization grant type is not supported by the authorization server.";
        Self::new(400, "unsupported_grant_type", text)
    }

    pub(super) fn early(self) -> Self {
        Self { early: true, ..self }
    }

    pub(super) fn response(&self) -> FakeResponse {
        let Self { status, code, description, early } = self;
        let challenge = format!("Bearer realm=\"Doorkeeper\", error=\"{code}\", error_description=\"{description}\"");
        let mut headers = vec![NO_STORE, PRAGMA, JSON, ("WWW-Authenticate", &challenge)];
        if !early {
            headers.push(VARY);
        }
        respond(*status, &headers, error_json(code, description))
    }

    fn new(status: u16, code: &'static str, description: &str) -> Self {
        Self { status, code, description: description.to_owned(), early: false }
    }
}

pub(super) const CLIENT_FAILED: &str = "Client authentication failed due to unknown client, no client authentication \
                                        included, or unsupported authentication method.";
pub(super) const INVALID_SCOPE: &str = "The requested scope is invalid, unknown, or malformed.";

pub(super) fn missing_parameter(name: &str) -> String {
    format!("Missing required parameter: {name}.")
}

/// Each scope of a request once, in its order; `None` if there is none. Only spaces separate them.
pub(super) fn unique_scopes(text: &str) -> Option<String> {
    let mut scopes: Vec<&str> = Vec::new();
    for scope in text.split(' ') {
        if !scope.is_empty() && !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    (!scopes.is_empty()).then(|| scopes.join(" "))
}

pub(super) fn error_json(code: &str, description: &str) -> String {
    format!("{{\"error\":{},\"error_description\":{}}}", rails_json(code), rails_json(description))
}

/// A response below `/api/v4`.
pub(super) fn api(status: u16, challenge: Option<&str>, body: String) -> FakeResponse {
    let meta = format!("{{\"correlation_id\":\"{}\",\"version\":\"1\"}}", correlation_id());
    let mut headers = vec![("Vary", "Origin"), ("X-Gitlab-Meta", &meta)];
    headers.extend(challenge.map(|challenge| ("WWW-Authenticate", challenge)));
    headers.push(API_JSON);
    headers.push(if status == 200 { PRIVATE } else { NO_CACHE });
    respond(status, &headers, body)
}

pub(super) fn api_message(status: u16, message: &str) -> FakeResponse {
    api(status, None, format!("{{\"message\":{}}}", rails_json(message)))
}

/// The error for a token in the header and as a parameter. In a real GitLab it comes from a layer before the API.
pub(super) fn two_tokens() -> FakeResponse {
    let body = error_json("invalid_request", "Both Authorization header and payload includes access token.");
    respond(400, &[API_JSON, NO_CACHE], body)
}

/// Rails' response if there is no route for the path and method.
pub(super) fn not_found() -> FakeResponse {
    respond(404, &[("Content-Type", "text/html; charset=UTF-8")], Vec::new())
}

/// If the response has `X-Gitlab-Meta`, the id is the one in that header.
pub(super) fn add_request_id(response: &mut FakeResponse) {
    let meta = response.headers().get("X-Gitlab-Meta").and_then(|value| value.to_str().ok());
    let id = meta.and_then(|meta| meta.split('"').nth(3)).map_or_else(correlation_id, str::to_owned);
    add_header(response, "X-Request-Id", &id);
}

fn correlation_id() -> String {
    let mut id = random_hex(16);
    for index in [20, 16, 12, 8] {
        id.insert(index, '-');
    }
    id
}
