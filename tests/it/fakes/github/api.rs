use codehost_oauth::testing::FakeApplication;

use super::*;
use crate::fakes::get_with_token;

#[tokio::test]
async fn a_user_has_all_members() {
    let fake = start().await;
    let token = access(&fake, "janedoe", "user:email").await;
    let response = api(&fake, "/user", &token).await;
    let expected = "login id node_id avatar_url gravatar_id url html_url followers_url following_url gists_url starred_url \
                    subscriptions_url organizations_url repos_url events_url received_events_url type user_view_type \
                    site_admin name company blog location email hireable bio twitter_username notification_email \
                    public_repos public_gists followers following created_at updated_at";
    assert_eq!(members(&response.body), expected.split(' ').collect::<Vec<_>>());
    let json = response.json();
    assert_eq!((&json["login"], &json["id"]), (&"janedoe".into(), &12_345_678.into()));
    assert_eq!((&json["node_id"], &json["type"]), (&"U_kgDOALxhTg".into(), &"User".into()));
    assert!(json["name"].is_null() && json["email"].is_null());
    assert_eq!(json["html_url"], format!("{}/janedoe", fake.base_url()));
    assert_eq!(json["url"], format!("{}/users/janedoe", fake.api_url()));
    assert_eq!(response.header("x-oauth-scopes"), "user:email");
    assert_eq!(response.header("x-github-media-type"), "github.v3; format=json");
    assert!(response.headers.contains_key("x-accepted-oauth-scopes"));

    let token = access(&fake, "owner", "user repo").await;
    let private = api(&fake, "/user", &token).await;
    assert_eq!(private.header("x-oauth-scopes"), "repo, user");
    let json = private.json();
    assert_eq!((&json["two_factor_authentication"], &json["user_view_type"]), (&true.into(), &"private".into()));
    assert_eq!((&json["name"], &json["email"]), (&"Olle Öwner".into(), &"olle@example.com".into()));

    for (login, kind) in [("build[bot]", "Bot"), ("old-company", "Organization"), ("mona-import", "Mannequin")] {
        let token = access(&fake, login, "").await;
        assert_eq!(api(&fake, "/user", &token).await.text("type"), kind);
    }
    fake.rename("janedoe", "jane-doe");
    let token = access(&fake, "jane-doe", "").await;
    assert_eq!(api(&fake, "/user", &token).await.json()["id"], 12_345_678);
}

#[tokio::test]
async fn emails_are_a_list_with_pages() {
    let fake = start().await;
    let token = access(&fake, "janedoe", "user:email").await;
    let response = api(&fake, "/user/emails", &token).await;
    let expected = r#"[{"email":"jane@example.com","primary":true,"verified":true,"visibility":"private"},{"email":"old@example.org","primary":false,"verified":false,"visibility":null},{"email":"12345678+janedoe@users.noreply.github.com","primary":false,"verified":true,"visibility":null}]"#;
    assert_eq!((response.status, response.body.as_str()), (200, expected));
    assert_eq!(response.header("x-accepted-oauth-scopes"), "user, user:email");
    assert!(!response.headers.contains_key("link"));
    let none = access(&fake, "nomail", "user").await;
    assert_eq!(api(&fake, "/user/emails", &none).await.body, "[]");
    let noreply = access(&fake, "noreply", "user").await;
    assert_eq!(api(&fake, "/user", &noreply).await.text("email"), "104+noreply@users.noreply.github.com");

    let many = access(&fake, "many", "user:email").await;
    let first = api(&fake, "/user/emails", &many).await;
    assert_eq!(first.json().as_array().unwrap().len(), 30);
    let link = format!("<{}/user/emails?page=2>; rel=\"next\", ", fake.api_url());
    assert!(first.header("link").starts_with(&link), "{}", first.header("link"));
    let page = api(&fake, "/user/emails?per_page=100", &many).await;
    assert!(!page.body.contains("\"primary\":true"));
    let next = page.header("link").split(['<', '>']).nth(1).unwrap().replace(fake.api_url(), "");
    assert_eq!(next, "/user/emails?per_page=100&page=2");
    let last = api(&fake, &next, &many).await;
    assert!(last.body.contains("\"primary\":true") && !last.header("link").contains("next"), "{}", last.body);
}

