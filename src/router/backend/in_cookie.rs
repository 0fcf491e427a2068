//! Pending logins in cookies: one for the CSRF token, and a sealed one for each login.

use std::time::SystemTime;

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use http::header::SET_COOKIE;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{StoredLogin, not_a_header};
use crate::error::Error;
use crate::login::{Callback, MAX_LOGIN_AGE, MAX_SEALED, PendingLogin, PendingLogins, Purpose, ReturnTo};
use crate::router::callback_runs::{CallbackRuns, RunLogin, StateId};
use crate::router::head::{MAX_HEAD, RESERVED, cookies, length};
use crate::router::{Failure, FailureCause, RequestHead};
use crate::seal::{KeyRing, SealContext};
use crate::util::text::hex;
use crate::util::time::unix_now;
use crate::values::public_url::PublicUrl;
use crate::values::secret::Secret;

pub(in crate::router) struct InCookie {
    pub(super) keys: KeyRing,
    secure: bool,
    /// Distinguishes this app from others on the same host name.
    suffix: String,
}

impl InCookie {
    pub(in crate::router) fn new(public_url: &PublicUrl, keys: KeyRing) -> Self {
        let suffix = hex(Sha256::digest(public_url.as_str()).get(..4).unwrap_or_default());
        Self { keys, secure: public_url.as_str().starts_with("https:"), suffix }
    }

    pub(super) fn finished_logins(&self, request: &RequestHead) -> Vec<StateId> {
        let logins = self.logins(request).into_iter();
        logins.filter(|found| matches!(found.content, Content::Finished { .. })).map(|found| found.state).collect()
    }

    pub(super) fn csrf(&self, request: &RequestHead) -> Option<Secret> {
        let name = self.csrf_name();
        let mut values = cookies(request).filter(|(found, _)| *found == name.as_bytes()).map(|(_, value)| value);
        values.find_map(|value| Secret::parse_random(std::str::from_utf8(value).ok()?.to_owned()))
    }

    pub(super) fn new_csrf(&self) -> Result<(Secret, HeaderValue), Failure> {
        let [token] = Secret::random().map_err(Error::from)?;
        let cookie = self.set(&self.csrf_name(), token.expose(), None).map_err(not_a_header)?;
        Ok((token, cookie))
    }

    /// Sets the cookie of a new login. Removes the oldest cookies, so that neither this response nor the next request is longer
    /// than web servers accept. `location` is the length of the redirect's URL.
    pub(super) fn insert(
        &self,
        request: &RequestHead,
        pending: PendingLogin,
        location: usize,
    ) -> Result<Vec<HeaderValue>, Failure> {
        let name = self.login_name(StateId::of(pending.state()));
        let mut one = PendingLogins::default();
        one.insert(pending);
        let sealed = one.seal_within(value_limit(location), &self.keys, SystemTime::now());
        let sealed = sealed.map_err(|error| FailureCause::Session(error.into()))?;
        let new = self.set(&name, &sealed, Some(MAX_LOGIN_AGE.as_secs())).map_err(not_a_header)?;
        let others = self.length_of_kept(request);
        let removals = self.removals_for(request, name.len().saturating_add(sealed.len()).saturating_add(others));
        Ok([new].into_iter().chain(removals).collect())
    }

    /// Removes the oldest cookies, until a new one of `length` bytes fits beside the others.
    pub(super) fn removals_for(&self, request: &RequestHead, length: usize) -> Vec<HeaderValue> {
        let mut others = self.logins(request);
        others.sort_by_key(|other| other.content.sort_key());
        let mut others = others.as_slice();
        let mut removals = Vec::new();
        while let [oldest, newer @ ..] = others {
            let sum = others.iter().fold(length, |sum, other| sum.saturating_add(other.length));
            let fits = others.len() < MAX_LOGINS && sum <= MAX_OF_REQUEST;
            if fits || removals.len() >= MAX_REMOVED {
                break;
            }
            removals.extend(self.remove(oldest.state));
            others = newer;
        }
        removals
    }

    pub(super) fn find(&self, request: &RequestHead, callback: &Callback) -> StoredLogin {
        let Some(state) = callback.state() else {
            return StoredLogin::Nothing;
        };
        let (id, mut found) = (StateId::of(state), StoredLogin::Nothing);
        for cookie in self.logins(request).into_iter().filter(|cookie| cookie.state == id) {
            match cookie.content {
                Content::Pending { login, value } if login.state().matches(state) => {
                    return StoredLogin::Pending { login, binding: Secret::unchecked(value) };
                }
                Content::Finished { return_to } => found = StoredLogin::Finished { return_to },
                _ => {}
            }
        }
        found
    }

