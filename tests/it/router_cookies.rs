//! Cookies: how long, whose, and what siblings put beside them. Row N7 of the threat model.

use axum::body::Body;
use codehost_oauth::router::Logins;
use codehost_oauth::seal::KeyRing;
use http::Request;
use http::header::{COOKIE, SET_COOKIE};
use tower::ServiceExt as _;
use tower_sessions::MemoryStore;

use crate::router::{Browser, TestHost, World, form, world_at};

const PUBLIC: &str = "https://packages.example.com";
/// What may be in the head of a response, so that nginx takes it with 4 KiB.
const MAX_HEAD: usize = 3500;
/// What a web server takes as one header.
const MAX_COOKIES: usize = 8000;

async fn world(in_session: bool) -> World {
    world_at(PUBLIC, in_session, MemoryStore::default()).await
}

fn length_of_cookies(browser: &Browser) -> usize {
    browser.cookies.iter().map(|(name, value)| name.len() + value.len() + 3).sum()
}

#[tokio::test]
async fn no_response_has_a_long_head_whatever_is_begun() {
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
            let world = world(in_session).await;
            let base_url = base_url.unwrap_or(world.gitlab.base_url());
            *world.integrations.lock().unwrap() = vec![world.built(base_url, client_id)];
            let mut browser = Browser { user: Some(user), ..Browser::default() };
            let token = browser.token(&world).await;
            for round in 0..12 {
                let kind = if round % 2 == 0 { "/login/demo" } else { "/connect/demo" };
                let fields = [("csrf_token", token.as_str()), ("return_to", &return_to)];
                let begun = browser.post(&world, kind, &fields).await;
                assert!(matches!(begun.head.status.as_u16(), 200 | 303), "{}", begun.body);
                assert!(begun.length() < MAX_HEAD - 500, "{} of {round}: {}", begun.length(), return_to.len());
                assert!(length_of_cookies(&browser) < MAX_COOKIES, "{}", length_of_cookies(&browser));
            }
            // A redirect that is too long for a header is a link.
            let page = browser.post(&world, "/login/demo", &[("csrf_token", &token)]).await;
            let is_page = base_url.len() > 1000 || client_id.len() > 1000;
            assert_eq!(page.body.contains("http-equiv=\"refresh\""), is_page, "{}", page.body);
        }
    }
}

#[tokio::test]
async fn a_finished_login_has_a_short_head_too() {
    for in_session in [true, false] {
        let world = world(in_session).await;
        let mut browser = Browser::default();
        for _ in 0..10 {
            browser.begin(&world, "/login/other", &format!("/{}", "x".repeat(500))).await;
        }
        let begun = browser.begin(&world, "/login/demo", &format!("/{}", "x".repeat(800))).await;
        let callback = world.gitlab.authorize(&begun, "alice").unwrap();
        let done = browser.get(&world, world.path(&callback)).await;
        assert_eq!(done.header("x-logged-in"), Some("gitlab:demo:2"), "{}", done.body);
        assert!(done.length() < MAX_HEAD, "{}", done.length());
        let refused = browser.get(&world, "/oauth/callback/gitlab/demo?code=x&state=y").await;
        assert!(refused.length() < MAX_HEAD, "{}", refused.length());
    }
}

#[tokio::test]
async fn the_newest_eight_are_kept_and_each_works() {
    for in_session in [true, false] {
        for newest in 0..8 {
            let world = world(in_session).await;
            let mut browser = Browser::default();
            let mut begun = Vec::new();
            for number in 0..10 {
                begun.push(browser.begin(&world, "/login/demo", &format!("/{number}")).await);
            }
            let callback = world.gitlab.authorize(&begun[2 + newest], "alice").unwrap();
            let done = browser.get(&world, world.path(&callback)).await;
            assert_eq!(done.location(), format!("/{}", 2 + newest), "{}", done.body);
        }
        let world = world(in_session).await;
        let mut browser = Browser::default();
        let oldest = browser.begin(&world, "/login/demo", "/").await;
        for _ in 0..8 {
            browser.begin(&world, "/login/demo", "/").await;
        }
        let callback = world.gitlab.authorize(&oldest, "alice").unwrap();
        browser.get(&world, world.path(&callback)).await.failed(400, "state_unknown");
    }
}

