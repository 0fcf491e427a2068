//! What went wrong, and who must do what.

use axum::http::StatusCode;
use axum::response::Response;
use maud::html;

use super::{Page, Viewer};
use crate::logins::FailureNote;

/// A login that did not work.
pub(crate) fn page(viewer: &Viewer, note: &FailureNote) -> Response {
    let title = if note.denied { "You are not logged in" } else { "That did not work" };
    let body = html! {
        div.narrow {
            h1 { (title) }
            p { (note.message) }
            @if !note.denied { p.muted { "Who can mend it: " strong { (note.who) } "." } }
            @if let Some((what, fix)) = &note.detail {
                div.report.problem {
                    h2 { "For the administrator" }
                    p { (what) "." }
                    p { strong { "Fix: " } (fix) }
                }
            }
            p.actions {
                @if let Some((label, path)) = &note.again { a.button href=(path) { (label) } }
                a href="/" { "Back to the start" }
            }
            p.muted { small { "Code for support: " code { (note.code) } } }
        }
    };
    Page { status: note.status(), ..Page::new(title, body) }.show(viewer)
}

/// Anything else.
pub(crate) fn plain(viewer: &Viewer, status: StatusCode, title: &str, text: &str) -> Response {
    let body = html! {
        div.narrow {
            h1 { (title) }
            p { (text) }
            p.actions { a href="/" { "Back to the start" } }
        }
    };
    Page { status, ..Page::new(title, body) }.show(viewer)
}
