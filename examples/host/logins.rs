//! What the app does when somebody comes back from a code host.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use codehost_oauth::error::{Audience, Error};
use codehost_oauth::router::{Failure, FailureCause, HostError, LoginHost, LoginPage, RequestHead};
use codehost_oauth::{Integration, IntegrationId, Login};
use serde::{Deserialize, Serialize};
use tower_sessions::Session;

use crate::app::{App, OPERATOR, USER, error, origin};
use crate::form::KEPT_SECRET;
use crate::pages::{self, Viewer};
use crate::store::{Arrival, Connected, FIRST, Result};

pub(crate) struct Doors(pub(crate) Arc<App>);

#[async_trait]
impl LoginHost for Doors {
    async fn integration(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>> {
        self.0.integration(id).await
    }

    async fn user_id(&self, request: &mut RequestHead) -> Result<Option<String>> {
        Ok(self.0.person(session(request)?).await?.map(|person| person.id))
    }

    async fn logged_in(&self, request: &mut RequestHead, integration: &Integration, login: Login) -> Response {
        match self.arrive(request, integration, &login).await {
            Ok(response) => response,
            Err(error) => self.failed(request, FailureCause::Host(error).into()).await,
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
            Err(error) => self.failed(request, FailureCause::Host(error).into()).await,
        }
    }

    async fn failed(&self, request: &mut RequestHead, failure: Failure) -> Response {
        let note = FailureNote::of(&self.0, request, &failure).await;
        // The address bar shows the code there: go on to a page of its own.
        if request.uri.path().starts_with("/oauth/callback/") {
            if let Ok(session) = session(request) {
                if session.insert(FAILURE, &note).await.is_ok() {
                    return Redirect::to("/failed").into_response();
                }
            }
        }
        pages::failure::page(&Viewer::stranger(), &note)
    }

    async fn login_page(&self, request: &mut RequestHead, page: LoginPage<'_>) -> Response {
        let viewer = match session(request) {
            Ok(session) => Viewer::of(&self.0, session, page.csrf_token.to_owned()).await.unwrap_or_default(),
            Err(_) => Viewer::stranger(),
        };
        let id = page.link.url.path_segments().and_then(|mut parts| parts.next_back()).map(str::parse);
        let integration = match id {
            Some(Ok(id)) => self.0.integration(&id).await.ok().flatten(),
            _ => None,
        };
        let code_host = integration.and_then(|integration| origin(integration.provider().base_url().as_str()));
        pages::login::link(&viewer, &page, code_host)
    }
}

/// A failure as it is kept until its page is shown, with the texts that this browser may see.
#[derive(Serialize, Deserialize)]
pub(crate) struct FailureNote {
    pub(crate) status: u16,
    pub(crate) code: String,
    /// What anybody may read.
    pub(crate) message: String,
    pub(crate) who: String,
    /// What exactly happened and how to mend it, for those who can.
    pub(crate) detail: Option<(String, String)>,
    /// Label and path of the login link.
    pub(crate) again: Option<(String, String)>,
    pub(crate) denied: bool,
}

pub(crate) const FAILURE: &str = "failure";

impl FailureNote {
    async fn of(app: &App, request: &RequestHead, failure: &Failure) -> Self {
        let cause = &failure.cause;
        let audience = cause.audience();
        let mut detail = None;
        if audience != Audience::User && may_see(app, request, failure).await.unwrap_or(false) {
            detail = Some((cause.to_string(), cause.hint().into_owned()));
        }
        let again = failure.integration.as_ref().map(|integration| integration.login_link().label);
        Self {
            status: cause.status().as_u16(),
            code: cause.code().to_owned(),
            message: cause.public_message().into_owned(),
            who: who(audience).to_owned(),
            detail,
            again: again.map(|label| (label, failure.way_on())),
            denied: cause.code() == "denied",
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST)
    }
}

/// Who must act.
pub(crate) fn who(audience: Audience) -> &'static str {
    match audience {
        Audience::User => "You",
        Audience::Administrator => "The administrator of this integration",
        Audience::CodeHost => "Whoever runs the code host",
        _ => "Whoever runs this app",
    }
}

impl Doors {
    async fn arrive(&self, request: &RequestHead, integration: &Integration, login: &Login) -> Result<Response> {
        let session = session(request)?;
        let row = self.0.store.integration(integration.id()).await?.ok_or_else(|| error("the integration is gone"))?;
        let has_token = self.0.has_token(session).await?;
        let Arrival { person, is_new, promoted } = self.0.store.arrive(&row.organization, login, has_token).await?;
        session.remove_value(KEPT_SECRET).await?;
        session.insert(USER, &person.id).await?;
        if promoted && person.organization == FIRST {
            // The token has done its work; from now on they are what they are.
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
        let row = self.0.store.integration(integration.id()).await?.ok_or_else(|| error("the integration is gone"))?;
        let person = self.0.store.person(user_id).await?;
        let notice = if person.is_none_or(|person| person.organization != row.organization) {
            "This integration belongs to another organization, so nothing was connected."
        } else {
            match self.0.store.connect(user_id, login).await? {
                Connected::Done => "The account is connected. You can log in with it from now on.",
                Connected::SomebodyElses => {
                    "That account is connected to somebody else here. Disconnect it there first; accounts are never joined."
                }
            }
        };
        pages::notify(session(request)?, notice).await?;
        Ok(Redirect::to("/account").into_response())
    }
}

/// Causes that tell about the network behind this app are for who runs it; others also for the administrator.
async fn may_see(app: &App, request: &RequestHead, failure: &Failure) -> Result<bool> {
    let session = session(request)?;
    if app.is_operator(session).await? {
        return Ok(true);
    }
    let network = matches!(failure.cause, FailureCause::Login(Error::Transport(_) | Error::Answer { .. }));
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
    request.extensions.get::<Session>().ok_or_else(|| -> HostError { "no session layer".into() })
}
