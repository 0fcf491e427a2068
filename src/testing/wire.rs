//! Requests and responses, without a socket.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use sha2::{Digest as _, Sha256};

pub(super) type FakeRequest = http::Request<Vec<u8>>;
pub(super) type FakeResponse = Response<Vec<u8>>;

pub(super) fn respond(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> FakeResponse {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        add_header(&mut response, name, value);
    }
    response
}

/// A header that HTTP does not allow is left out.
pub(super) fn add_header(response: &mut FakeResponse, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        response.headers_mut().append(name, value);
    }
}

/// The parameters of a query or a form. An empty parameter counts as missing, as on all platforms.
#[derive(Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    pub(super) fn of_query(request: &FakeRequest) -> Self {
        Self::parse(request.uri().query().unwrap_or_default().as_bytes())
    }

    /// `None` if the body is not a form.
    pub(super) fn of_form(request: &FakeRequest) -> Option<Self> {
        let media_type = header(request, CONTENT_TYPE)?.split(';').next()?.trim();
        let form = media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded");
        form.then(|| Self::parse(request.body()))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().rev().find(|(key, _)| key == name);
        value.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// `uri` with parameters added to its query.
pub(super) fn with_query(uri: &str, params: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    format!("{uri}{}{query}", if uri.contains('?') { '&' } else { '?' })
}

pub(super) struct Credentials {
    pub(super) id: String,
    pub(super) secret: Option<String>,
}

/// The HTTP Basic credentials, not form-decoded.
pub(super) fn basic(request: &FakeRequest) -> Option<Credentials> {
    let (id, secret) = basic_header(request.headers())?;
    Some(Credentials { id, secret: Some(secret) })
}

/// Name and password of an `Authorization: Basic` header, not form-decoded.
pub(super) fn basic_header(headers: &HeaderMap) -> Option<(String, String)> {
    let encoded = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

pub(super) fn bearer(request: &FakeRequest) -> Option<&str> {
    header(request, AUTHORIZATION)?.strip_prefix("Bearer ")
}

pub(super) fn cookie<'a>(request: &'a FakeRequest, name: &str) -> Option<&'a str> {
    let mut pairs = header(request, COOKIE)?.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

pub(super) fn form_decode(text: &str) -> String {
    let pair = format!("x={}", text.replace('&', "%26"));
    form_urlencoded::parse(pair.as_bytes()).map(|(_, value)| value.into_owned()).collect()
}

pub(super) fn json_string(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// Whether `verifier` matches the S256 `challenge` (RFC 7636 section 4.6).
pub(super) fn verifier_matches(verifier: &str, challenge: &str) -> bool {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == challenge
}

/// Random bytes; zeros if the system provides none, since a fake has nothing to protect.
pub(super) fn random(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let _ = getrandom::fill(&mut bytes);
    bytes
}

pub(super) fn random_hex(count: usize) -> String {
    random(count).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn header(request: &FakeRequest, name: HeaderName) -> Option<&str> {
    request.headers().get(name)?.to_str().ok()
}
