use std::time::Duration;

use codehost_oauth::testing::FakeApplication;
use codehost_oauth::testing::github::ServerKind;
use reqwest::Method;

use super::*;

async fn application_call(
    fake: &FakeGitHub,
    method: Method,
    what: &str,
    secret: &str,
    body: String,
) -> ResponseSummary {
    let url = format!("{}/applications/{ID}/{what}", fake.api_url());
    let request = client().request(method, url).header("User-Agent", "test").basic_auth(ID, Some(secret));
    send(request.header("Content-Type", "application/json").body(body)).await
}

fn body(token: &str) -> String {
    format!("{{\"access_token\":\"{token}\"}}")
}

async fn delete(fake: &FakeGitHub, what: &str, token: &str) -> ResponseSummary {
    application_call(fake, Method::DELETE, what, SECRET, body(token)).await
}

#[tokio::test]
async fn one_token_can_be_deleted() {
    for kind in [ServerKind::GitHubCom, ServerKind::EnterpriseServer] {
        let fake = builder().kind(kind).version("3.23.0").start().await.unwrap();
        let first = log_in(&fake, "janedoe", "user:email").await;
        let second = access(&fake, "janedoe", "user:email").await;
        let response = delete(&fake, "token", &first.text("access_token")).await;
        assert_eq!((response.status, response.body.as_str()), (204, ""));
        assert_refused(&api(&fake, "/user", &first.text("access_token")).await, 401, "Bad credentials");
        assert_eq!(token(&fake, &refresh(&first.text("refresh_token"))).await.text("error"), "bad_refresh_token");
        assert_eq!(api(&fake, "/user", &second).await.status, 200);
    }
    let fake = builder().keep_refresh_token(true).start().await.unwrap();
    let login = log_in(&fake, "janedoe", "").await;
    assert_eq!(delete(&fake, "token", &login.text("access_token")).await.status, 204);
    assert_eq!(token(&fake, &refresh(&login.text("refresh_token"))).await.text("token_type"), "bearer");
}

#[tokio::test]
async fn a_grant_has_all_tokens_of_the_user() {
    let fake = start().await;
    let first = access(&fake, "janedoe", "user:email").await;
    let second = log_in(&fake, "janedoe", "repo").await;
    let other = access(&fake, "owner", "repo").await;
    let response = delete(&fake, "grant", &first).await;
    assert_eq!((response.status, response.body.as_str()), (204, ""));
    assert_eq!(api(&fake, "/user", &second.text("access_token")).await.status, 401);
    assert_eq!(token(&fake, &refresh(&second.text("refresh_token"))).await.text("error"), "bad_refresh_token");
    assert_eq!(api(&fake, "/user", &other).await.status, 200);
}

#[tokio::test]
async fn only_a_valid_access_token_can_be_deleted() {
    let fake = start().await;
    let login = log_in(&fake, "janedoe", "").await;
    let access = login.text("access_token");
    for unknown in ["gho_0", &login.text("refresh_token"), &app_access(&fake, APP_ID, "janedoe").await] {
        assert_refused(&delete(&fake, "token", unknown).await, 404, "Not Found");
    }
    let wrong = application_call(&fake, Method::DELETE, "token", "wrong", body(&access)).await;
    assert_refused(&wrong, 404, "Not Found");
    let invalid = application_call(&fake, Method::DELETE, "token", SECRET, "{}".into()).await;
    assert_refused(&invalid, 422, "Validation Failed");
    let form = application_call(&fake, Method::DELETE, "token", SECRET, format!("access_token={access}")).await;
    assert_refused(&form, 400, "Problems parsing JSON");
    let url = format!("{}/applications/{ID}/token", fake.api_url());
    let bearer =
        send(client().delete(&url).header("User-Agent", "test").bearer_auth(&access).body(body(&access))).await;
    assert_refused(&bearer, 401, "Requires authentication");
    let elsewhere = url.replace(ID, APP_ID);
    let elsewhere = client().delete(elsewhere).header("User-Agent", "test").basic_auth(ID, Some(SECRET));
    assert_eq!(send(elsewhere.body(body(&access))).await.status, 404);
    assert_eq!(api(&fake, "/user", &access).await.status, 200);
    fake.advance(Duration::from_secs(28_801));
    assert_refused(&delete(&fake, "token", &access).await, 404, "Not Found");
    assert_refused(&delete(&fake, "grant", &access).await, 404, "Not Found");
    assert_eq!(token(&fake, &refresh(&login.text("refresh_token"))).await.text("token_type"), "bearer");

    let fake = builder().wrong_secret_status(401).start().await.unwrap();
    let wrong = application_call(&fake, Method::DELETE, "token", "wrong", body("x")).await;
    assert_refused(&wrong, 401, "Bad credentials");
}

#[tokio::test]
async fn a_token_can_be_checked() {
    let fake = start().await;
    let access = access(&fake, "janedoe", "user:email repo").await;
    let response = application_call(&fake, Method::POST, "token", SECRET, body(&access)).await;
    assert_eq!(response.status, 200);
    let json = response.json();
    assert_eq!(json["scopes"], serde_json::json!(["repo", "user:email"]));
    assert_eq!((&json["app"]["name"], &json["app"]["client_id"]), (&"Example".into(), &ID.into()));
    assert_eq!((&json["user"]["id"], &json["token"]), (&12_345_678.into(), &access.as_str().into()));
    let expires = json["expires_at"].as_str().unwrap();
    assert!(expires.len() == 20 && expires.starts_with("20") && expires.ends_with('Z'), "{expires}");
    let unknown = application_call(&fake, Method::POST, "token", SECRET, body("gho_0")).await;
    assert_refused(&unknown, 404, "Not Found");
    let fake = builder().token_lifetime(None).start().await.unwrap();
    let access = super::access(&fake, "janedoe", "").await;
    let response = application_call(&fake, Method::POST, "token", SECRET, body(&access)).await;
    assert!(response.json()["expires_at"].is_null());
}

#[tokio::test]
async fn leaked_tokens_can_be_revoked_by_anybody() {
    let fake = start().await;
    fake.add_application(FakeApplication::new("other", SECRET, CALLBACK, ""));
    let access = access(&fake, "janedoe", "").await;
    let revoke = |fake: &FakeGitHub, body: String| {
        let url = format!("{}/credentials/revoke", fake.api_url());
        send(client().post(url).header("User-Agent", "test").body(body))
    };
    assert_eq!(revoke(&fake, "{}".into()).await.status, 422);
    assert_eq!(revoke(&fake, format!("{{\"credentials\":[\"{access}\"]}}")).await.status, 202);
    assert_eq!(api(&fake, "/user", &access).await.status, 401);
    let server = builder().kind(ServerKind::EnterpriseServer).start().await.unwrap();
    assert_eq!(revoke(&server, "{\"credentials\":[\"x\"]}".into()).await.status, 404);
}
