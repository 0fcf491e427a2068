//! Every failure has a way on; and requests that are no logins: speculative ones, those in frames, those at other host names.

use http::{Method, Request};
use tower_sessions::MemoryStore;

use crate::router::{Browser, World, world_at};

const PUBLIC: &str = "https://packages.example.com";

async fn world(in_session: bool) -> World {
    world_at(PUBLIC, in_session, MemoryStore::default()).await
}

/// The link of a page.
fn link(body: &str) -> &str {
    body.split("<a href=\"").nth(1).unwrap_or_else(|| panic!("no link: {body}")).split('"').next().unwrap()
}

#[tokio::test]
async fn every_failure_page_leads_on() {
    for public in [PUBLIC, "https://example.com/app", "https://example.com/a/b"] {
        for in_session in [true, false] {
            let world = world_at(public, in_session, MemoryStore::default()).await;
            let at = |path: &str| world.below(path);
            let login = at("/login/demo");
            let mut browser = Browser { user: Some("user-7"), ..Browser::default() };

            // An old CSRF token, also of a connection.
            for kind in ["login", "connect"] {
                let fields = [("csrf_token", "old"), ("return_to", "/projects?tab=1")];
                let page = browser.post(&world, &at(&format!("/{kind}/demo")), &fields).await;
                page.failed(403, "csrf");
                assert_eq!(link(&page.body), format!("{login}?return_to=/projects%3Ftab%3D1"));
            }
            // Denied.
            let begun = browser.begin(&world, &login, "/projects").await;
            let callback = world.gitlab.deny(&begun).unwrap();
            let page = browser.get(&world, world.path(&callback)).await;
            page.failed(400, "denied");
            assert_eq!(link(&page.body), format!("{login}?return_to=/projects"));
            // No cookie, an unknown state, none, a callback that is none.
            let begun = browser.begin(&world, &login, "/projects").await;
            let callback = world.gitlab.authorize(&begun, "alice").unwrap();
            let page = Browser::default().get(&world, world.path(&callback)).await;
            page.failed(400, "state_unknown");
            assert_eq!(link(&page.body), login);
            for (query, code) in [
                ("code=x&state=y", "state_unknown"),
                ("code=x", "state_missing"),
                ("state=a&state=b", "callback_repeated"),
                ("code=%FF", "callback_encoding"),
            ] {
                let page = browser.get(&world, &at(&format!("/oauth/callback/gitlab/demo?{query}"))).await;
                page.failed(400, code);
                assert_eq!(link(&page.body), login);
            }
            // A time-out of the code host.
            world.gitlab.respond_next("/oauth/token", 503, &[("Content-Type", "text/html")], "");
            let page = browser.get(&world, world.path(&callback)).await;
            page.failed(502, "instance_unreachable");
            assert_eq!(link(&page.body), format!("{login}?return_to=/projects"));
            // No such integration: the app's first page. Nobody is to be logged out either.
            let home = world.below("");
            let home = if home.is_empty() { "/" } else { &home };
            for path in ["/login/nobody", "/oauth/callback/gitlab/nobody?code=x&state=y"] {
                assert_eq!(link(&browser.get(&world, &at(path)).await.body), home);
            }
            assert_eq!(link(&browser.post(&world, &at("/logout"), &[]).await.body), home);
            // The host's table is gone: the link is there all the same.
            assert_eq!(
                link(&browser.get(&world, &at("/login/broken?return_to=/x")).await.body),
                at("/login/broken?return_to=/x")
            );

            // The way on leads to a login.
            let begun = browser.begin(&world, &login, "/projects").await;
            let callback = world.gitlab.authorize(&begun, "alice").unwrap();
            let done = browser.get(&world, world.path(&callback)).await;
            assert_eq!(done.header("x-logged-in"), Some("gitlab:demo:2"), "{}", done.body);
        }
    }
}

#[tokio::test]
async fn an_app_below_a_path_is_left_for_no_other() {
    for public in ["https://example.com/app", "https://example.com/a/b"] {
        for in_session in [true, false] {
            let world = world_at(public, in_session, MemoryStore::default()).await;
            let home = world.below("");
            let mut browser = Browser::default();
            let token = browser.get(&world, &world.below("/form")).await.body;
            let begun = browser.post(&world, &world.below("/login/demo"), &[("csrf_token", &token)]).await;
            let callback = world.gitlab.authorize(begun.location(), "alice").unwrap();
            // The test's host leads to the app's own path where there is no path to return to.
            assert_eq!(browser.get(&world, world.path(&callback)).await.location(), home);
            assert_eq!(browser.get(&world, world.path(&callback)).await.location(), home);
            let token = browser.get(&world, &world.below("/form")).await.body;
            let out = browser.post(&world, &world.below("/logout"), &[("csrf_token", &token)]).await;
            assert_eq!(out.location(), home);
        }
    }
}

