use std::time::Duration;

use codehost_oauth::testing::FakeApplication;
use codehost_oauth::testing::github::{FakeUser, ServerKind, TokenFormat};

use super::*;

/// An error of the token endpoint, which has status 200.
#[track_caller]
fn assert_error(response: &ResponseSummary, code: &str, description: &str) {
    assert_eq!(response.status, 200);
    assert_eq!(members(&response.body), ["error", "error_description", "error_uri"]);
    assert_eq!((response.text("error"), response.text("error_description")), (code.to_owned(), description.to_owned()));
    let uri = response.text("error_uri");
    assert!(uri.starts_with("https://docs.github.com/apps/managing-oauth-apps/troubleshooting-"), "{uri}");
    assert_eq!(response.header("content-type"), "application/json; charset=utf-8");
}

const WRONG_CLIENT: (&str, &str) =
    ("incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect.");
const WRONG_CODE: (&str, &str) = ("bad_verification_code", "The code passed is incorrect or expired.");
const WRONG_REFRESH: (&str, &str) = ("bad_refresh_token", "The refresh token passed is incorrect or expired.");
const WRONG_URI: (&str, &str) =
    ("redirect_uri_mismatch", "The redirect_uri MUST match the registered callback URL for this application.");

#[tokio::test]
async fn tokens_that_expire_have_a_refresh_token() {
    let fake = start().await;
    let response = log_in(&fake, "janedoe", "user:email repo").await;
    assert_eq!(response.status, 200);
    let expected = ["access_token", "expires_in", "refresh_token", "refresh_token_expires_in", "scope", "token_type"];
    assert_eq!(members(&response.body), expected);
    let json = response.json();
    assert_eq!((&json["expires_in"], &json["refresh_token_expires_in"]), (&28800.into(), &15_897_600.into()));
    assert_eq!((&json["scope"], &json["token_type"]), (&"repo,user:email".into(), &"bearer".into()));
    let (access, refresh) = (response.text("access_token"), response.text("refresh_token"));
    assert!(access.starts_with("gho_") && access.len() == 40, "{access}");
    assert!(refresh.starts_with("ghr_") && refresh.len() == 80, "{refresh}");
    assert!(!response.header("x-github-request-id").is_empty());
}

#[tokio::test]
async fn tokens_without_expiry_have_three_members() {
    let fake = builder().token_lifetime(None).start().await.unwrap();
    let response = log_in(&fake, "janedoe", "repo gist").await;
    assert_eq!(members(&response.body), ["access_token", "scope", "token_type"]);
    assert_eq!(response.text("scope"), "gist,repo");
    // A single login can ask for expiry.
    let offline = log_in(&fake, "janedoe", "user:email offline_access").await;
    assert_eq!((offline.text("scope"), offline.json()["expires_in"].as_u64()), ("user:email".into(), Some(28800)));
    fake.advance(Duration::from_secs(30_000));
    assert_eq!(api(&fake, "/user", &response.text("access_token")).await.status, 200);
    assert_refused(&api(&fake, "/user", &offline.text("access_token")).await, 401, "Bad credentials");
    fake.advance(Duration::from_secs(366 * 24 * 60 * 60));
    assert_refused(&api(&fake, "/user", &response.text("access_token")).await, 401, "Bad credentials");
}

#[tokio::test]
async fn parents_swallow_their_children() {
    let fake = start().await;
    for (asked, granted) in [
        ("user user:email", "user"),
        ("read:org admin:org", "admin:org"),
        ("repo public_repo admin:repo_hook read:user", "admin:repo_hook,read:user,repo"),
        ("repo read:org user:email", "read:org,repo,user:email"),
    ] {
        assert_eq!(log_in(&fake, "janedoe", asked).await.text("scope"), granted);
    }
}

