//! `POST /site/oauth2/access_token`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::state::{RefreshRotation, State};
use crate::testing::grants::Token;
use crate::testing::wire::{
    Credentials, FakeRequest, FakeResponse, Params, basic, form_decode, json_string, random, respond, verifier_matches,
};

pub(super) fn token(state: &mut State, request: &FakeRequest) -> FakeResponse {
    match issue(state, request) {
        Ok(body) => respond(200, &[JSON, NO_STORE, PRAGMA], body),
        Err((code, text)) => {
            let body = format!("{{\"error_description\": {}, \"error\": \"{code}\"}}", json_string(&text));
            respond(400, &[JSON, NO_STORE, PRAGMA], body)
        }
    }
}

const JSON: (&str, &str) = ("Content-Type", "application/json");
const NO_STORE: (&str, &str) = ("Cache-Control", "no-store");
const PRAGMA: (&str, &str) = ("Pragma", "no-cache");

/// The code and the description.
type OAuthError = (&'static str, String);

fn issue(state: &mut State, request: &FakeRequest) -> Result<String, OAuthError> {
    // A body that is not a form has no grant type.
    let params = Params::of_form(request).unwrap_or_default();
    let grant_type = params.get("grant_type").unwrap_or("None");
    if !["authorization_code", "refresh_token"].contains(&grant_type) {
        return Err(("invalid_grant", format!("Unsupported grant type: {grant_type}")));
    }
    let client_id = client(state, request)?;
    match grant_type {
        "refresh_token" => by_refresh_token(state, &params, &client_id),
        _ => by_code(state, &params, &client_id),
    }
}

fn client(state: &State, request: &FakeRequest) -> Result<String, OAuthError> {
    let Some(sent) = basic(request) else {
        return Err(unauthorized("Requests must be authenticated using OAuth client credentials"));
    };
    // RFC 6749 section 2.3.1: both were form-encoded before they were joined.
    let sent = Credentials { id: form_decode(&sent.id), secret: sent.secret.as_deref().map(form_decode) };
    let client = state.applications.iter().find(|application| application.accepts(&sent));
    let client = client.ok_or_else(invalid_credentials)?;
    if client.redirect_uris.is_empty() {
        return Err(("invalid_request", "No callback uri defined for the OAuth client.".to_owned()));
    }
    Ok(client.client_id.clone())
}

fn by_code(state: &mut State, params: &Params, client_id: &str) -> Result<String, OAuthError> {
    let text = params.get("code").unwrap_or_default();
    let code = state.grants.code(text).filter(|code| code.client_id == client_id);
    let code = code.ok_or_else(|| invalid_grant("The specified code is not valid."))?;
    if params.get("redirect_uri") != code.redirect_uri.as_deref() {
        return Err(invalid_grant("The redirect_uri does not match."));
    }
    let verified = match (&code.challenge, params.get("code_verifier")) {
        (Some(challenge), Some(verifier)) => verifier_matches(verifier, challenge),
        (None, None) => true,
        _ => false,
    };
    if !verified {
        return Err(invalid_grant("The code_verifier does not match."));
    }
    state.grants.use_up(text);
    let token = Token {
        access: new_token(state.rotation),
        refresh: new_token(state.rotation),
        client_id: code.client_id,
        user: code.user,
        scopes: code.scopes,
        created: state.grants.now(),
        lifetime: state.token_lifetime,
        expired_early: false,
        access_revoked: false,
        refresh_revoked: false,
    };
    Ok(store_token(state, token, "authorization_code"))
}

fn by_refresh_token(state: &mut State, params: &Params, client_id: &str) -> Result<String, OAuthError> {
    let text = params.get("refresh_token").unwrap_or_default();
    let old = state.grants.by_refresh(text).filter(|old| !old.refresh_revoked && old.client_id == client_id);
    let Some(old) = old.cloned() else {
        // The new back end sends the same error as for a wrong client secret.
        return Err(match state.rotation {
            RefreshRotation::Rotating => invalid_credentials(),
            RefreshRotation::Old => ("invalid_request", "Invalid refresh_token".to_owned()),
        });
    };
    let refresh = match state.rotation {
        RefreshRotation::Rotating => new_token(state.rotation),
        RefreshRotation::Old => old.refresh.clone(),
    };
    // The old access token stays valid until it expires.
    if refresh != old.refresh {
        state.grants.use_up_refresh(&old.refresh);
    }
    let created = state.grants.now();
    let token = Token { access: new_token(state.rotation), refresh, created, expired_early: false, ..old };
    Ok(store_token(state, token, "refresh_token"))
}

/// Stores the token and returns the response body.
fn store_token(state: &mut State, token: Token, grant: &str) -> String {
    let Token { access, refresh, scopes, .. } = &token;
    let seconds = token.lifetime.as_ref().map(Duration::as_secs);
    let expires_in = seconds.map(|seconds| format!("\"expires_in\": {seconds}, ")).unwrap_or_default();
    let body = match state.rotation {
        RefreshRotation::Rotating => format!(
            "{{\"access_token\": \"{access}\", \"scope\": \"{scopes}\", {expires_in}\"token_type\": \"bearer\", \
             \"refresh_token\": \"{refresh}\"}}"
        ),
        RefreshRotation::Old => format!(
            "{{\"scopes\": \"{scopes}\", \"access_token\": \"{access}\", {expires_in}\"token_type\": \"bearer\", \
             \"state\": \"{grant}\", \"refresh_token\": \"{refresh}\"}}"
        ),
    };
    state.grants.add_token(token);
    body
}

/// Tokens of the new back end look like JSON Web Tokens.
fn new_token(rotation: RefreshRotation) -> String {
    match rotation {
        RefreshRotation::Old => format!("{}=", URL_SAFE_NO_PAD.encode(random(62))),
        RefreshRotation::Rotating => format!(
            "{}.{}.{}",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#),
            URL_SAFE_NO_PAD.encode(random(1500)),
            URL_SAFE_NO_PAD.encode(random(256))
        ),
    }
}

fn invalid_credentials() -> OAuthError {
    unauthorized("Invalid OAuth client credentials")
}

fn unauthorized(text: &str) -> OAuthError {
    ("unauthorized_client", text.to_owned())
}

fn invalid_grant(text: &str) -> OAuthError {
    ("invalid_grant", text.to_owned())
}
