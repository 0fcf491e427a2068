use axum::response::{IntoResponseParts, ResponseParts};
use http::HeaderValue;
use http::header::SET_COOKIE;

use crate::values::secret::Secret;

/// A browser's CSRF token. Put it into a hidden field of every form, and into the response, because it may have to set a
/// cookie: `(token, Html(page)).into_response()`.
#[derive(Debug)]
pub struct CsrfToken {
    text: Secret,
    set_cookie: Option<HeaderValue>,
}

impl CsrfToken {
    /// The name of the form's field.
    pub const FIELD: &'static str = "csrf_token";

    /// The value of the form's field: letters, digits, `-` and `_`.
    pub fn as_str(&self) -> &str {
        self.text.expose()
    }

    pub(super) fn new(text: Secret, set_cookie: Option<HeaderValue>) -> Self {
        Self { text, set_cookie }
    }

    pub(crate) fn set_cookie(&self) -> Option<&HeaderValue> {
        self.set_cookie.as_ref()
    }
}

impl IntoResponseParts for CsrfToken {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        if let Some(cookie) = self.set_cookie {
            parts.headers_mut().append(SET_COOKIE, cookie);
        }
        Ok(parts)
    }
}
