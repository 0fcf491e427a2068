//! The routes for axum: what a browser gets, and what another browser does not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use codehost_oauth::router::{CsrfToken, Failure, HostError, LoginHost, Logins, RequestHead, readable_cookies};
use codehost_oauth::seal::KeyRing;
use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{Access, BaseUrl, Integration, IntegrationId, Login, Platform};
use http::header::{CACHE_CONTROL, COOKIE, LOCATION, REFERRER_POLICY, SET_COOKIE};
use http::{Method, Request, StatusCode};
use tower::ServiceExt as _;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer, SessionStore};

const PUBLIC: &str = "https://packages.example.com";
/// The beginning of its SHA-256.
const SUFFIX: &str = "19e791b8";
const CALLBACK: &str = "https://packages.example.com/oauth/callback/gitlab/demo";

/// A host with one or two integrations at one fake GitLab. A test may change them.
#[derive(Default)]
pub(crate) struct TestHost(pub(crate) Integrations, AtomicUsize);

pub(crate) type Integrations = Arc<Mutex<Vec<Arc<Integration>>>>;

fn host(integrations: &[Arc<Integration>]) -> TestHost {
    TestHost(Arc::new(Mutex::new(integrations.to_vec())), AtomicUsize::new(0))
}

#[async_trait]
impl LoginHost for TestHost {
    async fn integration(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>, HostError> {
        match id.as_str() {
            "broken" => Err("the database is gone".into()),
            _ => Ok(self.0.lock().unwrap().iter().find(|integration| integration.id() == id).cloned()),
        }
    }

    async fn user_id(&self, request: &mut RequestHead) -> Result<Option<String>, HostError> {
        // One who may connect an account when the callback comes, and not any more when it has been exchanged.
        if request.headers.get("x-user").is_some_and(|user| user == "leaves-meanwhile") {
            let calls = self.1.fetch_add(1, Ordering::Relaxed);
            return Ok((calls < 2).then(|| "leaves-meanwhile".to_owned()));
        }
        // Who is signed in, as a header that a browser cannot send on a real host.
        Ok(request.headers.get("x-user").map(|user| user.to_str().unwrap().to_owned()))
    }

    async fn logged_in(&self, request: &mut RequestHead, integration: &Integration, login: Login) -> Response {
        assert_eq!(request.uri.query(), None, "the host never sees the code");
        assert!(request.extensions.get::<axum::extract::OriginalUri>().is_none(), "nor here");
        if let Some(session) = request.extensions.get::<Session>() {
            session.insert("user", login.user.key.to_string()).await.unwrap();
        }
        let path = login.return_to.map_or(integration.app_path().to_owned(), |path| path.to_string());
        // Whatever redirect a host picks, a 303 comes out.
        ([("x-logged-in", login.user.key.to_string())], Redirect::temporary(&path)).into_response()
    }

    async fn connected(&self, _: &mut RequestHead, _: &Integration, user_id: &str, login: Login) -> Response {
        ([("x-connected", format!("{user_id} {}", login.user.key))], Redirect::to("/account")).into_response()
    }
}

pub(crate) struct World {
    pub(crate) gitlab: FakeGitLab,
    pub(crate) app: Router,
    pub(crate) integration: Arc<Integration>,
    pub(crate) integrations: Integrations,
    pub(crate) public: String,
}

impl World {
    /// How often a code was exchanged.
    pub(crate) fn exchanges(&self) -> usize {
        self.gitlab.requests().iter().filter(|request| request.path == "/gitlab/oauth/token").count()
    }

    /// The path and query of a callback, as the server sees it.
    pub(crate) fn path<'a>(&self, url: &'a str) -> &'a str {
        let origin = url::Url::parse(&self.public).unwrap().origin().ascii_serialization();
        url.strip_prefix(&origin).unwrap()
    }

    /// A path below the app's own.
    pub(crate) fn below(&self, path: &str) -> String {
        let public = url::Url::parse(&self.public).unwrap();
        format!("{}{path}", public.path().trim_end_matches('/'))
    }

    /// Another integration of the same id.
    pub(crate) fn built(&self, base_url: &str, client_id: &str) -> Arc<Integration> {
        integration(&self.public, base_url, "demo", client_id)
    }
}

