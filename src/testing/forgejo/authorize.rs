//! The authorization page.

use super::ledger::Code;
use super::state::State;
use super::wire::{HTML, plain};
use crate::testing::application::{FakeApplication, FakeError};
use crate::testing::page::{ConsentPage, error_page};
use crate::testing::wire::{
    FakeRequest, FakeResponse, Params, add_header, cookie, random, random_hex, respond, with_query,
};

/// What keeps the page from asking the user.
enum Refusal {
    /// A page with status 400, because the request names no place to return to.
    Page(&'static str),
    /// The callback URL with an error.
    Callback(String),
    /// `[oauth2] ENABLED = false`.
    SwitchedOff,
}

/// "Authorize Application" was pressed, or the user has allowed this application before.
pub(super) fn grant(state: &mut State, params: &Params, username: &str) -> Result<String, FakeError> {
    let application = match check(state, params) {
        Ok(application) => application.clone(),
        Err(Refusal::Callback(url)) => return Ok(url),
        Err(Refusal::Page(text)) => return Err(FakeError::Page(text.to_owned())),
        Err(Refusal::SwitchedOff) => return Err(FakeError::Page("Forbidden".to_owned())),
    };
    let user = state.user_named(username).ok_or_else(|| FakeError::UnknownUser(username.to_owned()))?;
    if must_enroll_first(state, username) {
        return Err(FakeError::Page("You must enroll in two-factor authentication.".to_owned()));
    }
    let user = user.id;
    if let Some(description) = state.next_authorization_fails.take() {
        return Ok(error(params, "server_error", &description));
    }
    let scopes = params.get("scope").unwrap_or_default();
    let grant =
        match state.ledger.grant_of(user, &application.client_id).map(|grant| (grant.id, grant.scopes != scopes)) {
            None => state.ledger.add_grant(user, &application.client_id, scopes),
            Some((_, true)) if !application.confidential => {
                return Ok(error(params, "server_error", "a grant exists with different scope"));
            }
            Some((id, differs)) => {
                // Otherwise the grant silently keeps its old scopes.
                if differs && state.asks_again {
                    if let Some(grant) = state.ledger.grant_mut(id) {
                        scopes.clone_into(&mut grant.scopes);
                    }
                }
                id
            }
        };
    if let Some(grant) = state.ledger.grant_mut(grant) {
        grant.nonce = params.get("nonce").map(str::to_owned);
    }
    let code = Code {
        grant,
        redirect_uri: params.get("redirect_uri").unwrap_or_default().to_owned(),
        challenge: params.get("code_challenge").map(str::to_owned),
        created: state.ledger.now(),
    };
    let text = new_code();
    state.ledger.add_code(text.clone(), code);
    Ok(callback(params, &[("code", &text)]))
}

/// "Cancel" was pressed.
pub(super) fn denied(state: &State, params: &Params) -> Result<String, FakeError> {
    match check(state, params) {
        Ok(_) => Ok(error(params, "access_denied", "the request is denied")),
        Err(Refusal::Callback(url)) => Ok(url),
        Err(Refusal::Page(text)) => Err(FakeError::Page(text.to_owned())),
        Err(Refusal::SwitchedOff) => Err(FakeError::Page("Forbidden".to_owned())),
    }
}

/// `GET /login/oauth/authorize`.
pub(super) fn page(state: &mut State, request: &FakeRequest) -> FakeResponse {
    let params = Params::of_query(request);
    let application = match check(state, &params) {
        Ok(application) => application.clone(),
        Err(refusal) => return refused(state, refusal),
    };
    if let Some(username) =
        cookie(request, USER).filter(|username| has_consented(state, &application, &params, username))
    {
        if let Ok(url) = grant(state, &params, username) {
            return see_other(&url);
        }
    }
    let page = ConsentPage {
        platform: state.version.name(),
        application: &application.name,
        scopes: params.get("scope").unwrap_or_default(),
        users: state.users.iter().map(|user| (user.username.as_str(), user.full_name.as_str())).collect(),
        action: &format!("{}/login/oauth/authorize", state.base_url),
        params: params.iter().collect(),
        deny: ("granted", "false"),
    };
    let mut response = respond(200, &[HTML], page.render());
    // One pending request per browser session: a second tab replaces that of the first.
    let session = cookie(request, SESSION).map_or_else(|| random_hex(8), str::to_owned);
    add_header(&mut response, "Set-Cookie", &format!("{SESSION}={session}; Path=/; HttpOnly; SameSite=Lax"));
    state.pending_consents.insert(session, request.uri().query().unwrap_or_default().to_owned());
    response
}

/// `POST /login/oauth/authorize`: either button.
pub(super) fn pressed(state: &mut State, request: &FakeRequest) -> FakeResponse {
    let params = Params::of_form(request).unwrap_or_default();
    if let Err(refusal) = check(state, &params) {
        return refused(state, refusal);
    }
    if let Some(session) = cookie(request, SESSION) {
        let pending = state.pending_consents.remove(session);
        let pending = Params::parse(pending.unwrap_or_default().as_bytes());
        if ["client_id", "redirect_uri", "state"].iter().any(|name| pending.get(name) != params.get(name)) {
            return plain(400, "Bad Request");
        }
    }
    let username = params.get("user").unwrap_or_default();
    let callback = match params.get("granted") {
        Some("false") => denied(state, &params),
        _ => grant(state, &params, username),
    };
    match callback {
        Ok(url) => {
            let mut response = see_other(&url);
            add_header(&mut response, "Set-Cookie", &format!("{USER}={username}; Path=/; HttpOnly; SameSite=Lax"));
            response
        }
        Err(_) if must_enroll_first(state, username) => {
            see_other(&format!("{}/user/settings/security", state.root_url))
        }
        Err(error) => error_page(state.version.name(), 400, FAILED, &error.to_string()),
    }
}

const SESSION: &str = "i_like_gitea";
const USER: &str = "_fake_forgejo_user";
const FAILED: &str = "Authorization failed";

/// Checks a request, in the server's order.
fn check<'a>(state: &'a State, params: &Params) -> Result<&'a FakeApplication, Refusal> {
    if !state.oauth {
        return Err(Refusal::SwitchedOff);
    }
    let application = params.get("client_id").and_then(|id| state.application(id));
    let application = application.ok_or(Refusal::Page("Client ID not registered"))?;
    let redirect_uri = params.get("redirect_uri").unwrap_or_default();
    if !application.redirect_uris.iter().any(|registered| registered == redirect_uri) {
        return Err(Refusal::Page("Unregistered Redirect URI"));
    }
    let refused = |code, description| Err(Refusal::Callback(error(params, code, description)));
    if params.get("response_type") != Some("code") {
        return refused("unsupported_response_type", "Only code response type is supported.");
    }
    match (params.get("code_challenge"), params.get("code_challenge_method")) {
        (Some(_), Some("S256")) => Ok(application),
        (None, None) if application.confidential => Ok(application),
        (None, None) => refused("invalid_request", "PKCE is required for public clients"),
        // A real server accepts `plain`, and a challenge without a method as no challenge.
        _ => refused("invalid_request", "unsupported code challenge method"),
    }
}

