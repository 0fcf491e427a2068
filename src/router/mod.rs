//! Routes for axum: the login link, the callback, log-out.
//!
//! | route | does |
//! | --- | --- |
//! | `GET /login/{id}` | shows a page with one button |
//! | `POST /login/{id}` | begins a login: 303 to the code host |
//! | `POST /connect/{id}` | the same, to connect another account to the signed-in user |
//! | `GET /oauth/callback/{platform}/{id}` | finishes either: 303 to where [`LoginHost`] says |
//! | `POST /logout` | ends the session |
//!
//! Every `POST` needs this browser's [CSRF token](Logins::csrf_token). Pending logins are in the host's session, from
//! any [tower-sessions](https://docs.rs/tower-sessions) layer, or in a sealed cookie. No URL is built from a request's
//! headers. Everything here is made of the crate's public types, so a host with another framework loses nothing.
//!
//! ```
//! use std::sync::Arc;
//!
//! use axum::response::{IntoResponse, Redirect, Response};
//! use codehost_oauth::router::{HostError, LoginHost, Logins, RequestHead};
//! use codehost_oauth::seal::KeyRing;
//! use codehost_oauth::{Integration, IntegrationId, Login};
//!
//! struct Packages;
//!
//! #[async_trait::async_trait]
//! impl LoginHost for Packages {
//!     async fn integration(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>, HostError> {
//!         Ok(None) // from the host's table
//!     }
//!
//!     async fn logged_in(&self, _: &mut RequestHead, _: &Integration, login: Login) -> Response {
//!         // Find or create the host's user by `login.user.key`, and put it into the host's session.
//!         Redirect::to(login.return_to.as_ref().map_or("/", |path| path.as_str())).into_response()
//!     }
//! }
//!
//! // Five lines: keys, public URL, host, routes.
//! let keys: KeyRing = "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=".parse()?;
//! let public_url = "https://packages.example.com".parse()?;
//! let logins = Logins::in_cookie(Packages, &public_url, keys);
//! let app: axum::Router = axum::Router::new().merge(logins.router());
//!
//! # async fn example(mut app: axum::Router) -> Result<(), Box<dyn std::error::Error>> {
//! use axum::http::Request;
//! use tower_service::Service as _;
//!
//! let answer = app.call(Request::get("/login/nobody").body(String::new())?).await?;
//! assert_eq!(answer.status(), 404);
//! assert_eq!(answer.headers()["cache-control"], "no-store");
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new()?.block_on(example(app))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod browser;
mod failure;
mod host;
mod page;
mod spent;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{OriginalUri, Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY, SET_COOKIE};
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri};

pub use self::browser::CsrfToken;
pub use self::failure::{Failure, FailureCause};
pub use self::host::{HostError, LoginHost, LoginPage};
pub use http::request::Parts as RequestHead;

use self::browser::{Keep, Kept};
use self::spent::Spent;
use crate::error::Error;
use crate::host::{Host, IntegrationId};
use crate::integration::{Integration, LoginStart};
use crate::login::{Callback, Purpose, ReturnTo};
use crate::seal::KeyRing;

/// The logins of one host: what its routes share. Cheap to clone; see the [module](self) for a whole one.
///
/// # Example: a form of the host's own
///
/// ```
/// use axum::extract::Request;
/// use axum::response::{Html, IntoResponse, Response};
/// use codehost_oauth::router::{CsrfToken, Logins};
///
/// async fn page(logins: Logins, request: Request) -> Response {
///     let (head, _) = request.into_parts();
///     match logins.csrf_token(&head).await {
///         Ok(token) => {
///             let form = format!(
///                 "<form method=\"post\" action=\"/logout\"><input type=\"hidden\" name=\"{}\" value=\"{}\">\
///                  <button>Log out</button></form>",
///                 CsrfToken::FIELD,
///                 token.as_str(),
///             );
///             (token, Html(form)).into_response()
///         }
///         Err(failure) => failure.cause.status().into_response(),
///     }
/// }
/// # assert_eq!(CsrfToken::FIELD, "csrf_token");
/// ```
#[derive(Clone)]
pub struct Logins(Arc<Shared>);

struct Shared {
    host: Box<dyn LoginHost>,
    keep: Keep,
    spent: Spent,
}

impl Logins {
    /// Keeps pending logins and the CSRF token in the host's session: mount the routes below a
    /// `tower_sessions::SessionManagerLayer`. Its cookie must be `SameSite=Lax`, since `Strict` ones are not sent when a
    /// code host sends the browser back.
    ///
    /// A finished login renews the session's id before [`LoginHost::logged_in`] is called; log-out deletes the session.
    pub fn in_session(host: impl LoginHost) -> Self {
        Self::new(host, Keep::Session)
    }

