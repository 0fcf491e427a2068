//! What happens at the callback of a test login.

use std::sync::Arc;

use async_trait::async_trait;
use axum::response::{IntoResponse as _, Response};
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderValue, StatusCode};

use super::kept::{KeptReport, Proof};
use super::tested;
use crate::admin::access::{AdminAccess, Administrator, Caller};
use crate::admin::attempts::Attempts;
use crate::admin::change::ChangeKind;
use crate::admin::hook::Hook;
use crate::error::AppError;
use crate::integration::Integration;
use crate::login::{LoginReport, ReportedError, TestLogin};
use crate::observe;
use crate::router::{Failure, FailureCause, LoginRoutes, RequestHead, TestHandler};
use crate::settings::{Integrations, IntegrationsError, MoveKind, Proposal, StoredIntegration};
use crate::values::integration_id::IntegrationId;

/// What a test login needs of the routes of the page.
pub(in crate::admin) struct Tester {
    pub(in crate::admin) integrations: Integrations,
    pub(in crate::admin) access: Arc<dyn AdminAccess>,
    pub(in crate::admin) attempts: Attempts,
}

#[async_trait]
impl TestHandler for Tester {
    async fn user_id(&self, request: &mut RequestHead, id: &IntegrationId) -> Result<Option<String>, AppError> {
        let Some(stored) = self.integrations.load(id).await? else { return Ok(None) };
        let administrator = self.administrator(request, &stored).await?;
        Ok(administrator.map(|administrator| administrator.user_id))
    }

    async fn integration(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>, AppError> {
        match self.integrations.load(id).await? {
            Some(stored) => Ok(Some(Arc::new(tested(&self.integrations, &stored)?))),
            None => Ok(None),
        }
    }

    async fn tested(
        &self,
        logins: &LoginRoutes,
        request: &mut RequestHead,
        integration: &Integration,
        user_id: &str,
        result: Result<TestLogin, Failure>,
    ) -> Response {
        let return_to = match &result {
            Ok(test) => test.return_to.clone(),
            Err(failure) => failure.return_to.clone(),
        };
        let path = return_to.map_or_else(|| "/".to_owned(), |path| path.to_string());
        match self.keep_report(logins, request, integration, user_id, result).await {
            Ok(cookies) => redirect(&path, cookies),
            Err(error) => {
                observe::error(&error.to_string());
                redirect(&path, Vec::new())
            }
        }
    }
}

impl Tester {
    async fn keep_report(
        &self,
        logins: &LoginRoutes,
        request: &mut RequestHead,
        integration: &Integration,
        user_id: &str,
        result: Result<TestLogin, Failure>,
    ) -> Result<Vec<HeaderValue>, AppError> {
        let proof = match &result {
            Ok(test) => self.prove(request, integration, user_id, test).await?,
            Err(_) => None,
        };
        let report = match result {
            Ok(test) => test.report,
            Err(failure) => LoginReport { refusal: Some(reported(&failure.cause)), ..LoginReport::default() },
        };
        let base_url = integration.provider().base_url().as_str();
        let kept = KeptReport::new(user_id, base_url, report, proof);
        let stored = kept.store(logins, &self.integrations, request, integration.id()).await;
        stored.map_err(|failure| failure.cause.into())
    }

    /// If the login was at the proposed base URL: whether it is the same server. If it is, the proposal replaces the settings.
    async fn prove(
        &self,
        request: &mut RequestHead,
        integration: &Integration,
        user_id: &str,
        test: &TestLogin,
    ) -> Result<Option<Proof>, AppError> {
        let Some(stored) = self.integrations.load(integration.id()).await? else { return Ok(None) };
        let is_tested = match self.integrations.build_proposed(&stored) {
            Ok(proposed) => proposed.is_bound_like(integration),
            Err(IntegrationsError::NoProposal | IntegrationsError::ProposalExpired) => false,
            Err(error) => return Ok(Some(error.into())),
        };
        if !is_tested {
            return Ok(None);
        }
        // The right may have ended during the login.
        let administrator = self.administrator(request, &stored).await?;
        let Some(administrator) = administrator.filter(|now| now.user_id == user_id) else {
            let message = "You may not manage these integrations any more. Nothing was changed.";
            return Ok(Some(Proof::refused("no_access", message, "Ask an administrator for access.")));
        };
        let user = match &test.user {
            Some(user) if test.report.may_log_in() => user,
            _ => {
                let message = "The login did not prove that it is the same server: the integration refuses this user. Nothing was changed.";
                return Ok(Some(Proof::refused(
                    "not_proved",
                    message,
                    "Test again with an account that the integration accepts.",
                )));
            }
        };
        if !self.access.is_known(user).await? {
            return Ok(Some(Proof::refused("not_known", NOT_KNOWN, TEST_WITH_KNOWN)));
        }
        let kind = ChangeKind::Moved(MoveKind::SameServer);
        let hook = Hook::new(&self.access, &administrator, stored.owner.as_deref(), kind);
        if let Err(too_many) = self.attempts.count(stored.owner.as_deref(), user_id) {
            let (message, hint) = too_many.texts();
            return Ok(Some(Proof::refused("too_many", message, hint)));
        }
        // The proof is the new server's word. It is enough for the accounts of an organization whose administrator gives it, but not
        // to send the tokens of all users there: an operator must have chosen the server, and another one or the same confirm it.
        let is_by_operator = stored.proposed.as_ref().is_some_and(Proposal::is_by_operator);
        let keeps = is_by_operator && administrator.is_operator;
        let accepted = self.integrations.by(&administrator.name).with_hook(&hook).accept_proposal(&stored, keeps).await;
        Ok(Some(accepted.map_or_else(Proof::from, |_| Proof::accepted(keeps))))
    }

    /// Who is asking, if they may manage this integration.
    async fn administrator(
        &self,
        request: &mut RequestHead,
        stored: &StoredIntegration,
    ) -> Result<Option<Administrator>, AppError> {
        match self.access.who(request, stored.owner.as_deref()).await? {
            Caller::Administrator(administrator) => Ok(Some(administrator)),
            _ => Ok(None),
        }
    }
}

fn reported(cause: &FailureCause) -> ReportedError {
    if let FailureCause::Login(error) = cause {
        return ReportedError::new(error);
    }
    let advice = cause.advice();
    ReportedError {
        code: advice.code.to_owned(),
        message: cause.to_string(),
        audience: advice.audience,
        hint: advice.hint.into_owned(),
        public_message: advice.public_message.into_owned(),
        is_about_network: false,
    }
}

fn redirect(path: &str, cookies: Vec<HeaderValue>) -> Response {
    let Ok(location) = HeaderValue::from_str(path) else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let mut response = (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response();
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

const NOT_KNOWN: &str = "The login did not prove that it is the same server: no user of this app has connected this account \
                         before, or it belongs to somebody else now. Nothing was changed.";
const TEST_WITH_KNOWN: &str = "Test again with an account that has logged in here before. If it is another server, edit the \
                               integration and choose \"Move to another server\".";
