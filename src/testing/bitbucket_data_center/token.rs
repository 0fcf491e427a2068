//! `POST /rest/oauth2/latest/token`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};

use super::scopes;
use super::state::State;
use crate::testing::grants::Token;
use crate::testing::wire::{
    Credentials, FakeRequest, FakeResponse, Params, json_string, random, random_hex, respond, verifier_matches,
};

pub(super) fn token(state: &mut State, request: &FakeRequest) -> FakeResponse {
    if !request.headers().contains_key(CONTENT_TYPE) {
        return OAuthError::invalid_request("The content type is missing.").response();
    }
    let Some(params) = Params::of_form(request) else {
        let text = "Form parameters need an entity of the type application/x-www-form-urlencoded";
        return respond(500, &[JSON], format!("{{\"message\":{},\"status-code\":500}}", json_string(text)));
    };
    // A real one accepts the query, so that secrets get into its access log.
    if request.uri().query().is_some_and(|query| !query.is_empty()) {
        return OAuthError::invalid_request("The parameters must be in the body.").response();
    }
    let granted = match params.get("grant_type") {
        Some("authorization_code") => by_code(state, request, &params),
        Some("refresh_token") => by_refresh_token(state, request, &params),
        Some(_) => Err(OAuthError::new(400, "unsupported_grant_type", "The grant type is not supported.")),
        None => Err(OAuthError::missing("grant_type")),
    };
    match granted {
        Ok(body) => respond(200, &[JSON, NO_STORE, PRAGMA], body),
        Err(error) => error.response(),
    }
}

const JSON: (&str, &str) = ("Content-Type", "application/json");
const NO_STORE: (&str, &str) = ("Cache-Control", "no-store");
const PRAGMA: (&str, &str) = ("Pragma", "no-cache");

fn by_code(state: &mut State, request: &FakeRequest, params: &Params) -> Result<String, OAuthError> {
    let text = params.get("code").ok_or_else(|| OAuthError::missing("code"))?;
    let redirect_uri = params.get("redirect_uri").ok_or_else(|| OAuthError::missing("redirect_uri"))?;
    let client = client(state, request, params);
    let dead = || OAuthError::new(400, "invalid_grant", "The code is wrong, used or expired.");
    let (client, code) = match state.options.grant_checked_first {
        true => {
            let code = state.grants.code(text).ok_or_else(dead)?;
            (client?, code)
        }
        false => (client?, state.grants.code(text).ok_or_else(dead)?),
    };
    if code.client_id != client {
        return Err(dead());
    }
    let verified = match (&code.challenge, params.get("code_verifier")) {
        (Some(challenge), Some(verifier)) => verifier_matches(verifier, challenge),
        (None, None) => true,
        _ => false,
    };
    let matches = code.redirect_uri.as_deref() == Some(redirect_uri);
    if matches && verified || state.options.failed_exchange_spends_code {
        state.grants.use_up(text);
    }
    if !matches {
        return Err(OAuthError::new(400, "invalid_grant", "The redirect URL is not that of the request."));
    }
    if !verified {
        return Err(OAuthError::new(400, "invalid_grant", "The code verifier is wrong."));
    }
    let refresh = random_hex(32);
    let token = Token {
        access: access_token(),
        refresh,
        client_id: code.client_id,
        user: code.user,
        scopes: code.scopes,
        created: state.grants.now(),
        lifetime: state.options.token_lifetime,
        expired_early: false,
        access_revoked: false,
        refresh_revoked: false,
    };
    Ok(given(state, token))
}