fn integration(public: &str, base_url: &str, id: &str, client_id: &str) -> Arc<Integration> {
    let network = Network::public_only().allow_loopback_http();
    let base_url = BaseUrl::parse(base_url, &network).unwrap();
    let provider = Platform::find("gitlab").unwrap().at(base_url).unwrap();
    let built = Integration::builder(provider)
        .id(id.parse().unwrap())
        .name("Our <GitLab>")
        .host(public.parse().unwrap())
        .client(client_id, "canary-router-secret")
        .access(Access::SignIn)
        .transport(HttpClient::builder(network).build().unwrap())
        .build();
    Arc::new(built.unwrap())
}

async fn world(in_session: bool) -> World {
    world_at(PUBLIC, in_session, MemoryStore::default()).await
}

/// Below a session layer in both modes: the app has a session of its own where pending logins are in cookies.
pub(crate) async fn world_at<S: SessionStore + Clone>(public: &str, in_session: bool, store: S) -> World {
    crate::watch::on();
    let callback = format!("{public}/oauth/callback/gitlab/demo");
    let application = FakeApplication::new("id", "canary-router-secret", &callback, "read_user");
    let gitlab = FakeGitLab::builder().application(application).start().await.unwrap();
    let both = ["demo", "other"].map(|id| integration(public, gitlab.base_url(), id, "id"));
    let host = host(&both);
    let integrations = Arc::clone(&host.0);
    let public_url = public.parse().unwrap();
    let keys: KeyRing = "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=".parse().unwrap();
    let logins =
        if in_session { Logins::in_session(host, &public_url) } else { Logins::in_cookie(host, &public_url, keys) };
    let layer = SessionManagerLayer::new(store).with_same_site(tower_sessions::cookie::SameSite::Lax);
    let routes = Router::new().merge(logins.router()).merge(form(&logins));
    let app = match public_url.path() {
        "/" => routes,
        path => Router::new().nest(path, routes),
    };
    let app = app.layer(layer);
    let app = if in_session { app.layer(axum::middleware::from_fn(readable_cookies)) } else { app };
    World { gitlab, app, integration: Arc::clone(&both[0]), integrations, public: public.to_owned() }
}

/// Pages of the host's own: a CSRF token for a form, and who is logged in.
pub(crate) fn form(logins: &Logins) -> Router {
    let logins = logins.clone();
    let page = async move |request: Request<Body>| {
        let (request, _) = request.into_parts();
        match logins.csrf_token(&request).await {
            Ok(token) => {
                let text = token.as_str().to_owned();
                (token, text).into_response()
            }
            Err(failure) => failure.cause.status().into_response(),
        }
    };
    let user = async |request: Request<Body>| match request.extensions().get::<Session>() {
        Some(session) => session.get::<String>("user").await.unwrap().unwrap_or_default(),
        None => String::new(),
    };
    Router::new().route("/form", get(page)).route("/user", get(user))
}

/// A browser: cookies, and nothing else.
#[derive(Clone, Default)]
pub(crate) struct Browser {
    pub(crate) cookies: Vec<(String, String)>,
    pub(crate) user: Option<&'static str>,
}

