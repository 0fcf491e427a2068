//! Helpers for the routes of a login in an app that does not use [`router`](crate::router).
//!
//! - Begin a login for a `POST` with a CSRF token of this browser's session: [`csrf_token`], [`is_csrf_token`].
//! - Ignore requests that no user has made, such as prefetches: [`is_deliberate`].
//! - Add [`RESPONSE_HEADERS`] to each response of the login's routes.
//! - Redirect with status 303: 307 would send the form again, to the code host.
//!
//! ```
//! use codehost_oauth::web;
//! use http::{Method, Request, Response};
//!
//! let kept = web::csrf_token()?; // into the session, and into a hidden field of the form
//! assert!(web::is_csrf_token(&kept, &kept.clone()) && !web::is_csrf_token(&kept, ""));
//!
//! let preview = Request::get("/oauth/callback/gitlab/demo").header("sec-purpose", "prefetch").body(())?;
//! assert!(!web::is_deliberate(preview.method(), preview.headers()));
//!
//! let mut response = Response::new(());
//! response.headers_mut().extend(web::RESPONSE_HEADERS);
//! assert_eq!(response.headers()["cache-control"], "no-store");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use http::header::{CACHE_CONTROL, REFERRER_POLICY};
use http::{HeaderName, HeaderValue};

use crate::error::ConfigError;
use crate::values::secret::Secret;

/// No response of a login is cached, and the next site is not told a URL with a code in it.
pub const RESPONSE_HEADERS: [(HeaderName, HeaderValue); 2] =
    [(CACHE_CONTROL, HeaderValue::from_static("no-store")), (REFERRER_POLICY, HeaderValue::from_static("no-referrer"))];

/// A new CSRF token: 32 random bytes in base64url, 43 characters. Keep it in the browser's session, and renew it when the
/// user changes.
///
/// # Errors
///
/// [`ConfigError::Random`] if the system gives no random bytes.
pub fn csrf_token() -> Result<String, ConfigError> {
    let [token] = Secret::random()?;
    Ok(token.expose().to_owned())
}

/// Whether a form came with the token of its session. Compares in constant time.
#[must_use]
pub fn is_csrf_token(kept: &str, given: &str) -> bool {
    !kept.is_empty() && Secret::unchecked(kept.to_owned()).matches(&Secret::unchecked(given.to_owned()))
}

/// Whether a user has made this request: not a `HEAD` of a link checker, a prefetch, a prerendered page or a preview. A
/// callback that is not deliberate must not use up its pending login.
///
/// Method and headers are those of any HTTP library, also of one with another version of the crate `http`, as actix-web.
///
/// ```
/// use codehost_oauth::web::is_deliberate;
///
/// assert!(is_deliberate("GET", [("Accept", "text/html")]));
/// assert!(!is_deliberate("GET", [("Sec-Purpose", "prefetch;prerender")]));
/// assert!(!is_deliberate(http::Method::HEAD, &http::HeaderMap::new()));
/// ```
#[must_use]
pub fn is_deliberate<N: AsRef<str>, V: AsRef<[u8]>>(
    method: impl AsRef<str>,
    headers: impl IntoIterator<Item = (N, V)>,
) -> bool {
    const NAMES: [&str; 4] = ["sec-purpose", "purpose", "x-purpose", "x-moz"];
    const WORDS: [&str; 3] = ["prefetch", "prerender", "preview"];
    let is_speculative = headers.into_iter().any(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_ref()).to_ascii_lowercase();
        NAMES.iter().any(|known| name.as_ref().eq_ignore_ascii_case(known))
            && WORDS.iter().any(|word| value.contains(word))
    });
    method.as_ref() != "HEAD" && !is_speculative
}
