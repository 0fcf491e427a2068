//! Routes for axum: the login link, the callback, log-out.
//!
//! | route | does |
//! | --- | --- |
//! | `GET /login/{id}` | shows a login page with one button |
//! | `POST /login/{id}` | begins a login: 303 to the code host |
//! | `POST /connect/{id}` | the same, to connect another account to the logged-in user |
//! | `GET /oauth/callback/{platform}/{id}` | finishes either, or a test login of the integrations page: 303 to where [`LoginHandler`] says |
//! | `POST /logout` | ends the session |
//!
//! Every form needs this browser's [CSRF token](LoginRoutes::csrf_token). Pending logins are in the app's session, from
//! any [tower-sessions](https://docs.rs/tower-sessions) layer of version 0.15, or in sealed cookies. No URL is built from a
//! request's headers. An app with another framework uses [`Integration`] and [`web`](crate::web).
//!
//! | | [`in_session`](LoginRoutes::in_session) | [`in_cookie`](LoginRoutes::in_cookie) |
//! | --- | --- | --- |
//! | pending logins | the newest eight, in the session | a sealed cookie for each, the newest eight, 6 KB together |
//! | the path to return to | as long as [`ReturnTo`] allows | left out if the response's head would be longer than 3,500 bytes |
//! | a login renews | the session's id, and the CSRF token | nothing: renew the id of your session in [`LoginHandler::logged_in`] |
//! | a login removes the browser's other pending logins | yes | yes; a cookie that was copied before stays valid for its hour |
//! | a callback is used once | by this process; by all, if the store writes in order | by this process; the code host accepts the code once |
//! | log-out | ends the session | ends the tower-sessions session of the request, if there is one, and expires the cookies |
//! | log-out during a callback | no login | no login |
//!
//! **What a session store must do.** A deleted session must not come back when another request that has read it before is
//! saved: `SessionStore::save` must change an existing row only, and `create` alone may insert one. With a store whose `save`
//! inserts, such as tower-sessions' own `MemoryStore`, a page that loads during a log-out restores the session. The routes here
//! read the session again before they finish a login; the app's own pages do not. `SqliteSessions` is such a store (feature
//! `sqlite`).
//! A session is also written as a whole: of two changes at the same time on two nodes, the later one wins.
//!
//! **Cookies of other sites on the same domain.** The routes read only their own cookies. A session layer reads all cookies or
//! none: put [`readable_cookies`] outside of it. Otherwise one cookie of another site that is not text ends every session.
//!
//! **Requests that are not a login.** A prefetch, a prerendered page or a preview gets status 503, and `HEAD` neither begins
//! nor finishes a login. In a frame, the login page is a link that opens in the whole window. A login page that was opened at
//! another host name redirects to the public URL, once.
//!
//! **Repeated callbacks.** If a browser drops its request and repeats it with the same cookies and the same code, the
//! repetition finishes the login. This works for 30 seconds after the first request has ended, or until the browser has
//! received the response. The callback of a finished login redirects to where that login led.
//!
//! **Logs.** With the feature `tracing`, one event for each failure, at `ERROR` if the operator of the app must act and at
//! `WARN` otherwise, with its code, integration, audience and hint.
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::Arc;
//!
//! use axum::response::{IntoResponse, Redirect, Response};
//! use codehost_oauth::router::{LoginHandler, LoginRoutes, RequestHead};
//! use codehost_oauth::seal::KeyRing;
//! use codehost_oauth::{Integration, IntegrationId, Login};
//!
//! struct Packages;
//!
//! #[async_trait::async_trait]
//! impl LoginHandler for Packages {
//!     async fn logged_in(&self, _: &mut RequestHead, integration: &Integration, login: Login) -> Response {
//!         // Find or create the app's user by `login.user.key`, and put it into the app's session.
//!         Redirect::to(login.return_to.as_ref().map_or(integration.app_path(), |path| path.as_str())).into_response()
//!     }
//! }
//!
//! // The app's integrations by their ids, or a type of its own that implements `FindIntegration`.
//! let integrations: HashMap<IntegrationId, Integration> = HashMap::new();
//! let keys: KeyRing = "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=".parse()?;
//! let public_url = "https://packages.example.com".parse()?;
//! let logins = LoginRoutes::in_cookie(integrations, Packages, &public_url, keys);
//! let app: axum::Router = axum::Router::new().merge(logins.router());
//!
//! # async fn example(mut app: axum::Router) -> Result<(), Box<dyn std::error::Error>> {
//! use axum::http::Request;
//! use tower_service::Service as _;
//!
//! let response = app.call(Request::get("/login/nobody").body(String::new())?).await?;
//! assert_eq!(response.status(), 404);
//! assert_eq!(response.headers()["cache-control"], "no-store");
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new()?.block_on(example(app))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backend;
mod begin;
mod callback_runs;
mod csrf;
mod failure;
mod finish;
mod handler;
mod head;
#[cfg(feature = "admin")]
mod kept;
#[cfg(all(test, feature = "admin"))]
#[allow(clippy::unwrap_used, reason = "for tests")]
mod memory_sessions;
mod operation;
mod page;
mod routes;
mod session;
#[cfg(feature = "sqlite")]
mod sqlite_sessions;
mod test_login;

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

