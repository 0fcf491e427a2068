//! The routes for axum, as a browser sees them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use codehost_oauth::error::AppError;
use codehost_oauth::router::{CsrfToken, Failure, LoginHandler, LoginRoutes, RequestHead, readable_cookies};
use codehost_oauth::seal::KeyRing;
use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{
    Access, BaseUrl, FindIntegration, Integration, IntegrationConfig, IntegrationId, Login, Platform,
};
use http::header::{CACHE_CONTROL, COOKIE, LOCATION, REFERRER_POLICY, SET_COOKIE};
use http::{Method, Request, StatusCode};
use tower::ServiceExt as _;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer, SessionStore};

const PUBLIC: &str = "https://packages.example.com";
/// The beginning of its SHA-256.
const SUFFIX: &str = "19e791b8";
const CALLBACK: &str = "https://packages.example.com/oauth/callback/gitlab/demo";

/// An app with one or two integrations at one fake GitLab. A test may change them.
#[derive(Clone, Default)]
pub(crate) struct TestHandler(pub(crate) Integrations, Arc<AtomicUsize>);

impl TestHandler {
    pub(crate) fn of(integrations: &Integrations) -> Self {
        Self(Arc::clone(integrations), Arc::default())
    }
}

pub(crate) type Integrations = Arc<Mutex<Vec<Integration>>>;

fn handler(integrations: &[Integration]) -> TestHandler {
    TestHandler(Arc::new(Mutex::new(integrations.to_vec())), Arc::default())
}

#[async_trait]
impl FindIntegration for TestHandler {
    async fn find(&self, id: &IntegrationId) -> Result<Option<Integration>, AppError> {
        match id.as_str() {
            "broken" => Err("the database is gone".into()),
            _ => Ok(self.0.lock().unwrap().iter().find(|integration| integration.id() == id).cloned()),
        }
    }
}

#[async_trait]
impl LoginHandler for TestHandler {
    async fn user_id(&self, request: &mut RequestHead) -> Result<Option<String>, AppError> {
        // This user is logged in when the callback arrives, and logged out after the exchange.
        if request.headers.get("x-user").is_some_and(|user| user == "leaves-meanwhile") {
            let calls = self.1.fetch_add(1, Ordering::Relaxed);
            return Ok((calls < 2).then(|| "leaves-meanwhile".to_owned()));
        }
        if request.headers.get("x-user").is_some_and(|user| user == "unknown") {
            return Err("the database is gone".into());
        }
        // The logged-in user. A real app must not take it from a header.
        Ok(request.headers.get("x-user").map(|user| user.to_str().unwrap().to_owned()))
    }

    async fn logged_in(&self, request: &mut RequestHead, integration: &Integration, login: Login) -> Response {
        assert_eq!(request.uri.query(), None, "the app never sees the code");
        assert!(
            request.extensions.get::<axum::extract::OriginalUri>().is_none(),
            "the app does not see the original URI either"
        );
        if let Some(session) = request.extensions.get::<Session>() {
            session.insert("user", login.user.key.to_string()).await.unwrap();
        }
        let path = login.return_to.map_or(integration.app_path().to_owned(), |path| path.to_string());
        // The routes turn any redirect of the app into a 303.
        ([("x-logged-in", login.user.key.to_string())], Redirect::temporary(&path)).into_response()
    }

    async fn connected(&self, _: &mut RequestHead, _: &Integration, user_id: &str, login: Login) -> Response {
        ([("x-connected", format!("{user_id} {}", login.user.key))], Redirect::to("/account")).into_response()
    }
}

pub(crate) struct TestApp {
    pub(crate) gitlab: FakeGitLab,
    pub(crate) app: Router,
    pub(crate) integration: Integration,
    pub(crate) integrations: Integrations,
    pub(crate) public: String,
}

impl TestApp {
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
    pub(crate) fn built(&self, base_url: &str, client_id: &str) -> Integration {
        integration(&self.public, base_url, "demo", client_id)
    }
}