#[tokio::test]
async fn errors_have_status_200_and_use_up_the_code() {
    let fake = start().await;
    let other = ("client_id", "other");
    fake.add_application(FakeApplication::new(other.1, SECRET, CALLBACK, ""));
    for (name, value, (code, description)) in [
        ("code", "0000", WRONG_CODE),
        ("code", "", WRONG_CODE),
        ("code_verifier", "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww", WRONG_CODE),
        ("code_verifier", "", WRONG_CODE),
        (other.0, other.1, WRONG_CODE),
        ("redirect_uri", "http://127.0.0.1:9000/callback/x", WRONG_URI),
        ("redirect_uri", "", WRONG_URI),
    ] {
        let good = super::code(&fake, "janedoe", "user:email");
        assert_error(&token(&fake, &with(&exchange(&good), name, value)).await, code, description);
        if name != "code" {
            assert_error(&token(&fake, &exchange(&good)).await, WRONG_CODE.0, WRONG_CODE.1);
        }
    }
    let code = code(&fake, "janedoe", "user:email");
    let right = exchange(&code);
    for (name, value) in [("client_secret", "wrong"), ("client_secret", "")] {
        assert_error(&token(&fake, &with(&right, name, value)).await, WRONG_CLIENT.0, WRONG_CLIENT.1);
    }
    for value in ["nobody", ""] {
        let unknown = token(&fake, &with(&right, "client_id", value)).await;
        assert_eq!((unknown.status, unknown.body.as_str()), (404, "{\"error\":\"Not Found\"}"));
    }
    let device = token(&fake, &with(&right, "grant_type", "urn:ietf:params:oauth:grant-type:device_code")).await;
    assert_eq!(device.text("error"), "unsupported_grant_type");
    // The client was refused before the code was looked at.
    assert_eq!(token(&fake, &right).await.text("token_type"), "bearer");
    assert_error(&token(&fake, &right).await, WRONG_CODE.0, WRONG_CODE.1);
}

#[tokio::test]
async fn codes_live_ten_minutes() {
    let fake = start().await;
    let (first, second) = (code(&fake, "janedoe", "user:email"), code(&fake, "janedoe", "user:email"));
    fake.advance(Duration::from_secs(590));
    assert_eq!(token(&fake, &exchange(&first)).await.text("token_type"), "bearer");
    fake.advance(Duration::from_secs(11));
    assert_error(&token(&fake, &exchange(&second)).await, WRONG_CODE.0, WRONG_CODE.1);
}

#[tokio::test]
async fn a_verifier_needs_a_challenge() {
    let fake = start().await;
    let without = with(&with(&REQUEST, "code_challenge", ""), "code_challenge_method", "");
    let code = || param(&fake.authorize(&page(&fake, &without), "janedoe").unwrap(), "code");
    assert_error(&token(&fake, &exchange(&code())).await, WRONG_CODE.0, WRONG_CODE.1);
    let response = token(&fake, &with(&exchange(&code()), "code_verifier", "")).await;
    assert_eq!(response.text("token_type"), "bearer");
}

#[tokio::test]
async fn the_order_of_checks_can_be_turned() {
    let probe = [("code", "made-up"), ("client_id", ID), ("client_secret", "wrong")];
    assert_eq!(token(&start().await, &probe).await.text("error"), "incorrect_client_credentials");
    let fake = builder().code_before_client(true).start().await.unwrap();
    assert_eq!(token(&fake, &probe).await.text("error"), "bad_verification_code");
}

#[tokio::test]
async fn without_accept_the_response_is_a_form() {
    let fake = start().await;
    let url = format!("{}/login/oauth/access_token", fake.base_url());
    let code = code(&fake, "janedoe", "user:email");
    let wrong = send(form(&url, &with(&exchange(&code), "client_secret", "x")).header("User-Agent", "test")).await;
    assert_eq!((wrong.status, wrong.header("content-type")), (200, "application/x-www-form-urlencoded; charset=utf-8"));
    assert!(wrong.body.starts_with("error=incorrect_client_credentials&error_description=The+client_id"));
    let right = send(form(&url, &exchange(&code)).header("User-Agent", "test")).await;
    assert!(right.body.starts_with("access_token=gho_") && right.body.ends_with("&token_type=bearer"));
}

