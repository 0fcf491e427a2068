//! What changes while a callback is in flight: row N4 of the threat model, as far as it is the router's.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::Result;
use tower_sessions::{MemoryStore, SessionStore};

use crate::router::{Answer, Browser, World, world_at};

const PUBLIC: &str = "https://packages.example.com";

/// Begins as `kind`, and does something while the code is being exchanged: what the callback is answered.
async fn in_flight(
    world: &World,
    browser: &mut Browser,
    kind: &str,
    change: impl AsyncFnOnce(&World, &mut Browser),
) -> Answer {
    world.gitlab.set_latency(Duration::from_millis(200));
    let begun = browser.begin(world, &format!("/{kind}/demo"), "/projects").await;
    let callback = world.gitlab.authorize(&begun, "alice").unwrap();
    let asked = world.exchanges();
    let mut other_tab = browser.clone();
    let changes = async {
        while world.exchanges() == asked {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        change(world, &mut other_tab).await;
        other_tab
    };
    let (answer, other_tab) = futures_util::future::join(browser.get(world, world.path(&callback)), changes).await;
    assert_eq!(world.exchanges(), asked + 1, "the code had been sent when it changed");
    if answer.header("x-logged-in").is_none() && answer.header("x-connected").is_none() {
        assert!(answer.body.contains("href=\"/"), "no way on: {}", answer.body);
    }
    browser.user = other_tab.user;
    answer
}

#[tokio::test]
async fn an_integration_that_was_moved_or_deleted_logs_nobody_in_and_connects_nothing() {
    for in_session in [true, false] {
        for kind in ["login", "connect"] {
            for change in ["base URL", "client id", "deleted"] {
                let world = world_at(PUBLIC, in_session, MemoryStore::default()).await;
                let mut browser = Browser { user: Some("user-7"), ..Browser::default() };
                let answer = in_flight(&world, &mut browser, kind, async |world, _| {
                    let now = match change {
                        "base URL" => Some(world.built("https://new.example.com", "id")),
                        "client id" => Some(world.built(world.gitlab.base_url(), "another")),
                        _ => None,
                    };
                    *world.integrations.lock().unwrap() = now.into_iter().collect();
                })
                .await;
                answer.failed(400, "integration_changed");
                assert_eq!(browser.get(&world, "/user").await.body, "", "{kind} {change}");
            }
            // Built anew as it was, as after a change of its name, it logs in.
            let world = world_at(PUBLIC, in_session, MemoryStore::default()).await;
            let mut browser = Browser { user: Some("user-7"), ..Browser::default() };
            let answer = in_flight(&world, &mut browser, kind, async |world, _| {
                let same = world.built(world.gitlab.base_url(), "id");
                *world.integrations.lock().unwrap() = vec![same];
            })
            .await;
            let header = if kind == "login" { "x-logged-in" } else { "x-connected" };
            assert!(answer.header(header).is_some(), "{}", answer.body);
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
                let world = match strict {
                    true => world_at(PUBLIC, in_session, Strict(store)).await,
                    false => world_at(PUBLIC, in_session, store).await,
                };
                let mut browser = Browser { user: Some("user-7"), ..Browser::default() };
                // Logged in as somebody, so that there is a session in both modes.
                let begun = browser.begin(&world, "/login/demo", "/").await;
                let callback = world.gitlab.authorize(&begun, "bob").unwrap();
                browser.get(&world, world.path(&callback)).await;
                assert_eq!(browser.get(&world, "/user").await.body, "gitlab:demo:3");

                let answer = in_flight(&world, &mut browser, kind, async |world, tab| {
                    let token = tab.token(world).await;
                    let out = tab.post(world, "/logout", &[("csrf_token", &token)]).await;
                    assert_eq!(out.location(), "/");
                })
                .await;
                answer.failed(400, "logged_out");
                assert_eq!(browser.get(&world, "/user").await.body, "", "{kind} in_session={in_session}");
            }
        }
    }
}

/// Where there is no session at all, the cookies of the log-out's request say whose login ends.
#[tokio::test]
async fn a_log_out_without_a_session_ends_what_is_under_way_too() {
    let world = world_at(PUBLIC, false, MemoryStore::default()).await;
    let mut browser = Browser::default();
    let answer = in_flight(&world, &mut browser, "login", async |world, tab| {
        let token = tab.token(world).await;
        tab.post(world, "/logout", &[("csrf_token", &token)]).await;
    })
    .await;
    answer.failed(400, "logged_out");
}

#[tokio::test]
async fn a_user_who_is_gone_when_the_account_comes_back_is_connected_to_nothing() {
    // The user is who the header of the callback's own request says, so another host looks it up anew.
    for in_session in [true, false] {
        let world = Arc::new(world_at(PUBLIC, in_session, MemoryStore::default()).await);
        let mut browser = Browser { user: Some("leaves-meanwhile"), ..Browser::default() };
        let answer = in_flight(&world, &mut browser, "connect", async |_, _| {}).await;
        answer.failed(403, "not_signed_in");
        assert_eq!(answer.header("x-connected"), None);
    }
}

/// A store as it must be: what was deleted does not come back when it is saved.
#[derive(Clone, Debug)]
struct Strict(MemoryStore);

#[async_trait]
impl SessionStore for Strict {
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
