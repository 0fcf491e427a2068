//! The authorization page.

use std::collections::BTreeSet;
use std::time::Duration;

use super::state::State;
use super::wire::{CLIENT_FAILED, INVALID_SCOPE, NO_CACHE, PRIVATE, VARY, missing_parameter, unique_scopes};
use crate::testing::application::FakeError;
use crate::testing::grants::Code;
use crate::testing::page::{ConsentPage, error_page};
use crate::testing::wire::{FakeRequest, FakeResponse, Params, cookie, random_hex, respond, with_query};
use crate::util::html::escape;

const CODE_LIFETIME: Duration = Duration::from_secs(600);
const COOKIE: &str = "_fake_gitlab_user";

/// Checks a request. The error is the text of an error page: GitLab never sends these errors to the callback URL.
pub(super) fn check(state: &State, params: &Params) -> Result<(), String> {
    let Some(client_id) = params.get("client_id") else {
        return Err(missing_parameter("client_id"));
    };
    let application = state.application(client_id).ok_or(CLIENT_FAILED)?;
    let redirect_uri = params.get("redirect_uri").unwrap_or_default();
    if !application.redirect_uris.iter().any(|registered| registered == redirect_uri) {
        return Err("The redirect URI included is not valid.".to_owned());
    }
    match params.get("response_type") {
        None => return Err(missing_parameter("response_type")),
        Some("code") => {}
        Some(_) => return Err("The authorization server does not support this response type.".to_owned()),
    }
    if !scopes(params).split(' ').all(|scope| application.scopes.iter().any(|own| own == scope)) {
        return Err(INVALID_SCOPE.to_owned());
    }
    if params.get("code_challenge").is_some() && params.get("code_challenge_method") != Some("S256") {
        return Err("The code_challenge_method must be one of plain, S256.".to_owned());
    }
    Ok(())
}

/// The user clicked "Authorize", for a request that passed [`check`].
pub(super) fn grant(state: &mut State, params: &Params, username: &str) -> Result<String, FakeError> {
    let user = state.user_named(username).ok_or_else(|| FakeError::UnknownUser(username.to_owned()))?;
    let code = random_hex(32);
    let grant = Code {
        client_id: params.get("client_id").unwrap_or_default().to_owned(),
        user: user.id.to_string(),
        redirect_uri: params.get("redirect_uri").map(str::to_owned),
        scopes: scopes(params),
        challenge: params.get("code_challenge").map(str::to_owned),
        nonce: params.get("nonce").map(str::to_owned),
        expires: state.grants.now().saturating_add(CODE_LIFETIME),
    };
    state.grants.add_code(code.clone(), grant);
    Ok(callback(params, &[("code", &code)]))
}

/// The user clicked "Deny".
pub(super) fn denied(params: &Params) -> String {
    let text = "The resource owner or authorization server denied the request.";
    callback(params, &[("error", "access_denied"), ("error_description", text)])
}

/// `GET /oauth/authorize`.
pub(super) fn page(state: &mut State, request: &FakeRequest) -> FakeResponse {
    let params = Params::of_query(request);
    if let Err(text) = check(state, &params) {
        return error_response(&text);
    }
    if let Some(username) = cookie(request, COOKIE).filter(|username| has_consented(state, &params, username)) {
        if let Ok(url) = grant(state, &params, username) {
            return respond(200, &[HTML, VARY, PRIVATE], redirecting(&url));
        }
    }
    let application = params.get("client_id").and_then(|id| state.application(id));
    let page = ConsentPage {
        platform: "GitLab",
        application: application.map_or("", |application| &application.name),
        scopes: &scopes(&params),
        users: state.users.iter().map(|user| (user.username.as_str(), user.name.as_str())).collect(),
        action: &format!("{}/oauth/authorize", state.base_url),
        params: params.iter().collect(),
        deny: ("_method", "delete"),
    };
    respond(200, &[HTML, VARY, PRIVATE], page.render())
}

/// `POST /oauth/authorize`: either button.
pub(super) fn submitted(state: &mut State, request: &FakeRequest) -> FakeResponse {
    let params = Params::of_form(request).unwrap_or_default();
    match check(state, &params) {
        // This is the only error of a POST that GitLab sends to the callback URL.
        Err(text) if text == INVALID_SCOPE => {
            let url = callback(&params, &[("error", "invalid_scope"), ("error_description", INVALID_SCOPE)]);
            return found(&url, None);
        }
        Err(text) => return error_response(&text),
        Ok(()) => {}
    }
    if params.get("_method") == Some("delete") {
        return found(&denied(&params), None);
    }
    let username = params.get("user").unwrap_or_default();
    match grant(state, &params, username) {
        Ok(url) => found(&url, Some(&format!("{COOKIE}={username}; Path=/; HttpOnly; SameSite=Lax"))),
        Err(error) => error_response(&error.to_string()),
    }
}

const HTML: (&str, &str) = ("Content-Type", "text/html; charset=utf-8");

/// Without the parameter, GitLab uses the scope `api`.
fn scopes(params: &Params) -> String {
    params.get("scope").and_then(unique_scopes).unwrap_or_else(|| "api".to_owned())
}

fn callback(params: &Params, response: &[(&str, &str)]) -> String {
    let mut response = response.to_vec();
    response.extend(params.get("state").map(|state| ("state", state)));
    with_query(params.get("redirect_uri").unwrap_or_default(), &response)
}

fn found(url: &str, set_cookie: Option<&str>) -> FakeResponse {
    let mut headers = vec![("Location", url), HTML, NO_CACHE];
    headers.extend(set_cookie.map(|cookie| ("Set-Cookie", cookie)));
    respond(302, &headers, Vec::new())
}

fn error_response(text: &str) -> FakeResponse {
    error_page("GitLab", 200, "An error has occurred", text)
}

fn has_consented(state: &State, params: &Params, username: &str) -> bool {
    let Some(user) = state.user_named(username).map(|user| user.id.to_string()) else {
        return false;
    };
    let client_id = params.get("client_id").unwrap_or_default();
    let wanted = scopes(params);
    state.remember_consent
        && state.grants.tokens().iter().any(|token| {
            // Expired tokens count too.
            !token.access_revoked
                && token.client_id == client_id
                && token.user == user
                && are_same(&token.scopes, &wanted)
        })
}

/// In any order. Both have each scope once.
fn are_same(scopes: &str, others: &str) -> bool {
    let [scopes, others] = [scopes, others].map(|scopes| scopes.split(' ').collect::<BTreeSet<_>>());
    scopes == others
}

/// The page that GitLab sends instead of a 302 when it skips the authorization page.
fn redirecting(url: &str) -> String {
    let (html, script) = (escape(url), super::user::rails_json(url));
    format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>Redirecting</title></head>\n<body>\n\
         <h3>Redirecting</h3>\n<a id=\"redirect\" href=\"{html}\">Click here to redirect to {html}</a>\n\
         <script>window.location = {script};</script>\n</body></html>"
    )
}
