use codehost_oauth::testing::{
    FakeApplication, FakeBitbucket, FakeError, bitbucket::FakeUser, bitbucket::RefreshRotation,
};

use super::{
    CALLBACK, CHALLENGE, ResponseSummary, VERIFIER, client, encoded, form, get, get_with_token, param, send, with,
};
use crate::support::fixture::text;

const ID: &str = "key";
const SECRET: &str = "canary-s/e+c r%et";

async fn start(rotation: RefreshRotation) -> FakeBitbucket {
    let app = FakeApplication::new(ID, SECRET, CALLBACK, "account email team");
    FakeBitbucket::builder().application(app).refresh_rotation(rotation).start().await.unwrap()
}

const REQUEST: [(&str, &str); 7] = [
    ("client_id", ID),
    ("redirect_uri", CALLBACK),
    ("response_type", "code"),
    ("scope", "account email"),
    ("state", "st-123"),
    ("code_challenge", CHALLENGE),
    ("code_challenge_method", "S256"),
];

fn page(fake: &FakeBitbucket, params: &[(&str, &str)]) -> String {
    format!("{}/site/oauth2/authorize?{}", fake.base_url(), encoded(params))
}

fn exchange(code: &str) -> Vec<(&str, &str)> {
    vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)]
}

fn refresh(token: &str) -> Vec<(&str, &str)> {
    vec![("grant_type", "refresh_token"), ("refresh_token", token)]
}

async fn token(fake: &FakeBitbucket, params: &[(&str, &str)]) -> ResponseSummary {
    token_as(fake, params, ID, SECRET).await
}

async fn token_as(fake: &FakeBitbucket, params: &[(&str, &str)], id: &str, secret: &str) -> ResponseSummary {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let url = format!("{}/site/oauth2/access_token", fake.base_url());
    send(form(&url, params).basic_auth(encode(id), Some(encode(secret)))).await
}

async fn log_in(fake: &FakeBitbucket, username: &str, scope: &str) -> ResponseSummary {
    let callback = fake.authorize(&page(fake, &with(&REQUEST, "scope", scope)), username).unwrap();
    token(fake, &exchange(&param(&callback, "code"))).await
}

async fn api(fake: &FakeBitbucket, call: &str, token: &str) -> ResponseSummary {
    get_with_token(&format!("{}/2.0{call}", fake.api_url()), token).await
}

/// The members' names in the order of the text.
fn members(json: &str) -> Vec<&str> {
    json.split('"').skip(1).step_by(2).filter(|text| json.contains(&format!("\"{text}\":"))).collect()
}

#[track_caller]
fn assert_body(response: &ResponseSummary, status: u16, fixture: &str) {
    assert_eq!(
        (response.status, response.body.as_str()),
        (status, text(&format!("bitbucket/{fixture}.json")).trim_end())
    );
}

#[tokio::test]
async fn the_new_back_end_rotates_refresh_tokens() {
    let fake = start(RefreshRotation::Rotating).await;
    let response = log_in(&fake, "jane", "account email").await;
    assert_eq!(members(&response.body), members(text("bitbucket/token_success_new.json").trim_end()));
    assert_eq!(response.text("scope"), "account email");
    let [access, first] = [response.text("access_token"), response.text("refresh_token")];
    assert!(access.len() > 2000 && first.len() > 2000 && access.starts_with("eyJ"));
    let renewed = token(&fake, &refresh(&first)).await;
    assert_ne!(renewed.text("refresh_token"), first);
    assert_body(&token(&fake, &refresh(&first)).await, 400, "token_unauthorized_client");
    assert_eq!(token(&fake, &refresh(&renewed.text("refresh_token"))).await.status, 200);
    assert_eq!(api(&fake, "/user", &renewed.text("access_token")).await.status, 200);
}

