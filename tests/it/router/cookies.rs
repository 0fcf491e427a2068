//! Cookies: their length, their names, and cookies that sibling sites set. Row N7 of the threat model.

use axum::body::Body;
use codehost_oauth::router::LoginRoutes;
use codehost_oauth::seal::KeyRing;
use http::Request;
use http::header::{COOKIE, SET_COOKIE};
use tower::ServiceExt as _;
use tower_sessions::MemoryStore;

use crate::router::routes::{Browser, TestApp, TestHandler, form, test_app_at};

const PUBLIC: &str = "https://packages.example.com";
/// The longest head of a response: nginx has a buffer of 4 KiB by default.
const MAX_HEAD: usize = 3500;
/// The longest `Cookie` header that web servers accept.
const MAX_COOKIES: usize = 8000;

async fn test_app(in_session: bool) -> TestApp {
    test_app_at(PUBLIC, in_session, MemoryStore::default()).await
}

fn length_of_cookies(browser: &Browser) -> usize {
    browser.cookies.iter().map(|(name, value)| name.len() + value.len() + 3).sum()
}

#[tokio::test]
async fn the_head_of_a_begun_login_stays_short() {
    let long = |length: usize| format!("/{}", "p".repeat(length - 1));
    let quoted: &'static str = Box::leak("\"\\".repeat(127).into_boxed_str());
    let base_url = format!("https://git.example.com{}", long(2000));
    for in_session in [true, false] {
        for (return_to, user, base_url, client_id) in [
            ("/".to_owned(), "user-7", None, "id"),
            (long(700), "user-7", None, "id"),
            (long(2048), "user-7", None, "id"),
            (format!("/{}", "\"".repeat(2047)), "user-7", None, "id"),
            (long(2048), quoted, None, "id"),
            (long(2048), quoted, Some(base_url.as_str()), "id"),
            (long(900), "user-7", None, &*"c-".repeat(2048)),
        ] {
            let test_app = test_app(in_session).await;
            let base_url = base_url.unwrap_or(test_app.gitlab.base_url());
            *test_app.integrations.lock().unwrap() = vec![test_app.built(base_url, client_id)];
            let mut browser = Browser { user: Some(user), ..Browser::default() };
            let token = browser.token(&test_app).await;
            for round in 0..12 {
                let kind = if round % 2 == 0 { "/login/demo" } else { "/connect/demo" };
                let fields = [("csrf_token", token.as_str()), ("return_to", &return_to)];
                let begun = browser.post(&test_app, kind, &fields).await;
                assert!(matches!(begun.head.status.as_u16(), 200 | 303), "{}", begun.body);
                assert!(begun.length() < MAX_HEAD - 500, "{} of {round}: {}", begun.length(), return_to.len());
                assert!(length_of_cookies(&browser) < MAX_COOKIES, "{}", length_of_cookies(&browser));
            }
            // A redirect that is too long for a header is a page with a refresh.
            let page = browser.post(&test_app, "/login/demo", &[("csrf_token", &token)]).await;
            let is_page = base_url.len() > 1000 || client_id.len() > 1000;
            assert_eq!(page.body.contains("http-equiv=\"refresh\""), is_page, "{}", page.body);
        }
    }
}

#[tokio::test]
async fn the_head_of_a_finished_login_stays_short() {
    for in_session in [true, false] {
        let test_app = test_app(in_session).await;
        let mut browser = Browser::default();
        for _ in 0..10 {
            browser.begin(&test_app, "/login/other", &format!("/{}", "x".repeat(500))).await;
        }
        let begun = browser.begin(&test_app, "/login/demo", &format!("/{}", "x".repeat(800))).await;
        let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
        let done = browser.get(&test_app, test_app.path(&callback)).await;
        assert_eq!(done.header("x-logged-in"), Some("gitlab:demo:2"), "{}", done.body);
        assert!(done.length() < MAX_HEAD, "{}", done.length());
        let refused = browser.get(&test_app, "/oauth/callback/gitlab/demo?code=x&state=y").await;
        assert!(refused.length() < MAX_HEAD, "{}", refused.length());
    }
}

