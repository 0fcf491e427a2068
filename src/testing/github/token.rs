//! `POST /login/oauth/access_token`.

use std::collections::BTreeMap;

use http::header::ACCEPT;
use serde_json::Value;

use super::grants::{REFRESH_LIFETIME, Token};
use super::state::{Registered, State};
use super::token_format::{access_token, refresh_token};
use super::wire::{JSON, slow_down};
use crate::testing::wire::{
    Credentials, FakeRequest, FakeResponse, Params, basic, json_string, respond, verifier_matches,
};

pub(super) fn token(state: &mut State, request: &FakeRequest) -> FakeResponse {
    let now = state.grants.now();
    if let Some(secondary) = state.limits.secondary(now) {
        return slow_down(state, secondary);
    }
    let (status, members) = match granted(state, request) {
        Ok(token) => (200, success(state, &token)),
        Err(error) => (error.status(), error.members()),
    };
    // Without `Accept` the response is a form, also that of an error.
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.contains("application/json") {
        let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{}", value.json())).collect();
        return respond(status, &[JSON], format!("{{{}}}", members.join(",")));
    }
    let pairs = members.iter().map(|(name, value)| (*name, value.text()));
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    respond(status, &[("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")], form)
}

enum Member {
    Text(String),
    Number(u64),
}

impl Member {
    fn json(&self) -> String {
        match self {
            Self::Text(text) => json_string(text),
            Self::Number(number) => number.to_string(),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
        }
    }
}

