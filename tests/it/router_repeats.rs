//! Callbacks that come twice: from the browser that dropped its first request, from one that is logged in, from another.

use std::time::Duration;

use http::StatusCode;
use tower_sessions::MemoryStore;

use crate::router::{Browser, World, world_at};

const PUBLIC: &str = "https://packages.example.com";

async fn world(in_session: bool) -> World {
    world_at(PUBLIC, in_session, MemoryStore::default()).await
}

/// Sends a callback, and drops the request when its code is on the way.
async fn dropped(world: &World, browser: &Browser, callback: &str) {
    let asked = world.exchanges();
    let mut copy = browser.clone();
    let sends = copy.get(world, callback);
    let sees = async {
        while world.exchanges() == asked {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        done = sends => panic!("it was not slow enough: {}", done.body),
        () = sees => {}
    }
}

#[tokio::test]
async fn a_dropped_callback_that_is_repeated_ends_in_the_login() {
    for in_session in [true, false] {
        let world = world(in_session).await;
        world.gitlab.set_latency(Duration::from_millis(300));
        let mut browser = Browser::default();
        let begun = browser.begin(&world, "/login/demo", "/projects").await;
        let callback = world.gitlab.authorize(&begun, "alice").unwrap();
        dropped(&world, &browser, world.path(&callback)).await;

        let done = browser.get(&world, world.path(&callback)).await;
        assert_eq!(done.header("x-logged-in"), Some("gitlab:demo:2"), "{}", done.body);
        assert_eq!((done.location(), world.exchanges()), ("/projects", 1));
        assert_eq!(browser.get(&world, "/user").await.body, "gitlab:demo:2");
    }
}

#[tokio::test]
async fn a_callback_whose_response_was_lost_is_repeated() {
    for in_session in [true, false] {
        let world = world(in_session).await;
        let mut browser = Browser::default();
        let begun = browser.begin(&world, "/login/demo", "/projects").await;
        let callback = world.gitlab.authorize(&begun, "alice").unwrap();
        let before = browser.clone();
        before.clone().get(&world, world.path(&callback)).await;
        let done = browser.get(&world, world.path(&callback)).await;
        assert_eq!(done.header("x-logged-in"), Some("gitlab:demo:2"), "{}", done.body);
        assert_eq!(world.exchanges(), 1);

        // Once the browser has shown that it has the response, the cookies from before are of no use.
        browser.get(&world, "/form").await;
        before.clone().get(&world, world.path(&callback)).await.failed(400, "state_unknown");
        assert_eq!(world.exchanges(), 1);
    }
}

#[tokio::test]
async fn two_callbacks_at_once_both_end_in_the_login() {
    for in_session in [true, false] {
        let world = world(in_session).await;
        world.gitlab.set_latency(Duration::from_millis(50));
        let mut browser = Browser::default();
        let begun = browser.begin(&world, "/login/demo", "/projects").await;
        let callback = world.gitlab.authorize(&begun, "alice").unwrap();
        let (mut first, mut second) = (browser.clone(), browser);
        let path = world.path(&callback);
        let (one, other) = futures_util::future::join(first.get(&world, path), second.get(&world, path)).await;
        for done in [one, other] {
            assert_eq!(done.header("x-logged-in"), Some("gitlab:demo:2"), "{}", done.body);
        }
        assert_eq!(world.exchanges(), 1);
        // Whichever response the browser keeps.
        for mut browser in [first, second] {
            assert_eq!(browser.get(&world, "/user").await.body, "gitlab:demo:2");
        }
    }
}

#[tokio::test]
async fn nobody_else_joins_a_callback_that_is_under_way() {
    for in_session in [true, false] {
        let world = world(in_session).await;
        world.gitlab.set_latency(Duration::from_millis(300));
        let mut browser = Browser::default();
        let begun = browser.begin(&world, "/login/demo", "/").await;
        let callback = world.gitlab.authorize(&begun, "alice").unwrap();
        dropped(&world, &browser, world.path(&callback)).await;

        // Another browser, with nothing or with a login of its own; and this one with another code.
        let mut other = Browser::default();
        other.get(&world, world.path(&callback)).await.failed(400, "state_unknown");
        other.begin(&world, "/login/demo", "/").await;
        other.get(&world, world.path(&callback)).await.failed(400, "state_unknown");
        let state = callback.split("state=").nth(1).unwrap().split('&').next().unwrap();
        let forged = format!("/oauth/callback/gitlab/demo?code=forged&state={state}");
        browser.clone().get(&world, &forged).await.failed(400, "state_unknown");
        let moved = world.path(&callback).replace("/demo?", "/other?");
        browser.clone().get(&world, &moved).await.failed(400, "state_unknown");

        let done = browser.get(&world, world.path(&callback)).await;
        assert_eq!(done.header("x-logged-in"), Some("gitlab:demo:2"), "{}", done.body);
        assert_eq!(world.exchanges(), 1);
    }
}

#[tokio::test]
async fn a_callback_opened_again_leads_on_and_logs_nobody_in() {
    for in_session in [true, false] {
        let world = world(in_session).await;
        for path in ["/projects?tab=1", "/"] {
            let mut browser = Browser::default();
            let begun = browser.begin(&world, "/login/demo", path).await;
            let callback = world.gitlab.authorize(&begun, "alice").unwrap();
            browser.get(&world, world.path(&callback)).await;
            let exchanges = world.exchanges();
            for _ in 0..3 {
                let again = browser.get(&world, world.path(&callback)).await;
                assert_eq!((again.head.status, again.location()), (StatusCode::SEE_OTHER, path));
                assert_eq!(again.header("x-logged-in"), None);
                assert_eq!(again.header("cache-control"), Some("no-store"));
            }
            assert_eq!(world.exchanges(), exchanges);
            assert_eq!(browser.get(&world, "/user").await.body, "gitlab:demo:2");

            // After a log-out nothing is left of it.
            let token = browser.token(&world).await;
            browser.post(&world, "/logout", &[("csrf_token", &token)]).await;
            browser.get(&world, world.path(&callback)).await.failed(400, "state_unknown");
        }
    }
}

#[tokio::test]
async fn a_failure_is_told_once_and_the_callback_is_spent() {
    for in_session in [true, false] {
        let world = world(in_session).await;
        let mut browser = Browser::default();
        let begun = browser.begin(&world, "/login/demo", "/projects").await;
        let callback = world.gitlab.authorize(&begun, "carol").unwrap();
        let before = browser.clone();
        browser.get(&world, world.path(&callback)).await.failed(400, "account_blocked");
        let asked = world.exchanges();
        for mut browser in [browser, before] {
            let again = browser.get(&world, world.path(&callback)).await;
            again.failed(400, "state_unknown");
            assert!(again.body.contains("href=\"/login/demo"), "{}", again.body);
        }
        assert_eq!(world.exchanges(), asked);
    }
}

/// A hostile page begins a login of its own in another tab, and finishes it after the user has logged in.
#[tokio::test]
async fn a_finished_login_drops_the_browsers_other_logins() {
    for in_session in [true, false] {
        let world = world(in_session).await;
        let mut browser = Browser { user: Some("user-7"), ..Browser::default() };
        let hostile = browser.begin(&world, "/login/other", "/").await;
        let connection = browser.begin(&world, "/connect/demo", "/").await;
        let honest = browser.begin(&world, "/login/demo", "/").await;
        let callback = world.gitlab.authorize(&honest, "alice").unwrap();
        browser.get(&world, world.path(&callback)).await;
        if !in_session {
            // The connection, and what was finished.
            let kept = browser.cookies.iter().filter(|(name, _)| name.contains("login")).count();
            assert_eq!(kept, 2, "{:?}", browser.cookies);
        }

        let state = hostile.split("state=").nth(1).unwrap().split('&').next().unwrap();
        let late = format!("/oauth/callback/gitlab/other?code=stolen&state={state}");
        let exchanges = world.exchanges();
        browser.get(&world, &late).await.failed(400, "state_unknown");
        assert_eq!((browser.get(&world, "/user").await.body.as_str(), world.exchanges()), ("gitlab:demo:2", exchanges));

        // A connection is the signed-in user's, and goes on.
        let callback = world.gitlab.authorize(&connection, "bob").unwrap();
        let done = browser.get(&world, world.path(&callback)).await;
        assert_eq!(done.header("x-connected"), Some("user-7 gitlab:demo:3"), "{}", done.body);
    }
}

#[tokio::test]
async fn logins_that_finish_at_once_in_two_tabs_both_finish() {
    for in_session in [true, false] {
        let world = world(in_session).await;
        world.gitlab.set_latency(Duration::from_millis(60));
        let mut browser = Browser::default();
        let mut callbacks = Vec::new();
        for person in ["alice", "bob"] {
            let begun = browser.begin(&world, "/login/demo", "/").await;
            callbacks.push(world.gitlab.authorize(&begun, person).unwrap());
        }
        let (mut first, mut second) = (browser.clone(), browser);
        let (one, other) = futures_util::future::join(
            first.get(&world, world.path(&callbacks[0])),
            second.get(&world, world.path(&callbacks[1])),
        )
        .await;
        assert_eq!(one.header("x-logged-in"), Some("gitlab:demo:2"), "{}", one.body);
        assert_eq!(other.header("x-logged-in"), Some("gitlab:demo:3"), "{}", other.body);
    }
}
