//! A change that leads to another server or OAuth application: what it means, before it is saved.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::typed::Typed;
use crate::admin::actions::Outcome;
use crate::admin::fault::Fault;
use crate::admin::visit::{View, Visit};
use crate::settings::{IntegrationSettings, MoveKind, StoredIntegration};

pub(super) async fn show(
    visit: Visit,
    typed: &Typed,
    stored: &StoredIntegration,
    kind: MoveKind,
    outcome: &Outcome,
) -> Result<Response, Fault> {
    let accounts = visit.admin.0.access.accounts(&stored.id).await.map_err(Fault::App)?;
    let Ok(new) = &outcome.reading.settings else { return Err(Fault::NotFound) };
    let view = &visit.view;
    let title = match kind {
        MoveKind::NewApplication => "Use another OAuth application?",
        _ => "Move to another server?",
    };
    let body = html! {
        (view.crumbs(Some((&stored.id, &stored.settings.name))))
        h1 { (view.text(title)) }
        (changes(view, &stored.settings, new, outcome))
        p { strong { (view.accounts_text(accounts)) } }
        p { (view.text("Nothing is saved yet.")) }
        form method="post" action=(view.path(&format!("/{}/edit", stored.id))) {
            (typed.hidden(&view.csrf_token))
            @match kind {
                MoveKind::NewApplication => (new_application(view)),
                _ => (new_server(view, stored.settings.client_id == new.client_id)),
            }
            p.ch-actions {
                button.ch-button.ch-secondary type="submit" name="act" value="back" { (view.text("Back to the form")) }
            }
        }
    };
    let title = view.text(title).into_owned();
    Ok(visit.page(StatusCode::OK, &title, body, &[]).await)
}

fn changes(view: &View, old: &IntegrationSettings, new: &IntegrationSettings, outcome: &Outcome) -> Markup {
    let labels = outcome.reading.guide.as_ref().and_then(|guide| guide.credentials.first());
    let id = labels.map_or("Client ID", |labels| labels.id.as_str());
    let urls = [&old.api_url, &new.api_url].map(|url| url.clone().unwrap_or_default());
    let rows = [
        ("Base URL", &old.base_url, &new.base_url),
        ("API URL", &urls[0], &urls[1]),
        (id, &old.client_id, &new.client_id),
    ];
    html! {
        table.ch-table {
            thead { tr { th scope="col" { (view.text("Field")) } th scope="col" { (view.text("Now")) } th scope="col" { (view.text("New")) } } }
            tbody {
                @for (label, old, new) in rows.into_iter().filter(|(_, old, new)| old != new) {
                    tr { th scope="row" { (view.text(label)) } td { code { (old) } } td { code { (new) } } }
                }
            }
        }
    }
}

/// `may_be_same`: with another OAuth application, it would not be the same server with the same tokens.
fn new_server(view: &View, may_be_same: bool) -> Markup {
    html! {
        section.ch-step aria-labelledby="ch-other" {
            h2 #ch-other { (view.text("It is another server")) }
            p { (view.text("The same user IDs belong to other users there. All accounts and connections of this integration are forgotten. Users log in again and are then new to this app.")) }
            p.ch-actions {
                button.ch-button.ch-danger type="submit" name="act" value="move"
                    data-ch-busy=(view.text("Saving …")) { (view.text("Move to another server")) }
            }
        }
        @if may_be_same {
            section.ch-step aria-labelledby="ch-same" {
                h2 #ch-same { (view.text("It is the same server under a new name")) }
                p { (view.text("Users keep their accounts. Their connections stay too if operators of this app propose it and confirm it; otherwise each user connects again with the next login. First you must prove it: log in at the new base URL once, with an account that was connected here before. Until then, users log in as before.")) }
                p.ch-actions {
                    button.ch-button type="submit" name="act" value="propose"
                        data-ch-busy=(view.text("Saving …")) { (view.text("Confirm with a test login")) }
                }
            }
        }
    }
}

fn new_application(view: &View) -> Markup {
    html! {
        section.ch-step aria-labelledby="ch-other" {
            h2 #ch-other { (view.text("What will happen")) }
            p { (view.text("Users and their accounts stay. Their connections end: the tokens belong to the old OAuth application. Each user connects again with the next login.")) }
            p.ch-actions {
                button.ch-button.ch-danger type="submit" name="act" value="move"
                    data-ch-busy=(view.text("Saving …")) { (view.text("Use the other application")) }
            }
        }
    }
}
