use std::fmt;

use crate::util::text::is_invisible;

/// Text from a server: limited in length, on one line, and shown only on request.
///
/// It has no `Display`, and its `Debug` shows only the length, so it cannot get into a log or a page by accident: the
/// server may have put a secret or markup into it. Control characters and direction marks are replaced, and text after 512
/// characters is cut off.
///
/// ```
/// use codehost_oauth::error::UntrustedText;
///
/// let text = UntrustedText::new("<b>no\r\nway</b>");
/// assert_eq!(text.sanitized(), "<b>no\u{FFFD}\u{FFFD}way</b>");
/// assert_eq!(text.escaped_html(), "&lt;b&gt;no\u{FFFD}\u{FFFD}way&lt;/b&gt;");
/// assert_eq!(format!("{text:?}"), "UntrustedText(14 chars)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct UntrustedText(Box<str>);

impl UntrustedText {
    /// Takes text from a server.
    pub fn new(text: &str) -> Self {
        let safe = |c: char| if c.is_control() || is_invisible(c) { char::REPLACEMENT_CHARACTER } else { c };
        Self(text.chars().take(MAX_CHARS).map(safe).collect())
    }

    /// The text on one line, for an operator's log. Escape it before it goes into a page.
    pub fn sanitized(&self) -> &str {
        &self.0
    }

    /// The text for an HTML page, also inside a quoted attribute.
    pub fn escaped_html(&self) -> String {
        crate::util::html::escape(&self.0)
    }
}

impl fmt::Debug for UntrustedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UntrustedText({} chars)", self.0.chars().count())
    }
}

/// A code host's response to a call that failed, to find the cause.
///
/// `Debug` shows the status only.
#[derive(Clone)]
pub struct ResponseSummary {
    status: http::StatusCode,
    request_id: Option<UntrustedText>,
    error: Option<UntrustedText>,
    description: Option<UntrustedText>,
}

impl ResponseSummary {
    /// The status and the request id of a response.
    pub(crate) fn new(parts: &http::response::Parts) -> Self {
        let headers = REQUEST_ID_HEADERS.iter().filter_map(|name| parts.headers.get(*name));
        let request_id = headers.filter_map(|value| value.to_str().ok()).next();
        Self { status: parts.status, request_id: request_id.map(UntrustedText::new), error: None, description: None }
    }

    /// Adds the platform's error code and its description.
    #[must_use]
    pub fn with_error(mut self, error: Option<&str>, description: Option<&str>) -> Self {
        self.error = error.map(UntrustedText::new);
        self.description = description.map(UntrustedText::new);
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> http::StatusCode {
        self.status
    }

    /// Whether the status is one that token endpoints refuse with: 400 or 401 (RFC 6749 section 5.2), or 200 at some platforms. With
    /// another one, an OAuth error comes from a proxy or an outage.
    pub(crate) fn has_status_of_refusal(&self) -> bool {
        matches!(self.status.as_u16(), 200 | 400 | 401)
    }

    /// `X-Request-Id` or the platform's header in its place, by which an administrator of the code host finds the request in its logs.
    pub fn request_id(&self) -> Option<&UntrustedText> {
        self.request_id.as_ref()
    }

    /// The platform's error code (RFC 6749 section 5.2), or its message.
    pub fn error(&self) -> Option<&UntrustedText> {
        self.error.as_ref()
    }

    /// The platform's explanation.
    pub fn description(&self) -> Option<&UntrustedText> {
        self.description.as_ref()
    }
}

impl fmt::Debug for ResponseSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseSummary").field("status", &self.status.as_u16()).finish_non_exhaustive()
    }
}

/// Headers with the id of a request. The first one is common; the others are of platforms with a header of their own.
const REQUEST_ID_HEADERS: [&str; 3] = ["x-request-id", "x-github-request-id", "x-arequestid"];

const MAX_CHARS: usize = 512;
