//! What an application does with a user's token: ends it, ends the grant, or checks it. And the revocation of leaked tokens.

use std::time::{Duration, UNIX_EPOCH};

use http::Method;
use serde_json::Value;

use super::grants::Token;
use super::state::State;
use super::wire::{JSON, bad_credentials, not_found, refused};
use crate::testing::wire::{FakeRequest, FakeResponse, basic, json_string, respond};

const DOCS: &str = "/apps/oauth-applications";

/// `/applications/{client_id}/token` and `/applications/{client_id}/grant`, with HTTP Basic and a JSON body.
pub(super) fn call(state: &mut State, request: &FakeRequest, client_id: &str, what: &str) -> FakeResponse {
    let routes = [(Method::DELETE, "token"), (Method::DELETE, "grant"), (Method::POST, "token")];
    if !routes.iter().any(|(method, name)| method == request.method() && *name == what) {
        return not_found(state, DOCS);
    }
    let Some(sent) = basic(request) else {
        return refused(state, 401, "Requires authentication", DOCS);
    };
    let app = state.application(client_id).filter(|app| app.application.client_id == sent.id);
    let Some(app) = app.filter(|app| sent.secret.as_ref() == Some(&app.application.client_secret)) else {
        return match state.options.wrong_secret_status {
            401 => bad_credentials(state),
            _ => not_found(state, DOCS),
        };
    };
    let name = app.application.name.clone();
    let Ok(body) = serde_json::from_slice::<Value>(request.body()) else {
        return refused(state, 400, "Problems parsing JSON", DOCS);
    };
    let Some(access) = body.get("access_token").and_then(Value::as_str) else {
        return invalid(state);
    };
    // Refresh tokens, expired and revoked tokens, and tokens of other applications are unknown.
    let token = state.grants.by_access(access).filter(|token| token.client_id == client_id).cloned();
    let Some(token) = token else {
        return not_found(state, DOCS);
    };
    match (request.method(), what) {
        (&Method::POST, _) => return respond(200, &[JSON], authorization_json(state, &token, &name)),
        (_, "grant") => state.grants.revoke_grant(client_id, token.user),
        _ => {
            let keep = state.options.keep_refresh_token;
            state.grants.revoke(access, keep);
        }
    }
    respond(204, &[], Vec::new())
}

/// `POST /credentials/revoke`, which needs no authentication.
pub(super) fn revoke_leaked(state: &mut State, request: &FakeRequest) -> FakeResponse {
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let credentials: Option<Vec<&str>> = body
        .get("credentials")
        .and_then(Value::as_array)
        .and_then(|credentials| credentials.iter().map(Value::as_str).collect());
    match credentials {
        Some(credentials) if (1..=1000).contains(&credentials.len()) => {
            credentials.into_iter().for_each(|access| state.grants.revoke(access, false));
            respond(202, &[JSON], "{}")
        }
        _ => invalid(state),
    }
}

fn invalid(state: &State) -> FakeResponse {
    refused(state, 422, "Validation Failed", DOCS)
}

fn authorization_json(state: &State, token: &Token, name: &str) -> String {
    let last_eight: String = token.access.chars().skip(token.access.chars().count().saturating_sub(8)).collect();
    let scopes: Vec<String> = token.scopes.iter().map(|scope| json_string(scope)).collect();
    let user = state.user_with_id(token.user).map_or_else(|| "null".to_owned(), |user| user.short_json(state));
    let time = |since: Duration| json_string(&iso_time(since));
    format!(
        "{{\"id\":{id},\"url\":{url},\"scopes\":[{scopes}],\"token\":{access},\"token_last_eight\":{last_eight},\
         \"hashed_token\":{hashed},\"app\":{{\"client_id\":{client_id},\"name\":{name},\
         \"url\":\"http://127.0.0.1\"}},\"note\":null,\"note_url\":null,\"updated_at\":{created},\
         \"created_at\":{created},\"fingerprint\":null,\"user\":{user},\"expires_at\":{expires}}}",
        id = token.id,
        url = json_string(&format!("{}/authorizations/{}", state.api_url, token.id)),
        scopes = scopes.join(","),
        access = json_string(&token.access),
        last_eight = json_string(&last_eight),
        hashed = json_string(&sha256_hex(&token.access)),
        client_id = json_string(&token.client_id),
        name = json_string(name),
        created = time(token.created),
        expires = token.expires().map_or_else(|| "null".to_owned(), time),
    )
}

fn sha256_hex(text: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A time as `2011-01-25T18:44:36Z`.
fn iso_time(since_1970: Duration) -> String {
    let text = httpdate::fmt_http_date(UNIX_EPOCH.checked_add(since_1970).unwrap_or(UNIX_EPOCH));
    let parts: Vec<&str> = text.split(' ').collect();
    let [_, day, month, year, time, _] = parts.as_slice() else {
        return text;
    };
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|name| name == month).unwrap_or(0).saturating_add(1);
    format!("{year}-{month:02}-{day}T{time}Z")
}
