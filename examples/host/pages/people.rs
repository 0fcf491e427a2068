//! The pages about organizations, users and the one-time token, and the demo's page of a code host.

use axum::response::Response;
use maud::html;

use super::{Page, Viewer, copyable, csrf};
use crate::demo::Credentials;
use crate::store::{Organization, Person};

/// The organizations of this app.
pub(crate) fn organizations(viewer: &Viewer, rows: &[Organization], complaint: Option<&str>) -> Response {
    let body = html! {
        h1 { "Organizations" }
        p.muted { "Each organization has its own integrations, login links, users and administrators, and cannot see those of another." }
        ul { @for row in rows { li { (row.name) " · " a href={ "/org/" (row.slug) "/login" } { "/org/" (row.slug) "/login" } } } }
        h2 { "Add an organization" }
        form method="post" action="/organizations" {
            (csrf(viewer))
            div.field {
                label for="name" { "Name" }
                input #name type="text" name="name" required maxlength="60" aria-describedby="name-help";
                div.help #name-help { @if let Some(text) = complaint { p.error { (text) } } "At most 20 letters and digits. They become part of every callback URL of the organization." }
            }
            p.actions { button type="submit" { "Add organization" } }
        }
    };
    Page::new("Organizations", body).show(viewer)
}

/// The users of an organization, and which of them are administrators.
pub(crate) fn people(viewer: &Viewer, organization: &Organization, rows: &[Person]) -> Response {
    let path = format!("/org/{}/people", organization.slug);
    let body = html! {
        h1 { "Users" }
        p.muted { "Every user who has logged in to " (organization.name) ". Administrators can change its integrations and make other users administrators." }
        @if rows.is_empty() { p { "No user has logged in yet." } }
        ul {
            @for row in rows {
                li {
                    (row.name) " "
                    @if row.admin { "(administrator)" } @else {
                        form.inline method="post" action=(path) {
                            (csrf(viewer))
                            input type="hidden" name="key" value=(row.id);
                            button.quiet type="submit" aria-label={ "Make " (row.name) " an administrator" } { "Make administrator" }
                        }
                    }
                }
            }
        }
        p { a href={ "/org/" (organization.slug) "/integrations" } { "Back to the integrations" } }
    };
    Page::new("Users", body).show(viewer)
}

/// Asks for the one-time token. `fresh`: there is no administrator who can log in.
pub(crate) fn token(viewer: &Viewer, fresh: bool, complaint: Option<&str>) -> Response {
    let body = html! {
        div.narrow {
            h1 { "One-time token" }
            @if fresh { p.mode { strong { "Setup mode. " } "There is no administrator who can log in. Enter the token, add an integration and log in with it: you are then the administrator." } }
            p { "The app prints the token when it starts. With the token, you can change the integrations of every organization until this session ends." }
            form method="post" action="/setup" {
                (csrf(viewer))
                div.field {
                    label for="token" { "Token" }
                    input #token.mono type="password" name="token" required autocomplete="off" aria-describedby="token-help";
                    div.help #token-help { @if let Some(text) = complaint { p.error { (text) } } }
                }
                p.actions { button type="submit" { "Continue" } }
            }
        }
    };
    Page::new("One-time token", body).show(viewer)
}

/// The page that a real code host would show after "Save application".
pub(crate) fn demo_application(
    viewer: &Viewer,
    platform: &str,
    names: &(String, String),
    callback: &str,
    made: &Credentials,
) -> Response {
    let body = html! {
        div.narrow {
            p.badge { "Demo page instead of " (platform) }
            h1 { "Application created" }
            p { "The demo " (platform) " now has an OAuth application with the callback URL " code { (callback) } " and every scope." }
            dl.fields {
                dt { (names.0) } dd { (copyable(&names.0, &made.id)) }
                dt { (names.1) } dd { (copyable(&names.1, &made.secret)) }
            }
            p.muted { "Paste both values into the form in the other tab." }
        }
    };
    Page::new("Application created", body).show(viewer)
}
