//! The pages. The template escapes every value, and every page works without JavaScript.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use codehost_oauth::LoginLink;
use codehost_oauth::router::{CsrfToken, Failure, FailureCause};
use codehost_oauth::web::RESPONSE_HEADERS;
use maud::{DOCTYPE, Markup, html};

use crate::app::Visit;

impl Visit {
    /// A page with forms: sets the cookie of their token.
    pub(crate) fn form(mut self, title: &str, body: &Markup) -> Response {
        let cookie = self.csrf.take();
        (cookie, show(Some(&self), StatusCode::OK, title, body)).into_response()
    }

    pub(crate) fn say(&self, status: StatusCode, title: &str, text: &str) -> Response {
        say(Some(self), status, title, text)
    }

    pub(crate) fn not_found(&self) -> Response {
        self.say(StatusCode::NOT_FOUND, "Page not found", "Check the address, or go back to the home page.")
    }

    pub(crate) fn forbidden(&self) -> Response {
        let text = "It is for administrators of this organization. Log in as one of them.";
        self.say(StatusCode::FORBIDDEN, "You do not have access to this page", text)
    }

    pub(crate) fn token(&self) -> &str {
        self.csrf.as_ref().map_or("", CsrfToken::as_str)
    }
}

pub(crate) fn say(visit: Option<&Visit>, status: StatusCode, title: &str, text: &str) -> Response {
    let is_home = visit.is_some_and(|visit| visit.head.uri.path() == "/");
    let body = html! { h1 { (title) } p { (text) } @if !is_home { p { a href="/" { "Back to the home page" } } } };
    show(visit, status, title, &body)
}

/// A page for this visitor, if it is known who it is.
pub(crate) fn show(visit: Option<&Visit>, status: StatusCode, title: &str, body: &Markup) -> Response {
    let policy = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'";
    let headers = [(CONTENT_SECURITY_POLICY, policy), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (status, RESPONSE_HEADERS, headers, layout(visit, title, &html! {}, body)).into_response()
}

pub(crate) fn layout(visit: Option<&Visit>, title: &str, head: &Markup, body: &Markup) -> Markup {
    let person = visit.and_then(|visit| visit.person.as_ref());
    let organization = visit.and_then(|visit| visit.organization.as_ref());
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8"; meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) @if let Some((_, name)) = organization { " · " (name) } " · Depot" }
                link rel="stylesheet" href="/assets/style.css"; link rel="icon" href="data:,";
                (head)
            }
            body {
                header.bar {
                    a href="/" { "Depot" }
                    @if visit.is_some_and(|visit| visit.founder.is_some()) { span.badge { "Setup mode" } }
                    nav aria-label="Main" {
                        @if let Some((slug, name)) = organization {
                            strong dir="auto" { (name) }
                            a href={ "/org/" (slug) "/integrations" } { "Integrations" }
                            a href={ "/org/" (slug) "/people" } { "Users" }
                        }
                        @if let Some(person) = person { a href="/account" dir="auto" { (person.name) } }
                        @else { a href="/login" { "Log in" } }
                    }
                }
                main { (body) }
                footer { "Example app of the crate codehost-oauth" }
            }
        }
    }
}

/// A button for each integration. `intro` is a sentence before them.
pub(crate) fn login(title: &str, intro: &str, links: &[LoginLink], token: &str, return_to: Option<&str>) -> Markup {
    html! {
        h1 { (title) }
        @if !intro.is_empty() { p { (intro) } }
        @if links.is_empty() { p { "Nobody can log in here at the moment. Ask an administrator to check the integrations." } }
        @for link in links {
            form method="post" action=(link.url.path()) {
                (csrf(token)) @if let Some(path) = return_to { input type="hidden" name="return_to" value=(path); }
                button dir="auto" { (link.label) }
                p.muted { (link.detail) }
            }
        }
        p.muted { "The code host asks whether you allow this app to access your account. This app never sees your password." }
    }
}

/// A login that failed, for anybody to see: an administrator finds the causes on the page of the integration.
pub(crate) fn failure(visit: Option<&Visit>, failure: &Failure) -> Response {
    let is_form = matches!(failure.cause, FailureCause::Csrf);
    let title = if is_form { "Your request was not accepted" } else { "Login failed" };
    let again = failure.integration.as_ref().map_or("Back to the home page".to_owned(), |one| one.login_link().label);
    let body = html! {
        h1 { (title) }
        p { (failure.cause.advice().public_message) }
        p { a.button href=(failure.continue_path()) dir="auto" { (again) } }
        p.muted { "Error code: " code { (failure.cause.public_code()) } }
    };
    show(visit, failure.cause.status(), title, &body)
}

pub(crate) fn csrf(token: &str) -> Markup {
    html! { input type="hidden" name=(CsrfToken::FIELD) value=(token); }
}

pub(crate) fn role(is_admin: bool) -> &'static str {
    if is_admin { "Administrator" } else { "Member" }
}
