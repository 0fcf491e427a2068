use std::fmt;
use std::time::{Duration, SystemTime};

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderName, LOCATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::Transport;
use crate::base_url::BaseUrl;
use crate::error::{Answer, AnswerError, ConfigError, Error, MAX_RETRY_AFTER};
use crate::token::AccessToken;
use crate::wire;

/// An answer of which everything is settled that means the same at every code host: it is no redirect, no web page, no
/// rate limit, no outage, and its body is JSON, whatever media type it was given. What is left is the platform's to read.
pub struct Reply {
    parts: http::response::Parts,
    text: String,
}

impl Reply {
    /// Sends a request and settles what comes back.
    ///
    /// # Errors
    ///
    /// [`Error::Transport`] if nothing came, [`Error::Answer`] if what came is no platform's answer.
    pub async fn fetch(http: &dyn Transport, request: http::Request<Vec<u8>>, max_body: usize) -> Result<Self, Error> {
        Self::settle(http.send(request, max_body).await?)
    }

    // Neither this nor what follows is `async`: URL and request would be in the future, and not only what becomes of them.

    /// The same, for an endpoint that is parsed already, and with a request that may not have come about.
    pub(crate) fn fetch_from<'a>(
        http: &'a dyn Transport,
        url: &'a Url,
        request: Result<http::Request<Vec<u8>>, Error>,
        max_body: usize,
    ) -> impl Future<Output = Result<Self, Error>> + Send + use<'a> {
        let sending = request.map(|request| http.send_to(url, request, max_body));
        async move { Self::settle(sending?.await?) }
    }

    /// Asks the API as the person: `GET`, with the token in the `Authorization` header and nowhere else (RFC 6750
    /// section 2.1).
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch); [`ConfigError::OtherInstance`] if the token belongs to another base URL.
    pub fn get<'a>(
        http: &'a dyn Transport,
        url: &'a Url,
        token: &AccessToken,
        base_url: &BaseUrl,
    ) -> impl Future<Output = Result<Self, Error>> + Send + use<'a> {
        let request = bearer(token, base_url).map(|authorization| {
            let mut request = http::Request::new(Vec::new());
            request.headers_mut().append(AUTHORIZATION, authorization);
            request.headers_mut().append(ACCEPT, HeaderValue::from_static("application/json"));
            request
        });
        Self::fetch_from(http, url, request, MAX_API_BODY)
    }

    /// Asks for what anybody may see: `GET`, without any secret.
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch).
    pub fn get_public<'a>(
        http: &'a dyn Transport,
        url: &'a Url,
    ) -> impl Future<Output = Result<Self, Error>> + Send + use<'a> {
        let mut request = http::Request::new(Vec::new());
        request.headers_mut().append(ACCEPT, HeaderValue::from_static("application/json"));
        Self::fetch_from(http, url, Ok(request), MAX_API_BODY)
    }

    /// A header's value, if it is there once and visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.parts.headers.get_all(name).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        value.to_str().ok()
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.parts.status
    }

    /// Reads the body of a successful response.
    ///
    /// # Errors
    ///
    /// [`AnswerError::Malformed`], which names `body`, if it is no `T`: serde's own text would quote what came.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_json::from_str(&self.text).map_err(|_| self.malformed("body"))
    }

    /// Reads the body of a refusal as far as it can be read: an unreadable one is as good as none.
    pub fn refusal<T: DeserializeOwned + Default>(&self) -> T {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The body. That of a refusal is empty if it is no text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The body, when everything else is read.
    pub(crate) fn into_text(self) -> Box<str> {
        self.text.into_boxed_str()
    }

    /// The error of an answer whose member `field` is missing or wrong.
    pub fn malformed(&self, field: &'static str) -> Error {
        self.unusable(AnswerError::Malformed { field })
    }

    /// The error of an answer that is none of the platform's.
    pub fn unusable(&self, cause: AnswerError) -> Error {
        Error::Answer { cause, answer: Box::new(self.answer()) }
    }

    /// The head of the answer, to put into an error.
    pub fn answer(&self) -> Answer {
        Answer::new(&self.parts)
    }

    fn settle(response: http::Response<Vec<u8>>) -> Result<Self, Error> {
        let (parts, body) = response.into_parts();
        let (status, is_empty) = (parts.status, body.is_empty());
        let (text, is_text) = match status.is_success() {
            true => wire::body_text(body),
            false => (String::from_utf8(body).unwrap_or_default(), true),
        };
        let reply = Self { parts, text };
        let media = reply.media_type();
        // A text that asks for another login than ours, most likely that of a proxy: it says nothing about the token.
        let is_other_login = status == StatusCode::UNAUTHORIZED && !is_empty;
        let cause = if status.is_redirection() {
            AnswerError::Redirect { to: reply.redirect_origin() }
        } else if status == StatusCode::TOO_MANY_REQUESTS {
            AnswerError::RateLimited { retry_after: reply.retry_after() }
        } else if status.is_server_error() {
            AnswerError::Unavailable { retry_after: reply.retry_after() }
        } else if media == Media::Html && !(status.is_client_error() && is_empty) {
            AnswerError::Html
        } else if status.is_success() && status != StatusCode::OK && is_empty {
            AnswerError::Status
        } else if media != Media::Json && (status.is_success() || is_other_login) && !wire::is_json(&reply.text) {
            AnswerError::NotJson
        } else if !is_text && !wire::is_json(&reply.text) {
            AnswerError::Malformed { field: "body" }
        } else {
            return Ok(reply);
        };
        Err(reply.unusable(cause))
    }

    /// A web page is one whatever else is said of it.
    fn media_type(&self) -> Media {
        let values = self.parts.headers.get_all(CONTENT_TYPE).iter();
        let mut found = None;
        for value in values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')) {
            let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            if [&b"text/html"[..], b"application/xhtml+xml"].iter().any(|html| essence.eq_ignore_ascii_case(html)) {
                return Media::Html;
            }
            let is_json = essence.eq_ignore_ascii_case(b"application/json") && found != Some(Media::Other);
            found = Some(if is_json { Media::Json } else { Media::Other });
        }
        found.unwrap_or(Media::Other)
    }

    /// Scheme, host and port only: path and query may repeat what was sent.
    fn redirect_origin(&self) -> Option<String> {
        let target = Url::parse(self.parts.headers.get(LOCATION)?.to_str().ok()?).ok()?;
        let origin = target.origin().ascii_serialization();
        (matches!(target.scheme(), "http" | "https") && origin.len() <= MAX_ORIGIN).then_some(origin)
    }

    /// Seconds, or a date (RFC 9110 section 10.2.3), which is compared with the server's own clock where it tells it.
    fn retry_after(&self) -> Option<Duration> {
        let header = |name: HeaderName| self.parts.headers.get(name)?.to_str().ok().map(str::trim);
        let text = header(RETRY_AFTER)?;
        let wait = match text.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let until = httpdate::parse_http_date(text).ok()?;
                let now = header(DATE).and_then(|date| httpdate::parse_http_date(date).ok());
                until.duration_since(now.unwrap_or_else(SystemTime::now)).unwrap_or_default()
            }
        };
        Some(wait.min(MAX_RETRY_AFTER))
    }
}

fn bearer(token: &AccessToken, base_url: &BaseUrl) -> Result<HeaderValue, Error> {
    let token = token.expose_for(base_url)?;
    let mut bearer = String::with_capacity(BEARER.len().saturating_add(token.len()));
    bearer.push_str(BEARER);
    bearer.push_str(token);
    // The header takes the text itself: there is no second copy to wipe.
    let authorization = HeaderValue::try_from(bearer);
    let mut authorization = authorization.map_err(|_| ConfigError::OtherInstance { what: "access token" })?;
    authorization.set_sensitive(true);
    Ok(authorization)
}

/// The status only.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("status", &self.parts.status.as_u16()).finish_non_exhaustive()
    }
}

/// The largest answer of a token endpoint, in bytes.
pub(crate) const MAX_TOKEN_BODY: usize = 256 * 1024;
const BEARER: &str = "Bearer ";
const MAX_API_BODY: usize = 512 * 1024;
/// The longest name in DNS, a scheme and a port.
const MAX_ORIGIN: usize = 253 + 8 + 6;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Media {
    Json,
    Html,
    Other,
}
