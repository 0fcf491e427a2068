//! What the app does after the callback: log in, connect an account, or say why that failed.

use async_trait::async_trait;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use codehost_oauth::keeper::ConnectionId;
use codehost_oauth::router::{Failure, FailureCause, LoginHandler, LoginPage, RequestHead};
use codehost_oauth::{Integration, Login};

use crate::app::{ACCOUNT, App, FOUNDER, Visit, log};
use crate::pages;
use crate::store::{FIRST, HAS_ADMINISTRATOR, Result, exists};

/// The path of an invitation before its token. A login that begins on its page returns to it.
pub(crate) const INVITATION: &str = "/invite/";

#[async_trait]
impl LoginHandler for App {
    async fn user_id(&self, request: &mut RequestHead) -> Result<Option<String>> {
        Ok(Visit::of(self, request).await?.person.map(|person| person.id))
    }

    async fn logged_in(&self, request: &mut RequestHead, at: &Integration, login: Login) -> Response {
        self.finish(request, at, login, None).await
    }

    async fn connected(&self, request: &mut RequestHead, at: &Integration, user_id: &str, login: Login) -> Response {
        self.finish(request, at, login, Some(user_id)).await
    }

    async fn failed(&self, request: &mut RequestHead, failure: Failure) -> Response {
        // This page must be shown also if the database fails.
        pages::failure(Visit::of(self, request).await.ok().as_ref(), &failure)
    }

    async fn login_page(&self, request: &mut RequestHead, page: LoginPage<'_>) -> Response {
        let return_to = page.return_to.as_ref().map(|path| path.as_str());
        let body = pages::login("Log in", "", &[page.link], page.csrf_token, return_to);
        pages::show(Visit::of(self, request).await.ok().as_ref(), StatusCode::OK, "Log in", &body)
    }
}

impl App {
    /// `to`: the user to whom the account is to be connected.
    async fn finish(&self, request: &mut RequestHead, at: &Integration, login: Login, to: Option<&str>) -> Response {
        match self.log_in(request, at, login, to).await {
            Ok(response) => response,
            Err(error) => {
                log(&error);
                let cause = error.downcast::<FailureCause>().map_or_else(FailureCause::LoginHandler, |cause| *cause);
                self.failed(request, cause.into()).await
            }
        }
    }

    async fn log_in(&self, head: &RequestHead, at: &Integration, login: Login, to: Option<&str>) -> Result<Response> {
        let visit = Visit::of(self, head).await?;
        let stored = self.integrations.load(at.id()).await?.ok_or(FailureCause::IntegrationGone)?;
        if !self.integrations.build_stored(&stored)?.is_bound_like(at) {
            return Err(FailureCause::IntegrationChanged.into());
        }
        let return_to = login.return_to.as_ref().map(|path| path.as_str());
        let invitation = return_to.and_then(|path| path.strip_prefix(INVITATION)).unwrap_or_default();
        let founder = visit.founder.as_deref().unwrap_or_default();
        let done = self.store.log_in(&stored, &login.user, to, invitation, founder).await?;
        let Some((person, is_founder)) = done else {
            if to.is_some() {
                return visit.tell(OTHER_USER).await;
            }
            let _ = at.revoke(&login.tokens).await;
            let has_administrator = exists(&self.store.0, HAS_ADMINISTRATOR, &[FIRST, ""]).await?;
            let text = if has_administrator { NOT_INVITED } else { NOT_THE_FOUNDER };
            return Ok(visit.say(StatusCode::FORBIDDEN, "You have no account here", text));
        };
        // Only calls in the user's name need tokens, so a login does not fail without them.
        if let Err(error) = self.keeper.import(&ConnectionId::from(&login.user.key), login.tokens).await {
            log(&error);
        }
        if to.is_some() {
            return visit.tell("The account is connected. You can log in with it from now on.").await;
        }
        // Whoever knew the id of the session before must not be logged in.
        visit.session.cycle_id().await?;
        visit.session.remove_value(FOUNDER).await?;
        visit.session.insert(ACCOUNT, (login.user.key.to_string(), person)).await?;
        match return_to.filter(|_| invitation.is_empty() && !is_founder) {
            Some(path) => Ok(Redirect::to(path).into_response()),
            None if is_founder => visit.tell("Welcome. You are the administrator from now on.").await,
            None => Ok(Redirect::to("/account").into_response()),
        }
    }
}

const NOT_INVITED: &str = "Only users who were invited have one. Ask an administrator of your organization for an invitation link, and log in with it.";
const NOT_THE_FOUNDER: &str = "Only users who were invited have one, and there is no administrator yet who can invite you. If you run this app, log in with the browser in which you began the setup. If you cannot, start the app again, and open its new setup link.";
const OTHER_USER: &str =
    "Nothing was connected: the account is connected to another user of this app, or belongs to another organization.";
