//! The accounts of a user at code hosts.

use axum::extract::Form;
use axum::response::{IntoResponse as _, Redirect};
use codehost_oauth::error::AppError;
use codehost_oauth::keeper::{CallError, ConnectionId, Disconnected};
use codehost_oauth::{FindIntegration as _, Integration, Revocation};
use maud::html;

use crate::app::{App, NOTICE, Visit, log};
use crate::pages::{csrf, role};
use crate::routes::{Fields, Page};
use crate::store::{DISCONNECT, exists, rows, run};

pub(crate) async fn show(visit: Visit) -> Page {
    let has_notice = visit.person.is_some() && visit.session.get_value(NOTICE).await?.is_some();
    let notice = if has_notice { visit.session.remove(NOTICE).await? } else { None };
    account(visit, notice).await
}

pub(crate) async fn change(visit: Visit, Form(fields): Form<Fields>) -> Page {
    visit.verify(&fields).await?;
    let (store, person) = (&visit.app.store.0, visit.person.as_ref().map_or("", |person| &*person.id));
    if !exists(store, "SELECT 1 FROM accounts WHERE person = ? AND key = ?", &[person, &fields.key]).await? {
        return Ok(visit.not_found());
    }
    let connection: ConnectionId = fields.key.parse()?;
    if fields.act != "disconnect" {
        let said = who(&visit.app, &connection).await?;
        return account(visit, Some(said)).await;
    }
    if !run(store, DISCONNECT, &[person, &fields.key]).await? {
        return Ok(visit.tell(NOT_DISCONNECTED).await?);
    }
    // Nobody logs in with it any more, so nothing else needs its tokens.
    let ended = visit.app.keeper.disconnect(&connection).await.inspect_err(|error| log(error));
    let is_revoked = matches!(ended, Ok(Disconnected { revocation: Some(Ok(Revocation::Revoked)), .. }));
    Ok(visit.tell(if is_revoked { REVOKED } else { NOT_REVOKED }).await?)
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
    let user = match app.keeper.with_token(connection, user).await {
        Err(error) => return Ok(error.advice().public_message.into_owned()),
        Ok(user) => user,
    };
    let [name, username] = [user.display_name, user.username].map(Option::unwrap_or_default);
    let two_factor = user.two_factor.map_or("not reported", |is_on| if is_on { "on" } else { "off" });
    Ok(format!("The code host says now: {name} ({username}), two-factor authentication {two_factor}."))
}

async fn account(visit: Visit, notice: Option<String>) -> Page {
    let Some(person) = &visit.person else { return Ok(Redirect::to("/login").into_response()) };
    let accounts = "SELECT key, integration, profile, EXISTS
         (SELECT 1 FROM usable AS other WHERE other.person = one.person AND other.key <> one.key)
         FROM accounts AS one WHERE person = ? ORDER BY key";
    let accounts: Vec<(String, String, String, bool)> = rows(&visit.app.store.0, accounts, &[&person.id]).await?;
    let usable = visit.app.usable(&person.organization).await?;
    let name = |id: &str| usable.iter().find(|one| one.id().as_str() == id).map_or("", Integration::name);
    let is_new = |one: &&Integration| accounts.iter().all(|(_, used, ..)| used != one.id().as_str());
    let body = html! {
        @if let Some(notice) = notice { p.notice role="status" { (notice) } }
        h1 dir="auto" { (person.name) }
        p { (role(person.is_admin)) " of " (person.organization) }
        form method="post" action="/logout" { (csrf(visit.token())) button.secondary { "Log out" } }
        h2 { "Connected accounts" }
        @for (key, integration, profile, has_other) in &accounts {
            h3 dir="auto" { (name(integration)) }
            p dir="auto" { (profile) }
            p { "Account key: " code { (key) } }
            form.actions method="post" action="/account" {
                (csrf(visit.token()))
                input type="hidden" name="key" value=(key);
                button.secondary name="act" value="who" { "Who am I there?" }
                @if *has_other { button.secondary name="act" value="disconnect" { "Disconnect" } }
                @else { span.muted { "This is your only account here with which you can log in. Connect another one before you disconnect it." } }
            }
        }
        @if usable.iter().any(|one| is_new(&one)) {
            h2 { "Connect another account" }
            p.muted { "You can then log in with any of your accounts. Two accounts are never joined because they have the same e-mail address." }
        }
        @for one in usable.iter().filter(is_new) {
            form method="post" action={ "/connect/" (one.id()) } {
                (csrf(visit.token()))
                button.secondary dir="auto" { "Connect " (one.name()) }
                p.muted { (one.login_link().detail) }
            }
        }
    };
    Ok(visit.form("Account", &body))
}