#[tokio::test]
async fn credentials_are_in_the_body_or_in_basic() {
    let fake = start().await;
    let url = format!("{}/login/oauth/access_token", fake.base_url());
    let codes = [code(&fake, "janedoe", ""), code(&fake, "janedoe", ""), code(&fake, "janedoe", "")];
    let json =
        |request: reqwest::RequestBuilder| request.header("Accept", "application/json").header("User-Agent", "t");
    let members: std::collections::BTreeMap<_, _> = exchange(&codes[0]).into_iter().collect();
    let body = client().post(&url).header("Content-Type", "application/json");
    let by_json = send(json(body.body(serde_json::to_string(&members).unwrap()))).await;
    assert_eq!(by_json.text("token_type"), "bearer");
    let bare = with(&with(&exchange(&codes[1]), "client_id", ""), "client_secret", "");
    assert_eq!(send(json(form(&url, &bare).basic_auth(ID, Some(SECRET)))).await.text("token_type"), "bearer");
    let both = exchange(&codes[2]);
    let both = send(json(form(&url, &both).basic_auth(ID, Some(SECRET)))).await;
    assert_error(&both, WRONG_CLIENT.0, WRONG_CLIENT.1);
    // A real one accepts the query, so that the secret gets into its logs.
    let in_query = send(json(client().post(format!("{url}?{}", encoded(&exchange(&codes[2])))))).await;
    assert_eq!(in_query.status, 404);
    let no_agent = send(form(&url, &exchange(&codes[2]))).await;
    assert_eq!((no_agent.status, no_agent.header("content-type")), (403, "text/html"));
}

#[tokio::test]
async fn a_refresh_ends_both_old_tokens() {
    let fake = start().await;
    let first = log_in(&fake, "janedoe", "user:email repo").await;
    let old = first.text("refresh_token");
    assert_error(&token(&fake, &refresh("ghr_0")).await, WRONG_REFRESH.0, WRONG_REFRESH.1);
    assert_error(&token(&fake, &refresh("")).await, WRONG_REFRESH.0, WRONG_REFRESH.1);
    let wrong = with(&refresh(&old), "client_secret", "wrong");
    assert_error(&token(&fake, &wrong).await, WRONG_CLIENT.0, WRONG_CLIENT.1);
    fake.add_application(FakeApplication::new("other", SECRET, CALLBACK, ""));
    let other = with(&refresh(&old), "client_id", "other");
    assert_error(&token(&fake, &other).await, WRONG_REFRESH.0, WRONG_REFRESH.1);
    fake.expire_all_tokens();
    let params = refresh(&old);
    let responses = futures_util::future::join_all((0..4).map(|_| token(&fake, &params))).await;
    let (won, lost): (Vec<_>, Vec<_>) =
        responses.into_iter().partition(|response| response.json().get("error").is_none());
    assert_eq!((won.len(), lost.len()), (1, 3));
    assert_error(&lost[0], WRONG_REFRESH.0, WRONG_REFRESH.1);
    assert_eq!(won[0].text("scope"), "repo,user:email");
    let access = won[0].text("access_token");
    let next = token(&fake, &refresh(&won[0].text("refresh_token"))).await;
    // The old access token had not expired.
    assert_refused(&api(&fake, "/user", &access).await, 401, "Bad credentials");
    assert_eq!(api(&fake, "/user", &next.text("access_token")).await.status, 200);
    fake.advance(Duration::from_secs(15_897_601));
    let late = token(&fake, &refresh(&next.text("refresh_token"))).await;
    assert_error(&late, WRONG_REFRESH.0, WRONG_REFRESH.1);
}

