//! Test logins: an administrator logs in at the code host, and a report shows what the app gets. Nobody is logged in.

mod handler;
mod kept;
mod page;

use axum::response::Response;
use http::StatusCode;

pub(super) use self::handler::Tester;
pub(super) use self::kept::KeptReport;
use super::fault::Fault;
use super::pages::secure;
use super::posted::{Body, Posted};
use super::visit::{Request, Visit};
use crate::integration::Integration;
use crate::settings::{Integrations, IntegrationsError, StoredIntegration};

pub(super) async fn begin(request: Request, body: Body) -> Response {
    let id = request.id.clone();
    request
        .answer(|visit| async move {
            let posted = Posted::read(body)?;
            visit.verify_csrf(&posted.csrf_token).await?;
            let stored = visit.stored(id.as_deref()).await?;
            visit.begin_test(&stored, &posted.return_to).await
        })
        .await
}

pub(super) async fn report(request: Request) -> Response {
    let id = request.id.clone();
    request
        .answer(|visit| async move {
            let stored = visit.stored(id.as_deref()).await?;
            let report = visit.test_report(&stored).await?;
            let body = page::page(&visit, &stored, report.as_ref());
            let targets = tested(visit.integrations(), &stored).map(|one| super::detail::form_targets(&one));
            let title = visit.text("Test login").into_owned();
            Ok(visit.page(StatusCode::OK, &title, body, &targets.unwrap_or_default()).await)
        })
        .await
}

impl Visit {
    /// Sends the browser to the code host. It comes back to `return_to`, or to the page of the report if that is no path of the app.
    async fn begin_test(self, stored: &StoredIntegration, return_to: &str) -> Result<Response, Fault> {
        let integration = tested(self.integrations(), stored)?;
        let report = || self.path(&format!("/{}/test", stored.id)).parse();
        let return_to = return_to.parse().or_else(|_| report()).ok();
        let user_id = self.administrator.user_id.as_str();
        let logins = &self.admin.0.logins;
        let mut response = logins.begin_test(&self.head, &integration, user_id, return_to).await?;
        secure(&mut response, &[]);
        Ok(self.view.set_cookies(response))
    }

    /// The report of this administrator's last test login, in this browser.
    pub(super) async fn test_report(&self, stored: &StoredIntegration) -> Result<Option<KeptReport>, Fault> {
        let report =
            KeptReport::load(&self.admin.0.logins, self.integrations(), &self.head, &stored.id, &self.administrator)
                .await?;
        Ok(report.map(|report| if self.administrator.is_operator { report } else { report.public() }))
    }
}

/// What a test login tries: the proposal, as long as it is valid.
fn tested(integrations: &Integrations, stored: &StoredIntegration) -> Result<Integration, IntegrationsError> {
    match integrations.build_proposed(stored) {
        Err(IntegrationsError::NoProposal | IntegrationsError::ProposalExpired) => integrations.build_stored(stored),
        built => built,
    }
}
