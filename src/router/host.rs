use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use axum::response::Response;

use super::begin::DefaultLogOut;
use super::routes::{AppPath, see_other};
use super::{Failure, FailureCause, RequestHead, page};
use crate::host::IntegrationId;
use crate::integration::{Integration, LoginLink};
use crate::login::{Login, ReturnTo};

/// What goes wrong in the host itself, such as its database.
pub type HostError = Box<dyn std::error::Error + Send + Sync>;

/// What a host brings: its integrations, and what to do with who comes back. Two methods are required.
///
/// A request's URI has no query when it gets here from the callback: no page or log line can show the code. Take what
/// the host's own layers have put into the request from its `extensions`, or with axum's extractors
/// (`FromRequestParts::from_request_parts`).
#[async_trait]
pub trait LoginHost: Send + Sync + 'static {
    /// Finds an integration by its id. Anybody may ask for any id.
    ///
    /// Signature: `async fn integration(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>, HostError>`
    ///
    /// # Errors
    ///
    /// Whatever kept the host from looking.
    async fn integration(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>, HostError>;

    /// Logs in whoever came back: answer with a redirect, to `login.return_to` if there is one and to
    /// [`Integration::app_path`] if not.
    ///
    /// Find the host's user by `login.user.key` and by nothing else; create one if there is none. A browser that drops its
    /// request and repeats it is logged in by the repetition: this may be called twice for one login.
    ///
    /// Signature: `async fn logged_in(&self, request: &mut RequestHead, integration: &Integration, login: Login) -> Response`
    async fn logged_in(&self, request: &mut RequestHead, integration: &Integration, login: Login) -> Response;

    /// The host's own id of who is signed in, asked when an account is to be connected and again when it comes back:
    /// nobody, unless implemented.
    ///
    /// Signature: `async fn user_id(&self, request: &mut RequestHead) -> Result<Option<String>, HostError>`
    ///
    /// # Errors
    ///
    /// Whatever kept the host from looking.
    async fn user_id(&self, _request: &mut RequestHead) -> Result<Option<String>, HostError> {
        Ok(None)
    }

    /// Connects an account to the user who asked for it and is still signed in: answer with a redirect. Refuse a key
    /// that is connected to somebody else. Never called while [`user_id`](Self::user_id) finds nobody.
    ///
    /// Signature: `async fn connected(&self, request: &mut RequestHead, integration: &Integration, user_id: &str,
    /// login: Login) -> Response`
    async fn connected(
        &self,
        request: &mut RequestHead,
        _integration: &Integration,
        _user_id: &str,
        _login: Login,
    ) -> Response {
        self.failed(request, FailureCause::NotSignedIn.into()).await
    }

    /// Says what went wrong, and shows [`Failure::way_on`]: a plain page, unless implemented. At the callback the better
    /// answer is a redirect to a page of the host's own, since the browser still shows the code there. With the feature
    /// `tracing` the failure has been logged.
    ///
    /// Signature: `async fn failed(&self, request: &mut RequestHead, failure: Failure) -> Response`
    async fn failed(&self, _request: &mut RequestHead, failure: Failure) -> Response {
        page::failure(&failure)
    }

    /// Answers a log-out: a redirect to the app's first page, unless implemented. Afterwards the tower-sessions session of
    /// the request is deleted, wherever pending logins are kept. An app whose own session is something else must end it
    /// here.
    ///
    /// Signature: `async fn logged_out(&self, request: &mut RequestHead) -> Response`
    async fn logged_out(&self, request: &mut RequestHead) -> Response {
        let mut response = see_other(request.extensions.get::<AppPath>().map_or("/", AppPath::as_str));
        response.extensions_mut().insert(DefaultLogOut);
        response
    }

    /// Shows the login page: a plain one with one button, unless implemented.
    ///
    /// A `Content-Security-Policy` of this page must let the form lead to the code host: `form-action` applies to the
    /// redirect too.
    ///
    /// Signature: `async fn login_page(&self, request: &mut RequestHead, page: LoginPage<'_>) -> Response`
    async fn login_page(&self, _request: &mut RequestHead, page: LoginPage<'_>) -> Response {
        page::login(&page)
    }
}

/// What a login page shows: a form that posts to `link.url` with the fields `csrf_token` and, if there is one,
/// `return_to`.
#[non_exhaustive]
pub struct LoginPage<'a> {
    /// Button, line below it, and where the form posts to.
    pub link: LoginLink,
    /// The value of the field [`CsrfToken::FIELD`](super::CsrfToken::FIELD).
    pub csrf_token: &'a str,
    /// Where the person wants to go.
    pub return_to: Option<ReturnTo>,
}

/// Neither the CSRF token nor where the user wants to go.
impl fmt::Debug for LoginPage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginPage").field("link", &self.link).finish_non_exhaustive()
    }
}