/// A Gitea enforces its policy of two factors here, since 1.27.1.
fn must_enroll_first(state: &State, username: &str) -> bool {
    state.version.at_least(super::version::NEVER, [1, 27, 1])
        && state.user_named(username).is_some_and(|user| user.must_enroll_second_factor)
}

fn has_consented(state: &State, application: &FakeApplication, params: &Params, username: &str) -> bool {
    let user = state.user_named(username).map(|user| user.id);
    let grant = user.and_then(|user| state.ledger.grant_of(user, &application.client_id));
    let same = |scopes: &str| scopes == params.get("scope").unwrap_or_default();
    state.remember_consent
        && application.confidential
        && grant.is_some_and(|grant| !state.asks_again || same(&grant.scopes))
}

fn error(params: &Params, code: &str, description: &str) -> String {
    callback(params, &[("error", code), ("error_description", description)])
}

fn callback(params: &Params, response: &[(&str, &str)]) -> String {
    let mut response = response.to_vec();
    response.extend(params.get("state").map(|state| ("state", state)));
    with_query(params.get("redirect_uri").unwrap_or_default(), &response)
}

fn see_other(url: &str) -> FakeResponse {
    respond(303, &[("Location", url), HTML], Vec::new())
}

fn refused(state: &State, refusal: Refusal) -> FakeResponse {
    match refusal {
        Refusal::Page(text) => error_page(state.version.name(), 400, FAILED, text),
        Refusal::Callback(url) => see_other(&url),
        Refusal::SwitchedOff => plain(403, "Forbidden"),
    }
}

/// `gta_` and 52 characters of base32.
fn new_code() -> String {
    let digit = |byte: u8| match byte % 32 {
        letter @ 0..26 => char::from(b'a'.saturating_add(letter)),
        number => char::from(b'2'.saturating_add(number.saturating_sub(26))),
    };
    format!("gta_{}", random(52).into_iter().map(digit).collect::<String>())
}
