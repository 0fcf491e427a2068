//! Plain pages for apps that have none of their own.

use axum::response::Response;
use http::header::{ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};

use super::{CsrfToken, Failure, LoginPage, RequestHead};
use crate::util::html::escape;

/// The login page: one button.
pub(super) fn login(page: &LoginPage<'_>) -> Response {
    let hidden =
        |name: &str, value: &str| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value));
    let label = escape(&page.link.label);
    let body = format!(
        "<form method=\"post\" action=\"{}\">{}{}<button type=\"submit\">{label}</button></form>\n<p>{}</p>",
        escape(page.link.url.path()),
        hidden(CsrfToken::FIELD, page.csrf_token),
        page.return_to.as_ref().map(|path| hidden("return_to", path.as_str())).unwrap_or_default(),
        escape(&page.link.detail),
    );
    render(StatusCode::OK, &label, &body)
}

/// The page about a failure, with a link to go on; JSON if the request accepts it.
pub(super) fn failure(request: &RequestHead, failure: &Failure) -> Response {
    let accepts = |value: &HeaderValue| value.as_bytes().windows(JSON.len()).any(|part| part == JSON.as_bytes());
    if request.headers.get_all(ACCEPT).iter().any(accepts) {
        return failure_json(failure);
    }
    let label = match &failure.integration {
        Some(integration) if failure.has_login() => integration.login_link().label,
        _ => "Go to the start page".to_owned(),
    };
    let title = failure.title();
    let body = format!(
        "<h1>{title}</h1>\n<p>{}</p>\n<p><small>{}</small></p>\n<p><a href=\"{}\">{}</a></p>",
        escape(&failure.cause.advice().public_message),
        escape(failure.cause.public_code()),
        escape(&failure.continue_path()),
        escape(&label),
    );
    let details = failure.details().map(|text| format!("\n<p>For the developer: {}</p>", escape(&text)));
    render(failure.cause.status(), title, &(body + &details.unwrap_or_default()))
}

/// The same as JSON.
fn failure_json(failure: &Failure) -> Response {
    let body = serde_json::json!({
        "error": failure.cause.public_code(),
        "message": failure.cause.advice().public_message,
        "continue_path": failure.continue_path(),
    });
    let mut response = Response::new(body.to_string().into());
    *response.status_mut() = failure.cause.status();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}

const JSON: &str = "application/json";

/// The login page inside a frame, where browsers do not send these cookies and code hosts refuse to be shown: a link that
/// opens in the whole window.
pub(super) fn framed(label: &str, path: &str) -> Response {
    let (label, path) = (escape(label), escape(path));
    let body = format!("<p><a href=\"{path}\" target=\"_top\">{label}</a></p>");
    let mut response = render(StatusCode::OK, &label, &body);
    // No `frame-ancestors`: the page is meant for a frame, and contains only a link to the login page.
    let policy = HeaderValue::from_static("default-src 'none'; base-uri 'none'; form-action 'none'");
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response
}

/// A redirect to a URL that is too long for a header.
pub(super) fn redirect(url: &str) -> Response {
    let url = escape(url);
    let body = format!(
        "<meta http-equiv=\"refresh\" content=\"0; url={url}\">\n<p><a href=\"{url}\">Continue to the code host</a></p>"
    );
    render(StatusCode::OK, "Log in", &body)
}

fn render(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n</head>\n\
         <body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    );
    let mut response = Response::new(html.into());
    *response.status_mut() = status;
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        // No `form-action`: browsers apply it to the redirect to the code host too.
        (CONTENT_SECURITY_POLICY, "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
