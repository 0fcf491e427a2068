//! From the login page to the redirect, and log-out.

use axum::body::Body;
use axum::response::Response;
use http::header::SET_COOKIE;

use super::callback_runs::StateId;
use super::failure::login_path;
use super::head::{MAX_LOCATION, is_framed, is_other_host};
use super::operation::Operation;
use super::routes::{field, read_body, see_other};
use super::{CsrfToken, Failure, LoginPage, LoginRoutes, RequestHead, page};
use crate::error::{ConfigError, Error};
use crate::integration::LoginStart;
use crate::login::ReturnTo;
use crate::observe;

impl LoginRoutes {
    pub(super) async fn login_page(&self, id: &str, request: &mut RequestHead) -> Response {
        let query = request.uri.query().unwrap_or_default().as_bytes().to_vec();
        // A path that leads to another site is ignored.
        let return_to: Option<ReturnTo> = field(&query, "return_to").and_then(|path| path.parse().ok());
        let was_redirected = field(&query, AT_PUBLIC_URL).is_some();
        match self.try_login_page(id, request, return_to.clone(), was_redirected).await {
            Ok(response) => response,
            Err(failure) => self.failed(Operation::LoginPage, request, failure, Some(id), return_to).await,
        }
    }

    async fn try_login_page(
        &self,
        id: &str,
        request: &mut RequestHead,
        return_to: Option<ReturnTo>,
        was_redirected: bool,
    ) -> Result<Response, Failure> {
        let integration = self.integration(id).await?;
        let link = integration.login_link();
        if is_framed(request) {
            return Ok(page::framed(&link.label, &login_path(link.url.path(), return_to.as_ref())));
        }
        // Cookies of this host name would not be sent to the callback at the public URL. Redirect only once: behind a proxy
        // that replaces the host of each request, every request seems to be at another host.
        if !was_redirected && is_other_host(request, &self.0.public_url) {
            let path = login_path(link.url.as_str(), return_to.as_ref());
            let sign = if path.contains('?') { '&' } else { '?' };
            return Ok(see_other(&format!("{path}{sign}{AT_PUBLIC_URL}=1")));
        }
        let csrf_token = self.csrf_token(request).await?;
        let page = LoginPage { link, csrf_token: csrf_token.as_str(), return_to };
        let mut response = self.0.handler.login_page(request, page).await;
        if let Some(cookie) = csrf_token.set_cookie() {
            response.headers_mut().append(SET_COOKIE, cookie.clone());
        }
        Ok(response)
    }

    pub(super) async fn begin(
        &self,
        id: &str,
        operation: Operation,
        request: &mut RequestHead,
        body: Body,
    ) -> Response {
        let form = match read_body(body).await {
            Ok(form) => form,
            Err(cause) => return self.failed(operation, request, cause.into(), Some(id), None).await,
        };
        let return_to: Option<ReturnTo> = field(&form, "return_to").and_then(|path| path.parse().ok());
        match self.try_begin(id, operation, request, &form, return_to.clone()).await {
            Ok(response) => response,
            Err(failure) => {
                self.report(id, Some(&failure.cause));
                self.failed(operation, request, failure, Some(id), return_to).await
            }
        }
    }

    async fn try_begin(
        &self,
        id: &str,
        operation: Operation,
        request: &mut RequestHead,
        form: &[u8],
        return_to: Option<ReturnTo>,
    ) -> Result<Response, Failure> {
        if is_framed(request) {
            let link = self.integration(id).await?.login_link();
            return Ok(page::framed(&link.label, &login_path(link.url.path(), return_to.as_ref())));
        }
        self.verify_csrf(request, &field(form, CsrfToken::FIELD).unwrap_or_default()).await?;
        let integration = self.integration(id).await?;
        let failed = |error: ConfigError| Failure::from(Error::from(error));
        let start = if operation == Operation::BeginConnect {
            let user_id = self.user_id(request).await?;
            integration.begin_connect(&user_id, return_to).map_err(failed)?
        } else {
            integration.begin_login(return_to).map_err(failed)?
        };
        self.redirect(request, start).await
    }

    /// Sends the browser to the code host, and keeps the pending login.
    pub(super) async fn redirect(&self, request: &RequestHead, start: LoginStart) -> Result<Response, Failure> {
        let LoginStart { redirect_to, pending } = start;
        self.0.callback_runs.note_login_begun(StateId::of(pending.state()));
        let location = redirect_to.as_str();
        let mut response = if location.len() > MAX_LOCATION { page::redirect(location) } else { see_other(location) };
        for cookie in self.0.backend.insert(request, pending, location.len().min(MAX_LOCATION)).await? {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        Ok(response)
    }

    pub(super) async fn log_out_of(&self, request: &mut RequestHead, body: Body) -> Result<Response, Failure> {
        let form = read_body(body).await?;
        self.verify_csrf(request, &field(&form, CsrfToken::FIELD).unwrap_or_default()).await?;
        let mut response = self.0.handler.logged_out(request).await;
        if self.0.backend.session(request).is_none() && response.extensions_mut().remove::<DefaultLogOut>().is_some() {
            observe::error(
                "a log-out ended no session: implement LoginHandler::logged_out, which must end the app's own session, or mount \
                 the routes below the session layer of tower-sessions 0.15",
            );
        }
        for cookie in self.0.backend.end(request, &self.0.callback_runs).await? {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        Ok(response)
    }

    /// Logs, once, that a browser came back without its session.
    pub(super) fn warn_of_lost_session(&self) {
        if !self.0.has_warned.swap(true, std::sync::atomic::Ordering::Relaxed) {
            observe::warn(
                "a browser came back from the code host without its session cookie: set the session \
                 layer's cookie to SameSite=Lax; with SameSite=Strict, tower-sessions' default, browsers do not send it at the callback",
            );
        }
    }
}

/// Marks the response of the default `logged_out`.
#[derive(Clone)]
pub(super) struct DefaultLogOut;

/// The query field of a request that was redirected to the public URL.
const AT_PUBLIC_URL: &str = "at_public_url";
