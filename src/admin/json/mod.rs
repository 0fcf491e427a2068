//! The same as JSON, for apps with a front end of their own. docs/admin-api.md describes it.
//!
//! The functions are those of the pages; only reading and writing differ.

mod body;
mod view;

use axum::Router;
use axum::response::Response;
use axum::routing::{any, get, post};
use http::StatusCode;
use http::header::{ETAG, IF_MATCH, LOCATION};
use serde_json::{Value, json};

use self::body::{DraftBody, NameBody, SaveBody, SecretBody, VersionBody};
use super::AdminRoutes;
use super::actions::{Act, Outcome, Submission};
use super::detail::Change;
use super::fault::Fault;
use super::posted::Body;
use super::visit::{Request, Visit};
use crate::provider::check::Verdict;
use crate::settings::{IntegrationsError, StoredIntegration};
use crate::values::integration_id::IntegrationId;

pub(super) fn router() -> Router<AdminRoutes> {
    Router::new()
        .route("/api/v1", get(start))
        .route("/api/v1/draft", post(draft))
        .route("/api/v1/check", post(check))
        .route("/api/v1/integrations", get(list).post(create))
        .route("/api/v1/integrations/{id}", get(show).put(save).delete(delete))
        .route("/api/v1/integrations/{id}/disable", post(disable))
        .route("/api/v1/integrations/{id}/enable", post(enable))
        .route("/api/v1/integrations/{id}/rename", post(rename))
        .route("/api/v1/integrations/{id}/secret", post(secret))
        .route("/api/v1/integrations/{id}/move", post(move_to))
        .route("/api/v1/integrations/{id}/propose", post(propose))
        .route("/api/v1/integrations/{id}/health", get(health))
        .route("/api/v1/integrations/{id}/test", get(test_report))
        .route("/api/v1/{*path}", any(not_found))
        .method_not_allowed_fallback(method_not_allowed)
}

async fn start(request: Request) -> Response {
    respond(request, |visit| async move {
        let body = view::start(&visit);
        Ok(visit.json(StatusCode::OK, &body))
    })
    .await
}

async fn draft(request: Request, body: Body) -> Response {
    respond(request, |mut visit| async move {
        let DraftBody { draft, id, signature } = visit.read(body).await?;
        let (id, signature, stored) = match id {
            Some(id) => visit.known_id(&id, signature).await?,
            None => visit.new_id()?,
        };
        let typed = super::actions::TypedSecrets::default();
        let submission = Submission { id: id.clone(), draft, typed, act: Act::Guide, version: 0 };
        let outcome = visit.submit(submission, stored.as_ref()).await?;
        let body = view::draft(&id, signature.as_deref(), &outcome);
        Ok(visit.json(StatusCode::OK, &body))
    })
    .await
}

async fn check(request: Request, body: Body) -> Response {
    respond(request, |mut visit| async move {
        let body: SaveBody = visit.read(body).await?;
        body.refuse(&["save_anyway"])?;
        let id = body.id.as_deref().ok_or_else(|| body::missing("id"))?;
        let (id, _, stored) = visit.known_id(id, body.signature.clone()).await?;
        let version = stored.as_ref().map_or(0, |stored| body.version.unwrap_or(stored.version));
        let submission = Submission { id, version, act: Act::Check, draft: body.draft, typed: body.secrets };
        let outcome = visit.submit(submission, stored.as_ref()).await?;
        match outcome {
            Outcome { stale: Some(newer), .. } => Err(Fault::Stale(newer)),
            Outcome { report: Some(report), is_move, .. } => {
                let body = json!({ "verdict": report.verdict(), "report": report, "move": is_move });
                Ok(visit.json(StatusCode::OK, &body))
            }
            Outcome { errors, .. } => Err(Fault::Fields(errors)),
        }
    })
    .await
}

async fn list(request: Request) -> Response {
    respond(request, |visit| async move {
        let all = visit.overviews().await?;
        let all: Vec<Value> = all.iter().map(|one| view::listed(&visit, one)).collect();
        Ok(visit.json(StatusCode::OK, &json!({ "integrations": all })))
    })
    .await
}

