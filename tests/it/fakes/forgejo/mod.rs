mod api;
mod authorize;
mod membership;
mod recognition;
mod rights;
mod token;

use codehost_oauth::testing::{FakeApplication, FakeForgejo, forgejo::FakeForgejoBuilder};

use super::{
    CALLBACK, CHALLENGE, ResponseSummary, VERIFIER, client, encoded, form, get, get_with_token, param, send, with,
};

const ID: &str = "2d7c1f0e-7a55-4c3e-9d0b-6f1e2a3b4c5d";
const SECRET: &str = "gto_canary-forgejo-secret";
const OTHER: &str = "second";
const OTHER_SECRET: &str = "gto_canary-other-secret";
const ALSO: &str = "http://127.0.0.1:9000/also";

fn forgejo() -> FakeForgejoBuilder {
    let mut app = FakeApplication::new(ID, SECRET, CALLBACK, "");
    app.redirect_uris.push(ALSO.to_owned());
    let other = FakeApplication::new(OTHER, OTHER_SECRET, CALLBACK, "");
    let mut public = FakeApplication::new("public", "", CALLBACK, "");
    public.confidential = false;
    FakeForgejo::builder().application(app).application(other).application(public).unique_tokens(true)
}

async fn start() -> FakeForgejo {
    forgejo().start().await.unwrap()
}

const REQUEST: [(&str, &str); 7] = [
    ("client_id", ID),
    ("redirect_uri", CALLBACK),
    ("response_type", "code"),
    ("scope", "read:user"),
    ("state", "st-123"),
    ("code_challenge", CHALLENGE),
    ("code_challenge_method", "S256"),
];

fn page(fake: &FakeForgejo, params: &[(&str, &str)]) -> String {
    format!("{}/login/oauth/authorize?{}", fake.base_url(), encoded(params))
}

fn code(fake: &FakeForgejo, username: &str) -> String {
    param(&fake.authorize(&page(fake, &REQUEST), username).unwrap(), "code")
}

fn exchange(code: &str) -> Vec<(&str, &str)> {
    vec![
        ("grant_type", "authorization_code"),
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

async fn token(fake: &FakeForgejo, params: &[(&str, &str)]) -> ResponseSummary {
    send(form(&format!("{}/login/oauth/access_token", fake.base_url()), params)).await
}

async fn log_in(fake: &FakeForgejo, username: &str, scope: &str) -> (String, String) {
    let url = page(fake, &with(&REQUEST, "scope", scope));
    let code = param(&fake.authorize(&url, username).unwrap(), "code");
    let response = token(fake, &exchange(&code)).await;
    (response.text("access_token"), response.text("refresh_token"))
}

async fn api(fake: &FakeForgejo, call: &str, token: &str) -> ResponseSummary {
    get_with_token(&format!("{}/api/v1{call}", fake.base_url()), token).await
}

#[track_caller]
fn assert_refused(response: &ResponseSummary, error: &str, description: &str) {
    let body = format!("{{\"error\":\"{error}\",\"error_description\":{}}}\n", serde_json::json!(description));
    assert_eq!((response.status, &response.body), (400, &body));
    assert_eq!(response.header("content-type"), "application/json;charset=utf-8");
}

#[track_caller]
fn assert_message(response: &ResponseSummary, status: u16, message: &str) {
    assert_eq!((response.status, response.text("message").as_str()), (status, message));
    assert_eq!(response.header("content-type"), "application/json;charset=utf-8");
    assert_eq!(response.header("www-authenticate"), "");
}