#[tokio::test]
async fn the_old_back_end_keeps_refresh_tokens() {
    let fake = start(RefreshRotation::Old).await;
    let response = log_in(&fake, "jane", "").await;
    assert_eq!(members(&response.body), members(text("bitbucket/token_success_old.json").trim_end()));
    // All scopes of the client, because the request named none.
    assert_eq!(response.text("scopes"), "account email team");
    let renewed = token(&fake, &refresh(&response.text("refresh_token"))).await;
    assert_eq!(renewed.text("refresh_token"), response.text("refresh_token"));
    assert_eq!(renewed.text("state"), "refresh_token");
    assert_eq!(api(&fake, "/user", &renewed.text("access_token")).await.status, 200);
    let dead = token(&fake, &refresh("0000")).await;
    assert_eq!(
        (dead.text("error"), dead.text("error_description")),
        ("invalid_request".into(), "Invalid refresh_token".into())
    );
}

#[tokio::test]
async fn the_token_endpoint_refuses_wrong_requests() {
    let fake = start(RefreshRotation::Rotating).await;
    let url = format!("{}/site/oauth2/access_token", fake.base_url());
    let code = param(&fake.authorize(&page(&fake, &REQUEST), "jane").unwrap(), "code");
    let right = exchange(&code);
    assert_body(&token_as(&fake, &right, ID, "wrong").await, 400, "token_unauthorized_client");
    assert_body(&token_as(&fake, &right, "nobody", SECRET).await, 400, "token_unauthorized_client");
    let raw = send(form(&url, &right).basic_auth(ID, Some(SECRET))).await;
    assert_body(&raw, 400, "token_unauthorized_client");
    let json = client().post(&url).header("Content-Type", "application/json").body("{}");
    assert_body(&send(json.basic_auth(ID, Some("x"))).await, 400, "token_unsupported_grant_type");
    let in_body = with(&with(&right, "client_id", ID), "client_secret", SECRET);
    let in_body = send(form(&url, &in_body)).await;
    let text = "Requests must be authenticated using OAuth client credentials";
    assert_eq!((in_body.text("error"), in_body.text("error_description")), ("unauthorized_client".into(), text.into()));
    for (name, value) in [
        ("redirect_uri", "http://127.0.0.1:9000/callback/x"),
        ("redirect_uri", ""),
        ("code_verifier", ""),
        ("code_verifier", "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww"),
        ("code", "0000"),
    ] {
        assert_eq!(token(&fake, &with(&right, name, value)).await.text("error"), "invalid_grant", "{name}={value}");
    }
    assert_eq!(token(&fake, &right).await.status, 200);
    assert_eq!(token(&fake, &right).await.text("error"), "invalid_grant");
    let mut forgotten = FakeApplication::new("bare", "bare", "", "account");
    forgotten.redirect_uris.clear();
    fake.add_application(forgotten);
    assert_body(&token_as(&fake, &right, "bare", "bare").await, 400, "token_no_callback_uri");
}

