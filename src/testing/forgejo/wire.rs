//! Responses in the form of Forgejo and Gitea.

use super::state::State;
use crate::testing::wire::{FakeRequest, FakeResponse, json_string, respond};

pub(super) const JSON: (&str, &str) = ("Content-Type", "application/json;charset=utf-8");
pub(super) const PLAIN: (&str, &str) = ("Content-Type", "text/plain;charset=utf-8");
pub(super) const HTML: (&str, &str) = ("Content-Type", "text/html; charset=utf-8");

/// JSON ends with a line feed, as Go's encoder writes it.
pub(super) fn json(status: u16, body: &str) -> FakeResponse {
    respond(status, &[JSON], format!("{body}\n"))
}

pub(super) fn plain(status: u16, text: &str) -> FakeResponse {
    respond(status, &[PLAIN], format!("{text}\n"))
}

/// An error of the API.
pub(super) fn api_error(state: &State, status: u16, message: &str) -> FakeResponse {
    let url = swagger(state);
    json(status, &format!("{{\"message\":{},\"url\":{url}}}", go_json(message)))
}

/// An error of the checks before the API, which has no `url`.
pub(super) fn early_error(status: u16, message: &str) -> FakeResponse {
    json(status, &format!("{{\"message\":{}}}", go_json(message)))
}

/// The message is in the language of the request.
pub(super) fn not_found(state: &State, request: &FakeRequest) -> FakeResponse {
    let message = match wants_german(request) {
        true => "Das Ziel konnte nicht gefunden werden.",
        false => "The target couldn't be found.",
    };
    json(404, &format!("{{\"message\":{},\"url\":{},\"errors\":[]}}", go_json(message), swagger(state)))
}

/// The page for a path without a route.
pub(super) fn nothing_here() -> FakeResponse {
    respond(404, &[HTML], "<!DOCTYPE html>\n<title>Page Not Found</title>\n")
}

/// The page of a proxy that lets only browsers with scripts pass, as Anubis has it.
pub(super) fn bot_check(status: u16) -> FakeResponse {
    let page = "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Making sure you're not a bot!</title>\n\
                <script async type=\"module\" src=\"/.within.website/x/cmd/anubis/static/js/main.mjs\"></script></head>\n\
                <body><h1>Making sure you're not a bot!</h1><noscript>Please enable JavaScript.</noscript></body></html>\n";
    respond(status, &[HTML], page)
}

/// The fake speaks English, and German to show that a text is localised.
pub(super) fn wants_german(request: &FakeRequest) -> bool {
    let language = request.headers().get(http::header::ACCEPT_LANGUAGE);
    language.and_then(|value| value.to_str().ok()).is_some_and(|value| value.starts_with("de"))
}

/// JSON as Go writes it, with the characters of HTML escaped.
pub(super) fn go_json(text: &str) -> String {
    json_string(text).replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
}

fn swagger(state: &State) -> String {
    go_json(&format!("{}/api/swagger", state.root_url))
}
