//! Who calls the API, and the refusals that all calls have in common.

use http::header::AUTHORIZATION;

use super::limits::Window;
use super::state::State;
use super::user::FakeUser;
use super::wire::{JSON, add_rate_limit, bad_credentials, private_mode, refused, request_id, slow_down};
use crate::testing::wire::{FakeRequest, FakeResponse, Params, basic, bearer, respond};

pub(super) enum Caller {
    Anonymous,
    /// An OAuth App with its own credentials.
    Application,
    User(Box<TokenUser>),
}

/// The user of a token.
pub(super) struct TokenUser {
    pub(super) user: FakeUser,
    pub(super) client_id: String,
    pub(super) github_app: bool,
    pub(super) permissions: Vec<String>,
    pub(super) scopes: Vec<String>,
    /// The ids of the organizations with SAML that the token may read.
    pub(super) saml: Vec<u64>,
}

impl TokenUser {
    /// Whether a GitHub App has the permission, for example `emails`.
    pub(super) fn has_permission(&self, name: &str) -> bool {
        let is_it = |permission: &String| permission.strip_prefix(name).is_some_and(|level| level.starts_with('='));
        self.permissions.iter().any(is_it)
    }
}

/// The checks before those of credentials.
pub(super) fn before(state: &mut State, request: &FakeRequest) -> Option<FakeResponse> {
    let now = state.grants.now();
    if state.maintenance {
        let docs = state.docs("");
        let body = format!("{{\"code\":\"503\",\"message\":\"Service Unavailable\",\"documentation_url\":\"{docs}\"}}");
        return Some(respond(503, &[JSON], body));
    }
    let version = request.headers().get("X-GitHub-Api-Version");
    if version.is_some_and(|version| version != "2022-11-28" && version != "2026-03-10") {
        return Some(refused(
            state,
            400,
            "The X-GitHub-Api-Version is not supported.",
            "/about-the-rest-api/api-versions",
        ));
    }
    if Params::of_query(request).get("access_token").is_some() {
        let text = "Must specify access token via Authorization header. \
                    https://developer.github.com/changes/2020-02-10-deprecating-auth-through-query-param";
        return Some(refused(state, 400, text, ""));
    }
    if state.limits.locked_out(state.options.failed_logins, now) {
        let text = "Maximum number of login attempts exceeded. Please try again later.";
        return Some(refused(state, 403, text, ""));
    }
    let secondary = state.limits.secondary(now)?;
    Some(slow_down(state, secondary))
}

/// Finds out who calls, and counts the request. The window belongs into the response's headers, also of a refusal.
pub(super) fn admit(state: &mut State, request: &FakeRequest) -> Result<(Caller, Option<Window>), Box<FakeResponse>> {
    if let Some(refusal) = before(state, request) {
        return Err(Box::new(refusal));
    }
    let caller = identify(state, request)?;
    let (key, limit, whose) = match &caller {
        Caller::User(token) => (user_key(&token.user), u64::MAX, format!("user ID {}", token.user.id)),
        Caller::Application => ("application".to_owned(), u64::MAX, "this application".to_owned()),
        Caller::Anonymous => ("address".to_owned(), 60, "127.0.0.1".to_owned()),
    };
    let now = state.grants.now();
    let limit = state.options.rate_limit().map(|of_user| of_user.min(limit));
    let window = limit.map(|limit| state.limits.count(key, limit, now));
    if let Some(window) = window.filter(|window| window.used > window.limit) {
        let text = format!(
            "API rate limit exceeded for {whose}. If you reach out to GitHub Support for help, please include the \
             request ID {}.",
            request_id()
        );
        let docs = "/using-the-rest-api/rate-limits-for-the-rest-api";
        let mut response = refused(state, state.options.rate_limit_status, &text, docs);
        add_rate_limit(&mut response, window);
        return Err(Box::new(response));
    }
    Ok((caller, window))
}

/// The key of the requests that count for a user, over all applications.
pub(super) fn user_key(user: &FakeUser) -> String {
    format!("user {}", user.id)
}

fn identify(state: &mut State, request: &FakeRequest) -> Result<Caller, Box<FakeResponse>> {
    if !request.headers().contains_key(AUTHORIZATION) {
        return match state.options.private_mode {
            true => Err(Box::new(private_mode(state))),
            false => Ok(Caller::Anonymous),
        };
    }
    if let Some(sent) = basic(request) {
        // GitHub Apps are refused.
        let app = state.application(&sent.id).filter(|app| !app.github_app);
        if app.is_some_and(|app| sent.secret.as_ref() == Some(&app.application.client_secret)) {
            return Ok(Caller::Application);
        }
    }
    match bearer(request).and_then(|token| of_token(state, token)) {
        Some(token) if token.user.suspended => {
            Err(Box::new(refused(state, 403, "Sorry. Your account was suspended.", "")))
        }
        Some(token) => Ok(Caller::User(Box::new(token))),
        None => {
            let now = state.grants.now();
            state.limits.failed_login(now);
            Err(Box::new(bad_credentials(state)))
        }
    }
}

/// Unknown, expired and revoked tokens are not told apart.
fn of_token(state: &mut State, access: &str) -> Option<TokenUser> {
    state.grants.by_access(access)?;
    state.grants.used(access);
    let token = state.grants.by_access(access)?;
    let app = state.application(&token.client_id)?;
    Some(TokenUser {
        user: state.user_with_id(token.user)?.clone(),
        client_id: token.client_id.clone(),
        github_app: app.github_app,
        permissions: app.application.scopes.clone(),
        scopes: token.scopes.clone(),
        saml: token.saml.clone(),
    })
}
