//! `POST /oauth/token` and `POST /oauth/revoke`.

use std::time::Duration;

use super::state::State;
use super::user::rails_json;
use super::wire::{JSON, NO_CACHE, NO_STORE, OAuthError, PRAGMA, PRIVATE, VARY, error_json, unique_scopes};
use crate::testing::grants::Token;
use crate::testing::jwt;
use crate::testing::wire::{
    Credentials, FakeRequest, FakeResponse, Params, basic, random_hex, respond, verifier_matches,
};

pub(super) fn token(state: &mut State, request: &FakeRequest) -> FakeResponse {
    match issue(state, request) {
        Ok((token, nonce)) => {
            let body = token_json(state, &token, nonce.as_deref());
            state.grants.add_token(token);
            respond(200, &[NO_STORE, PRAGMA, JSON, VARY], body)
        }
        Err(error) => error.response(),
    }
}

pub(super) fn revoke(state: &mut State, request: &FakeRequest) -> FakeResponse {
    let params = Params::of_form(request).unwrap_or_default();
    let credentials = credentials(request, &params).ok().flatten();
    let client = credentials.and_then(|credentials| state.client(&credentials)).map(|client| client.client_id.clone());
    let Some(client) = client else {
        return revocation_refused();
    };
    let text = params.get("token").unwrap_or_default();
    let now = state.grants.now();
    let by_access = state.grants.by_access(text).filter(|_| params.get("token_type_hint") != Some("refresh_token"));
    if let Some(token) = by_access.or_else(|| state.grants.by_refresh(text)) {
        if token.client_id != client {
            return revocation_refused();
        }
        // An expired access token can no longer revoke the grant, but its refresh token can.
        let access = token.access.clone();
        if token.refresh == text || !token.is_expired(now) {
            state.grants.revoke(&access);
        }
    }
    respond(200, &[JSON, VARY, PRIVATE], "{}")
}

/// The order of the checks is Doorkeeper's.
fn issue(state: &mut State, request: &FakeRequest) -> Result<(Token, Option<String>), OAuthError> {
    let params = Params::of_form(request).ok_or_else(|| OAuthError::malformed().early())?;
    let Some(grant_type) = params.get("grant_type") else {
        return Err(OAuthError::missing("grant_type").early());
    };
    let credentials = credentials(request, &params)?;
    match grant_type {
        "authorization_code" => by_code(state, &params, credentials),
        "refresh_token" => by_refresh_token(state, &params, credentials).map(|token| (token, None)),
        _ => Err(OAuthError::unsupported_grant_type().early()),
    }
}

/// A failure does not use up the code.
fn by_code(
    state: &mut State,
    params: &Params,
    credentials: Option<Credentials>,
) -> Result<(Token, Option<String>), OAuthError> {
    let text = params.get("code").ok_or_else(|| OAuthError::missing("code").early())?;
    let code = state.grants.code(text);
    let verifier = params.get("code_verifier");
    let challenge = code.as_ref().and_then(|code| code.challenge.as_deref());
    if challenge.is_some() && verifier.is_none() {
        return Err(OAuthError::missing("code_verifier"));
    }
    let redirect_uri = params.get("redirect_uri").ok_or_else(|| OAuthError::missing("redirect_uri"))?;
    let client =
        credentials.and_then(|credentials| state.client(&credentials)).ok_or_else(OAuthError::invalid_client)?;
    let code = code.as_ref().ok_or_else(OAuthError::invalid_grant)?;
    let verified = match (challenge, verifier) {
        (Some(challenge), Some(verifier)) => verifier_matches(verifier, challenge),
        (None, None) => true,
        _ => false,
    };
    if code.client_id != client.client_id || code.redirect_uri.as_deref() != Some(redirect_uri) || !verified {
        return Err(OAuthError::invalid_grant());
    }
    state.grants.use_up(text);
    let token = new_token(state, &code.client_id, &code.user, &code.scopes, state.token_lifetime);
    Ok((token, code.nonce.clone()))
}

