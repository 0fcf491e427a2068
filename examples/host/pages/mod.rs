//! The pages: rendered here, escaped by the template, usable without any script.

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

/// Who looks at a page.
#[derive(Default)]
pub(crate) struct Viewer {
    pub(crate) person: Option<Person>,
    pub(crate) csrf_token: String,
    notices: Vec<String>,
    demo: bool,
}

/// One page.
pub(crate) struct Page<'a> {
    pub(crate) title: &'a str,
    /// Where forms lead besides this app: `form-action` applies to the redirect to a code host too.
    pub(crate) code_hosts: Vec<String>,
    pub(crate) status: StatusCode,
    pub(crate) body: Markup,
}

/// Says something on the next page.
pub(crate) async fn notify(session: &Session, text: &str) -> Result<()> {
    let mut notices = session.get::<Vec<String>>(NOTICES).await?.unwrap_or_default();
    notices.push(text.to_owned());
    Ok(session.insert(NOTICES, notices).await?)
}

const NOTICES: &str = "notices";

impl Viewer {
    /// Nobody in particular: no form of the page works.
    pub(crate) fn stranger() -> Self {
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
        // Origins have no character that a header cannot hold.
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
                a.skip href="#main" { "Skip to the content" }
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
                footer { "An example of the crate codehost-oauth." }
            }
        }
    }
}

/// The hidden field that every form has.
pub(crate) fn csrf(viewer: &Viewer) -> Markup {
    html! { input type="hidden" name="csrf_token" value=(viewer.csrf_token); }
}

/// A text to copy, all of it to be seen: a field that can be selected, and a button where there is a script.
pub(crate) fn copyable(label: &str, value: &str) -> Markup {
    html! {
        span.copyable {
            textarea.mono readonly rows=(rows(value)) spellcheck="false" aria-label=(label) { (value) }
            button.copy type="button" hidden data-copy=(value) aria-label={ "Copy " (label) } { "Copy" }
        }
    }
}

/// About how many lines it takes.
fn rows(value: &str) -> usize {
    value.len().div_ceil(40).max(1)
}