#[tokio::test]
async fn what_nobody_has_asked_for_begins_and_spends_nothing() {
    for in_session in [true, false] {
        let world = world(in_session).await;
        let mut browser = Browser::default();
        let token = browser.token(&world).await;
        let begun = browser.begin(&world, "/login/demo", "/projects").await;
        let callback = world.gitlab.authorize(&begun, "alice").unwrap();
        let callback = world.path(&callback);
        for (name, value) in [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("sec-purpose", "Prefetch;anonymous-client-ip"),
            ("sec-purpose", "prerender"),
            ("purpose", "prefetch"),
            ("purpose", "preview"),
            ("x-purpose", "preview"),
            ("x-moz", "prefetch"),
        ] {
            let before = browser.cookies.clone();
            for (method, path) in [
                (Method::GET, callback),
                (Method::GET, "/login/demo"),
                (Method::POST, "/login/demo"),
                (Method::POST, "/logout"),
                (Method::HEAD, callback),
            ] {
                let request = Request::builder().method(method).uri(path).header(name, value);
                let answer = browser.send(&world, request, format!("csrf_token={token}")).await;
                assert_eq!(answer.head.status, 503, "{name}: {value} {path}");
                assert_eq!(answer.header("cache-control"), Some("no-store"));
                assert_eq!(answer.header("set-cookie"), None);
            }
            assert_eq!(browser.cookies, before);
        }
        for method in [Method::HEAD, Method::OPTIONS] {
            for path in ["/login/demo", callback] {
                let request = Request::builder().method(method.clone()).uri(path);
                let answer = Browser::default().send(&world, request, String::new()).await;
                assert_eq!(answer.header("set-cookie"), None, "{method} {path}");
                assert_ne!(answer.head.status, 303);
            }
        }
        assert_eq!(world.exchanges(), 0);
        // A person who looks at a page has a purpose too.
        let request = Request::get(callback).header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document");
        let done = browser.send(&world, request, String::new()).await;
        assert_eq!(done.header("x-logged-in"), Some("gitlab:demo:2"), "{}", done.body);
    }
}

#[tokio::test]
async fn a_login_page_in_a_frame_is_a_link_that_opens_in_the_whole_window() {
    for in_session in [true, false] {
        let world = world(in_session).await;
        let mut browser = Browser::default();
        let token = browser.token(&world).await;
        let before = browser.cookies.clone();
        for dest in ["iframe", "frame", "embed", "object", "fencedframe"] {
            for request in [
                Request::get("/login/demo?return_to=/projects").header("sec-fetch-dest", dest),
                Request::post("/login/demo").header("sec-fetch-dest", dest),
                Request::post("/connect/demo").header("sec-fetch-dest", dest),
            ] {
                let body = format!("csrf_token={token}&return_to=/projects");
                let answer = browser.send(&world, request, body).await;
                assert_eq!(answer.head.status, 200);
                assert!(
                    answer.body.contains(
                        "<a href=\"/login/demo?return_to=/projects\" target=\"_top\">Log in with Our &lt;GitLab&gt;</a>"
                    ),
                    "{}",
                    answer.body
                );
                assert!(!answer.header("content-security-policy").unwrap().contains("frame-ancestors"));
                assert_eq!(browser.cookies, before);
            }
        }
        let request = Request::get("/login/demo").header("sec-fetch-dest", "document");
        let page = browser.send(&world, request, String::new()).await;
        assert!(page.body.contains("<button"));
        assert!(page.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    }
}

#[tokio::test]
async fn a_login_page_at_another_host_name_is_sent_to_the_public_one_once() {
    for (public, same) in [
        (PUBLIC, vec!["packages.example.com", "packages.example.com:443", "PACKAGES.example.com"]),
        ("https://example.com:8443/app", vec!["example.com:8443"]),
        ("http://127.0.0.1:9001", vec!["127.0.0.1:9001"]),
    ] {
        let world = world_at(public, true, MemoryStore::default()).await;
        let login = world.below("/login/demo");
        let get = async |path: &str, host: &str| {
            Browser::default().send(&world, Request::get(path).header("host", host), String::new()).await
        };
        for host in same {
            assert_eq!(get(&login, host).await.head.status, 200, "{host}");
        }
        for host in ["old.example.com", "localhost:9001", "10.0.0.5", "example.com:8444", "evil.test", "[::1]"] {
            let sent = get(&format!("{login}?return_to=/a%26b"), host).await;
            assert_eq!(sent.head.status, 303, "{host}");
            assert_eq!(sent.location(), format!("{public}/login/demo?return_to=/a%26b&at_public_url=1"));
            assert_eq!(sent.header("set-cookie"), None);
            // Behind a proxy that writes this host into every request, that is all.
            let again = get(&format!("{login}?return_to=/a%26b&at_public_url=1"), host).await;
            assert_eq!(again.head.status, 200);
            assert!(again.body.contains("name=\"return_to\" value=\"/a&amp;b\""), "{}", again.body);
        }
        assert_eq!(get(&login, "old.example.com").await.location(), format!("{public}/login/demo?at_public_url=1"));
        // What is no host leads nowhere.
        for host in ["", "a b", "a/b/c@", ":"] {
            let answer = get(&login, host).await;
            assert!(matches!(answer.head.status.as_u16(), 200 | 303), "{host}");
            if answer.head.status == 303 {
                assert!(answer.location().starts_with(public));
            }
        }
    }
}
