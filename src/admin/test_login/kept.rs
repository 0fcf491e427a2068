//! The report, kept in the browser of the administrator until they have read it.

use http::HeaderValue;
use serde::{Deserialize, Serialize};

use crate::admin::access::Administrator;
use crate::login::LoginReport;
use crate::router::{Failure, FailureCause, LoginRoutes, RequestHead};
use crate::settings::{Integrations, IntegrationsError};
use crate::util::time::unix_now;
use crate::values::integration_id::IntegrationId;

/// The report of a test login.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::admin) struct KeptReport {
    /// The app's own id of the administrator.
    pub(in crate::admin) user_id: String,
    /// In seconds since 1970.
    pub(in crate::admin) at: u64,
    /// Where the login was.
    pub(in crate::admin) base_url: String,
    pub(in crate::admin) report: LoginReport,
    /// What became of the proposed base URL; `None` if none was tried.
    pub(in crate::admin) proof: Option<Proof>,
    /// Whether addresses and scopes were left out, because the report was too long.
    #[serde(default)]
    pub(in crate::admin) is_shortened: bool,
}

/// What a test login at a proposed base URL has proved.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::admin) struct Proof {
    /// Whether the base URL was changed.
    pub(in crate::admin) is_accepted: bool,
    /// A stable name.
    pub(in crate::admin) code: String,
    pub(in crate::admin) message: String,
    pub(in crate::admin) hint: String,
}

impl KeptReport {
    pub(super) fn new(user_id: &str, base_url: &str, report: LoginReport, proof: Option<Proof>) -> Self {
        let (user_id, base_url) = (user_id.to_owned(), base_url.to_owned());
        Self { user_id, at: unix_now(), base_url, report, proof, is_shortened: false }
    }

    /// Keeps it for this browser, as much of it as can be kept. Returns cookies to set.
    pub(super) async fn store(
        self,
        logins: &LoginRoutes,
        integrations: &Integrations,
        request: &RequestHead,
        id: &IntegrationId,
    ) -> Result<Vec<HeaderValue>, Failure> {
        for report in [self.clone(), self.clone().shortened(), self.clone().shortest()] {
            match report.try_store(logins, integrations, request, id).await {
                Err(Failure { cause: FailureCause::TooLongToKeep, .. }) => {}
                stored => return stored,
            }
        }
        Err(FailureCause::TooLongToKeep.into())
    }

    async fn try_store(
        &self,
        logins: &LoginRoutes,
        integrations: &Integrations,
        request: &RequestHead,
        id: &IntegrationId,
    ) -> Result<Vec<HeaderValue>, Failure> {
        let json = serde_json::to_string(self).map_err(|error| FailureCause::Session(error.into()))?;
        let sealed = integrations.seal_text(PURPOSE, id, json.as_bytes());
        let sealed = sealed.map_err(|error| FailureCause::Session(error.into()))?;
        logins.keep(request, &kept_name(id), &sealed).await
    }

    /// The last report of this administrator.
    pub(super) async fn load(
        logins: &LoginRoutes,
        integrations: &Integrations,
        request: &RequestHead,
        id: &IntegrationId,
        administrator: &Administrator,
    ) -> Result<Option<Self>, Failure> {
        let Some(sealed) = logins.kept(request, &kept_name(id)).await? else { return Ok(None) };
        // Sealed with a key that is gone, or of another version of this crate: the administrator tests again.
        let json = integrations.open_text(PURPOSE, id, &sealed).ok();
        let report: Option<Self> = json.and_then(|json| serde_json::from_slice(&json).ok());
        Ok(report.filter(|report| report.user_id == administrator.user_id))
    }

    /// For administrators who do not run the app.
    pub(super) fn public(self) -> Self {
        Self { report: self.report.public(), ..self }
    }

    /// Without what an administrator can do without.
    fn shortened(mut self) -> Self {
        let report = &mut self.report;
        report.groups.iter_mut().for_each(|group| group.error = None);
        if let Some(user) = &mut report.user {
            user.emails.retain(|email| email.primary);
            user.emails.truncate(1);
        }
        let of_user = report.user.as_mut().and_then(|user| user.no_trusted_email.as_mut());
        for error in report.refusal.iter_mut().chain(of_user).filter(|error| !error.is_about_network) {
            error.public_message.clear();
        }
        Self { is_shortened: true, ..self }
    }

    /// Only who it is, and whether they may log in.
    fn shortest(self) -> Self {
        let mut short = self.shortened();
        let report = &mut short.report;
        report.groups.clear();
        report.requested_scopes.clear();
        report.granted_scopes = None;
        report.missing_scopes.truncate(3);
        if let Some(user) = &mut report.user {
            user.emails.clear();
            user.display_name = None;
        }
        short
    }
}

impl Proof {
    pub(super) fn accepted(keeps_connections: bool) -> Self {
        let message = match keeps_connections {
            true => "It is the same server: the new base URL is in use. Accounts and connections stay.",
            false => {
                "It is the same server: the new base URL is in use. Accounts stay. Each user connects again with the next login."
            }
        };
        Self { is_accepted: true, ..Self::refused("accepted", message, "") }
    }

    pub(super) fn refused(code: &str, message: &str, hint: &str) -> Self {
        let text = str::to_owned;
        Self { is_accepted: false, code: text(code), message: text(message), hint: text(hint) }
    }
}

impl From<IntegrationsError> for Proof {
    fn from(error: IntegrationsError) -> Self {
        match crate::admin::fault::Fault::from(error) {
            crate::admin::fault::Fault::Stale(_) => Self::refused(
                "stale",
                "The integration was changed during the test login. Nothing else was changed.",
                "Look at what is stored now, and test again.",
            ),
            fault => {
                fault.log();
                let (code, message, hint) = fault.texts();
                Self::refused(code, &message, &hint)
            }
        }
    }
}

fn kept_name(id: &IntegrationId) -> String {
    format!("test-report:{id}")
}

const PURPOSE: &str = "test-report";
