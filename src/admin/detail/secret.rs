//! A new client secret.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::{saved_path, stale};
use crate::admin::actions::{Act, Outcome};
use crate::admin::fault::Fault;
use crate::admin::form::{UNCHECKED, ends_proposal, report as found, report_errors};
use crate::admin::posted::{Body, Posted};
use crate::admin::visit::{Request, Visit};
use crate::provider::check::{CheckReport, Verdict};
use crate::provider::setup::SetupCredentials;
use crate::settings::{Field, FieldErrors, StoredIntegration};

pub(in crate::admin) async fn secret_form(request: Request) -> Response {
    let id = request.id.clone();
    request
        .answer(|visit| async move {
            let stored = visit.stored(id.as_deref()).await?;
            let body = page(&visit, &stored, &Tried::default());
            let title = visit.text(TITLE).into_owned();
            Ok(visit.page(StatusCode::OK, &title, body, &[]).await)
        })
        .await
}

pub(in crate::admin) async fn replace_secret(request: Request, body: Body) -> Response {
    let id = request.id.clone();
    request
        .answer(|mut visit| async move {
            let posted = Posted::read(body)?;
            visit.verify_csrf(&posted.csrf_token).await?;
            let stored = visit.stored(id.as_deref()).await?;
            let act = if posted.act == "save-anyway" { Act::SaveAnyway } else { Act::Save };
            let outcome = visit.replace_secret(&stored, posted.version, posted.client_secret, act).await?;
            let Outcome { errors, report, kept, stale: newer, saved, .. } = outcome;
            if let Some(saved) = saved {
                let notice = if act == Act::SaveAnyway { "changed" } else { "secret" };
                return Ok(visit.redirect(&saved_path(notice, Some(&stored), &saved)));
            }
            match newer {
                Some(Some(newer)) => return stale(visit, *newer).await,
                Some(None) => return Err(Fault::Stale(None)),
                None => {}
            }
            let mut errors = errors;
            if let Some(report) = &report {
                let found = report_errors(report, visit.guide(&stored).as_ref()).into_iter();
                found.filter(|error| error.field == Field::ClientSecret).for_each(|error| errors.push(error));
            }
            let body = page(&visit, &stored, &Tried { errors, report, has_secret: kept.client_secret });
            let title = visit.text(TITLE).into_owned();
            Ok(visit.page(StatusCode::UNPROCESSABLE_ENTITY, &title, body, &[]).await)
        })
        .await
}

/// What came of the last attempt.
#[derive(Default)]
struct Tried {
    errors: FieldErrors,
    report: Option<CheckReport>,
    /// Whether the secret is kept, so that it can be saved anyway.
    has_secret: bool,
}

fn page(visit: &Visit, stored: &StoredIntegration, tried: &Tried) -> Markup {
    let path = visit.path(&format!("/{}", stored.id));
    let guide = visit.guide(stored);
    let labels = guide.as_ref().and_then(|guide| guide.credentials.first());
    let label = labels.map_or_else(|| visit.text("Client secret"), |labels| labels.secret.clone().into());
    let wrong = tried.errors.of(Field::ClientSecret);
    let could_not_tell = tried.report.as_ref().is_some_and(|report| report.verdict() == Verdict::CouldNotTell);
    html! {
        (visit.crumbs(Some((&stored.id, &stored.settings.name))))
        h1 { (visit.text(TITLE)) }
        p { (visit.text("Create a new secret for the OAuth application at the code host, and paste it here. It is checked before it is saved.")) }
        p { span.ch-mono dir="ltr" { (stored.settings.base_url) } }
        (ends_proposal(visit, stored))
        (other_errors(visit, tried, &path))
        @if let Some(report) = &tried.report {
            (found(visit, report, false))
        }
        form method="post" action={ (path) "/secret" } {
            (visit.hidden_fields(stored.version))
            div.ch-field {
                label for="client_secret" { (label) }
                input.ch-input.ch-mono id="client_secret" name="client_secret" type="password" value="" dir="ltr"
                    autocomplete="new-password" spellcheck="false" required[!tried.has_secret] autofocus
                    aria-describedby="client_secret-help" aria-invalid=[wrong.map(|_| "true")];
                div.ch-help id="client_secret-help" {
                    @if let Some(wrong) = wrong { p.ch-error { (visit.text(&wrong.message)) " " (visit.text(&wrong.hint)) } }
                    @if tried.has_secret { p { (visit.text("The secret is kept. Leave the field empty to use it.")) } }
                    @if let Some(SetupCredentials { note, .. }) = labels { (visit.text(note)) }
                }
            }
            p.ch-actions {
                button.ch-button type="submit" name="act" value="save" data-ch-busy=(visit.text("Checking and saving …")) {
                    (visit.text("Check and save"))
                }
                @if could_not_tell {
                    button.ch-button.ch-secondary type="submit" name="act" value="save-anyway"
                        aria-describedby="ch-unchecked" { (visit.text("Save anyway")) }
                }
                a href=(path) { (visit.text("Cancel")) }
            }
            @if could_not_tell { p #ch-unchecked.ch-help.ch-caution { (visit.text(UNCHECKED)) } }
        }
    }
}

/// What is wrong with the other settings, which are not on this page.
fn other_errors(visit: &Visit, tried: &Tried, path: &str) -> Markup {
    let others: Vec<_> = tried.errors.iter().filter(|error| error.field != Field::ClientSecret).collect();
    html! {
        @if !others.is_empty() {
            section.ch-summary role="alert" {
                p { (visit.text("Other settings are wrong, so the secret cannot be saved alone.")) }
                ul { @for error in others { li { (visit.text(&error.label)) ": " (visit.text(&error.message)) " " (visit.text(&error.hint)) } } }
                a href={ (path) "/edit" } { (visit.text("Edit settings")) }
            }
        }
    }
}

const TITLE: &str = "Replace the secret";
