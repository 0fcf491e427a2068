//! What the small forms of the pages post, and how their requests are answered.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use maud::{Markup, html};
use zeroize::Zeroizing;

use super::fault::Fault;
use super::form::copy_button;
use super::visit::{Request, Visit};
use crate::router::CsrfToken;

/// A body as axum reads it: too long, or cut off, or whole.
pub(super) type Body = Result<Bytes, BytesRejection>;

/// The fields of a small form.
pub(super) struct Posted {
    pub(super) csrf_token: String,
    /// The version of the integration that the page has shown.
    pub(super) version: i64,
    pub(super) name: String,
    pub(super) client_secret: Zeroizing<String>,
    pub(super) act: String,
    /// Where to go afterwards, for a front end of the app.
    pub(super) return_to: String,
}

impl Posted {
    /// Unknown fields are ignored.
    pub(super) fn read(body: Body) -> Result<Self, Fault> {
        let body = body?;
        let field = fields(&body);
        Ok(Self {
            csrf_token: field(CsrfToken::FIELD)?,
            // Without a version, it is that of no integration.
            version: field("version")?.parse().unwrap_or_default(),
            name: field("name")?,
            client_secret: Zeroizing::new(field("client_secret")?),
            act: field("act")?,
            return_to: field("return_to")?,
        })
    }
}

/// Finds the fields of a form by their names. Each may be there once; a missing one is empty.
pub(super) fn fields(form: &[u8]) -> impl Fn(&'static str) -> Result<String, Fault> {
    let pairs: Vec<_> = form_urlencoded::parse(form).collect();
    move |name| {
        let mut found = pairs.iter().filter(|(known, _)| known == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Ok(value.clone().into_owned()),
            (None, _) => Ok(String::new()),
            (Some(_), Some(_)) => Err(Fault::DuplicateField(name)),
        }
    }
}

impl Request {
    /// Answers with what `act` makes, or with the page that says why not.
    pub(super) async fn answer<A>(self, act: impl FnOnce(Visit) -> A + Send) -> Response
    where
        A: Future<Output = Result<Response, Fault>> + Send,
    {
        let again = self.clone();
        let visited = match self.visit().await {
            Ok(visit) => act(visit).await,
            Err(fault) => Err(fault),
        };
        match visited {
            Ok(response) => response,
            Err(fault) => again.fault(fault).await,
        }
    }
}

impl Visit {
    /// The fields that every form has. `version` is that of the integration.
    pub(super) fn hidden_fields(&self, version: i64) -> Markup {
        html! {
            input type="hidden" name=(CsrfToken::FIELD) value=(self.csrf_token);
            input type="hidden" name="version" value=(version);
        }
    }

    /// A value to copy, shown in full: a field to select it in, and a button that the script shows.
    pub(super) fn copyable(&self, label: &str, value: &str) -> Markup {
        html! {
            div.ch-copy-row {
                input.ch-input.ch-mono type="text" readonly value=(value) dir="auto" aria-label=(label);
                (copy_button(self, label, value))
            }
        }
    }
}
