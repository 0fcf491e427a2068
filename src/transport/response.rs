use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use http::header::{CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;
use zeroize::Zeroizing;

use crate::error::{Error, MAX_RETRY_AFTER, ResponseError, ResponseSummary};
use crate::util::json;

/// A response that has passed the checks that are the same for every code host, from
/// [`ApiRequest::send`](super::ApiRequest::send): it is not a redirect, a web page, a rate limit or an outage, and the body of a
/// success is JSON, whatever its media type is, or empty. The provider reads the rest.
pub struct ApiResponse {
    parts: http::response::Parts,
    /// Zeroized when the response is dropped: it may contain tokens.
    text: Zeroizing<String>,
    /// Whether there was no body. `text` is empty too for a refusal that is not UTF-8.
    is_empty: bool,
}

impl ApiResponse {
    /// A header's value, if the response has it exactly once and it is visible ASCII.
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
    /// [`ResponseError::Malformed`] for `body` if it cannot be read as a `T`. Serde's own message would quote the response.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_json::from_str(&self.text).map_err(|_| self.malformed("body"))
    }

    /// Reads the body as a `T`, or returns the default if it cannot be read: for refusals, and for documents of which any part
    /// may be missing.
    pub fn json_or_default<T: DeserializeOwned + Default>(&self) -> T {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The body. For a refusal it is empty if the body is not UTF-8.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The body, when nothing else of the response is needed.
    pub(crate) fn into_text(mut self) -> Box<str> {
        std::mem::take(&mut *self.text).into_boxed_str()
    }

    /// The error for a response whose member `field` is missing or wrong.
    pub fn malformed(&self, field: &'static str) -> Error {
        self.unusable(ResponseError::Malformed { field })
    }

    /// The error for a response that cannot be used.
    pub fn unusable(&self, cause: ResponseError) -> Error {
        Error::Response { cause, response: Box::new(self.summary()) }
    }

    /// The error for a refusal that means a rate limit. Status 429 is one already, so this is for platforms that send another
    /// status. The time to wait is that of `Retry-After` or `X-RateLimit-Reset`.
    pub fn rate_limited(&self) -> Error {
        self.unusable(self.rate_limit())
    }

    fn rate_limit(&self) -> ResponseError {
        ResponseError::RateLimited { retry_after: self.retry_after().or_else(|| self.rate_limit_reset()) }
    }

    /// The status and some headers, to put into an error.
    pub fn summary(&self) -> ResponseSummary {
        ResponseSummary::new(&self.parts)
    }

    /// Checks a response.
    pub(super) fn check(response: http::Response<Vec<u8>>) -> Result<Self, Error> {
        let (parts, body) = response.into_parts();
        let (is_success, is_empty) = (parts.status.is_success(), body.is_empty());
        let (text, is_utf8) = match is_success {
            true => json::body_text(body),
            // That of a refusal is empty if it is not UTF-8, so it is never at fault.
            false => (json::text_or_empty(body), true),
        };
        let response = Self { parts, text, is_empty };
        let media = response.media_type();
        let fault = response.fault_of_any_status(media).or_else(|| match is_success {
            true => response.fault_of_success(media, is_utf8),
            false => response.fault_of_refusal(media),
        });
        match fault {
            Some(cause) => Err(response.unusable(cause)),
            None => Ok(response),
        }
    }

    fn fault_of_any_status(&self, media: Media) -> Option<ResponseError> {
        let status = self.parts.status;
        if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            return Some(ResponseError::Redirect { to: self.redirect_origin() });
        }
        if media != Media::Json && self.is_bot_challenge(media) {
            return Some(ResponseError::BotChallenge);
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Some(self.rate_limit());
        }
        status.is_server_error().then(|| ResponseError::Unavailable { retry_after: self.retry_after() })
    }

    /// Many servers label everything as HTML. Tokens must not be lost because of that.
    fn fault_of_success(&self, media: Media, is_utf8: bool) -> Option<ResponseError> {
        if self.is_empty {
            return (media == Media::Html && self.parts.status == StatusCode::OK).then_some(ResponseError::Html);
        }
        match media {
            // The provider parses it.
            Media::Json if is_utf8 => None,
            _ if json::is_json(&self.text) => None,
            Media::Html => Some(ResponseError::Html),
            Media::Other => Some(ResponseError::NotJson),
            Media::Json => Some(ResponseError::Malformed { field: "body" }),
        }
    }

    /// A 401 that is not JSON is most likely from a proxy with a login of its own, and says nothing about the token.
    fn fault_of_refusal(&self, media: Media) -> Option<ResponseError> {
        match media {
            _ if self.is_empty => None,
            Media::Html if self.is_about_client_certificate() => Some(ResponseError::ClientCertificate),
            Media::Html => Some(ResponseError::Html),
            Media::Other if self.parts.status == StatusCode::UNAUTHORIZED && !json::is_json(&self.text) => {
                Some(ResponseError::NotJson)
            }
            Media::Other | Media::Json => None,
        }
    }

    /// HTML if any value of `Content-Type` says so, JSON if all of them do.
    fn media_type(&self) -> Media {
        let values = self.parts.headers.get_all(CONTENT_TYPE).iter();
        let mut found = None;
        for value in values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')) {
            let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            if [&b"text/html"[..], b"application/xhtml+xml"].iter().any(|html| essence.eq_ignore_ascii_case(html)) {
                return Media::Html;
            }
            let is_json = is_json_media_type(essence) && found != Some(Media::Other);
            found = Some(if is_json { Media::Json } else { Media::Other });
        }
        found.unwrap_or(Media::Other)
    }

    /// Whether a bot protection responded: it sends a header, or a page with 403 or 503 that contains one of the usual marks.
    /// With other statuses, most of these marks are also in pages of the code host; that of Anubis, which likes 200, is not.
    fn is_bot_challenge(&self, media: Media) -> bool {
        if self.header("cf-mitigated").is_some_and(|value| value.eq_ignore_ascii_case("challenge")) {
            return true;
        }
        if media != Media::Html {
            return false;
        }
        match self.parts.status {
            StatusCode::FORBIDDEN | StatusCode::SERVICE_UNAVAILABLE => {
                let text = self.text.to_ascii_lowercase();
                CHALLENGE_MARKS.iter().any(|mark| text.contains(mark))
            }
            // Tokens in a response that is only labelled as a page are not lost.
            StatusCode::OK | StatusCode::UNAUTHORIZED => self.text.contains(ANUBIS) && !json::is_json(&self.text),
            _ => false,
        }
    }

    /// Whether a web server demands a client certificate, or refuses the one that it got. nginx does it with a page.
    fn is_about_client_certificate(&self) -> bool {
        self.parts.status == StatusCode::BAD_REQUEST && CERTIFICATE_MARKS.iter().any(|mark| self.text.contains(mark))
    }

    /// Scheme, host and port only: path and query may repeat secrets of the request.
    fn redirect_origin(&self) -> Option<String> {
        let target = Url::parse(self.parts.headers.get(LOCATION)?.to_str().ok()?).ok()?;
        let origin = target.origin().ascii_serialization();
        (matches!(target.scheme(), "http" | "https") && origin.len() <= MAX_ORIGIN).then_some(origin)
    }

    /// `Retry-After`: seconds, or a date (RFC 9110 section 10.2.3).
    fn retry_after(&self) -> Option<Duration> {
        let text = self.trimmed(RETRY_AFTER.as_str())?;
        let wait = match text.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => self.time_until(httpdate::parse_http_date(text).ok()?),
        };
        Some(wait.min(MAX_RETRY_AFTER))
    }

    /// `X-RateLimit-Reset`, if it is a time in seconds since 1970. Some servers send a number of seconds from now instead, which is
    /// much smaller.
    fn rate_limit_reset(&self) -> Option<Duration> {
        let seconds = self.trimmed("x-ratelimit-reset")?.parse().ok().filter(|seconds| *seconds > SECONDS_IN_2001)?;
        let reset = UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
        Some(self.time_until(reset).min(MAX_RETRY_AFTER))
    }

    /// By the server's clock, if the response has a `Date`.
    fn time_until(&self, time: SystemTime) -> Duration {
        let now = self.trimmed(DATE.as_str()).and_then(|date| httpdate::parse_http_date(date).ok());
        time.duration_since(now.unwrap_or_else(SystemTime::now)).unwrap_or_default()
    }

    /// The first value of a header.
    fn trimmed(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok().map(str::trim)
    }
}

