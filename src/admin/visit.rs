//! What every handler needs to know about its request.

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use axum::extract::{FromRequestParts, OriginalUri, RawPathParams};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::HeaderValue;
use http::header::SET_COOKIE;
use maud::{Markup, html};

use super::access::{Administrator, Caller};
use super::fault::Fault;
use super::pages::{AdminPage, secure};
use super::{AdminRoutes, assets};
use crate::error::StoreError;
use crate::router::RequestHead;
use crate::settings::{Integrations, IntegrationsError, StoredIntegration};
use crate::values::integration_id::IntegrationId;

/// A request of somebody who may manage these integrations.
pub(super) struct Visit {
    pub(super) view: View,
    pub(super) administrator: Administrator,
}

/// What a page needs, whoever sees it.
pub(super) struct View {
    pub(super) admin: AdminRoutes,
    pub(super) head: RequestHead,
    /// `{owner}` in the path at which the routes are mounted.
    pub(super) owner: Option<String>,
    /// The path at which the routes are mounted, without a slash at the end.
    pub(super) base: String,
    /// Of this browser, for forms.
    pub(super) csrf_token: String,
    /// To set in the response.
    pub(super) cookies: Vec<HeaderValue>,
}

/// A request before anybody has said who it is from.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) admin: AdminRoutes,
    pub(super) head: RequestHead,
    pub(super) owner: Option<String>,
    pub(super) base: String,
    /// `{id}` in the path.
    pub(super) id: Option<String>,
}

impl FromRequestParts<AdminRoutes> for Request {
    type Rejection = Fault;

    async fn from_request_parts(head: &mut RequestHead, admin: &AdminRoutes) -> Result<Self, Fault> {
        let parameters = RawPathParams::from_request_parts(head, admin).await.map_err(|_| Fault::NotFound)?;
        let parameter = |name| parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_owned());
        let (owner, id) = (parameter("owner"), parameter("id"));
        let original = head.extensions.get::<OriginalUri>().map_or(&head.uri, |OriginalUri(uri)| uri).path();
        let base = original.strip_suffix(head.uri.path()).unwrap_or(original).trim_end_matches('/').to_owned();
        Ok(Self { admin: admin.clone(), head: head.clone(), owner, base, id })
    }
}

impl Request {
    /// Asks the app who it is from.
    pub(super) async fn visit(mut self) -> Result<Visit, Fault> {
        let who = self.admin.0.access.who(&mut self.head, self.owner.as_deref()).await.map_err(Fault::App)?;
        let administrator = match who {
            Caller::Administrator(administrator) => administrator,
            Caller::LoggedOut => return Err(Fault::LoggedOut),
            Caller::Other => return Err(Fault::NoAccess),
        };
        Ok(Visit { view: self.view().await?, administrator })
    }

    /// For a page that shows nothing that is stored. A browser without a CSRF token gets none, because that would be stored.
    pub(super) async fn view_of_stranger(self) -> Result<View, Fault> {
        let known = self.admin.0.logins.known_csrf_token(&self.head).await?;
        let Self { admin, head, owner, base, .. } = self;
        Ok(View { admin, head, owner, base, csrf_token: known.unwrap_or_default(), cookies: Vec::new() })
    }

    async fn view(self) -> Result<View, Fault> {
        let csrf = self.admin.0.logins.csrf_token(&self.head).await?;
        let cookies = csrf.set_cookie().cloned().into_iter().collect();
        let Self { admin, head, owner, base, .. } = self;
        Ok(View { admin, head, owner, base, csrf_token: csrf.as_str().to_owned(), cookies })
    }
}

impl Deref for Visit {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}

impl DerefMut for Visit {
    fn deref_mut(&mut self) -> &mut View {
        &mut self.view
    }
}

