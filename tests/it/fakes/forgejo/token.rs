use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

fn claims(token: &str) -> serde_json::Value {
    let parts: Vec<_> = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
    assert_eq!(parts.len(), 3);
    assert!(parts[0].starts_with(b"{\"alg\":\"RS256\""));
    serde_json::from_slice(&parts[1]).unwrap()
}

#[tokio::test]
async fn a_response_has_two_json_web_tokens_and_no_scope() {
    let fake = start().await;
    let response = token(&fake, &exchange(&code(&fake, "jane"))).await;
    let (access, refresh_token) = (response.text("access_token"), response.text("refresh_token"));
    let body = format!(
        "{{\"access_token\":\"{access}\",\"token_type\":\"bearer\",\"expires_in\":3600,\"refresh_token\":\"{refresh_token}\"}}\n"
    );
    assert_eq!((response.status, response.body.as_str()), (200, body.as_str()));
    assert_eq!(response.header("content-type"), "application/json;charset=utf-8");
    let (access, refresh_claims) = (claims(&access), claims(&refresh_token));
    assert_eq!((&access["gnt"], &access["tt"], access.get("cnt")), (&1.into(), &0.into(), None));
    assert_eq!((&refresh_claims["tt"], &refresh_claims["cnt"]), (&1.into(), &1.into()));
    assert_eq!(access["exp"].as_u64().unwrap() - access["iat"].as_u64().unwrap(), 3600);
    assert_eq!(claims(&token(&fake, &refresh(&refresh_token)).await.text("refresh_token"))["cnt"], 2);

    let url = page(&fake, &with(&with(&REQUEST, "scope", "openid email groups"), "nonce", "n-1"));
    let openid = token(&fake, &exchange(&param(&fake.authorize(&url, "root").unwrap(), "code"))).await;
    let id = claims(&openid.text("id_token"));
    assert_eq!((&id["sub"], &id["nonce"], &id["iss"]), (&"1".into(), &"n-1".into(), &fake.base_url().into()));
    assert_eq!((&id["email_verified"], &id["groups"][1]), (&true.into(), &"acme:owners".into()));
}

#[tokio::test]
async fn a_failed_exchange_has_its_text_and_does_not_use_up_the_code() {
    let fake = start().await;
    let code = code(&fake, "jane");
    let right = exchange(&code);
    let other_app = with(&with(&right, "client_id", OTHER), "client_secret", OTHER_SECRET);
    let wrong_verifier = with(&right, "code_verifier", "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww");
    let (unauthorized, redirect) = ("unauthorized_client", "redirect_uri does not match the authorization request");
    for (params, error, text) in [
        (with(&right, "client_id", "nob'ody"), "invalid_client", "cannot load client with client id: 'nob'ody'"),
        (with(&right, "client_id", ""), "invalid_client", "cannot load client with client id: ''"),
        (with(&right, "client_secret", "wrong"), unauthorized, "invalid client secret"),
        (with(&right, "client_secret", ""), unauthorized, "invalid empty client secret"),
        (with(&right, "redirect_uri", "http://127.0.0.1:9000/callback/"), unauthorized, "unexpected redirect URI"),
        (with(&right, "code", "gta_0000"), unauthorized, "client is not authorized"),
        (with(&right, "code", ""), unauthorized, "client is not authorized"),
        (wrong_verifier, unauthorized, "failed PKCE code challenge"),
        (with(&right, "code_verifier", ""), unauthorized, "failed PKCE code challenge"),
        (with(&right, "redirect_uri", ALSO), unauthorized, redirect),
        (with(&right, "redirect_uri", ""), unauthorized, redirect),
        (other_app.clone(), "invalid_grant", "invalid grant"),
        // The checks have an order.
        (with(&with(&right, "client_secret", "wrong"), "code", "x"), unauthorized, "invalid client secret"),
        (with(&with(&right, "redirect_uri", "http://x"), "code", "x"), unauthorized, "unexpected redirect URI"),
        (with(&other_app, "code_verifier", ""), unauthorized, "failed PKCE code challenge"),
    ] {
        assert_refused(&token(&fake, &params).await, error, text);
    }
    let text = "Only refresh_token or authorization_code grant type is supported";
    for grant_type in ["", "password"] {
        assert_refused(&token(&fake, &with(&right, "grant_type", grant_type)).await, "unsupported_grant_type", text);
    }
    assert_eq!(token(&fake, &right).await.status, 200);
    assert_refused(&token(&fake, &right).await, unauthorized, "client is not authorized");
}

