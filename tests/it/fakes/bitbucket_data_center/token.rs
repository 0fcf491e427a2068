use std::time::Duration;

use codehost_oauth::testing::{FakeApplication, FakeBitbucketDataCenter};

use super::super::{CALLBACK, ResponseSummary, client, encoded, form, get, param, send, with};
use super::{ID, REQUEST, SECRET, api, builder, code, exchange, log_in, outcome, page, refresh, start, token};

const OTHER: [(&str, &str); 2] = [("client_id", "other"), ("client_secret", "canary-other-secret")];

fn other() -> FakeApplication {
    FakeApplication::new("other", "canary-other-secret", CALLBACK, "REPO_READ")
}

fn as_other<'a>(params: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    with(&with(params, OTHER[0].0, OTHER[0].1), OTHER[1].0, OTHER[1].1)
}

#[track_caller]
fn assert_error(response: &ResponseSummary, status: u16, error: &str) {
    assert_eq!((response.status, &*response.text("error")), (status, error), "{}", response.body);
    assert_eq!(response.header("cache-control"), "no-store");
}

async fn pair(fake: &FakeBitbucketDataCenter) -> (String, String) {
    let response = token(fake, &exchange(&code(fake, "jdoe"))).await;
    (response.text("access_token"), response.text("refresh_token"))
}

#[tokio::test]
async fn a_response_has_all_members_in_their_order() {
    let fake = start().await;
    let response = token(&fake, &exchange(&code(&fake, "jdoe"))).await;
    let json = response.json();
    let [access, refresh] = [response.text("access_token"), response.text("refresh_token")];
    let expected = format!(
        "{{\"access_token\":\"{access}\",\"token_type\":\"bearer\",\"expires_in\":3600,\"refresh_token\":\"{refresh}\",\
         \"scope\":\"REPO_READ\",\"created_at\":{}}}",
        json["created_at"].as_u64().unwrap()
    );
    assert_eq!((response.status, response.body), (200, expected));
    assert!(access.starts_with("eyJ") && access.len() > 1000);

    let fake = builder().created_at(false).token_lifetime(None).start().await.unwrap();
    let json = token(&fake, &exchange(&code(&fake, "jdoe"))).await.json();
    assert_eq!((json.get("created_at"), json.get("expires_in")), (None, None));
}

#[tokio::test]
async fn the_endpoint_takes_forms_only() {
    let fake = start().await;
    let url = format!("{}/rest/oauth2/1.0/token", fake.base_url());
    let code = code(&fake, "jdoe");
    let right = exchange(&code);
    assert_eq!(get(&url).await.status, 405);
    let json = client().post(&url).header("Content-Type", "application/json").body("{}");
    let json = send(json).await;
    assert_eq!(json.status, 500);
    assert!(json.body.contains("application/x-www-form-urlencoded"), "{}", json.body);
    assert_error(&send(client().post(&url).body(encoded(&right))).await, 400, "invalid_request");
    let in_query = send(form(&format!("{url}?{}", encoded(&right)), &right)).await;
    assert_error(&in_query, 400, "invalid_request");
    let basic = with(&with(&right, "client_id", ""), "client_secret", "");
    assert_error(&send(form(&url, &basic).basic_auth(ID, Some(SECRET))).await, 401, "invalid_client");
    assert_error(&send(form(&url, &right).basic_auth(ID, Some(SECRET))).await, 400, "invalid_request");
    assert_eq!(send(form(&url, &right)).await.status, 200);
}

#[tokio::test]
async fn wrong_exchanges_are_refused_and_wrong_grants_spend_the_code() {
    let fake = builder().application(other()).start().await.unwrap();
    let code_text = code(&fake, "jdoe");
    let right = exchange(&code_text);
    for (params, status, error) in [
        (with(&right, "client_secret", "wrong"), 401, "invalid_client"),
        (with(&right, "client_secret", ""), 401, "invalid_client"),
        (with(&right, "client_id", "nobody"), 401, "invalid_client"),
        (with(&right, "client_id", ""), 401, "invalid_client"),
        (with(&right, "code", "0000"), 400, "invalid_grant"),
        (with(&right, "code", ""), 400, "invalid_request"),
        (with(&right, "redirect_uri", ""), 400, "invalid_request"),
        (with(&right, "grant_type", ""), 400, "invalid_request"),
        (with(&right, "grant_type", "client_credentials"), 400, "unsupported_grant_type"),
        (as_other(&right), 400, "invalid_grant"),
    ] {
        assert_error(&token(&fake, &params).await, status, error);
    }
    assert_eq!(token(&fake, &right).await.status, 200);
    assert_error(&token(&fake, &right).await, 400, "invalid_grant");

    let lenient = builder().failed_exchange_spends_code(false).start().await.unwrap();
    for (name, value) in [
        ("code_verifier", "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww"),
        ("code_verifier", ""),
        ("redirect_uri", "http://127.0.0.1:9000/callback/"),
    ] {
        for (fake, then) in [(&fake, 400), (&lenient, 200)] {
            let code = code(fake, "jdoe");
            assert_error(&token(fake, &with(&exchange(&code), name, value)).await, 400, "invalid_grant");
            assert_eq!(token(fake, &exchange(&code)).await.status, then, "{name}={value}");
        }
    }
}

#[tokio::test]
async fn a_verifier_needs_a_challenge_but_pkce_is_not_required() {
    let fake = start().await;
    let plain = with(&with(&REQUEST, "code_challenge", ""), "code_challenge_method", "");
    let code = || param(&fake.authorize(&page(&fake, &plain), "jdoe").unwrap(), "code");
    assert_error(&token(&fake, &exchange(&code())).await, 400, "invalid_grant");
    assert_eq!(token(&fake, &with(&exchange(&code()), "code_verifier", "")).await.status, 200);
}