#[tokio::test]
async fn users_and_addresses_match_the_fixtures() {
    let fake = start(RefreshRotation::Rotating).await;
    let jane = log_in(&fake, "jane", "account email").await.text("access_token");
    let response = api(&fake, "/user", &jane).await;
    assert_eq!(members(&response.body), members(&text("bitbucket/user.json")));
    assert_eq!(response.text("uuid"), "{11111111-2222-3333-4444-555555555555}");
    assert_eq!(response.header("x-oauth-scopes"), "account, email");
    let emails = api(&fake, "/user/emails", &jane).await;
    assert_eq!(members(&emails.body), members(text("bitbucket/emails.json").trim_end()));
    fake.rename("jane", "janet");
    fake.block("janet");
    let response = api(&fake, "/user", &jane).await;
    assert_eq!((response.text("username"), response.text("account_status")), ("janet".into(), "inactive".into()));

    fake.add_user(FakeUser::many_emails(4));
    let many = log_in(&fake, "many", "email").await.text("access_token");
    let mut next = Some(format!("{}/2.0/user/emails", fake.api_url()));
    let mut addresses = Vec::new();
    while let Some(url) = next {
        let page = get_with_token(&url, &many).await.json();
        addresses.extend(page["values"].as_array().unwrap().iter().map(|entry| entry["email"].to_string()));
        next = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!(addresses.len(), 4);
    assert_eq!(api(&fake, "/user/emails?page=9", &many).await.status, 404);
}

#[tokio::test]
async fn api_errors_match_the_fixtures() {
    let fake = start(RefreshRotation::Rotating).await;
    let team = log_in(&fake, "jane", "team").await.text("access_token");
    assert_body(&api(&fake, "/user", &team).await, 403, "error_missing_scope");
    assert_body(&api(&fake, "/user", "x").await, 401, "error_token_invalid");
    let in_query = get(&format!("{}/2.0/user?access_token={team}", fake.api_url())).await;
    assert_body(&in_query, 401, "error_token_invalid");
    assert_body(&api(&fake, "/user/permissions/workspaces", &team).await, 410, "error_gone");
    fake.expire_all_tokens();
    assert_body(&api(&fake, "/user", &team).await, 401, "error_token_expired");
    fake.revoke_all();
    assert_body(&api(&fake, "/user", &team).await, 401, "error_token_invalid");
}

#[tokio::test]
async fn a_wider_scope_includes_narrower_ones() {
    let app = FakeApplication::new(ID, SECRET, CALLBACK, "account:write project:admin");
    let fake = FakeBitbucket::builder().application(app).start().await.unwrap();
    for (scope, calls) in [
        ("account:write", [("/user", 200), ("/user/emails", 200)]),
        ("account", [("/user", 200), ("/user/emails", 200)]),
        ("email", [("/user", 403), ("/user/emails", 200)]),
        ("project:admin", [("/user", 403), ("/user/emails", 403)]),
    ] {
        let token = log_in(&fake, "jane", scope).await.text("access_token");
        for (call, status) in calls {
            assert_eq!(api(&fake, call, &token).await.status, status, "{scope}: {call}");
        }
    }
    for scope in ["project", "team", "account repository"] {
        let callback = fake.authorize(&page(&fake, &with(&REQUEST, "scope", scope)), "jane").unwrap();
        assert_eq!(param(&callback, "error"), "invalid_scope", "{scope}");
    }
}

#[tokio::test]
async fn the_api_can_have_another_host() {
    let app = FakeApplication::new(ID, SECRET, CALLBACK, "account");
    let fake = FakeBitbucket::builder().application(app).split_api_host().start().await.unwrap();
    assert_ne!(fake.base_url(), fake.api_url());
    let jane = log_in(&fake, "jane", "account").await.text("access_token");
    assert_eq!(api(&fake, "/user", &jane).await.status, 200);
    assert_eq!(get_with_token(&format!("{}/2.0/user", fake.base_url()), &jane).await.status, 404);
    assert_eq!(get(&page(&fake, &REQUEST).replace(fake.base_url(), fake.api_url())).await.status, 404);
}

#[tokio::test]
async fn the_authorization_page_compares_redirect_uris_by_prefix() {
    let fake = start(RefreshRotation::Rotating).await;
    let longer = "http://127.0.0.1:9000/callback/below";
    let callback = fake.authorize(&page(&fake, &with(&REQUEST, "redirect_uri", longer)), "jane").unwrap();
    assert!(callback.starts_with(longer), "a registered URL is a prefix");
    for (name, value) in [("redirect_uri", "http://127.0.0.1:9000/"), ("client_id", "nobody"), ("response_type", "")] {
        let url = page(&fake, &with(&REQUEST, name, value));
        assert!(matches!(fake.authorize(&url, "jane"), Err(FakeError::Page(_))), "{name}={value}");
        assert!(matches!(fake.deny(&url), Err(FakeError::Page(_))), "{name}={value}");
    }
    let misconfigured = get(&page(&fake, &with(&REQUEST, "redirect_uri", "http://127.0.0.1:9000/"))).await;
    assert!(misconfigured.body.contains("Invalid redirect_uri. This integration is misconfigured."));
    let url = format!("{}/site/oauth2/authorize", fake.base_url());
    let allowed = send(form(&url, &with(&REQUEST, "user", "jane"))).await;
    assert_eq!((allowed.status, param(allowed.header("location"), "state")), (302, "st-123".to_owned()));
    let denied = send(form(&url, &with(&REQUEST, "action", "cancel"))).await;
    assert_eq!(param(denied.header("location"), "error"), "access_denied");
    assert_eq!(get(&page(&fake, &REQUEST)).await.body.matches("<form method=\"post\"").count(), 2);
}
