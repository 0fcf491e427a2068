//! The style sheet and the script.

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use maud::{Markup, html};

/// The elements for the head of a page.
pub(super) fn head(base: &str) -> Markup {
    html! {
        link rel="stylesheet" href={ (base) "/assets/admin.css" };
        script src={ (base) "/assets/admin.js" } defer {}
    }
}

pub(super) async fn css() -> Response {
    asset("text/css; charset=utf-8", include_str!("assets/admin.css"))
}

pub(super) async fn js() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("assets/admin.js"))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [(CONTENT_TYPE, kind), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (CACHE_CONTROL, "max-age=300")];
    (headers.map(|(name, value)| (name, HeaderValue::from_static(value))), text).into_response()
}
