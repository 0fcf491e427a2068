//! One integration: what is known about it, and what can be done with it.

mod changes;
mod page;
mod secret;

use axum::response::Response;
use http::StatusCode;
use maud::html;

pub(super) use self::changes::Change;
use self::page::{Notice, Page};
pub(super) use self::page::{form_targets, members_of};
pub(super) use self::secret::{replace_secret, secret_form};
use super::fault::Fault;
use super::list::DELETED;
use super::posted::{Body, Posted};
use super::visit::{Request, Visit};
use crate::settings::{Field, Proposal, StoredIntegration};

pub(super) async fn show(request: Request) -> Response {
    let (id, page) = (request.id.clone(), Page::of(request.head.uri.query()));
    request
        .answer(|visit| async move {
            let stored = visit.stored(id.as_deref()).await?;
            detail(visit, stored, StatusCode::OK, page).await
        })
        .await
}

pub(super) async fn disable(request: Request, body: Body) -> Response {
    change(request, body, "disabled", |_| Change::Disable).await
}

pub(super) async fn enable(request: Request, body: Body) -> Response {
    change(request, body, "enabled", |_| Change::Enable).await
}

pub(super) async fn rename(request: Request, body: Body) -> Response {
    change(request, body, "changed", |posted| Change::Rename(posted.name.clone())).await
}

pub(super) async fn delete(request: Request, body: Body) -> Response {
    change(request, body, "deleted", |_| Change::Delete).await
}

pub(super) async fn confirm_delete(request: Request) -> Response {
    let id = request.id.clone();
    request
        .answer(|visit| async move {
            let (id, version, name, base_url) = match visit.stored(id.as_deref()).await {
                Ok(stored) => (stored.id, stored.version, stored.settings.name, Some(stored.settings.base_url)),
                Err(Fault::Unreadable(one)) => (one.id, one.version, one.name, None),
                Err(fault) => return Err(fault),
            };
            let count = visit.admin.0.access.accounts(&id).await.map_err(Fault::App)?;
            let (list, path) = (visit.path(""), visit.path(&format!("/{id}")));
            let body = html! {
                (visit.crumbs(base_url.as_ref().map(|_| (&id, name.as_str()))))
                h1 { (visit.text("Delete")) " " bdi { (if name.is_empty() { id.as_str() } else { &name }) } "?" }
                p { (visit.accounts_text(count)) }
                @if count != Some(0) {
                    p { (visit.text("Users cannot log in with this integration any more. A user who has no other way to log in cannot log in to this app at all.")) }
                }
                @if let Some(base_url) = &base_url {
                    p {
                        (visit.text("The OAuth application at the code host stays. Delete it there:")) " "
                        span.ch-mono dir="ltr" { (base_url) }
                    }
                    p { (visit.text("This cannot be undone. To stop logins for some time, disable the integration instead.")) }
                }
                form method="post" action={ (path) "/delete" } {
                    (visit.hidden_fields(version))
                    p.ch-actions {
                        button.ch-button.ch-danger type="submit" { (visit.text("Delete integration")) }
                        a href=(if base_url.is_some() { &path } else { &list }) { (visit.text("Cancel")) }
                    }
                }
            };
            let title = visit.text("Delete integration").into_owned();
            Ok(visit.page(StatusCode::OK, &title, body, &[]).await)
        })
        .await
}

/// Makes a change, and shows what is stored then. `saved` names the notice.
async fn change(
    request: Request,
    body: Body,
    saved: &'static str,
    change: impl FnOnce(&Posted) -> Change + Send,
) -> Response {
    let id = request.id.clone();
    request
        .answer(|mut visit| async move {
            let posted = Posted::read(body)?;
            visit.verify_csrf(&posted.csrf_token).await?;
            match visit.change(id.as_deref(), posted.version, change(&posted)).await {
                Ok(Some(stored)) => Ok(visit.redirect(&saved_path(saved, None, &stored))),
                Ok(None) => Ok(visit.redirect(&format!("?{DELETED}"))),
                Err(fault) => refused(visit, id.as_deref(), posted, fault).await,
            }
        })
        .await
}

/// The integration as it is stored now, with what was wrong.
async fn refused(visit: Visit, id: Option<&str>, posted: Posted, fault: Fault) -> Result<Response, Fault> {
    match fault {
        Fault::Stale(Some(stored)) => stale(visit, *stored).await,
        Fault::Fields(errors) if errors.of(Field::Name).is_some() => {
            let stored = visit.stored(id).await?;
            let wrong = Page { wrong_name: Some((posted.name, errors)), ..Page::default() };
            detail(visit, stored, StatusCode::UNPROCESSABLE_ENTITY, wrong).await
        }
        fault => Err(fault),
    }
}

/// Another administrator was faster: what is stored now.
async fn stale(visit: Visit, stored: StoredIntegration) -> Result<Response, Fault> {
    let page = Page { notice: Some(Notice::Stale), ..Page::default() };
    detail(visit, stored, StatusCode::CONFLICT, page).await
}

/// The page of an integration that was saved, with a notice. `before`: what was stored.
pub(super) fn saved_path(notice: &str, before: Option<&StoredIntegration>, saved: &StoredIntegration) -> String {
    let is_valid = |stored: &StoredIntegration| stored.proposed.as_ref().is_some_and(Proposal::is_valid);
    let proposal = match before.is_some_and(is_valid) && saved.proposed.is_none() {
        true => "&proposal=dropped",
        false => "",
    };
    format!("/{}?saved={notice}{proposal}", saved.id)
}

async fn detail(
    visit: Visit,
    stored: StoredIntegration,
    status: StatusCode,
    mut page: Page,
) -> Result<Response, Fault> {
    page.has_report = visit.test_report(&stored).await?.is_some();
    let overview = visit.overview(stored).await?;
    let proposed = visit.integrations().build_proposed(&overview.stored).ok();
    let body = page.show(&visit, &overview);
    let targets = overview.built.iter().chain(&proposed).flat_map(form_targets).collect::<Vec<_>>();
    Ok(visit.page(status, &overview.stored.settings.name, body, &targets).await)
}