/// Its refusals have no description, whatever is wrong.
fn by_refresh_token(state: &mut State, request: &FakeRequest, params: &Params) -> Result<String, OAuthError> {
    let text = params.get("refresh_token").ok_or_else(|| OAuthError::missing("refresh_token"))?;
    let client = client(state, request, params);
    let (client, old) = match state.options.grant_checked_first {
        true => {
            let old = usable(state, text).ok_or_else(OAuthError::invalid_grant)?;
            (client?, old)
        }
        false => (client?, usable(state, text).ok_or_else(OAuthError::invalid_grant)?),
    };
    let link = state.application(&client).filter(|_| client == old.client_id).ok_or_else(OAuthError::invalid_grant)?;
    let redirect_uri_fits = match params.get("redirect_uri") {
        Some(url) => state.redirect_urls(link).contains(&url),
        None => !state.options.refresh_needs_redirect_uri,
    };
    if !redirect_uri_fits {
        return Err(OAuthError::invalid_grant());
    }
    let refresh = match state.options.rotate_refresh_tokens {
        true => {
            // Both tokens of the old pair end at once.
            state.grants.revoke(&old.access);
            random_hex(32)
        }
        false => old.refresh.clone(),
    };
    let created = state.grants.now();
    let token = Token { access: access_token(), refresh, created, expired_early: false, ..old };
    Ok(given(state, token))
}

/// The pair of a refresh token that has neither ended nor expired.
fn usable(state: &State, refresh: &str) -> Option<Token> {
    let alive = state.refresh_expiry.get(refresh).is_some_and(|expires| *expires > state.grants.now());
    let token = state.grants.by_refresh(refresh).filter(|token| alive && !token.refresh_revoked)?;
    let user = state.user_with_id(&token.user)?;
    (user.active || !state.options.stop_inactive_users).then(|| token.clone())
}

/// The client ID of the link. Credentials must be in the body.
fn client(state: &State, request: &FakeRequest, params: &Params) -> Result<String, OAuthError> {
    let failed = || OAuthError::new(state.options.invalid_client_status, "invalid_client", "Wrong client credentials.");
    let id = params.get("client_id").ok_or_else(failed)?;
    let secret = params.get("client_secret");
    if request.headers().contains_key(AUTHORIZATION) {
        return Err(OAuthError::invalid_request("The client has authenticated in two ways."));
    }
    let link = state.application(id).ok_or_else(failed)?;
    let sent = Credentials { id: id.to_owned(), secret: secret.map(str::to_owned) };
    let passes = link.accepts(&sent) || (secret.is_some() && !state.options.validate_client_secret);
    if passes { Ok(link.client_id.clone()) } else { Err(failed()) }
}

/// Stores the token and writes the response.
fn given(state: &mut State, token: Token) -> String {
    let expires = token.created.saturating_add(state.options.refresh_token_lifetime);
    // A refresh token that is used again does not live longer.
    state.refresh_expiry.entry(token.refresh.clone()).or_insert(expires);
    let expires_in = token.lifetime.map(|lifetime| format!("\"expires_in\":{},", lifetime.as_secs()));
    let created_at = state.options.created_at.then(|| format!(",\"created_at\":{}", token.created.as_secs()));
    let body = format!(
        "{{\"access_token\":\"{}\",\"token_type\":\"bearer\",{}\"refresh_token\":\"{}\",\"scope\":\"{}\"{}}}",
        token.access,
        expires_in.unwrap_or_default(),
        token.refresh,
        scopes::listed(&token.scopes, &state.options),
        created_at.unwrap_or_default(),
    );
    state.grants.add_token(token);
    body
}

/// Looks like a JSON Web Token.
fn access_token() -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
    format!("{header}.{}.{}", URL_SAFE_NO_PAD.encode(random(600)), URL_SAFE_NO_PAD.encode(random(256)))
}

struct OAuthError {
    status: u16,
    error: &'static str,
    description: Option<String>,
}

impl OAuthError {
    fn new(status: u16, error: &'static str, description: &str) -> Self {
        Self { status, error, description: Some(description.to_owned()) }
    }

    fn invalid_request(description: &str) -> Self {
        Self::new(400, "invalid_request", description)
    }

    fn missing(parameter: &str) -> Self {
        Self::invalid_request(&format!("The parameter {parameter} is missing."))
    }

    fn invalid_grant() -> Self {
        Self { status: 400, error: "invalid_grant", description: None }
    }

    fn response(&self) -> FakeResponse {
        let description =
            self.description.as_deref().map(|text| format!(",\"error_description\":{}", json_string(text)));
        let body = format!("{{\"error\":\"{}\"{}}}", self.error, description.unwrap_or_default());
        respond(self.status, &[JSON, NO_STORE, PRAGMA], body)
    }
}
