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
//! any [tower-sessions](https://docs.rs/tower-sessions) layer of version 0.15, or in sealed cookies. No URL is built from a
//! request's headers. Everything here is made of the crate's public types, so a host with another framework loses nothing.
//!
//! | | [`in_session`](Logins::in_session) | [`in_cookie`](Logins::in_cookie) |
//! | --- | --- | --- |
//! | pending logins | the newest eight, in the session | a sealed cookie for each, the newest eight, 6 KB together |
//! | the path to return to | as long as [`ReturnTo`] allows | dropped if the response's head would be longer than 3,500 bytes |
//! | a login renews | the session's id, and the CSRF token | nothing: renew the id of your session in [`LoginHost::logged_in`] |
//! | a login drops the browser's other pending logins | yes | yes; a cookie that was copied before stays good for its hour |
//! | a callback works once | in this process; in all, if the store writes in order | in this process; elsewhere the code is what works once |
//! | log-out | ends the session | ends the tower-sessions session of the request, if there is one, and expires the cookies |
//! | log-out during a callback | no login | no login |
//!
//! **What a session store must not do.** A session that was deleted must not come back when another request that had read it
//! is saved: `SessionStore::save` must change a row that exists, and make none; only `create` makes one. With a store that
//! inserts, such as tower-sessions' own `MemoryStore`, a page that was loading during a log-out undoes it. The routes here
//! look at the session again before a login is finished; no page of the app does. `examples/host/sessions.rs` is a store that
//! does it right. And a session is written as a whole: of two changes at once at two nodes, the later one wins.
//!
//! **Cookies of siblings.** The routes read their own cookies and no others. A session layer reads all or none: put
//! [`readable_cookies`] outside of it, or one cookie of another site below the same domain that is no text ends every session.
//!
//! **What is not a login.** A prefetch, a prerendered page or a preview is answered with 503, and `HEAD` begins and spends
//! nothing. A login page in a frame is a link that opens in the whole window. A login page that was opened at another host
//! name than the public URL is sent there, once.
//!
//! **A callback that comes twice.** If a browser drops its request and repeats it, with the same cookies and the same code, the
//! repetition ends in the login, for 30 seconds after the first one has ended or until the browser has shown that it has the
//! response. A browser that opens the callback of a finished login again is sent on to where it led.
//!
//! **What is logged.** With the feature `tracing`, one event for each failure, at `ERROR` if whoever runs the host must act and at
//! `WARN` otherwise, with its code, integration, audience and hint.
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
//!     async fn logged_in(&self, _: &mut RequestHead, integration: &Integration, login: Login) -> Response {
//!         // Find or create the host's user by `login.user.key`, and put it into the host's session.
//!         Redirect::to(login.return_to.as_ref().map_or(integration.app_path(), |path| path.as_str())).into_response()
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

mod begin;
mod csrf;
mod failure;
mod finish;
mod flights;
mod head;
mod host;
mod keep;
mod page;
mod routes;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::Router;

pub use self::csrf::CsrfToken;
pub use self::failure::{Failure, FailureCause};
pub use self::head::readable_cookies;
pub use self::host::{HostError, LoginHost, LoginPage};
pub use http::request::Parts as RequestHead;

use self::flights::Flights;
use self::keep::{CookieKeep, Keep, SessionKeep};
use crate::host::{Host, IntegrationId};
use crate::integration::Integration;
use crate::login::ReturnTo;
use crate::observe;
use crate::seal::KeyRing;
use crate::secret::Secret;

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
    public_url: Host,
    keep: Keep,
    flights: Flights,
    /// Whether a session cookie that does not come back has been told of.
    told: AtomicBool,
}

impl Logins {
    /// Keeps pending logins and the CSRF token in the host's session: mount the routes below a
    /// `tower_sessions::SessionManagerLayer`. Its cookie must be `SameSite=Lax`, since `Strict` ones are not sent when a
    /// code host sends the browser back. The layer does not show how it is set, so what can be told is told when the first
    /// browser comes back without the session that it left with, once, in the log.
    ///
    /// A finished login renews the session's id before [`LoginHost::logged_in`] is called; log-out deletes the session.
    /// `public_url` is where browsers reach the app.
    pub fn in_session(host: impl LoginHost, public_url: &Host) -> Self {
        Self::new(host, public_url, Keep::Session(SessionKeep::default()))
    }

