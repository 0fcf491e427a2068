//! Repeated callbacks: after a dropped request, after a finished login, from another browser.

use std::time::Duration;

use http::StatusCode;
use tower_sessions::MemoryStore;

use crate::router::routes::{Browser, TestApp, test_app_at};

const PUBLIC: &str = "https://packages.example.com";

async fn test_app(in_session: bool) -> TestApp {
    test_app_at(PUBLIC, in_session, MemoryStore::default()).await
}

/// Sends a callback and drops the request during the exchange of its code.
async fn dropped(test_app: &TestApp, browser: &Browser, callback: &str) {
    let exchanges_before = test_app.exchanges();
    let mut copy = browser.clone();
    let sending = copy.get(test_app, callback);
    let exchange_begun = async {
        while test_app.exchanges() == exchanges_before {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        done = sending => panic!("the exchange was too fast: {}", done.body),
        () = exchange_begun => {}
    }
}

#[tokio::test]
async fn a_dropped_callback_can_be_repeated() {
    for in_session in [true, false] {
        let test_app = test_app(in_session).await;
        test_app.gitlab.set_latency(Duration::from_millis(300));
        let mut browser = Browser::default();
        let begun = browser.begin(&test_app, "/login/demo", "/projects").await;
        let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
        dropped(&test_app, &browser, test_app.path(&callback)).await;

        let done = browser.get(&test_app, test_app.path(&callback)).await;
        assert_eq!(done.header("x-logged-in"), Some("gitlab:demo:2"), "{}", done.body);
        assert_eq!((done.location(), test_app.exchanges()), ("/projects", 1));
        assert_eq!(browser.get(&test_app, "/user").await.body, "gitlab:demo:2");
    }
}

#[tokio::test]
async fn a_callback_whose_response_was_lost_can_be_repeated() {
    for in_session in [true, false] {
        let test_app = test_app(in_session).await;
        let mut browser = Browser::default();
        let begun = browser.begin(&test_app, "/login/demo", "/projects").await;
        let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
        let before = browser.clone();
        before.clone().get(&test_app, test_app.path(&callback)).await;
        let done = browser.get(&test_app, test_app.path(&callback)).await;
        assert_eq!(done.header("x-logged-in"), Some("gitlab:demo:2"), "{}", done.body);
        assert_eq!(test_app.exchanges(), 1);

        // Once the browser has shown that it has the response, the cookies from before are refused.
        browser.get(&test_app, "/form").await;
        before.clone().get(&test_app, test_app.path(&callback)).await.assert_failed(400, "state_unknown");
        assert_eq!(test_app.exchanges(), 1);
    }
}

#[tokio::test]
async fn two_callbacks_at_once_both_log_in_with_one_exchange() {
    for in_session in [true, false] {
        let test_app = test_app(in_session).await;
        test_app.gitlab.set_latency(Duration::from_millis(50));
        let mut browser = Browser::default();
        let begun = browser.begin(&test_app, "/login/demo", "/projects").await;
        let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
        let (mut first, mut second) = (browser.clone(), browser);
        let path = test_app.path(&callback);
        let (one, other) = futures_util::future::join(first.get(&test_app, path), second.get(&test_app, path)).await;
        for done in [one, other] {
            assert_eq!(done.header("x-logged-in"), Some("gitlab:demo:2"), "{}", done.body);
        }
        assert_eq!(test_app.exchanges(), 1);
        // The browser may keep either response.
        for mut browser in [first, second] {
            assert_eq!(browser.get(&test_app, "/user").await.body, "gitlab:demo:2");
        }
    }
}

#[tokio::test]
async fn no_other_browser_or_code_joins_a_callback_in_flight() {
    for in_session in [true, false] {
        let test_app = test_app(in_session).await;
        test_app.gitlab.set_latency(Duration::from_millis(300));
        let mut browser = Browser::default();
        let begun = browser.begin(&test_app, "/login/demo", "/").await;
        let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
        dropped(&test_app, &browser, test_app.path(&callback)).await;

        // Another browser, without cookies or with a login of its own; and this browser with another code.
        let mut other = Browser::default();
        other.get(&test_app, test_app.path(&callback)).await.assert_failed(400, "state_unknown");
        other.begin(&test_app, "/login/demo", "/").await;
        other.get(&test_app, test_app.path(&callback)).await.assert_failed(400, "state_unknown");
        let state = callback.split("state=").nth(1).unwrap().split('&').next().unwrap();
        let forged = format!("/oauth/callback/gitlab/demo?code=forged&state={state}");
        browser.clone().get(&test_app, &forged).await.assert_failed(400, "state_unknown");
        let moved = test_app.path(&callback).replace("/demo?", "/other?");
        browser.clone().get(&test_app, &moved).await.assert_failed(400, "state_unknown");

        let done = browser.get(&test_app, test_app.path(&callback)).await;
        assert_eq!(done.header("x-logged-in"), Some("gitlab:demo:2"), "{}", done.body);
        assert_eq!(test_app.exchanges(), 1);
    }
}

#[tokio::test]
async fn a_finished_callback_opened_again_only_redirects() {
    for in_session in [true, false] {
        let test_app = test_app(in_session).await;
        for path in ["/projects?tab=1", "/"] {
            let mut browser = Browser::default();
            let begun = browser.begin(&test_app, "/login/demo", path).await;
            let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
            browser.get(&test_app, test_app.path(&callback)).await;
            let exchanges = test_app.exchanges();
            for _ in 0..3 {
                let again = browser.get(&test_app, test_app.path(&callback)).await;
                assert_eq!((again.head.status, again.location()), (StatusCode::SEE_OTHER, path));
                assert_eq!(again.header("x-logged-in"), None);
                assert_eq!(again.header("cache-control"), Some("no-store"));
            }
            assert_eq!(test_app.exchanges(), exchanges);
            assert_eq!(browser.get(&test_app, "/user").await.body, "gitlab:demo:2");

            // After a log-out it is refused.
            let token = browser.token(&test_app).await;
            browser.post(&test_app, "/logout", &[("csrf_token", &token)]).await;
            browser.get(&test_app, test_app.path(&callback)).await.assert_failed(400, "state_unknown");
        }
    }
}

#[tokio::test]
async fn a_failed_callback_cannot_be_repeated() {
    for in_session in [true, false] {
        let test_app = test_app(in_session).await;
        let mut browser = Browser::default();
        let begun = browser.begin(&test_app, "/login/demo", "/projects").await;
        let callback = test_app.gitlab.authorize(&begun, "carol").unwrap();
        let before = browser.clone();
        browser.get(&test_app, test_app.path(&callback)).await.assert_failed(400, "account_blocked");
        let exchanges_before = test_app.exchanges();
        for mut browser in [browser, before] {
            let again = browser.get(&test_app, test_app.path(&callback)).await;
            again.assert_failed(400, "state_unknown");
            assert!(again.body.contains("href=\"/login/demo"), "{}", again.body);
        }
        assert_eq!(test_app.exchanges(), exchanges_before);
    }
}

/// A hostile page begins a login of its own in another tab, and finishes it after the user has logged in.
#[tokio::test]
async fn a_finished_login_drops_the_other_pending_logins() {
    for in_session in [true, false] {
        let test_app = test_app(in_session).await;
        let mut browser = Browser { user: Some("user-7"), ..Browser::default() };
        let hostile = browser.begin(&test_app, "/login/other", "/").await;
        let connection = browser.begin(&test_app, "/connect/demo", "/").await;
        let honest = browser.begin(&test_app, "/login/demo", "/").await;
        let callback = test_app.gitlab.authorize(&honest, "alice").unwrap();
        browser.get(&test_app, test_app.path(&callback)).await;
        if !in_session {
            // The connection, and the finished login.
            let kept = browser.cookies.iter().filter(|(name, _)| name.contains("login")).count();
            assert_eq!(kept, 2, "{:?}", browser.cookies);
        }

        let state = hostile.split("state=").nth(1).unwrap().split('&').next().unwrap();
        let late = format!("/oauth/callback/gitlab/other?code=stolen&state={state}");
        let exchanges = test_app.exchanges();
        browser.get(&test_app, &late).await.assert_failed(400, "state_unknown");
        assert_eq!(
            (browser.get(&test_app, "/user").await.body.as_str(), test_app.exchanges()),
            ("gitlab:demo:2", exchanges)
        );

        // The logged-in user's pending connection is kept.
        let callback = test_app.gitlab.authorize(&connection, "bob").unwrap();
        let done = browser.get(&test_app, test_app.path(&callback)).await;
        assert_eq!(done.header("x-connected"), Some("user-7 gitlab:demo:3"), "{}", done.body);
    }
}

#[tokio::test]
async fn logins_that_finish_at_once_in_two_tabs_both_finish() {
    for in_session in [true, false] {
        let test_app = test_app(in_session).await;
        test_app.gitlab.set_latency(Duration::from_millis(60));
        let mut browser = Browser::default();
        let mut callbacks = Vec::new();
        for username in ["alice", "bob"] {
            let begun = browser.begin(&test_app, "/login/demo", "/").await;
            callbacks.push(test_app.gitlab.authorize(&begun, username).unwrap());
        }
        let (mut first, mut second) = (browser.clone(), browser);
        let (one, other) = futures_util::future::join(
            first.get(&test_app, test_app.path(&callbacks[0])),
            second.get(&test_app, test_app.path(&callbacks[1])),
        )
        .await;
        assert_eq!(one.header("x-logged-in"), Some("gitlab:demo:2"), "{}", one.body);
        assert_eq!(other.header("x-logged-in"), Some("gitlab:demo:3"), "{}", other.body);
    }
}
