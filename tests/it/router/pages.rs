//! Every failure page has a link. Special requests: prefetches, frames, other host names.

use http::{Method, Request};
use tower_sessions::MemoryStore;

use crate::router::routes::{Browser, TestApp, test_app_at};

const PUBLIC: &str = "https://packages.example.com";

async fn test_app(in_session: bool) -> TestApp {
    test_app_at(PUBLIC, in_session, MemoryStore::default()).await
}

/// The link of a page.
fn link(body: &str) -> &str {
    body.split("<a href=\"").nth(1).unwrap_or_else(|| panic!("no link: {body}")).split('"').next().unwrap()
}

#[tokio::test]
async fn every_failure_page_has_a_link() {
    for public in [PUBLIC, "https://example.com/app", "https://example.com/a/b"] {
        for in_session in [true, false] {
            let test_app = test_app_at(public, in_session, MemoryStore::default()).await;
            let at = |path: &str| test_app.below(path);
            let login = at("/login/demo");
            let mut browser = Browser { user: Some("user-7"), ..Browser::default() };

            // An old CSRF token, also of a connection.
            for kind in ["login", "connect"] {
                let fields = [("csrf_token", "old"), ("return_to", "/projects?tab=1")];
                let page = browser.post(&test_app, &at(&format!("/{kind}/demo")), &fields).await;
                page.assert_failed(403, "csrf");
                assert_eq!(link(&page.body), format!("{login}?return_to=/projects%3Ftab%3D1"));
            }
            // Denied.
            let begun = browser.begin(&test_app, &login, "/projects").await;
            let callback = test_app.gitlab.deny(&begun).unwrap();
            let page = browser.get(&test_app, test_app.path(&callback)).await;
            page.assert_failed(400, "denied");
            assert_eq!(link(&page.body), format!("{login}?return_to=/projects"));
            // No cookie, an unknown state, none, a callback that cannot be read.
            let begun = browser.begin(&test_app, &login, "/projects").await;
            let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
            let page = Browser::default().get(&test_app, test_app.path(&callback)).await;
            page.assert_failed(400, "state_unknown");
            assert_eq!(link(&page.body), login);
            for (query, code) in [
                ("code=x&state=y", "state_unknown"),
                ("code=x", "state_missing"),
                ("state=a&state=b", "callback_repeated"),
                ("code=%FF", "callback_encoding"),
            ] {
                let page = browser.get(&test_app, &at(&format!("/oauth/callback/gitlab/demo?{query}"))).await;
                page.assert_failed(400, code);
                assert_eq!(link(&page.body), login);
            }
            // A time-out of the code host.
            test_app.gitlab.respond_next("/oauth/token", 503, &[("Content-Type", "text/html")], "");
            let page = browser.get(&test_app, test_app.path(&callback)).await;
            page.assert_failed(502, "instance_unreachable");
            assert_eq!(link(&page.body), format!("{login}?return_to=/projects"));
            // An unknown integration, or a log-out without a session: the link leads to the app's first page.
            let home = test_app.below("");
            let home = if home.is_empty() { "/" } else { &home };
            for path in ["/login/nobody", "/oauth/callback/gitlab/nobody?code=x&state=y"] {
                assert_eq!(link(&browser.get(&test_app, &at(path)).await.body), home);
            }
            assert_eq!(link(&browser.post(&test_app, &at("/logout"), &[]).await.body), home);
            // The app's look-up fails, so the path of its login page is not known.
            assert_eq!(link(&browser.get(&test_app, &at("/login/broken?return_to=/x")).await.body), home);

            // A new login works.
            let begun = browser.begin(&test_app, &login, "/projects").await;
            let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
            let done = browser.get(&test_app, test_app.path(&callback)).await;
            assert_eq!(done.header("x-logged-in"), Some("gitlab:demo:2"), "{}", done.body);
        }
    }
}

#[tokio::test]
async fn an_app_below_a_path_redirects_only_below_it() {
    for public in ["https://example.com/app", "https://example.com/a/b"] {
        for in_session in [true, false] {
            let test_app = test_app_at(public, in_session, MemoryStore::default()).await;
            let home = test_app.below("");
            let mut browser = Browser::default();
            let token = browser.get(&test_app, &test_app.below("/form")).await.body;
            let begun = browser.post(&test_app, &test_app.below("/login/demo"), &[("csrf_token", &token)]).await;
            let callback = test_app.gitlab.authorize(begun.location(), "alice").unwrap();
            // Without a path to return to, `TestHandler` redirects to the app's own path.
            assert_eq!(browser.get(&test_app, test_app.path(&callback)).await.location(), home);
            assert_eq!(browser.get(&test_app, test_app.path(&callback)).await.location(), home);
            let token = browser.get(&test_app, &test_app.below("/form")).await.body;
            let out = browser.post(&test_app, &test_app.below("/logout"), &[("csrf_token", &token)]).await;
            assert_eq!(out.location(), home);
        }
    }
}

