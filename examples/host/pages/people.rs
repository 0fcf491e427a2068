//! Pages about organizations and the one-time token, and the stand-in for a code host's own page.

use axum::response::Response;
use maud::html;

use super::{Page, Viewer, copyable, csrf};
use crate::demo::Credentials;
use crate::store::{Organization, Person};

/// The organizations of this app.
pub(crate) fn organizations(viewer: &Viewer, rows: &[Organization], complaint: Option<&str>) -> Response {
    let body = html! {
        h1 { "Organizations" }
        p.muted { "Each has its own integrations, login links, people and administrators. None sees anything of another." }
        ul { @for row in rows { li { (row.name) " · " a href={ "/org/" (row.slug) "/login" } { "/org/" (row.slug) "/login" } } } }
        h2 { "Add an organization" }
        form method="post" action="/organizations" {
            (csrf(viewer))
            div.field {
                label for="name" { "Name" }
                input #name type="text" name="name" required maxlength="60" aria-describedby="name-help";
                div.help #name-help { @if let Some(text) = complaint { p.error { (text) } } "Its letters and digits become a part of every callback URL." }
            }
            p.actions { button type="submit" { "Add organization" } }
        }
    };
    Page::new("Organizations", body).show(viewer)
}

/// The people of an organization, and who of them is an administrator.
pub(crate) fn people(viewer: &Viewer, organization: &Organization, rows: &[Person]) -> Response {
    let path = format!("/org/{}/people", organization.slug);
    let body = html! {
        h1 { "People" }
        p.muted { "Everybody who has logged in to " (organization.name) ". An administrator may change its integrations, and make others administrators." }
        @if rows.is_empty() { p { "Nobody has logged in yet." } }
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
    Page::new("People", body).show(viewer)
}

/// Asks for the one-time token. `fresh`: nobody is an administrator yet.
pub(crate) fn token(viewer: &Viewer, fresh: bool, wrong: bool) -> Response {
    let body = html! {
        div.narrow {
            h1 { "One-time token" }
            @if fresh { p.mode { strong { "Setup mode. " } "There is no administrator yet. Whoever has the token may add the first integration, and becomes the administrator by logging in through it." } }
            p { "The app has printed it at its start. With it you may change the integrations of every organization, as long as this session lasts." }
            form method="post" action="/setup" {
                (csrf(viewer))
                div.field {
                    label for="token" { "Token" }
                    input #token.mono type="password" name="token" required autocomplete="off" aria-describedby="token-help";
                    div.help #token-help { @if wrong { p.error { "That is not the token, or it has been used. Restart the app for another one." } } }
                }
                p.actions { button type="submit" { "Go on" } }
            }
        }
    };
    Page::new("One-time token", body).show(viewer)
}

/// What the page of a real code host would show after "Save application".
pub(crate) fn demo_application(
    viewer: &Viewer,
    platform: &str,
    names: &(String, String),
    callback: &str,
    made: &Credentials,
) -> Response {
    let body = html! {
        div.narrow {
            p.badge { "Stands in for " (platform) }
            h1 { "Application created" }
            p { "The fake " (platform) " has an OAuth application now, with the callback URL " code { (callback) } " and every scope." }
            dl.fields {
                dt { (names.0) } dd { (copyable(&names.0, &made.id)) }
                dt { (names.1) } dd { (copyable(&names.1, &made.secret)) }
            }
            p.muted { "Paste both into the form, which is still open in the other tab." }
        }
    };
    Page::new("Application created", body).show(viewer)
}
