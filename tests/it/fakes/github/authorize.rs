use std::time::Duration;

use codehost_oauth::testing::{FakeApplication, FakeError, FakeGitHub, github::FakeUser};

use super::*;
use crate::fakes::get;

#[tokio::test]
async fn a_browser_can_authorize_and_deny() {
    let fake = start().await;
    let consent = get(&page(&fake, &with(&with(&REQUEST, "state", "a\"<&é"), "login", "pete"))).await;
    assert!(consent.body.contains("name=\"state\" value=\"a&quot;&lt;&amp;é\""), "{}", consent.body);
    assert_eq!(consent.body.matches("<form method=\"post\"").count(), 2);
    // The suggested account is the first option.
    assert!(consent.body.contains("name=\"user\"><option value=\"pete\">"), "{}", consent.body);

    let url = format!("{}/login/oauth/authorize", fake.base_url());
    let allowed = send(form(&url, &with(&REQUEST, "user", "janedoe"))).await;
    let location = allowed.header("location");
    let issuer: String =
        url::form_urlencoded::byte_serialize(format!("{}/login/oauth", fake.base_url()).as_bytes()).collect();
    let code = param(location, "code");
    assert_eq!((allowed.status, location), (302, format!("{CALLBACK}?code={code}&iss={issuer}&state=st-123").as_str()));
    assert_eq!(token(&fake, &exchange(&code)).await.text("scope"), "user:email");

    let denied = send(form(&url, &with(&REQUEST, "authorize", "0"))).await;
    let location = denied.header("location");
    assert_eq!(param(location, "error"), "access_denied");
    assert_eq!(param(location, "error_description"), "The user has denied your application access.");
    assert_eq!(param(location, "iss"), format!("{}/login/oauth", fake.base_url()));
    assert_eq!((param(location, "state").as_str(), param(location, "error_uri").is_empty()), ("st-123", false));
    assert_eq!(fake.deny(&page(&fake, &REQUEST)).unwrap(), location);
}

#[tokio::test]
async fn unknown_clients_and_redirect_uris_have_a_page() {
    let fake = start().await;
    for (name, value, status, text) in [
        ("client_id", "nobody", 404, "not the web page"),
        ("client_id", "", 404, "not the web page"),
        ("redirect_uri", "http://127.0.0.1:9000/callback/", 200, "Be careful!"),
        ("redirect_uri", "http://127.0.0.1:9001/callback", 200, "not associated with this application."),
        ("code_challenge_method", "plain", 400, "must be S256"),
        ("code_challenge", "", 400, "must have 43 characters"),
        ("code_challenge", "short", 400, "must have 43 characters"),
    ] {
        let url = page(&fake, &with(&REQUEST, name, value));
        let shown = get(&url).await;
        assert!(shown.status == status && shown.body.contains(text), "{name}={value}: {}", shown.body);
        assert!(matches!(fake.authorize(&url, "janedoe"), Err(FakeError::Page(_))), "{name}={value}");
        assert!(matches!(fake.deny(&url), Err(FakeError::Page(_))), "{name}={value}");
    }
    assert_eq!(fake.authorize("http://127.0.0.1:1/login/oauth/authorize", "janedoe"), Err(FakeError::Url));
    let nobody = fake.authorize(&page(&fake, &REQUEST), "nobody");
    assert_eq!(nobody, Err(FakeError::UnknownUser("nobody".to_owned())));
}

#[tokio::test]
async fn other_errors_go_to_the_callback() {
    let fake = builder().mismatch_callback(true).start().await.unwrap();
    let mismatch = page(&fake, &with(&REQUEST, "redirect_uri", "http://127.0.0.1:9000/elsewhere"));
    let location = fake.authorize(&mismatch, "janedoe").unwrap();
    assert!(location.starts_with(&format!("{CALLBACK}?error=redirect_uri_mismatch&")), "{location}");
    let text = "The redirect_uri MUST match the registered callback URL for this application.";
    assert_eq!((param(&location, "error_description").as_str(), param(&location, "state").as_str()), (text, "st-123"));
    assert_eq!(get(&mismatch).await.status, 302);
    // Scopes are separated by spaces.
    for scope in ["user:email nonsense", "nonsense,user:email"] {
        let location = fake.authorize(&page(&fake, &with(&REQUEST, "scope", scope)), "janedoe").unwrap();
        assert_eq!(param(&location, "error"), "invalid_scope");
        let text = format!("The scopes requested are invalid: {}.", scope.trim_start_matches("user:email "));
        assert_eq!(param(&location, "error_description"), text);
    }
    fake.suspend_application(ID);
    let location = fake.authorize(&page(&fake, &REQUEST), "janedoe").unwrap();
    assert_eq!(param(&location, "error"), "application_suspended");
    let text = "Your application has been suspended. Contact support@github.com.";
    assert_eq!(param(&location, "error_description"), text);
}

