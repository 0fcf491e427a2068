//! The pages that a user sees in a browser. They need no script.

use super::wire::{FakeResponse, respond};
use crate::util::html::escape;

/// The page on which the user selects an account and authorizes the application, or denies it.
pub(super) struct ConsentPage<'a> {
    pub(super) platform: &'a str,
    pub(super) application: &'a str,
    pub(super) scopes: &'a str,
    /// Pairs of user name and display name. The user name is sent.
    pub(super) users: Vec<(&'a str, &'a str)>,
    /// The URL to which both buttons send the form.
    pub(super) action: &'a str,
    /// The parameters of the authorization request, which are sent again.
    pub(super) params: Vec<(&'a str, &'a str)>,
    /// The additional parameter of the button "Deny".
    pub(super) deny: (&'a str, &'a str),
}

impl ConsentPage<'_> {
    pub(super) fn render(&self) -> String {
        let fields: String = self.params.iter().map(|(name, value)| hidden(name, value)).collect();
        let option = |(username, name): &(&str, &str)| {
            let username = escape(username);
            format!("<option value=\"{username}\">{} ({username})</option>", escape(name))
        };
        let users: String = self.users.iter().map(option).collect();
        let scope = |scope: &str| format!("<li><code>{}</code></li>", escape(scope));
        let scopes: String = self.scopes.split_whitespace().map(scope).collect();
        let action = escape(self.action);
        let deny = hidden(self.deny.0, self.deny.1);
        let body = format!(
            "<h1>Authorize {application}?</h1>\n\
             <p>{application} wants to use your account at this fake {platform} with these scopes:</p>\n\
             <ul>{scopes}</ul>\n\
             <form method=\"post\" action=\"{action}\">{fields}\n\
             <label for=\"user\">Continue as</label>\n<select id=\"user\" name=\"user\">{users}</select>\n\
             <button type=\"submit\" class=\"primary\">Authorize</button>\n</form>\n\
             <form method=\"post\" action=\"{action}\">{fields}{deny}\n\
             <button type=\"submit\">Deny</button>\n</form>",
            application = escape(self.application),
            platform = escape(self.platform),
        );
        layout(self.platform, &body)
    }
}

/// A page that shows an error and does not redirect to the callback URL.
pub(super) fn error_page(platform: &str, status: u16, title: &str, text: &str) -> FakeResponse {
    let body = format!("<h1>{}</h1>\n<p>{}</p>", escape(title), escape(text));
    respond(status, &[("Content-Type", "text/html; charset=utf-8")], layout(platform, &body))
}

fn hidden(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">", escape(name), escape(value))
}

pub(super) fn layout(platform: &str, body: &str) -> String {
    let platform = escape(platform);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Fake {platform}</title>\n<style>{CSS}</style>\n</head>\n\
         <body>\n<header>Fake {platform}</header>\n<main>\n{body}\n</main>\n\
         <footer>This is a fake for tests. It has no passwords.</footer>\n</body>\n</html>\n"
    )
}

const CSS: &str = "\
:root{color-scheme:light dark;--line:#8884;--strong:#1f5fd6}\
body{margin:0;min-height:100vh;display:grid;grid-template-rows:auto 1fr auto;font:16px/1.5 system-ui,sans-serif}\
header,footer{padding:.75rem 1.5rem;text-align:center}header{font-weight:600;border-bottom:1px solid var(--line)}\
footer{font-size:.85rem;opacity:.7}\
main{width:min(26rem,90vw);margin:2.5rem auto;padding:1.5rem;border:1px solid var(--line);border-radius:.75rem;\
box-sizing:border-box;align-self:start}\
h1{margin:0 0 .5rem;font-size:1.35rem}label{display:block;font-weight:600}\
select,button,input:not([type=checkbox]){box-sizing:border-box;width:100%;margin:.25rem 0 .75rem;padding:.6rem;font:inherit;\
border:1px solid var(--line);border-radius:.4rem}\
button{cursor:pointer;margin:0 0 .6rem}.primary{background:var(--strong);border-color:var(--strong);color:#fff}\
:focus-visible{outline:3px solid var(--strong);outline-offset:2px}";