#[tokio::test]
async fn emails_need_a_scope_or_a_permission() {
    let fake = start().await;
    for scope in ["", "read:user", "repo"] {
        let token = access(&fake, "janedoe", scope).await;
        let response = api(&fake, "/user/emails", &token).await;
        assert_refused(&response, 404, "Not Found");
        assert_eq!(response.header("x-oauth-scopes"), scope);
    }
    let token = app_access(&fake, APP_ID, "janedoe").await;
    let response = api(&fake, "/user/emails", &token).await;
    assert_eq!((response.status, response.header("x-accepted-github-permissions")), (200, "emails=read"));
    assert!(!response.headers.contains_key("x-oauth-scopes"));
    fake.add_github_app(FakeApplication::new("Iv1.bare", APP_SECRET, CALLBACK, ""));
    let token = app_access(&fake, "Iv1.bare", "janedoe").await;
    let response = api(&fake, "/user/emails", &token).await;
    assert_refused(&response, 403, "Resource not accessible by integration");
    assert_eq!(response.header("x-accepted-github-permissions"), "emails=read");
    assert_eq!(api(&fake, "/user", &token).await.status, 200);
}

#[tokio::test]
async fn refusals_have_githubs_texts() {
    let fake = start().await;
    let token = access(&fake, "janedoe", "user:email").await;
    let bad = api(&fake, "/user", "gho_0").await;
    assert_refused(&bad, 401, "Bad credentials");
    assert_eq!(members(&bad.body), ["message", "documentation_url", "status"]);
    assert_eq!(bad.text("status"), "401");
    assert!(!bad.header("x-github-request-id").is_empty());
    assert_refused(&api(&fake, "/user", "").await, 401, "Requires authentication");
    assert_refused(&api(&fake, "/user/", &token).await, 404, "Not Found");
    assert_refused(&api(&fake, "/nothing", &token).await, 404, "Not Found");
    let in_query = api(&fake, &format!("/user?access_token={token}"), "").await;
    assert_eq!(in_query.status, 400);
    assert!(in_query.text("message").starts_with("Must specify access token via Authorization header."));
    let get = || client().get(format!("{}/user", fake.api_url())).bearer_auth(&token).header("User-Agent", "test");
    assert_eq!(send(get().header("X-GitHub-Api-Version", "2022-11-28")).await.status, 200);
    assert_eq!(send(get().header("X-GitHub-Api-Version", "2020-01-01")).await.status, 400);
    let no_agent = get_with_token(&format!("{}/user", fake.api_url()), &token).await;
    assert_eq!((no_agent.status, no_agent.header("content-type")), (403, "text/html"));
    let text = "Request forbidden by administrative rules. Please make sure your request has a User-Agent header";
    assert!(no_agent.body.trim_start().starts_with(text), "{}", no_agent.body);

    let sue = access(&fake, "sue", "").await;
    assert_refused(&api(&fake, "/user", &sue).await, 403, "Sorry. Your account was suspended.");
    fake.block("janedoe");
    assert_refused(&api(&fake, "/user", &token).await, 403, "Sorry. Your account was suspended.");
    let owner = log_in(&fake, "owner", "").await;
    fake.expire_all_tokens();
    assert_refused(&api(&fake, "/user", &owner.text("access_token")).await, 401, "Bad credentials");
    fake.revoke_all();
    assert_eq!(token_error(&fake, &owner.text("refresh_token")).await, "bad_refresh_token");
}

async fn token_error(fake: &FakeGitHub, refresh_token: &str) -> String {
    token(fake, &refresh(refresh_token)).await.text("error")
}
