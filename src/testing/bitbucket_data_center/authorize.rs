//! The authorization page.

use super::scopes;
use super::state::{Licence, State};
use super::wire::HTML;
use crate::testing::application::{FakeApplication, FakeError};
use crate::testing::grants::Code;
use crate::testing::page::{ConsentPage, error_page};
use crate::testing::wire::{
    FakeRequest, FakeResponse, Params, add_header, cookie, form_decode, random_hex, respond, with_query,
};

/// "Allow" was pressed.
pub(super) fn grant(state: &mut State, params: &Params, name: &str) -> Result<String, FakeError> {
    let asked = match Asked::check(state, params) {
        Ok(asked) => asked,
        Err(refused) => return refused.into_callback(),
    };
    let user = state.user_named(name).ok_or_else(|| FakeError::UnknownUser(name.to_owned()))?;
    let text = random_hex(32);
    let code = Code {
        client_id: asked.application.client_id.clone(),
        user: user.id.to_string(),
        redirect_uri: Some(asked.redirect_uri.to_owned()),
        scopes: asked.scopes,
        challenge: params.get("code_challenge").map(str::to_owned),
        nonce: params.get("nonce").map(str::to_owned),
        expires: state.grants.now().saturating_add(state.options.code_lifetime),
    };
    let callback = callback(asked.redirect_uri, params, &[("code", &text)]);
    state.grants.add_code(text, code);
    Ok(callback)
}

/// "Deny" was pressed.
pub(super) fn denied(state: &State, params: &Params) -> Result<String, FakeError> {
    match Asked::check(state, params) {
        Ok(asked) => Ok(error_callback(asked.redirect_uri, params, "access_denied", "The user denied the request.")),
        Err(refused) => refused.into_callback(),
    }
}

/// `GET /rest/oauth2/latest/authorize`.
pub(super) fn page(state: &mut State, request: &FakeRequest) -> FakeResponse {
    let params = Params::of_query(request);
    let asked = match Asked::check(state, &params) {
        Ok(asked) => asked,
        Err(Refused::Page(text)) => return shown(&text),
        Err(Refused::Callback(url)) => return found(&url),
    };
    if let Some(name) = remembered(state, request, &asked) {
        return browser_response(grant(state, &params, &name), None);
    }
    let page = ConsentPage {
        platform: "Bitbucket Data Center",
        application: &asked.application.name,
        scopes: &asked.scopes,
        users: state.users.iter().map(|user| (user.name.as_str(), user.display_name.as_str())).collect(),
        action: &format!("{}/rest/oauth2/latest/authorize", state.base_url),
        params: params.iter().collect(),
        deny: ("action", "deny"),
    };
    respond(200, &[HTML], page.render())
}

/// `POST /rest/oauth2/latest/authorize`: either button.
pub(super) fn pressed(state: &mut State, request: &FakeRequest) -> FakeResponse {
    let params = Params::of_form(request).unwrap_or_default();
    if params.get("action") == Some("deny") {
        return browser_response(denied(state, &params), None);
    }
    let name = params.get("user").unwrap_or_default();
    let id = state.user_named(name).map(|user| user.id);
    browser_response(grant(state, &params, name), id)
}

/// The browser's user, in [`remember_consent`](super::FakeBitbucketDataCenterBuilder::remember_consent).
const COOKIE: &str = "fake_bitbucket_user_id";

/// The name of the browser's user, if the application needs no further consent.
fn remembered(state: &State, request: &FakeRequest, asked: &Asked<'_>) -> Option<String> {
    let user = cookie(request, COOKIE).filter(|_| state.options.remember_consent)?;
    let has_consented = state.grants.tokens().iter().any(|token| {
        // Expired tokens count, too.
        !token.access_revoked
            && token.client_id == asked.application.client_id
            && token.user == user
            && token.scopes == asked.scopes
    });
    state.user_with_id(user).filter(|_| has_consented).map(|user| user.name.clone())
}

/// `user` is the id for the cookie.
fn browser_response(callback: Result<String, FakeError>, user: Option<u64>) -> FakeResponse {
    match callback {
        Ok(url) => {
            let mut response = found(&url);
            if let Some(id) = user {
                add_header(&mut response, "Set-Cookie", &format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Lax"));
            }
            response
        }
        Err(FakeError::Page(text)) => shown(&text),
        Err(error) => shown(&error.to_string()),
    }
}

/// A request that the user may allow.
struct Asked<'a> {
    application: &'a FakeApplication,
    redirect_uri: &'a str,
    scopes: String,
}

enum Refused {
    /// The page shows this text.
    Page(String),
    /// The browser goes to this URL at once.
    Callback(String),
}

impl Refused {
    fn into_callback(self) -> Result<String, FakeError> {
        match self {
            Self::Page(text) => Err(FakeError::Page(text)),
            Self::Callback(url) => Ok(url),
        }
    }
}

impl<'a> Asked<'a> {
    fn check(state: &'a State, params: &'a Params) -> Result<Self, Refused> {
        let on_page = |text: &str| Refused::Page(text.to_owned());
        if !state.has_oauth2() || state.options.maintenance.is_some() {
            return Err(on_page("The page you were looking for does not exist."));
        }
        if state.options.licence == Licence::ExpiredWithoutLogin {
            return Err(on_page("The licence has expired. Contact your administrator."));
        }
        let application = params.get("client_id").and_then(|id| state.application(id));
        let application = application.ok_or_else(|| on_page("The client ID is unknown."))?;
        let redirect_uri = params.get("redirect_uri").unwrap_or_default();
        // Character for character.
        if !state.redirect_urls(application).contains(&redirect_uri) {
            return Err(on_page("The redirect URL is not that of the application link."));
        }
        let refused = |error: &str, text: &str| match state.options.errors_on_page {
            true => on_page(text),
            false => Refused::Callback(error_callback(redirect_uri, params, error, text)),
        };
        match params.get("response_type") {
            Some("code") => {}
            None => return Err(refused("invalid_request", "The parameter response_type is missing.")),
            Some(_) => return Err(refused("unsupported_response_type", "The response type is not supported.")),
        }
        if params.get("code_challenge").is_some() != (params.get("code_challenge_method") == Some("S256")) {
            return Err(refused("invalid_request", "The code challenge needs the method S256."));
        }
        let scopes = scopes::grantable(application, params.get("scope"), &state.options);
        let scopes = scopes.map_err(|text| refused("invalid_scope", text))?;
        Ok(Self { application, redirect_uri, scopes })
    }
}

fn error_callback(redirect_uri: &str, params: &Params, error: &str, text: &str) -> String {
    callback(redirect_uri, params, &[("error", error), ("error_description", text)])
}

/// Bitbucket decodes the state twice, so that one with `%` or `+` comes back changed.
fn callback(redirect_uri: &str, params: &Params, response: &[(&str, &str)]) -> String {
    let state = params.get("state").map(form_decode);
    let mut response = response.to_vec();
    response.extend(state.as_deref().map(|state| ("state", state)));
    with_query(redirect_uri, &response)
}

fn found(url: &str) -> FakeResponse {
    respond(302, &[("Location", url), HTML], Vec::new())
}

fn shown(text: &str) -> FakeResponse {
    error_page("Bitbucket Data Center", 400, "Something went wrong", text)
}
