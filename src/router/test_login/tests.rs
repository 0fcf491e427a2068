use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::response::IntoResponse as _;
use http::StatusCode;
use http::header::LOCATION;
use tower_service::Service as _;

use super::super::memory_sessions::{Browser, MemorySessions};
use super::*;
use crate::login::{Login, LoginReport};
use crate::router::LoginHandler;
use crate::seal::KeyRing;
use crate::testing::{FakeApplication, FakeGitLab};
use crate::transport::{HttpClient, Network};
use crate::{Access, BaseUrl, FindIntegration, Group, IntegrationConfig, LoginEnd, LoginPolicy, Platform};

/// What the app and its admin pages are told.
#[derive(Clone, Default)]
struct TestApp(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// What a test is about at each look-up; the last one stays.
    tested: Mutex<Vec<Integration>>,
    look_ups: AtomicUsize,
    /// `Ok` with the report, or the code of the failure.
    results: Mutex<Vec<Result<LoginReport, &'static str>>>,
    logins: AtomicUsize,
    ends: AtomicUsize,
}

#[async_trait]
impl FindIntegration for TestApp {
    async fn find(&self, _: &IntegrationId) -> Result<Option<Integration>, AppError> {
        Ok(None) // It is disabled.
    }

    fn login_ended(&self, _: &LoginEnd<'_>) {
        self.0.ends.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl LoginHandler for TestApp {
    async fn logged_in(&self, _: &mut RequestHead, _: &Integration, _: Login) -> Response {
        self.0.logins.fetch_add(1, Ordering::SeqCst);
        see_other("/logged-in")
    }
}

#[async_trait]
impl TestHandler for TestApp {
    async fn user_id(&self, request: &mut RequestHead, _: &IntegrationId) -> Result<Option<String>, AppError> {
        Ok(request.headers.get("x-user").map(|user| user.to_str().unwrap().to_owned()))
    }

    async fn integration(&self, _: &IntegrationId) -> Result<Option<Integration>, AppError> {
        let tested = self.0.tested.lock().unwrap();
        let at = self.0.look_ups.fetch_add(1, Ordering::SeqCst);
        Ok(tested.get(at).or(tested.last()).cloned())
    }

    async fn tested(
        &self,
        _: &LoginRoutes,
        request: &mut RequestHead,
        _: &Integration,
        user_id: &str,
        result: Result<TestLogin, Failure>,
    ) -> Response {
        assert_eq!(request.uri.query(), None, "the handler never sees the code");
        let result = result.map(|test| test.report).map_err(|failure| failure.cause.code());
        let code = result.as_ref().map_or_else(|code| *code, |_| "ok");
        self.0.results.lock().unwrap().push(result.clone());
        ([("x-tested", format!("{user_id} {code}"))], see_other("/admin/report")).into_response()
    }
}

struct Scene {
    gitlab: FakeGitLab,
    app: TestApp,
    routes: LoginRoutes,
    sessions: MemorySessions,
    in_session: bool,
}

impl Scene {
    async fn start(in_session: bool) -> Self {
        let callback = "https://app.example.com/oauth/callback/gitlab/demo";
        let application = FakeApplication::new("id", "s3cr3t", callback, "read_user read_api");
        let gitlab = FakeGitLab::builder().application(application).start().await.unwrap();
        let (app, sessions) = (TestApp::default(), MemorySessions::default());
        let routes = routes(&app, &sessions, in_session);
        routes.set_test_handler(Arc::new(app.clone())).unwrap();
        let scene = Self { gitlab, app, routes, sessions, in_session };
        scene.test(&[scene.built("id", LoginPolicy::everyone())]);
        scene
    }

    /// What the look-ups of the integration give from now on.
    fn test(&self, integrations: &[Integration]) {
        *self.app.0.tested.lock().unwrap() = integrations.to_vec();
        self.app.0.look_ups.store(0, Ordering::SeqCst);
    }

    fn built(&self, client_id: &str, policy: LoginPolicy) -> Integration {
        let network = Network::public_only().allow_loopback_http();
        let base_url = BaseUrl::parse(self.gitlab.base_url(), &network).unwrap();
        let config = IntegrationConfig {
            id: "demo".parse().unwrap(),
            name: "GitLab".to_owned(),
            public_url: "https://app.example.com".parse().unwrap(),
            client_id: client_id.to_owned(),
            client_secret: "s3cr3t".to_owned(),
            access: Access::Read,
        };
        let provider = Platform::find("gitlab").unwrap().provider(base_url).unwrap();
        let builder = Integration::builder(provider, HttpClient::builder(network).build().unwrap(), config);
        builder.policy(policy).build().unwrap()
    }

    fn results(&self) -> Vec<Result<LoginReport, &'static str>> {
        self.app.0.results.lock().unwrap().clone()
    }

    fn exchanges(&self) -> usize {
        self.gitlab.requests().iter().filter(|request| request.form("grant_type").is_some()).count()
    }

    /// Begins a test. Returns the path and query of the callback.
    async fn begin(&self, browser: &mut Browser, user: &str) -> String {
        let integration = self.app.0.tested.lock().unwrap()[0].clone();
        let request = browser.request("/").body(Body::empty()).unwrap().into_parts().0;
        let return_to = Some("/admin".parse().unwrap());
        let response = self.routes.begin_test(&request, &integration, user, return_to).await.unwrap();
        browser.set_cookies(&response);
        let callback = self.gitlab.authorize(response.headers()[LOCATION].to_str().unwrap(), "alice").unwrap();
        callback.strip_prefix("https://app.example.com").unwrap().to_owned()
    }
}

fn routes(app: &TestApp, sessions: &MemorySessions, in_session: bool) -> LoginRoutes {
    let public_url = "https://app.example.com".parse().unwrap();
    if in_session {
        return LoginRoutes::with_sessions(app.clone(), app.clone(), &public_url, sessions.clone());
    }
    let keys = KeyRing::new([(1, [7; 32].as_slice())]).unwrap();
    LoginRoutes::in_cookie(app.clone(), app.clone(), &public_url, keys)
}

/// The status, the header `x-tested` or the location, and the body.
async fn get(browser: &mut Browser, routes: &LoginRoutes, path: &str) -> (StatusCode, String, String) {
    let request = browser.request(path).body(Body::empty()).unwrap();
    let response = routes.router::<()>().call(request).await.unwrap();
    browser.set_cookies(&response);
    let headers = response.headers();
    let told = headers.get("x-tested").or(headers.get(LOCATION));
    let told = told.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let status = response.status();
    let body = to_bytes(response.into_body(), 100_000).await.unwrap();
    (status, told, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_test_ends_in_a_report_and_logs_nobody_in() {
    for in_session in [true, false] {
        let scene = Scene::start(in_session).await;
        let mut browser = Browser::of("admin-1");
        let callback = scene.begin(&mut browser, "admin-1").await;
        let sessions_before: Vec<_> = scene.sessions.0.lock().unwrap().keys().cloned().collect();
        let mut without_response = browser.clone();
        let (status, told, _) = get(&mut browser, &scene.routes, &callback).await;
        assert_eq!((status, &*told), (StatusCode::SEE_OTHER, "admin-1 ok"));
        let report = scene.results().remove(0).unwrap();
        assert!(report.may_log_in() && report.are_tokens_revoked, "{report:?}");
        assert_eq!(report.user.unwrap().key, "gitlab:demo:2");
        // It is no login: no new session, and the app's integrations hear nothing.
        let sessions: Vec<_> = scene.sessions.0.lock().unwrap().keys().cloned().collect();
        assert_eq!(sessions, sessions_before);
        assert_eq!((scene.app.0.logins.load(Ordering::SeqCst), scene.app.0.ends.load(Ordering::SeqCst)), (0, 0));

        // Repeated, it has the same result, and the code is not sent again.
        assert_eq!(get(&mut without_response.clone(), &scene.routes, &callback).await.1, "admin-1 ok");
        assert_eq!(scene.exchanges(), 1);
        // Not for another user, or another browser.
        without_response.user = Some("admin-2");
        let (_, told, body) = get(&mut without_response, &scene.routes, &callback).await;
        assert!(told.is_empty() && body.contains("other_user"), "{body}");
        let (_, told, body) = get(&mut Browser::of("admin-1"), &scene.routes, &callback).await;
        assert!(told.is_empty() && body.contains("state_unknown"), "{body}");
        assert_eq!(scene.results().len(), 2);
        // When the browser has the response, it leads to where the test began.
        let page = browser.request("/").body(Body::empty()).unwrap().into_parts().0;
        scene.routes.csrf_token(&page).await.unwrap();
        assert_eq!(get(&mut browser, &scene.routes, &callback).await.1, "/admin");
        assert_eq!(scene.exchanges(), 1);
    }
}

#[tokio::test]
async fn only_the_user_who_began_a_test_finishes_it() {
    for in_session in [true, false] {
        for (user, told, code) in
            [(Some("admin-2"), "admin-2 other_user", ""), (None, "", "not_logged_in"), (Some("x"), "x other_user", "")]
        {
            let scene = Scene::start(in_session).await;
            let mut browser = Browser::of("admin-1");
            let callback = scene.begin(&mut browser, "admin-1").await;
            browser.user = user;
            let (_, found, body) = get(&mut browser, &scene.routes, &callback).await;
            assert_eq!(found, told, "{body}");
            assert!(body.contains(code), "{body}");
            assert_eq!(scene.exchanges(), 0, "the code was sent");
            assert_eq!(scene.app.0.logins.load(Ordering::SeqCst), 0);
        }
    }
}

#[tokio::test]
async fn without_admin_pages_a_test_is_never_a_login() {
    for in_session in [true, false] {
        let scene = Scene::start(in_session).await;
        let mut browser = Browser::of("admin-1");
        let callback = scene.begin(&mut browser, "admin-1").await;
        let node = routes(&scene.app, &scene.sessions, scene.in_session);
        let (status, told, body) = get(&mut browser, &node, &callback).await;
        assert!(told.is_empty() && body.contains("other_purpose"), "{body}");
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!((scene.exchanges(), scene.app.0.logins.load(Ordering::SeqCst)), (0, 0));
    }
}

#[tokio::test]
async fn a_refused_user_and_a_changed_or_deleted_integration_are_reported() {
    for in_session in [true, false] {
        let scene = Scene::start(in_session).await;
        let policy = LoginPolicy::members_of([Group::path("nobody/there").unwrap()]);
        let [one, other] = ["id", "other"].map(|client_id| scene.built(client_id, policy.clone()));
        scene.test(std::slice::from_ref(&one));
        let mut browser = Browser::of("admin-1");
        let callback = scene.begin(&mut browser, "admin-1").await;
        assert_eq!(get(&mut browser, &scene.routes, &callback).await.1, "admin-1 ok");
        let report = scene.results().remove(0).unwrap();
        assert_eq!(report.refusal.unwrap().code, "not_a_member");
        assert_eq!(report.groups[0].is_member, Some(false));

        // Another OAuth application after the exchange.
        scene.test(&[one.clone(), other]);
        let callback = scene.begin(&mut browser, "admin-1").await;
        assert_eq!(get(&mut browser, &scene.routes, &callback).await.1, "admin-1 integration_changed");

        scene.test(&[one]);
        let callback = scene.begin(&mut browser, "admin-1").await;
        let (path, state) = callback.split_once("?code=").unwrap();
        let denied = format!("{path}?error=access_denied&{}", state.split_once('&').unwrap().1);
        assert_eq!(get(&mut browser, &scene.routes, &denied).await.1, "admin-1 denied");
        // Loaded again, it leads to where the test began.
        assert_eq!(get(&mut browser, &scene.routes, &denied).await.1, "/admin");

        let callback = scene.begin(&mut browser, "admin-1").await;
        scene.test(&[]);
        let (status, told, body) = get(&mut browser, &scene.routes, &callback).await;
        assert_eq!((status, &*told), (StatusCode::NOT_FOUND, ""), "{body}");
        assert_eq!(scene.app.0.logins.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn a_log_out_during_a_test_ends_it() {
    for in_session in [true, false] {
        let scene = Scene::start(in_session).await;
        let mut browser = Browser::of("admin-1");
        let callback = scene.begin(&mut browser, "admin-1").await;
        scene.gitlab.set_latency(Duration::from_millis(200));
        let tab = browser.clone();
        let log_out = async {
            while scene.exchanges() == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let request = tab.request("/").body(Body::empty()).unwrap().into_parts().0;
            scene.routes.0.backend.end(&request, &scene.routes.0.callback_runs).await.unwrap();
        };
        let (response, ()) = futures_util::future::join(get(&mut browser, &scene.routes, &callback), log_out).await;
        let (_, told, body) = response;
        assert!(told.is_empty() && body.contains("logged_out"), "{body}");
        assert!(body.contains("Test login failed"), "{body}");
        assert!(scene.results().is_empty());
    }
}
