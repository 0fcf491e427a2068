//! What the app's integrations are told about the end of logins and connections.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use codehost_oauth::error::AppError;
use codehost_oauth::{FindIntegration, Integration, IntegrationId, LoginEnd};
use tower_sessions::MemoryStore;

use crate::router::changes::app_of;
use crate::router::routes::{Browser, Integrations, TestApp, TestHandler, test_app_at};

const PUBLIC: &str = "https://packages.example.com";

/// The id, and the code of a failure.
type Ends = Vec<(String, Option<String>)>;

/// The app's integrations, and the logins that have ended.
#[derive(Clone, Default)]
struct Noted {
    integrations: Integrations,
    ends: Arc<Mutex<Ends>>,
    /// Whether the latest cannot be read.
    is_down: Arc<Mutex<bool>>,
}

#[async_trait]
impl FindIntegration for Noted {
    async fn find(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>, AppError> {
        TestHandler::of(&self.integrations).find(id).await
    }

    async fn find_latest(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>, AppError> {
        if *self.is_down.lock().unwrap() {
            return Err("the database is gone".into());
        }
        self.find(id).await
    }

    fn login_ended(&self, end: &LoginEnd<'_>) {
        self.ends.lock().unwrap().push((end.integration.to_string(), end.failure.map(str::to_owned)));
    }
}

impl Noted {
    /// What was told since the last call, about `demo` only.
    fn take(&self) -> Vec<Option<String>> {
        let ends = std::mem::take(&mut *self.ends.lock().unwrap());
        assert!(ends.iter().all(|(id, _)| id == "demo"), "{ends:?}");
        ends.into_iter().map(|(_, failure)| failure).collect()
    }
}

async fn test_app(in_session: bool) -> (TestApp, Noted) {
    let mut test_app = test_app_at(PUBLIC, in_session, MemoryStore::default()).await;
    let noted = Noted { integrations: Arc::clone(&test_app.integrations), ..Noted::default() };
    let handler = TestHandler::of(&noted.integrations);
    test_app.app = app_of(noted.clone(), handler, in_session, MemoryStore::default());
    (test_app, noted)
}

fn failure(code: &str) -> Vec<Option<String>> {
    vec![Some(code.to_owned())]
}

async fn begin(test_app: &TestApp, browser: &mut Browser, kind: &str) -> String {
    browser.begin(test_app, &format!("/{kind}/demo"), "/projects").await
}

#[tokio::test]
async fn a_finished_login_is_told_once() {
    for in_session in [true, false] {
        for kind in ["login", "connect"] {
            let (test_app, noted) = test_app(in_session).await;
            let mut browser = Browser { user: Some("user-7"), ..Browser::default() };
            let callback = test_app.gitlab.authorize(&begin(&test_app, &mut browser, kind).await, "alice").unwrap();
            assert_eq!(noted.take(), []);
            let mut without_response = browser.clone();
            let done = browser.get(&test_app, test_app.path(&callback)).await;
            assert_eq!(done.head.status.as_u16(), 303, "{}", done.body);
            assert_eq!(noted.take(), [None]);
            // Repeated, by a browser that has the response and by one that has not.
            browser.get(&test_app, test_app.path(&callback)).await;
            without_response.get(&test_app, test_app.path(&callback)).await;
            assert_eq!(noted.take(), []);
        }
    }
}

#[tokio::test]
async fn a_dropped_request_is_told_once_when_it_is_repeated() {
    for in_session in [true, false] {
        let (test_app, noted) = test_app(in_session).await;
        test_app.gitlab.set_latency(Duration::from_millis(200));
        let mut browser = Browser::default();
        let callback = test_app.gitlab.authorize(&begin(&test_app, &mut browser, "login").await, "alice").unwrap();
        let mut copy = browser.clone();
        tokio::select! {
            done = copy.get(&test_app, test_app.path(&callback)) => panic!("too fast: {}", done.body),
            () = async { while test_app.exchanges() == 0 { tokio::time::sleep(Duration::from_millis(2)).await; } } => {}
        }
        browser.get(&test_app, test_app.path(&callback)).await;
        assert_eq!(noted.take(), [None]);
    }
}

/// Two requests with one callback at once.
#[tokio::test]
async fn requests_at_once_are_told_once() {
    for in_session in [true, false] {
        for is_refused in [false, true] {
            let (test_app, noted) = test_app(in_session).await;
            if is_refused {
                let headers = [("content-type", "application/json")];
                test_app.gitlab.respond_next("/oauth/token", 401, &headers, r#"{"error":"invalid_client"}"#);
            }
            test_app.gitlab.set_latency(Duration::from_millis(100));
            let mut browser = Browser::default();
            let callback = test_app.gitlab.authorize(&begin(&test_app, &mut browser, "login").await, "alice").unwrap();
            let mut other = browser.clone();
            let (path, test_app) = (test_app.path(&callback), &test_app);
            futures_util::future::join(browser.get(test_app, path), other.get(test_app, path)).await;
            assert_eq!(noted.take().len(), 1);
        }
    }
}

#[tokio::test]
async fn a_failure_that_is_not_the_users_is_told_with_its_public_code() {
    for in_session in [true, false] {
        for kind in ["login", "connect"] {
            for (status, body, code) in [
                (401, r#"{"error":"invalid_client"}"#, "client_rejected"),
                (400, r#"{"error":"invalid_grant"}"#, ""),
                // The cause is about the network.
                (503, "{}", "instance_unreachable"),
            ] {
                let (test_app, noted) = test_app(in_session).await;
                let mut browser = Browser { user: Some("user-7"), ..Browser::default() };
                let begun = begin(&test_app, &mut browser, kind).await;
                let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
                test_app.gitlab.respond_next("/oauth/token", status, &[("content-type", "application/json")], body);
                let failed = browser.get(&test_app, test_app.path(&callback)).await;
                assert!(failed.head.status.as_u16() >= 400);
                let expected = if code.is_empty() { vec![] } else { failure(code) };
                assert_eq!(noted.take(), expected, "{}", failed.body);
                browser.get(&test_app, test_app.path(&callback)).await;
                assert_eq!(noted.take(), [], "repeated");
            }
        }
    }
}

#[tokio::test]
async fn what_the_user_has_caused_is_not_told() {
    for in_session in [true, false] {
        let (test_app, noted) = test_app(in_session).await;
        // Denied.
        let mut browser = Browser { user: Some("user-7"), ..Browser::default() };
        let denied = test_app.gitlab.deny(&begin(&test_app, &mut browser, "login").await).unwrap();
        browser.get(&test_app, test_app.path(&denied)).await.assert_failed(400, "denied");
        // An unknown state, and a lost session.
        browser.get(&test_app, "/oauth/callback/gitlab/demo?code=x&state=y").await.assert_failed(400, "state_unknown");
        let callback = test_app.gitlab.authorize(&begin(&test_app, &mut browser, "login").await, "alice").unwrap();
        Browser::default().get(&test_app, test_app.path(&callback)).await.assert_failed(400, "state_unknown");
        // Another user, and nobody.
        for (user, status, code) in [(Some("user-8"), 400, "other_user"), (None, 403, "not_logged_in")] {
            browser.user = Some("user-7");
            let begun = begin(&test_app, &mut browser, "connect").await;
            let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
            browser.user = user;
            browser.get(&test_app, test_app.path(&callback)).await.assert_failed(status, code);
        }
        // A blocked account.
        let callback = test_app.gitlab.authorize(&begin(&test_app, &mut browser, "login").await, "bob").unwrap();
        test_app.gitlab.block("bob");
        browser.get(&test_app, test_app.path(&callback)).await.assert_failed(400, "account_blocked");
        // Without a CSRF token, and at an integration that does not exist.
        browser.post(&test_app, "/login/demo", &[]).await.assert_failed(403, "csrf");
        let token = browser.token(&test_app).await;
        browser
            .post(&test_app, "/login/gone", &[("csrf_token", &token)])
            .await
            .assert_failed(404, "integration_unknown");
        assert_eq!(noted.take(), []);
    }
}

#[tokio::test]
async fn a_look_up_that_fails_after_the_exchange_is_told_once() {
    for in_session in [true, false] {
        let (test_app, noted) = test_app(in_session).await;
        let mut browser = Browser::default();
        let callback = test_app.gitlab.authorize(&begin(&test_app, &mut browser, "login").await, "alice").unwrap();
        *noted.is_down.lock().unwrap() = true;
        let mut again = browser.clone();
        browser.get(&test_app, test_app.path(&callback)).await.assert_failed(503, "find_integration_failed");
        assert_eq!(noted.take(), failure("find_integration_failed"));
        assert_eq!(browser.get(&test_app, "/user").await.body, "");
        // The login is finished by a repetition.
        *noted.is_down.lock().unwrap() = false;
        let done = again.get(&test_app, test_app.path(&callback)).await;
        assert_eq!(done.header("x-logged-in"), Some("gitlab:demo:2"), "{}", done.body);
        assert_eq!(noted.take(), []);
    }
}

#[tokio::test]
async fn a_login_that_cannot_begin_is_told() {
    for in_session in [true, false] {
        let (test_app, noted) = test_app(in_session).await;
        let mut browser = Browser::default();
        let token = browser.token(&test_app).await;
        let failed = browser.post(&test_app, "/login/broken", &[("csrf_token", &token)]).await;
        failed.assert_failed(503, "find_integration_failed");
        let ends = std::mem::take(&mut *noted.ends.lock().unwrap());
        assert_eq!(ends, [("broken".to_owned(), Some("find_integration_failed".to_owned()))]);
    }
}
