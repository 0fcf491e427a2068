//! What the app does after the callback: log in, connect an account, or say why that failed.

use std::sync::Arc;

use async_trait::async_trait;
use axum::response::{IntoResponse as _, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use codehost_oauth::keeper::ConnectionId;
use codehost_oauth::router::{Failure, FailureCause, LoginHandler, LoginPage, RequestHead};
use codehost_oauth::seal::SealContext;
use codehost_oauth::{Integration, Login, TokenSet};
use serde::{Deserialize, Serialize};

use crate::app::{ACCOUNT, App, FOUNDER, session};
use crate::pages::{self, Viewer};
use crate::store::{LoggedIn, Result, now};

/// The path of an invitation before its token. A login that begins on its page returns to it.
pub(crate) const INVITATION: &str = "/invite/";

pub(crate) struct Logins(pub(crate) Arc<App>);

#[async_trait]
impl LoginHandler for Logins {
    async fn user_id(&self, request: &mut RequestHead) -> Result<Option<String>> {
        Ok(self.0.person(request).await?.map(|person| person.id))
    }

    async fn logged_in(&self, request: &mut RequestHead, integration: &Integration, login: Login) -> Response {
        match self.log_in(request, integration, login).await {
            Ok(response) => response,
            Err(error) => self.failed(request, FailureCause::App(error).into()).await,
        }
    }

    async fn connected(&self, request: &mut RequestHead, at: &Integration, user_id: &str, login: Login) -> Response {
        match self.connect(request, at, user_id, login).await {
            Ok(response) => response,
            Err(error) => self.failed(request, FailureCause::App(error).into()).await,
        }
    }

    async fn failed(&self, request: &mut RequestHead, failure: Failure) -> Response {
        let note = FailureNote::of(&failure);
        // The address bar shows the authorization code: redirect to a page without it.
        if request.uri.path().starts_with("/oauth/callback/") {
            return note.redirect(&self.0);
        }
        let viewer = Viewer::without_forms(&self.0, request).await;
        pages::failure(&viewer, &note)
    }

    async fn login_page(&self, request: &mut RequestHead, page: LoginPage<'_>) -> Response {
        let mut viewer = Viewer::without_forms(&self.0, request).await;
        page.csrf_token.clone_into(&mut viewer.token);
        let id = page.link.url.path_segments().and_then(|mut parts| parts.next_back()).and_then(|id| id.parse().ok());
        let stored = match id {
            Some(id) => self.0.integrations.load(&id).await.ok().flatten(),
            None => None,
        };
        let links: Vec<_> = stored.map(|stored| (stored, page.link.clone())).into_iter().collect();
        pages::login(viewer, "Log in", "", &links, page.return_to.as_ref().map(|path| path.as_str()))
    }
}

impl Logins {
    async fn log_in(&self, request: &mut RequestHead, at: &Integration, login: Login) -> Result<Response> {
        let Some(stored) = self.0.stored(at).await? else {
            return Ok(self.failed(request, FailureCause::IntegrationChanged.into()).await);
        };
        let session = session(request)?.clone();
        let return_to = login.return_to.as_ref().map(|path| path.as_str());
        let invitation = return_to.and_then(|path| path.strip_prefix(INVITATION));
        let founder = session.get::<String>(FOUNDER).await?;
        let notice = match self.0.store.log_in(&stored, &login, invitation, founder.as_deref()).await? {
            LoggedIn::Done => "welcome",
            LoggedIn::IsFounder => "founder",
            LoggedIn::NotInvited => {
                let _ = at.revoke(&login.tokens).await;
                return Ok(FailureNote::not_invited().redirect(&self.0));
            }
            LoggedIn::Changed | LoggedIn::OtherUser => {
                return Ok(self.failed(request, FailureCause::IntegrationChanged.into()).await);
            }
        };
        // Whoever knew the id of the session before must not be logged in.
        session.cycle_id().await?;
        session.remove_value(FOUNDER).await?;
        let key = login.user.key.to_string();
        let id = self.0.store.person(&key).await?.map(|person| person.id);
        session.insert(ACCOUNT, (&key, id.unwrap_or_default())).await?;
        let path = return_to.filter(|_| invitation.is_none()).map(str::to_owned);
        let path = path.unwrap_or_else(|| format!("/account?notice={notice}"));
        self.keep(&ConnectionId::from(&login.user.key), login.tokens).await;
        Ok(Redirect::to(&path).into_response())
    }

    async fn connect(
        &self,
        request: &mut RequestHead,
        at: &Integration,
        user_id: &str,
        login: Login,
    ) -> Result<Response> {
        let outcome = match self.0.stored(at).await? {
            Some(stored) => self.0.store.connect(&stored, &login, user_id).await?,
            None => LoggedIn::Changed,
        };
        let notice = match outcome {
            LoggedIn::Done => "connected",
            LoggedIn::Changed => return Ok(self.failed(request, FailureCause::IntegrationChanged.into()).await),
            _ => "other-user",
        };
        if outcome == LoggedIn::Done {
            self.keep(&ConnectionId::from(&login.user.key), login.tokens).await;
        }
        Ok(Redirect::to(&format!("/account?notice={notice}")).into_response())
    }

    /// Stores the tokens. If that fails, the user is logged in all the same: only calls in their name need tokens.
    async fn keep(&self, connection: &ConnectionId, tokens: TokenSet) {
        if let Err(error) = self.0.keeper.import(connection, tokens).await {
            pages::log(&error);
        }
    }
}

/// What the page about a failure shows, to anybody: an administrator finds the causes on the page of the integration. It is sealed
/// in the URL of its page, so that a stranger's failure stores nothing.
#[derive(Serialize, Deserialize)]
pub(crate) struct FailureNote {
    pub(crate) status: u16,
    pub(crate) title: String,
    pub(crate) message: String,
    pub(crate) code: String,
    /// Label and path of the link to log in again.
    pub(crate) again: Option<(String, String)>,
    made: i64,
}

impl FailureNote {
    fn of(failure: &Failure) -> Self {
        let cause = &failure.cause;
        let title = match cause {
            FailureCause::Csrf => "Your request was not accepted",
            _ if cause.code() == "denied" => "You are not logged in",
            _ => "Login failed",
        };
        let label = failure.integration.as_ref().map(|integration| integration.login_link().label);
        Self {
            status: cause.status().as_u16(),
            title: title.to_owned(),
            message: cause.advice().public_message.into_owned(),
            code: cause.public_code().to_owned(),
            again: label.map(|label| (label, failure.continue_path())),
            made: now(),
        }
    }

    fn not_invited() -> Self {
        Self {
            status: 403,
            title: "You have no account here".to_owned(),
            message: "Only users who were invited have one. Ask an administrator of your organization for an invitation link, and \
                      log in with it."
                .to_owned(),
            code: "not_invited".to_owned(),
            again: None,
            made: now(),
        }
    }

    fn redirect(&self, app: &App) -> Response {
        let sealed = serde_json::to_vec(self).ok().and_then(|json| app.store.keys.seal(&CONTEXT, &json).ok());
        let sealed = URL_SAFE_NO_PAD.encode(sealed.unwrap_or_default());
        Redirect::to(&format!("/failed?note={sealed}")).into_response()
    }

    /// Reads the note in the URL of the page, for ten minutes.
    pub(crate) fn open(app: &App, text: &str) -> Option<Self> {
        let json = app.store.keys.open(&CONTEXT, &URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let note: Self = serde_json::from_slice(&json).ok()?;
        (now().saturating_sub(note.made) < 600).then_some(note)
    }
}

const CONTEXT: SealContext<'static> = SealContext { purpose: "failure", integration: "", connection: "" };
