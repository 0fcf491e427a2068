//! Changes during a callback, while its code is exchanged: row N4 of the threat model, as far as it is the router's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::response::{IntoResponse as _, Redirect, Response};
use codehost_oauth::error::AppError;
use codehost_oauth::router::{LoginHandler, LoginRoutes, RequestHead};
use codehost_oauth::seal::KeyRing;
use codehost_oauth::{FindIntegration, Integration, IntegrationId, Login};
use tokio::sync::Semaphore;
use tower_sessions::cookie::SameSite;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::Result;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer, SessionStore};

use crate::router::routes::{Browser, Integrations, ResponseSummary, TestApp, form, test_app_at};

const PUBLIC: &str = "https://packages.example.com";

/// Begins a login or a connection, by `kind`, and makes `change` during the exchange. Returns the response to the callback.
pub(super) async fn change_during_callback(
    test_app: &TestApp,
    browser: &mut Browser,
    kind: &str,
    change: impl AsyncFnOnce(&TestApp, &mut Browser),
) -> ResponseSummary {
    test_app.gitlab.set_latency(Duration::from_millis(200));
    let begun = browser.begin(test_app, &format!("/{kind}/demo"), "/projects").await;
    let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
    let exchanges_before = test_app.exchanges();
    let mut other_tab = browser.clone();
    let changes = async {
        while test_app.exchanges() == exchanges_before {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        change(test_app, &mut other_tab).await;
        other_tab
    };
    let (response, other_tab) =
        futures_util::future::join(browser.get(test_app, test_app.path(&callback)), changes).await;
    assert_eq!(test_app.exchanges(), exchanges_before + 1, "the code was sent before the change");
    if response.header("x-logged-in").is_none() && response.header("x-connected").is_none() {
        assert!(response.body.contains("href=\"/"), "no link: {}", response.body);
    }
    browser.user = other_tab.user;
    response
}

#[tokio::test]
async fn a_callback_of_a_changed_or_deleted_integration_is_refused() {
    for in_session in [true, false] {
        for kind in ["login", "connect"] {
            for change in ["base URL", "client id", "deleted"] {
                let test_app = test_app_at(PUBLIC, in_session, MemoryStore::default()).await;
                let mut browser = Browser { user: Some("user-7"), ..Browser::default() };
                let response = change_during_callback(&test_app, &mut browser, kind, async |test_app, _| {
                    let now = match change {
                        "base URL" => Some(test_app.built("https://new.example.com", "id")),
                        "client id" => Some(test_app.built(test_app.gitlab.base_url(), "another")),
                        _ => None,
                    };
                    *test_app.integrations.lock().unwrap() = now.into_iter().collect();
                })
                .await;
                let code = if change == "deleted" { "integration_gone" } else { "integration_changed" };
                response.assert_failed(400, code);
                assert_eq!(browser.get(&test_app, "/user").await.body, "", "{kind} {change}");
            }
            // Built again with the same credentials, as after a change of its name, it logs in.
            let test_app = test_app_at(PUBLIC, in_session, MemoryStore::default()).await;
            let mut browser = Browser { user: Some("user-7"), ..Browser::default() };
            let response = change_during_callback(&test_app, &mut browser, kind, async |test_app, _| {
                let same = test_app.built(test_app.gitlab.base_url(), "id");
                *test_app.integrations.lock().unwrap() = vec![same];
            })
            .await;
            let header = if kind == "login" { "x-logged-in" } else { "x-connected" };
            assert!(response.header(header).is_some(), "{}", response.body);
        }
    }
}

/// With a store whose `save` brings a deleted session back, as `MemoryStore` does, and with one that does not.
#[tokio::test]
async fn a_log_out_during_a_callback_is_not_undone() {
    for in_session in [true, false] {
        for kind in ["login", "connect"] {
            for strict in [true, false] {
                let store = MemoryStore::default();
                let test_app = match strict {
                    true => test_app_at(PUBLIC, in_session, StrictStore(store)).await,
                    false => test_app_at(PUBLIC, in_session, store).await,
                };
                let mut browser = Browser { user: Some("user-7"), ..Browser::default() };
                // Logged in as bob, so that there is a session in both modes.
                let begun = browser.begin(&test_app, "/login/demo", "/").await;
                let callback = test_app.gitlab.authorize(&begun, "bob").unwrap();
                browser.get(&test_app, test_app.path(&callback)).await;
                assert_eq!(browser.get(&test_app, "/user").await.body, "gitlab:demo:3");

                let response = change_during_callback(&test_app, &mut browser, kind, async |test_app, tab| {
                    let token = tab.token(test_app).await;
                    let out = tab.post(test_app, "/logout", &[("csrf_token", &token)]).await;
                    assert_eq!(out.location(), "/");
                })
                .await;
                response.assert_failed(400, "logged_out");
                assert_eq!(browser.get(&test_app, "/user").await.body, "", "{kind} in_session={in_session}");
            }
        }
    }
}

/// The app's look-up of the integration is slow, before the exchange or after it.
#[tokio::test]
async fn a_log_out_during_a_look_up_of_the_app_is_not_undone() {
    for in_session in [true, false] {
        for (lookup, strict) in [(1, true), (1, false), (2, true), (2, false)] {
            let store = MemoryStore::default();
            let mut test_app = test_app_at(PUBLIC, in_session, store.clone()).await;
            let closed = || Arc::new(Semaphore::new(0));
            let integrations = Arc::clone(&test_app.integrations);
            let slow = SlowHandler { integrations, left: Arc::default(), begun: closed(), go_on: closed() };
            let (left, begun, go_on) = (Arc::clone(&slow.left), Arc::clone(&slow.begun), Arc::clone(&slow.go_on));
            test_app.app = match strict {
                true => app(slow, in_session, StrictStore(store)),
                false => app(slow, in_session, store),
            };
            let mut browser = Browser::default();
            let redirect_to = browser.begin(&test_app, "/login/demo", "/").await;
            let callback = test_app.gitlab.authorize(&redirect_to, "bob").unwrap();
            browser.get(&test_app, test_app.path(&callback)).await;
            assert_eq!(browser.get(&test_app, "/user").await.body, "gitlab:demo:3");

            let redirect_to = browser.begin(&test_app, "/login/demo", "/projects").await;
            let callback = test_app.gitlab.authorize(&redirect_to, "alice").unwrap();
            left.store(lookup, Ordering::SeqCst);
            let mut tab = browser.clone();
            let log_out = async {
                begun.acquire().await.unwrap().forget();
                let token = tab.token(&test_app).await;
                assert_eq!(tab.post(&test_app, "/logout", &[("csrf_token", &token)]).await.location(), "/");
                go_on.add_permits(1);
            };
            let (response, ()) =
                futures_util::future::join(browser.get(&test_app, test_app.path(&callback)), log_out).await;
            response.assert_failed(400, "logged_out");
            assert_eq!(browser.get(&test_app, "/user").await.body, "", "in_session={in_session}, look-up {lookup}");
        }
    }
}

/// An app whose look-up waits when `left` is 1; each look-up counts it down.
#[derive(Clone)]
struct SlowHandler {
    integrations: Integrations,
    left: Arc<AtomicUsize>,
    begun: Arc<Semaphore>,
    go_on: Arc<Semaphore>,
}

#[async_trait]
impl FindIntegration for SlowHandler {
    async fn find(&self, id: &IntegrationId) -> std::result::Result<Option<Arc<Integration>>, AppError> {
        let left = self.left.load(Ordering::SeqCst);
        self.left.store(left.saturating_sub(1), Ordering::SeqCst);
        if left == 1 {
            self.begun.add_permits(1);
            self.go_on.acquire().await.unwrap().forget();
        }
        Ok(self.integrations.lock().unwrap().iter().find(|integration| integration.id() == id).cloned())
    }
}

#[async_trait]
impl LoginHandler for SlowHandler {
    async fn logged_in(&self, request: &mut RequestHead, _: &Integration, login: Login) -> Response {
        let session: &Session = request.extensions.get().unwrap();
        session.insert("user", login.user.key.to_string()).await.unwrap();
        ([("x-logged-in", "yes")], Redirect::to("/projects")).into_response()
    }
}

fn app<S: SessionStore + Clone>(handler: SlowHandler, in_session: bool, store: S) -> Router {
    app_of(handler.clone(), handler, in_session, store)
}

/// The routes for these integrations.
pub(super) fn app_of<S: SessionStore + Clone>(
    integrations: impl FindIntegration,
    handler: impl LoginHandler,
    in_session: bool,
    store: S,
) -> Router {
    let keys: KeyRing = "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=".parse().unwrap();
    let public_url = PUBLIC.parse().unwrap();
    let logins = if in_session {
        LoginRoutes::in_session(integrations, handler, &public_url)
    } else {
        LoginRoutes::in_cookie(integrations, handler, &public_url, keys)
    };
    let layer = SessionManagerLayer::new(store).with_same_site(SameSite::Lax);
    Router::new().merge(logins.router()).merge(form(&logins)).layer(layer)
}

/// Without a session, the cookies of the log-out's request tell whose login ends.
#[tokio::test]
async fn a_log_out_without_a_session_ends_a_callback_in_flight() {
    let test_app = test_app_at(PUBLIC, false, MemoryStore::default()).await;
    let mut browser = Browser::default();
    let response = change_during_callback(&test_app, &mut browser, "login", async |test_app, tab| {
        let token = tab.token(test_app).await;
        tab.post(test_app, "/logout", &[("csrf_token", &token)]).await;
    })
    .await;
    response.assert_failed(400, "logged_out");
}

#[tokio::test]
async fn a_user_who_logs_out_during_the_exchange_is_not_connected() {
    // `TestHandler` knows the user `leaves-meanwhile` for two look-ups only.
    for in_session in [true, false] {
        let test_app = Arc::new(test_app_at(PUBLIC, in_session, MemoryStore::default()).await);
        let mut browser = Browser { user: Some("leaves-meanwhile"), ..Browser::default() };
        let response = change_during_callback(&test_app, &mut browser, "connect", async |_, _| {}).await;
        response.assert_failed(403, "not_logged_in");
        assert_eq!(response.header("x-connected"), None);
    }
}

/// A store whose `save` does not bring a deleted session back.
#[derive(Clone, Debug)]
struct StrictStore(MemoryStore);

#[async_trait]
impl SessionStore for StrictStore {
    async fn create(&self, record: &mut Record) -> Result<()> {
        self.0.create(record).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        match self.0.load(&record.id).await? {
            Some(_) => self.0.save(record).await,
            None => Ok(()),
        }
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        self.0.load(id).await
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.0.delete(id).await
    }
}
