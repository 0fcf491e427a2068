//! What the app does after the callback: log in, connect an account, or show why that failed.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use codehost_oauth::error::{AppError, Audience, Error};
use codehost_oauth::router::{Failure, FailureCause, LoginHandler, LoginPage, RequestHead};
use codehost_oauth::{FindIntegration, Integration, Login};
use serde::{Deserialize, Serialize};
use tower_sessions::Session;

use crate::app::{App, OPERATOR, USER, error, origin};
use crate::form::KEPT_SECRET;
use crate::pages::{self, Viewer};
use crate::store::{Connected, FIRST, LoggedIn, Result};

pub(crate) struct AppLogins(pub(crate) Arc<App>);

#[async_trait]
impl LoginHandler for AppLogins {
    async fn user_id(&self, request: &mut RequestHead) -> Result<Option<String>> {
        Ok(self.0.person(session(request)?).await?.map(|person| person.id))
    }

    async fn logged_in(&self, request: &mut RequestHead, integration: &Integration, login: Login) -> Response {
        match self.log_in(request, integration, &login).await {
            Ok(response) => response,
            Err(error) => self.failed(request, FailureCause::App(error).into()).await,
        }
    }

    async fn connected(
        &self,
        request: &mut RequestHead,
        integration: &Integration,
        user_id: &str,
        login: Login,
    ) -> Response {
        match self.connect(request, integration, user_id, &login).await {
            Ok(response) => response,
            Err(error) => self.failed(request, FailureCause::App(error).into()).await,
        }
    }

    async fn failed(&self, request: &mut RequestHead, failure: Failure) -> Response {
        let note = FailureNote::of(&self.0, request, &failure).await;
        // The address bar shows the authorization code: redirect to a page without it.
        if request.uri.path().starts_with("/oauth/callback/") {
            if let Ok(session) = session(request) {
                if session.insert(FAILURE, &note).await.is_ok() {
                    return Redirect::to("/failed").into_response();
                }
            }
        }
        pages::failure::page(&Viewer::anonymous(), &note)
    }

    async fn login_page(&self, request: &mut RequestHead, page: LoginPage<'_>) -> Response {
        let viewer = match session(request) {
            Ok(session) => Viewer::of(&self.0, session, page.csrf_token.to_owned()).await.unwrap_or_default(),
            Err(_) => Viewer::anonymous(),
        };
        let id = page.link.url.path_segments().and_then(|mut parts| parts.next_back()).map(str::parse);
        let integration = match id {
            Some(Ok(id)) => self.0.find(&id).await.ok().flatten(),
            _ => None,
        };
        let code_host = integration.and_then(|integration| origin(integration.provider().base_url().as_str()));
        pages::login::link(&viewer, &page, code_host)
    }
}

/// A failure, kept in the session until its page is shown, with the texts that this browser may see.
#[derive(Serialize, Deserialize)]
pub(crate) struct FailureNote {
    pub(crate) status: u16,
    pub(crate) code: String,
    /// A sentence that anybody may read.
    pub(crate) message: String,
    /// What the user can do, unless the message says so.
    pub(crate) action: Option<String>,
    /// The cause and its fix, for those who may see them.
    pub(crate) detail: Option<(String, String)>,
    /// Label and path of the link to log in again.
    pub(crate) again: Option<(String, String)>,
    pub(crate) denied: bool,
}

pub(crate) const FAILURE: &str = "failure";

impl FailureNote {
    async fn of(app: &App, request: &RequestHead, failure: &Failure) -> Self {
        let cause = &failure.cause;
        let audience = cause.advice().audience;
        let mut detail = None;
        if audience != Audience::User && may_see(app, request, failure).await.unwrap_or(false) {
            detail = Some((cause.to_string(), cause.advice().hint.into_owned()));
        }
        let again = failure.integration.as_ref().map(|integration| integration.login_link().label);
        Self {
            status: cause.status().as_u16(),
            code: if detail.is_some() { cause.code() } else { cause.public_code() }.to_owned(),
            message: cause.advice().public_message.into_owned(),
            action: action(audience).map(str::to_owned),
            detail,
            again: again.map(|label| (label, failure.continue_path())),
            denied: cause.code() == "denied",
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST)
    }
}

/// What a user can do if the message does not say it already.
fn action(audience: Audience) -> Option<&'static str> {
    match audience {
        Audience::User => None,
        Audience::Administrator => Some("Send your administrator the error code below."),
        Audience::CodeHost => Some("Try again later. If it keeps happening, tell the administrator of the code host."),
        _ => Some("Try again later. If it keeps happening, send the error code below to the people who run this app."),
    }
}

impl AppLogins {
    async fn log_in(&self, request: &RequestHead, integration: &Integration, login: &Login) -> Result<Response> {
        let session = session(request)?;
        let row = self
            .0
            .store
            .integration(integration.id())
            .await?
            .ok_or_else(|| error("the integration has been deleted"))?;
        let has_token = self.0.has_token(session).await?;
        let LoggedIn { person, is_new, promoted } = self.0.store.log_in(&row.organization, login, has_token).await?;
        session.remove_value(KEPT_SECRET).await?;
        session.insert(USER, &person.id).await?;
        if promoted && person.organization == FIRST {
            // They are the administrator now: this browser needs the right of the token no more.
            session.remove_value(OPERATOR).await?;
        }
        let notice = match (promoted, is_new) {
            (true, _) => "Welcome. You have entered the one-time token, so you are the administrator from now on.",
            (false, true) => "Welcome. You have an account here now.",
            (false, false) => "Welcome back.",
        };
        pages::notify(session, notice).await?;
        let path = login.return_to.as_ref().map_or("/account", |path| path.as_str());
        Ok(Redirect::to(path).into_response())
    }

    async fn connect(
        &self,
        request: &RequestHead,
        integration: &Integration,
        user_id: &str,
        login: &Login,
    ) -> Result<Response> {
        let row = self
            .0
            .store
            .integration(integration.id())
            .await?
            .ok_or_else(|| error("the integration has been deleted"))?;
        let person = self.0.store.person(user_id).await?;
        let notice = if person.is_none_or(|person| person.organization != row.organization) {
            "This integration belongs to another organization, so nothing was connected."
        } else {
            match self.0.store.connect(user_id, login).await? {
                Connected::Done => "The account is connected. You can log in with it from now on.",
                Connected::OtherUser => {
                    "This account is connected to another user of this app. If that user is you, log in as that user and \
                     disconnect the account there first."
                }
            }
        };
        pages::notify(session(request)?, notice).await?;
        Ok(Redirect::to("/account").into_response())
    }
}

/// Whether this browser may see the cause: the app's operators may see every cause, an organization's administrators all
/// but those that reveal the network behind the app.
async fn may_see(app: &App, request: &RequestHead, failure: &Failure) -> Result<bool> {
    let session = session(request)?;
    if app.is_operator(session).await? {
        return Ok(true);
    }
    let network = matches!(failure.cause, FailureCause::Login(Error::Transport(_) | Error::Response { .. }));
    let (false, Some(integration)) = (network, &failure.integration) else {
        return Ok(false);
    };
    let Some(row) = app.store.integration(integration.id()).await? else {
        return Ok(false);
    };
    let Some(organization) = app.store.organization(&row.organization).await? else {
        return Ok(false);
    };
    Ok(app.right(&organization, session).await?.is_some())
}

fn session(request: &RequestHead) -> Result<&Session> {
    request.extensions.get::<Session>().ok_or_else(|| -> AppError { "no session layer".into() })
}
