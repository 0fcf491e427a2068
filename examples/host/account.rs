//! The accounts of a user at code hosts.

use axum::extract::Form;
use axum::response::{IntoResponse as _, Redirect};
use codehost_oauth::error::AppError;
use codehost_oauth::keeper::{CallError, ConnectionId};
use codehost_oauth::{FindIntegration as _, Integration};
use maud::html;

use crate::app::{App, NOTICE, Visit};
use crate::pages::{csrf, role};
use crate::routes::{Fields, Page};
use crate::store::{DISCONNECT, exists, profile, rows, run};

pub(crate) async fn show(visit: Visit) -> Page {
    let Some(person) = &visit.person else { return Ok(Redirect::to("/login").into_response()) };
    let has_notice = visit.session.get_value(NOTICE).await?.is_some();
    let notice: Option<String> = if has_notice { visit.session.remove(NOTICE).await? } else { None };
    let accounts = "SELECT key, integration, profile FROM accounts WHERE person = ? ORDER BY key";
    let accounts: Vec<(String, String, String)> = rows(&visit.app.store.0, accounts, &[&person.id]).await?;
    let all = visit.app.integrations.list(Some(&person.organization)).await?;
    let name = |id: &str| all.iter().flatten().find(|one| one.id.as_str() == id).map(|one| &*one.settings.name);
    let usable = visit.app.usable(&person.organization).await?;
    let is_usable = |id: &str| usable.iter().any(|one| one.id().as_str() == id);
    let is_new = |one: &&Integration| accounts.iter().all(|(_, used, _)| used != one.id().as_str());
    let body = html! {
        @if let Some(notice) = notice { p.notice role="status" { (notice) } }
        h1 dir="auto" { (person.name) }
        p { (role(person.is_admin)) " of " (person.organization) }
        form method="post" action="/logout" { (csrf(visit.token())) button.secondary { "Log out" } }
        h2 { "Connected accounts" }
        @for (key, integration, profile) in &accounts {
            h3 dir="auto" { (name(integration).unwrap_or(integration)) }
            @if !is_usable(integration) { p { "You cannot log in with this account at the moment. Ask an administrator to check the integration." } }
            p dir="auto" { (profile) }
            p { "Account key: " code { (key) } }
            form.actions method="post" action="/account" {
                (csrf(visit.token())) input type="hidden" name="key" value=(key);
                button.secondary name="act" value="who" { "Who am I there?" }
                @if accounts.iter().any(|(other, at, _)| other != key && is_usable(at)) { button.secondary name="act" value="disconnect" { "Disconnect" } }
                @else { span.muted { "This is your only account here with which you can log in. Connect another one before you disconnect it." } }
            }
        }
        @if usable.iter().any(|one| is_new(&one)) {
            h2 { "Connect another account" }
            p.muted { "You can then log in with any of your accounts. Two accounts are never joined because they have the same e-mail address." }
        }
        @for one in usable.iter().filter(is_new) {
            form method="post" action={ "/connect/" (one.id()) } {
                (csrf(visit.token())) button.secondary dir="auto" { "Connect " (one.name()) }
                p.muted { (one.login_link().detail) }
            }
        }
    };
    Ok(visit.form("Account", &body))
}

pub(crate) async fn change(visit: Visit, Form(fields): Form<Fields>) -> Page {
    visit.verify(&fields).await?;
    let (store, person) = (&visit.app.store.0, visit.person.as_ref().map_or("", |person| &*person.id));
    if !exists(store, "SELECT 1 FROM accounts WHERE person = ? AND key = ?", &[person, &fields.key]).await? {
        return Ok(visit.not_found());
    }
    if fields.act != "disconnect" {
        return Ok(visit.tell(&who(&visit.app, &fields.key.parse()?).await?).await?);
    }
    let is_done = run(store, DISCONNECT, &[person, &fields.key]).await?;
    // Nobody logs in with it any more, so nothing else needs its tokens.
    let is_revoked = is_done && visit.app.end_tokens().await?;
    Ok(visit
        .tell(if is_revoked {
            REVOKED
        } else if is_done {
            NOT_REVOKED
        } else {
            NOT_DISCONNECTED
        })
        .await?)
}

const NOT_DISCONNECTED: &str = "This account cannot be disconnected. First connect another one that can log in.";
const REVOKED: &str = "The account is disconnected, and its tokens were revoked.";
const NOT_REVOKED: &str = "The account is disconnected, but the code host did not revoke the access of this app. Remove the app in your settings there.";

/// Asks the code host who the user is, with the stored tokens.
async fn who(app: &App, connection: &ConnectionId) -> Result<String, AppError> {
    let Some(there) = app.integrations.find(connection.integration()).await? else {
        return Ok("The integration is disabled.".to_owned());
    };
    let user = async |token| there.user(&token).await.map_err(CallError::from);
    Ok(match app.keeper.with_token(connection, user).await {
        Ok(user) => format!("The code host says now: {}.", profile(&user)),
        Err(error) => error.advice().public_message.into_owned(),
    })
}