    /// Keeps them in cookies, each login sealed, for one hour, in a `__Host-codehost-login-…` of its own. `public_url` says
    /// whether the host has TLS: on plain HTTP, for development on a loopback address, the cookies are neither `Secure`
    /// nor `__Host-`. Its digest is in their names, so that two apps on one host name do not meet.
    ///
    /// Whatever session the host has is its own: renew its id in [`LoginHost::logged_in`], and end it in
    /// [`LoginHost::logged_out`] if it is none of tower-sessions.
    pub fn in_cookie(host: impl LoginHost, public_url: &Host, keys: KeyRing) -> Self {
        Self::new(host, public_url, Keep::Cookie(CookieKeep::new(public_url, keys)))
    }

    /// The routes, to be merged into the host's own or nested where its public URL has a path.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        routes::router(self.clone())
    }

    /// This browser's CSRF token, for the host's own forms: for "log out", for a button that posts to `/login/{id}` or
    /// `/connect/{id}`, and for whatever else changes something. Made on first use; the answer must carry it, see
    /// [`CsrfToken`].
    ///
    /// # Errors
    ///
    /// [`FailureCause::NoSessionLayer`] if there is no session, [`FailureCause::Session`] if its store fails.
    pub async fn csrf_token(&self, request: &RequestHead) -> Result<CsrfToken, Failure> {
        if let Some(text) = self.0.keep.csrf(request, &self.0.flights).await? {
            return Ok(CsrfToken::new(text, None));
        }
        let (text, cookie) = self.0.keep.new_csrf(request).await?;
        Ok(CsrfToken::new(text, cookie))
    }

    /// Whether a form was sent by a page of this host in this browser.
    ///
    /// # Errors
    ///
    /// [`FailureCause::Csrf`] if not.
    pub async fn verify_csrf(&self, request: &RequestHead, token: &str) -> Result<(), Failure> {
        let given = Secret::untrusted(token.to_owned());
        match self.0.keep.csrf(request, &self.0.flights).await? {
            Some(token) if token.matches(&given) => Ok(()),
            _ => Err(FailureCause::Csrf.into()),
        }
    }

    fn new(host: impl LoginHost, public_url: &Host, keep: Keep) -> Self {
        Self(Arc::new(Shared {
            host: Box::new(host),
            public_url: public_url.clone(),
            keep,
            flights: Flights::default(),
            told: AtomicBool::new(false),
        }))
    }

    async fn integration(&self, id: &str) -> Result<Arc<Integration>, Failure> {
        let id: IntegrationId = id.parse().map_err(|_| FailureCause::UnknownIntegration)?;
        let found = self.0.host.integration(&id).await.map_err(FailureCause::Host)?;
        Ok(found.ok_or(FailureCause::UnknownIntegration)?)
    }

    async fn user_id(&self, request: &mut RequestHead) -> Result<String, Failure> {
        let user_id = self.0.host.user_id(request).await.map_err(FailureCause::Host)?;
        Ok(user_id.ok_or(FailureCause::NotSignedIn)?)
    }

    /// The host's page for what went wrong, with a way on, after it has been logged.
    async fn failed(
        &self,
        request: &mut RequestHead,
        mut failure: Failure,
        id: Option<&str>,
        return_to: Option<ReturnTo>,
    ) -> axum::response::Response {
        let id = id.and_then(|id| id.parse::<IntegrationId>().ok());
        let mut login_id = id.clone();
        if let (None, Some(id)) = (&failure.integration, &id) {
            // A table that cannot be read now may be read when the link is followed.
            match self.0.host.integration(id).await {
                Ok(Some(found)) => failure.integration = Some(found),
                Ok(None) => login_id = None,
                Err(_) => {}
            }
        }
        failure.leads_on(&self.0.public_url, login_id.as_ref(), return_to);
        if !failure.is_logged() {
            let cause = &failure.cause;
            let operation = "login";
            let report =
                observe::Report { code: cause.code(), audience: cause.audience(), hint: &cause.hint(), note: None };
            observe::failed(operation, id.as_ref().map_or("", IntegrationId::as_str), cause, &report);
        }
        self.0.host.failed(request, failure).await
    }
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Logins").field(&self.0.keep).finish()
    }
}