impl Visit {
    /// A stored integration of this owner.
    pub(super) async fn stored(&self, id: Option<&str>) -> Result<StoredIntegration, Fault> {
        let id: IntegrationId = id.and_then(|id| id.parse().ok()).ok_or(Fault::NotFound)?;
        match self.integrations().load(&id).await {
            Err(IntegrationsError::Store(StoreError::Malformed { .. })) => Err(self.unreadable(&id).await?),
            loaded => loaded?.filter(|stored| stored.owner == self.owner).ok_or(Fault::NotFound),
        }
    }

    /// Whether one that cannot be read is of this owner.
    async fn unreadable(&self, id: &IntegrationId) -> Result<Fault, Fault> {
        let all = self.integrations().list(self.owner.as_deref()).await?;
        let found = all.into_iter().filter_map(Result::err).find(|one| one.id == *id);
        Ok(found.map_or(Fault::NotFound, |one| Fault::Unreadable(Box::new(one))))
    }

    /// A page in the app's layout. `targets` as in [`View::page`].
    pub(super) async fn page(
        self,
        status: http::StatusCode,
        title: &str,
        body: Markup,
        targets: &[String],
    ) -> Response {
        self.view.page(status, title, body, targets).await
    }

    /// A redirect to a path below the one at which the routes are mounted.
    pub(super) fn redirect(self, path: &str) -> Response {
        self.view.redirect(path)
    }
}

impl View {
    pub(super) fn integrations(&self) -> &Integrations {
        &self.admin.0.integrations
    }

    /// The text, or the app's own in its place.
    pub(super) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.admin.0.text(text)
    }

    /// The way back: to the list, and to the integration of this id and name.
    pub(super) fn crumbs(&self, integration: Option<(&IntegrationId, &str)>) -> Markup {
        html! {
            nav.ch-crumbs aria-label=(self.text("Breadcrumb")) {
                a href=(self.path("")) { (self.text("Integrations")) }
                @if let Some((id, name)) = integration { " / " a href=(self.path(&format!("/{id}"))) dir="auto" { (name) } }
            }
        }
    }

    /// How many accounts use an integration, as a sentence.
    pub(super) fn accounts_text(&self, count: Option<u64>) -> String {
        match count {
            None => self.text("This app does not know how many accounts use this integration.").into_owned(),
            Some(0) => self.text("No account uses this integration.").into_owned(),
            Some(1) => self.text("1 account uses this integration.").into_owned(),
            Some(count) => format!("{count} {}", self.text("accounts use this integration.")),
        }
    }

    /// A path below the one at which the routes are mounted. `path` is empty or begins with a slash.
    pub(super) fn path(&self, path: &str) -> String {
        match (self.base.as_str(), path) {
            ("", "") => "/".to_owned(),
            (base, path) => format!("{base}{path}"),
        }
    }

    /// Checks the CSRF token of a form or of the header `x-csrf-token`.
    pub(super) async fn verify_csrf(&self, token: &str) -> Result<(), Fault> {
        Ok(self.admin.0.logins.verify_csrf(&self.head, token).await?)
    }

    /// A redirect to a path below the one at which the routes are mounted.
    pub(super) fn redirect(self, path: &str) -> Response {
        let mut response = Redirect::to(&self.path(path)).into_response();
        secure(&mut response, &[]);
        self.set_cookies(response)
    }

    /// A page in the app's layout. `targets`: origins other than the app's to which its forms lead, because browsers apply
    /// `form-action` to redirects too.
    pub(super) async fn page(
        mut self,
        status: http::StatusCode,
        title: &str,
        body: Markup,
        targets: &[String],
    ) -> Response {
        let page = AdminPage::new(title, assets::head(&self.base), body, status);
        let admin = Arc::clone(&self.admin.0);
        let mut response = admin.pages.layout(&mut self.head, page).await;
        *response.status_mut() = status;
        secure(&mut response, targets);
        self.set_cookies(response)
    }

    pub(super) fn set_cookies(self, mut response: Response) -> Response {
        for cookie in self.cookies {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    }
}
