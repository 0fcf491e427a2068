//! What the app keeps in a browser: two sealed cookies, one with the session and one with the pending logins.
//!
//! `PendingLogins::seal` keeps the second one short enough for web servers. Two tabs that begin a login at the same moment
//! overwrite it; the routes of the feature `axum` set a cookie for each login instead.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use codehost_oauth::error::{AppError, ConfigError};
use codehost_oauth::seal::{KeyRing, SealContext};
use codehost_oauth::{PendingLogins, PublicUrl, web};
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

/// Reads and writes the cookies.
pub(crate) struct Cookies {
    keys: KeyRing,
    /// Browsers accept a `__Host-` cookie only from this host name, over TLS, so no other subdomain can set one.
    prefix: &'static str,
    attributes: &'static str,
}

/// The content of the cookies. What is changed here is in the response.
#[derive(Default)]
pub(crate) struct Browser {
    session: Session,
    logins: PendingLogins,
    sets_session: bool,
    sets_logins: bool,
}

#[derive(Default, Serialize, Deserialize)]
struct Session {
    user: Option<String>,
    csrf_token: String,
    /// Seconds since 1970. `Max-Age` is only a request to the browser.
    expires_at: u64,
}

impl Cookies {
    /// With the keys in `CODEHOST_KEYS`, or else a new one: then a restart ends every session.
    pub(crate) fn new(public_url: &PublicUrl) -> Result<Self, AppError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        let keys = match std::env::var("CODEHOST_KEYS") {
            Ok(keys) => keys.parse()?,
            Err(_) => KeyRing::new([(1, key.as_slice())])?,
        };
        let is_secure = public_url.as_str().starts_with("https:");
        let (prefix, attributes) = match is_secure {
            true => ("__Host-", "; Path=/; HttpOnly; SameSite=Lax; Secure"),
            false => ("", "; Path=/; HttpOnly; SameSite=Lax"), // `Strict` is not sent when the code host sends the browser back
        };
        Ok(Self { keys, prefix, attributes })
    }

    /// A cookie that is missing, too old or not from this app is an empty one.
    pub(crate) fn read(&self, headers: &HeaderMap) -> Browser {
        let logins = self.value(headers, LOGINS);
        let logins = logins.and_then(|text| PendingLogins::open(text, &self.keys, SystemTime::now()).ok());
        let session = self.value(headers, SESSION).and_then(|text| self.open(text)).unwrap_or_default();
        Browser { session, logins: logins.unwrap_or_default(), ..Browser::default() }
    }

    /// Sets the cookies that have changed.
    pub(crate) fn write(&self, mut browser: Browser, headers: &mut HeaderMap) -> Result<(), AppError> {
        if browser.sets_session {
            browser.session.expires_at = now().saturating_add(SESSION_SECONDS);
            let sealed = self.keys.seal(&PLACE, &serde_json::to_vec(&browser.session)?)?;
            headers.append(SET_COOKIE, self.cookie(SESSION, &URL_SAFE_NO_PAD.encode(sealed), SESSION_SECONDS)?);
        }
        if browser.sets_logins {
            let sealed = browser.logins.seal(&self.keys, SystemTime::now())?;
            headers.append(SET_COOKIE, self.cookie(LOGINS, &sealed, 3600)?);
        }
        Ok(())
    }

    /// Cookies are read as bytes: another site of the domain may have set one that is not text.
    fn value<'a>(&self, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        let headers = headers.get_all(COOKIE).into_iter();
        let cookies = headers.flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
        let mut texts = cookies.filter_map(|cookie| std::str::from_utf8(cookie.trim_ascii()).ok());
        texts.find_map(|text| text.strip_prefix(self.prefix)?.strip_prefix(name)?.strip_prefix('='))
    }

    fn open(&self, text: &str) -> Option<Session> {
        let json = self.keys.open(&PLACE, &URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        serde_json::from_slice::<Session>(&json).ok().filter(|session| now() < session.expires_at)
    }

    fn cookie(&self, name: &str, value: &str, age: u64) -> Result<HeaderValue, AppError> {
        Ok(format!("{}{name}={value}{}; Max-Age={age}", self.prefix, self.attributes).parse()?)
    }
}

impl Browser {
    /// The token for a form, made for the first form.
    pub(crate) fn csrf_token(&mut self) -> Result<&str, ConfigError> {
        if self.session.csrf_token.is_empty() {
            self.session.csrf_token = web::csrf_token()?;
            self.sets_session = true;
        }
        Ok(&self.session.csrf_token)
    }

    /// Empty if no form was made for this browser.
    pub(crate) fn kept_csrf_token(&self) -> &str {
        &self.session.csrf_token
    }

    pub(crate) fn user(&self) -> Option<String> {
        self.session.user.clone()
    }

    /// The logins in progress, to be changed.
    pub(crate) fn logins(&mut self) -> &mut PendingLogins {
        self.sets_logins = true;
        &mut self.logins
    }

    /// A new session for the user, without the logins that were begun in the old one.
    pub(crate) fn log_in(&mut self, user: String) -> Result<(), ConfigError> {
        self.session = Session { user: Some(user), csrf_token: web::csrf_token()?, expires_at: 0 };
        self.sets_session = true;
        self.logins().drop_logins();
        Ok(())
    }

    /// Empty cookies.
    pub(crate) fn log_out(&mut self) {
        *self = Self { sets_session: true, sets_logins: true, ..Self::default() };
    }
}

const SESSION: &str = "session";
const LOGINS: &str = "logins";
const SESSION_SECONDS: u64 = 8 * 3600;
const PLACE: SealContext<'_> = SealContext { purpose: "session", integration: "", connection: "" };

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
