//! `GET /.well-known/openid-configuration`.

use super::state::State;
use super::wire::{go_json, json, nothing_here};
use crate::testing::wire::FakeResponse;

pub(super) fn discovery(state: &State) -> FakeResponse {
    // Older servers have the document even without OAuth.
    if !state.oauth && state.version.at_least([13, 0, 0], [1, 25, 0]) {
        return nothing_here();
    }
    let named = |(member, path): (&str, &str)| {
        format!(",\n    \"{member}\": {}", go_json(&format!("{}{path}", state.root_url)))
    };
    let endpoints: String = ENDPOINTS.into_iter().map(named).collect();
    json(200, &format!("{{\n    \"issuer\": {}{endpoints},\n{CAPABILITIES}\n}}", go_json(&issuer(state))))
}

/// Without a trailing slash since Forgejo 12 and Gitea 1.25.
pub(super) fn issuer(state: &State) -> String {
    let slash = if state.version.at_least([12, 0, 0], [1, 25, 0]) { "" } else { "/" };
    format!("{}{slash}", state.root_url)
}

/// The version, which `/api/v1/version` and Forgejo's own API report.
pub(super) fn version(state: &State) -> FakeResponse {
    json(200, &format!("{{\"version\":{}}}", go_json(&state.version.text)))
}

const ENDPOINTS: [(&str, &str); 5] = [
    ("authorization_endpoint", "/login/oauth/authorize"),
    ("token_endpoint", "/login/oauth/access_token"),
    ("jwks_uri", "/login/oauth/keys"),
    ("userinfo_endpoint", "/login/oauth/userinfo"),
    ("introspection_endpoint", "/login/oauth/introspect"),
];

const CAPABILITIES: &str = r#"    "response_types_supported": ["code", "id_token"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "subject_types_supported": ["public"],
    "scopes_supported": ["openid", "profile", "email", "groups"],
    "claims_supported": ["aud", "exp", "iat", "iss", "sub", "name", "preferred_username", "profile", "picture", "website", "locale", "updated_at", "email", "email_verified", "groups"],
    "code_challenge_methods_supported": ["plain", "S256"],
    "grant_types_supported": ["authorization_code", "refresh_token"]"#;