#[tokio::test]
async fn the_issuer_can_be_omitted_or_another_one() {
    let fake = builder().without_issuer().start().await.unwrap();
    assert!(!fake.authorize(&page(&fake, &REQUEST), "janedoe").unwrap().contains("iss="));
    let fake = builder().issuer("https://github.com/login/oauth").start().await.unwrap();
    let location = fake.authorize(&page(&fake, &REQUEST), "janedoe").unwrap();
    assert_eq!(param(&location, "iss"), "https://github.com/login/oauth");
}

#[tokio::test]
async fn wildcard_matching_admits_sub_domains_and_paths_below() {
    let app = FakeApplication::new(ID, SECRET, "http://example.com/path", "");
    let app = || app.clone();
    let exact = FakeGitHub::builder().application(app()).start().await.unwrap();
    let wildcard = FakeGitHub::builder().application(app()).wildcard_redirects(true).start().await.unwrap();
    let accepts =
        |fake: &FakeGitHub, uri| fake.authorize(&page(fake, &with(&REQUEST, "redirect_uri", uri)), "janedoe").is_ok();
    for (uri, expected) in [
        ("http://example.com/path", true),
        ("http://example.com/path/sub", true),
        ("http://oauth.example.com/path/sub", true),
        ("http://example.com/path-2", false),
        ("http://example.com/other", false),
        ("http://badexample.com/path", false),
        ("http://example.com:8080/path", false),
        ("https://example.com/path", false),
    ] {
        assert_eq!(accepts(&wildcard, uri), expected, "{uri}");
        assert_eq!(accepts(&exact, uri), uri == "http://example.com/path", "{uri}");
    }
    wildcard.add_application(FakeApplication::new("loopback", SECRET, CALLBACK, ""));
    wildcard.add_github_app(FakeApplication::new("exact", SECRET, CALLBACK, ""));
    let other_port = with(&REQUEST, "redirect_uri", "http://127.0.0.1:9001/callback");
    assert!(wildcard.authorize(&page(&wildcard, &with(&other_port, "client_id", "loopback")), "janedoe").is_ok());
    assert!(wildcard.authorize(&page(&wildcard, &with(&other_port, "client_id", "exact")), "janedoe").is_err());
    // Without the parameter the first registered one is taken.
    let without = exact.authorize(&page(&exact, &with(&REQUEST, "redirect_uri", "")), "janedoe").unwrap();
    assert!(without.starts_with("http://example.com/path?code="), "{without}");
}

#[tokio::test]
async fn without_a_scope_everything_granted_before_is_granted() {
    let fake = start().await;
    assert_eq!(log_in(&fake, "janedoe", "").await.text("scope"), "");
    log_in(&fake, "janedoe", "repo").await;
    log_in(&fake, "janedoe", "user:email").await;
    assert_eq!(log_in(&fake, "janedoe", "").await.text("scope"), "repo,user:email");
    fake.revoke_grant(ID, "janedoe");
    assert_eq!(log_in(&fake, "janedoe", "").await.text("scope"), "");
}

#[tokio::test]
async fn users_can_decline_scopes() {
    let fake = start().await;
    let mut user = FakeUser::new(900, "zoe", "Zoe", "zoe@example.com");
    user.declined_scopes.push("repo".to_owned());
    fake.add_user(user);
    assert_eq!(log_in(&fake, "zoe", "repo user:email").await.text("scope"), "user:email");
}

#[tokio::test]
async fn consent_is_remembered_for_ten_logins_an_hour() {
    let fake = builder().remember_consent(true).start().await.unwrap();
    let browser = |params: &[(&str, &str)]| {
        let url = page(&fake, params);
        send(client().get(url).header("Cookie", "_fake_github_user=janedoe"))
    };
    assert_eq!(browser(&REQUEST).await.status, 200);
    log_in(&fake, "janedoe", "user:email").await;
    let skipped = browser(&REQUEST).await;
    assert_eq!((skipped.status, param(skipped.header("location"), "state").as_str()), (302, "st-123"));
    assert_eq!(browser(&with(&REQUEST, "scope", "")).await.status, 302);
    assert_eq!(browser(&with(&REQUEST, "scope", "repo")).await.status, 200);
    assert_eq!(browser(&with(&REQUEST, "prompt", "select_account")).await.status, 200);
    for _ in 0..9 {
        log_in(&fake, "janedoe", "user:email").await;
    }
    assert_eq!(browser(&REQUEST).await.status, 200);
    fake.advance(Duration::from_secs(3601));
    assert_eq!(browser(&REQUEST).await.status, 302);
    fake.revoke_all();
    assert_eq!(browser(&REQUEST).await.status, 200);
}

#[tokio::test]
async fn an_installation_has_a_callback_without_state() {
    let fake = start().await;
    let location = fake.install(APP_ID, "owner").unwrap();
    assert!(!location.contains("state=") && !param(&location, "code").is_empty());
    assert_eq!(param(&location, "setup_action"), "install");
    assert!(param(&location, "installation_id").parse::<u64>().is_ok());
    assert!(matches!(fake.install("nobody", "owner"), Err(FakeError::Page(_))));
}
