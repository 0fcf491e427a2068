//! Routes for axum: the integrations page of an app's admin area, as HTML and as JSON.
//!
//! An administrator adds an integration (platform and base URL; the setup link, the callback URL and the scopes appear; the id and the
//! secret are pasted back), checks it, tries a login, and shares the login link. Everything works without JavaScript.
//!
//! The app answers who is asking ([`AdminAccess`]) and may put the pages into its own layout ([`AdminPages`]). The routes use
//! the sessions and the CSRF token of the [`LoginRoutes`], which must be mounted too.
//!
//! A whole app, with its integrations in memory:
//!
//! ```
//! use async_trait::async_trait;
//! use axum::Router;
//! use axum::response::{IntoResponse, Redirect, Response};
//! use codehost_oauth::admin::{AdminAccess, AdminRoutes, Administrator, Caller};
//! use codehost_oauth::error::AppError;
//! use codehost_oauth::router::{LoginHandler, LoginRoutes, RequestHead};
//! use codehost_oauth::seal::KeyRing;
//! use codehost_oauth::settings::{AppConfig, Integrations, MemoryIntegrations};
//! use codehost_oauth::transport::{HttpClient, Network};
//! use codehost_oauth::{Integration, Login, PublicUrl};
//!
//! #[derive(Clone)]
//! struct Packages;
//!
//! /// The name of the user who is logged in. Take it from your session, and never from a header as here.
//! fn user(request: &RequestHead) -> Option<&str> {
//!     request.headers.get("x-user")?.to_str().ok()
//! }
//!
//! #[async_trait]
//! impl LoginHandler for Packages {
//!     async fn logged_in(&self, _: &mut RequestHead, integration: &Integration, login: Login) -> Response {
//!         // Find or create the app's user by `login.user.key`, and put it into the app's session.
//!         Redirect::to(login.return_to.as_ref().map_or(integration.app_path(), |path| path.as_str())).into_response()
//!     }
//! }
//!
//! #[async_trait]
//! impl AdminAccess for Packages {
//!     async fn who(&self, request: &mut RequestHead, owner: Option<&str>) -> Result<Caller, AppError> {
//!         Ok(match (user(request), owner) {
//!             (Some("jane"), Some("acme")) => Caller::Administrator(Administrator::new("jane", "Jane Doe")),
//!             (Some(_), _) => Caller::Other,
//!             (None, _) => Caller::LoggedOut,
//!         })
//!     }
//! }
//!
//! /// `keys` is what the operator has set: a new `KeyRing` is made of it for each use.
//! fn app(public_url: PublicUrl, keys: &str) -> Result<Router, Box<dyn std::error::Error>> {
//!     let http = HttpClient::builder(Network::public_only()).build()?;
//!     let config = AppConfig::new(public_url.clone(), http);
//!     let integrations = Integrations::new(MemoryIntegrations::default(), config, keys.parse::<KeyRing>()?);
//!     let logins = LoginRoutes::in_cookie(integrations.clone(), Packages, &public_url, keys.parse()?);
//!     let admin = AdminRoutes::new(&logins, &integrations, Packages)?;
//!     Ok(Router::new().merge(logins.router()).nest("/org/{owner}/integrations", admin.router()))
//! }
//!
//! let keys = "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
//! let app = app("https://packages.example.com".parse()?, keys)?;
//!
//! # async fn example(mut app: Router) -> Result<(), Box<dyn std::error::Error>> {
//! use axum::http::Request;
//! use tower_service::Service as _;
//!
//! let page = |user| Request::get("/org/acme/integrations/new").header("x-user", user).body(String::new());
//! assert_eq!(app.call(page("jane")?).await?.status(), 303); // to the form, with the new integration's id in its address
//! assert_eq!(app.call(page("john")?).await?.status(), 403);
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new()?.block_on(example(app))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
mod actions;
mod assets;
mod attempts;
mod change;
mod detail;
mod fault;
mod form;
mod hook;
mod json;
mod list;
mod marks;
mod overview;
mod pages;
mod posted;
mod routes;
mod test_login;
mod time;
mod visit;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

pub use self::access::{AdminAccess, Administrator, Caller, Refusal};
use self::attempts::Attempts;
pub use self::change::{AdminChange, ChangeKind, MAX_INTEGRATIONS};
pub use self::pages::{AdminPage, AdminPages, PlainPages};
use self::test_login::Tester;
use crate::error::ConfigError;
use crate::router::LoginRoutes;
use crate::settings::Integrations;
use crate::values::access::Access;

/// The routes of the integrations page. Cheap to clone. The [module](self) has a whole example.
#[derive(Clone)]
pub struct AdminRoutes(Arc<Shared>);

#[derive(Clone)]
struct Shared {
    logins: LoginRoutes,
    integrations: Integrations,
    access: Arc<dyn AdminAccess>,
    pages: Arc<dyn AdminPages>,
    /// What the form proposes.
    preset_access: Access,
    attempts: Attempts,
}

impl AdminRoutes {
    /// The routes for these integrations, which `logins` must use too. One value can be mounted at several paths.
    ///
    /// # Errors
    ///
    /// [`ConfigError::SecondAdminRoutes`] if there are routes for these `logins` already: a test login comes back to one callback,
    /// and would be checked by the access of the first.
    pub fn new(
        logins: &LoginRoutes,
        integrations: &Integrations,
        access: impl AdminAccess,
    ) -> Result<Self, ConfigError> {
        let access: Arc<dyn AdminAccess> = Arc::new(access);
        let attempts = Attempts::default();
        let tester =
            Tester { integrations: integrations.clone(), access: Arc::clone(&access), attempts: attempts.clone() };
        logins.set_test_handler(Arc::new(tester))?;
        Ok(Self(Arc::new(Shared {
            logins: logins.clone(),
            integrations: integrations.clone(),
            access,
            pages: Arc::new(PlainPages),
            preset_access: Access::SignIn,
            attempts,
        })))
    }

    /// The same for an app that needs this access: the form proposes it. Unless set, [`Access::SignIn`].
    #[must_use]
    pub fn preset_access(self, access: Access) -> Self {
        self.with(|shared| shared.preset_access = access)
    }

    /// The same with pages in the app's own layout. Unless set, [`PlainPages`].
    #[must_use]
    pub fn pages(self, pages: impl AdminPages) -> Self {
        self.with(|shared| shared.pages = Arc::new(pages))
    }

    fn with(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl Shared {
    /// The text, or the app's own in its place.
    fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.pages.text(text).unwrap_or(text.into())
    }
}

impl fmt::Debug for AdminRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AdminRoutes").field(&self.0.integrations).finish()
    }
}