async fn create(request: Request, body: Body) -> Response {
    respond(request, |mut visit| async move {
        let body: SaveBody = visit.read(body).await?;
        body.refuse(&["version"])?;
        let id = body.id.as_deref().ok_or_else(|| body::missing("id"))?;
        let (id, _, stored) = visit.known_id(id, body.signature.clone()).await?;
        if stored.is_some() {
            return Err(Fault::Integrations(IntegrationsError::IdTaken));
        }
        let act = if body.save_anyway { Act::SaveAnyway } else { Act::Save };
        let submission = Submission { id, version: 0, act, draft: body.draft, typed: body.secrets };
        let outcome = visit.submit(submission, None).await?;
        visit.outcome(outcome, None).await
    })
    .await
}

async fn show(request: Request) -> Response {
    let id = request.id.clone();
    respond(request, |visit| async move {
        let stored = visit.stored(id.as_deref()).await?;
        visit.integration(stored, StatusCode::OK).await
    })
    .await
}

async fn save(request: Request, body: Body) -> Response {
    replace(request, body, Act::Save).await
}

async fn move_to(request: Request, body: Body) -> Response {
    replace(request, body, Act::Move).await
}

async fn propose(request: Request, body: Body) -> Response {
    replace(request, body, Act::Propose).await
}

async fn replace(request: Request, body: Body, act: Act) -> Response {
    let id = request.id.clone();
    respond(request, |mut visit| async move {
        let body: SaveBody = visit.read(body).await?;
        body.refuse(if act == Act::Save { &["id", "signature"] } else { &["id", "signature", "save_anyway"] })?;
        let stored = visit.stored_as(id.as_deref(), visit.version(body.version)?).await?;
        let act = if body.save_anyway { Act::SaveAnyway } else { act };
        let (id, version) = (stored.id.clone(), stored.version);
        let submission = Submission { id, version, act, draft: body.draft, typed: body.secrets };
        let outcome = visit.submit(submission, Some(&stored)).await?;
        visit.outcome(outcome, Some(&stored)).await
    })
    .await
}

async fn secret(request: Request, body: Body) -> Response {
    let id = request.id.clone();
    respond(request, |mut visit| async move {
        let SecretBody { client_secret, save_anyway, version } = visit.read(body).await?;
        let stored = visit.stored_as(id.as_deref(), visit.version(version)?).await?;
        let act = if save_anyway { Act::SaveAnyway } else { Act::Save };
        let outcome = visit.replace_secret(&stored, stored.version, client_secret, act).await?;
        visit.outcome(outcome, Some(&stored)).await
    })
    .await
}

async fn disable(request: Request, body: Body) -> Response {
    change(request, body, |_: VersionBody| Change::Disable).await
}

async fn enable(request: Request, body: Body) -> Response {
    change(request, body, |_: VersionBody| Change::Enable).await
}

async fn rename(request: Request, body: Body) -> Response {
    change(request, body, |body: NameBody| Change::Rename(body.name)).await
}

async fn delete(request: Request, body: Body) -> Response {
    change(request, body, |_: VersionBody| Change::Delete).await
}

async fn change<T: body::Versioned>(request: Request, body: Body, change: impl FnOnce(T) -> Change + Send) -> Response {
    let id = request.id.clone();
    respond(request, |mut visit| async move {
        let body: T = visit.read(body).await?;
        let version = visit.version(body.version())?;
        match visit.change(id.as_deref(), version, change(body)).await? {
            Some(stored) => visit.integration(stored, StatusCode::OK).await,
            None => Ok(visit.json(StatusCode::OK, &json!({ "deleted": true }))),
        }
    })
    .await
}

async fn health(request: Request) -> Response {
    let id = request.id.clone();
    respond(request, |visit| async move {
        let stored = visit.stored(id.as_deref()).await?;
        let overview = visit.overview(stored).await?;
        Ok(visit.json(StatusCode::OK, &view::health(&overview)))
    })
    .await
}

async fn test_report(request: Request) -> Response {
    let id = request.id.clone();
    respond(request, |visit| async move {
        let stored = visit.stored(id.as_deref()).await?;
        let report = visit.test_report(&stored).await?.ok_or(Fault::NoReport)?;
        Ok(visit.json(StatusCode::OK, &view::test_report(&report)))
    })
    .await
}

async fn not_found(request: Request) -> Response {
    view::fault(&request, Fault::NotFound, false)
}

/// axum adds the header `Allow`.
async fn method_not_allowed(request: Request) -> Response {
    view::fault(&request, Fault::Method, false)
}

