//! From the callback to the app.

use std::sync::Arc;

use axum::response::Response;

use super::backend::StoredLogin;
use super::callback_runs::{CallbackRun, CallbackRunGuard, Finished, REPEAT_WINDOW, RunLogin, StateId};
use super::head::{has_cookie, is_same_site};
use super::operation::Operation;
use super::routes::see_other;
use super::{Failure, FailureCause, LoginRoutes, RequestHead};
use crate::error::{CallbackError, Error, VerifyError};
use crate::integration::Integration;
use crate::login::{Callback, PendingLogin, Purpose, ReturnTo};
use crate::observe;
use crate::values::integration_id::IntegrationId;
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
        let completed = match login.operation {
            Operation::FinishTest => self.complete_test(request, &run).await,
            _ => self.complete(request, &run).await,
        };
        match completed {
            Ok(mut response) => {
                self.0.backend.set_cookies(request, login.state, Some(login), &mut response);
                response
            }
            Err(failure) => {
                self.report_end(&run, Some(&failure.cause));
                let (id, return_to) = (Some(login.integration_id.as_str()), login.return_to.clone());
                let mut response = self.failed(login.operation, request, failure, id, return_to).await;
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
                let found = FoundLogin { id, callback, pending: *login, binding, content };
                let run = self.begin_run(request, found).await;
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
    async fn begin_run(&self, request: &mut RequestHead, found: FoundLogin<'_>) -> Option<Arc<CallbackRun>> {
        let FoundLogin { id, callback, pending, binding, content } = found;
        let state = StateId::of(pending.state());
        let session = self.0.backend.stored_session(request).await.unwrap_or_default();
        // If this fails, the pending login is used up in any case.
        let resolved = self.resolve(&id, request, pending.purpose()).await;
        let (integration, user_id) = match &resolved {
            Ok((integration, user_id)) => (Some(Arc::clone(integration)), user_id.clone()),
            Err(_) => (None, pending.purpose().user_id().map(str::to_owned)),
        };
        let operation = match pending.purpose() {
            Purpose::LogIn => Operation::FinishLogin,
            Purpose::Connect { .. } => Operation::FinishConnect,
            Purpose::Test { .. } => Operation::FinishTest,
        };
        let return_to = pending.return_to().cloned();
        let login = RunLogin { state, operation, integration_id: id, integration, user_id, return_to, session };
        // No `await` from here to the task, so that a run that has begun always ends.
        let Some(run) = self.0.callback_runs.begin(login, binding, content) else {
            return self.find_repeated(state, request, content);
        };
        let (logins, session) = (self.clone(), self.0.backend.session(request));
        let work = async move {
            logins.0.backend.mark_used(session, state).await?;
            let (integration, user_id) = resolved?;
            let login = |login| Finished::Login(Box::new(login));
            let finished = match (operation, user_id) {
                (Operation::FinishTest, Some(user_id)) => {
                    let test = integration.finish_test(&user_id, pending, callback).await;
                    test.map(|test| Finished::Test(Box::new(test)))
                }
                (_, Some(user_id)) => integration.finish_connect(&user_id, pending, callback).await.map(login),
                (_, None) => integration.finish_login(pending, callback).await.map(login),
            };
            // The integration has logged its failures.
            finished.map_err(Failure::logged)
        };
        self.spawn_run(CallbackRunGuard(Arc::clone(&run)), work);
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
        match purpose {
            Purpose::LogIn => Ok((self.integration(id).await?, None)),
            Purpose::Connect { .. } => {
                let integration = self.integration(id).await?;
                Ok((integration, Some(self.user_id(request).await?)))
            }
            Purpose::Test { .. } => {
                let (integration, user_id) = self.tested_integration(id, request).await?;
                Ok((integration, Some(user_id)))
            }
        }
    }

    /// Waits for the run, then checks again everything that may have changed meanwhile.
    async fn complete(&self, request: &mut RequestHead, run: &CallbackRun) -> Result<Response, Failure> {
        let outcome = run.outcome().await;
        let finished = match outcome.unwrap_or_else(|| Err(Error::from(VerifyError::StateUnknown).into()))? {
            Finished::Login(login) => *login,
            Finished::Test(_) => return Err(Error::from(VerifyError::OtherPurpose).into()),
        };
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
        self.report_end(run, None);
        Ok(match &login.user_id {
            None => self.0.handler.logged_in(request, &integration, finished).await,
            Some(user_id) => self.0.handler.connected(request, &integration, user_id, finished).await,
        })
    }

    /// The integration, if it is still the one of the login, for the same user.
    async fn look_up_again(&self, request: &mut RequestHead, login: &RunLogin) -> Result<Arc<Integration>, Failure> {
        let id: IntegrationId = login.integration_id.parse().map_err(|_| FailureCause::IntegrationGone)?;
        // Another node may have changed it meanwhile.
        let integration = self.0.integrations.find_latest(&id).await.map_err(FailureCause::FindIntegration)?;
        let integration = integration.ok_or(FailureCause::IntegrationGone)?;
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
    pub(super) async fn has_logged_out(&self, request: &RequestHead, login: &RunLogin) -> Result<bool, Failure> {
        match &login.session {
            Some(session) if !self.0.callback_runs.is_renewed(session) => {
                Ok(self.0.backend.stored_session(request).await?.is_none())
            }
            _ => Ok(false),
        }
    }

    /// Keeps the outcome for repetitions of the callback.
    fn spawn_run(
        &self,
        guard: CallbackRunGuard,
        work: impl Future<Output = Result<Finished, Failure>> + Send + 'static,
    ) {
        let logins = self.clone();
        observe::spawn(async move {
            let outcome = work.await;
            if let Err(failure) = &outcome {
                logins.report_end(&guard.0, Some(&failure.cause));
            }
            guard.0.end(outcome);
            let run = Arc::clone(&guard.0);
            drop(guard);
            tokio::time::sleep(REPEAT_WINDOW).await;
            run.forget();
        });
    }

    /// Tells the app's integrations how a login or a connection has ended, once.
    fn report_end(&self, run: &CallbackRun, failure: Option<&FailureCause>) {
        if run.login.operation != Operation::FinishTest && run.report_once() {
            self.report(&run.login.integration_id, failure);
        }
    }
}

/// A callback, and the pending login that it belongs to.
struct FoundLogin<'a> {
    /// The integration's id.
    id: String,
    callback: Callback,
    pending: PendingLogin,
    /// What binds the login to this browser.
    binding: Secret,
    content: &'a str,
}

enum Joined {
    CallbackRun(Arc<CallbackRun>),
    Finished { return_to: Option<ReturnTo> },
}