#[tokio::test]
async fn a_gitea_has_other_texts_in_places() {
    let fake = forgejo().gitea().code_lifetime(Some(Duration::from_secs(600))).start().await.unwrap();
    let first = code(&fake, "jane");
    let right = exchange(&first);
    let text = "redirect_uri differs from the original authorization request";
    assert_refused(&token(&fake, &with(&right, "redirect_uri", ALSO)).await, "invalid_grant", text);
    fake.lose_next_race();
    assert_refused(&token(&fake, &right).await, "invalid_grant", "authorization code already used");
    let old = code(&fake, "jane");
    fake.advance(Duration::from_secs(600));
    assert_refused(&token(&fake, &exchange(&old)).await, "invalid_grant", "authorization code expired");
    let (_, refresh_token) = log_in(&fake, "jane", "read:user").await;
    let other = with(&with(&refresh(&refresh_token), "client_id", OTHER), "client_secret", OTHER_SECRET);
    assert_refused(&token(&fake, &other).await, "invalid_grant", "refresh token belongs to a different client");
}

#[tokio::test]
async fn a_verifier_needs_a_challenge_and_codes_do_not_age() {
    let fake = start().await;
    let without = with(&with(&REQUEST, "code_challenge", ""), "code_challenge_method", "");
    let callback = fake.authorize(&page(&fake, &without), "jane").unwrap();
    let right = param(&callback, "code");
    assert_refused(&token(&fake, &exchange(&right)).await, "unauthorized_client", "failed PKCE code challenge");
    fake.advance(Duration::from_secs(365 * 86_400));
    assert_eq!(token(&fake, &with(&exchange(&right), "code_verifier", "")).await.status, 200);
}

#[tokio::test]
async fn the_dummy_secret_is_refused() {
    let fake = start().await;
    let mut dummy = FakeApplication::new(ID, "averysecuresecret", CALLBACK, "");
    let code = code(&fake, "jane");
    let params = exchange(&code);
    let params = with(&params, "client_secret", "averysecuresecret");
    assert_refused(&token(&fake, &params).await, "unauthorized_client", "invalid client secret");
    // Even where it was registered.
    fake.add_application(dummy.clone());
    assert_refused(&token(&fake, &params).await, "unauthorized_client", "invalid client secret");
    // A regenerated secret replaces the old one at once.
    dummy.client_secret = "gto_new".to_owned();
    fake.add_application(dummy);
    let old = exchange(&code);
    assert_refused(&token(&fake, &old).await, "unauthorized_client", "invalid client secret");
    assert_eq!(token(&fake, &with(&old, "client_secret", "gto_new")).await.status, 200);
}

#[tokio::test]
async fn the_client_may_authenticate_by_body_basic_or_both_alike() {
    let fake = start().await;
    let url = format!("{}/login/oauth/access_token", fake.base_url());
    let code = code(&fake, "jane");
    let right = exchange(&code);
    for (id, secret, part) in [("nobody", SECRET, "client_id"), (ID, "wrong", "client_secret")] {
        let text = format!("{part} in request body inconsistent with Authorization header");
        assert_refused(&send(form(&url, &right).basic_auth(id, Some(secret))).await, "invalid_request", &text);
    }
    let bearer = send(form(&url, &right).bearer_auth("x")).await;
    assert_refused(&bearer, "invalid_request", "cannot parse basic auth header");
    let bare = with(&with(&right, "client_secret", ""), "client_id", "");
    let empty = send(form(&url, &bare).basic_auth(ID, Some(""))).await;
    assert_refused(&empty, "unauthorized_client", "invalid empty client secret");
    let response = send(form(&url, &bare).basic_auth(ID, Some(SECRET))).await;
    assert_eq!(response.status, 200);
    let members: std::collections::BTreeMap<_, _> = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &response.text("refresh_token")),
        ("client_id", ID),
        ("client_secret", SECRET),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into();
    let json = client().post(&url).header("Content-Type", "application/json");
    assert_eq!(send(json.body(serde_json::to_vec(&members).unwrap())).await.status, 200);
    assert_eq!(get(&url).await.status, 404);
}

#[tokio::test]
async fn a_refresh_uses_up_the_refresh_token() {
    let fake = start().await;
    let (access, first) = log_in(&fake, "jane", "read:user").await;
    let right = refresh(&first);
    let (client, grant) = ("invalid_client", "invalid_grant");
    for (params, error, text) in [
        (with(&right, "client_id", "nobody"), client, "cannot load client with client id: \"nobody\""),
        (with(&right, "client_secret", "wrong"), client, "invalid client secret"),
        (with(&right, "client_secret", ""), client, "invalid empty client secret"),
        (with(&right, "refresh_token", "x"), "unauthorized_client", "unable to parse refresh token"),
        (with(&right, "refresh_token", ""), "unauthorized_client", "unable to parse refresh token"),
        (with(&right, "refresh_token", &access), "unauthorized_client", "token is not a refresh token"),
        (
            with(&with(&right, "client_id", OTHER), "client_secret", OTHER_SECRET),
            grant,
            "refresh token was not issued to this client",
        ),
    ] {
        assert_refused(&token(&fake, &params).await, error, text);
    }
    let renewed = token(&fake, &right).await;
    assert_eq!(renewed.status, 200);
    assert_refused(&token(&fake, &right).await, "unauthorized_client", "token was already used");
    // The old access token and the new pair stay valid.
    assert_eq!(api(&fake, "/user", &access).await.status, 200);
    assert_eq!(api(&fake, "/user", &renewed.text("access_token")).await.status, 200);
    let second = renewed.text("refresh_token");
    fake.lose_next_race();
    assert_refused(&token(&fake, &refresh(&second)).await, grant, "cannot increase the grant counter");
    assert_refused(&token(&fake, &refresh(&second)).await, "unauthorized_client", "token was already used");
}