#[tokio::test]
async fn the_newest_eight_logins_are_kept_and_each_works() {
    for in_session in [true, false] {
        for newest in 0..8 {
            let test_app = test_app(in_session).await;
            let mut browser = Browser::default();
            let mut begun = Vec::new();
            for number in 0..10 {
                begun.push(browser.begin(&test_app, "/login/demo", &format!("/{number}")).await);
            }
            let callback = test_app.gitlab.authorize(&begun[2 + newest], "alice").unwrap();
            let done = browser.get(&test_app, test_app.path(&callback)).await;
            assert_eq!(done.location(), format!("/{}", 2 + newest), "{}", done.body);
        }
        let test_app = test_app(in_session).await;
        let mut browser = Browser::default();
        let oldest = browser.begin(&test_app, "/login/demo", "/").await;
        for _ in 0..8 {
            browser.begin(&test_app, "/login/demo", "/").await;
        }
        let callback = test_app.gitlab.authorize(&oldest, "alice").unwrap();
        browser.get(&test_app, test_app.path(&callback)).await.assert_failed(400, "state_unknown");
    }
}

/// The requests have the same cookies, as when a browser restores several tabs.
#[tokio::test]
async fn logins_that_begin_at_once_are_all_kept() {
    for in_session in [true, false] {
        for finished in 0..6 {
            let test_app = test_app(in_session).await;
            let mut browser = Browser::default();
            let token = browser.token(&test_app).await;
            let begin = |number: usize| {
                let (mut tab, test_app, token) = (browser.clone(), &test_app, token.clone());
                async move {
                    let path = format!("/{number}");
                    let begun =
                        tab.post(test_app, "/login/demo", &[("csrf_token", &token), ("return_to", &path)]).await;
                    (begun, tab)
                }
            };
            let tabs = futures_util::future::join_all((0..6).map(begin)).await;
            for (_, tab) in &tabs {
                let new =
                    tab.cookies.iter().filter(|(name, _)| !browser.cookies.iter().any(|(known, _)| known == name));
                let new: Vec<_> = new.cloned().collect();
                browser.cookies.extend(new);
            }
            let callback = test_app.gitlab.authorize(tabs[finished].0.location(), "alice").unwrap();
            let done = browser.get(&test_app, test_app.path(&callback)).await;
            assert_eq!(done.location(), format!("/{finished}"), "{}", done.body);
        }
    }
}

/// Other sites below the same domain can set cookies for the whole domain.
#[tokio::test]
async fn cookies_of_sibling_sites_are_ignored() {
    let many = (0..120).map(|number| format!("sibling{number}=x")).collect::<Vec<_>>().join("; ").into_bytes();
    let huge = format!("big={}", "x".repeat(30_000)).into_bytes();
    for in_session in [true, false] {
        let test_app = test_app(in_session).await;
        let mut browser = Browser::default();
        let token = browser.token(&test_app).await;
        let ours = browser.cookies.clone();
        let (csrf, _) = ours.first().unwrap();
        let same_name = format!("{csrf}=short; {csrf}=").into_bytes();
        let login = format!("{}AAAAAAAAAAA=", csrf.replace("csrf", "login").to_owned() + "-");
        let planted = format!("{login}{}; {login}f.xx; {login}", "A".repeat(5000)).into_bytes();
        let odd: [&[u8]; 9] = [
            b"name=caf\xe9",
            "größe=ü".as_bytes(),
            b"\xff\xfe=\x80\x81",
            b"=; ;;; novalue; a=b=c",
            &many,
            &huge,
            if in_session { b"x=y" } else { &same_name },
            &planted,
            b"codehost-csrf=x; codehost-login=y; __Host-codehost-login=z",
        ];
        for sibling in odd {
            for first in [true, false] {
                let send = async |browser: &mut Browser, request: http::request::Builder, body: String| {
                    // In one header, before or after our cookies.
                    let ours = browser.cookies.iter().map(|(name, value)| format!("{name}={value}"));
                    let ours = ours.collect::<Vec<_>>().join("; ").into_bytes();
                    let parts = if first { [sibling, &ours] } else { [&ours, sibling] };
                    let header = http::HeaderValue::from_bytes(&parts.join(&b"; "[..])).unwrap();
                    let request = request.header(COOKIE, header).body(Body::from(body)).unwrap();
                    let response = test_app.app.clone().oneshot(request).await.unwrap();
                    for cookie in response.headers().get_all(SET_COOKIE) {
                        let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
                        browser.cookies.retain(|(known, _)| known != name);
                        browser.cookies.push((name.to_owned(), rest.split(';').next().unwrap().to_owned()));
                    }
                    response
                };
                // A login renews the session, so each login begins with a new session.
                let mut browser = Browser { cookies: ours.clone(), user: None };
                let token = if in_session {
                    browser.cookies.clear();
                    browser.token(&test_app).await
                } else {
                    token.clone()
                };
                let form = format!("csrf_token={token}&return_to=/projects");
                let begun = send(&mut browser, Request::post("/login/demo"), form).await;
                let text = String::from_utf8_lossy(&sibling[..sibling.len().min(40)]).into_owned();
                assert_eq!(begun.status(), 303, "{text}");
                let location = begun.headers()["location"].to_str().unwrap();
                let callback = test_app.gitlab.authorize(location, "alice").unwrap();
                let done = send(&mut browser, Request::get(test_app.path(&callback)), String::new()).await;
                assert_eq!(done.headers().get("x-logged-in").map(|key| key.to_str().unwrap()), Some("gitlab:demo:2"));
            }
        }
    }
}

