//! The authorization page.

use std::time::Duration;

use super::scopes;
use super::state::State;
use crate::testing::application::{FakeApplication, FakeError};
use crate::testing::grants::Code;
use crate::testing::page::{ConsentPage, error_page};
use crate::testing::wire::{FakeRequest, FakeResponse, Params, random_hex, respond, with_query};

const CODE_LIFETIME: Duration = Duration::from_secs(600);
const MISCONFIGURED: &str =
    "Invalid redirect_uri. This integration is misconfigured. Contact the vendor for assistance.";

/// The user clicked "Grant access".
pub(super) fn grant(state: &mut State, params: &Params, username: &str) -> Result<String, FakeError> {
    let checked = CheckedRequest::check(state, params).map_err(FakeError::Page)?;
    let own = || checked.application.scopes.iter().map(String::as_str);
    if !checked.scopes.split_whitespace().all(|scope| scopes::covers(own(), scope)) {
        let text = "The requested scope is invalid, unknown, or malformed.";
        return Ok(checked.callback(params, &[("error", "invalid_scope"), ("error_description", text)]));
    }
    let user = state.users.iter().find(|user| user.username == username);
    let user = user.ok_or_else(|| FakeError::UnknownUser(username.to_owned()))?;
    let text = random_hex(9);
    let code = Code {
        client_id: checked.application.client_id.clone(),
        user: user.uuid.clone(),
        redirect_uri: params.get("redirect_uri").map(str::to_owned),
        scopes: checked.scopes.clone(),
        challenge: params.get("code_challenge").map(str::to_owned),
        nonce: params.get("nonce").map(str::to_owned),
        expires: state.grants.now().saturating_add(CODE_LIFETIME),
    };
    let callback = checked.callback(params, &[("code", &text)]);
    state.grants.add_code(text, code);
    Ok(callback)
}

/// The user clicked "Cancel".
pub(super) fn denied(state: &State, params: &Params) -> Result<String, FakeError> {
    let checked = CheckedRequest::check(state, params).map_err(FakeError::Page)?;
    let text = "The user denied access.";
    Ok(checked.callback(params, &[("error", "access_denied"), ("error_description", text)]))
}

/// `GET /site/oauth2/authorize`.
pub(super) fn page(state: &State, request: &FakeRequest) -> FakeResponse {
    let params = Params::of_query(request);
    let checked = match CheckedRequest::check(state, &params) {
        Ok(checked) => checked,
        Err(text) => return error_response(&text),
    };
    let page = ConsentPage {
        platform: "Bitbucket",
        application: &checked.application.name,
        scopes: &checked.scopes,
        users: state.users.iter().map(|user| (user.username.as_str(), user.display_name.as_str())).collect(),
        action: &format!("{}/site/oauth2/authorize", state.base_url),
        params: params.iter().collect(),
        deny: ("action", "cancel"),
    };
    respond(200, &[HTML], page.render())
}

/// `POST /site/oauth2/authorize`: either button.
pub(super) fn submitted(state: &mut State, request: &FakeRequest) -> FakeResponse {
    let params = Params::of_form(request).unwrap_or_default();
    let callback = match params.get("action") {
        Some("cancel") => denied(state, &params),
        _ => grant(state, &params, params.get("user").unwrap_or_default()),
    };
    match callback {
        Ok(url) => respond(302, &[("Location", &url), HTML], Vec::new()),
        Err(FakeError::Page(text)) => error_response(&text),
        Err(error) => error_response(&error.to_string()),
    }
}

const HTML: (&str, &str) = ("Content-Type", "text/html; charset=utf-8");

/// A request whose result may be sent to the callback URL.
struct CheckedRequest<'a> {
    application: &'a FakeApplication,
    redirect_uri: String,
    scopes: String,
}

impl<'a> CheckedRequest<'a> {
    /// The error is the text of an error page: Bitbucket never sends these errors to the callback URL.
    fn check(state: &'a State, params: &Params) -> Result<Self, String> {
        let application = params.get("client_id").and_then(|id| state.application(id)).ok_or("Invalid client_id.")?;
        let registered = application.redirect_uris.first();
        let registered = registered.ok_or("No callback uri defined for the OAuth client.")?;
        let redirect_uri = params.get("redirect_uri").unwrap_or(registered);
        // Bitbucket accepts every URL that begins with the registered value.
        if !application.redirect_uris.iter().any(|registered| redirect_uri.starts_with(registered.as_str())) {
            return Err(MISCONFIGURED.to_owned());
        }
        if params.get("response_type") != Some("code") {
            return Err("Unsupported response_type.".to_owned());
        }
        if params.get("code_challenge").is_some() && params.get("code_challenge_method") != Some("S256") {
            return Err("Unsupported code_challenge_method.".to_owned());
        }
        // Without the parameter, the token gets all scopes of the client.
        let scopes = params.get("scope").map_or_else(|| application.scopes.join(" "), str::to_owned);
        Ok(Self { application, redirect_uri: redirect_uri.to_owned(), scopes })
    }

    fn callback(&self, params: &Params, response: &[(&str, &str)]) -> String {
        let mut response = response.to_vec();
        response.extend(params.get("state").map(|state| ("state", state)));
        with_query(&self.redirect_uri, &response)
    }
}

fn error_response(text: &str) -> FakeResponse {
    error_page("Bitbucket", 200, "Something went wrong", text)
}