fn integration(public: &str, base_url: &str, id: &str, client_id: &str) -> Integration {
    let network = Network::public_only().allow_loopback_http();
    let base_url = BaseUrl::parse(base_url, &network).unwrap();
    let provider = Platform::find("gitlab").unwrap().provider(base_url).unwrap();
    let built = Integration::builder(
        provider,
        HttpClient::builder(network).build().unwrap(),
        IntegrationConfig {
            id: id.parse().unwrap(),
            name: "Our <GitLab>".to_owned(),
            public_url: public.parse().unwrap(),
            client_id: client_id.to_owned(),
            client_secret: "canary-router-secret".to_owned(),
            access: Access::SignIn,
        },
    )
    .build();
    built.unwrap()
}

async fn test_app(in_session: bool) -> TestApp {
    test_app_at(PUBLIC, in_session, MemoryStore::default()).await
}

/// There is a session layer in both modes: an app that keeps pending logins in cookies has a session of its own.
pub(crate) async fn test_app_at<S: SessionStore + Clone>(public: &str, in_session: bool, store: S) -> TestApp {
    crate::secrets::leak_check::start();
    let callback = format!("{public}/oauth/callback/gitlab/demo");
    let application = FakeApplication::new("id", "canary-router-secret", &callback, "read_user");
    let gitlab = FakeGitLab::builder().application(application).start().await.unwrap();
    let both = ["demo", "other"].map(|id| integration(public, gitlab.base_url(), id, "id"));
    let handler = handler(&both);
    let integrations = Arc::clone(&handler.0);
    let public_url = public.parse().unwrap();
    let keys: KeyRing = "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=".parse().unwrap();
    let logins = if in_session {
        LoginRoutes::in_session(handler.clone(), handler, &public_url)
    } else {
        LoginRoutes::in_cookie(handler.clone(), handler, &public_url, keys)
    };
    let layer = SessionManagerLayer::new(store).with_same_site(tower_sessions::cookie::SameSite::Lax);
    let routes = Router::new().merge(logins.router()).merge(form(&logins));
    let app = match public_url.path() {
        "/" => routes,
        path => Router::new().nest(path, routes),
    };
    let app = app.layer(layer);
    let app = if in_session { app.layer(axum::middleware::from_fn(readable_cookies)) } else { app };
    TestApp { gitlab, app, integration: both[0].clone(), integrations, public: public.to_owned() }
}

