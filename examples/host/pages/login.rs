//! The login pages.

use axum::response::Response;
use codehost_oauth::LoginLink;
use codehost_oauth::router::LoginPage;
use maud::{Markup, html};

use super::{Page, Viewer, csrf};
use crate::store::Organization;

/// The page of one login link.
pub(crate) fn link(viewer: &Viewer, page: &LoginPage<'_>, code_host: Option<String>) -> Response {
    let return_to = page.return_to.as_ref().map(|path| path.as_str());
    let body = html! {
        div.narrow {
            h1 { "Log in" }
            (button(viewer, &page.link, return_to))
            p.muted { "The code host asks whether you allow this app to access your account. This app never sees your password." }
        }
    };
    Page { code_hosts: code_host.into_iter().collect(), ..Page::new("Log in", body) }.show(viewer)
}

/// The login page of an organization: a button for each integration.
pub(crate) fn all(
    viewer: &Viewer,
    organization: &Organization,
    links: &[LoginLink],
    code_hosts: Vec<String>,
) -> Response {
    let body = html! {
        div.narrow {
            h1 { "Log in to " (organization.name) }
            @if links.is_empty() { p { "You cannot log in here at the moment. Ask your administrator to check the integrations." } }
            @for link in links { (button(viewer, link, None)) }
            @if !links.is_empty() { p.muted { "The code host asks whether you allow this app to access your account. This app never sees your password." } }
        }
    };
    Page { code_hosts, ..Page::new("Log in", body) }.show(viewer)
}

fn button(viewer: &Viewer, link: &LoginLink, return_to: Option<&str>) -> Markup {
    html! {
        form.login method="post" action=(link.url.path()) {
            (csrf(viewer))
            @if let Some(path) = return_to { input type="hidden" name="return_to" value=(path); }
            button.wide type="submit" { (link.label) }
            p.detail { (link.detail) }
        }
    }
}
