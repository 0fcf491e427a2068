//! Reads the heads of requests and responses.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{COOKIE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::RequestHead;
use crate::values::public_url::PublicUrl;

/// The longest head of a response, in bytes: nginx refuses more than 4 KiB unless configured otherwise.
pub(super) const MAX_HEAD: usize = 3500;
/// Of these, reserved for the headers that the app's own layers and the server add.
pub(super) const RESERVED: usize = 600;
/// A longer redirect URL is sent as a page with a link. Only values that an administrator types can make it so long.
pub(super) const MAX_LOCATION: usize = 1200;

/// The request's cookies as bytes: another site below the same domain may have set some that are not text.
pub(super) fn cookies(request: &RequestHead) -> impl Iterator<Item = (&[u8], &[u8])> {
    let headers = request.headers.get_all(COOKIE).into_iter();
    let pairs = headers.flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(|pair| {
        let pair = pair.trim_ascii();
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at_checked(at)?;
        Some((name, value.get(1..)?))
    })
}

/// Removes the cookies that are not text from a request. Another site below the same domain may have set them, and session
/// layers read all cookies or none. Mount it outside of the session layer; the routes here do not need it.
///
/// ```
/// use axum::middleware::from_fn;
/// use codehost_oauth::router::readable_cookies;
///
/// // The layer that comes last sees a request first.
/// let app: axum::Router = axum::Router::new(); // with its routes, and below its session layer
/// let app = app.layer(from_fn(readable_cookies));
/// # let _: axum::Router = app;
/// ```
pub async fn readable_cookies(mut request: Request, next: Next) -> Response {
    let is_text = |value: &HeaderValue| value.to_str().is_ok();
    if !request.headers().get_all(COOKIE).iter().all(is_text) {
        let headers = request.headers().get_all(COOKIE).into_iter();
        let pairs = headers.flat_map(|header| header.as_bytes().split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
        let readable: Vec<&[u8]> =
            pairs.filter(|pair| HeaderValue::from_bytes(pair).is_ok_and(|pair| is_text(&pair))).collect();
        match HeaderValue::from_bytes(&readable.join(&b"; "[..])) {
            Ok(cookies) => _ = request.headers_mut().insert(COOKIE, cookies),
            Err(_) => _ = request.headers_mut().remove(COOKIE),
        }
    }
    next.run(request).await
}

/// Whether this text is the value of a cookie or a part of it, as in a signed cookie.
pub(super) fn has_cookie(request: &RequestHead, text: &str) -> bool {
    let text = text.as_bytes();
    !text.is_empty() && cookies(request).any(|(_, value)| value.windows(text.len()).any(|part| part == text))
}

/// The bytes that these headers take.
pub(super) fn length(headers: &HeaderMap) -> usize {
    headers.iter().fold(0_usize, |sum, (name, value)| {
        sum.saturating_add(name.as_str().len()).saturating_add(value.len()).saturating_add(": \r\n".len())
    })
}

/// Whether the response is shown in a frame of any site's page (Fetch Metadata, `Sec-Fetch-Dest`).
pub(super) fn is_framed(request: &RequestHead) -> bool {
    const FRAMES: [&[u8]; 5] = [b"iframe", b"frame", b"fencedframe", b"embed", b"object"];
    let dest = request.headers.get(HeaderName::from_static("sec-fetch-dest"));
    dest.is_some_and(|dest| FRAMES.contains(&dest.as_bytes()))
}

/// Whether the browser says that no other site caused the request (Fetch Metadata, `Sec-Fetch-Site`).
pub(super) fn is_same_site(request: &RequestHead) -> bool {
    let site = request.headers.get(HeaderName::from_static("sec-fetch-site"));
    site.is_some_and(|site| matches!(site.as_bytes(), b"same-origin" | b"same-site" | b"none"))
}

/// Whether the request names another host than the app's public URL. A request without a valid host does not. A request's
/// host is used for nothing else.
pub(super) fn is_other_host(request: &RequestHead, public_url: &PublicUrl) -> bool {
    let named = match request.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers.get(HOST).and_then(|host| host.to_str().ok()),
    };
    let scheme = if public_url.as_str().starts_with("https:") { "https" } else { "http" };
    let Some(named) = named.and_then(|named| url::Url::parse(&format!("{scheme}://{named}/")).ok()) else {
        return false;
    };
    // Both sides leave out the scheme's default port.
    named.authority() != public_url.url().authority()
}