#[tokio::test]
async fn a_second_login_invalidates_the_refresh_token_of_the_first() {
    let fake = start().await;
    let (_, first) = log_in(&fake, "jane", "read:user").await;
    let (_, other_user) = log_in(&fake, "bob", "read:user").await;
    let (_, second) = log_in(&fake, "jane", "read:user").await;
    assert_refused(&token(&fake, &refresh(&first)).await, "unauthorized_client", "token was already used");
    assert_eq!(token(&fake, &refresh(&second)).await.status, 200);
    assert_eq!(token(&fake, &refresh(&other_user)).await.status, 200);
}

#[tokio::test]
async fn without_rotation_old_refresh_tokens_stay_valid() {
    for fake in [forgejo().refresh_rotation(false), forgejo().gitea(), forgejo().version("8.0.3+gitea-1.22.0")] {
        let fake = fake.start().await.unwrap();
        let (_, first) = log_in(&fake, "jane", "read:user").await;
        log_in(&fake, "jane", "read:user").await;
        for _ in 0..2 {
            assert_eq!(token(&fake, &refresh(&first)).await.status, 200);
        }
    }
    let fake = forgejo().gitea().refresh_rotation(true).start().await.unwrap();
    let (_, first) = log_in(&fake, "jane", "read:user").await;
    assert_eq!(token(&fake, &refresh(&first)).await.status, 200);
    assert_refused(&token(&fake, &refresh(&first)).await, "unauthorized_client", "token was already used");
}

#[tokio::test]
async fn of_simultaneous_refreshes_one_succeeds() {
    let fake = start().await;
    let (_, refresh_token) = log_in(&fake, "jane", "read:user").await;
    let params = refresh(&refresh_token);
    let responses = futures_util::future::join_all((0..6).map(|_| token(&fake, &params))).await;
    assert_eq!(responses.iter().filter(|response| response.status == 200).count(), 1);
    let code = code(&fake, "jane");
    fake.lose_next_race();
    assert_refused(&token(&fake, &exchange(&code)).await, "invalid_request", "cannot proceed your request");
    assert_refused(&token(&fake, &exchange(&code)).await, "unauthorized_client", "client is not authorized");
}

#[tokio::test]
async fn tokens_expire_and_end_with_their_grant() {
    let fake = forgejo().token_lifetime(Duration::from_secs(60)).start().await.unwrap();
    let (_, refresh_token) = log_in(&fake, "jane", "read:user").await;
    fake.advance(Duration::from_secs(730 * 3600 - 5));
    let renewed = token(&fake, &refresh(&refresh_token)).await;
    assert_eq!((renewed.status, &renewed.json()["expires_in"]), (200, &60.into()));
    // Each refresh gives a new life.
    fake.advance(Duration::from_secs(730 * 3600 - 5));
    let renewed = token(&fake, &refresh(&renewed.text("refresh_token"))).await;
    assert_eq!(renewed.status, 200);
    fake.advance(Duration::from_secs(730 * 3600));
    let expired = token(&fake, &refresh(&renewed.text("refresh_token"))).await;
    assert_refused(&expired, "unauthorized_client", "unable to parse refresh token");

    let (_, jane) = log_in(&fake, "jane", "read:user").await;
    let (_, bob) = log_in(&fake, "bob", "read:user").await;
    let unused = code(&fake, "jane");
    fake.revoke("jane");
    assert_refused(&token(&fake, &refresh(&jane)).await, "invalid_grant", "grant does not exist");
    assert_refused(&token(&fake, &exchange(&unused)).await, "unauthorized_client", "client is not authorized");
    assert_eq!(token(&fake, &refresh(&bob)).await.status, 200);
    fake.remove_application(ID);
    assert_eq!(token(&fake, &refresh(&bob)).await.text("error"), "invalid_client");
}

#[tokio::test]
async fn two_tokens_of_one_second_are_the_same() {
    let fake = forgejo().unique_tokens(false).start().await.unwrap();
    // A second may end between two logins.
    let mut same = false;
    for _ in 0..5 {
        let (first, first_refresh) = log_in(&fake, "jane", "read:user").await;
        let (second, second_refresh) = log_in(&fake, "jane", "read:user").await;
        assert_ne!(first_refresh, second_refresh, "the counter differs");
        same |= first == second;
    }
    assert!(same);
    let (old, refresh_token) = log_in(&fake, "jane", "read:user").await;
    fake.expire_all_tokens();
    assert_ne!(token(&fake, &refresh(&refresh_token)).await.text("access_token"), old);
    assert_eq!(api(&fake, "/user", &old).await.status, 401);
}