#[tokio::test]
async fn the_eleventh_token_ends_another_one() {
    let fake = start().await;
    let mut tokens = Vec::new();
    for _ in 0..9 {
        tokens.push(log_in(&fake, "janedoe", "user:email").await);
    }
    // Another set of scopes, another user and another application do not count.
    access(&fake, "janedoe", "repo").await;
    access(&fake, "owner", "user:email").await;
    app_access(&fake, APP_ID, "janedoe").await;
    let user = async |response: &ResponseSummary| api(&fake, "/user", &response.text("access_token")).await.status;
    for login in &tokens {
        assert_eq!(user(login).await, 200);
    }
    fake.advance(Duration::from_secs(10));
    let unused = log_in(&fake, "janedoe", "user:email").await;
    // By the last use alone, the first token would end.
    fake.advance(Duration::from_secs(61));
    for login in &tokens[1..] {
        assert_eq!(user(login).await, 200);
    }
    access(&fake, "janedoe", "user:email").await;
    assert_eq!(user(&unused).await, 401, "the one that was never used");
    let dead = token(&fake, &refresh(&unused.text("refresh_token"))).await;
    assert_eq!(dead.text("error"), "bad_refresh_token");
    access(&fake, "janedoe", "user:email").await;
    assert_eq!((user(&tokens[0]).await, user(&tokens[1]).await), (401, 200), "the least recently used one");

    let fake = builder().evict_oldest(true).start().await.unwrap();
    let first = access(&fake, "janedoe", "").await;
    fake.advance(Duration::from_secs(61));
    assert_eq!(api(&fake, "/user", &first).await.status, 200);
    for _ in 0..10 {
        access(&fake, "janedoe", "").await;
    }
    assert_eq!(api(&fake, "/user", &first).await.status, 401);
}

#[tokio::test]
async fn an_unverified_primary_address_fails_the_login() {
    let fake = start().await;
    let response = log_in(&fake, "una", "user:email").await;
    assert_error(&response, "unverified_user_email", "The user must have a verified primary email.");
    assert_eq!(log_in(&fake, "nomail", "user:email").await.text("token_type"), "bearer");
    let fake = builder().require_verified_email(false).start().await.unwrap();
    assert_eq!(log_in(&fake, "una", "user:email").await.text("token_type"), "bearer");
}

#[tokio::test]
async fn github_apps_have_no_scopes() {
    let fake = start().await;
    let url = page(&fake, &with(&with(&REQUEST, "client_id", APP_ID), "scope", "nonsense"));
    let code = param(&fake.authorize(&url, "janedoe").unwrap(), "code");
    let params = with(&with(&exchange(&code), "client_id", APP_ID), "client_secret", APP_SECRET);
    let response = token(&fake, &params).await;
    assert_eq!((response.text("scope").as_str(), response.json()["expires_in"].as_u64()), ("", Some(28800)));
    assert!(response.text("access_token").starts_with("ghu_"));
}

#[tokio::test]
async fn tokens_and_numbers_have_other_forms() {
    let fake = builder().token_format(TokenFormat::Hex).numbers_as_text(true).start().await.unwrap();
    let old = log_in(&fake, "janedoe", "").await;
    let access = old.text("access_token");
    assert!(access.len() == 40 && access.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!((old.text("expires_in").as_str(), old.text("refresh_token_expires_in").as_str()), ("28800", "15897600"));
    let fake = builder().token_format(TokenFormat::Long).start().await.unwrap();
    let access = super::access(&fake, "janedoe", "").await;
    assert!(access.len() == 520 && access.contains('.') && access.contains('-'), "{}", access.len());
    assert_eq!(api(&fake, "/user", &access).await.status, 200);
}

#[tokio::test]
async fn enterprise_servers_before_3_23_have_no_expiry_and_may_ignore_pkce() {
    let server = || builder().kind(ServerKind::EnterpriseServer);
    let fake = server().pkce(false).start().await.unwrap();
    let response = log_in(&fake, "una", "user:email offline_access").await;
    assert_eq!(members(&response.body), ["access_token", "scope", "token_type"]);
    let code = code(&fake, "janedoe", "");
    let without = with(&exchange(&code), "code_verifier", "");
    assert_eq!(token(&fake, &without).await.text("token_type"), "bearer");
    let fake = server().version("3.23.0").user(FakeUser::jane()).start().await.unwrap();
    assert_eq!(log_in(&fake, "janedoe", "").await.json()["expires_in"], 28800);
}