/// Doorkeeper checks the refresh token before the client.
fn by_refresh_token(state: &mut State, params: &Params, credentials: Option<Credentials>) -> Result<Token, OAuthError> {
    let text = params.get("refresh_token").ok_or_else(|| OAuthError::missing("refresh_token"))?;
    let old = state.grants.by_refresh(text).filter(|token| !token.refresh_revoked);
    let old = old.cloned().ok_or_else(OAuthError::invalid_grant)?;
    // Without credentials the error is `invalid_grant`, as for another client's token, and not `invalid_client`.
    let credentials = credentials.ok_or_else(OAuthError::invalid_grant)?;
    let client = state.client(&credentials).ok_or_else(OAuthError::invalid_client)?;
    if client.client_id != old.client_id {
        return Err(OAuthError::invalid_grant());
    }
    let scopes = params.get("scope").and_then(unique_scopes).unwrap_or_else(|| old.scopes.clone());
    if !scopes.split(' ').all(|scope| old.scopes.split_whitespace().any(|own| own == scope)) {
        return Err(OAuthError::invalid_scope());
    }
    // Both tokens of the old pair are revoked at once.
    state.grants.revoke(&old.access);
    Ok(new_token(state, &old.client_id, &old.user, &scopes, old.lifetime))
}

fn new_token(state: &State, client_id: &str, user: &str, scopes: &str, lifetime: Option<Duration>) -> Token {
    Token {
        access: random_hex(32),
        refresh: random_hex(32),
        client_id: client_id.to_owned(),
        user: user.to_owned(),
        scopes: scopes.to_owned(),
        created: state.grants.now(),
        lifetime,
        expired_early: false,
        access_revoked: false,
        refresh_revoked: false,
    }
}

/// Doorkeeper leaves out empty members.
fn token_json(state: &State, token: &Token, nonce: Option<&str>) -> String {
    let expires_in =
        token.lifetime.map(|lifetime| format!("\"expires_in\":{},", lifetime.as_secs())).unwrap_or_default();
    format!(
        "{{\"access_token\":\"{}\",\"token_type\":\"Bearer\",{expires_in}\"refresh_token\":\"{}\",\"scope\":\"{}\",\
         \"created_at\":{}{}}}",
        token.access,
        token.refresh,
        token.scopes,
        token.created.as_secs(),
        id_token(state, token, nonce).map(|text| format!(",\"id_token\":\"{text}\"")).unwrap_or_default(),
    )
}

/// With the scope `openid`. It is valid for two minutes, and has the address with the scope `email`.
fn id_token(state: &State, token: &Token, nonce: Option<&str>) -> Option<String> {
    let has = |scope: &str| token.scopes.split_whitespace().any(|own| own == scope);
    let user = state.user_with_id(&token.user).filter(|_| has("openid"))?;
    let (now, issuer) = (token.created.as_secs(), state.issuer.as_deref().unwrap_or(&state.base_url));
    let nonce = nonce.map(|nonce| format!(",\"nonce\":{}", rails_json(nonce))).unwrap_or_default();
    let email = format!(",\"email\":{},\"email_verified\":{}", rails_json(&user.email), user.confirmed_at.is_some());
    let claims = format!(
        "{{\"iss\":{},\"sub\":\"{}\",\"aud\":{},\"exp\":{},\"iat\":{now}{nonce}{}}}",
        rails_json(issuer),
        user.id,
        rails_json(&token.client_id),
        now.saturating_add(120),
        if has("email") { email } else { String::new() },
    );
    Some(jwt::token(b"a key of this fake", &claims))
}

/// Credentials by HTTP Basic (not form-decoded) or in the body, but not both (Doorkeeper 5.9.5).
fn credentials(request: &FakeRequest, params: &Params) -> Result<Option<Credentials>, OAuthError> {
    let secret = params.get("client_secret").map(str::to_owned);
    let in_body = params.get("client_id").map(|id| Credentials { id: id.to_owned(), secret });
    match (basic(request), in_body) {
        (Some(_), Some(body)) if body.secret.is_some() => Err(OAuthError::two_mechanisms()),
        (Some(basic), Some(body)) if basic.id != body.id => Err(OAuthError::two_mechanisms()),
        (Some(basic), _) => Ok(Some(basic)),
        (None, in_body) => Ok(in_body),
    }
}

fn revocation_refused() -> FakeResponse {
    let body = error_json("unauthorized_client", "You are not authorized to revoke this token");
    respond(403, &[JSON, VARY, NO_CACHE], body)
}