#[tokio::test]
async fn prefetches_and_head_requests_neither_begin_nor_finish_a_login() {
    for in_session in [true, false] {
        let test_app = test_app(in_session).await;
        let mut browser = Browser::default();
        let token = browser.token(&test_app).await;
        let begun = browser.begin(&test_app, "/login/demo", "/projects").await;
        let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
        let callback = test_app.path(&callback);
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
                let response = browser.send(&test_app, request, format!("csrf_token={token}")).await;
                assert_eq!(response.head.status, 503, "{name}: {value} {path}");
                assert_eq!(response.header("cache-control"), Some("no-store"));
                assert_eq!(response.header("set-cookie"), None);
            }
            assert_eq!(browser.cookies, before);
        }
        for method in [Method::HEAD, Method::OPTIONS] {
            for path in ["/login/demo", callback] {
                let request = Request::builder().method(method.clone()).uri(path);
                let response = Browser::default().send(&test_app, request, String::new()).await;
                assert_eq!(response.header("set-cookie"), None, "{method} {path}");
                assert_ne!(response.head.status, 303);
            }
        }
        assert_eq!(test_app.exchanges(), 0);
        // A navigation of the user is accepted.
        let request = Request::get(callback).header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document");
        let done = browser.send(&test_app, request, String::new()).await;
        assert_eq!(done.header("x-logged-in"), Some("gitlab:demo:2"), "{}", done.body);
    }
}

#[tokio::test]
async fn a_login_page_in_a_frame_links_to_the_top_window() {
    for in_session in [true, false] {
        let test_app = test_app(in_session).await;
        let mut browser = Browser::default();
        let token = browser.token(&test_app).await;
        let before = browser.cookies.clone();
        for dest in ["iframe", "frame", "embed", "object", "fencedframe"] {
            for request in [
                Request::get("/login/demo?return_to=/projects").header("sec-fetch-dest", dest),
                Request::post("/login/demo").header("sec-fetch-dest", dest),
                Request::post("/connect/demo").header("sec-fetch-dest", dest),
            ] {
                let body = format!("csrf_token={token}&return_to=/projects");
                let response = browser.send(&test_app, request, body).await;
                assert_eq!(response.head.status, 200);
                assert!(
                    response.body.contains(
                        "<a href=\"/login/demo?return_to=/projects\" target=\"_top\">Log in with Our &lt;GitLab&gt;</a>"
                    ),
                    "{}",
                    response.body
                );
                assert!(!response.header("content-security-policy").unwrap().contains("frame-ancestors"));
                assert_eq!(browser.cookies, before);
            }
        }
        let request = Request::get("/login/demo").header("sec-fetch-dest", "document");
        let page = browser.send(&test_app, request, String::new()).await;
        assert!(page.body.contains("<button"));
        assert!(page.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    }
}

#[tokio::test]
async fn a_login_page_at_another_host_name_redirects_once_to_the_public_url() {
    for (public, same) in [
        (PUBLIC, vec!["packages.example.com", "packages.example.com:443", "PACKAGES.example.com"]),
        ("https://example.com:8443/app", vec!["example.com:8443"]),
        ("http://127.0.0.1:9001", vec!["127.0.0.1:9001"]),
    ] {
        let test_app = test_app_at(public, true, MemoryStore::default()).await;
        let login = test_app.below("/login/demo");
        let get = async |path: &str, host: &str| {
            Browser::default().send(&test_app, Request::get(path).header("host", host), String::new()).await
        };
        for host in same {
            assert_eq!(get(&login, host).await.head.status, 200, "{host}");
        }
        for host in ["old.example.com", "localhost:9001", "10.0.0.5", "example.com:8444", "evil.test", "[::1]"] {
            let sent = get(&format!("{login}?return_to=/a%26b"), host).await;
            assert_eq!(sent.head.status, 303, "{host}");
            assert_eq!(sent.location(), format!("{public}/login/demo?return_to=/a%26b&at_public_url=1"));
            assert_eq!(sent.header("set-cookie"), None);
            // A proxy may write this host name into every request, so there is no second redirect.
            let again = get(&format!("{login}?return_to=/a%26b&at_public_url=1"), host).await;
            assert_eq!(again.head.status, 200);
            assert!(again.body.contains("name=\"return_to\" value=\"/a&amp;b\""), "{}", again.body);
        }
        assert_eq!(get(&login, "old.example.com").await.location(), format!("{public}/login/demo?at_public_url=1"));
        // Text that is not a host name is not redirected to.
        for host in ["", "a b", "a/b/c@", ":"] {
            let response = get(&login, host).await;
            assert!(matches!(response.head.status.as_u16(), 200 | 303), "{host}");
            if response.head.status == 303 {
                assert!(response.location().starts_with(public));
            }
        }
    }
}
