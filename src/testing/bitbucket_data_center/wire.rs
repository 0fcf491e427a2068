//! Responses in Bitbucket's form.

use std::fmt::Write as _;

use super::state::{Maintenance, Options};
use crate::testing::wire::{FakeResponse, json_string, respond};
use crate::util::html::escape;

pub(super) const JSON: (&str, &str) = ("Content-Type", "application/json;charset=UTF-8");
pub(super) const HTML: (&str, &str) = ("Content-Type", "text/html;charset=UTF-8");

/// An error of the REST API.
pub(super) struct Refusal {
    pub(super) status: u16,
    /// The parameter that is wrong.
    context: Option<&'static str>,
    message: String,
    /// Without `com.atlassian.bitbucket.`
    exception: Option<&'static str>,
}

impl Refusal {
    pub(super) fn response(&self, options: &Options) -> FakeResponse {
        let quoted = |text: Option<&str>| text.map_or_else(|| "null".to_owned(), json_string);
        let message = Some(self.message.as_str()).filter(|_| !options.null_messages);
        let exception = self.exception.map(|name| format!("com.atlassian.bitbucket.{name}"));
        let details = if options.error_details { ",\"details\":[]" } else { "" };
        let body = format!(
            "{{\"errors\":[{{\"context\":{},\"message\":{},\"exceptionName\":{}{details}}}]}}",
            quoted(self.context),
            quoted(message),
            quoted(exception.as_deref()),
        );
        respond(self.status, &[JSON], body)
    }

    fn new(status: u16, exception: Option<&'static str>, message: &str) -> Self {
        Self { status, context: None, message: message.to_owned(), exception }
    }
}

/// The caller is anonymous, or lacks the right: the status is the same.
pub(super) fn unauthorized() -> Refusal {
    let text = "You are not permitted to access this resource";
    Refusal::new(401, Some("AuthorisationException"), text)
}

pub(super) fn scope_too_small(options: &Options) -> Refusal {
    Refusal { status: options.scope_refusal_status, ..unauthorized() }
}

pub(super) fn captcha(status: u16) -> Refusal {
    let text = "CAPTCHA required. Sign in through the web interface to answer it.";
    Refusal::new(status, Some("auth.CaptchaRequiredAuthenticationException"), text)
}

pub(super) fn no_such_user(slug: &str) -> Refusal {
    Refusal::new(404, Some("user.NoSuchUserException"), &format!("User {slug} does not exist."))
}

pub(super) fn no_such_project(key: &str) -> Refusal {
    Refusal::new(404, Some("project.NoSuchProjectException"), &format!("Project {key} does not exist."))
}

pub(super) fn no_such_repository(key: &str, slug: &str) -> Refusal {
    let text = format!("Repository {key}/{slug} does not exist.");
    Refusal::new(404, Some("repository.NoSuchRepositoryException"), &text)
}

pub(super) fn no_such_resource() -> Refusal {
    Refusal::new(404, None, "HTTP 404 Not Found")
}

pub(super) fn method_not_allowed() -> Refusal {
    Refusal::new(405, None, "HTTP 405 Method Not Allowed")
}

pub(super) fn bad_parameter(name: &'static str) -> Refusal {
    let text = format!("The parameter {name} has a value that is not allowed.");
    Refusal { context: Some(name), ..Refusal::new(400, None, &text) }
}

pub(super) fn unavailable(kind: Maintenance, options: &Options) -> FakeResponse {
    let text = "Bitbucket is not available: it starts, or is being maintained.";
    let status = if kind == Maintenance::HtmlOk { 200 } else { 503 };
    match kind {
        Maintenance::Json => Refusal::new(status, None, text).response(options),
        Maintenance::Html | Maintenance::HtmlOk => html(status, text),
    }
}

/// A path that has nothing, outside the REST API.
pub(super) fn nothing_here() -> FakeResponse {
    html(404, "The page you were looking for does not exist.")
}

/// The value of `X-AUSERNAME`, or a part of a query. Form encoding writes a blank as `+` and `~` as `%7E`.
pub(super) fn encoded(name: &str, form: bool) -> String {
    if form {
        return form_urlencoded::byte_serialize(name.as_bytes()).collect();
    }
    name.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out
    })
}

fn html(status: u16, text: &str) -> FakeResponse {
    let text = escape(text);
    respond(status, &[HTML], format!("<!DOCTYPE html>\n<title>Bitbucket</title>\n<p>{text}</p>\n"))
}