#[tokio::test]
async fn a_cookie_that_is_not_utf_8_ends_no_session() {
    for sibling in [b"name=caf\xe9".as_slice(), b"\xff\xfe=\x80"] {
        let test_app = test_app(false).await;
        let mut browser = Browser::default();
        let token = browser.token(&test_app).await;
        let (name, value) = browser.cookies[0].clone();
        let header = [sibling, format!("{name}={value}").as_bytes()].join(&b"; "[..]);
        let request = Request::post("/login/demo")
            .header(COOKIE, http::HeaderValue::from_bytes(&header).unwrap())
            .body(Body::from(format!("csrf_token={token}")))
            .unwrap();
        assert_eq!(test_app.app.clone().oneshot(request).await.unwrap().status(), 303);
    }
}

/// Same keys, same host name, another path or port.
#[tokio::test]
async fn two_apps_on_one_host_name_use_different_cookies() {
    for (one, other) in [
        ("https://example.com/one", "https://example.com/two"),
        ("https://example.com", "https://example.com/app"),
        ("http://127.0.0.1:9001", "http://127.0.0.1:9002"),
    ] {
        let names = async |public: &str| {
            let keys: KeyRing = "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=".parse().unwrap();
            let logins =
                LoginRoutes::in_cookie(TestHandler::default(), TestHandler::default(), &public.parse().unwrap(), keys);
            let response = form(&logins).oneshot(Request::get("/form").body(Body::empty()).unwrap()).await.unwrap();
            response.headers()["set-cookie"].to_str().unwrap().split('=').next().unwrap().to_owned()
        };
        assert_ne!(names(one).await, names(other).await);

        // Both in one browser, alternately.
        let [one, other] = [
            test_app_at(one, false, MemoryStore::default()).await,
            test_app_at(other, false, MemoryStore::default()).await,
        ];
        let mut browser = Browser::default();
        let mut begun = Vec::new();
        for test_app in [&one, &other] {
            begun.push(browser.begin(test_app, &test_app.below("/login/demo"), "/").await);
        }
        for (test_app, begun) in [&one, &other].into_iter().zip(begun) {
            let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
            let done = browser.get(test_app, test_app.path(&callback)).await;
            assert_eq!(done.header("x-logged-in"), Some("gitlab:demo:2"), "{}", done.body);
        }
    }
}

#[tokio::test]
async fn a_log_out_ends_the_apps_own_session_in_both_modes() {
    for in_session in [true, false] {
        let test_app = test_app(in_session).await;
        let mut browser = Browser::default();
        let begun = browser.begin(&test_app, "/login/demo", "/").await;
        let pending = browser.begin(&test_app, "/login/other", "/").await;
        let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
        browser.get(&test_app, test_app.path(&callback)).await;
        assert_eq!(browser.get(&test_app, "/user").await.body, "gitlab:demo:2");

        let token = browser.token(&test_app).await;
        let copy = browser.clone();
        let out = browser.post(&test_app, "/logout", &[("csrf_token", &token)]).await;
        assert_eq!((out.head.status.as_u16(), out.location()), (303, "/"));
        assert_eq!(browser.get(&test_app, "/user").await.body, "");
        // The cookies from before are refused as well.
        assert_eq!(copy.clone().get(&test_app, "/user").await.body, "");
        let state = pending.split("state=").nth(1).unwrap().split('&').next().unwrap();
        let late = format!("/oauth/callback/gitlab/other?code=x&state={state}");
        browser.get(&test_app, &late).await.assert_failed(400, "state_unknown");
        assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);
    }
}
