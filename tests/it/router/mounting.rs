//! Apps that have their own paths, their own sessions or a front end of their own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use codehost_oauth::error::AppError;
use codehost_oauth::router::{
    AppSession, CsrfToken, LoginHandler, LoginRoutes, RequestHead, SessionSource, TowerSessions,
};
use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{Access, BaseUrl, Integration, IntegrationConfig, IntegrationId, Login, Platform, PublicUrl};
use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{Request, StatusCode};
use tower::ServiceExt as _;

struct App;

#[async_trait]
impl LoginHandler for App {
    async fn logged_in(&self, _: &mut RequestHead, _: &Integration, login: Login) -> Response {
        format!("{} logged in", login.user.key).into_response()
    }
}

/// The sessions of an app with its own session library: one browser, whose session has a number.
#[derive(Clone, Default)]
struct NumberedSessions(Arc<Mutex<HashMap<u32, String>>>, Arc<Mutex<u32>>);

impl SessionSource for NumberedSessions {
    fn session(&self, request: &RequestHead) -> Option<Arc<dyn AppSession>> {
        request.headers.contains_key("x-no-layer").then_some(()).map_or(Some(Arc::new(self.clone())), |()| None)
    }

    fn layer(&self) -> &'static str {
        "the layer of numbers, version 3"
    }
}

#[async_trait]
impl AppSession for NumberedSessions {
    fn id(&self) -> Option<String> {
        let number = *self.1.lock().unwrap();
        self.0.lock().unwrap().contains_key(&number).then(|| format!("session-{number}"))
    }

    async fn load(&self) -> Result<Option<String>, AppError> {
        Ok(self.0.lock().unwrap().get(&*self.1.lock().unwrap()).cloned())
    }

    async fn store(&self, value: String) -> Result<(), AppError> {
        self.0.lock().unwrap().insert(*self.1.lock().unwrap(), value);
        Ok(())
    }

    async fn renew(&self) -> Result<(), AppError> {
        let (mut all, mut number) = (self.0.lock().unwrap(), self.1.lock().unwrap());
        let value = all.remove(&*number).unwrap_or_default();
        *number += 1;
        all.insert(*number, value);
        Ok(())
    }

    async fn end(&self) -> Result<(), AppError> {
        self.0.lock().unwrap().remove(&*self.1.lock().unwrap());
        Ok(())
    }
}

struct TestApp {
    gitlab: FakeGitLab,
    app: Router,
    integration: Integration,
    cookies: Vec<String>,
}

const CLIENT_SECRET: &str = "canary-mounting-secret";

impl TestApp {
    /// `mount` builds the app's router from the routes.
    async fn new(public: &str, sessions: impl SessionSource, mount: impl FnOnce(&LoginRoutes) -> Router) -> Self {
        crate::secrets::leak_check::start();
        let public_url = PublicUrl::danger_allow_http(public).unwrap();
        let callback = format!("{public}/auth/gitlab/done");
        let application = FakeApplication::new("id", CLIENT_SECRET, &callback, "read_user");
        let gitlab = FakeGitLab::builder().application(application).start().await.unwrap();
        let http = HttpClient::builder(Network::public_only().allow_loopback_http()).build().unwrap();
        let base_url = BaseUrl::parse(gitlab.base_url(), http.network()).unwrap();
        let provider = Platform::find("gitlab").unwrap().provider(base_url).unwrap();
        let config = IntegrationConfig {
            id: "demo".parse().unwrap(),
            name: "Demo".to_owned(),
            public_url: public_url.clone(),
            client_id: "id".to_owned(),
            client_secret: CLIENT_SECRET.to_owned(),
            access: Access::SignIn,
        };
        let builder = Integration::builder(provider, http, config);
        let integration = builder.callback_path("/auth/gitlab/done").login_path("/auth/gitlab").build().unwrap();
        let logins = LoginRoutes::with_sessions(integration.clone(), App, &public_url, sessions);
        let form = {
            let logins = logins.clone();
            async move |request: Request<Body>| {
                let token = logins.csrf_token(&request.into_parts().0).await.unwrap();
                let text = token.as_str().to_owned();
                (token, text).into_response()
            }
        };
        let app = mount(&logins).route("/form", get(form));
        Self { gitlab, app, integration, cookies: Vec::new() }
    }

    async fn send(&mut self, request: Request<Body>) -> (http::response::Parts, String) {
        let (mut head, body) = request.into_parts();
        head.headers.insert(COOKIE, self.cookies.join("; ").parse().unwrap());
        let response = self.app.clone().oneshot(Request::from_parts(head, body)).await.unwrap();
        let (head, body) = response.into_parts();
        let set = head.headers.get_all(SET_COOKIE).iter();
        self.cookies.extend(set.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap().to_owned()));
        let body = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
        crate::secrets::leak_check::response("a page of the router", &head.headers, &body);
        (head, body)
    }

    /// Submits the login form at `path`; returns the callback URL.
    async fn begin(&mut self, path: &str) -> url::Url {
        let (_, token) = self.send(Request::get("/form").body(Body::empty()).unwrap()).await;
        let form = Body::from(format!("{}={token}", CsrfToken::FIELD));
        let (head, body) = self.send(Request::post(path).body(form).unwrap()).await;
        assert_eq!(head.status, StatusCode::SEE_OTHER, "{body}");
        let callback = self.gitlab.authorize(head.headers[LOCATION].to_str().unwrap(), "alice").unwrap();
        callback.parse().unwrap()
    }
}