    /// Keeps them in cookies: pending logins sealed and for ten minutes, in `__Host-codehost-login`. `public_url` says
    /// whether the host has TLS: on plain HTTP, for development on a loopback address, the cookies are neither `Secure`
    /// nor `__Host-`.
    ///
    /// Whatever session the host has is its own: renew its id in [`LoginHost::logged_in`].
    pub fn in_cookie(host: impl LoginHost, public_url: &Host, keys: KeyRing) -> Self {
        Self::new(host, Keep::cookie(public_url, keys))
    }

    /// The routes, to be merged into the host's own or nested where its public URL has a path.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new()
            .route("/login/{id}", get(show_login).post(begin_login))
            .route("/connect/{id}", post(begin_connect))
            .route("/oauth/callback/{platform}/{id}", get(finish))
            .route("/logout", post(log_out))
            .with_state(self.clone())
    }

    /// This browser's CSRF token, for the host's own forms: for "log out", for a button that posts to `/login/{id}` or
    /// `/connect/{id}`, and for whatever else changes something. Made on first use; the answer must carry it, see
    /// [`CsrfToken`].
    ///
    /// # Errors
    ///
    /// [`FailureCause::Session`] if there is no session, or its store fails.
    pub async fn csrf_token(&self, request: &RequestHead) -> Result<CsrfToken, Failure> {
        let mut browser = self.0.keep.browser(request).await?;
        if let Some(text) = browser.csrf_token() {
            return Ok(CsrfToken::new(text, None));
        }
        let text = browser.new_csrf_token()?;
        Ok(CsrfToken::new(text, self.0.keep.store(request, &browser, Kept::Token).await?))
    }

    /// Whether a form was sent by a page of this host in this browser.
    ///
    /// # Errors
    ///
    /// [`FailureCause::Csrf`] if not.
    pub async fn verify_csrf(&self, request: &RequestHead, token: &str) -> Result<(), Failure> {
        self.0.keep.browser(request).await?.verify_csrf(token)
    }

    fn new(host: impl LoginHost, keep: Keep) -> Self {
        Self(Arc::new(Shared { host: Box::new(host), keep, spent: Spent::default() }))
    }

    async fn integration(&self, id: &str) -> Result<Arc<Integration>, Failure> {
        let id: IntegrationId = id.parse().map_err(|_| FailureCause::UnknownIntegration)?;
        let found = self.0.host.integration(&id).await.map_err(FailureCause::Host)?;
        Ok(found.ok_or(FailureCause::UnknownIntegration)?)
    }

    async fn login_page(&self, id: &str, request: &mut RequestHead) -> Result<Response, Failure> {
        let integration = self.integration(id).await?;
        let csrf_token = self.csrf_token(request).await?;
        let asked = request.uri.query().and_then(|query| field(query.as_bytes(), "return_to"));
        let page = LoginPage {
            link: integration.login_link(),
            csrf_token: csrf_token.as_str(),
            // A path that leads elsewhere is forgotten, not followed.
            return_to: asked.and_then(|path| path.parse().ok()),
        };
        let mut response = self.0.host.login_page(request, page).await;
        add_cookie(&mut response, csrf_token.set_cookie().cloned());
        Ok(response)
    }

    async fn begin(&self, id: &str, connect: bool, request: &mut RequestHead, body: Body) -> Result<Response, Failure> {
        let form = axum::body::to_bytes(body, MAX_FORM).await.map_err(|_| FailureCause::Csrf)?;
        let mut browser = self.0.keep.browser(request).await?;
        browser.verify_csrf(&field(&form, CsrfToken::FIELD).unwrap_or_default())?;

        let integration = self.integration(id).await?;
        let at = |error: crate::error::ConfigError| Failure::at(&integration, Error::from(error).into());
        let return_to: Option<ReturnTo> = field(&form, "return_to").and_then(|path| path.parse().ok());
        let LoginStart { redirect_to, pending } = if connect {
            let user_id = self.user_id(request, &integration).await?;
            integration.begin_connect(&user_id, return_to).map_err(at)?
        } else {
            integration.begin_login(return_to).map_err(at)?
        };
        browser.pending.insert(pending);
        let cookie = self.0.keep.store(request, &browser, Kept::Pending).await?;
        let mut response = see_other(redirect_to.as_str());
        add_cookie(&mut response, cookie);
        Ok(response)
    }

    /// The pending login is taken, and what is left is stored, before anything is looked up or sent.
    async fn finish(&self, id: &str, request: &mut RequestHead, uri: &Uri) -> Result<Response, Failure> {
        let callback = Callback::from_uri(uri).map_err(Error::from)?;
        let mut browser = self.0.keep.browser(request).await?;
        let pending = browser.pending.take(&callback).map_err(Error::from)?;
        let cookie = self.0.keep.store(request, &browser, Kept::Pending).await?;
        if !self.0.spent.spend(pending.state()) {
            return Err(Error::from(crate::error::VerifyError::StateUnknown).into());
        }

        let answer = async {
            let integration = self.integration(id).await?;
            let failed = |error: Error| Failure::at(&integration, error.into());
            match pending.purpose().clone() {
                Purpose::LogIn => {
                    let login = integration.finish_login(pending, callback).await.map_err(failed)?;
                    self.0.keep.renew(request).await?;
                    Ok(self.0.host.logged_in(request, &integration, login).await)
                }
                Purpose::Connect { .. } => {
                    let user_id = self.user_id(request, &integration).await?;
                    let login = integration.finish_connect(&user_id, pending, callback).await.map_err(failed)?;
                    Ok(self.0.host.connected(request, &integration, &user_id, login).await)
                }
            }
        };
        let mut response = match answer.await {
            Ok(response) => response,
            Err(failure) => self.0.host.failed(request, failure).await,
        };
        add_cookie(&mut response, cookie);
        Ok(response)
    }

    async fn log_out(&self, request: &mut RequestHead, body: Body) -> Result<Response, Failure> {
        let form = axum::body::to_bytes(body, MAX_FORM).await.map_err(|_| FailureCause::Csrf)?;
        let token = field(&form, CsrfToken::FIELD).unwrap_or_default();
        self.0.keep.browser(request).await?.verify_csrf(&token)?;
        let response = self.0.host.logged_out(request).await;
        self.0.keep.end(request).await?;
        Ok(response)
    }

    async fn user_id(&self, request: &mut RequestHead, integration: &Arc<Integration>) -> Result<String, Failure> {
        let user_id = self.0.host.user_id(request).await.map_err(FailureCause::Host)?;
        user_id.ok_or_else(|| Failure::at(integration, FailureCause::NotSignedIn))
    }

    /// The answer, or the host's page for what went wrong; never cached, never a referrer.
    async fn answer(&self, request: &mut RequestHead, result: Result<Response, Failure>) -> Response {
        let response = match result {
            Ok(response) => response,
            Err(failure) => self.0.host.failed(request, failure).await,
        };
        private(response)
    }
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Logins").field(&self.0.keep).finish()
    }
}

