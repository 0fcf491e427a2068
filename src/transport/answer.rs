use std::fmt;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;
use zeroize::{Zeroize as _, Zeroizing};

use super::Transport;
use crate::base_url::BaseUrl;
use crate::error::{Answer, AnswerError, ConfigError, Error};
use crate::token::AccessToken;

/// An answer of which everything is settled that means the same at every code host: it is no redirect, no web page, no
/// rate limit, no outage, and its body is JSON. What is left is the platform's to read.
pub struct Reply {
    parts: http::response::Parts,
    /// Wiped when the response is dropped: it may hold tokens.
    text: Zeroizing<String>,
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

    /// Reads the body of a 200 answer.
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
    pub(crate) fn into_text(mut self) -> Box<str> {
        std::mem::take(&mut *self.text).into_boxed_str()
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
        let is_empty = body.is_empty();
        let (text, is_text) = match String::from_utf8(body) {
            Ok(text) => (text, true),
            Err(error) => {
                error.into_bytes().zeroize();
                (String::new(), false)
            }
        };
        let reply = Self { parts, text: Zeroizing::new(text) };
        let (status, media) = (reply.parts.status, reply.media_type());
        // A text that asks for another login than ours, most likely that of a proxy: it says nothing about the token.
        let is_other_login = status == StatusCode::UNAUTHORIZED && !is_empty;
        let cause = if status.is_redirection() {
            AnswerError::Redirect { to: reply.redirect_origin() }
        } else if status == StatusCode::TOO_MANY_REQUESTS {
            AnswerError::RateLimited { retry_after: reply.retry_after() }
        } else if status.is_server_error() {
            AnswerError::Unavailable { retry_after: reply.retry_after() }
        } else if status.is_success() && status != StatusCode::OK {
            AnswerError::Status
        } else if media == Media::Html && !(status.is_client_error() && is_empty) {
            AnswerError::Html
        } else if media != Media::Json && (status.is_success() || is_other_login) {
            AnswerError::NotJson
        } else if status.is_success() && !is_text {
            AnswerError::Malformed { field: "body" }
        } else {
            return Ok(reply);
        };
        Err(reply.unusable(cause))
    }

    fn media_type(&self) -> Media {
        let mut values = self.parts.headers.get_all(CONTENT_TYPE).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Media::Other;
        };
        let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        if essence.eq_ignore_ascii_case(b"application/json") {
            Media::Json
        } else if essence.eq_ignore_ascii_case(b"text/html") {
            Media::Html
        } else {
            Media::Other
        }
    }

    /// Scheme, host and port only: path and query may repeat what was sent.
    fn redirect_origin(&self) -> Option<String> {
        let target = Url::parse(self.parts.headers.get(LOCATION)?.to_str().ok()?).ok()?;
        let origin = target.origin().ascii_serialization();
        (matches!(target.scheme(), "http" | "https") && origin.len() <= MAX_ORIGIN).then_some(origin)
    }

    fn retry_after(&self) -> Option<Duration> {
        let seconds = self.parts.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
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
const MAX_RETRY_AFTER: Duration = Duration::from_secs(15 * 60);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Media {
    Json,
    Html,
    Other,
}
