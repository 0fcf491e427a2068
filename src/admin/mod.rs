//! Routes for axum: the integrations page of an app's admin area, as HTML and as JSON.
//!
//! An administrator adds an integration (platform and base URL; the setup link, the callback URL and the scopes appear; the id and the
//! secret are pasted back), checks it, tries a login, and shares the login link. Everything works without JavaScript.
//!
//! The app answers who is asking ([`AdminAccess`]) and may put the pages into its own layout ([`AdminPages`]). The routes use
//! the sessions and the CSRF token of the [`LoginRoutes`], which must be mounted too.

mod access;
mod actions;
mod assets;
mod detail;
mod fault;
mod form;
mod json;
mod list;
mod pages;
mod routes;
mod visit;

use std::fmt;
use std::sync::Arc;

pub use self::access::{AdminAccess, Administrator, Asking, Refusal};
pub use self::pages::{AdminPage, AdminPages, PlainPages};
use crate::router::LoginRoutes;
use crate::settings::Integrations;
use crate::values::access::Access;

/// The routes of the integrations page. Cheap to clone. The [module](self) has a whole example.
#[derive(Clone)]
pub struct AdminRoutes(Arc<Shared>);

struct Shared {
    logins: LoginRoutes,
    integrations: Integrations,
    access: Box<dyn AdminAccess>,
    pages: Box<dyn AdminPages>,
    /// What the form proposes.
    preset_access: Access,
}

impl AdminRoutes {
    /// The routes for these integrations, which `logins` must use too. `preset_access` is what the app needs: the form proposes
    /// it.
    pub fn new(
        logins: &LoginRoutes,
        integrations: &Integrations,
        access: impl AdminAccess,
        preset_access: Access,
    ) -> Self {
        Self::with_pages(logins, integrations, access, preset_access, PlainPages)
    }

    /// The same with pages in the app's own layout.
    pub fn with_pages(
        logins: &LoginRoutes,
        integrations: &Integrations,
        access: impl AdminAccess,
        preset_access: Access,
        pages: impl AdminPages,
    ) -> Self {
        Self(Arc::new(Shared {
            logins: logins.clone(),
            integrations: integrations.clone(),
            access: Box::new(access),
            pages: Box::new(pages),
            preset_access,
        }))
    }
}

impl fmt::Debug for AdminRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AdminRoutes").field(&self.0.integrations).finish()
    }
}