/// Answers with what `act` makes, or with the error as JSON.
async fn respond<A>(request: Request, act: impl FnOnce(Visit) -> A + Send) -> Response
where
    A: Future<Output = Result<Response, Fault>> + Send,
{
    let again = request.clone();
    match request.visit().await {
        Ok(visit) => {
            let is_operator = visit.administrator.is_operator;
            act(visit).await.unwrap_or_else(|fault| view::fault(&again, fault, is_operator))
        }
        Err(fault) => view::fault(&again, fault, false),
    }
}

impl Visit {
    /// The version that the client has read: in the header `If-Match` or in the body.
    fn version(&self, in_body: Option<i64>) -> Result<i64, Fault> {
        let header = self.head.headers.get(IF_MATCH).map(|value| {
            let text = value.to_str().ok()?.trim().strip_prefix('"')?.strip_suffix('"')?;
            text.parse().ok()
        });
        match (header, in_body) {
            (Some(Some(version)), None) | (None, Some(version)) => Ok(version),
            (Some(Some(version)), Some(same)) if version == same => Ok(version),
            (None, None) => Err(Fault::NoVersion),
            _ => {
                let reason = "The header If-Match is not one ETag of this API, or differs from the member `version`.";
                Err(Fault::Json(reason.to_owned()))
            }
        }
    }

    /// An id for a new integration, and the proof that this app gave it out.
    fn new_id(&self) -> Result<(IntegrationId, Option<String>, Option<StoredIntegration>), Fault> {
        let id = IntegrationId::random().map_err(|error| Fault::App(error.into()))?;
        let signature = self.integrations().sign_new_id(self.owner.as_deref(), &id).map_err(IntegrationsError::from)?;
        Ok((id, Some(signature), None))
    }

    /// An id that this app gave out, or that of a stored integration.
    async fn known_id(
        &self,
        id: &str,
        signature: Option<String>,
    ) -> Result<(IntegrationId, Option<String>, Option<StoredIntegration>), Fault> {
        let Some(signature) = signature else {
            let stored = self.stored(Some(id)).await?;
            return Ok((stored.id.clone(), None, Some(stored)));
        };
        let id: IntegrationId = id.parse().map_err(|_| Fault::NotFound)?;
        match self.integrations().is_new_id(self.owner.as_deref(), &id, &signature) {
            true => Ok((id, Some(signature), None)),
            false => Err(Fault::NotFound),
        }
    }

    async fn integration(self, stored: StoredIntegration, status: StatusCode) -> Result<Response, Fault> {
        let overview = self.overview(stored).await?;
        let body = view::overview(&self, &overview);
        let mut response = self.json(status, &body);
        if let Ok(tag) = format!("\"{}\"", overview.stored.version).parse() {
            response.headers_mut().insert(ETAG, tag);
        }
        Ok(response)
    }

    /// The response to a write. `stored` is what was changed.
    async fn outcome(self, outcome: Outcome, stored: Option<&StoredIntegration>) -> Result<Response, Fault> {
        let Outcome { errors, report, is_move, stale, saved, .. } = outcome;
        if let Some(saved) = saved {
            let location = self.path(&format!("/api/v1/integrations/{}", saved.id)).parse();
            let status = if stored.is_some() { StatusCode::OK } else { StatusCode::CREATED };
            let mut response = self.integration(saved, status).await?;
            if let (None, Ok(location)) = (stored, location) {
                response.headers_mut().insert(LOCATION, location);
            }
            return Ok(response);
        }
        if let Some(newer) = stale {
            return Err(Fault::Stale(newer));
        }
        match (report, is_move) {
            (Some(report), _) if report.verdict() != Verdict::AllRight => {
                let body = view::check_failed(&self, &report);
                Ok(self.json(StatusCode::UNPROCESSABLE_ENTITY, &body))
            }
            (_, Some(kind)) => {
                let id = stored.map(|stored| &stored.id);
                let accounts = match id {
                    Some(id) => self.admin.0.access.accounts(id).await.map_err(Fault::App)?,
                    None => None,
                };
                let body = view::is_move(&self, kind, accounts);
                Ok(self.json(StatusCode::CONFLICT, &body))
            }
            _ => Err(Fault::Fields(errors)),
        }
    }
}