    pub(super) fn set_cookies(
        &self,
        request: &RequestHead,
        state: StateId,
        login: Option<&RunLogin>,
        response: &mut Response,
    ) {
        let mut set = Vec::new();
        for cookie in self.logins(request).into_iter().filter(|cookie| cookie.state != state) {
            let is_removable = match &cookie.content {
                Content::Pending { login, .. } => *login.purpose() == Purpose::LogIn,
                Content::Finished { .. } => false,
                Content::Unreadable => true,
            };
            if is_removable && login.is_some_and(RunLogin::is_login) {
                set.extend(self.remove(cookie.state));
            }
        }
        let used = set.iter().fold(length(response.headers()), |sum: usize, cookie| {
            sum.saturating_add(cookie.len()).saturating_add(HEADER_NAME_LENGTH)
        });
        match login.and_then(|login| self.remember(login, value_limit_beside(used))) {
            Some(cookie) => set.push(cookie),
            None => set.extend(self.remove(state)),
        }
        for cookie in set {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }

    /// Cancels this browser's logins in progress, and removes all cookies of the routes.
    pub(super) fn end(&self, request: &RequestHead, callback_runs: &CallbackRuns) -> Vec<HeaderValue> {
        let mut set: Vec<_> = self.expired(&self.csrf_name()).into_iter().collect();
        for cookie in self.logins(request) {
            callback_runs.cancel(cookie.state);
            set.extend(self.remove(cookie.state));
        }
        set.extend(self.kept_cookies(request).filter_map(|(name, _)| self.expired(name)));
        set
    }

    fn length_of_kept(&self, request: &RequestHead) -> usize {
        let lengths = self.kept_cookies(request).map(|(name, value)| name.len().saturating_add(value.len()));
        lengths.fold(0, usize::saturating_add)
    }

    /// This app's cookies with texts of forms: names and values.
    pub(super) fn kept_cookies<'r>(&self, request: &'r RequestHead) -> impl Iterator<Item = (&'r str, &'r str)> {
        let prefix = self.kept_prefix();
        let texts = cookies(request)
            .filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?)));
        texts.filter(move |(name, _)| name.starts_with(&prefix)).take(MAX_OPENED)
    }

    pub(super) fn kept_prefix(&self) -> String {
        format!("{}codehost-kept-{}-", self.host_prefix(), self.suffix)
    }

    /// The cookie of a finished login. It is no proof of a login: it says where a repeated callback redirects.
    fn remember(&self, login: &RunLogin, limit: usize) -> Option<HeaderValue> {
        let name = self.login_name(login.state);
        [login.return_to.as_ref(), None].into_iter().find_map(|return_to| {
            let marker = Marker {
                expires_at: unix_now().saturating_add(MAX_LOGIN_AGE.as_secs()),
                return_to: return_to.cloned(),
            };
            let sealed = self.keys.seal(&context(&name), &serde_json::to_vec(&marker).ok()?).ok()?;
            let value = format!("{FINISHED}{}", URL_SAFE_NO_PAD.encode(sealed));
            if value.len() > limit {
                return None;
            }
            self.set(&name, &value, Some(MAX_LOGIN_AGE.as_secs())).ok()
        })
    }

    /// This app's cookies of logins. Cookies of others are not decoded.
    fn logins(&self, request: &RequestHead) -> Vec<Cookie> {
        let prefix = self.login_prefix();
        let ours = cookies(request).filter_map(|(name, value)| {
            let id = name.strip_prefix(prefix.as_bytes())?;
            Some((StateId::parse(std::str::from_utf8(id).ok()?)?, value))
        });
        let cookie = |(state, value): (StateId, &[u8])| Cookie {
            state,
            length: prefix.len().saturating_add(ID_LENGTH).saturating_add(value.len()),
            content: std::str::from_utf8(value).map_or(Content::Unreadable, |text| self.open(state, text)),
        };
        ours.take(MAX_OPENED).map(cookie).collect()
    }

    fn open(&self, state: StateId, text: &str) -> Content {
        if text.len() > MAX_SEALED {
            return Content::Unreadable;
        }
        if let Some(sealed) = text.strip_prefix(FINISHED) {
            let name = self.login_name(state);
            let json =
                URL_SAFE_NO_PAD.decode(sealed).ok().and_then(|sealed| self.keys.open(&context(&name), &sealed).ok());
            let marker = json.and_then(|json| serde_json::from_slice::<Marker>(&json).ok());
            let marker = marker.filter(|marker| unix_now() < marker.expires_at);
            return marker.map_or(Content::Unreadable, |marker| Content::Finished { return_to: marker.return_to });
        }
        let pending =
            PendingLogins::open(text, &self.keys, SystemTime::now()).ok().and_then(|mut one| one.pop_newest());
        pending.map_or(Content::Unreadable, |login| Content::Pending { login: Box::new(login), value: text.to_owned() })
    }

    fn csrf_name(&self) -> String {
        format!("{}codehost-csrf-{}", self.host_prefix(), self.suffix)
    }

    fn login_prefix(&self) -> String {
        format!("{}codehost-login-{}-", self.host_prefix(), self.suffix)
    }

    fn login_name(&self, state: StateId) -> String {
        format!("{}{state}", self.login_prefix())
    }

    /// Browsers accept a `__Host-` cookie only from this host, so no other subdomain can set one.
    fn host_prefix(&self) -> &'static str {
        if self.secure { "__Host-" } else { "" }
    }

    pub(super) fn set(
        &self,
        name: &str,
        value: &str,
        age: Option<u64>,
    ) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
        let age = age.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
        let flag = if self.secure { "; Secure" } else { "" };
        let mut cookie = HeaderValue::try_from(format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{flag}{age}"))?;
        cookie.set_sensitive(true);
        Ok(cookie)
    }

    fn remove(&self, state: StateId) -> Option<HeaderValue> {
        self.expired(&self.login_name(state))
    }

    pub(super) fn expired(&self, name: &str) -> Option<HeaderValue> {
        let flag = if self.secure { "; Secure" } else { "" };
        HeaderValue::try_from(format!("{name}=; Path=/{flag}; Max-Age=0")).ok()
    }
}

