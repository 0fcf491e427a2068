//! Responses in GitHub's form.

use super::limits::{Secondary, Window};
use super::state::State;
use crate::testing::wire::{FakeRequest, FakeResponse, Params, add_header, json_string, random_hex, respond};

pub(super) const JSON: (&str, &str) = ("Content-Type", "application/json; charset=utf-8");
pub(super) const HTML: (&str, &str) = ("Content-Type", "text/html; charset=utf-8");

/// A refusal of the API. Newer servers have the member `status`.
pub(super) fn refused(state: &State, status: u16, message: &str, docs: &str) -> FakeResponse {
    let docs = json_string(&state.docs(docs));
    let message = json_string(message);
    let number = if state.options.is_server() { String::new() } else { format!(",\"status\":\"{status}\"") };
    respond(status, &[JSON], format!("{{\"message\":{message},\"documentation_url\":{docs}{number}}}"))
}

pub(super) fn not_found(state: &State, docs: &str) -> FakeResponse {
    refused(state, 404, "Not Found", docs)
}

pub(super) fn bad_credentials(state: &State) -> FakeResponse {
    refused(state, 401, "Bad credentials", "")
}

/// The refusal of an Enterprise Server in private mode.
pub(super) fn private_mode(state: &State) -> FakeResponse {
    let (major, minor) = state.options.release();
    let body = format!(
        "{{\"message\":\"Must authenticate to access this API.\",\
         \"documentation_url\":\"https://developer.github.com/enterprise/{major}.{minor}/v3\"}}"
    );
    respond(401, &[JSON], body)
}

/// The secondary limit, also at the token endpoint.
pub(super) fn slow_down(state: &State, secondary: Secondary) -> FakeResponse {
    let mut response = respond(state.options.rate_limit_status, &[JSON], SLOW_DOWN);
    if let Some(seconds) = secondary.retry_after {
        add_header(&mut response, "Retry-After", &seconds.as_secs().to_string());
    }
    response
}

const SLOW_DOWN: &str = concat!(
    r#"{"documentation_url":"https://docs.github.com/en/free-pro-team@latest/rest/overview/"#,
    r#"resources-in-the-rest-api#secondary-rate-limits","message":"You have exceeded a secondary rate limit. "#,
    r#"Please wait a few minutes before you try again."}"#,
);

/// The refusal of a request without `User-Agent`: a layer before the API.
pub(super) fn no_user_agent() -> FakeResponse {
    let text = "\r\nRequest forbidden by administrative rules. Please make sure your request has a User-Agent header \
                (https://docs.github.com/en/rest/overview/resources-in-the-rest-api#user-agent-required). Check \
                https://developer.github.com for other possible causes.\r\n";
    respond(403, &[("Content-Type", "text/html")], text)
}

/// The site's page for what does not exist.
pub(super) fn nothing_here() -> FakeResponse {
    respond(404, &[HTML], "<!DOCTYPE html>\n<title>Page not found &middot; GitHub</title>\n")
}

pub(super) fn add_rate_limit(response: &mut FakeResponse, window: Window) {
    let used = window.used.min(window.limit);
    for (name, value) in [
        ("X-RateLimit-Limit", window.limit),
        ("X-RateLimit-Remaining", window.limit.saturating_sub(used)),
        ("X-RateLimit-Reset", window.reset),
        ("X-RateLimit-Used", used),
    ] {
        add_header(response, name, &value.to_string());
    }
    add_header(response, "X-RateLimit-Resource", "core");
}

/// An id as `C0DE:3F1A:1B2C3D:4E5F60:6752A1B3`.
pub(super) fn request_id() -> String {
    let lengths = [2, 2, 3, 3, 4];
    lengths.map(|length| random_hex(length).to_uppercase()).join(":")
}

/// One page of a list: 30 entries, or `per_page` up to 100.
pub(super) fn page(state: &State, request: &FakeRequest, path: &str, entries: &[String]) -> FakeResponse {
    let query = Params::of_query(request);
    let number = |name: &str, default: usize| query.get(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let per_page = number("per_page", 30).clamp(1, 100);
    let page = number("page", 1).max(1);
    let last = entries.len().div_ceil(per_page).max(1);
    let start = page.saturating_sub(1).saturating_mul(per_page);
    let shown: Vec<&str> = entries.iter().skip(start).take(per_page).map(String::as_str).collect();
    let mut response = respond(200, &[JSON], format!("[{}]", shown.join(",")));
    let kept: String = query
        .iter()
        .filter(|(name, _)| *name != "page")
        .map(|(name, value)| {
            format!("{}&", form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish())
        })
        .collect();
    let link = |rel: &str, page: usize| format!("<{}{path}?{kept}page={page}>; rel=\"{rel}\"", state.api_url);
    let mut links = Vec::new();
    if page > 1 {
        links.extend([link("prev", page.saturating_sub(1)), link("first", 1)]);
    }
    if page < last {
        links.extend([link("next", page.saturating_add(1)), link("last", last)]);
    }
    if !links.is_empty() {
        add_header(&mut response, "Link", &links.join(", "));
    }
    response
}