/// Requests that have the same cookies, as those of tabs that are restored together.
#[tokio::test]
async fn logins_that_begin_at_once_lose_nothing() {
    for in_session in [true, false] {
        for finished in 0..6 {
            let world = world(in_session).await;
            let mut browser = Browser::default();
            let token = browser.token(&world).await;
            let begin = |number: usize| {
                let (mut tab, world, token) = (browser.clone(), &world, token.clone());
                async move {
                    let path = format!("/{number}");
                    let begun = tab.post(world, "/login/demo", &[("csrf_token", &token), ("return_to", &path)]).await;
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
            let callback = world.gitlab.authorize(tabs[finished].0.location(), "alice").unwrap();
            let done = browser.get(&world, world.path(&callback)).await;
            assert_eq!(done.location(), format!("/{finished}"), "{}", done.body);
        }
    }
}

/// A browser with whatever other sites below the same domain have set.
#[tokio::test]
async fn cookies_of_siblings_are_not_looked_at() {
    let many = (0..120).map(|number| format!("sibling{number}=x")).collect::<Vec<_>>().join("; ").into_bytes();
    let huge = format!("big={}", "x".repeat(30_000)).into_bytes();
    for in_session in [true, false] {
        let world = world(in_session).await;
        let mut browser = Browser::default();
        let token = browser.token(&world).await;
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
                    // As one header: the siblings' before or behind ours.
                    let ours = browser.cookies.iter().map(|(name, value)| format!("{name}={value}"));
                    let ours = ours.collect::<Vec<_>>().join("; ").into_bytes();
                    let parts = if first { [sibling, &ours] } else { [&ours, sibling] };
                    let header = http::HeaderValue::from_bytes(&parts.join(&b"; "[..])).unwrap();
                    let request = request.header(COOKIE, header).body(Body::from(body)).unwrap();
                    let response = world.app.clone().oneshot(request).await.unwrap();
                    for cookie in response.headers().get_all(SET_COOKIE) {
                        let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
                        browser.cookies.retain(|(known, _)| known != name);
                        browser.cookies.push((name.to_owned(), rest.split(';').next().unwrap().to_owned()));
                    }
                    response
                };
                // A login renews the session, so each begins with one of its own.
                let mut browser = Browser { cookies: ours.clone(), user: None };
                let token = if in_session {
                    browser.cookies.clear();
                    browser.token(&world).await
                } else {
                    token.clone()
                };
                let form = format!("csrf_token={token}&return_to=/projects");
                let begun = send(&mut browser, Request::post("/login/demo"), form).await;
                let shown = String::from_utf8_lossy(&sibling[..sibling.len().min(40)]).into_owned();
                assert_eq!(begun.status(), 303, "{shown}");
                let location = begun.headers()["location"].to_str().unwrap();
                let callback = world.gitlab.authorize(location, "alice").unwrap();
                let done = send(&mut browser, Request::get(world.path(&callback)), String::new()).await;
                assert_eq!(done.headers().get("x-logged-in").map(|key| key.to_str().unwrap()), Some("gitlab:demo:2"));
            }
        }
    }
}

/// In sessions too, once for each sibling.
#[tokio::test]
async fn a_sibling_that_is_no_text_ends_no_session() {
    for sibling in [b"name=caf\xe9".as_slice(), b"\xff\xfe=\x80"] {
        let world = world(false).await;
        let mut browser = Browser::default();
        let token = browser.token(&world).await;
        let (name, value) = browser.cookies[0].clone();
        let header = [sibling, format!("{name}={value}").as_bytes()].join(&b"; "[..]);
        let request = Request::post("/login/demo")
            .header(COOKIE, http::HeaderValue::from_bytes(&header).unwrap())
            .body(Body::from(format!("csrf_token={token}")))
            .unwrap();
        assert_eq!(world.app.clone().oneshot(request).await.unwrap().status(), 303);
    }
}

/// The same keys, the same host name, another path or port.
#[tokio::test]
async fn two_apps_on_one_host_name_do_not_write_over_each_other() {
    for (one, other) in [
        ("https://example.com/one", "https://example.com/two"),
        ("https://example.com", "https://example.com/app"),
        ("http://127.0.0.1:9001", "http://127.0.0.1:9002"),
    ] {
        let names = async |public: &str| {
            let keys: KeyRing = "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=".parse().unwrap();
            let logins = Logins::in_cookie(TestHost::default(), &public.parse().unwrap(), keys);
            let response = form(&logins).oneshot(Request::get("/form").body(Body::empty()).unwrap()).await.unwrap();
            response.headers()["set-cookie"].to_str().unwrap().split('=').next().unwrap().to_owned()
        };
        assert_ne!(names(one).await, names(other).await);

        // Both in one browser, by turns.
        let [one, other] =
            [world_at(one, false, MemoryStore::default()).await, world_at(other, false, MemoryStore::default()).await];
        let mut browser = Browser::default();
        let mut begun = Vec::new();
        for world in [&one, &other] {
            begun.push(browser.begin(world, &world.below("/login/demo"), "/").await);
        }
        for (world, begun) in [&one, &other].into_iter().zip(begun) {
            let callback = world.gitlab.authorize(&begun, "alice").unwrap();
            let done = browser.get(world, world.path(&callback)).await;
            assert_eq!(done.header("x-logged-in"), Some("gitlab:demo:2"), "{}", done.body);
        }
    }
}

#[tokio::test]
async fn a_log_out_ends_the_apps_own_session_in_both_modes() {
    for in_session in [true, false] {
        let world = world(in_session).await;
        let mut browser = Browser::default();
        let begun = browser.begin(&world, "/login/demo", "/").await;
        let pending = browser.begin(&world, "/login/other", "/").await;
        let callback = world.gitlab.authorize(&begun, "alice").unwrap();
        browser.get(&world, world.path(&callback)).await;
        assert_eq!(browser.get(&world, "/user").await.body, "gitlab:demo:2");

        let token = browser.token(&world).await;
        let copy = browser.clone();
        let out = browser.post(&world, "/logout", &[("csrf_token", &token)]).await;
        assert_eq!((out.head.status.as_u16(), out.location()), (303, "/"));
        assert_eq!(browser.get(&world, "/user").await.body, "");
        // Not even with the cookies from before.
        assert_eq!(copy.clone().get(&world, "/user").await.body, "");
        let state = pending.split("state=").nth(1).unwrap().split('&').next().unwrap();
        let late = format!("/oauth/callback/gitlab/other?code=x&state={state}");
        browser.get(&world, &late).await.failed(400, "state_unknown");
        assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);
    }
}
