//! The API calls of a login, and the routes of the others.

use http::Method;

use super::caller::{Caller, TokenUser, admit, before};
use super::scopes::covers;
use super::state::State;
use super::wire::{JSON, add_rate_limit, not_found, page, refused};
use super::{applications, membership_calls};
use crate::testing::wire::{FakeRequest, FakeResponse, add_header, form_decode, respond};

/// `path` is the path below the root of the API.
pub(super) fn call(state: &mut State, request: &FakeRequest, path: &str) -> FakeResponse {
    let parts: Vec<String> = path.split('/').skip(1).map(form_decode).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let mut response = match parts.as_slice() {
        ["applications", client_id, what] => match before(state, request) {
            Some(refusal) => refusal,
            None => applications::call(state, request, client_id, what),
        },
        parts => match admit(state, request) {
            Err(refusal) => *refusal,
            Ok((caller, window)) => {
                let mut response = route(state, request, &caller, parts);
                if let Caller::User(token) = &caller {
                    add_scopes(&mut response, token, parts);
                }
                if let Some(window) = window {
                    add_rate_limit(&mut response, window);
                }
                response
            }
        },
    };
    add_header(&mut response, "X-GitHub-Media-Type", "github.v3; format=json");
    if state.options.is_server() && response.status().is_success() {
        add_header(&mut response, "X-GitHub-Enterprise-Version", &state.options.version);
    }
    response
}

fn route(state: &mut State, request: &FakeRequest, caller: &Caller, parts: &[&str]) -> FakeResponse {
    match (request.method(), parts) {
        (&Method::GET, ["meta"]) => return meta(state),
        (&Method::POST, ["credentials", "revoke"]) if !state.options.is_server() => {
            return applications::revoke_leaked(state, request);
        }
        (&Method::GET, _) if needs(parts).is_some() => {}
        _ => return not_found(state, ""),
    }
    let Caller::User(token) = caller else {
        return refused(state, 401, "Requires authentication", "");
    };
    match parts {
        ["user"] => {
            let private_profile = !token.github_app && covers(&token.scopes, &["user"]);
            respond(200, &[JSON], token.user.json(state, private_profile))
        }
        ["user", "emails"] => emails(state, request, token),
        _ => membership_calls::call(state, request, token, parts),
    }
}

fn emails(state: &State, request: &FakeRequest, token: &TokenUser) -> FakeResponse {
    let docs = "/users/emails#list-email-addresses-for-the-authenticated-user";
    if token.github_app && !token.has_permission("emails") {
        return not_accessible(state, docs);
    }
    if !token.github_app && !covers(&token.scopes, &["user:email"]) {
        return not_found(state, docs);
    }
    page(state, request, "/user/emails", &token.user.email_entries(state.options.override_verified))
}

/// The refusal of a GitHub App that lacks a permission or is not installed.
pub(super) fn not_accessible(state: &State, docs: &str) -> FakeResponse {
    refused(state, 403, "Resource not accessible by integration", docs)
}

fn meta(state: &State) -> FakeResponse {
    let body = match state.options.is_server() {
        true => format!(
            "{{\"verifiable_password_authentication\":true,\"packages\":[\"192.0.2.1\"],\
             \"domains\":{{\"website\":[\"*.example.com\"]}},\"installed_version\":\"{}\"}}",
            state.options.version
        ),
        false => META.to_owned(),
    };
    respond(200, &[JSON], body)
}

const META: &str = concat!(
    r#"{"verifiable_password_authentication":false,"hooks":["192.0.2.0/24"],"web":["192.0.2.0/24"],"#,
    r#""api":["192.0.2.0/24"],"domains":{"website":["*.github.com"]}}"#,
);

/// The scopes that a call accepts, as its header lists them, and the permission that a GitHub App needs.
fn needs(parts: &[&str]) -> Option<(&'static str, &'static str)> {
    Some(match parts {
        ["user"] => ("", ""),
        ["user", "emails"] => ("user, user:email", "emails=read"),
        ["user", "orgs"] => ("admin:org, read:org, user, write:org", "members=read"),
        ["user", "teams"] => ("admin:org, read:org, repo, user, write:org", "members=read"),
        ["user", "memberships", "orgs"]
        | ["user", "memberships", "orgs", _]
        | ["orgs", _, "teams", _, "memberships", _]
        | ["organizations", _, "team", _, "memberships", _] => ("admin:org, read:org, write:org", "members=read"),
        ["orgs", _, "members" | "public_members", _] => ("", "members=read"),
        _ => return None,
    })
}

fn add_scopes(response: &mut FakeResponse, token: &TokenUser, parts: &[&str]) {
    let (scopes, permission) = needs(parts).unwrap_or_default();
    if token.github_app {
        add_header(response, "X-Accepted-GitHub-Permissions", permission);
    } else {
        add_header(response, "X-OAuth-Scopes", &token.scopes.join(", "));
        add_header(response, "X-Accepted-OAuth-Scopes", scopes);
    }
}