pub use self::csrf::CsrfToken;
pub use self::failure::{Failure, FailureCause};
pub use self::handler::{LoginHandler, LoginPage};
pub use self::head::readable_cookies;
pub use self::session::{AppSession, SessionSource, TowerSessions};
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use self::sqlite_sessions::SqliteSessions;
pub(crate) use self::test_login::TestHandler;
pub use http::request::Parts as RequestHead;

use self::backend::Backend;
use self::callback_runs::CallbackRuns;
use self::operation::Operation;
use crate::error::Audience;
use crate::integration::{FindIntegration, Integration, LoginEnd};
use crate::login::ReturnTo;
use crate::observe;
use crate::seal::KeyRing;
use crate::values::integration_id::IntegrationId;
use crate::values::public_url::PublicUrl;
use crate::values::secret::Secret;

/// The routes of an app's logins. Cheap to clone. The [module](self) has a whole example.
///
/// # Example: a form of the app's own
///
/// ```
/// use axum::extract::Request;
/// use axum::response::{Html, IntoResponse, Response};
/// use codehost_oauth::router::{CsrfToken, LoginRoutes};
///
/// async fn page(logins: LoginRoutes, request: Request) -> Response {
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
pub struct LoginRoutes(Arc<Shared>);

struct Shared {
    integrations: Box<dyn FindIntegration>,
    handler: Box<dyn LoginHandler>,
    public_url: PublicUrl,
    backend: Backend,
    callback_runs: CallbackRuns,
    /// Whether a missing session cookie has been logged.
    has_warned: AtomicBool,
    test_handler: OnceLock<Arc<dyn TestHandler>>,
}

impl LoginRoutes {
    /// Keeps pending logins and the CSRF token in the app's session: mount the routes below a
    /// `tower_sessions::SessionManagerLayer`. Its cookie must be `SameSite=Lax`: browsers do not send a `Strict` cookie when a
    /// code host redirects back. The routes cannot read this setting, so they log it once, when a browser comes back without
    /// its session.
    ///
    /// A finished login renews the session's id before [`LoginHandler::logged_in`] is called; log-out deletes the session.
    /// `public_url` is the app's public URL.
    pub fn in_session(integrations: impl FindIntegration, handler: impl LoginHandler, public_url: &PublicUrl) -> Self {
        Self::new(integrations, handler, public_url, Backend::in_session(TowerSessions))
    }

    /// The same with sessions of another kind; see [`SessionSource`].
    pub fn with_sessions(
        integrations: impl FindIntegration,
        handler: impl LoginHandler,
        public_url: &PublicUrl,
        sessions: impl SessionSource,
    ) -> Self {
        Self::new(integrations, handler, public_url, Backend::in_session(sessions))
    }

    /// Keeps pending logins and the CSRF token in cookies: each pending login is sealed in its own
    /// `__Host-codehost-login-…`, for one hour. If `public_url` is plain HTTP, for development on a loopback address, the
    /// cookies are neither `Secure` nor `__Host-`. Their names contain a digest of it, so that two apps on one host name have
    /// different cookies.
    ///
    /// The routes do not renew the app's session: renew its id in [`LoginHandler::logged_in`], and end it in
    /// [`LoginHandler::logged_out`] if it is not one of tower-sessions.
    pub fn in_cookie(
        integrations: impl FindIntegration,
        handler: impl LoginHandler,
        public_url: &PublicUrl,
        keys: KeyRing,
    ) -> Self {
        Self::new(integrations, handler, public_url, Backend::in_cookie(public_url, keys))
    }

