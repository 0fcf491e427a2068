//! The page on which an administrator creates an OAuth application: where the setup links lead.

use http::Method;

use super::application::FakeApplication;
use super::page::layout;
use super::wire::{FakeRequest, FakeResponse, Params, random_hex, respond};
use crate::util::html::escape;

/// What differs between the platforms.
pub(super) struct NewApplicationPage {
    pub(super) platform: &'static str,
    /// The ends of the page's paths.
    pub(super) paths: &'static [&'static str],
    /// The scopes that can be ticked. None is at first.
    pub(super) scopes: &'static [&'static str],
    /// What the platform calls the client id and the secret.
    pub(super) labels: [&'static str; 2],
}

impl NewApplicationPage {
    /// Shows the page, or creates an application; `None` if the request is to another page. There are no users to log in as:
    /// anybody can create one.
    pub(super) fn response(
        &self,
        request: &FakeRequest,
        path: &str,
        add: impl FnOnce(FakeApplication),
    ) -> Option<FakeResponse> {
        if !self.paths.iter().any(|end| path.ends_with(end)) {
            return None;
        }
        let form = Params::of_form(request).unwrap_or_default();
        let body = match (request.method(), form.get("callback")) {
            (&Method::POST, Some(callback)) => self.create(callback.trim(), &form, add),
            (&Method::GET | &Method::POST, _) => self.form(request.uri().path()),
            _ => return None,
        };
        Some(respond(200, &[("Content-Type", "text/html; charset=utf-8")], layout(self.platform, &body)))
    }

    fn form(&self, action: &str) -> String {
        let scope = |name: &&str| {
            format!("<label><input type=\"checkbox\" name=\"scope\" value=\"{name}\"> <code>{name}</code></label>\n")
        };
        let scopes: String = self.scopes.iter().map(scope).collect();
        format!(
            "<h1>New OAuth application</h1>\n<form method=\"post\" action=\"{}\">\n\
             <label for=\"name\">Name</label>\n<input id=\"name\" name=\"name\" value=\"Example\">\n\
             <label for=\"callback\">Callback URL</label>\n<input id=\"callback\" name=\"callback\" required>\n{scopes}\
             <button type=\"submit\" class=\"primary\">Save application</button>\n</form>",
            escape(action),
        )
    }

    fn create(&self, callback: &str, form: &Params, add: impl FnOnce(FakeApplication)) -> String {
        let (id, secret) = (random_hex(10), random_hex(32));
        let scopes: Vec<_> = form.iter().filter(|(name, _)| *name == "scope").map(|(_, scope)| scope).collect();
        let mut application = FakeApplication::new(&id, &secret, callback, &scopes.join(" "));
        if let Some(name) = form.get("name") {
            name.clone_into(&mut application.name);
        }
        add(application);
        let [id_label, secret_label] = self.labels;
        format!(
            "<h1>Application created</h1>\n<label for=\"id\">{id_label}</label>\n<input id=\"id\" readonly value=\"{id}\">\n\
             <label for=\"secret\">{secret_label}</label>\n<input id=\"secret\" readonly value=\"{secret}\">\n\
             <p>The secret is not shown again.</p>"
        )
    }
}
