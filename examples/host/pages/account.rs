//! The account page: what each connected code host reports about the user.

use axum::response::Response;
use codehost_oauth::LoginLink;
use maud::{Markup, html};

use super::{Page, Viewer, csrf};
use crate::store::{Account, EmailNote, Person};

/// A connected account, with the name of its integration.
pub(crate) struct ConnectedAccount {
    pub(crate) account: Account,
    pub(crate) integration: String,
    pub(crate) detail: String,
}

/// An integration that could be connected.
pub(crate) struct Connectable {
    pub(crate) id: String,
    pub(crate) link: LoginLink,
    pub(crate) name: String,
}

pub(crate) fn page(
    viewer: &Viewer,
    person: &Person,
    organization: &str,
    accounts: &[ConnectedAccount],
    more: &[Connectable],
    code_hosts: Vec<String>,
) -> Response {
    let body = html! {
        h1 { (person.name) }
        p.muted {
            (organization) " · "
            @if person.admin { "administrator" } @else { "member" }
        }
        h2 { "Connected accounts" }
        div.cards { @for account in accounts { (card(viewer, account, accounts.len() > 1)) } }
        @if !more.is_empty() {
            h2 { "Connect another account" }
            p.muted { "You can then log in with any of your accounts. Two accounts are never joined because they have the same e-mail address." }
            @for integration in more {
                form.login method="post" action={ "/connect/" (integration.id) } {
                    (csrf(viewer))
                    button.secondary type="submit" { "Connect " (integration.name) }
                    span.detail { " " (integration.link.detail) }
                }
            }
        }
    };
    Page { code_hosts, ..Page::new("Account", body) }.show(viewer)
}

fn card(viewer: &Viewer, shown: &ConnectedAccount, may_disconnect: bool) -> Markup {
    let profile = &shown.account.profile;
    html! {
        article.card {
            h3 { (shown.integration) }
            p.muted { (shown.detail) }
            dl.facts {
                dt { "Name" }
                dd { (profile.name()) @if let Some(username) = &profile.username { " (" (username) ")" } }
                dt { "Account key" }
                dd { code { (shown.account.key) } }
                dt { "E-mail" }
                dd {
                    @if profile.emails.is_empty() { "None reported" }
                    ul.plain { @for email in &profile.emails { li { (address(email, profile.trusted_email.as_deref())) } } }
                }
                dt { "Two-factor authentication" }
                dd { @match profile.two_factor { Some(true) => "Yes", Some(false) => "No", None => "Unknown: the code host does not report it" } }
                dt { "Granted scopes" }
                dd {
                    @match &profile.granted {
                        Some(scopes) if scopes.is_empty() => "None",
                        Some(scopes) => @for scope in scopes { code { (scope) } " " },
                        None => "Unknown: the code host did not report them",
                    }
                }
                @if !profile.missing.is_empty() {
                    dt { "Missing scopes" }
                    dd.error { (profile.missing.join(", ")) ". Ask the administrator to tick them in the OAuth application, then log in again." }
                }
                @if let Some(url) = &profile.profile_url {
                    @if url.starts_with("https://") || url.starts_with("http://") {
                        dt { "Profile" }
                        dd { a href=(url) rel="noopener noreferrer" { (url) } }
                    }
                }
            }
            @if may_disconnect {
                form method="post" action="/account/disconnect" {
                    (csrf(viewer))
                    input type="hidden" name="key" value=(shown.account.key);
                    button.quiet.danger type="submit" { "Disconnect " (shown.integration) }
                }
            } @else {
                p.muted { small { "This is your only account here. Connect another one before you disconnect it." } }
            }
        }
    }
}

fn address(email: &EmailNote, trusted: Option<&str>) -> Markup {
    let source = match email.authority.as_str() {
        "platform" => "reported by the platform's own service",
        _ => "reported by this server, whose administrator can enter any address",
    };
    html! {
        span.mono { (email.address) }
        " "
        span class={ "evidence " (email.evidence) } { (email.evidence) }
        @if email.primary { " " span.evidence { "primary" } }
        @if trusted == Some(&*email.address) { " " span.evidence.trusted { "trusted by this app" } }
        br;
        small.muted { (source) }
    }
}