    /// This browser's CSRF token, for the app's own forms: "log out", a button that posts to `/login/{id}` or
    /// `/connect/{id}`, and every other form that changes something. It is made on first use. Put it into the response as
    /// well: see [`CsrfToken`].
    ///
    /// # Errors
    ///
    /// [`FailureCause::NoSessionLayer`] if there is no session, [`FailureCause::Session`] if its store fails.
    pub async fn csrf_token(&self, request: &RequestHead) -> Result<CsrfToken, Failure> {
        self.0.backend.confirm_finished_logins(request, &self.0.callback_runs).await?;
        if let Some(text) = self.0.backend.csrf(request).await? {
            return Ok(CsrfToken::new(text, None));
        }
        let (text, cookie) = self.0.backend.new_csrf(request).await?;
        Ok(CsrfToken::new(text, cookie))
    }

    /// The same, if this browser has one already. Stores nothing.
    #[cfg(feature = "admin")]
    pub(crate) async fn known_csrf_token(&self, request: &RequestHead) -> Result<Option<String>, Failure> {
        Ok(self.0.backend.csrf(request).await?.map(|token| token.expose().to_owned()))
    }

    /// Checks that a form was sent by a page of this app in this browser.
    ///
    /// # Errors
    ///
    /// [`FailureCause::Csrf`] if it was not, and as [`csrf_token`](Self::csrf_token).
    pub async fn verify_csrf(&self, request: &RequestHead, token: &str) -> Result<(), Failure> {
        let given = Secret::unchecked(token.to_owned());
        self.0.backend.confirm_finished_logins(request, &self.0.callback_runs).await?;
        match self.0.backend.csrf(request).await? {
            Some(token) if token.matches(&given) => Ok(()),
            _ => Err(FailureCause::Csrf.into()),
        }
    }

    fn new(
        integrations: impl FindIntegration,
        handler: impl LoginHandler,
        public_url: &PublicUrl,
        backend: Backend,
    ) -> Self {
        Self(Arc::new(Shared {
            integrations: Box::new(integrations),
            handler: Box::new(handler),
            public_url: public_url.clone(),
            backend,
            callback_runs: CallbackRuns::default(),
            has_warned: AtomicBool::new(false),
            test_handler: OnceLock::new(),
        }))
    }

    async fn integration(&self, id: &str) -> Result<Integration, Failure> {
        let id: IntegrationId = id.parse().map_err(|_| FailureCause::UnknownIntegration)?;
        let found = self.0.integrations.find(&id).await.map_err(FailureCause::FindIntegration)?;
        let integration = found.ok_or(FailureCause::UnknownIntegration)?;
        if *integration.public_url() != self.0.public_url {
            return Err(FailureCause::OtherPublicUrl.into());
        }
        Ok(integration)
    }

    async fn user_id(&self, request: &mut RequestHead) -> Result<String, Failure> {
        let user_id = self.0.handler.user_id(request).await.map_err(FailureCause::LoginHandler)?;
        Ok(user_id.ok_or(FailureCause::NotLoggedIn)?)
    }

    /// Logs a failure, and gives the app's page for it. `operation` is for the log and the page's heading.
    async fn failed(
        &self,
        operation: Operation,
        request: &mut RequestHead,
        mut failure: Failure,
        id: Option<&str>,
        return_to: Option<ReturnTo>,
    ) -> axum::response::Response {
        let id = id.and_then(|id| id.parse::<IntegrationId>().ok());
        if let (None, Some(id)) = (&failure.integration, &id) {
            failure.integration = self.0.integrations.find(id).await.unwrap_or_default();
        }
        self.complete_failure(operation, &mut failure, id.as_ref(), return_to);
        self.0.handler.failed(request, failure).await
    }

    /// Adds what a page about the failure needs, and logs the failure.
    fn complete_failure(
        &self,
        operation: Operation,
        failure: &mut Failure,
        id: Option<&IntegrationId>,
        return_to: Option<ReturnTo>,
    ) {
        failure.set_context(operation, &self.0.public_url, return_to);
        if !failure.is_logged() {
            let cause = &failure.cause;
            let note = cause.operator_note();
            let id = id.map(IntegrationId::as_str);
            observe::failed(operation.as_str(), id, &cause.with_source(), &cause.advice(), note.as_deref());
        }
    }

    /// Tells the app's integrations how a login or a connection has ended. What a user has caused is no failure of the
    /// integration.
    fn report(&self, id: &str, failure: Option<&FailureCause>) {
        let Ok(id) = id.parse::<IntegrationId>() else { return };
        match failure {
            Some(cause) if cause.advice().audience == Audience::User => {}
            // The cause would tell a tenant about the app's network. The log has it.
            Some(cause) => self.0.integrations.login_ended(&LoginEnd::failure(&id, cause.public_code())),
            None => self.0.integrations.login_ended(&LoginEnd::success(&id)),
        }
    }
}

impl fmt::Debug for LoginRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LoginRoutes").field(&self.0.backend).finish()
    }
}
