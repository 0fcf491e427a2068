//! The fake of GitHub against what is documented and reported, row by row.

mod api;
mod authorize;
mod kinds;
mod limits;
mod membership;
mod revoke;
mod token;

use codehost_oauth::testing::github::FakeGitHubBuilder;
use codehost_oauth::testing::{FakeApplication, FakeGitHub};

use super::{CALLBACK, CHALLENGE, ResponseSummary, VERIFIER, client, encoded, form, param, send, with};

const ID: &str = "Ov23liFakeClient0001";
const SECRET: &str = "canary-github-secret";
const APP_ID: &str = "Iv23liFakeGitHubApp1";
const APP_SECRET: &str = "canary-github-app-secret";

const REQUEST: [(&str, &str); 6] = [
    ("client_id", ID),
    ("redirect_uri", CALLBACK),
    ("scope", "user:email"),
    ("state", "st-123"),
    ("code_challenge", CHALLENGE),
    ("code_challenge_method", "S256"),
];

/// With an OAuth App, and a GitHub App that may read addresses and members.
fn builder() -> FakeGitHubBuilder {
    FakeGitHub::builder().application(FakeApplication::new(ID, SECRET, CALLBACK, "")).github_app(FakeApplication::new(
        APP_ID,
        APP_SECRET,
        CALLBACK,
        "emails=read members=read",
    ))
}

async fn start() -> FakeGitHub {
    builder().start().await.unwrap()
}

fn page(fake: &FakeGitHub, params: &[(&str, &str)]) -> String {
    format!("{}/login/oauth/authorize?{}", fake.base_url(), encoded(params))
}

fn code(fake: &FakeGitHub, login: &str, scope: &str) -> String {
    param(&fake.authorize(&page(fake, &with(&REQUEST, "scope", scope)), login).unwrap(), "code")
}

fn exchange(code: &str) -> Vec<(&str, &str)> {
    vec![
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("client_id", ID),
        ("client_secret", SECRET),
    ]
}

fn refresh(token: &str) -> Vec<(&str, &str)> {
    vec![("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", ID), ("client_secret", SECRET)]
}

async fn token(fake: &FakeGitHub, params: &[(&str, &str)]) -> ResponseSummary {
    let request = form(&format!("{}/login/oauth/access_token", fake.base_url()), params);
    send(request.header("Accept", "application/json").header("User-Agent", "test")).await
}

/// The token response of a whole login.
async fn log_in(fake: &FakeGitHub, login: &str, scope: &str) -> ResponseSummary {
    token(fake, &exchange(&code(fake, login, scope))).await
}

async fn access(fake: &FakeGitHub, login: &str, scope: &str) -> String {
    log_in(fake, login, scope).await.text("access_token")
}

/// The access token of a login with the GitHub App.
async fn app_access(fake: &FakeGitHub, client_id: &str, login: &str) -> String {
    let url = page(fake, &with(&REQUEST, "client_id", client_id));
    let code = param(&fake.authorize(&url, login).unwrap(), "code");
    let params = with(&with(&exchange(&code), "client_id", client_id), "client_secret", APP_SECRET);
    token(fake, &params).await.text("access_token")
}

async fn api(fake: &FakeGitHub, path: &str, token: &str) -> ResponseSummary {
    let request = client().get(format!("{}{path}", fake.api_url())).header("User-Agent", "test");
    send(if token.is_empty() { request } else { request.bearer_auth(token) }).await
}

#[track_caller]
fn assert_refused(response: &ResponseSummary, status: u16, message: &str) {
    assert_eq!((response.status, response.text("message")), (status, message.to_owned()));
    assert!(response.text("documentation_url").starts_with("https://"), "{}", response.body);
}

/// The names of the members of an object's first level, in their order.
fn members(json: &str) -> Vec<String> {
    let (mut depth, mut text, mut names) = (0, String::new(), Vec::new());
    let mut in_text = false;
    for c in json.chars() {
        match c {
            '"' => {
                in_text = !in_text;
                if in_text {
                    text.clear();
                }
            }
            _ if in_text => text.push(c),
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            ':' if depth == 1 => names.push(text.clone()),
            _ => {}
        }
    }
    names
}
