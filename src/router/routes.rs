//! The handlers that axum calls.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::extract::{OriginalUri, RawPathParams, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, StatusCode, Uri};

use super::operation::Operation;
use super::{FailureCause, LoginRoutes, RequestHead};
use crate::login::Callback;
use crate::login::web::{RESPONSE_HEADERS, is_deliberate};
use crate::values::integration_id::IntegrationId;

impl LoginRoutes {
    /// All routes at their default paths. Merge them into the app's router, or nest them if its public URL has a path.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new()
            .route("/login/{id}", self.login())
            .route("/connect/{id}", self.connect())
            .route("/oauth/callback/{platform}/{id}", self.callback())
            .route("/logout", self.log_out())
    }

    /// The login page (`GET`) and the start of a login (`POST`), for a path with an `{id}`, such as `/sign-in/{id}`. Give the
    /// same path to [`IntegrationBuilder::login_path`](crate::IntegrationBuilder::login_path).
    ///
    /// ```
    /// # fn example(logins: codehost_oauth::router::LoginRoutes) -> Result<(), codehost_oauth::error::ConfigError> {
    /// let app: axum::Router = axum::Router::new()
    ///     .route("/sign-in/{id}", logins.login())
    ///     .route("/auth/callback", logins.callback())
    ///     .route("/session/end", logins.log_out());
    /// # Ok(())
    /// # }
    /// ```
    pub fn login<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        self.route(None, get(show_login).post(begin_login))
    }

    /// The same for one integration, at a path without an `{id}`, such as `/login`.
    pub fn login_with<S: Clone + Send + Sync + 'static>(&self, id: IntegrationId) -> MethodRouter<S> {
        self.route(Some(id), get(show_login).post(begin_login))
    }

    /// The start of a connection (`POST`), for a path with an `{id}`.
    pub fn connect<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        self.route(None, post(begin_connect))
    }

    /// The same for one integration, at a path without an `{id}`.
    pub fn connect_with<S: Clone + Send + Sync + 'static>(&self, id: IntegrationId) -> MethodRouter<S> {
        self.route(Some(id), post(begin_connect))
    }

    /// The callback (`GET`), for any path. The pending login has the integration's id; an `{id}` in the path must be the same.
    ///
    /// If a page of the front end is the callback URL, it passes the parameters on: a `POST` of `application/json` with
    /// `{"code": …, "state": …}` and all other parameters, with the browser's cookies.
    pub fn callback<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        self.route(None, get(finish).post(finish_posted))
    }

    /// Log-out (`POST`).
    pub fn log_out<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        self.route(None, post(log_out))
    }

    fn route<S>(&self, id: Option<IntegrationId>, methods: MethodRouter<Mounted>) -> MethodRouter<S> {
        methods
            .layer(from_fn_with_state(self.clone(), app_path))
            .layer(from_fn(check_request))
            .with_state(Mounted { logins: self.clone(), id })
    }
}

/// The state of one mounted route.
#[derive(Clone)]
struct Mounted {
    logins: LoginRoutes,
    /// The integration, if the route is for only one.
    id: Option<IntegrationId>,
}

impl Mounted {
    /// The id of the route, or the one in the path.
    fn id(&self, path: &RawPathParams) -> Option<String> {
        let in_path = || path.iter().find(|(name, _)| *name == "id").map(|(_, id)| id.to_owned());
        self.id.as_ref().map(ToString::to_string).or_else(in_path)
    }

    /// The same for a route that needs an id. No integration has the empty id.
    fn needed_id(&self, path: &RawPathParams) -> String {
        self.id(path).unwrap_or_default()
    }
}

/// The path of the app's start page, for default responses.
#[derive(Clone)]
pub(super) struct AppPath(Box<str>);