impl Browser {
    pub(crate) async fn send(&mut self, world: &World, request: http::request::Builder, body: String) -> Answer {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = request.header(COOKIE, cookies.join("; "));
        if let Some(user) = self.user {
            request = request.header("x-user", user);
        }
        let response = world.app.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        for cookie in head.headers.get_all(SET_COOKIE) {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            let (value, attributes) = rest.split_once(';').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            if !attributes.contains("Max-Age=0") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        let body = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
        crate::watch::answer("a page of the router", &head.headers, &body);
        Answer { head, body }
    }

    pub(crate) async fn get(&mut self, world: &World, uri: &str) -> Answer {
        self.send(world, Request::get(uri), String::new()).await
    }

    pub(crate) async fn post(&mut self, world: &World, uri: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(world, Request::post(uri), body).await
    }

    pub(crate) async fn token(&mut self, world: &World) -> String {
        self.get(world, "/form").await.body
    }

    /// Presses the button: where the code host is.
    pub(crate) async fn begin(&mut self, world: &World, path: &str, return_to: &str) -> String {
        let prefix = path.strip_suffix("/login/demo").unwrap_or_default();
        let token = self.get(world, &format!("{prefix}/form")).await.body;
        let answer = self.post(world, path, &[(CsrfToken::FIELD, &token), ("return_to", return_to)]).await;
        assert_eq!(answer.head.status, StatusCode::SEE_OTHER, "{}", answer.body);
        answer.location().to_owned()
    }
}

pub(crate) struct Answer {
    pub(crate) head: http::response::Parts,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn location(&self) -> &str {
        self.head.headers[LOCATION].to_str().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Of the whole head, as it is written.
    pub(crate) fn length(&self) -> usize {
        let line = "HTTP/1.1 303 See Other\r\n\r\n".len();
        self.head.headers.iter().fold(line, |sum, (name, value)| sum + name.as_str().len() + value.len() + 4)
    }

    #[track_caller]
    pub(crate) fn failed(&self, status: u16, code: &str) {
        assert_eq!(self.head.status.as_u16(), status, "{}", self.body);
        assert!(self.body.contains(&format!("<small>{code}</small>")), "{}", self.body);
        assert_eq!(self.header("cache-control"), Some("no-store"));
    }
}

/// The path and query of a callback, as the server sees it.
fn path(url: &str) -> &str {
    url.strip_prefix(PUBLIC).unwrap()
}

#[tokio::test]
async fn a_login_from_the_page_to_the_host() {
    for in_session in [true, false] {
        let world = world(in_session).await;
        let mut browser = Browser::default();
        let page = browser.get(&world, "/login/demo?return_to=/projects").await;
        assert_eq!(page.head.status, StatusCode::OK);
        assert!(page.body.contains("<button type=\"submit\">Log in with Our &lt;GitLab&gt;</button>"), "{}", page.body);
        assert!(page.body.contains("name=\"return_to\" value=\"/projects\""));
        assert!(page.body.contains("GitLab: 127.0.0.1:"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        let token = page.body.split("name=\"csrf_token\" value=\"").nth(1).unwrap().split('"').next().unwrap();

        let fields = [("csrf_token", token), ("return_to", "/projects")];
        let begun = browser.post(&world, "/login/demo", &fields).await;
        assert_eq!(begun.head.status, StatusCode::SEE_OTHER);
        assert_eq!(begun.head.headers[REFERRER_POLICY], "no-referrer");
        let callback = world.gitlab.authorize(begun.location(), "alice").unwrap();

        let done = browser.get(&world, path(&callback)).await;
        assert_eq!(done.head.status, StatusCode::SEE_OTHER, "{}", done.body);
        assert_eq!(done.location(), "/projects");
        assert_eq!(done.header("x-logged-in"), Some("gitlab:demo:2"));
        assert_eq!(done.head.headers[REFERRER_POLICY], "no-referrer");
        assert_eq!(done.head.headers[CACHE_CONTROL], "no-store");
        for secret in ["code=", "state="] {
            assert!(!format!("{:?}{}", done.head.headers, done.body).contains(secret));
        }
    }
}

#[tokio::test]
async fn a_login_begins_by_a_post_of_our_own_page_only() {
    for in_session in [true, false] {
        let world = world(in_session).await;
        let mut browser = Browser::default();
        let token = browser.token(&world).await;
        for path in ["/login/demo", "/connect/demo", "/logout"] {
            browser.post(&world, path, &[]).await.failed(403, "csrf");
            browser.post(&world, path, &[("csrf_token", "")]).await.failed(403, "csrf");
            browser.post(&world, path, &[("csrf_token", &"A".repeat(43))]).await.failed(403, "csrf");
            let twice = [("csrf_token", &*token), ("csrf_token", &*token)];
            browser.post(&world, path, &twice).await.failed(403, "csrf");
            // Another browser's token.
            Browser::default().post(&world, path, &[("csrf_token", &token)]).await.failed(403, "csrf");
        }
        let huge = "x".repeat(20_000);
        browser.post(&world, "/login/demo", &[("csrf_token", &token), ("x", &huge)]).await.failed(403, "csrf");
        for path in ["/connect/demo", "/logout"] {
            assert_eq!(browser.get(&world, path).await.head.status, StatusCode::METHOD_NOT_ALLOWED);
        }
        for method in [Method::POST, Method::PUT, Method::HEAD] {
            let request = Request::builder().method(method).uri("/oauth/callback/gitlab/demo?code=x&state=y");
            let answer = browser.send(&world, request, String::new()).await;
            assert_eq!(answer.head.status, StatusCode::METHOD_NOT_ALLOWED);
        }
        assert!(world.gitlab.requests().is_empty());
    }
}

#[tokio::test]
async fn a_callback_is_for_one_browser_and_once() {
    for in_session in [true, false] {
        let world = world(in_session).await;
        let mut browser = Browser::default();
        let begun = browser.begin(&world, "/login/demo", "/").await;
        let callback = world.gitlab.authorize(&begun, "alice").unwrap();

        let mut other = Browser::default();
        other.begin(&world, "/login/demo", "/").await;
        other.get(&world, path(&callback)).await.failed(400, "state_unknown");
        Browser::default().get(&world, path(&callback)).await.failed(400, "state_unknown");
        assert!(world.gitlab.requests().is_empty());

        let copied = Browser { cookies: browser.cookies.clone(), user: None };
        let done = browser.get(&world, path(&callback)).await;
        assert_eq!(done.header("x-logged-in"), Some("gitlab:demo:2"), "{}", done.body);
        let asked = world.gitlab.requests().len();
        // Opened again it leads on, and logs nobody in.
        let again = browser.get(&world, path(&callback)).await;
        assert_eq!((again.location(), again.header("x-logged-in")), ("/", None));
        // Even with the cookies from before.
        let mut copied = copied;
        copied.get(&world, path(&callback)).await.failed(400, "state_unknown");
        assert_eq!(world.gitlab.requests().len(), asked);
    }
}

#[tokio::test]
async fn of_fifty_callbacks_at_once_one_is_exchanged() {
    for in_session in [true, false] {
        let world = Arc::new(world(in_session).await);
        world.gitlab.set_latency(Duration::from_millis(20));
        let mut browser = Browser::default();
        let begun = browser.begin(&world, "/login/demo", "/").await;
        let callback = world.gitlab.authorize(&begun, "alice").unwrap();
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let (world, callback) = (Arc::clone(&world), callback.clone());
                let mut copy = Browser { cookies: browser.cookies.clone(), user: None };
                tokio::spawn(async move { copy.get(&world, path(&callback)).await.head.status })
            })
            .collect();
        let mut finished = 0;
        for task in tasks {
            finished += usize::from(task.await.unwrap() == StatusCode::SEE_OTHER);
        }
        let exchanges = world.gitlab.requests().iter().filter(|request| request.path == "/gitlab/oauth/token").count();
        // They are one browser's: each ends in the login.
        assert_eq!((finished, exchanges), (50, 1));
    }
}

#[tokio::test]
async fn two_tabs_work_at_once() {
    for in_session in [true, false] {
        for second_first in [true, false] {
            let world = world(in_session).await;
            let mut browser = Browser::default();
            let first = browser.begin(&world, "/login/demo", "/first").await;
            let second = browser.begin(&world, "/login/demo", "/second").await;
            let (begun, place) = if second_first { (second, "/second") } else { (first, "/first") };
            let callback = world.gitlab.authorize(&begun, "alice").unwrap();
            let done = browser.get(&world, path(&callback)).await;
            assert_eq!(done.location(), place, "{}", done.body);
        }
    }
}

#[tokio::test]
async fn a_connection_is_no_login_and_only_its_user_finishes_it() {
    for in_session in [true, false] {
        let world = world(in_session).await;
        let mut browser = Browser::default();
        let token = browser.token(&world).await;
        browser.post(&world, "/connect/demo", &[("csrf_token", &token)]).await.failed(403, "not_signed_in");

        for (finisher, outcome) in [
            (Some("user-7"), Ok("user-7 gitlab:demo:2")),
            (Some("user-8"), Err((400, "other_user"))),
            (None, Err((403, "not_signed_in"))),
        ] {
            browser.user = Some("user-7");
            let begun = browser.begin(&world, "/connect/demo", "/").await;
            let callback = world.gitlab.authorize(&begun, "alice").unwrap();
            browser.user = finisher;
            let asked = world.gitlab.requests().len();
            let done = browser.get(&world, path(&callback)).await;
            assert_eq!(done.header("x-logged-in"), None);
            match outcome {
                Ok(text) => assert_eq!(done.header("x-connected"), Some(text), "{}", done.body),
                Err((status, code)) => {
                    done.failed(status, code);
                    assert_eq!(world.gitlab.requests().len(), asked);
                }
            }
        }
        // A login stays one, whoever is signed in.
        browser.user = Some("user-7");
        let begun = browser.begin(&world, "/login/demo", "/").await;
        let callback = world.gitlab.authorize(&begun, "alice").unwrap();
        assert_eq!(browser.get(&world, path(&callback)).await.header("x-connected"), None);
    }
}

#[tokio::test]
async fn another_integrations_callback_is_refused_and_the_login_is_spent() {
    for in_session in [true, false] {
        let world = world(in_session).await;
        let mut browser = Browser::default();
        let begun = browser.begin(&world, "/login/demo", "/").await;
        let callback = world.gitlab.authorize(&begun, "alice").unwrap();
        let moved = path(&callback).replace("/demo?", "/other?");
        browser.get(&world, &moved).await.failed(400, "other_integration");
        browser.get(&world, path(&callback)).await.failed(400, "state_unknown");
        assert!(world.gitlab.requests().is_empty());
        for path in ["/oauth/callback/gitlab/demo/?code=x&state=y", "/oauth/callback/gitlab/%64emo/x?code=x&state=y"] {
            assert_eq!(browser.get(&world, path).await.head.status, StatusCode::NOT_FOUND);
        }
    }
}

#[tokio::test]
async fn a_denial_and_hostile_texts_are_pages() {
    let world = world(true).await;
    let mut browser = Browser::default();
    let begun = browser.begin(&world, "/login/demo", "/").await;
    let callback = world.gitlab.deny(&begun).unwrap();
    let denied = browser.get(&world, path(&callback)).await;
    denied.failed(400, "denied");
    assert!(denied.body.contains("href=\"/login/demo?return_to=/\""), "{}", denied.body);

    let hostile = "/oauth/callback/gitlab/demo?error=%3Cscript%3E&error_description=%3Cscript%3E&state=x";
    let answer = browser.get(&world, hostile).await;
    answer.failed(400, "state_unknown");
    assert!(!answer.body.contains("script"));

    for (path, status, code) in [
        ("/login/nobody", 404, "integration_unknown"),
        ("/login/UPPER", 404, "integration_unknown"),
        ("/login/broken", 503, "host"),
        ("/oauth/callback/gitlab/demo?state=a&state=b", 400, "callback_repeated"),
    ] {
        let answer = browser.get(&world, path).await;
        answer.failed(status, code);
        assert!(!answer.body.contains("database"));
    }
}

#[tokio::test]
async fn headers_change_no_url() {
    let world = world(true).await;
    let mut browser = Browser::default();
    let token = browser.token(&world).await;
    let request = Request::post("/login/demo")
        .header("host", "evil.test")
        .header("x-forwarded-host", "evil.test")
        .header("x-forwarded-proto", "http")
        .header("forwarded", "host=evil.test");
    let answer = browser.send(&world, request, format!("csrf_token={token}")).await;
    let redirect = url::Url::parse(answer.location()).unwrap();
    let sent = redirect.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap().1;
    assert_eq!(sent, CALLBACK);
    assert_eq!(world.integration.callback_url().as_str(), CALLBACK);
}

#[tokio::test]
async fn a_way_back_that_leads_elsewhere_is_forgotten() {
    let world = world(true).await;
    for elsewhere in ["//evil.test", "https://evil.test", "/\\evil.test", "/\t/evil.test"] {
        let mut browser = Browser::default();
        let begun = browser.begin(&world, "/login/demo", elsewhere).await;
        let callback = world.gitlab.authorize(&begun, "alice").unwrap();
        assert_eq!(browser.get(&world, path(&callback)).await.location(), "/");
    }
}

#[tokio::test]
async fn a_login_renews_the_session() {
    let world = world(true).await;
    let mut browser = Browser::default();
    let begun = browser.begin(&world, "/login/demo", "/").await;
    let token = browser.token(&world).await;
    let before = browser.cookies.clone();
    let callback = world.gitlab.authorize(&begun, "alice").unwrap();
    browser.get(&world, path(&callback)).await;
    assert_eq!(browser.cookies.len(), 1);
    assert_ne!(browser.cookies, before);
    assert_ne!(browser.token(&world).await, token);

    // The session from before is gone.
    let mut old = Browser { cookies: before, user: None };
    old.post(&world, "/logout", &[("csrf_token", &token)]).await.failed(403, "csrf");
    let token = browser.token(&world).await;
    let out = browser.post(&world, "/logout", &[("csrf_token", &token)]).await;
    assert_eq!((out.head.status, out.location()), (StatusCode::SEE_OTHER, "/"));
    browser.post(&world, "/logout", &[("csrf_token", &token)]).await.failed(403, "csrf");
}

#[tokio::test]
async fn a_code_host_without_time_is_a_bad_gateway() {
    let world = world(true).await;
    let mut browser = Browser::default();
    let begun = browser.begin(&world, "/login/demo", "/").await;
    let state = begun.split("state=").nth(1).unwrap().split('&').next().unwrap();
    let callback = format!("/oauth/callback/gitlab/demo?error=temporarily_unavailable&state={state}");
    browser.get(&world, &callback).await.failed(502, "authorization_unavailable");
}

#[tokio::test]
async fn cookies_say_no_more_than_they_must() {
    let world = world(false).await;
    let mut browser = Browser::default();
    let token = browser.get(&world, "/form").await;
    let csrf = token.header("set-cookie").unwrap();
    // The digest of the public URL is in the names.
    assert_eq!(csrf, format!("__Host-codehost-csrf-{SUFFIX}={}; Path=/; HttpOnly; SameSite=Lax; Secure", token.body));
    assert_eq!(browser.get(&world, "/form").await.header("set-cookie"), None);

    let begun = browser.post(&world, "/login/demo", &[("csrf_token", &token.body)]).await;
    let cookie = begun.header("set-cookie").unwrap();
    let (value, attributes) = cookie.split_once(';').unwrap();
    assert!(value.starts_with(&format!("__Host-codehost-login-{SUFFIX}-")));
    assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=3600");
    let state = begun.location().split("state=").nth(1).unwrap().split('&').next().unwrap();
    assert!(!value.contains(state) && !value.contains("demo"));

    // One changed character, and there is no login to finish.
    let callback = world.gitlab.authorize(begun.location(), "alice").unwrap();
    for (name, value) in &mut browser.cookies {
        if name.contains("login") {
            let last = if value.ends_with('A') { 'B' } else { 'A' };
            value.pop();
            value.push(last);
        }
    }
    browser.get(&world, path(&callback)).await.failed(400, "state_unknown");
}

#[tokio::test]
async fn without_a_session_layer_nothing_is_pretended() {
    let logins = Logins::in_session(host(&[]), &PUBLIC.parse().unwrap());
    let request = Request::post("/login/demo").body(Body::empty()).unwrap();
    let answer = logins.router::<()>().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = String::from_utf8(to_bytes(answer.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap();
    assert!(body.contains("<small>no_session_layer</small>"), "{body}");
    let failure = Failure::from(codehost_oauth::router::FailureCause::UnknownIntegration);
    assert_eq!(failure.cause.to_string(), "there is no such integration");
}

/// A form of the host's own, such as the one that logs out.
#[tokio::test]
async fn a_form_of_the_host_is_checked_with_the_same_token() {
    for in_session in [true, false] {
        let logins = Logins::in_session(host(&[]), &PUBLIC.parse().unwrap());
        let keys: KeyRing = "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=".parse().unwrap();
        let logins = if in_session { logins } else { Logins::in_cookie(host(&[]), &PUBLIC.parse().unwrap(), keys) };
        let kept = if in_session { "in_session" } else { "in_cookie" };
        assert_eq!(format!("{logins:?}"), format!("Logins({kept})"));
        let checks = logins.clone();
        let check = async move |request: Request<Body>| {
            let (head, body) = request.into_parts();
            let token = String::from_utf8(to_bytes(body, 1024).await.unwrap().to_vec()).unwrap();
            match checks.verify_csrf(&head, &token).await {
                Ok(()) => StatusCode::OK,
                Err(failure) => failure.cause.status(),
            }
        };
        let app = form(&logins).route("/logout", axum::routing::post(check));
        let app = app.layer(SessionManagerLayer::new(MemoryStore::default()));
        let send = async |request: http::request::Builder, body: &str| {
            let response = app.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
            let cookies: Vec<_> = response.headers().get_all(SET_COOKIE).iter().cloned().collect();
            let status = response.status();
            (status, cookies, String::from_utf8(to_bytes(response.into_body(), 1024).await.unwrap().to_vec()).unwrap())
        };
        let (_, cookies, token) = send(Request::get("/form"), "").await;
        let cookie = cookies
            .iter()
            .map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap())
            .collect::<Vec<_>>()
            .join("; ");
        for (cookie, token, expected) in [
            (cookie.as_str(), token.as_str(), StatusCode::OK),
            (&cookie, "", StatusCode::FORBIDDEN),
            (&cookie, &token[1..], StatusCode::FORBIDDEN),
            ("", &token, StatusCode::FORBIDDEN),
        ] {
            let (status, ..) = send(Request::post("/logout").header(COOKIE, cookie), token).await;
            assert_eq!(status, expected, "{kept}: {token:?}");
        }
    }
}

/// What a host gets that implements nothing but what it must.
#[tokio::test]
async fn a_host_that_knows_nobody_connects_nobody() {
    struct Plain(TestHost);

    #[async_trait]
    impl LoginHost for Plain {
        async fn integration(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>, HostError> {
            self.0.integration(id).await
        }

        async fn logged_in(&self, request: &mut RequestHead, integration: &Integration, login: Login) -> Response {
            self.0.logged_in(request, integration, login).await
        }
    }

    let mut world = world(true).await;
    let logins = Logins::in_session(Plain(host(&[Arc::clone(&world.integration)])), &PUBLIC.parse().unwrap());
    let layer = SessionManagerLayer::new(MemoryStore::default()).with_same_site(tower_sessions::cookie::SameSite::Lax);
    world.app = Router::new().merge(logins.router()).merge(form(&logins)).layer(layer);
    let mut browser = Browser::default();
    let token = browser.token(&world).await;
    let fields = [("csrf_token", token.as_str()), ("return_to", "/account")];
    browser.post(&world, "/connect/demo", &fields).await.failed(403, "not_signed_in");
}

/// Whose fault it is, is in the status: what watches a host from outside sees nothing else.
#[tokio::test]
async fn a_failure_has_the_status_of_who_must_act() {
    let world = world(true).await;
    let html: &[(&str, &str)] = &[("Content-Type", "text/html")];
    let json: &[(&str, &str)] = &[("Content-Type", "application/json")];
    for (status, headers, body, expected, code) in [
        // Neither the code nor the status tells a stranger what is behind the host.
        (503, html, "<html>", 502, "instance_unreachable"),
        (200, html, "<html>", 502, "instance_unreachable"),
        (302, html, "", 502, "instance_unreachable"),
        (401, json, r#"{"error":"invalid_client"}"#, 500, "client_rejected"),
        (400, json, r#"{"error":"invalid_grant"}"#, 400, "code_rejected"),
    ] {
        let mut browser = Browser::default();
        let url = browser.begin(&world, "/login/demo", "/").await;
        let callback = world.gitlab.authorize(&url, "alice").unwrap();
        world.gitlab.respond_next("/oauth/token", status, headers, body);
        browser.get(&world, path(&callback)).await.failed(expected, code);
    }
}

/// A session store that is gone is the host's own outage, and nothing of it is shown.
#[tokio::test]
async fn a_session_store_that_fails_is_no_login() {
    #[derive(Clone, Debug)]
    struct Broken;

    #[async_trait]
    impl SessionStore for Broken {
        async fn save(&self, _: &tower_sessions::session::Record) -> tower_sessions::session_store::Result<()> {
            Err(tower_sessions::session_store::Error::Backend("the-database: password=x".to_owned()))
        }
        async fn load(
            &self,
            _: &tower_sessions::session::Id,
        ) -> tower_sessions::session_store::Result<Option<tower_sessions::session::Record>> {
            Ok(None)
        }
        async fn delete(&self, _: &tower_sessions::session::Id) -> tower_sessions::session_store::Result<()> {
            Ok(())
        }
    }

    let mut world = world(true).await;
    let logins = Logins::in_session(host(&[Arc::clone(&world.integration)]), &PUBLIC.parse().unwrap());
    world.app = Router::new().merge(logins.router()).layer(SessionManagerLayer::new(Broken));
    let page = Browser::default().get(&world, "/login/demo").await;
    assert_eq!(page.head.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!page.body.contains("the-database"), "{}", page.body);
}