/// The status only.
impl fmt::Debug for ApiResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiResponse").field("status", &self.parts.status.as_u16()).finish_non_exhaustive()
    }
}

/// The largest response of a token endpoint, in bytes.
pub(crate) const MAX_TOKEN_BODY: usize = 256 * 1024;
/// The time 1,000,000,000.
const SECONDS_IN_2001: u64 = 1_000_000_000;
/// The longest name in DNS, a scheme and a port.
const MAX_ORIGIN: usize = 253 + 8 + 6;

/// The path at which Anubis serves its scripts, in lower case as it writes it.
const ANUBIS: &str = "/.within.website/x/cmd/anubis/";

/// Titles of nginx's pages about client certificates.
const CERTIFICATE_MARKS: [&str; 2] = ["No required SSL certificate was sent", "The SSL certificate error"];

/// Texts in the pages of bot protections, in lower case: Cloudflare, AWS, Imperva, Akamai, DataDome, HUMAN, DDoS-Guard, Sucuri,
/// Anubis, and the captchas that any of them may use.
const CHALLENGE_MARKS: [&str; 20] = [
    "/cdn-cgi/challenge-platform/",
    "cf-chl-",
    "cf_chl_",
    "challenges.cloudflare.com",
    "awswaf",
    "_incapsula_resource",
    "/_sec/cp_challenge/",
    "captcha-delivery.com",
    "px-captcha",
    "ddos-guard",
    "sucuri_cloudproxy",
    ANUBIS,
    "g-recaptcha",
    "h-captcha",
    "hcaptcha.com",
    "just a moment...",
    "checking your browser",
    "checking if the site connection is secure",
    "enable javascript and cookies to continue",
    "verify you are human",
];

/// `application/json`, or a type of its own with the suffix `+json` (RFC 6839 section 3.1).
fn is_json_media_type(essence: &[u8]) -> bool {
    let has_suffix = || {
        let essence = essence.to_ascii_lowercase();
        essence.starts_with(b"application/") && essence.ends_with(b"+json")
    };
    essence.eq_ignore_ascii_case(b"application/json") || has_suffix()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Media {
    Json,
    Html,
    Other,
}
