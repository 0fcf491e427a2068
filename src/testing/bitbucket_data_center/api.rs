//! The REST API, and who calls it.

use http::Method;
use http::header::AUTHORIZATION;
use percent_encoding::percent_decode_str;

use super::state::State;
use super::user::FakeUser;
use super::wire::{JSON, Refusal, captcha, encoded, method_not_allowed, no_such_resource, nothing_here, unauthorized};
use super::{project_api, users};
use crate::testing::wire::{FakeRequest, FakeResponse, Params, add_header, bearer, json_string, random_hex, respond};

/// The user of a valid token.
pub(super) struct Caller {
    pub(super) user: FakeUser,
    pub(super) scopes: String,
}

/// `path` is below the context path.
pub(super) fn call(state: &mut State, request: &FakeRequest, path: &str) -> FakeResponse {
    if state.options.login_redirect {
        let login = format!("{}/login?next={}", state.base_url, encoded(path, true));
        return respond(302, &[("Location", &login)], Vec::new());
    }
    let mut response = match caller(state, request) {
        Err(response) => *response,
        Ok(caller) => identified_call(state, request, path, caller.as_ref()),
    };
    add_header(&mut response, "X-AREQUESTID", &format!("@{}x1x0", random_hex(3).to_uppercase()));
    response
}

fn identified_call(state: &mut State, request: &FakeRequest, path: &str, caller: Option<&Caller>) -> FakeResponse {
    let Some(caller) = caller else {
        return match state.options.closed_to_anonymous {
            true => unauthorized().response(&state.options),
            false => respond_to(state, request, path, None),
        };
    };
    let now = state.grants.now();
    let limited = state.options.rate_limit.map(|limit| {
        let bucket = state.buckets.entry(caller.user.id).or_insert_with(|| limit.full(now));
        let taken = limit.take(bucket, now);
        (taken.retry_after.is_some(), limit.headers(&taken))
    });
    let mut response = match limited {
        // The body is not publicly known.
        Some((true, _)) => respond(429, &[], Vec::new()),
        _ => respond_to(state, request, path, Some(caller)),
    };
    for (name, value) in limited.map(|(_, headers)| headers).unwrap_or_default() {
        add_header(&mut response, name, &value);
    }
    let name = encoded(&caller.user.name, state.options.form_encoded_user_name);
    add_header(&mut response, "X-AUSERNAME", &name);
    if state.options.user_id_header {
        add_header(&mut response, "X-AUSERID", &caller.user.id.to_string());
    }
    // A client must not keep it.
    let cookie = format!("BITBUCKETSESSIONID={}; Path=/; HttpOnly", random_hex(16));
    add_header(&mut response, "Set-Cookie", &cookie);
    response
}

/// `None` is an anonymous caller: one without a token, and one whose token is not valid.
fn caller(state: &State, request: &FakeRequest) -> Result<Option<Caller>, Box<FakeResponse>> {
    if !request.headers().contains_key(AUTHORIZATION) {
        return Ok(None);
    }
    let token = bearer(request).and_then(|token| state.grants.by_access(token));
    let token = token.filter(|token| {
        let usable = state.options.accept_access_tokens && !token.access_revoked;
        usable && !token.is_expired(state.grants.now()) && state.application(&token.client_id).is_some()
    });
    let user = token.and_then(|token| state.user_with_id(&token.user));
    let user = user.filter(|user| user.active || !state.options.stop_inactive_users);
    let (Some(token), Some(user)) = (token, user) else {
        return match state.options.reject_bad_tokens {
            true => Err(Box::new(unauthorized().response(&state.options))),
            false => Ok(None),
        };
    };
    if let Some(status) = user.captcha {
        let mut response = captcha(status).response(&state.options);
        let reason = format!("CAPTCHA_CHALLENGE; login-url={}/login", state.base_url);
        add_header(&mut response, "X-Authentication-Denied-Reason", &reason);
        return Err(Box::new(response));
    }
    Ok(Some(Caller { user: user.clone(), scopes: token.scopes.clone() }))
}

fn respond_to(state: &State, request: &FakeRequest, path: &str, caller: Option<&Caller>) -> FakeResponse {
    let segments: Vec<String> = path.split('/').skip(1).map(decoded).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["rest", "api", "latest" | "1.0", call @ ..] => match rest(state, request, call, caller) {
            Ok(body) => respond(200, &[JSON], body),
            Err(refusal) => refusal.response(&state.options),
        },
        // Administrators only, which shows that there is a provider.
        ["rest", "oauth2", "latest" | "1.0", "client"] if state.has_oauth2() => unauthorized().response(&state.options),
        ["rest", ..] => no_such_resource().response(&state.options),
        ["plugins", "servlet", "applinks", "whoami"] => {
            let name = caller.map(|caller| caller.user.name.as_str()).filter(|_| state.version() < [8, 19, 14]);
            respond(200, &[("Content-Type", "text/plain;charset=UTF-8")], name.unwrap_or_default())
        }
        _ => nothing_here(),
    }
}

fn rest(state: &State, request: &FakeRequest, call: &[&str], caller: Option<&Caller>) -> Result<String, Refusal> {
    let query = Params::of_query(request);
    let known = matches!(call.first(), Some(&("application-properties" | "users" | "projects" | "repos" | "admin")));
    if known && request.method() != Method::GET {
        return Err(method_not_allowed());
    }
    match call {
        ["application-properties"] => Ok(properties(state)),
        ["users"] => users::list(state, caller, &query),
        ["users", slug] => users::one(state, caller, slug, &query),
        ["projects", key] => project_api::project(state, caller, key),
        ["projects", key, "repos", slug] => project_api::repository(state, caller, key, slug),
        ["projects", key, "permissions", "users"] => project_api::permissions(state, caller, key, &query),
        ["repos"] => project_api::repositories(state, caller, &query),
        // Needs a scope that no login asks for.
        ["admin", ..] => Err(unauthorized()),
        _ => Err(no_such_resource()),
    }
}

fn properties(state: &State) -> String {
    let [major, minor, patch] = state.version();
    let build = format!("{major}{minor:03}{patch:03}");
    let quote = if state.options.numeric_build { "" } else { "\"" };
    format!(
        "{{\"version\":{},\"buildNumber\":{quote}{build}{quote},\"buildDate\":{quote}1730000000000{quote},\
         \"displayName\":{}}}",
        json_string(&state.options.version),
        json_string(&state.options.display_name),
    )
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}