fn own_paths(logins: &LoginRoutes) -> Router {
    let id: IntegrationId = "demo".parse().unwrap();
    Router::new()
        .route("/auth/gitlab", logins.login_with(id))
        .route("/auth/gitlab/done", logins.callback())
        // The app's own; `router()` would have one of the same path.
        .route("/logout", post(async || "the app's own"))
}

#[tokio::test]
async fn every_route_works_at_a_path_of_the_app() {
    let mut test_app = TestApp::new("https://packages.example.com", NumberedSessions::default(), own_paths).await;
    let link = test_app.integration.login_link();
    assert_eq!(link.url.path(), "/auth/gitlab");
    let (_, page) = test_app.send(Request::get("/auth/gitlab").body(Body::empty()).unwrap()).await;
    assert!(page.contains("action=\"/auth/gitlab\""), "{page}");

    let callback = test_app.begin("/auth/gitlab").await;
    assert_eq!(callback.path(), "/auth/gitlab/done");
    let uri = format!("{}?{}", callback.path(), callback.query().unwrap());
    let (head, body) = test_app.send(Request::get(uri).body(Body::empty()).unwrap()).await;
    assert_eq!((head.status, &*body), (StatusCode::OK, "gitlab:demo:2 logged in"));
    let (_, body) = test_app.send(Request::post("/logout").body(Body::empty()).unwrap()).await;
    assert_eq!(body, "the app's own");
}

#[tokio::test]
async fn a_denial_page_links_to_the_apps_login_path() {
    let mut test_app = TestApp::new("https://packages.example.com", NumberedSessions::default(), own_paths).await;
    let callback = test_app.begin("/auth/gitlab").await;
    let state = callback.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let uri = format!("{}?error=access_denied&state={state}", callback.path());
    let (head, page) = test_app.send(Request::get(uri).body(Body::empty()).unwrap()).await;
    assert_eq!(head.status, StatusCode::BAD_REQUEST);
    assert!(page.contains("href=\"/auth/gitlab\""), "{page}");
}

#[tokio::test]
async fn a_front_end_posts_the_parameters_as_json() {
    let mut test_app = TestApp::new("https://packages.example.com", NumberedSessions::default(), own_paths).await;
    let callback = test_app.begin("/auth/gitlab").await;
    let parameters: HashMap<String, String> = callback.query_pairs().into_owned().collect();
    let post = |kind: &str, body: String| {
        let request = Request::post("/auth/gitlab/done").header(CONTENT_TYPE, kind).header(ACCEPT, "application/json");
        request.body(Body::from(body)).unwrap()
    };
    let json = serde_json::to_string(&parameters).unwrap();
    // A page of any site could post a form.
    let (head, _) = test_app.send(post("application/x-www-form-urlencoded", json.clone())).await;
    assert_eq!(head.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let (head, _) = test_app.send(post("application/json", "[]".to_owned())).await;
    assert_eq!(head.status, StatusCode::BAD_REQUEST);

    let wrong = r#"{"code":"canary-code","state":"canary-state"}"#.to_owned();
    let (head, body) = test_app.send(post("application/json", wrong)).await;
    assert_eq!(
        (head.status, &head.headers[CONTENT_TYPE]),
        (StatusCode::BAD_REQUEST, &"application/json".parse().unwrap())
    );
    let failure: HashMap<String, String> = serde_json::from_str(&body).unwrap();
    assert_eq!((&*failure["error"], &*failure["continue_path"]), ("state_unknown", "/"));

    let (head, body) = test_app.send(post("application/json; charset=utf-8", json)).await;
    assert_eq!((head.status, &*body), (StatusCode::OK, "gitlab:demo:2 logged in"));
}

#[tokio::test]
async fn a_missing_session_layer_is_named_on_loopback_only() {
    for (public, is_named) in [("https://packages.example.com", false), ("http://127.0.0.1:9000", true)] {
        let mut test_app = TestApp::new(public, NumberedSessions::default(), own_paths).await;
        let host = public.split("//").nth(1).unwrap();
        let request = Request::get("/auth/gitlab").header("x-no-layer", "").header("host", host);
        let (head, page) = test_app.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(head.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(page.contains("the layer of numbers, version 3"), is_named, "{page}");
    }
    assert!(TowerSessions.layer().contains("tower-sessions 0.15"));
}

/// A login in an intranet without TLS, which the app must allow explicitly.
#[tokio::test]
async fn an_app_without_tls_works_if_it_allows_http() {
    let mut test_app = TestApp::new("http://packages.intranet:8080", NumberedSessions::default(), own_paths).await;
    let callback = test_app.begin("/auth/gitlab").await;
    assert!(callback.as_str().starts_with("http://packages.intranet:8080/auth/gitlab/done?"));
    let uri = format!("{}?{}", callback.path(), callback.query().unwrap());
    let (head, _) = test_app.send(Request::get(uri).body(Body::empty()).unwrap()).await;
    assert_eq!(head.status, StatusCode::OK);
}