type Members = Vec<(&'static str, Member)>;

fn success(state: &State, token: &Token) -> Members {
    let number = |number: u64| match state.options.numbers_as_text {
        true => Member::Text(number.to_string()),
        false => Member::Number(number),
    };
    let mut members = vec![("access_token", Member::Text(token.access.clone()))];
    if let Some(lifetime) = token.lifetime {
        members.extend([
            ("expires_in", number(lifetime.as_secs())),
            ("refresh_token", Member::Text(token.refresh.clone())),
            ("refresh_token_expires_in", number(REFRESH_LIFETIME.as_secs())),
        ]);
    }
    members.push(("scope", Member::Text(token.scopes.join(","))));
    members.push(("token_type", Member::Text("bearer".to_owned())));
    members
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TokenError {
    UnknownClient,
    WrongSecret,
    BadCode,
    RedirectUri,
    UnverifiedEmail,
    BadRefreshToken,
    GrantType,
}

impl TokenError {
    fn status(self) -> u16 {
        if self == Self::UnknownClient { 404 } else { 200 }
    }

    fn members(self) -> Members {
        let (code, text, page) = match self {
            Self::UnknownClient => return vec![("error", Member::Text("Not Found".to_owned()))],
            Self::WrongSecret => (
                "incorrect_client_credentials",
                "The client_id and/or client_secret passed are incorrect.",
                "oauth-app-access-token-request-errors/#incorrect-client-credentials",
            ),
            Self::BadCode => (
                "bad_verification_code",
                "The code passed is incorrect or expired.",
                "oauth-app-access-token-request-errors/#bad-verification-code",
            ),
            Self::BadRefreshToken => (
                "bad_refresh_token",
                "The refresh token passed is incorrect or expired.",
                "oauth-app-access-token-request-errors/#bad-verification-code",
            ),
            Self::RedirectUri => (
                "redirect_uri_mismatch",
                "The redirect_uri MUST match the registered callback URL for this application.",
                "authorization-request-errors/#redirect-uri-mismatch2",
            ),
            Self::UnverifiedEmail => (
                "unverified_user_email",
                "The user must have a verified primary email.",
                "oauth-app-access-token-request-errors/#unverified_user_email",
            ),
            Self::GrantType => (
                "unsupported_grant_type",
                "The grant type is not supported.",
                "oauth-app-access-token-request-errors/#unsupported-grant-type",
            ),
        };
        let uri = format!("https://docs.github.com/apps/managing-oauth-apps/troubleshooting-{page}");
        vec![
            ("error", Member::Text(code.to_owned())),
            ("error_description", Member::Text(text.to_owned())),
            ("error_uri", Member::Text(uri)),
        ]
    }
}

fn granted(state: &mut State, request: &FakeRequest) -> Result<Token, TokenError> {
    let params = Params::of_form(request).or_else(|| of_json(request)).unwrap_or_default();
    let grant_type = params.get("grant_type").unwrap_or("authorization_code");
    let is_refresh = grant_type == "refresh_token";
    if state.options.code_before_client && !is_refresh && !state.grants.has_code(params.get("code").unwrap_or_default())
    {
        return Err(TokenError::BadCode);
    }
    let app = client(state, request, &params)?;
    match grant_type {
        "authorization_code" => by_code(state, &params, &app),
        "refresh_token" => by_refresh_token(state, &params, &app),
        _ => Err(TokenError::GrantType),
    }
}

/// The application. Credentials are in the body or in HTTP Basic, not form-decoded.
fn client(state: &State, request: &FakeRequest, params: &Params) -> Result<Registered, TokenError> {
    let in_body = params
        .get("client_id")
        .map(|id| Credentials { id: id.to_owned(), secret: params.get("client_secret").map(str::to_owned) });
    let sent = match (in_body, basic(request)) {
        (Some(body), Some(basic)) if body.id != basic.id || body.secret.is_some() => {
            return Err(TokenError::WrongSecret);
        }
        (_, Some(sent)) | (Some(sent), None) => sent,
        (None, None) => return Err(TokenError::UnknownClient),
    };
    let app = state.application(&sent.id).ok_or(TokenError::UnknownClient)?;
    // There are no public clients.
    match sent.secret {
        Some(secret) if secret == app.application.client_secret => Ok(app.clone()),
        _ => Err(TokenError::WrongSecret),
    }
}

fn by_code(state: &mut State, params: &Params, app: &Registered) -> Result<Token, TokenError> {
    let code = state.grants.take_code(params.get("code").unwrap_or_default()).ok_or(TokenError::BadCode)?;
    if code.client_id != app.application.client_id {
        return Err(TokenError::BadCode);
    }
    if code.redirect_uri.as_deref() != params.get("redirect_uri") {
        return Err(TokenError::RedirectUri);
    }
    let verified = match (&code.challenge, params.get("code_verifier")) {
        _ if !state.options.pkce => true,
        (Some(challenge), Some(verifier)) => verifier_matches(verifier, challenge),
        (None, None) => true,
        _ => false,
    };
    if !verified {
        return Err(TokenError::BadCode);
    }
    let user = state.user_with_id(code.user).ok_or(TokenError::BadCode)?;
    let is_unverified = user.primary().is_some_and(|email| !state.options.override_verified.unwrap_or(email.verified));
    if state.options.requires_verified_email() && is_unverified {
        return Err(TokenError::UnverifiedEmail);
    }
    let has_session = |login: &str| user.saml_sessions.iter().any(|session| session.eq_ignore_ascii_case(login));
    let saml = state.organizations.iter().filter(|organization| has_session(&organization.login));
    let token = Token {
        id: 0,
        access: access_token(state.options.token_format, app.github_app),
        refresh: refresh_token(state.options.token_format),
        client_id: code.client_id,
        user: code.user,
        scopes: code.scopes,
        saml: saml.map(|organization| organization.id).collect(),
        created: state.grants.now(),
        last_used: None,
        lifetime: state.options.lifetime(app.github_app, code.offline_access),
        expired_early: false,
        access_revoked: false,
        refresh_revoked: false,
    };
    Ok(state.grants.add_token(token, state.options.evict_oldest))
}

/// Ends both tokens of the old pair at once.
fn by_refresh_token(state: &mut State, params: &Params, app: &Registered) -> Result<Token, TokenError> {
    let old = state.grants.by_refresh(params.get("refresh_token").unwrap_or_default());
    let old = old.filter(|old| old.client_id == app.application.client_id).cloned();
    let old = old.ok_or(TokenError::BadRefreshToken)?;
    state.grants.revoke(&old.access, false);
    let token = Token {
        access: access_token(state.options.token_format, app.github_app),
        refresh: refresh_token(state.options.token_format),
        created: state.grants.now(),
        last_used: None,
        expired_early: false,
        access_revoked: false,
        ..old
    };
    Ok(state.grants.add_token(token, state.options.evict_oldest))
}

/// The text members of a JSON body.
fn of_json(request: &FakeRequest) -> Option<Params> {
    let members: BTreeMap<String, Value> = serde_json::from_slice(request.body()).ok()?;
    let pairs = members.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    Some(Params::parse(form.as_bytes()))
}
