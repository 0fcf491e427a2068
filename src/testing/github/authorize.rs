//! The authorization page.

use std::time::Duration;

use url::{Host, Url};

use super::grants::Code;
use super::options::Issuer;
use super::scopes::{OFFLINE_ACCESS, normalized, unknown};
use super::state::{Registered, State};
use super::wire::HTML;
use crate::testing::application::FakeError;
use crate::testing::page::{ConsentPage, error_page};
use crate::testing::wire::{FakeRequest, FakeResponse, Params, cookie, random_hex, respond, with_query};

const CODE_LIFETIME: Duration = Duration::from_secs(600);
const COOKIE: &str = "_fake_github_user";

/// "Authorize" was pressed. Returns the callback URL.
pub(super) fn grant(state: &mut State, params: &Params, login: &str) -> Result<String, FakeError> {
    let asked = match Asked::check(state, params) {
        Ok(asked) => asked,
        Err(refusal) => return refusal.callback(),
    };
    let user = state.user_named(login).ok_or_else(|| FakeError::UnknownUser(login.to_owned()))?;
    let client_id = asked.app.application.client_id.clone();
    let scopes = match params.get("scope") {
        _ if asked.app.github_app => Vec::new(),
        Some(scope) => normalized(scope.split(' ').filter(|scope| !scope.is_empty() && !user.declines(scope))),
        // Without the parameter: everything that the user ever granted to this application.
        None => normalized(state.grants.consent(&client_id, user.id).into_iter().flatten().map(String::as_str)),
    };
    let code = Code {
        client_id: client_id.clone(),
        user: user.id,
        redirect_uri: params.get("redirect_uri").map(str::to_owned),
        scopes: scopes.clone(),
        offline_access: params.get("scope").is_some_and(|scope| scope.split(' ').any(|scope| scope == OFFLINE_ACCESS)),
        challenge: params.get("code_challenge").map(str::to_owned),
        expires: state.grants.now().saturating_add(CODE_LIFETIME),
    };
    let text = random_hex(10);
    let url = callback(state, &asked.redirect_uri, params, &[("code", &text)]);
    let id = user.id;
    state.grants.add_consent(&client_id, id, &scopes);
    state.grants.add_code(text, code);
    Ok(url)
}

/// "Cancel" was pressed. Returns the callback URL.
pub(super) fn denied(state: &State, params: &Params) -> Result<String, FakeError> {
    let asked = match Asked::check(state, params) {
        Ok(asked) => asked,
        Err(refusal) => return refusal.callback(),
    };
    let text = "The user has denied your application access.";
    Ok(failed(state, &asked.redirect_uri, params, "access_denied", text, "#access-denied"))
}

/// The callback after the installation of a GitHub App that requests the user's authorization: it has no `state`.
pub(super) fn installed(state: &mut State, client_id: &str, login: &str) -> Result<String, FakeError> {
    let app = state.application(client_id).ok_or_else(|| FakeError::Page(NOT_FOUND.to_owned()))?;
    let redirect_uri = app.application.redirect_uris.first().cloned().unwrap_or_default();
    let user = state.user_named(login).ok_or_else(|| FakeError::UnknownUser(login.to_owned()))?;
    let code = Code {
        client_id: client_id.to_owned(),
        user: user.id,
        redirect_uri: None,
        scopes: Vec::new(),
        offline_access: false,
        challenge: None,
        expires: state.grants.now().saturating_add(CODE_LIFETIME),
    };
    let text = random_hex(10);
    let url =
        with_query(&redirect_uri, &[("code", &text), ("installation_id", "31415926"), ("setup_action", "install")]);
    state.grants.add_code(text, code);
    Ok(url)
}

