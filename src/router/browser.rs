use std::fmt;
use std::time::SystemTime;

use axum::response::{IntoResponseParts, ResponseParts};
use http::HeaderValue;
use http::header::{COOKIE, SET_COOKIE};
use serde::{Deserialize, Serialize};
use tower_sessions_core::Session;

use super::{Failure, FailureCause, RequestHead};
use crate::error::Error;
use crate::host::Host;
use crate::login::PendingLogins;
use crate::seal::KeyRing;
use crate::secret::Secret;

/// A browser's CSRF token: put it into a hidden field of every form, and into the answer as well, since it may have to
/// set a cookie: `(token, Html(page)).into_response()`.
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

    pub(super) fn set_cookie(&self) -> Option<&HeaderValue> {
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

/// What is kept of one browser.
#[derive(Default)]
pub(super) struct Browser {
    csrf: Option<Secret>,
    pub(super) pending: PendingLogins,
}

/// What has changed and is to be kept.
#[derive(Clone, Copy)]
pub(super) enum Kept {
    Token,
    Pending,
}

/// Where it is kept.
pub(super) enum Keep {
    Session,
    Cookie { secure: bool, keys: KeyRing },
}

impl Browser {
    pub(super) fn csrf_token(&self) -> Option<Secret> {
        self.csrf.as_ref().map(Secret::duplicate)
    }

    pub(super) fn new_csrf_token(&mut self) -> Result<Secret, Failure> {
        let [token] = Secret::random().map_err(Error::from)?;
        Ok(self.csrf.insert(token).duplicate())
    }

    pub(super) fn verify_csrf(&self, given: &str) -> Result<(), Failure> {
        let given = Secret::untrusted(given.to_owned());
        match &self.csrf {
            Some(token) if token.matches(&given) => Ok(()),
            _ => Err(FailureCause::Csrf.into()),
        }
    }
}

impl Keep {
    pub(super) fn cookie(public_url: &Host, keys: KeyRing) -> Self {
        Self::Cookie { secure: public_url.as_str().starts_with("https:"), keys }
    }

    /// What is kept of the browser that sent this request. What cannot be read is nothing: the login starts again.
    pub(super) async fn browser(&self, request: &RequestHead) -> Result<Browser, Failure> {
        match self {
            Self::Session => {
                let session = session(request)?;
                let value = session.get_value(SESSION_KEY).await.map_err(store_failed)?.unwrap_or_default();
                let stored: Stored = serde_json::from_value(value).unwrap_or_default();
                Ok(Browser { csrf: token(stored.csrf), pending: stored.pending })
            }
            Self::Cookie { secure, keys } => {
                let read = |name| cookie_value(request, &cookie_name(*secure, name));
                let pending = read(LOGIN_COOKIE).and_then(|text| {
                    let now = SystemTime::now();
                    PendingLogins::open(text, keys, now).ok()
                });
                let csrf = read(CSRF_COOKIE).map(str::to_owned);
                Ok(Browser { csrf: token(csrf), pending: pending.unwrap_or_default() })
            }
        }
    }

    /// Keeps it: a session is stored when this returns, a cookie when the browser has the answer.
    pub(super) async fn store(
        &self,
        request: &RequestHead,
        browser: &Browser,
        kept: Kept,
    ) -> Result<Option<HeaderValue>, Failure> {
        let (secure, keys) = match self {
            Self::Session => {
                let session = session(request)?;
                let stored = StoredRef { csrf: browser.csrf.as_ref().map(Secret::expose), pending: &browser.pending };
                session.insert(SESSION_KEY, stored).await.map_err(store_failed)?;
                // The layer would store it too, but only after the answer.
                session.save().await.map_err(store_failed)?;
                return Ok(None);
            }
            Self::Cookie { secure, keys } => (*secure, keys),
        };
        let (name, value, age) = match (kept, &browser.csrf) {
            (Kept::Token, None) => return Ok(None),
            (Kept::Token, Some(token)) => (CSRF_COOKIE, token.expose().to_owned(), None),
            (Kept::Pending, _) if browser.pending.is_empty() => (LOGIN_COOKIE, String::new(), Some(0)),
            (Kept::Pending, _) => {
                let sealed = browser.pending.seal(keys, SystemTime::now());
                (LOGIN_COOKIE, sealed.map_err(|error| FailureCause::Session(error.into()))?, Some(LIFETIME))
            }
        };
        let age = age.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
        let flag = if secure { "; Secure" } else { "" };
        let name = cookie_name(secure, name);
        let mut cookie = HeaderValue::try_from(format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{flag}{age}"))
            .map_err(|error| FailureCause::Session(error.into()))?;
        cookie.set_sensitive(true);
        Ok(Some(cookie))
    }

    /// Gives the session another id and CSRF token after a login, so that whoever knew the old ones is left behind.
    pub(super) async fn renew(&self, request: &RequestHead) -> Result<(), Failure> {
        if let Self::Session = self {
            let mut browser = self.browser(request).await?;
            browser.csrf = None;
            session(request)?.cycle_id().await.map_err(store_failed)?;
            self.store(request, &browser, Kept::Token).await?;
        }
        Ok(())
    }

    /// Deletes the session.
    pub(super) async fn end(&self, request: &RequestHead) -> Result<(), Failure> {
        match self {
            Self::Session => session(request)?.flush().await.map_err(store_failed),
            Self::Cookie { .. } => Ok(()),
        }
    }
}

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Session => "in_session",
            Self::Cookie { .. } => "in_cookie",
        })
    }
}

const SESSION_KEY: &str = "codehost-oauth";
const LOGIN_COOKIE: &str = "codehost-login";
const CSRF_COOKIE: &str = "codehost-csrf";
/// Seconds; what is sealed has its own.
const LIFETIME: u32 = 600;
/// 32 bytes in base64url.
const TOKEN_LENGTH: usize = 43;

#[derive(Serialize)]
struct StoredRef<'a> {
    csrf: Option<&'a str>,
    pending: &'a PendingLogins,
}

#[derive(Default, Deserialize)]
struct Stored {
    csrf: Option<String>,
    pending: PendingLogins,
}

fn token(text: Option<String>) -> Option<Secret> {
    Secret::parse(text?, TOKEN_LENGTH).filter(|token| token.expose().len() == TOKEN_LENGTH)
}

fn session(request: &RequestHead) -> Result<&Session, Failure> {
    request.extensions.get().ok_or_else(|| FailureCause::Session("no session layer".into()).into())
}

fn store_failed(error: tower_sessions_core::session::Error) -> Failure {
    FailureCause::Session(error.into()).into()
}

/// A browser takes a `__Host-` cookie from this very host only, so no neighbouring subdomain can plant one.
fn cookie_name(secure: bool, name: &str) -> String {
    if secure { format!("__Host-{name}") } else { name.to_owned() }
}

fn cookie_value<'a>(request: &'a RequestHead, name: &str) -> Option<&'a str> {
    let headers = request.headers.get_all(COOKIE).into_iter().filter_map(|header| header.to_str().ok());
    let mut pairs = headers.flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}
