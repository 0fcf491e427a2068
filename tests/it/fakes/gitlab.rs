use std::time::Duration;

use codehost_oauth::testing::{FakeApplication, FakeError, FakeGitLab, gitlab::FakeUser, gitlab::Refusal};

use super::{
    CALLBACK, CHALLENGE, ResponseSummary, VERIFIER, client, encoded, form, get, get_with_token, param, send, with,
};

const ID: &str = "peer-client-id";
const SECRET: &str = "canary-peer-client-secret";

async fn start() -> FakeGitLab {
    let app = FakeApplication::new(ID, SECRET, CALLBACK, "read_user openid");
    let other = FakeApplication::new("second", "canary-other-secret", CALLBACK, "read_user");
    FakeGitLab::builder().application(app).application(other).start().await.unwrap()
}

const REQUEST: [(&str, &str); 7] = [
    ("client_id", ID),
    ("redirect_uri", CALLBACK),
    ("response_type", "code"),
    ("scope", "read_user"),
    ("state", "st-123"),
    ("code_challenge", CHALLENGE),
    ("code_challenge_method", "S256"),
];

fn page(fake: &FakeGitLab, params: &[(&str, &str)]) -> String {
    format!("{}/oauth/authorize?{}", fake.base_url(), encoded(params))
}

