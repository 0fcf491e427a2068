//! `/api`: who calls, whether the account may, and whether the token may.

use http::Method;
use http::header::AUTHORIZATION;

use super::rights::TokenRights;
use super::state::State;
use super::user::FakeUser;
use super::version::NEVER;
use super::wire::{api_error, early_error, json, not_found, wants_german};
use super::{discovery, membership};
use crate::testing::jwt;
use crate::testing::wire::{FakeRequest, FakeResponse};

/// `path` is what follows `/api/`.
pub(super) fn call(state: &State, request: &FakeRequest, path: &str) -> FakeResponse {
    called(state, request, path).unwrap_or_else(|refusal| *refusal)
}

/// The user of a token, and what the token may do.
pub(super) struct Caller<'a> {
    pub(super) user: &'a FakeUser,
    pub(super) rights: TokenRights,
}

/// The access token of the header. Older servers also take one from the query, which gets into logs.
pub(super) fn token_of(request: &FakeRequest) -> Option<&str> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    matches!(scheme.to_ascii_lowercase().as_str(), "bearer" | "token").then_some(token)
}

fn called(state: &State, request: &FakeRequest, path: &str) -> Result<FakeResponse, Box<FakeResponse>> {
    let caller = caller(state, request)?;
    if let Some(refusal) = caller.as_ref().and_then(|caller| account_refusal(state, request, caller.user)) {
        return Err(Box::new(refusal));
    }
    if caller.is_none() && state.require_sign_in {
        return Err(Box::new(early_error(403, "Only signed in user is allowed to call APIs.")));
    }
    let parts: Vec<&str> = path.split('/').collect();
    if request.method() != Method::GET {
        return Ok(not_found(state, request));
    }
    let categories: &[&str] = match parts.as_slice() {
        ["v1", "version"] => return Ok(discovery::version(state)),
        ["forgejo", "v1", "version"] if !state.version.gitea => return Ok(discovery::version(state)),
        ["v1", "user"] | ["v1", "user", "emails" | "teams"] => &["user"],
        ["v1", "user", "orgs"] | ["v1", "users", _, "orgs", _, "permissions"] => &["user", "organization"],
        ["v1", "orgs", _, "members" | "public_members", _] | ["v1", "teams", _, "members", _] => &["organization"],
        _ => return Ok(not_found(state, request)),
    };
    let caller = caller.ok_or_else(|| Box::new(api_error(state, 401, "token is required")))?;
    check_scopes(state, &caller, categories)?;
    Ok(match parts.as_slice() {
        ["v1", "user"] => json(200, &caller.user.json(state, true)),
        ["v1", "user", "emails"] => json(200, &caller.user.emails_json()),
        _ => membership::call(state, request, &caller, &parts),
    })
}

fn caller<'a>(state: &'a State, request: &FakeRequest) -> Result<Option<Caller<'a>>, Box<FakeResponse>> {
    let Some(text) = token_of(request) else { return Ok(None) };
    let rejected = |why: &str| Box::new(api_error(state, 401, &rejection(state, text, why)));
    let token = state.ledger.token(text).ok_or_else(|| rejected("token is malformed"))?;
    if token.refresh {
        return Err(rejected("token was not an oauth2 access token"));
    }
    if token.expires <= state.ledger.now() {
        return Err(rejected("token has invalid claims: token is expired"));
    }
    let grant = state.ledger.grant(token.grant);
    let user = grant.and_then(|grant| state.user_with_id(grant.user));
    let (Some(grant), Some(user)) = (grant, user) else {
        return Err(rejected("oauth2 grant not found or revoked"));
    };
    Ok(Some(Caller { user, rights: TokenRights::of(&grant.scopes, state) }))
}

/// The message of a 401. Only a Forgejo 16 names the cause, among the results of all the other ways to authenticate.
fn rejection(state: &State, token: &str, why: &str) -> String {
    let unknown = format!("access token does not exist [sha: {token}]");
    if state.version.at_least([16, 0, 0], NEVER) {
        // Two of the five lines repeat the token. The words of the others are invented.
        return format!("{unknown}\n{why}\n{unknown}\ntoken is not one of a task\nno session");
    }
    match jwt::is_token(token) || state.version.gitea {
        true => "user does not exist [uid: 0, name: ]".to_owned(),
        false => unknown,
    }
}

/// Comes before the check of the scopes, so that it is the response to every call.
fn account_refusal(state: &State, request: &FakeRequest, user: &FakeUser) -> Option<FakeResponse> {
    let root = &state.root_url;
    let message = if !user.active && state.email_confirmation {
        "This account is not activated.".to_owned()
    } else if !user.active || user.prohibit_login {
        "This account is prohibited from signing in, please contact your site administrator.".to_owned()
    } else if user.must_change_password {
        format!("You must change your password. Change it at: {root}//user/settings/change_password")
    } else if user.must_enroll_second_factor && state.version.at_least([13, 0, 0], NEVER) {
        let text = match wants_german(request) {
            true => "Diese Forgejo-Instanz verlangt Zwei-Faktor-Authentifizierung. Aktiviere sie unter",
            false => "This Forgejo instance requires two-factor authentication. Enable it at",
        };
        format!("{text}: {root}/user/settings/security")
    } else {
        return None;
    };
    Some(early_error(403, &message))
}

fn check_scopes(state: &State, caller: &Caller<'_>, categories: &[&str]) -> Result<(), Box<FakeResponse>> {
    if !caller.rights.may_read(categories) {
        let required: Vec<String> = categories.iter().map(|category| format!("read:{category}")).collect();
        let text = "token does not have at least one of required scope(s)";
        let required = required.join(" ");
        let message = match state.version.at_least(NEVER, [1, 24, 0]) {
            true => format!("{text}, required=[{required}], token scope={}", caller.rights.shown()),
            false => format!("{text}: [{required}]"),
        };
        return Err(Box::new(api_error(state, 403, &message)));
    }
    if caller.rights.public_only() && categories.contains(&"user") && caller.user.visibility != "public" {
        return Err(Box::new(api_error(state, 403, "token scope is limited to public users")));
    }
    Ok(())
}
