//! Plain pages for hosts that bring none.

use axum::response::Response;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};

use super::{CsrfToken, Failure, LoginPage};
use crate::html::escape;

/// One button.
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

/// What happened, for anybody to read, and how to try again.
pub(super) fn failure(failure: &Failure) -> Response {
    let label = match &failure.integration {
        _ if !failure.has_login() => "Go on".to_owned(),
        Some(integration) => integration.login_link().label,
        None => "Log in again".to_owned(),
    };
    let body = format!(
        "<h1>The login did not work</h1>\n<p>{}</p>\n<p><small>{}</small></p>\n<p><a href=\"{}\">{}</a></p>",
        escape(&failure.cause.public_message()),
        escape(failure.cause.public_code()),
        escape(&failure.way_on()),
        escape(&label),
    );
    render(failure.cause.status(), "The login did not work", &body)
}

/// Shown inside a frame, where a browser sends no cookies of ours and a code host shows nothing: the link opens in the
/// whole window.
pub(super) fn framed(label: &str, path: &str) -> Response {
    let (label, path) = (escape(label), escape(path));
    let body = format!("<p><a href=\"{path}\" target=\"_top\">{label}</a></p>");
    let mut response = render(StatusCode::OK, &label, &body);
    // It is in a frame already, and has nothing to press but a link to the login page.
    let policy = HeaderValue::from_static("default-src 'none'; base-uri 'none'; form-action 'none'");
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response
}

/// Leads on to a URL that is too long for a header.
pub(super) fn onward(url: &str) -> Response {
    let url = escape(url);
    let body = format!(
        "<meta http-equiv=\"refresh\" content=\"0; url={url}\">\n<p><a href=\"{url}\">Go on to the code host</a></p>"
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
