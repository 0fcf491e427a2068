//! The pages. The template escapes every value, and every page works without JavaScript.

pub(crate) mod account;
pub(crate) mod failure;
pub(crate) mod guide;
pub(crate) mod integrations;
pub(crate) mod login;
pub(crate) mod people;

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use tower_sessions::Session;

use crate::app::App;
use crate::store::{Person, Result};

/// Who a page is shown to.
#[derive(Default)]
pub(crate) struct Viewer {
    pub(crate) person: Option<Person>,
    pub(crate) csrf_token: String,
    notices: Vec<String>,
    demo: bool,
}

/// A page before the layout is added.
pub(crate) struct Page<'a> {
    pub(crate) title: &'a str,
    /// Other origins that a form may lead to: browsers apply `form-action` to the redirect to the code host too.
    pub(crate) code_hosts: Vec<String>,
    pub(crate) status: StatusCode,
    pub(crate) body: Markup,
}

/// Shows a notice on the next page.
pub(crate) async fn notify(session: &Session, text: &str) -> Result<()> {
    let mut notices = session.get::<Vec<String>>(NOTICES).await?.unwrap_or_default();
    notices.push(text.to_owned());
    Ok(session.insert(NOTICES, notices).await?)
}

const NOTICES: &str = "notices";

impl Viewer {
    /// Without a session: no form of the page works.
    pub(crate) fn anonymous() -> Self {
        Self::default()
    }

    pub(crate) async fn of(app: &App, session: &Session, csrf_token: String) -> Result<Self> {
        Ok(Self {
            person: app.person(session).await?,
            csrf_token,
            notices: session.remove::<Vec<String>>(NOTICES).await?.unwrap_or_default(),
            demo: app.demo.is_some(),
        })
    }
}

impl<'a> Page<'a> {
    pub(crate) fn new(title: &'a str, body: Markup) -> Self {
        Self { title, code_hosts: Vec::new(), status: StatusCode::OK, body }
    }

    pub(crate) fn show(self, viewer: &Viewer) -> Response {
        let targets = self.code_hosts.join(" ");
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
             form-action 'self' {targets}; base-uri 'none'; frame-ancestors 'none'"
        );
        let page = layout(viewer, self.title, self.body);
        let mut response = (self.status, page).into_response();
        let headers = response.headers_mut();
        // An origin has only characters that a header allows.
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

fn layout(viewer: &Viewer, title: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Depot" }
                link rel="stylesheet" href="/assets/style.css";
                link rel="icon" href="data:,";
                script src="/assets/app.js" defer {}
            }
            body {
                a.skip href="#main" { "Skip to content" }
                header.bar {
                    a.brand href="/" { span.mark aria-hidden="true" { "▚" } "Depot" }
                    @if viewer.demo { span.badge { "Demo" } }
                    nav aria-label="Main" {
                        @match &viewer.person {
                            Some(person) => {
                                @if person.admin { a href={ "/org/" (person.organization) "/integrations" } { "Integrations" } }
                                a href="/account" { (person.name) }
                                form.inline method="post" action="/logout" {
                                    (csrf(viewer))
                                    button.quiet type="submit" { "Log out" }
                                }
                            }
                            None => a href="/login" { "Log in" }
                        }
                    }
                }
                main #main tabindex="-1" {
                    @for notice in &viewer.notices { p.notice role="status" { (notice) } }
                    (body)
                }
                footer { "Example app of the crate codehost-oauth" }
            }
        }
    }
}

/// The hidden field that every form has.
pub(crate) fn csrf(viewer: &Viewer) -> Markup {
    html! { input type="hidden" name="csrf_token" value=(viewer.csrf_token); }
}

/// A value to copy, shown in full: a field to select it in, and a button if JavaScript is on.
pub(crate) fn copyable(label: &str, value: &str) -> Markup {
    html! {
        span.copyable {
            textarea.mono readonly rows=(rows(value)) spellcheck="false" aria-label=(label) { (value) }
            button.copy type="button" hidden data-copy=(value) aria-label={ "Copy " (label) } { "Copy" }
        }
    }
}

/// The number of lines that the value roughly needs.
fn rows(value: &str) -> usize {
    value.len().div_ceil(40).max(1)
}
