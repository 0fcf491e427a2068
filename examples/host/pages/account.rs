//! Who somebody is, as their code hosts say.

use axum::response::Response;
use codehost_oauth::LoginLink;
use maud::{Markup, html};

use super::{Page, Viewer, csrf};
use crate::store::{Account, EmailNote, Person};

/// An account with the name of its integration.
pub(crate) struct Shown {
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
    accounts: &[Shown],
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
        div.cards { @for shown in accounts { (card(viewer, shown, accounts.len() > 1)) } }
        @if !more.is_empty() {
            h2 { "Connect another account" }
            p.muted { "You can log in with each of them. Accounts are never joined by their e-mail addresses." }
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

fn card(viewer: &Viewer, shown: &Shown, may_disconnect: bool) -> Markup {
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
                    @if profile.emails.is_empty() { "None known" }
                    ul.plain { @for email in &profile.emails { li { (address(email, profile.trusted_email.as_deref())) } } }
                }
                dt { "Two-factor authentication" }
                dd { @match profile.two_factor { Some(true) => "Yes", Some(false) => "No", None => "Unknown: the platform does not say" } }
                dt { "Granted scopes" }
                dd {
                    @match &profile.granted {
                        Some(scopes) if scopes.is_empty() => "None",
                        Some(scopes) => @for scope in scopes { code { (scope) } " " },
                        None => "The platform did not say",
                    }
                }
                @if !profile.missing.is_empty() {
                    dt { "Missing scopes" }
                    dd.error { (profile.missing.join(", ")) ". The administrator ticks them in the OAuth application; then log in again." }
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
                p.muted { small { "Your only account here: connect another one before you disconnect it." } }
            }
        }
    }
}

fn address(email: &EmailNote, trusted: Option<&str>) -> Markup {
    let vouches = match email.authority.as_str() {
        "vendor" => "says the vendor",
        _ => "says this instance, whose owner could claim any address",
    };
    html! {
        span.mono { (email.address) }
        " "
        span class={ "evidence " (email.evidence) } { (email.evidence) }
        @if email.primary { " " span.evidence { "primary" } }
        @if trusted == Some(&*email.address) { " " span.evidence.trusted { "trusted here" } }
        br;
        small.muted { (vouches) }
    }
}
