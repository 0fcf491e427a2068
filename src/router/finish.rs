//! From the callback to the app.

use std::sync::Arc;

use axum::response::Response;

use super::backend::StoredLogin;
use super::callback_runs::{CallbackRun, CallbackRunGuard, REPEAT_WINDOW, RunLogin, StateId};
use super::head::{has_cookie, is_same_site};
use super::operation::Operation;
use super::routes::see_other;
use super::{Failure, FailureCause, LoginRoutes, RequestHead};
use crate::error::{CallbackError, Error, VerifyError};
use crate::integration::Integration;
use crate::login::{Callback, Login, PendingLogin, Purpose, ReturnTo};
use crate::observe;
use crate::values::secret::Secret;

impl LoginRoutes {
    /// `id` is the integration's id if the path has one. Otherwise the pending login has it.
    pub(super) async fn finish(
        &self,
        id: Option<&str>,
        request: &mut RequestHead,
        callback: Result<Callback, CallbackError>,
        content: &str,
    ) -> Response {
        let run = match self.join(id, request, callback, content).await {
            Ok(Joined::CallbackRun(run)) => run,
            Ok(Joined::Finished { return_to }) => {
                let path = return_to.as_ref().map_or(self.0.public_url.path(), ReturnTo::as_str);
                return see_other(path);
            }
            Err(failure) => return self.failed(Operation::FinishLogin, request, failure, id, None).await,
        };
        let login = &run.login;
        match self.complete(request, &run).await {
            Ok(mut response) => {
                self.0.backend.set_cookies(request, login.state, Some(login), &mut response);
                response
            }
            Err(failure) => {
                let operation = if login.is_login() { Operation::FinishLogin } else { Operation::FinishConnect };
                let (id, return_to) = (Some(login.integration_id.as_str()), login.return_to.clone());
                let mut response = self.failed(operation, request, failure, id, return_to).await;
                self.0.backend.set_cookies(request, login.state, None, &mut response);
                response
            }
        }
    }

    /// The run that this callback begins, or that an earlier one with the same content has begun.
    async fn join(
        &self,
        id: Option<&str>,
        request: &mut RequestHead,
        callback: Result<Callback, CallbackError>,
        content: &str,
    ) -> Result<Joined, Failure> {
        let callback = callback.map_err(Error::from)?;
        let state = callback.state().map(StateId::of).ok_or_else(|| Error::from(VerifyError::StateMissing))?;
        if let Some(run) = self.find_repeated(state, request, content) {
            return Ok(Joined::CallbackRun(run));
        }
        match self.0.backend.find(request, &callback).await? {
            StoredLogin::Pending { login, binding } => {
                let id = id.unwrap_or_else(|| login.integration().as_str()).to_owned();
                let run = self.begin_run(id, request, callback, *login, binding, content).await;
                Ok(Joined::CallbackRun(run.ok_or_else(|| Error::from(VerifyError::StateUnknown))?))
            }
            StoredLogin::Finished { return_to } => {
                self.0.callback_runs.response_received(state);
                Ok(Joined::Finished { return_to })
            }
            StoredLogin::Nothing => {
                let has_session = self.session_id(request).is_some();
                let lost = !has_session && self.0.backend.needs_session() && !is_same_site(request);
                if lost && self.0.callback_runs.was_login_begun(state) {
                    self.warn_of_lost_session();
                }
                Err(Error::from(VerifyError::StateUnknown).into())
            }
        }
    }

    /// Begins the run on a task of its own: the code works once, so the run must go on if the request is dropped.
    async fn begin_run(
        &self,
        id: String,
        request: &mut RequestHead,
        callback: Callback,
        pending: PendingLogin,
        binding: Secret,
        content: &str,
    ) -> Option<Arc<CallbackRun>> {
        let state = StateId::of(pending.state());
        let session = self.0.backend.stored_session(request).await.unwrap_or_default();
        // If this fails, the pending login is used up in any case.
        let resolved = self.resolve(&id, request, pending.purpose()).await;
        let (integration, user_id) = match &resolved {
            Ok((integration, user_id)) => (Some(Arc::clone(integration)), user_id.clone()),
            Err(_) => (None, pending.purpose().user_id().map(str::to_owned)),
        };
        let return_to = pending.return_to().cloned();
        let login = RunLogin { state, integration_id: id, integration, user_id, return_to, session };
        // No `await` from here to the task, so that a run that has begun always ends.
        let Some(run) = self.0.callback_runs.begin(login, binding, content) else {
            return self.find_repeated(state, request, content);
        };
        let (logins, session) = (self.clone(), self.0.backend.session(request));
        let work = async move {
            logins.0.backend.spend(session, state).await?;
            let (integration, user_id) = resolved?;
            let login = match user_id {
                None => integration.finish_login(pending, callback).await,
                Some(user_id) => integration.finish_connect(&user_id, pending, callback).await,
            };
            // The integration has logged its failures.
            login.map_err(Failure::logged)
        };
        spawn_run(CallbackRunGuard(Arc::clone(&run)), work);
        Some(run)
    }