fn code(fake: &FakeGitLab, username: &str) -> String {
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

async fn token(fake: &FakeGitLab, params: &[(&str, &str)]) -> ResponseSummary {
    send(form(&format!("{}/oauth/token", fake.base_url()), params)).await
}

async fn log_in(fake: &FakeGitLab, username: &str) -> (String, String) {
    let response = token(fake, &exchange(&code(fake, username))).await;
    (response.text("access_token"), response.text("refresh_token"))
}

async fn user(fake: &FakeGitLab, token: &str) -> ResponseSummary {
    get_with_token(&format!("{}/api/v4/user", fake.base_url()), token).await
}

#[tokio::test]
async fn a_failed_exchange_does_not_use_up_the_code() {
    let fake = start().await;
    let base = fake.base_url();
    let code = code(&fake, "alice");
    let right = exchange(&code);
    let wrong = [
        (with(&right, "code_verifier", "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww"), "token_invalid_grant"),
        (with(&right, "code_verifier", ""), "token_missing_code_verifier"),
        (with(&right, "client_secret", "wrong"), "token_invalid_client"),
        (with(&right, "client_secret", ""), "token_invalid_client"),
        (with(&right, "client_id", "nobody"), "token_invalid_client"),
        (with(&with(&right, "client_id", "second"), "client_secret", "canary-other-secret"), "token_invalid_grant"),
        (with(&right, "redirect_uri", "http://127.0.0.1:9000/callback/"), "token_invalid_grant"),
        (with(&right, "redirect_uri", ""), "token_missing_redirect_uri"),
        (with(&right, "code", ""), "token_missing_code"),
        (with(&right, "code", "0000"), "token_invalid_grant"),
        (with(&right, "grant_type", "nonsense"), "token_unsupported_grant_type"),
        (with(&right, "grant_type", ""), "token_missing_grant_type"),
    ];
    for (params, fixture) in wrong {
        token(&fake, &params).await.assert_like(&format!("gitlab/{fixture}.http"), base);
    }
    let response = token(&fake, &right).await;
    response.assert_like("gitlab/token_success.http", base);
    token(&fake, &right).await.assert_like("gitlab/token_invalid_grant.http", base);
    // The tokens of the first use are still valid.
    assert_eq!(user(&fake, &response.text("access_token")).await.status, 200);
}

#[tokio::test]
async fn clients_must_authenticate_in_one_way_and_send_forms() {
    let fake = start().await;
    let url = format!("{}/oauth/token", fake.base_url());
    let code = code(&fake, "alice");
    let right = exchange(&code);
    let both = send(form(&url, &right).basic_auth(ID, Some(SECRET))).await;
    both.assert_like("gitlab/token_two_mechanisms.http", fake.base_url());
    let json = client().post(&url).header("Content-Type", "application/json").body("{}");
    assert_eq!(send(json).await.text("error"), "invalid_request");
    get(&url).await.assert_like("gitlab/token_get.http", fake.base_url());
    let basic = with(&with(&right, "client_secret", ""), "client_id", "");
    let basic = send(form(&url, &basic).basic_auth(ID, Some(SECRET))).await;
    basic.assert_like("gitlab/token_success_basic.http", fake.base_url());
}

#[tokio::test]
async fn codes_are_valid_for_ten_minutes() {
    let fake = start().await;
    let [young, old] = [code(&fake, "alice"), code(&fake, "alice")];
    fake.advance(Duration::from_secs(590));
    assert_eq!(token(&fake, &exchange(&young)).await.status, 200);
    fake.advance(Duration::from_secs(11));
    assert_eq!(token(&fake, &exchange(&old)).await.text("error"), "invalid_grant");
}

#[tokio::test]
async fn a_verifier_needs_a_challenge() {
    let fake = start().await;
    let without = with(&with(&REQUEST, "code_challenge", ""), "code_challenge_method", "");
    let callback = fake.authorize(&page(&fake, &without), "alice").unwrap();
    let response = token(&fake, &exchange(&param(&callback, "code"))).await;
    response.assert_like("gitlab/token_invalid_grant.http", fake.base_url());
}

#[tokio::test]
async fn a_refresh_revokes_the_old_pair_at_once() {
    let fake = start().await;
    let base = fake.base_url();
    let (access, first) = log_in(&fake, "alice").await;
    for (params, fixture) in [
        (with(&refresh(&first), "client_secret", "wrong"), "token_invalid_client"),
        (
            with(&with(&refresh(&first), "client_secret", "canary-other-secret"), "client_id", "second"),
            "token_invalid_grant",
        ),
        // The grant is checked before the client.
        (with(&refresh("0000"), "client_secret", "wrong"), "token_invalid_grant"),
        (with(&with(&refresh(&first), "client_secret", ""), "client_id", ""), "token_invalid_grant"),
        (with(&refresh(&first), "refresh_token", ""), "token_missing_refresh_token"),
        (with(&refresh(&first), "scope", "api"), "token_invalid_scope"),
    ] {
        token(&fake, &params).await.assert_like(&format!("gitlab/{fixture}.http"), base);
    }
    let renewed = token(&fake, &refresh(&first)).await;
    renewed.assert_like("gitlab/token_success.http", base);
    user(&fake, &access).await.assert_like("gitlab/user_token_revoked.http", base);
    token(&fake, &refresh(&first)).await.assert_like("gitlab/token_invalid_grant.http", base);
    // The reuse revokes no other token.
    assert_eq!(user(&fake, &renewed.text("access_token")).await.status, 200);
    assert_eq!(token(&fake, &refresh(&renewed.text("refresh_token"))).await.status, 200);
}

#[tokio::test]
async fn of_simultaneous_refreshes_one_succeeds() {
    let fake = start().await;
    let (_, refresh_token) = log_in(&fake, "alice").await;
    let params = refresh(&refresh_token);
    let responses = futures_util::future::join_all((0..6).map(|_| token(&fake, &params))).await;
    assert_eq!(responses.iter().filter(|response| response.status == 200).count(), 1);
}

#[tokio::test]
async fn expired_tokens_have_their_error_and_can_be_refreshed() {
    let fake = start().await;
    let (access, refresh_token) = log_in(&fake, "alice").await;
    fake.expire_all_tokens();
    user(&fake, &access).await.assert_like("gitlab/user_token_expired.http", fake.base_url());
    let renewed = token(&fake, &refresh(&refresh_token)).await;
    assert_eq!(renewed.json()["expires_in"], 7200);
    user(&fake, &access).await.assert_like("gitlab/user_token_expired.http", fake.base_url());
    fake.advance(Duration::from_secs(7199));
    assert_eq!(user(&fake, &renewed.text("access_token")).await.status, 200);
    fake.advance(Duration::from_secs(2));
    assert_eq!(user(&fake, &renewed.text("access_token")).await.status, 401);
    fake.revoke_all();
    assert_eq!(token(&fake, &refresh(&renewed.text("refresh_token"))).await.text("error"), "invalid_grant");
}

#[tokio::test]
async fn an_old_gitlab_has_no_expires_in() {
    let app = FakeApplication::new(ID, SECRET, CALLBACK, "read_user");
    let fake = FakeGitLab::builder().application(app).token_lifetime(None).start().await.unwrap();
    let response = token(&fake, &exchange(&code(&fake, "alice"))).await;
    assert!(response.json().get("expires_in").is_none());
}

#[tokio::test]
async fn users_match_the_fixtures() {
    let fake = start().await;
    let base = fake.base_url();
    fake.add_user(FakeUser::new(20, "gina", "Gina", "gina@example.com"));
    let mut unconfirmed = FakeUser::new(21, "hank", "Hank", "hank@example.com");
    unconfirmed.refusal = Some(Refusal::Unconfirmed);
    fake.add_user(unconfirmed);
    for (username, fixture) in [
        ("alice", "user_alice"),
        ("root", "user_root"),
        ("bob", "user_bob"),
        ("carol", "user_blocked"),
        ("dave", "user_deactivated"),
        ("erin", "user_pending_approval"),
        ("frank", "user_terms_not_accepted"),
        ("hank", "user_unconfirmed"),
    ] {
        let (access, refresh_token) = log_in(&fake, username).await;
        user(&fake, &access).await.assert_like(&format!("gitlab/{fixture}.http"), base);
        // Tokens of blocked users can be refreshed nevertheless.
        assert_eq!(token(&fake, &refresh(&refresh_token)).await.status, 200);
    }
    let (access, _) = log_in(&fake, "gina").await;
    fake.rename("gina", "georgina");
    assert_eq!(user(&fake, &access).await.text("username"), "georgina");
    fake.block("georgina");
    user(&fake, &access).await.assert_like("gitlab/user_blocked.http", base);
}

#[tokio::test]
async fn the_api_accepts_a_token_in_the_header_only() {
    let fake = start().await;
    let base = fake.base_url();
    let (access, _) = log_in(&fake, "alice").await;
    let api = format!("{base}/api/v4");
    get_with_token(&format!("{api}/user/emails"), &access).await.assert_like("gitlab/user_emails_alice.http", base);
    get_with_token(&format!("{api}/version"), &access).await.assert_like("gitlab/version.http", base);
    get_with_token(&format!("{api}/nothing"), &access).await.assert_like("gitlab/api_not_found.http", base);
    get(&format!("{api}/user")).await.assert_like("gitlab/user_unauthorized.http", base);
    user(&fake, "0000").await.assert_like("gitlab/user_unauthorized.http", base);
    get(&format!("{api}/user?access_token={access}")).await.assert_like("gitlab/user_unauthorized.http", base);
    let twice = get_with_token(&format!("{api}/user?access_token={access}"), &access).await;
    twice.assert_like("gitlab/user_two_tokens.http", base);
    let url = page(&fake, &with(&REQUEST, "scope", "openid"));
    let openid = token(&fake, &exchange(&param(&fake.authorize(&url, "alice").unwrap(), "code"))).await;
    let response = user(&fake, &openid.text("access_token")).await;
    response.assert_like("gitlab/user_insufficient_scope.http", base);
    assert_eq!(get(&base.replace("/gitlab", "/api/v4/user")).await.status, 404);
}

#[tokio::test]
async fn revocation_ends_the_grant() {
    let fake = start().await;
    let url = format!("{}/oauth/revoke", fake.base_url());
    let (access, refresh_token) = log_in(&fake, "alice").await;
    for params in [
        vec![("token", access.as_str())],
        vec![("token", &access), ("client_id", ID), ("client_secret", "wrong")],
        vec![("token", &access), ("client_id", "second"), ("client_secret", "canary-other-secret")],
    ] {
        send(form(&url, &params)).await.assert_like("gitlab/revoke_unauthorized.http", fake.base_url());
    }
    let revoke = |token| form(&url, &[("token", token), ("client_id", ID), ("client_secret", SECRET)]);
    send(revoke("0000")).await.assert_like("gitlab/revoke_success.http", fake.base_url());
    assert_eq!(user(&fake, &access).await.status, 200);
    // Revoking an expired access token does not end its grant.
    fake.expire_all_tokens();
    send(revoke(&access)).await.assert_like("gitlab/revoke_success.http", fake.base_url());
    let response = token(&fake, &refresh(&refresh_token)).await;
    let (access, refresh_token) = (response.text("access_token"), response.text("refresh_token"));
    send(revoke(&refresh_token)).await.assert_like("gitlab/revoke_success.http", fake.base_url());
    user(&fake, &access).await.assert_like("gitlab/user_token_revoked.http", fake.base_url());
    token(&fake, &refresh(&refresh_token)).await.assert_like("gitlab/token_invalid_grant.http", fake.base_url());
}

#[tokio::test]
async fn the_discovery_document_matches_the_fixture() {
    let fake = start().await;
    let url = format!("{}/.well-known/openid-configuration", fake.base_url());
    get(&url).await.assert_like("gitlab/discovery.http", fake.base_url());
    let fake = FakeGitLab::builder().sub_path("").issuer("https://git.example.com").start().await.unwrap();
    let response = get(&format!("{}/.well-known/openid-configuration", fake.base_url())).await;
    assert_eq!(response.text("issuer"), "https://git.example.com");
    assert_eq!(response.text("token_endpoint"), "https://git.example.com/oauth/token");
}

#[tokio::test]
async fn errors_of_the_authorization_page_do_not_redirect() {
    let fake = start().await;
    for (name, value, text) in [
        ("client_id", "nobody", "Client authentication failed due to unknown client"),
        ("client_id", "", "Missing required parameter: client_id."),
        ("redirect_uri", "http://127.0.0.1:9000/callback/x", "The redirect URI included is not valid."),
        ("redirect_uri", "", "The redirect URI included is not valid."),
        ("scope", "read_user sudo", "The requested scope is invalid, unknown, or malformed."),
        ("scope", "", "The requested scope is invalid, unknown, or malformed."),
        ("response_type", "token", "The authorization server does not support this response type."),
        ("response_type", "", "Missing required parameter: response_type."),
        ("code_challenge_method", "S512", "The code_challenge_method must be one of plain, S256."),
    ] {
        let url = page(&fake, &with(&REQUEST, name, value));
        let Err(FakeError::Page(page_text)) = fake.authorize(&url, "alice") else {
            panic!("{name}={value} is accepted")
        };
        assert!(page_text.starts_with(text), "{page_text}");
        let response = get(&url).await;
        assert!(response.status == 200 && response.body.contains(&format!("<p>{text}")), "{}", response.body);
    }
    assert_eq!(fake.authorize("http://127.0.0.1:1/oauth/authorize", "alice"), Err(FakeError::Url));
    let nobody = fake.authorize(&page(&fake, &REQUEST), "nobody");
    assert_eq!(nobody, Err(FakeError::UnknownUser("nobody".to_owned())));
}

#[tokio::test]
async fn a_browser_can_authorize_and_deny() {
    let fake = start().await;
    let consent = get(&page(&fake, &with(&REQUEST, "state", "a\"<&é"))).await;
    assert_eq!(consent.header("cache-control"), "max-age=0, private, must-revalidate");
    assert!(consent.body.contains("name=\"state\" value=\"a&quot;&lt;&amp;é\""), "{}", consent.body);
    assert_eq!(consent.body.matches("<form method=\"post\"").count(), 2);

    let url = format!("{}/oauth/authorize", fake.base_url());
    let allowed = send(form(&url, &with(&REQUEST, "user", "alice"))).await;
    assert_eq!(allowed.status, 302);
    let code = param(allowed.header("location"), "code");
    assert_eq!(allowed.header("location"), format!("{CALLBACK}?code={code}&state=st-123"));
    assert_eq!(token(&fake, &exchange(&code)).await.status, 200);

    let denied = send(form(&url, &with(&REQUEST, "_method", "delete"))).await;
    let location = denied.header("location");
    let recorded = crate::support::fixture::Fixture::load("gitlab/authorize_denied.http", fake.base_url());
    assert_eq!(location, recorded.headers[0].1);
    assert_eq!(fake.deny(&page(&fake, &REQUEST)).unwrap(), location);
    let scope = send(form(&url, &with(&with(&REQUEST, "user", "alice"), "scope", "sudo"))).await;
    let recorded = crate::support::fixture::Fixture::load("gitlab/authorize_invalid_scope.http", fake.base_url());
    assert_eq!(scope.header("location"), recorded.headers[0].1);
}

#[tokio::test]
async fn consent_can_be_remembered() {
    let app = FakeApplication::new(ID, SECRET, CALLBACK, "read_user");
    let fake = FakeGitLab::builder().application(app).remember_consent(true).start().await.unwrap();
    let url = page(&fake, &REQUEST);
    let browser = || client().get(&url).header("Cookie", "_fake_gitlab_user=alice");
    assert!(send(browser()).await.body.contains("<select"));
    log_in(&fake, "alice").await;
    send(browser()).await.assert_like("gitlab/authorize_consent_skipped.http", fake.base_url());
    fake.revoke_all();
    assert!(send(browser()).await.body.contains("<select"));
}