/// `GET /login/oauth/authorize`.
pub(super) fn page(state: &mut State, request: &FakeRequest) -> FakeResponse {
    let params = Params::of_query(request);
    if let Some(login) = cookie(request, COOKIE).filter(|login| has_consented(state, &params, login)) {
        if let Ok(url) = grant(state, &params, login) {
            return found(&url, None);
        }
    }
    let asked = match Asked::check(state, &params) {
        Ok(asked) => asked,
        Err(refusal) => return refusal.response(),
    };
    let mut users: Vec<_> =
        state.users.iter().map(|user| (user.login.as_str(), user.name.as_deref().unwrap_or_default())).collect();
    // The suggested account is selected.
    users.sort_by_key(|(login, _)| Some(*login) != params.get("login"));
    let page = ConsentPage {
        platform: "GitHub",
        application: &asked.app.application.name,
        scopes: params.get("scope").filter(|_| !asked.app.github_app).unwrap_or_default(),
        users,
        action: &format!("{}/login/oauth/authorize", state.base_url),
        params: params.iter().collect(),
        deny: ("authorize", "0"),
    };
    respond(200, &[HTML], page.render())
}

/// `POST /login/oauth/authorize`: either button.
pub(super) fn pressed(state: &mut State, request: &FakeRequest) -> FakeResponse {
    let params = Params::of_form(request).unwrap_or_default();
    if let Err(refusal) = Asked::check(state, &params) {
        return refusal.response();
    }
    let login = params.get("user").unwrap_or_default();
    let (url, set_cookie) = match params.get("authorize") {
        Some("0") => (denied(state, &params), None),
        _ => (grant(state, &params, login), Some(format!("{COOKIE}={login}; Path=/; HttpOnly; SameSite=Lax"))),
    };
    match url {
        Ok(url) => found(&url, set_cookie.as_deref()),
        Err(error) => error_page("GitHub", 200, "Something went wrong", &error.to_string()),
    }
}

/// A request whose result may be sent to the callback URL.
struct Asked<'a> {
    app: &'a Registered,
    redirect_uri: String,
}

enum Refusal {
    Page { status: u16, title: &'static str, text: &'static str },
    Callback(String),
}

impl<'a> Asked<'a> {
    fn check(state: &'a State, params: &Params) -> Result<Self, Refusal> {
        let Some(app) = params.get("client_id").and_then(|id| state.application(id)) else {
            return Err(Refusal::Page { status: 404, title: "404", text: NOT_FOUND });
        };
        let first = app.application.redirect_uris.first().map(String::as_str);
        let Some(redirect_uri) = params.get("redirect_uri").or(first) else {
            return Err(UNASSOCIATED);
        };
        let wildcard = state.options.wildcard_redirects && !app.github_app;
        let is_registered =
            |registered: &String| registered == redirect_uri || wildcard && below(registered, redirect_uri);
        if !app.application.redirect_uris.iter().any(is_registered) {
            return Err(match first.filter(|_| state.options.mismatch_callback) {
                Some(first) => Refusal::Callback(failed(
                    state,
                    first,
                    params,
                    "redirect_uri_mismatch",
                    "The redirect_uri MUST match the registered callback URL for this application.",
                    "#redirect-uri-mismatch",
                )),
                None => UNASSOCIATED,
            });
        }
        let to_callback = |code, text: &str| {
            Refusal::Callback(failed(state, redirect_uri, params, code, text, &format!("#{}", code.replace('_', "-"))))
        };
        if app.suspended {
            let text = "Your application has been suspended. Contact support@github.com.";
            return Err(to_callback("application_suspended", text));
        }
        let unknown = params.get("scope").filter(|_| !app.github_app).and_then(unknown);
        if let Some(scope) = unknown {
            return Err(to_callback("invalid_scope", &format!("The scopes requested are invalid: {scope}.")));
        }
        let challenge = params.get("code_challenge");
        let method = params.get("code_challenge_method");
        let is_complete = matches!((challenge, method), (None, None) | (Some(_), Some("S256")));
        if state.options.pkce && (!is_complete || challenge.is_some_and(|challenge| challenge.len() != 43)) {
            let text = "The code_challenge must have 43 characters, and its code_challenge_method must be S256.";
            return Err(Refusal::Page { status: 400, title: "Bad request", text });
        }
        Ok(Self { app, redirect_uri: redirect_uri.to_owned() })
    }
}

