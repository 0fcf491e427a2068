//! What axum calls.

use axum::Router;
use axum::body::Body;
use axum::extract::{OriginalUri, Path, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY};
use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::head::is_speculative;
use super::{FailureCause, Logins};

pub(super) fn router<S: Clone + Send + Sync + 'static>(logins: Logins) -> Router<S> {
    Router::new()
        .route("/login/{id}", get(show_login).post(begin_login))
        .route("/connect/{id}", post(begin_connect))
        .route("/oauth/callback/{platform}/{id}", get(finish))
        .route("/logout", post(log_out))
        .route_layer(from_fn_with_state(logins.clone(), app_path))
        .route_layer(from_fn(guard))
        .with_state(logins)
}

/// Where the app's first page is, for the answers that a host leaves to us.
#[derive(Clone)]
pub(super) struct AppPath(Box<str>);

impl AppPath {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

async fn app_path(State(logins): State<Logins>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(AppPath(logins.0.public_url.path().into()));
    next.run(request).await
}

/// Never cached, never a referrer; and nothing begins or ends that nobody has asked for.
async fn guard(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    if is_speculative(&head) {
        return private(status(StatusCode::SERVICE_UNAVAILABLE));
    }
    private(next.run(Request::from_parts(head, body)).await)
}

async fn show_login(State(logins): State<Logins>, Path(id): Path<String>, request: Request) -> Response {
    let (mut head, _) = request.into_parts();
    // `get` serves HEAD too; a link checker needs no session.
    if head.method != Method::GET {
        return match logins.integration(&id).await {
            Ok(_) => status(StatusCode::OK),
            Err(failure) => status(failure.cause.status()),
        };
    }
    logins.login_page(&id, &mut head).await
}

async fn begin_login(State(logins): State<Logins>, Path(id): Path<String>, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    logins.begin(&id, false, &mut head, body).await
}

async fn begin_connect(State(logins): State<Logins>, Path(id): Path<String>, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    logins.begin(&id, true, &mut head, body).await
}

async fn finish(State(logins): State<Logins>, Path((_, id)): Path<(String, String)>, request: Request) -> Response {
    let (mut head, _) = request.into_parts();
    // A link checker must not spend the login.
    if head.method != Method::GET {
        return status(StatusCode::METHOD_NOT_ALLOWED);
    }
    // The host's handler, its logs and its pages never see the query, which holds the code and the state.
    let path = head.uri.path().parse().unwrap_or_default();
    let uri = std::mem::replace(&mut head.uri, path);
    head.extensions.remove::<OriginalUri>();

    let mut response = logins.finish(&id, &mut head, &uri).await;
    // 307 would send again whatever was posted (RFC 9700 section 4.12).
    if response.status().is_redirection() {
        *response.status_mut() = StatusCode::SEE_OTHER;
    }
    response
}

async fn log_out(State(logins): State<Logins>, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    let result = logins.log_out(&mut head, body).await;
    match result {
        Ok(response) => response,
        Err(failure) => logins.failed(&mut head, failure, None, None).await,
    }
}

const MAX_FORM: usize = 16 * 1024;

/// A form's body; one that is too long is none of ours.
pub(super) async fn form(body: Body) -> Result<axum::body::Bytes, FailureCause> {
    axum::body::to_bytes(body, MAX_FORM).await.map_err(|_| FailureCause::Csrf)
}

/// The field of a form or query; `None` if it is not there exactly once.
pub(super) fn field(form: &[u8], name: &str) -> Option<String> {
    let mut found = url::form_urlencoded::parse(form).filter(|(key, _)| key == name);
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
    let set: [(HeaderName, &str); 2] = [(CACHE_CONTROL, "no-store"), (REFERRER_POLICY, "no-referrer")];
    for (name, value) in set {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
