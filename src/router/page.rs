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
    let again = failure.integration.as_ref().map(|integration| {
        let link = integration.login_link();
        format!("\n<p><a href=\"{}\">{}</a></p>", escape(link.url.path()), escape(&link.label))
    });
    let body = format!(
        "<h1>The login did not work</h1>\n<p>{}</p>\n<p><small>{}</small></p>{}",
        escape(&failure.cause.public_message()),
        escape(failure.cause.public_code()),
        again.unwrap_or_default(),
    );
    render(failure.cause.status(), "The login did not work", &body)
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
