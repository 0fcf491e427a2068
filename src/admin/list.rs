//! The list of integrations.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::marks::mark;
use super::overview::{Overview, Problem, authority};
use super::time::time;
use super::visit::{Request, View, Visit};
use crate::settings::{Health, Stamp, UnreadableIntegration};

pub(super) async fn show(request: Request) -> Response {
    let was_deleted = request.head.uri.query() == Some(DELETED);
    request
        .answer(|visit| async move {
            let all = visit.overviews().await?;
            let body = page(&visit, &all, was_deleted);
            let title = visit.text("Integrations").into_owned();
            Ok(visit.page(StatusCode::OK, &title, body, &[]).await)
        })
        .await
}

/// The query of the list after an integration was deleted.
pub(super) const DELETED: &str = "deleted=1";

fn page(visit: &Visit, all: &[Result<Overview, UnreadableIntegration>], was_deleted: bool) -> Markup {
    html! {
        div.ch-heading {
            h1 { (visit.text("Integrations")) }
            a.ch-button href=(visit.path("/new")) { (visit.text("Add integration")) }
        }
        @if was_deleted { p.ch-notice role="status" { (visit.text("The integration was deleted.")) } }
        @if all.is_empty() {
            section.ch-empty {
                p { (visit.text("There is no integration yet, so nobody can log in with a code host.")) }
                p { (visit.text("To add one, you need:")) }
                ul {
                    li { (visit.text("the URL of your code host, such as https://gitlab.com or https://git.example.com")) }
                    li { (visit.text("an account there that may create an OAuth application: your own, or that of a group or workspace")) }
                }
                p { (visit.text("The form shows each step to take there.")) }
            }
        } @else {
            div.ch-cards {
                @for one in all {
                    @match one { Ok(one) => (card(visit, one)), Err(one) => (unreadable(visit, one)) }
                }
            }
        }
    }
}

fn card(visit: &Visit, one: &Overview) -> Markup {
    let stored = &one.stored;
    let path = visit.path(&format!("/{}", stored.id));
    let heading = format!("integration-{}", stored.id);
    html! {
        article.ch-card aria-labelledby=(heading) {
            h2 id=(heading) { a href=(path) dir="auto" { (stored.settings.name) } }
            p.ch-host { (code_host(visit, one)) }
            (state(visit, one))
            dl.ch-facts { (activity(visit, one)) (stamps(visit, &stored.created, &stored.changed)) }
            @if let Some(link) = one.login_link() {
                h3 { (visit.text("Login link")) }
                (visit.copyable(&visit.text("login link"), link.url.as_str()))
            }
            p.ch-actions {
                a href={ (path) "/edit" } { (visit.text("Edit")) (of(stored.settings.name.as_str())) }
                @if one.built.is_ok() {
                    a href={ (path) "#test" } { (visit.text("Test login")) (of(stored.settings.name.as_str())) }
                }
                a.ch-danger href={ (path) "/delete" } { (visit.text("Delete")) (of(stored.settings.name.as_str())) }
            }
        }
    }
}

/// Only what is known without its settings.
fn unreadable(visit: &Visit, one: &UnreadableIntegration) -> Markup {
    let heading = format!("integration-{}", one.id);
    let name = if one.name.is_empty() { one.id.as_str() } else { one.name.as_str() };
    html! {
        article.ch-card aria-labelledby=(heading) {
            h2 id=(heading) dir="auto" { (name) }
            (problem(visit, "This integration cannot be used.", &one.into()))
            dl.ch-facts {
                div { dt { (visit.text("ID")) } dd { code { (one.id) } } }
                div { dt { (visit.text("Changed by")) } dd { (by(&one.changed)) } }
            }
            p.ch-actions {
                a.ch-danger href=(visit.path(&format!("/{}/delete", one.id))) { (visit.text("Delete")) (of(name)) }
            }
        }
    }
}

/// For screen readers, which list the links of a page without what is around them.
fn of(name: &str) -> Markup {
    html! { span.ch-hidden { " " bdi { (name) } } }
}

/// The platform and the host name.
pub(super) fn code_host(visit: &Visit, one: &Overview) -> Markup {
    let settings = &one.stored.settings;
    let name = visit.platform(&settings.platform).map_or(settings.platform.as_str(), |platform| platform.name());
    html! { (mark(&settings.platform)) " " (name) ": " span.ch-mono dir="ltr" { (authority(&settings.base_url)) } }
}

/// Whether users can log in, and why not.
pub(super) fn state(visit: &Visit, one: &Overview) -> Markup {
    html! {
        @if one.stored.is_disabled {
            p.ch-state.ch-disabled { strong { (visit.text("Disabled.")) } " " (visit.text("Nobody can log in with it.")) }
        }
        @if let Err(found) = &one.built { (problem(visit, "This integration cannot be used.", found)) }
    }
}

/// What does not work, why, and what to do.
pub(super) fn problem(view: &View, what: &str, Problem { code, message, hint }: &Problem) -> Markup {
    html! {
        p.ch-state.ch-error data-code=(code) {
            strong { (view.text(what)) } " " (view.text(message)) " " (view.text(hint))
        }
    }
}

/// The number of users, the last login and the last failure.
pub(super) fn activity(visit: &Visit, one: &Overview) -> Markup {
    let Health { last_login, last_failure, .. } = &one.health;
    html! {
        @if let Some(count) = one.accounts {
            div { dt { (visit.text("Users")) } dd { (count) } }
        }
        div {
            dt { (visit.text("Last login at the code host")) }
            dd { @match last_login { Some(at) => (time(*at)), None => (visit.text("none yet")) } }
        }
        @if let Some(failure) = last_failure {
            div {
                dt { (visit.text("Last failure")) }
                dd { code { (failure.code) } ", " (time(failure.at)) }
            }
        }
    }
}

/// Who created and changed it, and when.
pub(super) fn stamps(visit: &Visit, created: &Stamp, changed: &Stamp) -> Markup {
    html! {
        div { dt { (visit.text("Created by")) } dd { (by(created)) } }
        @if created != changed {
            div { dt { (visit.text("Changed by")) } dd { (by(changed)) } }
        }
    }
}

fn by(stamp: &Stamp) -> Markup {
    html! { bdi { (stamp.by) } ", " (time(stamp.at)) }
}
