//! The API calls that a login makes.

use http::Method;

use super::scopes;
use super::state::State;
use super::user::FakeUser;
use super::workspace;
use crate::testing::wire::{FakeRequest, FakeResponse, Params, add_header, bearer, json_string, respond};

/// `call` is the path after `/2.0`.
pub(super) fn call(state: &State, request: &FakeRequest, call: &str) -> FakeResponse {
    if request.method() != Method::GET {
        return error(404, "Resource not found");
    }
    let response = match call {
        "/user" => owner(state, request, "account").map(|(user, scopes)| {
            let body = user.json(&state.api_url, &state.base_url);
            with_scopes(respond(200, &[JSON], body), scopes, "account")
        }),
        "/user/emails" => owner(state, request, "email").map(|(user, scopes)| {
            let page = Params::of_query(request).get("page").map_or(Some(1), |page| page.parse().ok());
            match page.and_then(|page| user.emails_json(&state.api_url, page)) {
                Some(body) => with_scopes(respond(200, &[JSON], body), scopes, "email"),
                None => error(404, "Invalid page"),
            }
        }),
        "/workspaces" | "/user/permissions/workspaces" | "/user/permissions/repositories" | "/repositories" => {
            Ok(respond(410, &[JSON], GONE))
        }
        _ => match call.strip_prefix("/user/workspaces/").and_then(|rest| rest.strip_suffix("/permission")) {
            Some(identifier) => {
                owner(state, request, "account").map(|(user, scopes)| match workspace::permission(user, identifier) {
                    Some(body) => with_scopes(respond(200, &[JSON], body), scopes, "account"),
                    None => error(403, "You do not have access to this workspace."),
                })
            }
            None => Ok(error(404, "Resource not found")),
        },
    };
    response.unwrap_or_else(|refusal| *refusal)
}

const JSON: (&str, &str) = ("Content-Type", "application/json; charset=utf-8");

/// The user and the scopes of the token, if they cover the `needed` one.
fn owner<'a>(
    state: &'a State,
    request: &FakeRequest,
    needed: &str,
) -> Result<(&'a FakeUser, &'a str), Box<FakeResponse>> {
    // Since 2026, Bitbucket ignores tokens in a query or body.
    let token = bearer(request).and_then(|token| state.grants.by_access(token)).filter(|token| !token.access_revoked);
    let user = token.and_then(|token| state.users.iter().find(|user| user.uuid == token.user));
    let (Some(token), Some(user)) = (token, user) else {
        return Err(Box::new(error(401, "Token is invalid, expired, or not supported for this endpoint.")));
    };
    if token.is_expired(state.grants.now()) {
        let text = "OAuth2 access token expired. Use your refresh token to obtain a new access token.";
        return Err(Box::new(error(401, text)));
    }
    if !scopes::covers(token.scopes.split_whitespace(), needed) {
        let granted: Vec<String> = token.scopes.split_whitespace().map(json_string).collect();
        let body = format!(
            "{{\"type\": \"error\", \"error\": {{\"message\": \"Your credentials lack one or more required privilege \
             scopes.\", \"detail\": {{\"required\": [\"{needed}\"], \"granted\": [{}]}}}}}}",
            granted.join(", ")
        );
        return Err(Box::new(respond(403, &[JSON], body)));
    }
    Ok((user, &token.scopes))
}

fn with_scopes(mut response: FakeResponse, granted: &str, accepted: &str) -> FakeResponse {
    add_header(&mut response, "X-OAuth-Scopes", &granted.replace(' ', ", "));
    add_header(&mut response, "X-Accepted-OAuth-Scopes", accepted);
    response
}

fn error(status: u16, message: &str) -> FakeResponse {
    let body = format!("{{\"type\": \"error\", \"error\": {{\"message\": {}}}}}", json_string(message));
    respond(status, &[JSON], body)
}

const GONE: &str = concat!(
    r#"{"type": "error", "error": {"message": "CHANGE-2770 - Functionality has been deprecated", "#,
    r#""detail": "Please read the changelog entry for more details.", "data": {"announcement_url": "#,
    r#""https://developer.atlassian.com/cloud/bitbucket/changelog#CHANGE-2770"}}, "data": {"announcement_url": "#,
    r#""https://developer.atlassian.com/cloud/bitbucket/changelog#CHANGE-2770"}}"#,
);