type Request = http::Request<Body>;

async fn show_login(State(logins): State<Logins>, Path(id): Path<String>, request: Request) -> Response {
    let (mut request, _) = request.into_parts();
    let result = logins.login_page(&id, &mut request).await;
    logins.answer(&mut request, result).await
}

async fn begin_login(State(logins): State<Logins>, Path(id): Path<String>, request: Request) -> Response {
    let (mut request, body) = request.into_parts();
    let result = logins.begin(&id, false, &mut request, body).await;
    logins.answer(&mut request, result).await
}

async fn begin_connect(State(logins): State<Logins>, Path(id): Path<String>, request: Request) -> Response {
    let (mut request, body) = request.into_parts();
    let result = logins.begin(&id, true, &mut request, body).await;
    logins.answer(&mut request, result).await
}

async fn finish(State(logins): State<Logins>, Path((_, id)): Path<(String, String)>, request: Request) -> Response {
    let (mut request, _) = request.into_parts();
    // `get` serves HEAD too; a link checker must not spend the login.
    if request.method != Method::GET {
        return private(status(StatusCode::METHOD_NOT_ALLOWED));
    }
    // The host's handler, its logs and its pages never see the query, which holds the code and the state.
    let path = request.uri.path().parse().unwrap_or_default();
    let uri = std::mem::replace(&mut request.uri, path);
    request.extensions.remove::<OriginalUri>();

    let result = logins.finish(&id, &mut request, &uri).await;
    let mut response = logins.answer(&mut request, result).await;
    // 307 would send again whatever was posted (RFC 9700 section 4.12).
    if response.status().is_redirection() {
        *response.status_mut() = StatusCode::SEE_OTHER;
    }
    response
}

async fn log_out(State(logins): State<Logins>, request: Request) -> Response {
    let (mut request, body) = request.into_parts();
    let result = logins.log_out(&mut request, body).await;
    logins.answer(&mut request, result).await
}

const MAX_FORM: usize = 16 * 1024;

/// The field of a form or query; `None` if it is not there exactly once.
fn field(form: &[u8], name: &str) -> Option<String> {
    let mut found = url::form_urlencoded::parse(form).filter(|(key, _)| key == name);
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Some(value.into_owned()),
        _ => None,
    }
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn see_other(location: &str) -> Response {
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

fn add_cookie(response: &mut Response, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}
