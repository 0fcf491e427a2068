//! The error pages.

use axum::http::StatusCode;
use axum::response::Response;
use maud::html;

use super::{Page, Viewer};
use crate::logins::FailureNote;

/// A login that failed.
pub(crate) fn page(viewer: &Viewer, note: &FailureNote) -> Response {
    let title = match note.code.as_str() {
        "denied" => "You are not logged in",
        // Any form, not only that of a login.
        "csrf" => "Your request was not accepted",
        _ => "Login failed",
    };
    let body = html! {
        div.narrow {
            h1 { (title) }
            p { (note.message) }
            @if let Some(action) = &note.action { p.muted { "What you can do: " strong { (action) } } }
            @if let Some((what, fix)) = &note.detail {
                div.report.problem {
                    h2 { "For the administrator" }
                    p { (what) "." }
                    p { strong { "Fix: " } (fix) }
                }
            }
            p.actions {
                @if let Some((label, path)) = &note.again { a.button href=(path) { (label) } }
                a href="/" { "Back to the home page" }
            }
            p.muted { small { "Error code: " code { (note.code) } } }
        }
    };
    Page { status: note.status(), ..Page::new(title, body) }.show(viewer)
}

/// Any other error.
pub(crate) fn plain(viewer: &Viewer, status: StatusCode, title: &str, text: &str) -> Response {
    let body = html! {
        div.narrow {
            h1 { (title) }
            p { (text) }
            p.actions { a href="/" { "Back to the home page" } }
        }
    };
    Page { status, ..Page::new(title, body) }.show(viewer)
}
