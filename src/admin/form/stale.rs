//! An integration that another administrator has changed or deleted meanwhile.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::typed::Typed;
use crate::admin::time::time;
use crate::admin::visit::{View, Visit};
use crate::provider::setup::SetupGuide;
use crate::settings::{Draft, Field, StoredIntegration};

/// Both versions. `None`: it was deleted.
pub(super) async fn show(
    visit: Visit,
    typed: &Typed,
    guide: Option<&SetupGuide>,
    now: Option<&StoredIntegration>,
) -> Response {
    let Some(now) = now else { return show_deleted(visit.view, typed).await };
    let view = &visit.view;
    let is_operator = visit.administrator.is_operator;
    let stored = Draft::of(&now.settings);
    let rows = rows(view, &typed.draft(), &stored, id_label(guide), is_operator);
    let mut on_top = typed.clone();
    on_top.version = now.version;
    let edit = view.path(&format!("/{}/edit", now.id));
    let body = html! {
        h1 { (view.text("The integration was changed in the meantime")) }
        p {
            (view.text("Changed by")) " " bdi { (now.changed.by) } ", " (time(now.changed.at)) ". "
            (view.text("Nothing of yours was saved.")) " "
            @if now.is_disabled { (view.text("The integration is disabled now.")) }
        }
        @if rows.is_empty() {
            p { (view.text("What you typed does not differ from what is stored now.")) }
        } @else {
            (table(view, &rows))
        }
        @if typed.has_new_secret() { p { (view.text("You have entered a new secret. It is kept.")) } }
        form method="post" action=(edit) {
            (on_top.hidden(&view.csrf_token))
            p.ch-actions {
                button.ch-button type="submit" name="act" value="back" { (view.text("Continue with your version")) }
                a href=(edit) { (view.text("Start over with what is stored now")) }
            }
            p.ch-help { (view.text("Your version replaces the other one when you save it.")) }
        }
    };
    let title = view.text("The integration was changed in the meantime").into_owned();
    visit.page(StatusCode::CONFLICT, &title, body, &[]).await
}

/// Only what was typed: nothing is stored.
pub(super) async fn show_deleted(view: View, typed: &Typed) -> Response {
    let rows = rows(&view, &typed.draft(), &Draft::default(), id_label(None), true);
    let rows: Vec<_> = rows.into_iter().map(|(label, yours, _)| (label, yours, String::new())).collect();
    let body = html! {
        h1 { (view.text("There is no such integration")) }
        p { (view.text("It may have been deleted in the meantime. Nothing was saved. This is what you typed:")) }
        dl.ch-pairs { @for (label, yours, _) in &rows { dt { (view.text(label)) } dd dir="auto" { (yours) } } }
        p { a href=(view.path("/new")) { (view.text("Add an integration")) } " " a href=(view.path("")) { (view.text("All integrations")) } }
    };
    let title = view.text("There is no such integration").into_owned();
    view.page(StatusCode::NOT_FOUND, &title, body, &[]).await
}

fn table(view: &View, rows: &[(&str, String, String)]) -> Markup {
    html! {
        table.ch-table {
            thead {
                tr {
                    th scope="col" { (view.text("Field")) }
                    th scope="col" { (view.text("Your version")) }
                    th scope="col" { (view.text("Stored now")) }
                }
            }
            tbody {
                @for (label, yours, stored) in rows {
                    tr {
                        th scope="row" { (view.text(label)) }
                        td dir="auto" { (yours) }
                        td dir="auto" { (stored) }
                    }
                }
            }
        }
    }
}

/// The platform's own, if it is known.
fn id_label(guide: Option<&SetupGuide>) -> &str {
    let labels = guide.and_then(|guide| guide.credentials.first());
    labels.map_or(Field::ClientId.label(), |labels| labels.id.as_str())
}

/// The fields that differ: label, typed, stored.
fn rows<'l>(
    view: &View,
    yours: &Draft,
    stored: &Draft,
    id_label: &'l str,
    is_operator: bool,
) -> Vec<(&'l str, String, String)> {
    let yes = |is: bool| if is { view.text("yes") } else { view.text("no") }.into_owned();
    let pairs = |draft: &Draft| {
        [
            (Field::Platform.label(), draft.platform.clone()),
            (Field::BaseUrl.label(), draft.base_url.trim().trim_end_matches('/').to_owned()),
            (Field::Name.label(), draft.name.clone()),
            (Field::ApiUrl.label(), if is_operator { draft.api_url.clone() } else { String::new() }),
            (Field::Access.label(), draft.access.clone()),
            (id_label, draft.client_id.clone()),
            (Field::RootCertificates.label(), draft.root_certificates.trim().to_owned()),
            (Field::Timeout.label(), draft.timeout.clone()),
            (Field::EmailTrust.label(), if is_operator { draft.email_trust.clone() } else { String::new() }),
            (Field::Groups.label(), draft.groups.clone()),
            (Field::LeastRole.label(), draft.least_role.clone()),
            (Field::EmailDomains.label(), draft.email_domains.clone()),
            ("Members of subgroups too", yes(draft.with_subgroups)),
            ("Only users with two-factor authentication", yes(draft.two_factor)),
            ("No external users", yes(draft.refuse_external)),
            ("Accept bots", yes(draft.allow_bots)),
        ]
    };
    let both = pairs(yours).into_iter().zip(pairs(stored));
    both.filter(|((_, yours), (_, stored))| yours != stored)
        .map(|((label, yours), (_, stored))| (label, yours, stored))
        .collect()
}