impl AppPath {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

async fn app_path(State(logins): State<LoginRoutes>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(AppPath(logins.0.public_url.path().into()));
    next.run(request).await
}

/// Refuses prefetches and previews, and sets headers against caching and referrers.
async fn check_request(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    // Each route handles HEAD itself.
    if !is_deliberate(&Method::GET, &head.headers) {
        return private(status(StatusCode::SERVICE_UNAVAILABLE));
    }
    private(next.run(Request::from_parts(head, body)).await)
}

async fn show_login(State(mounted): State<Mounted>, path: RawPathParams, request: Request) -> Response {
    let (mut head, _) = request.into_parts();
    let (logins, id) = (&mounted.logins, mounted.needed_id(&path));
    // `get` handles HEAD too. A link checker needs no session.
    if head.method != Method::GET {
        return match logins.integration(&id).await {
            Ok(_) => status(StatusCode::OK),
            Err(failure) => status(failure.cause.status()),
        };
    }
    logins.login_page(&id, &mut head).await
}

async fn begin_login(State(mounted): State<Mounted>, path: RawPathParams, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    mounted.logins.begin(&mounted.needed_id(&path), Operation::BeginLogin, &mut head, body).await
}

async fn begin_connect(State(mounted): State<Mounted>, path: RawPathParams, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    mounted.logins.begin(&mounted.needed_id(&path), Operation::BeginConnect, &mut head, body).await
}

async fn finish(State(mounted): State<Mounted>, path: RawPathParams, request: Request) -> Response {
    let (mut head, _) = request.into_parts();
    // A link checker must not use up the login.
    if head.method != Method::GET {
        return status(StatusCode::METHOD_NOT_ALLOWED);
    }
    let uri = without_query(&mut head);
    // A repetition must have the same path and query.
    let content = format!("{}?{}", uri.path(), uri.query().unwrap_or_default());
    let id = mounted.id(&path);
    let response = mounted.logins.finish(id.as_deref(), &mut head, Callback::from_uri(&uri), &content).await;
    see_other_only(response)
}

async fn finish_posted(State(mounted): State<Mounted>, path: RawPathParams, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    without_query(&mut head);
    let json = head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    // A page of any site could post a form.
    if !json {
        return status(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let parameters: Option<BTreeMap<String, String>> =
        read_body(body).await.ok().and_then(|body| serde_json::from_slice(&body).ok());
    let Some(parameters) = parameters else {
        return status(StatusCode::BAD_REQUEST);
    };
    let pairs = || parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let content = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs()).finish();
    let id = mounted.id(&path);
    see_other_only(mounted.logins.finish(id.as_deref(), &mut head, Callback::from_parameters(pairs()), &content).await)
}

/// Removes the query, which contains code and state, so that the app's handler, logs and pages never see it.
fn without_query(head: &mut RequestHead) -> Uri {
    let path = head.uri.path().parse().unwrap_or_default();
    head.extensions.remove::<OriginalUri>();
    std::mem::replace(&mut head.uri, path)
}

/// With 307, browsers would send the posted data again (RFC 9700 section 4.12).
fn see_other_only(mut response: Response) -> Response {
    if response.status().is_redirection() {
        *response.status_mut() = StatusCode::SEE_OTHER;
    }
    response
}

async fn log_out(State(mounted): State<Mounted>, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    match mounted.logins.log_out_of(&mut head, body).await {
        Ok(response) => response,
        Err(failure) => mounted.logins.failed(Operation::LogOut, &mut head, failure, None, None).await,
    }
}

const MAX_FORM: usize = 16 * 1024;

/// The body of a form. One that is too long does not come from this app.
pub(super) async fn read_body(body: Body) -> Result<axum::body::Bytes, FailureCause> {
    axum::body::to_bytes(body, MAX_FORM).await.map_err(|_| FailureCause::Csrf)
}

/// The field of a form or query; `None` unless it is there exactly once.
pub(super) fn field(form: &[u8], name: &str) -> Option<String> {
    let mut found = form_urlencoded::parse(form).filter(|(key, _)| key == name);
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Some(value.into_owned()),
        _ => None,
    }
}

pub(super) fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

pub(super) fn see_other(location: &str) -> Response {
    let mut response = status(StatusCode::SEE_OTHER);
    match HeaderValue::from_str(location) {
        Ok(location) => _ = response.headers_mut().insert(LOCATION, location),
        Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    response
}

fn private(mut response: Response) -> Response {
    for (name, value) in RESPONSE_HEADERS {
        response.headers_mut().insert(name, value);
    }
    response
}