    /// The run of the same callback, if the same browser sent it before.
    fn find_repeated(&self, state: StateId, request: &RequestHead, content: &str) -> Option<Arc<CallbackRun>> {
        let session = self.session_id(request);
        let holds = |binding: &str| session.as_deref() == Some(binding) || has_cookie(request, binding);
        self.0.callback_runs.find_repeated(state, content, holds)
    }

    async fn resolve(
        &self,
        id: &str,
        request: &mut RequestHead,
        purpose: &Purpose,
    ) -> Result<(Arc<Integration>, Option<String>), Failure> {
        let integration = self.integration(id).await?;
        let user_id = match purpose {
            Purpose::LogIn => None,
            Purpose::Connect { .. } => Some(self.user_id(request).await?),
        };
        Ok((integration, user_id))
    }

    /// Waits for the run, then checks again everything that may have changed meanwhile.
    async fn complete(&self, request: &mut RequestHead, run: &CallbackRun) -> Result<Response, Failure> {
        let outcome = run.outcome().await;
        let finished: Login = outcome.unwrap_or_else(|| Err(Error::from(VerifyError::StateUnknown).into()))?;
        let login = &run.login;
        let found = self.look_up_again(request, login).await;
        // A log-out has precedence over the other errors, and is checked last because the app's look-ups take time.
        if run.is_cancelled() || self.has_logged_out(request, login).await? {
            return Err(FailureCause::LoggedOut.into());
        }
        let integration = found?;
        if let (true, Some(session)) = (login.is_login(), &login.session) {
            // The app may renew the id, which must not look like a log-out to another login of this browser.
            self.0.callback_runs.mark_session_renewed(session);
        }
        self.0.backend.finish(request, login, &self.0.callback_runs).await?;
        Ok(match &login.user_id {
            None => self.0.handler.logged_in(request, &integration, finished).await,
            Some(user_id) => self.0.handler.connected(request, &integration, user_id, finished).await,
        })
    }

    /// The integration, if it is still the one of the login, for the same user.
    async fn look_up_again(&self, request: &mut RequestHead, login: &RunLogin) -> Result<Arc<Integration>, Failure> {
        let integration = match self.integration(&login.integration_id).await {
            Err(Failure { cause: FailureCause::UnknownIntegration, .. }) => {
                return Err(FailureCause::IntegrationChanged.into());
            }
            found => found?,
        };
        if !login.integration.as_ref().is_some_and(|then| integration.is_bound_like(then)) {
            return Err(FailureCause::IntegrationChanged.into());
        }
        if let Some(user_id) = &login.user_id {
            if self.user_id(request).await? != *user_id {
                return Err(Error::from(VerifyError::OtherUser).into());
            }
        }
        Ok(integration)
    }

    /// The id of the session that came with the request.
    fn session_id(&self, request: &RequestHead) -> Option<String> {
        self.0.backend.session(request)?.id()
    }

    /// Whether the session that the browser had is gone, for another reason than that a login has renewed it.
    async fn has_logged_out(&self, request: &RequestHead, login: &RunLogin) -> Result<bool, Failure> {
        match &login.session {
            Some(session) if !self.0.callback_runs.is_renewed(session) => {
                Ok(self.0.backend.stored_session(request).await?.is_none())
            }
            _ => Ok(false),
        }
    }
}

enum Joined {
    CallbackRun(Arc<CallbackRun>),
    Finished { return_to: Option<ReturnTo> },
}

/// Keeps the outcome for repetitions of the callback.
fn spawn_run(guard: CallbackRunGuard, work: impl Future<Output = Result<Login, Failure>> + Send + 'static) {
    observe::spawn(async move {
        let outcome = work.await;
        guard.0.end(outcome);
        let run = Arc::clone(&guard.0);
        drop(guard);
        tokio::time::sleep(REPEAT_WINDOW).await;
        run.forget();
    });
}
