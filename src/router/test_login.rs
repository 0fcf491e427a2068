//! Test logins: an administrator tries whether logins work, and gets a report. Nobody is logged in.

use std::sync::Arc;

use async_trait::async_trait;
use axum::response::Response;

use super::callback_runs::{CallbackRun, Finished, RunLogin};
use super::operation::Operation;
use super::routes::see_other;
use super::{Failure, FailureCause, LoginRoutes, RequestHead};
#[cfg(feature = "admin")]
use crate::error::ConfigError;
use crate::error::{AppError, Error, VerifyError};
use crate::integration::Integration;
use crate::login::{ReturnTo, TestLogin};
use crate::values::integration_id::IntegrationId;

/// Who may test an integration, and what happens afterwards. Give it to [`LoginRoutes::set_test_handler`].
///
/// At the callback, it gets a request that has not passed through the layers of the admin routes.
#[async_trait]
pub(crate) trait TestHandler: Send + Sync + 'static {
    /// The app's own id of the user who is logged in, if they may test this integration. It is asked for at the callback, before
    /// the code is exchanged and again afterwards.
    async fn user_id(&self, request: &mut RequestHead, id: &IntegrationId) -> Result<Option<String>, AppError>;

    /// The integration that a test of this id is about, as it is stored now: it may be disabled, or a proposal at another base
    /// URL. It is asked for before the code is exchanged and again afterwards.
    async fn integration(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>, AppError>;

    /// The response to the callback of `user_id`, who is still logged in, and has begun the test if there is a result. Return a
    /// redirect: the browser's address bar still shows the code. A failure has been logged. It may be called twice for one test: a
    /// browser that drops its request may repeat it.
    async fn tested(
        &self,
        logins: &LoginRoutes,
        request: &mut RequestHead,
        integration: &Integration,
        user_id: &str,
        result: Result<TestLogin, Failure>,
    ) -> Response;
}

#[cfg(feature = "admin")]
impl LoginRoutes {
    /// Sets what test logins need, once. The handler must not own these routes, which own it.
    pub(crate) fn set_test_handler(&self, handler: Arc<dyn TestHandler>) -> Result<(), ConfigError> {
        self.0.test_handler.set(handler).map_err(|_| ConfigError::SecondAdminRoutes)
    }

    /// Begins a test login of the logged-in user: the response redirects to the code host. Call it for a `POST` whose CSRF token
    /// was [verified](LoginRoutes::verify_csrf), and not in a frame.
    pub(crate) async fn begin_test(
        &self,
        request: &RequestHead,
        integration: &Integration,
        user_id: &str,
        return_to: Option<ReturnTo>,
    ) -> Result<Response, Failure> {
        let start = integration.begin_test(user_id, return_to).map_err(Error::from)?;
        self.redirect(request, start).await
    }
}

impl LoginRoutes {
    /// The integration that a test is about, and the user who may test it.
    pub(super) async fn tested_integration(
        &self,
        id: &str,
        request: &mut RequestHead,
    ) -> Result<(Arc<Integration>, String), Failure> {
        let id: IntegrationId = id.parse().map_err(|_| FailureCause::UnknownIntegration)?;
        let handler = self.test_handler()?;
        let integration = handler.integration(&id).await.map_err(FailureCause::FindIntegration)?;
        let user_id = handler.user_id(request, &id).await.map_err(FailureCause::LoginHandler)?;
        Ok((integration.ok_or(FailureCause::UnknownIntegration)?, user_id.ok_or(FailureCause::NotLoggedIn)?))
    }

    /// Waits for the run, then checks again everything that may have changed meanwhile. Only the user who has begun the test gets
    /// its result.
    pub(super) async fn complete_test(
        &self,
        request: &mut RequestHead,
        run: &CallbackRun,
    ) -> Result<Response, Failure> {
        let login = &run.login;
        let outcome = run.outcome().await;
        let found = self.tested_integration(&login.integration_id, request).await;
        // A log-out has precedence over the other errors, and is checked last because the app's look-ups take time.
        if run.is_cancelled() || self.has_logged_out(request, login).await? {
            return Err(FailureCause::LoggedOut.into());
        }
        let (integration, user_id) = found?;
        if login.user_id.as_deref() != Some(&user_id) {
            return Err(Error::from(VerifyError::OtherUser).into());
        }
        let Some(outcome) = outcome else {
            // The handler has had the failure already: the browser has loaded the page again.
            let path = login.return_to.as_ref().map_or(self.0.public_url.path(), ReturnTo::as_str);
            return Ok(see_other(path));
        };
        let mut result = outcome.and_then(|finished| test_of(login, &integration, finished));
        self.0.backend.finish(request, login, &self.0.callback_runs).await?;
        if let Err(failure) = &mut result {
            failure.integration = Some(Arc::clone(&integration));
            let return_to = login.return_to.clone();
            self.complete_failure(Operation::FinishTest, failure, Some(integration.id()), return_to);
        }
        Ok(self.test_handler()?.tested(self, request, &integration, &user_id, result).await)
    }

    /// Without a handler, no test has begun here.
    fn test_handler(&self) -> Result<&Arc<dyn TestHandler>, Failure> {
        Ok(self.0.test_handler.get().ok_or_else(|| Error::from(VerifyError::OtherPurpose))?)
    }
}

/// The test, if the integration is still the one that was tested.
fn test_of(login: &RunLogin, integration: &Integration, finished: Finished) -> Result<TestLogin, Failure> {
    let is_same = login.integration.as_ref().is_some_and(|then| integration.is_bound_like(then));
    match finished {
        Finished::Test(test) if is_same => Ok(*test),
        Finished::Test(_) => Err(FailureCause::IntegrationChanged.into()),
        Finished::Login(_) => Err(Error::from(VerifyError::OtherPurpose).into()),
    }
}

#[cfg(test)]
#[cfg(all(feature = "admin", feature = "testing"))]
#[allow(clippy::arithmetic_side_effects, reason = "test data")]
mod tests;