/// Pages of the app: one with a CSRF token, one with the logged-in user.
pub(crate) fn form(logins: &LoginRoutes) -> Router {
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

/// A browser with its cookies.
#[derive(Clone, Default)]
pub(crate) struct Browser {
    pub(crate) cookies: Vec<(String, String)>,
    pub(crate) user: Option<&'static str>,
}

impl Browser {
    pub(crate) async fn send(
        &mut self,
        test_app: &TestApp,
        request: http::request::Builder,
        body: String,
    ) -> ResponseSummary {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = request.header(COOKIE, cookies.join("; "));
        if let Some(user) = self.user {
            request = request.header("x-user", user);
        }
        let response = test_app.app.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
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
        crate::secrets::leak_check::response("a page of the router", &head.headers, &body);
        ResponseSummary { head, body }
    }

    pub(crate) async fn get(&mut self, test_app: &TestApp, uri: &str) -> ResponseSummary {
        self.send(test_app, Request::get(uri), String::new()).await
    }

    pub(crate) async fn post(&mut self, test_app: &TestApp, uri: &str, fields: &[(&str, &str)]) -> ResponseSummary {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(test_app, Request::post(uri), body).await
    }

    pub(crate) async fn token(&mut self, test_app: &TestApp) -> String {
        self.get(test_app, "/form").await.body
    }

    /// Submits the login form; returns the authorization URL.
    pub(crate) async fn begin(&mut self, test_app: &TestApp, path: &str, return_to: &str) -> String {
        let prefix = path.strip_suffix("/login/demo").unwrap_or_default();
        let token = self.get(test_app, &format!("{prefix}/form")).await.body;
        let response = self.post(test_app, path, &[(CsrfToken::FIELD, &token), ("return_to", return_to)]).await;
        assert_eq!(response.head.status, StatusCode::SEE_OTHER, "{}", response.body);
        response.location().to_owned()
    }
}

pub(crate) struct ResponseSummary {
    pub(crate) head: http::response::Parts,
    pub(crate) body: String,
}

impl ResponseSummary {
    pub(crate) fn location(&self) -> &str {
        self.head.headers[LOCATION].to_str().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The length of the whole head in bytes.
    pub(crate) fn length(&self) -> usize {
        let line = "HTTP/1.1 303 See Other\r\n\r\n".len();
        self.head.headers.iter().fold(line, |sum, (name, value)| sum + name.as_str().len() + value.len() + 4)
    }

    #[track_caller]
    pub(crate) fn assert_failed(&self, status: u16, code: &str) {
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
async fn a_whole_login_from_the_login_page_to_the_app() {
    for in_session in [true, false] {
        let test_app = test_app(in_session).await;
        let mut browser = Browser::default();
        let page = browser.get(&test_app, "/login/demo?return_to=/projects").await;
        assert_eq!(page.head.status, StatusCode::OK);
        assert!(page.body.contains("<button type=\"submit\">Log in with Our &lt;GitLab&gt;</button>"), "{}", page.body);
        assert!(page.body.contains("name=\"return_to\" value=\"/projects\""));
        assert!(page.body.contains("GitLab: 127.0.0.1:"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        let token = page.body.split("name=\"csrf_token\" value=\"").nth(1).unwrap().split('"').next().unwrap();

        let fields = [("csrf_token", token), ("return_to", "/projects")];
        let begun = browser.post(&test_app, "/login/demo", &fields).await;
        assert_eq!(begun.head.status, StatusCode::SEE_OTHER);
        assert_eq!(begun.head.headers[REFERRER_POLICY], "no-referrer");
        let callback = test_app.gitlab.authorize(begun.location(), "alice").unwrap();

        let done = browser.get(&test_app, path(&callback)).await;
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
async fn a_login_begins_only_by_a_post_with_the_csrf_token() {
    for in_session in [true, false] {
        let test_app = test_app(in_session).await;
        let mut browser = Browser::default();
        let token = browser.token(&test_app).await;
        for path in ["/login/demo", "/connect/demo", "/logout"] {
            browser.post(&test_app, path, &[]).await.assert_failed(403, "csrf");
            browser.post(&test_app, path, &[("csrf_token", "")]).await.assert_failed(403, "csrf");
            browser.post(&test_app, path, &[("csrf_token", &"A".repeat(43))]).await.assert_failed(403, "csrf");
            let twice = [("csrf_token", &*token), ("csrf_token", &*token)];
            browser.post(&test_app, path, &twice).await.assert_failed(403, "csrf");
            // Another browser's token.
            Browser::default().post(&test_app, path, &[("csrf_token", &token)]).await.assert_failed(403, "csrf");
        }
        let huge = "x".repeat(20_000);
        browser
            .post(&test_app, "/login/demo", &[("csrf_token", &token), ("x", &huge)])
            .await
            .assert_failed(403, "csrf");
        for path in ["/connect/demo", "/logout"] {
            assert_eq!(browser.get(&test_app, path).await.head.status, StatusCode::METHOD_NOT_ALLOWED);
        }
        // A POST to the callback must be JSON.
        for (method, status) in [(Method::POST, 415), (Method::PUT, 405), (Method::HEAD, 405)] {
            let request = Request::builder().method(method).uri("/oauth/callback/gitlab/demo?code=x&state=y");
            let response = browser.send(&test_app, request, String::new()).await;
            assert_eq!(response.head.status.as_u16(), status);
        }
        assert!(test_app.gitlab.requests().is_empty());
    }
}

#[tokio::test]
async fn a_callback_works_once_and_in_its_own_browser_only() {
    for in_session in [true, false] {
        let test_app = test_app(in_session).await;
        let mut browser = Browser::default();
        let begun = browser.begin(&test_app, "/login/demo", "/").await;
        let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();

        let mut other = Browser::default();
        other.begin(&test_app, "/login/demo", "/").await;
        other.get(&test_app, path(&callback)).await.assert_failed(400, "state_unknown");
        Browser::default().get(&test_app, path(&callback)).await.assert_failed(400, "state_unknown");
        assert!(test_app.gitlab.requests().is_empty());

        let copied = Browser { cookies: browser.cookies.clone(), user: None };
        let done = browser.get(&test_app, path(&callback)).await;
        assert_eq!(done.header("x-logged-in"), Some("gitlab:demo:2"), "{}", done.body);
        let requests_before = test_app.gitlab.requests().len();
        // Opened again, it only redirects.
        let again = browser.get(&test_app, path(&callback)).await;
        assert_eq!((again.location(), again.header("x-logged-in")), ("/", None));
        // The cookies from before are refused.
        let mut copied = copied;
        copied.get(&test_app, path(&callback)).await.assert_failed(400, "state_unknown");
        assert_eq!(test_app.gitlab.requests().len(), requests_before);
    }
}

#[tokio::test]
async fn fifty_callbacks_at_once_give_one_exchange() {
    for in_session in [true, false] {
        let test_app = Arc::new(test_app(in_session).await);
        test_app.gitlab.set_latency(Duration::from_millis(20));
        let mut browser = Browser::default();
        let begun = browser.begin(&test_app, "/login/demo", "/").await;
        let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let (test_app, callback) = (Arc::clone(&test_app), callback.clone());
                let mut copy = Browser { cookies: browser.cookies.clone(), user: None };
                tokio::spawn(async move { copy.get(&test_app, path(&callback)).await.head.status })
            })
            .collect();
        let mut finished = 0;
        for task in tasks {
            finished += usize::from(task.await.unwrap() == StatusCode::SEE_OTHER);
        }
        let exchanges =
            test_app.gitlab.requests().iter().filter(|request| request.path == "/gitlab/oauth/token").count();
        // All are of one browser, so each ends in the login.
        assert_eq!((finished, exchanges), (50, 1));
    }
}

#[tokio::test]
async fn two_tabs_log_in_in_any_order() {
    for in_session in [true, false] {
        for second_first in [true, false] {
            let test_app = test_app(in_session).await;
            let mut browser = Browser::default();
            let first = browser.begin(&test_app, "/login/demo", "/first").await;
            let second = browser.begin(&test_app, "/login/demo", "/second").await;
            let (begun, return_to) = if second_first { (second, "/second") } else { (first, "/first") };
            let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
            let done = browser.get(&test_app, path(&callback)).await;
            assert_eq!(done.location(), return_to, "{}", done.body);
        }
    }
}

#[tokio::test]
async fn a_connection_logs_nobody_in_and_only_its_user_finishes_it() {
    for in_session in [true, false] {
        let test_app = test_app(in_session).await;
        let mut browser = Browser::default();
        let token = browser.token(&test_app).await;
        browser.post(&test_app, "/connect/demo", &[("csrf_token", &token)]).await.assert_failed(403, "not_logged_in");
        browser.user = Some("unknown");
        let failed = browser.post(&test_app, "/connect/demo", &[("csrf_token", &token)]).await;
        failed.assert_failed(503, "login_handler_failed");

        for (finisher, outcome) in [
            (Some("user-7"), Ok("user-7 gitlab:demo:2")),
            (Some("user-8"), Err((400, "other_user"))),
            (None, Err((403, "not_logged_in"))),
        ] {
            browser.user = Some("user-7");
            let begun = browser.begin(&test_app, "/connect/demo", "/").await;
            let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
            browser.user = finisher;
            let requests_before = test_app.gitlab.requests().len();
            let done = browser.get(&test_app, path(&callback)).await;
            assert_eq!(done.header("x-logged-in"), None);
            match outcome {
                Ok(text) => assert_eq!(done.header("x-connected"), Some(text), "{}", done.body),
                Err((status, code)) => {
                    done.assert_failed(status, code);
                    assert_eq!(test_app.gitlab.requests().len(), requests_before);
                }
            }
        }
        // A login stays a login if a user is logged in.
        browser.user = Some("user-7");
        let begun = browser.begin(&test_app, "/login/demo", "/").await;
        let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
        assert_eq!(browser.get(&test_app, path(&callback)).await.header("x-connected"), None);
    }
}

#[tokio::test]
async fn a_callback_at_another_integration_is_refused_and_uses_up_the_login() {
    for in_session in [true, false] {
        let test_app = test_app(in_session).await;
        let mut browser = Browser::default();
        let begun = browser.begin(&test_app, "/login/demo", "/").await;
        let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
        let moved = path(&callback).replace("/demo?", "/other?");
        browser.get(&test_app, &moved).await.assert_failed(400, "other_integration");
        browser.get(&test_app, path(&callback)).await.assert_failed(400, "state_unknown");
        assert!(test_app.gitlab.requests().is_empty());
        for path in ["/oauth/callback/gitlab/demo/?code=x&state=y", "/oauth/callback/gitlab/%64emo/x?code=x&state=y"] {
            assert_eq!(browser.get(&test_app, path).await.head.status, StatusCode::NOT_FOUND);
        }
    }
}

#[tokio::test]
async fn denials_and_hostile_parameters_give_safe_error_pages() {
    let test_app = test_app(true).await;
    let mut browser = Browser::default();
    let begun = browser.begin(&test_app, "/login/demo", "/").await;
    let callback = test_app.gitlab.deny(&begun).unwrap();
    let denied = browser.get(&test_app, path(&callback)).await;
    denied.assert_failed(400, "denied");
    assert!(denied.body.contains("href=\"/login/demo?return_to=/\""), "{}", denied.body);

    let hostile = "/oauth/callback/gitlab/demo?error=%3Cscript%3E&error_description=%3Cscript%3E&state=x";
    let response = browser.get(&test_app, hostile).await;
    response.assert_failed(400, "state_unknown");
    assert!(!response.body.contains("script"));

    for (path, status, code) in [
        ("/login/nobody", 404, "integration_unknown"),
        ("/login/UPPER", 404, "integration_unknown"),
        ("/login/broken", 503, "find_integration_failed"),
        ("/oauth/callback/gitlab/demo?state=a&state=b", 400, "callback_repeated"),
    ] {
        let response = browser.get(&test_app, path).await;
        response.assert_failed(status, code);
        assert!(!response.body.contains("database"));
    }
}

#[tokio::test]
async fn request_headers_do_not_change_the_callback_url() {
    let test_app = test_app(true).await;
    let mut browser = Browser::default();
    let token = browser.token(&test_app).await;
    let request = Request::post("/login/demo")
        .header("host", "evil.test")
        .header("x-forwarded-host", "evil.test")
        .header("x-forwarded-proto", "http")
        .header("forwarded", "host=evil.test");
    let response = browser.send(&test_app, request, format!("csrf_token={token}")).await;
    let redirect = url::Url::parse(response.location()).unwrap();
    let sent = redirect.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap().1;
    assert_eq!(sent, CALLBACK);
    assert_eq!(test_app.integration.callback_url().as_str(), CALLBACK);
}

#[tokio::test]
async fn a_return_path_to_another_site_is_ignored() {
    let test_app = test_app(true).await;
    for other_site in ["//evil.test", "https://evil.test", "/\\evil.test", "/\t/evil.test"] {
        let mut browser = Browser::default();
        let begun = browser.begin(&test_app, "/login/demo", other_site).await;
        let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
        assert_eq!(browser.get(&test_app, path(&callback)).await.location(), "/");
    }
}

#[tokio::test]
async fn a_login_renews_the_session() {
    let test_app = test_app(true).await;
    let mut browser = Browser::default();
    let begun = browser.begin(&test_app, "/login/demo", "/").await;
    let token = browser.token(&test_app).await;
    let before = browser.cookies.clone();
    let callback = test_app.gitlab.authorize(&begun, "alice").unwrap();
    browser.get(&test_app, path(&callback)).await;
    assert_eq!(browser.cookies.len(), 1);
    assert_ne!(browser.cookies, before);
    assert_ne!(browser.token(&test_app).await, token);

    // The session from before is gone.
    let mut old = Browser { cookies: before, user: None };
    old.post(&test_app, "/logout", &[("csrf_token", &token)]).await.assert_failed(403, "csrf");
    let token = browser.token(&test_app).await;
    let out = browser.post(&test_app, "/logout", &[("csrf_token", &token)]).await;
    assert_eq!((out.head.status, out.location()), (StatusCode::SEE_OTHER, "/"));
    browser.post(&test_app, "/logout", &[("csrf_token", &token)]).await.assert_failed(403, "csrf");
}

#[tokio::test]
async fn an_unavailable_code_host_gives_status_502() {
    let test_app = test_app(true).await;
    let mut browser = Browser::default();
    let begun = browser.begin(&test_app, "/login/demo", "/").await;
    let state = begun.split("state=").nth(1).unwrap().split('&').next().unwrap();
    let callback = format!("/oauth/callback/gitlab/demo?error=temporarily_unavailable&state={state}");
    browser.get(&test_app, &callback).await.assert_failed(502, "authorization_unavailable");
}

#[tokio::test]
async fn cookies_have_strict_attributes_and_no_readable_state() {
    let test_app = test_app(false).await;
    let mut browser = Browser::default();
    let token = browser.get(&test_app, "/form").await;
    let csrf = token.header("set-cookie").unwrap();
    // The digest of the public URL is in the names.
    assert_eq!(csrf, format!("__Host-codehost-csrf-{SUFFIX}={}; Path=/; HttpOnly; SameSite=Lax; Secure", token.body));
    assert_eq!(browser.get(&test_app, "/form").await.header("set-cookie"), None);

    let begun = browser.post(&test_app, "/login/demo", &[("csrf_token", &token.body)]).await;
    let cookie = begun.header("set-cookie").unwrap();
    let (value, attributes) = cookie.split_once(';').unwrap();
    assert!(value.starts_with(&format!("__Host-codehost-login-{SUFFIX}-")));
    assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=3600");
    let state = begun.location().split("state=").nth(1).unwrap().split('&').next().unwrap();
    assert!(!value.contains(state) && !value.contains("demo"));

    // A cookie with one changed character is refused.
    let callback = test_app.gitlab.authorize(begun.location(), "alice").unwrap();
    for (name, value) in &mut browser.cookies {
        if name.contains("login") {
            let last = if value.ends_with('A') { 'B' } else { 'A' };
            value.pop();
            value.push(last);
        }
    }
    browser.get(&test_app, path(&callback)).await.assert_failed(400, "state_unknown");
}

#[tokio::test]
async fn without_a_session_layer_requests_fail_with_503() {
    let logins = LoginRoutes::in_session(TestHandler::default(), TestHandler::default(), &PUBLIC.parse().unwrap());
    let request = Request::post("/login/demo").body(Body::empty()).unwrap();
    let response = logins.router::<()>().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap();
    assert!(body.contains("<small>no_session_layer</small>"), "{body}");
    let failure = Failure::from(codehost_oauth::router::FailureCause::UnknownIntegration);
    assert_eq!(failure.cause.to_string(), "the app has no integration with this ID, or it is disabled");
}

/// A form of the app's own, such as the one that logs out.
#[tokio::test]
async fn a_form_of_the_app_is_checked_with_the_same_csrf_token() {
    for in_session in [true, false] {
        let logins = LoginRoutes::in_session(TestHandler::default(), TestHandler::default(), &PUBLIC.parse().unwrap());
        let keys: KeyRing = "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=".parse().unwrap();
        let logins = if in_session {
            logins
        } else {
            LoginRoutes::in_cookie(TestHandler::default(), TestHandler::default(), &PUBLIC.parse().unwrap(), keys)
        };
        let kept = if in_session { "in_session" } else { "in_cookie" };
        assert_eq!(format!("{logins:?}"), format!("LoginRoutes({kept})"));
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

/// An app that implements only the required methods.
#[tokio::test]
async fn an_app_without_user_id_cannot_connect_accounts() {
    struct MinimalHandler(TestHandler);

    #[async_trait]
    impl LoginHandler for MinimalHandler {
        async fn logged_in(&self, request: &mut RequestHead, integration: &Integration, login: Login) -> Response {
            self.0.logged_in(request, integration, login).await
        }
    }

    let mut test_app = test_app(true).await;
    let logins = LoginRoutes::in_session(
        test_app.integration.clone(),
        MinimalHandler(TestHandler::default()),
        &PUBLIC.parse().unwrap(),
    );
    let layer = SessionManagerLayer::new(MemoryStore::default()).with_same_site(tower_sessions::cookie::SameSite::Lax);
    test_app.app = Router::new().merge(logins.router()).merge(form(&logins)).layer(layer);
    let mut browser = Browser::default();
    let token = browser.token(&test_app).await;
    let fields = [("csrf_token", token.as_str()), ("return_to", "/account")];
    browser.post(&test_app, "/connect/demo", &fields).await.assert_failed(403, "not_logged_in");
}

/// Monitoring from outside sees only the status.
#[tokio::test]
async fn the_status_of_a_failure_tells_who_must_act() {
    let test_app = test_app(true).await;
    let html: &[(&str, &str)] = &[("Content-Type", "text/html")];
    let json: &[(&str, &str)] = &[("Content-Type", "application/json")];
    for (status, headers, body, expected, code) in [
        // Neither the code nor the status tells a user about the network behind the app.
        (503, html, "<html>", 502, "instance_unreachable"),
        (200, html, "<html>", 502, "instance_unreachable"),
        (302, html, "", 502, "instance_unreachable"),
        (401, json, r#"{"error":"invalid_client"}"#, 500, "client_rejected"),
        (400, json, r#"{"error":"invalid_grant"}"#, 400, "code_rejected"),
    ] {
        let mut browser = Browser::default();
        let url = browser.begin(&test_app, "/login/demo", "/").await;
        let callback = test_app.gitlab.authorize(&url, "alice").unwrap();
        test_app.gitlab.respond_next("/oauth/token", status, headers, body);
        browser.get(&test_app, path(&callback)).await.assert_failed(expected, code);
    }
}

/// A failing session store is an outage of the app; the page shows no details.
#[tokio::test]
async fn a_failing_session_store_gives_503_without_details() {
    #[derive(Clone, Debug)]
    struct BrokenStore;

    #[async_trait]
    impl SessionStore for BrokenStore {
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

    let mut test_app = test_app(true).await;
    let logins =
        LoginRoutes::in_session(test_app.integration.clone(), TestHandler::default(), &PUBLIC.parse().unwrap());
    test_app.app = Router::new().merge(logins.router()).layer(SessionManagerLayer::new(BrokenStore));
    let page = Browser::default().get(&test_app, "/login/demo").await;
    assert_eq!(page.head.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!page.body.contains("the-database"), "{}", page.body);
}

/// Cookies and redirects would not fit: no login could work.
#[tokio::test]
async fn an_integration_with_another_public_url_is_the_operators_mistake() {
    let elsewhere = integration("https://other.example.com", "https://git.example.com", "demo", "id");
    let logins = LoginRoutes::in_session(elsewhere, TestHandler::default(), &PUBLIC.parse().unwrap());
    let routes = logins.router::<()>().layer(SessionManagerLayer::new(MemoryStore::default()));
    let page = Request::get("/login/demo").body(Body::empty()).unwrap();
    let response = routes.oneshot(page).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert!(!body.contains("other.example.com") && body.contains("Please try again later"), "{body}");
}