#[tokio::test]
async fn codes_are_valid_for_ten_seconds() {
    let fake = start().await;
    let late = code(&fake, "jdoe");
    fake.advance(Duration::from_secs(11));
    assert_error(&token(&fake, &exchange(&late)).await, 400, "invalid_grant");
    let fake = builder().code_lifetime(Duration::from_secs(600)).start().await.unwrap();
    let late = code(&fake, "jdoe");
    fake.advance(Duration::from_secs(590));
    assert_eq!(token(&fake, &exchange(&late)).await.status, 200);
}

#[tokio::test]
async fn a_refresh_ends_the_old_pair_and_needs_the_redirect_url() {
    let fake = builder().application(other()).start().await.unwrap();
    let (access, first) = pair(&fake).await;
    let right = refresh(&first);
    for params in [
        with(&right, "redirect_uri", ""),
        with(&right, "redirect_uri", "http://127.0.0.1:9000/other"),
        with(&right, "refresh_token", "0000"),
        as_other(&right),
    ] {
        let response = token(&fake, &params).await;
        assert_eq!((response.status, &*response.body), (400, "{\"error\":\"invalid_grant\"}"));
    }
    assert_error(&token(&fake, &with(&right, "client_secret", "wrong")).await, 401, "invalid_client");
    assert_error(&token(&fake, &with(&right, "refresh_token", "")).await, 400, "invalid_request");
    let renewed = token(&fake, &right).await;
    assert_ne!(renewed.text("refresh_token"), first);
    assert_eq!(renewed.text("scope"), "REPO_READ");
    assert_error(&token(&fake, &right).await, 400, "invalid_grant");
    assert_eq!(outcome(&api(&fake, "users?limit=1", &access).await), (401, false));
    assert_eq!(outcome(&api(&fake, "users?limit=1", &renewed.text("access_token")).await), (200, true));
    assert_eq!(token(&fake, &refresh(&renewed.text("refresh_token"))).await.status, 200);

    let fake = builder().refresh_needs_redirect_uri(false).start().await.unwrap();
    let (_, first) = pair(&fake).await;
    let wrong = with(&refresh(&first), "redirect_uri", "http://127.0.0.1:9000/other");
    assert_error(&token(&fake, &wrong).await, 400, "invalid_grant");
    assert_eq!(token(&fake, &with(&refresh(&first), "redirect_uri", "")).await.status, 200);
}

#[tokio::test]
async fn of_simultaneous_refreshes_one_succeeds() {
    let fake = start().await;
    let (_, first) = pair(&fake).await;
    let params = refresh(&first);
    let responses = futures_util::future::join_all((0..6).map(|_| token(&fake, &params))).await;
    assert_eq!(responses.iter().filter(|response| response.status == 200).count(), 1);
}

#[tokio::test]
async fn refresh_tokens_can_stay_the_same_and_expire_after_ninety_days() {
    let day = Duration::from_secs(86_400);
    for rotate in [true, false] {
        let fake = builder().rotate_refresh_tokens(rotate).start().await.unwrap();
        let (access, first) = pair(&fake).await;
        fake.advance(day * 89);
        assert_eq!(outcome(&api(&fake, "users?limit=1", &access).await), (401, false));
        let renewed = token(&fake, &refresh(&first)).await;
        assert_eq!(renewed.text("refresh_token") != first, rotate);
        fake.advance(day * 2);
        // Only a new one lives for another 90 days.
        let again = token(&fake, &refresh(&renewed.text("refresh_token"))).await;
        assert_eq!(again.status, if rotate { 200 } else { 400 });
    }
}

#[tokio::test]
async fn switches_change_what_a_probe_finds() {
    let probe = exchange("made-up");
    let wrong = with(&probe, "client_secret", "wrong");
    let fake = builder().grant_checked_first(true).start().await.unwrap();
    assert_error(&token(&fake, &wrong).await, 400, "invalid_grant");
    assert_error(&token(&fake, &with(&refresh("made-up"), "client_secret", "wrong")).await, 400, "invalid_grant");
    let code_text = code(&fake, "jdoe");
    assert_error(&token(&fake, &with(&exchange(&code_text), "client_secret", "wrong")).await, 401, "invalid_client");
    let fake = builder().validate_client_secret(false).start().await.unwrap();
    assert_error(&token(&fake, &wrong).await, 400, "invalid_grant");
    assert_error(&token(&fake, &with(&probe, "client_secret", "")).await, 401, "invalid_client");
    let fake = builder().invalid_client_status(400).start().await.unwrap();
    assert_error(&token(&fake, &wrong).await, 400, "invalid_client");
}

#[tokio::test]
async fn a_deleted_link_ends_its_tokens_and_nothing_revokes_one() {
    let fake = start().await;
    let (access, first) = pair(&fake).await;
    let revoke = format!("{}/rest/oauth2/latest/revoke", fake.base_url());
    assert_eq!(
        send(form(&revoke, &[("token", &access), ("client_id", ID), ("client_secret", SECRET)])).await.status,
        404
    );
    fake.remove_application(ID);
    assert_eq!(outcome(&api(&fake, "users?limit=1", &access).await), (401, false));
    assert_error(&token(&fake, &refresh(&first)).await, 401, "invalid_client");
    fake.add_application(FakeApplication::new(ID, SECRET, CALLBACK, "REPO_READ"));
    let access = log_in(&fake, "jdoe", "REPO_READ").await;
    fake.revoke_all();
    assert_eq!(outcome(&api(&fake, "users?limit=1", &access).await), (401, false));
}
