//! The form of an integration, new or stored.

mod again;
mod fields;
mod guide;
mod moving;
mod page;
mod report;
mod settings;
mod stale;
mod typed;

use axum::response::Response;
use http::{HeaderValue, StatusCode};

pub(super) use self::guide::copy_button;
use self::page::Form;
pub(super) use self::page::ends_proposal;
pub(super) use self::report::{UNCHECKED, errors as report_errors, report, who_can_act};
pub(super) use self::settings::trust;
use self::typed::{Pressed, Typed};
use super::actions::{Act, Outcome, Submission};
use super::detail::saved_path;
use super::fault::Fault;
use super::posted::Body;
use super::visit::{Request, View, Visit};
use crate::settings::{Draft, FieldErrors, IntegrationsError, StoredIntegration};
use crate::values::integration_id::IntegrationId;

pub(super) async fn new(request: Request) -> Response {
    request.answer(show_new).await
}

pub(super) async fn create(request: Request, body: Body) -> Response {
    post(request, body).await
}

pub(super) async fn edit(request: Request) -> Response {
    let id = request.id.clone();
    request.answer(|visit| show_stored(visit, id)).await
}

pub(super) async fn save(request: Request, body: Body) -> Response {
    post(request, body).await
}

/// An empty form. Its id is in the address, so that the callback URL stays the same if the page is loaded again.
async fn show_new(mut visit: Visit) -> Result<Response, Fault> {
    let mut typed = Typed::of_query(visit.head.uri.query().unwrap_or_default());
    let Some(id) = visit.new_id(&typed) else {
        let id = IntegrationId::random().map_err(|error| Fault::App(error.into()))?;
        let signature = visit.integrations().sign_new_id(visit.owner.as_deref(), &id);
        let signature = signature.map_err(IntegrationsError::from)?;
        return Ok(visit.redirect(&format!("/new?id={id}&signature={signature}")));
    };
    typed.draft.access = visit.admin.0.preset_access.to_string();
    let outcome = visit.submit(typed.submission(&id, Act::Guide), None).await?;
    Ok(show(visit, &typed, &id, None, outcome, Complaints::None).await)
}

async fn show_stored(mut visit: Visit, id: Option<String>) -> Result<Response, Fault> {
    let stored = visit.stored(id.as_deref()).await?;
    let typed = Typed::of(&stored);
    let outcome = visit.submit(typed.submission(&stored.id, Act::Guide), Some(&stored)).await?;
    Ok(show(visit, &typed, &stored.id, Some(&stored), outcome, Complaints::AboutCodeHost).await)
}

async fn post(request: Request, body: Body) -> Response {
    let typed = match body.map_err(Fault::from).and_then(|body| Typed::parse(&body)) {
        Ok(typed) => typed,
        Err(fault) => return request.fault(fault).await,
    };
    let sent = request.clone();
    match handle(request, &typed).await {
        Ok(response) => response,
        Err(fault) => again::show(sent, &typed, fault).await,
    }
}

async fn handle(request: Request, typed: &Typed) -> Result<Response, Fault> {
    let id = request.id.clone();
    let is_fragment = request.head.headers.get("x-fragment").is_some();
    let mut visit = request.visit().await?;
    visit.verify_csrf(&typed.csrf_token).await?;
    let stored = match id {
        Some(id) => Some(visit.stored(Some(&id)).await?),
        None => None,
    };
    let id = match &stored {
        Some(stored) => stored.id.clone(),
        None => visit.new_id(typed).ok_or(Fault::NotFound)?,
    };
    let typed = &typed.clone().with_service(visit.integrations().config());
    let (act, complaints) = match typed.pressed() {
        Pressed::Back => (Act::Guide, Complaints::None),
        Pressed::Guide => (Act::Guide, Complaints::AboutCodeHost),
        // The group is missing, which the settings do not know: without one, everybody may log in.
        Pressed::Act(_) if typed.lacks_groups() => (Act::Guide, Complaints::All),
        Pressed::Act(act) => (act, Complaints::All),
    };
    let outcome = visit.submit(typed.submission(&id, act), stored.as_ref()).await?;
    if let Some(saved) = &outcome.saved {
        let notice = if stored.is_none() { "created" } else { "changed" };
        return Ok(visit.redirect(&match act {
            Act::Propose => format!("/{}", saved.id),
            _ => saved_path(notice, stored.as_ref(), saved),
        }));
    }
    if let Some(now) = &outcome.stale {
        return Ok(stale::show(visit, typed, outcome.reading.guide.as_ref(), now.as_deref()).await);
    }
    let is_checked = outcome.report.as_ref().is_none_or(report::is_fine);
    if let (Some(kind), Some(stored)) = (outcome.is_move, &stored) {
        // The page between would lose a secret that cannot be kept.
        if matches!(act, Act::Save | Act::SaveAnyway) && is_checked && outcome.not_kept.is_empty() {
            return moving::show(visit, typed, stored, kind, &outcome).await;
        }
    }
    if is_fragment {
        return Ok(fragment(visit, typed, &id, stored.as_ref(), outcome));
    }
    Ok(show(visit, typed, &id, stored.as_ref(), outcome, complaints).await)
}

