//! The log of failures: one event for each, with its audience.

use axum::Router;
use axum::body::Body;
use codehost_oauth::router::LoginRoutes;
use http::Request;
use tower::ServiceExt as _;
use tower_sessions::cookie::SameSite;
use tower_sessions::{MemoryStore, SessionManagerLayer};

use crate::login::observe::{Log, capture_log};
use crate::router::routes::{Browser, TestHandler, form, test_app_at};

const PUBLIC: &str = "https://packages.example.com";

/// The events of failures, without those of other crates.
fn failures(log: &Log) -> Vec<String> {
    let text = log.text();
    text.lines().filter(|line| line.contains("codehost_oauth: failed: ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_failed_login_is_one_event_with_its_audience() {
    let (log, _guard) = capture_log();
    for in_session in [true, false] {
        let test_app = test_app_at(PUBLIC, in_session, MemoryStore::default()).await;
        let mut browser = Browser::default();
        let html: &[(&str, &str)] = &[("Content-Type", "text/html")];
        let json: &[(&str, &str)] = &[("Content-Type", "application/json")];
        for (response, level, code, audience) in [
            (None, "WARN", "account_blocked", "User"),
            (Some((503, html, "<html>")), "WARN", "code_host_down", "CodeHost"),
            (Some((401, json, r#"{"error":"invalid_client"}"#)), "WARN", "client_rejected", "Administrator"),
        ] {
            let begun = browser.begin(&test_app, "/login/demo", "/").await;
            let username = if response.is_some() { "alice" } else { "carol" };
            let callback = test_app.gitlab.authorize(&begun, username).unwrap();
            if let Some((status, headers, body)) = response {
                test_app.gitlab.respond_next("/oauth/token", status, headers, body);
            }
            log.clear();
            browser.get(&test_app, test_app.path(&callback)).await;
            let events = failures(&log);
            assert_eq!(events.len(), 1, "{events:?}");
            assert!(events[0].contains(level), "{}", events[0]);
            for part in ["integration=\"demo\"", "operation=\"finish_login\"", &format!("audience={audience}"), "hint="]
            {
                assert!(events[0].contains(part), "{part}: {}", events[0]);
            }
            assert!(events[0].contains(&format!("code=\"{code}\"")), "{}", events[0]);
        }
        // Failures before any request to the code host.
        for (path, code) in [
            ("/oauth/callback/gitlab/demo?code=x&state=y", "state_unknown"),
            ("/oauth/callback/gitlab/demo?state=a&state=b", "callback_repeated"),
        ] {
            log.clear();
            browser.get(&test_app, path).await;
            let events = failures(&log);
            assert_eq!(events.len(), 1, "{events:?}");
            assert!(events[0].contains("WARN") && events[0].contains(&format!("code=\"{code}\"")), "{}", events[0]);
        }
        log.clear();
        browser.get(&test_app, "/login/broken").await;
        let events = failures(&log);
        assert_eq!(events.len(), 1, "{events:?}");
        assert!(
            events[0].contains("ERROR") && events[0].contains("code=\"find_integration_failed\" audience=Operator"),
            "{}",
            events[0]
        );
    }
}

#[tokio::test]
async fn the_log_and_the_page_name_the_operation() {
    let (log, _guard) = capture_log();
    // On a loopback address the page tells the developer more.
    for (public, is_told) in [(PUBLIC, false), ("http://127.0.0.1:9000", true)] {
        let test_app = test_app_at(public, true, MemoryStore::default()).await;
        let mut browser = Browser::default();
        for (method, path, operation, integration, title, detail) in [
            (
                "GET",
                "/login/broken",
                "login_page",
                Some("broken"),
                "Login failed",
                "the app could not look up the integration: the database is gone",
            ),
            (
                "GET",
                "/login/no%20id",
                "login_page",
                None,
                "Login failed",
                "the app has no integration with this ID, or it is disabled",
            ),
            ("POST", "/login/demo", "begin_login", Some("demo"), "Request refused", "a form without the CSRF token"),
            (
                "POST",
                "/connect/demo",
                "begin_connect",
                Some("demo"),
                "Request refused",
                "a form without the CSRF token",
            ),
            ("POST", "/logout", "log_out", None, "Request refused", "a form without the CSRF token"),
            (
                "GET",
                "/oauth/callback/gitlab/demo?code=x&state=y",
                "finish_login",
                Some("demo"),
                "Login failed",
                "SameSite",
            ),
        ] {
            log.clear();
            let response = match method {
                "GET" => browser.get(&test_app, path).await,
                _ => browser.post(&test_app, path, &[]).await,
            };
            assert!(response.body.contains(&format!("<h1>{title}</h1>")), "{path}: {}", response.body);
            assert_eq!(response.body.contains(detail), is_told, "{path}: {}", response.body);
            let events = failures(&log);
            assert_eq!(events.len(), 1, "{path}: {events:?}");
            assert!(events[0].contains(&format!("operation=\"{operation}\"")), "{path}: {}", events[0]);
            let named = integration.map(|id| format!("integration=\"{id}\""));
            assert_eq!(events[0].contains("integration=\""), named.is_some(), "{path}: {}", events[0]);
            assert!(events[0].contains(&named.unwrap_or_default()), "{path}: {}", events[0]);
        }
    }
}

#[tokio::test]
async fn a_missing_session_layer_is_logged_with_the_reason() {
    let (log, _guard) = capture_log();
    let logins = LoginRoutes::in_session(TestHandler::default(), TestHandler::default(), &PUBLIC.parse().unwrap());
    let request = Request::get("/login/demo").body(Body::empty()).unwrap();
    assert_eq!(logins.router::<()>().oneshot(request).await.unwrap().status(), 404);
    let request = Request::post("/login/demo").body(Body::empty()).unwrap();
    assert_eq!(logins.router::<()>().oneshot(request).await.unwrap().status(), 503);
    let events = failures(&log);
    let last = events.last().unwrap();
    assert!(last.contains("ERROR") && last.contains("code=\"no_session_layer\""), "{last}");
    for part in ["`SessionManagerLayer` of tower-sessions 0.15", "did not pass through", "another version"] {
        assert!(last.contains(part), "{last}");
    }
}

#[tokio::test]
async fn a_strict_session_cookie_is_logged_once() {
    let (log, _guard) = capture_log();
    let test_app = test_app_at(PUBLIC, true, MemoryStore::default()).await;
    let handler = TestHandler::default();
    handler.0.lock().unwrap().push(test_app.integration.clone());
    let logins = LoginRoutes::in_session(handler.clone(), handler, &PUBLIC.parse().unwrap());
    let layer = SessionManagerLayer::new(MemoryStore::default()).with_same_site(SameSite::Strict);
    let test_app = crate::router::routes::TestApp {
        app: Router::new().merge(logins.router()).merge(form(&logins)).layer(layer),
        ..test_app
    };
    let mut browser = Browser::default();
    let warnings = |log: &Log| log.text().matches("SameSite=Lax").count();
    for round in 0..3 {
        let begun = browser.begin(&test_app, "/login/demo", "/").await;
        assert_eq!(warnings(&log), usize::from(round > 0));
        let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
        // The browser sends no strict cookie after a redirect from another site.
        let request = Request::get(test_app.path(&callback)).header("sec-fetch-site", "cross-site");
        Browser::default().send(&test_app, request, String::new()).await.assert_failed(400, "state_unknown");
        assert_eq!(warnings(&log), 1);
    }
    let text = log.text();
    let line = text.lines().find(|line| line.contains("SameSite=Lax")).unwrap();
    assert!(line.contains(" WARN ") && line.contains(" codehost_oauth: "), "{line}");
}

#[tokio::test]
async fn a_log_out_that_ends_no_session_is_logged() {
    let (log, _guard) = capture_log();
    let keys: codehost_oauth::seal::KeyRing = "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=".parse().unwrap();
    let logins = LoginRoutes::in_cookie(TestHandler::default(), TestHandler::default(), &PUBLIC.parse().unwrap(), keys);
    let mut test_app = test_app_at(PUBLIC, false, MemoryStore::default()).await;
    for (has_layer, is_logged) in [(true, false), (false, true)] {
        let app = Router::new().merge(logins.router()).merge(form(&logins));
        test_app.app = if has_layer { app.layer(SessionManagerLayer::new(MemoryStore::default())) } else { app };
        let mut browser = Browser::default();
        let token = browser.token(&test_app).await;
        assert_eq!(browser.post(&test_app, "/logout", &[("csrf_token", &token)]).await.location(), "/");
        let line = "ERROR codehost_oauth: a log-out ended no session: implement LoginHandler::logged_out";
        assert_eq!(log.text().contains(line), is_logged, "{}", log.text());
    }
}

#[tokio::test]
async fn a_failed_refresh_is_one_event() {
    let (log, _guard) = capture_log();
    let gitlab = crate::support::gitlab().await;
    let integration = crate::support::at_gitlab(&gitlab);
    let login = crate::support::log_in(&integration, |url| gitlab.authorize(url, "alice")).await.unwrap();
    gitlab.revoke_all();
    log.clear();
    integration.refresh(login.tokens.refresh_token.as_ref().unwrap()).await.unwrap_err();
    let events = failures(&log);
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(events[0].contains("operation=\"refresh\"") && events[0].contains("integration=\"demo\""), "{}", events[0]);
}

#[tokio::test]
async fn a_failure_of_the_keeper_is_one_event() {
    let (log, _guard) = capture_log();
    let ring = codehost_oauth::seal::KeyRing::new([(1, [7; 32].as_slice())]).unwrap();
    let none: std::collections::HashMap<_, codehost_oauth::Integration> = Default::default();
    let keeper =
        codehost_oauth::keeper::TokenKeeper::builder(codehost_oauth::keeper::MemoryTokens::default(), ring, none)
            .build();
    keeper.access_token(&"gitlab:gone:2".parse().unwrap()).await.unwrap_err();
    let events = failures(&log);
    assert_eq!(events.len(), 1, "{events:?}");
    for part in ["ERROR", "integration=\"gone\"", "operation=\"refresh\"", "code=\"unknown_integration\""] {
        assert!(events[0].contains(part), "{part}: {}", events[0]);
    }
}
