use std::fmt;

use async_trait::async_trait;
use axum::response::Response;

use super::begin::DefaultLogOut;
use super::routes::{AppPath, see_other};
use super::{Failure, FailureCause, RequestHead, page};
use crate::error::AppError;
use crate::integration::{Integration, LoginLink};
use crate::login::{Login, ReturnTo};

/// What an app does after a login. One method is required.
///
/// At the callback, the request's URI has no query, so that no page or log line can show the code. Read what the app's
/// own layers have added to the request from its `extensions`, or with axum's extractors
/// (`FromRequestParts::from_request_parts`).
#[async_trait]
pub trait LoginHandler: Send + Sync + 'static {
    /// Logs the user in. Return a redirect: to `login.return_to` if there is one, otherwise to [`Integration::app_path`].
    ///
    /// Find the app's user by `login.user.key` and by nothing else; create one if there is none. This may be called twice for
    /// one login: a browser that drops its request and repeats it is logged in by the repetition.
    ///
    /// Signature: `async fn logged_in(&self, request: &mut RequestHead, integration: &Integration, login: Login) -> Response`
    async fn logged_in(&self, request: &mut RequestHead, integration: &Integration, login: Login) -> Response;

    /// The app's own id of the logged-in user. It is asked for when a connection begins, and again at the callback. Unless
    /// implemented, no user is logged in.
    ///
    /// Signature: `async fn user_id(&self, request: &mut RequestHead) -> Result<Option<String>, AppError>`
    ///
    /// # Errors
    ///
    /// The app's failure, if it could not look it up.
    async fn user_id(&self, _request: &mut RequestHead) -> Result<Option<String>, AppError> {
        Ok(None)
    }

    /// Connects an account to the user who asked for it and is still logged in. Return a redirect. Refuse a key that is
    /// connected to another user. Never called while [`user_id`](Self::user_id) returns `None`. Unless implemented, it fails as a
    /// mistake of the app.
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
        crate::observe::error(NOT_IMPLEMENTED);
        self.failed(request, FailureCause::LoginHandler(NOT_IMPLEMENTED.into()).into()).await
    }

    /// The response to a failure. It must show [`Failure::continue_path`]. Unless implemented, it is a plain page, or JSON (`error`,
    /// `message`, `continue_path`) if the request accepts `application/json`.
    ///
    /// At the callback, better return a redirect to a page of the app: the browser's address bar still shows the code. With
    /// the feature `tracing`, the failure is logged before this is called.
    ///
    /// Signature: `async fn failed(&self, request: &mut RequestHead, failure: Failure) -> Response`
    async fn failed(&self, request: &mut RequestHead, failure: Failure) -> Response {
        page::failure(request, &failure)
    }

    /// The response to a log-out. Unless implemented, it redirects to the app's start page. Afterwards the routes end the
    /// session that their [`Sessions`](super::Sessions) finds in the request; with
    /// [`in_cookie`](super::LoginRoutes::in_cookie), that of tower-sessions. An app with a session that they do not find must
    /// end it here.
    ///
    /// Signature: `async fn logged_out(&self, request: &mut RequestHead) -> Response`
    async fn logged_out(&self, request: &mut RequestHead) -> Response {
        let mut response = see_other(request.extensions.get::<AppPath>().map_or("/", AppPath::as_str));
        response.extensions_mut().insert(DefaultLogOut);
        response
    }

    /// The login page. Unless implemented, it is a plain page with one button.
    ///
    /// If the page has a `Content-Security-Policy` with `form-action`, allow the code host there: browsers apply it to the
    /// redirect too.
    ///
    /// Signature: `async fn login_page(&self, request: &mut RequestHead, page: LoginPage<'_>) -> Response`
    async fn login_page(&self, _request: &mut RequestHead, page: LoginPage<'_>) -> Response {
        page::login(&page)
    }
}

/// The content of a login page: a form that posts to `link.url` with the fields `csrf_token` and, if there is one,
/// `return_to`.
#[non_exhaustive]
pub struct LoginPage<'a> {
    /// The button's label, the line below it, and the URL that the form posts to.
    pub link: LoginLink,
    /// The value of the field [`CsrfToken::FIELD`](super::CsrfToken::FIELD).
    pub csrf_token: &'a str,
    /// The path to which the user wants to return.
    pub return_to: Option<ReturnTo>,
}

/// Without the CSRF token and the path to return to.
impl fmt::Debug for LoginPage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginPage").field("link", &self.link).finish_non_exhaustive()
    }
}

const NOT_IMPLEMENTED: &str =
    "the app has a link to connect accounts, but does not implement `LoginHandler::connected`";
