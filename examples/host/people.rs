//! The users of an organization, their roles, and invitations.

use axum::extract::{Form, Path};
use codehost_oauth::IntegrationId;
use codehost_oauth::admin::Caller;
use maud::html;

use crate::app::Visit;
use crate::logins::INVITATION;
use crate::pages::{csrf, role};
use crate::routes::{Fields, Page};
use crate::store::{self, FIRST, INVITATIONS, Invitation, Person, rows};

pub(crate) async fn show(Path(slug): Path<String>, visit: Visit) -> Page {
    people(visit, &slug, "", None).await
}

pub(crate) async fn change(Path(slug): Path<String>, visit: Visit, Form(fields): Form<Fields>) -> Page {
    visit.verify(&fields).await?;
    let Caller::Administrator(by) = visit.caller(&slug).await? else { return Ok(visit.forbidden()) };
    let (act, id) = fields.act.split_once(' ').unwrap_or((&fields.act, ""));
    let (name, token) = (fields.name.trim(), store::token()?);
    let change = async |act: &str, to: [&str; 2]| visit.app.store.change(&by.user_id, &slug, act, to).await;
    let notice = match (act, IntegrationId::from_name(name)) {
        ("invite", _) if visit.person.is_none() => "Log in before you invite others.",
        ("invite", _) => change(act, [&*store::digest(&token), if id == "admin" { "1" } else { "0" }]).await?,
        ("add", Ok(new)) => change(act, [new.as_str(), name]).await?,
        ("add", Err(_)) => "The name has no letter from A to Z and no digit, or is too long.",
        _ => change(act, [id, ""]).await?,
    };
    let is_ended = notice != store::REMOVED || visit.app.end_tokens().await?;
    let notice = if is_ended { notice } else { NOT_REVOKED };
    let link = format!("{}{INVITATION}{token}", visit.app.integrations.config().public_url());
    people(visit, &slug, notice, (notice == store::INVITED).then_some(link)).await
}

const NOT_REVOKED: &str = "The user is removed, but a code host did not revoke the access of this app. Ask the user to remove the app in their settings there.";

/// Only if the browser may still manage the organization: the change may have ended that.
async fn people(visit: Visit, slug: &str, notice: &str, link: Option<String>) -> Page {
    let Caller::Administrator(_) = visit.caller(slug).await? else { return Ok(visit.forbidden()) };
    let Some(name) = visit.app.store.organization(slug).await? else { return Ok(visit.not_found()) };
    let store = &visit.app.store.0;
    let people = "SELECT * FROM people WHERE organization = ? ORDER BY name, id";
    let people: Vec<Person> = rows(store, people, &[slug]).await?;
    let invitations = format!("{INVITATIONS} AND made.organization = ? ORDER BY expires");
    let invitations: Vec<Invitation> = rows(store, &invitations, &[slug]).await?;
    let organizations = "SELECT slug, name FROM organizations WHERE ? = 'main' ORDER BY name";
    let all: Vec<(String, String)> = rows(store, organizations, &[slug]).await?;
    let button = |act: &str, id: &str, label: &str, name: &str| {
        html! { button.secondary name="act" value={ (act) " " (id) } aria-label={ (label) ": " (name) } { (label) } }
    };
    let body = html! {
        @if !notice.is_empty() { p.notice role="status" { (notice) } }
        h1 { "Users of " bdi { (name) } }
        form method="post" action={ "/org/" (slug) "/people" } {
            (csrf(visit.token()))
            @if people.is_empty() { p { "Nobody has an account yet." } }
            ul { @for one in &people { li {
                bdi { (one.name) } " (" (role(one.is_admin)) ") "
                @if one.is_admin { (button("demote", &one.id, "Make member", &one.name)) }
                @else { (button("promote", &one.id, "Make administrator", &one.name)) }
                " " (button("remove", &one.id, "Remove", &one.name))
            } } }
            h2 { "Invitations" }
            @if let Some(link) = link {
                label for="link" { "Invitation link" } input #link type="text" readonly value=(link);
                p { "Send it to the user. It works once and for a week, and is not shown again." }
            }
            ul { @for one in &invitations {
                @let about = format!("{}, by {}, until {} UTC", role(one.is_admin), one.maker, one.expires);
                li { bdi { (about) } " " (button("withdraw", &one.digest, "Withdraw", &about)) }
            } }
            p.muted { "An invitation ends when it is used, and when who made it may no longer manage this organization." }
            p.actions {
                button name="act" value="invite" { "Invite a member" }
                button.secondary name="act" value="invite admin" { "Invite an administrator" }
            }
        }
        p { a href={ "/org/" (slug) "/integrations" } { "Integrations of " bdi { (name) } } }
        @if slug == FIRST {
            h2 { "Organizations" }
            p.muted { "Each has its own integrations, login links, users and administrators. Until an administrator of its own can log in, those of the first one manage it." }
            ul { @for (slug, name) in &all { li { a href={ "/org/" (slug) "/people" } dir="auto" { (name) } } } }
            form method="post" action={ "/org/" (slug) "/people" } {
                (csrf(visit.token())) label for="name" { "Name" } input #name type="text" name="name" required maxlength="60";
                p.actions { button name="act" value="add" { "Add organization" } }
            }
        }
    };
    Ok(visit.form("Users", &body))
}