const NOT_FOUND: &str = "This is not the web page you are looking for.";
const UNASSOCIATED: Refusal = Refusal::Page {
    status: 200,
    title: "Be careful!",
    text: "The redirect_uri is not associated with this application.",
};

impl Refusal {
    fn callback(self) -> Result<String, FakeError> {
        match self {
            Self::Page { text, .. } => Err(FakeError::Page(text.to_owned())),
            Self::Callback(url) => Ok(url),
        }
    }

    fn response(self) -> FakeResponse {
        match self {
            Self::Page { status, title, text } => error_page("GitHub", status, title, text),
            Self::Callback(url) => found(&url, None),
        }
    }
}

/// The rule of a redirect URI with wildcard matching: the same host or a sub-domain, the same port (any at 127.0.0.1), the
/// same path or one below.
fn below(registered: &str, sent: &str) -> bool {
    let (Ok(registered), Ok(sent)) = (Url::parse(registered), Url::parse(sent)) else {
        return false;
    };
    let same_host = match (registered.host(), sent.host()) {
        (Some(Host::Domain(registered)), Some(Host::Domain(sent))) => {
            sent == registered || sent.ends_with(&format!(".{registered}"))
        }
        (registered, sent) => registered == sent,
    };
    let same_port = registered.port_or_known_default() == sent.port_or_known_default()
        || registered.host_str() == Some("127.0.0.1");
    let path = registered.path().trim_end_matches('/');
    let rest = sent.path().strip_prefix(path);
    registered.scheme() == sent.scheme()
        && same_host
        && same_port
        && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn failed(state: &State, uri: &str, params: &Params, code: &str, text: &str, anchor: &str) -> String {
    let page = "/apps/managing-oauth-apps/troubleshooting-authorization-request-errors/";
    let error_uri = format!("{page}{anchor}");
    let response = [("error", code), ("error_description", text), ("error_uri", &error_uri)];
    callback(state, uri, params, &response)
}

fn callback(state: &State, redirect_uri: &str, params: &Params, response: &[(&str, &str)]) -> String {
    let usual = format!("{}/login/oauth", state.base_url);
    let issuer = match &state.options.issuer {
        Issuer::Usual => Some(usual.as_str()),
        Issuer::Omitted => None,
        Issuer::Other(issuer) => Some(issuer.as_str()),
    };
    let mut response = response.to_vec();
    response.extend(issuer.map(|issuer| ("iss", issuer)));
    response.extend(params.get("state").map(|state| ("state", state)));
    with_query(redirect_uri, &response)
}

fn found(url: &str, set_cookie: Option<&str>) -> FakeResponse {
    let mut headers = vec![("Location", url), HTML];
    headers.extend(set_cookie.map(|cookie| ("Set-Cookie", cookie)));
    respond(302, &headers, Vec::new())
}

/// Whether GitHub skips the page: these scopes were granted before, and not ten tokens were made in the last hour.
fn has_consented(state: &State, params: &Params, login: &str) -> bool {
    let client_id = params.get("client_id").unwrap_or_default();
    let Some(user) = state.user_named(login).filter(|_| state.options.remember_consent) else {
        return false;
    };
    let Some(granted) = state.grants.consent(client_id, user.id) else {
        return false;
    };
    let granted: Vec<String> = granted.iter().cloned().collect();
    let asked = match params.get("scope") {
        Some(scope) => normalized(scope.split(' ').filter(|scope| !scope.is_empty())),
        None => granted.clone(),
    };
    params.get("prompt") != Some("select_account")
        && asked.iter().all(|scope| super::scopes::covers(&granted, &[scope]))
        && state.grants.recent(client_id, user.id, &asked) < 10
}
