use std::borrow::Cow;

use async_trait::async_trait;
use axum::response::Response;
use http::HeaderValue;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::router::RequestHead;

/// How the pages look. Unless implemented, they are whole pages of their own.
#[async_trait]
pub trait AdminPages: Send + Sync + 'static {
    /// Puts a page into the app's layout. `page.head` belongs into `head`, `page.body` into `main`. The routes set the status and
    /// the headers of the response afterwards, and a `Content-Security-Policy` unless there is one.
    ///
    /// Signature: `async fn layout(&self, request: &mut RequestHead, page: AdminPage) -> Response`
    async fn layout(&self, request: &mut RequestHead, page: AdminPage) -> Response {
        let _ = request;
        whole(page)
    }

    /// Another text in place of this one, for an app in another language or with other words; `None` to keep it. Each text that is
    /// shown is asked for; `docs/admin-texts.md` lists them.
    ///
    /// ```
    /// use std::borrow::Cow;
    ///
    /// use codehost_oauth::admin::AdminPages;
    ///
    /// struct German;
    ///
    /// impl AdminPages for German {
    ///     fn text(&self, text: &str) -> Option<Cow<'static, str>> {
    ///         (text == "Integrations").then_some("Integrationen".into())
    ///     }
    /// }
    ///
    /// assert_eq!(German.text("Integrations").as_deref(), Some("Integrationen"));
    /// ```
    fn text(&self, text: &str) -> Option<Cow<'static, str>> {
        let _ = text;
        None
    }
}

/// The pages of this crate.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "there is nothing in it")]
pub struct PlainPages;

impl AdminPages for PlainPages {}

/// A page before the layout is added.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AdminPage {
    /// The title, as text.
    pub title: String,
    /// The style sheet and the script, as HTML.
    pub head: String,
    /// The content, as HTML: one `div` with an `h1`.
    pub body: String,
    /// The status of the response.
    pub status: StatusCode,
}

impl AdminPage {
    /// `head` is [`assets::head`](super::assets::head).
    pub(super) fn new(title: &str, head: Markup, body: Markup, status: StatusCode) -> Self {
        // What the script tells screen readers.
        let body = html! { div.ch-admin { (body) p #ch-live.ch-hidden role="status" {} } };
        Self { title: title.to_owned(), head: head.into_string(), body: body.into_string(), status }
    }
}

/// Sets the headers that every page has. `targets`: origins other than the app's to which its forms lead, because browsers apply
/// `form-action` to redirects too.
pub(super) fn secure(response: &mut Response, targets: &[String]) {
    let headers = response.headers_mut();
    if !headers.contains_key(CONTENT_SECURITY_POLICY) {
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; form-action \
             'self' {}; base-uri 'none'; frame-ancestors 'none'",
            targets.join(" ")
        );
        // An origin has only characters that a header allows.
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
    }
    // With `no-referrer`, a browser that does not send `Sec-Fetch-Site` would send its own forms with `Origin: null`.
    let fixed = [(CACHE_CONTROL, "no-store"), (REFERRER_POLICY, "same-origin"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn whole(page: AdminPage) -> Response {
    let html = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (page.title) }
                (PreEscaped(page.head))
            }
            body.ch-page { main { (PreEscaped(page.body)) } }
        }
    };
    let mut response = Response::new(html.into_string().into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// Beside each statement about whom an integration accepts.
pub(super) const MORE_RULES: &str = "This app may have more rules, such as an invitation.";
