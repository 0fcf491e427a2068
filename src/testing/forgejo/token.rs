//! `POST /login/oauth/access_token`.

use http::header::{AUTHORIZATION, CONTENT_TYPE};

use super::introspect::id_token;
use super::ledger::Issued;
use super::state::State;
use super::wire::{go_json, json, plain};
use crate::testing::jwt;
use crate::testing::wire::{Credentials, FakeRequest, FakeResponse, Params, basic, random_hex, verifier_matches};

pub(super) fn token(state: &mut State, request: &FakeRequest) -> FakeResponse {
    if !state.oauth {
        return plain(403, "Forbidden");
    }
    match granted(state, request) {
        Ok(grant) => json(200, &issue(state, grant)),
        Err((code, description)) => {
            json(400, &format!("{{\"error\":\"{code}\",\"error_description\":{}}}", go_json(&description)))
        }
    }
}

type OAuthError = (&'static str, String);

/// The id of the grant that gets new tokens.
fn granted(state: &mut State, request: &FakeRequest) -> Result<u64, OAuthError> {
    let params = body(request);
    let credentials = credentials(request, &params)?;
    match params.get("grant_type") {
        Some("authorization_code") => by_code(state, &params, &credentials),
        Some("refresh_token") => by_refresh_token(state, &params, &credentials),
        _ => Err((
            "unsupported_grant_type",
            "Only refresh_token or authorization_code grant type is supported".to_owned(),
        )),
    }
}

/// The checks are in the server's order. A failure does not use up the code.
fn by_code(state: &mut State, params: &Params, credentials: &Credentials) -> Result<u64, OAuthError> {
    let application = state.application(&credentials.id).ok_or_else(|| {
        let text = format!("cannot load client with client id: '{}'", credentials.id);
        ("invalid_client", text)
    })?;
    State::check_secret(application, credentials.secret.as_deref()).map_err(unauthorized)?;
    let redirect_uri = params.get("redirect_uri");
    if redirect_uri.is_some_and(|uri| !application.redirect_uris.iter().any(|registered| registered == uri)) {
        return Err(unauthorized("unexpected redirect URI"));
    }
    let text = params.get("code").unwrap_or_default();
    let code = state.ledger.code(text).ok_or_else(|| unauthorized("client is not authorized"))?;
    let age = state.ledger.now().saturating_sub(code.created);
    if state.code_lifetime.is_some_and(|lifetime| lifetime <= age) {
        return Err(invalid_grant("authorization code expired"));
    }
    let verified = match (&code.challenge, params.get("code_verifier")) {
        (Some(challenge), Some(verifier)) => verifier_matches(verifier, challenge),
        (None, None) => true,
        _ => false,
    };
    if !verified {
        return Err(unauthorized("failed PKCE code challenge"));
    }
    if redirect_uri != Some(&code.redirect_uri) {
        return Err(match state.version.gitea {
            true => invalid_grant("redirect_uri differs from the original authorization request"),
            false => unauthorized("redirect_uri does not match the authorization request"),
        });
    }
    let grant = code.grant;
    if state.ledger.grant(grant).is_none_or(|grant| grant.client_id != application.client_id) {
        return Err(invalid_grant("invalid grant"));
    }
    state.ledger.spend(text);
    if std::mem::take(&mut state.next_race_is_lost) {
        return Err(match state.version.gitea {
            true => invalid_grant("authorization code already used"),
            false => ("invalid_request", "cannot proceed your request".to_owned()),
        });
    }
    Ok(grant)
}

fn by_refresh_token(state: &mut State, params: &Params, credentials: &Credentials) -> Result<u64, OAuthError> {
    let invalid_client = |text: &str| ("invalid_client", text.to_owned());
    let application = state
        .application(&credentials.id)
        .ok_or_else(|| invalid_client(&format!("cannot load client with client id: {:?}", credentials.id)))?;
    State::check_secret(application, credentials.secret.as_deref()).map_err(invalid_client)?;
    let token = state.ledger.token(params.get("refresh_token").unwrap_or_default());
    let token = token.filter(|token| token.expires > state.ledger.now());
    let token = token.ok_or_else(|| unauthorized("unable to parse refresh token"))?;
    if !token.refresh {
        return Err(unauthorized("token is not a refresh token"));
    }
    let grant = state.ledger.grant(token.grant).ok_or_else(|| invalid_grant("grant does not exist"))?;
    if grant.client_id != application.client_id {
        return Err(invalid_grant(match state.version.gitea {
            true => "refresh token belongs to a different client",
            false => "refresh token was not issued to this client",
        }));
    }
    // Reuse revokes nothing.
    if state.rotates() && grant.counter != token.counter {
        return Err(unauthorized("token was already used"));
    }
    let grant = grant.id;
    if std::mem::take(&mut state.next_race_is_lost) {
        if let Some(grant) = state.ledger.grant_mut(grant) {
            grant.counter = grant.counter.saturating_add(1);
        }
        return Err(invalid_grant("cannot increase the grant counter"));
    }
    Ok(grant)
}

/// Stores a pair of tokens and writes the response, which names no scope.
fn issue(state: &mut State, grant: u64) -> String {
    let rotates = state.rotates();
    let Some(found) = state.ledger.grant_mut(grant) else { return String::new() };
    if rotates {
        found.counter = found.counter.saturating_add(1);
    }
    let found = found.clone();
    let now = state.ledger.now();
    let counter = if found.counter == 0 { String::new() } else { format!(",\"cnt\":{}", found.counter) };
    // Claims have whole seconds, so that two tokens of one second are the same.
    let unique = if state.unique_tokens { format!(",\"jti\":\"{}\"", random_hex(8)) } else { String::new() };
    let [access, refresh] = [(0, "", state.token_lifetime), (1, counter.as_str(), state.refresh_token_lifetime)].map(
        |(kind, counter, lifetime)| {
            let expires = now.saturating_add(lifetime);
            let claims = format!(
                "{{\"gnt\":{grant},\"tt\":{kind}{counter},\"exp\":{},\"iat\":{}{unique}}}",
                expires.as_secs(),
                now.as_secs()
            );
            let text = jwt::token(&state.ledger.key, &claims);
            let token = Issued { grant, refresh: kind == 1, counter: found.counter, expires };
            state.ledger.add_token(text.clone(), token);
            text
        },
    );
    let openid = found.scopes.split(' ').any(|scope| scope == "openid");
    let id_token = if openid { format!(",\"id_token\":\"{}\"", id_token(state, &found)) } else { String::new() };
    format!(
        "{{\"access_token\":\"{access}\",\"token_type\":\"bearer\",\"expires_in\":{},\"refresh_token\":\"{refresh}\"\
         {id_token}}}",
        state.token_lifetime.as_secs()
    )
}

/// A form, or the same members as JSON.
fn body(request: &FakeRequest) -> Params {
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !media_type.starts_with("application/json") {
        return Params::of_form(request).unwrap_or_default();
    }
    let members: std::collections::BTreeMap<String, String> =
        serde_json::from_slice(request.body()).unwrap_or_default();
    Params::parse(form_urlencoded::Serializer::new(String::new()).extend_pairs(members).finish().as_bytes())
}

/// Credentials in the body, by HTTP Basic, or the same ones in both.
fn credentials(request: &FakeRequest, params: &Params) -> Result<Credentials, OAuthError> {
    let invalid = |text: &str| ("invalid_request", text.to_owned());
    let id = params.get("client_id").map(str::to_owned);
    let secret = params.get("client_secret").map(str::to_owned);
    if !request.headers().contains_key(AUTHORIZATION) {
        return Ok(Credentials { id: id.unwrap_or_default(), secret });
    }
    let basic = basic(request).ok_or_else(|| invalid("cannot parse basic auth header"))?;
    if id.is_some_and(|id| id != basic.id) {
        return Err(invalid("client_id in request body inconsistent with Authorization header"));
    }
    if secret.is_some() && secret != basic.secret {
        return Err(invalid("client_secret in request body inconsistent with Authorization header"));
    }
    Ok(Credentials { secret: basic.secret.filter(|secret| !secret.is_empty()), ..basic })
}

fn unauthorized(text: &str) -> OAuthError {
    ("unauthorized_client", text.to_owned())
}

fn invalid_grant(text: &str) -> OAuthError {
    ("invalid_grant", text.to_owned())
}
