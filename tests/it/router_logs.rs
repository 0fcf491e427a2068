//! What is logged of a login that fails: once, with who must act.

use axum::Router;
use axum::body::Body;
use codehost_oauth::router::Logins;
use http::Request;
use tower::ServiceExt as _;
use tower_sessions::cookie::SameSite;
use tower_sessions::{MemoryStore, SessionManagerLayer};

use crate::observe::{Log, watch};
use crate::router::{Browser, TestHost, form, world_at};

const PUBLIC: &str = "https://packages.example.com";

/// The events of failures, without those of other crates.
fn failures(log: &Log) -> Vec<String> {
    let text = log.text();
    text.lines().filter(|line| line.contains("codehost_oauth: failed: ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_failed_login_is_one_event_with_who_must_act() {
    let (log, _guard) = watch();
    for in_session in [true, false] {
        let world = world_at(PUBLIC, in_session, MemoryStore::default()).await;
        let mut browser = Browser::default();
        let html: &[(&str, &str)] = &[("Content-Type", "text/html")];
        let json: &[(&str, &str)] = &[("Content-Type", "application/json")];
        for (answer, level, code, audience) in [
            (None, "WARN", "account_blocked", "User"),
            (Some((503, html, "<html>")), "WARN", "unavailable", "CodeHost"),
            (Some((401, json, r#"{"error":"invalid_client"}"#)), "WARN", "client_rejected", "Administrator"),
        ] {
            let begun = browser.begin(&world, "/login/demo", "/").await;
            let person = if answer.is_some() { "alice" } else { "carol" };
            let callback = world.gitlab.authorize(&begun, person).unwrap();
            if let Some((status, headers, body)) = answer {
                world.gitlab.respond_next("/oauth/token", status, headers, body);
            }
            log.clear();
            browser.get(&world, world.path(&callback)).await;
            let seen = failures(&log);
            assert_eq!(seen.len(), 1, "{seen:?}");
            assert!(seen[0].contains(level), "{}", seen[0]);
            for part in ["integration=\"demo\"", "operation=\"finish_login\"", &format!("audience={audience}"), "hint="]
            {
                assert!(seen[0].contains(part), "{part}: {}", seen[0]);
            }
            assert!(
                seen[0].contains(&format!("code=\"{code}\"")) || answer.is_some_and(|answer| answer.0 == 503),
                "{}",
                seen[0]
            );
        }
        // What fails before anything is sent.
        for (path, code) in [
            ("/oauth/callback/gitlab/demo?code=x&state=y", "state_unknown"),
            ("/oauth/callback/gitlab/demo?state=a&state=b", "callback_repeated"),
        ] {
            log.clear();
            browser.get(&world, path).await;
            let seen = failures(&log);
            assert_eq!(seen.len(), 1, "{seen:?}");
            assert!(seen[0].contains("WARN") && seen[0].contains(&format!("code=\"{code}\"")), "{}", seen[0]);
        }
        log.clear();
        browser.get(&world, "/login/broken").await;
        let seen = failures(&log);
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert!(seen[0].contains("ERROR") && seen[0].contains("code=\"host\" audience=Operator"), "{}", seen[0]);
    }
}

#[tokio::test]
async fn without_a_session_layer_the_reason_is_told() {
    let (log, _guard) = watch();
    let logins = Logins::in_session(TestHost::default(), &PUBLIC.parse().unwrap());
    let request = Request::get("/login/demo").body(Body::empty()).unwrap();
    assert_eq!(logins.router::<()>().oneshot(request).await.unwrap().status(), 404);
    let request = Request::post("/login/demo").body(Body::empty()).unwrap();
    assert_eq!(logins.router::<()>().oneshot(request).await.unwrap().status(), 503);
    let seen = failures(&log);
    let last = seen.last().unwrap();
    assert!(last.contains("ERROR") && last.contains("code=\"no_session_layer\""), "{last}");
    for part in ["tower-sessions-core 0.15", "another version of tower-sessions", "not below a session layer"] {
        assert!(last.contains(part), "{last}");
    }
}

#[tokio::test]
async fn a_strict_session_cookie_is_told_of_once() {
    let (log, _guard) = watch();
    let world = world_at(PUBLIC, true, MemoryStore::default()).await;
    let host = TestHost::default();
    host.0.lock().unwrap().push(std::sync::Arc::clone(&world.integration));
    let logins = Logins::in_session(host, &PUBLIC.parse().unwrap());
    let layer = SessionManagerLayer::new(MemoryStore::default()).with_same_site(SameSite::Strict);
    let world =
        crate::router::World { app: Router::new().merge(logins.router()).merge(form(&logins)).layer(layer), ..world };
    let mut browser = Browser::default();
    let told = |log: &Log| log.text().matches("SameSite=Lax").count();
    for round in 0..3 {
        let begun = browser.begin(&world, "/login/demo", "/").await;
        assert_eq!(told(&log), usize::from(round > 0));
        let callback = world.gitlab.authorize(&begun, "alice").unwrap();
        // The browser keeps the cookie to itself: another site has sent it.
        let request = Request::get(world.path(&callback)).header("sec-fetch-site", "cross-site");
        Browser::default().send(&world, request, String::new()).await.failed(400, "state_unknown");
        assert_eq!(told(&log), 1);
    }
    let text = log.text();
    let line = text.lines().find(|line| line.contains("SameSite=Lax")).unwrap();
    assert!(line.contains(" WARN ") && line.contains(" codehost_oauth: "), "{line}");
}

#[tokio::test]
async fn a_log_out_that_ends_nothing_is_told_of() {
    let (log, _guard) = watch();
    let keys: codehost_oauth::seal::KeyRing = "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=".parse().unwrap();
    let logins = Logins::in_cookie(TestHost::default(), &PUBLIC.parse().unwrap(), keys);
    let mut world = world_at(PUBLIC, false, MemoryStore::default()).await;
    for (has_layer, told) in [(true, false), (false, true)] {
        let app = Router::new().merge(logins.router()).merge(form(&logins));
        world.app = if has_layer { app.layer(SessionManagerLayer::new(MemoryStore::default())) } else { app };
        let mut browser = Browser::default();
        let token = browser.token(&world).await;
        assert_eq!(browser.post(&world, "/logout", &[("csrf_token", &token)]).await.location(), "/");
        let line = "ERROR codehost_oauth: a log-out ended no session: implement LoginHost::logged_out";
        assert_eq!(log.text().contains(line), told, "{}", log.text());
    }
}

#[tokio::test]
async fn a_failed_refresh_is_one_event() {
    let (log, _guard) = watch();
    let gitlab = crate::support::gitlab().await;
    let integration = crate::support::at_gitlab(&gitlab);
    let login = crate::support::log_in(&integration, |url| gitlab.authorize(url, "alice")).await.unwrap();
    gitlab.revoke_all();
    log.clear();
    integration.refresh(login.tokens.refresh_token.as_ref().unwrap()).await.unwrap_err();
    let seen = failures(&log);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(seen[0].contains("operation=\"refresh\"") && seen[0].contains("integration=\"demo\""), "{}", seen[0]);
}

/// A keeper's own failures too: here of its store.
#[tokio::test]
async fn a_keeper_that_fails_is_one_event() {
    let (log, _guard) = watch();
    let ring = codehost_oauth::seal::KeyRing::new([(1, [7; 32].as_slice())]).unwrap();
    let none: std::collections::HashMap<_, std::sync::Arc<codehost_oauth::Integration>> = Default::default();
    let keeper =
        codehost_oauth::keeper::TokenKeeper::builder(codehost_oauth::keeper::MemoryStore::default(), ring, none)
            .build();
    keeper.access_token(&"gitlab:gone:2".parse().unwrap()).await.unwrap_err();
    let seen = failures(&log);
    assert_eq!(seen.len(), 1, "{seen:?}");
    for part in ["ERROR", "integration=\"gone\"", "operation=\"refresh\"", "code=\"unknown_integration\""] {
        assert!(seen[0].contains(part), "{part}: {}", seen[0]);
    }
}