struct Cookie {
    state: StateId,
    /// Of name and value, in bytes.
    length: usize,
    content: Content,
}

enum Content {
    Pending { login: Box<PendingLogin>, value: String },
    Finished { return_to: Option<ReturnTo> },
    Unreadable,
}

impl Content {
    /// Unreadable cookies come first, then finished logins, then pending logins by age.
    fn sort_key(&self) -> u64 {
        match self {
            Self::Pending { login, .. } => login.begun_at(),
            Self::Finished { .. } => 1,
            Self::Unreadable => 0,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Marker {
    /// Seconds since 1970.
    expires_at: u64,
    return_to: Option<ReturnTo>,
}

/// The value for a finished login begins with this; base64url has no dot.
const FINISHED: &str = "f.";
const MAX_LOGINS: usize = 8;
/// Bytes of all cookies of logins: web servers accept 8 KiB for one header, and the app has cookies too.
const MAX_OF_REQUEST: usize = 6000;
/// The most cookies that are decrypted for one request.
const MAX_OPENED: usize = 32;
/// The most cookies that a new login removes.
const MAX_REMOVED: usize = 4;
const ID_LENGTH: usize = 11;
const HEADER_NAME_LENGTH: usize = "set-cookie: \r\n".len();
/// Bytes of a header that removes a cookie.
const REMOVAL_LENGTH: usize = 90;
/// Bytes of a header that sets a cookie, without the value.
const HEADER_LENGTH_WITHOUT_VALUE: usize = 125;

/// The longest value of a new login's cookie, in a response that redirects to a URL of `location` bytes.
fn value_limit(location: usize) -> usize {
    let removals = MAX_REMOVED.saturating_mul(REMOVAL_LENGTH);
    value_limit_beside(location.saturating_add(removals)).min(MAX_SEALED)
}

/// The longest value of a cookie, in a response whose other headers have `used` bytes.
fn value_limit_beside(used: usize) -> usize {
    let used = RESERVED.saturating_add(used).saturating_add(HEADER_LENGTH_WITHOUT_VALUE);
    MAX_HEAD.saturating_sub(used)
}

fn context(name: &str) -> SealContext<'_> {
    SealContext { purpose: "finished-login", integration: "", connection: name }
}
