//! What the user sees: plain pages, and what went wrong.

use std::borrow::Cow;

use codehost_oauth::Integration;
use codehost_oauth::error::{Error, VerifyError};

/// The start page without a user: a link to each login page.
pub(crate) fn welcome(integrations: &[Integration]) -> String {
    let links = integrations.iter().map(Integration::login_link);
    let links = links.map(|link| format!("<p><a href=\"{}\">{}</a></p>", link.url.path(), escape(&link.label)));
    page("Welcome", &links.collect::<String>())
}

/// The login page. `POST` begins the login: a `GET` would let another site begin it with a link.
pub(crate) fn login(integration: &Integration, csrf_token: &str) -> String {
    let link = integration.login_link();
    let form = form(link.url.path(), csrf_token, &link.label);
    page(&link.label, &format!("{form}<p>{}</p>", escape(&link.detail)))
}

/// The start page of a user, with the keys of their accounts.
pub(crate) fn accounts(integrations: &[Integration], keys: &[String], csrf_token: &str) -> String {
    let keys: String = keys.iter().map(|key| format!("<li>{}</li>", escape(key))).collect();
    let connect = |one: &Integration| {
        let label = format!("Connect {}", one.name());
        form(&format!("/connect/{}", one.id()), csrf_token, &label)
    };
    let forms: String = integrations.iter().map(connect).collect();
    page("Your accounts", &format!("<ul>{keys}</ul>{forms}{}", form("/logout", csrf_token, "Log out")))
}

/// For a request that no user has made, with status 503.
pub(crate) fn not_deliberate() -> String {
    page("Not now", "Open this page to go on.")
}

/// What the user is told when a request does not succeed.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) status: u16,
    title: &'static str,
    text: Cow<'static, str>,
    /// The path to try again at; empty for the start page.
    onward: String,
}

impl Failed {
    pub(crate) const CSRF: Self = Self::new(403, "Open the page again and press the button once more.");
    pub(crate) const NOT_SIGNED_IN: Self = Self::new(403, "Log in first, then connect the account.");
    pub(crate) const OTHER_USER: Self = Self::new(409, "Another user of this app has connected this account.");
    pub(crate) const NOT_FOUND: Self = Self::new(404, "There is no such page. Check the link.");

    pub(crate) const fn new(status: u16, text: &'static str) -> Self {
        Self { status, title: "This did not work", text: Cow::Borrowed(text), onward: String::new() }
    }

    /// With the path to try again at.
    pub(crate) fn at(self, onward: &str) -> Self {
        Self { onward: onward.to_owned(), ..self }
    }

    /// The cause is for the log only.
    pub(crate) fn app(cause: &dyn std::fmt::Display) -> Self {
        eprintln!("error[app]: {cause}");
        Self::new(503, "This app has a problem at the moment. Please try again later.")
    }

    pub(crate) fn page(&self) -> String {
        let onward = if self.onward.is_empty() { "/" } else { &self.onward };
        page(self.title, &format!("<p>{}</p><p><a href=\"{onward}\">Try again</a></p>", escape(&self.text)))
    }
}

/// The log is for the operator, the page for the user. Nothing is wrong if the user does not want to log in.
impl<E: Into<Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        let error = error.into();
        let advice = error.advice();
        let (status, title) = match error {
            Error::Verify(VerifyError::Denied) => (200, "The login was stopped"),
            _ => {
                let note = error.operator_note().unwrap_or_default();
                eprintln!("error[{}]: {error}. {:?}: {} {note}", advice.code, advice.audience, advice.hint);
                (error.status(), "Login failed")
            }
        };
        Self { status, title, text: advice.public_message, onward: String::new() }
    }
}

/// A form with one button.
fn form(action: &str, csrf_token: &str, label: &str) -> String {
    let field = format!("<input type=\"hidden\" name=\"csrf_token\" value=\"{}\">", escape(csrf_token));
    format!("<form method=\"post\" action=\"{action}\">{field}<button>{}</button></form>", escape(label))
}

fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!("<!DOCTYPE html><title>{title}</title><h1>{title}</h1>{body}")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