/// Which errors are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Complaints {
    None,
    /// Those that are in the way of the guide.
    AboutCodeHost,
    All,
}

async fn show(
    visit: Visit,
    typed: &Typed,
    id: &IntegrationId,
    stored: Option<&StoredIntegration>,
    outcome: Outcome,
    complaints: Complaints,
) -> Response {
    let errors = errors(typed, &outcome, complaints);
    let form = Form {
        view: &visit.view,
        typed,
        id,
        stored,
        is_edit: stored.is_some(),
        is_operator: visit.administrator.is_operator,
        reading: &outcome.reading,
        errors,
        kept: outcome.kept,
        report: outcome.report.as_ref(),
        notice: None,
    };
    let is_fine = form.errors.is_empty() || !visit.view.was_sent();
    let status = if is_fine { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let (title, body) = (form.title(), form.render());
    visit.page(status, &title, body, &[]).await
}

fn errors(typed: &Typed, outcome: &Outcome, complaints: Complaints) -> FieldErrors {
    let mut errors = FieldErrors::default();
    match complaints {
        Complaints::None => {}
        Complaints::AboutCodeHost => {
            let of_code_host = outcome.errors.iter().filter(|error| guide::is_in_the_way(error.field));
            of_code_host.for_each(|error| errors.push(error.clone()));
        }
        Complaints::All => {
            errors.extend(outcome.errors.clone());
            if typed.lacks_groups() {
                errors.push(typed::no_groups());
            }
        }
    }
    errors.extend(outcome.not_kept.clone());
    if let Some(report) = &outcome.report {
        report::errors(report, outcome.reading.guide.as_ref()).into_iter().for_each(|error| errors.push(error));
    }
    errors
}

/// The guide and the errors of what was typed so far, for the script.
fn fragment(
    visit: Visit,
    typed: &Typed,
    id: &IntegrationId,
    stored: Option<&StoredIntegration>,
    outcome: Outcome,
) -> Response {
    let form = Form {
        view: &visit.view,
        typed,
        id,
        stored,
        is_edit: stored.is_some(),
        is_operator: visit.administrator.is_operator,
        reading: &outcome.reading,
        errors: FieldErrors::default(),
        kept: outcome.kept,
        report: None,
        notice: None,
    };
    let errors = fields::errors(&form, &typed.errors_so_far(&outcome.errors));
    let html = guide::guide(&form).into_string() + &errors.into_string();
    let mut response = Response::new(html.into());
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    super::pages::secure(&mut response, &[]);
    visit.view.set_cookies(response)
}

impl View {
    /// Whether a form was sent, and not only opened.
    fn was_sent(&self) -> bool {
        self.head.method == http::Method::POST
    }

    /// The id of a new integration, if this app gave it out for this owner.
    fn new_id(&self, typed: &Typed) -> Option<IntegrationId> {
        let id: IntegrationId = typed.id.parse().ok()?;
        let is_ours = self.integrations().is_new_id(self.owner.as_deref(), &id, &typed.signature);
        is_ours.then_some(id)
    }
}

impl Typed {
    fn submission(&self, id: &IntegrationId, act: Act) -> Submission {
        Submission { id: id.clone(), draft: self.draft(), typed: self.secrets(), act, version: self.version }
    }

    fn of(stored: &StoredIntegration) -> Self {
        Self::with_draft(Draft::of(&stored.settings), stored.version)
    }
}
