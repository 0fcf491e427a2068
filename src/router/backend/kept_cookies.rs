//! The texts of forms in cookies, one for each.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use sha2::{Digest as _, Sha256};

use super::in_cookie::{InCookie, now};
use super::{KEPT_FOR, MAX_KEPT, not_a_header};
use crate::router::{Failure, FailureCause, RequestHead};
use crate::seal::SealContext;

impl InCookie {
    /// Sets the cookie of a text. Removes the oldest cookies that are too many or too long beside it.
    pub(super) fn keep(&self, request: &RequestHead, name: &str, text: &str) -> Result<Vec<HeaderValue>, Failure> {
        let (cookie, kept_at) = (self.kept_name(name), now().to_string());
        let sealed = self.keys.seal(&context(&cookie, &kept_at), text.as_bytes());
        let sealed = sealed.map_err(|error| FailureCause::Session(error.into()))?;
        let value = format!("{kept_at}.{}", URL_SAFE_NO_PAD.encode(sealed));
        if value.len() > MAX_VALUE {
            return Err(FailureCause::TooLongToKeep.into());
        }
        let mut set = vec![self.set(&cookie, &value, Some(KEPT_FOR.as_secs())).map_err(not_a_header)?];
        let mut length = cookie.len().saturating_add(value.len());
        let mut others: Vec<_> = self.kept_cookies(request).filter(|(name, _)| *name != cookie).collect();
        // The newest first.
        others.sort_by_key(|(_, value)| std::cmp::Reverse(kept_at_of(value)));
        for (at, (name, value)) in others.into_iter().enumerate() {
            let longer = length.saturating_add(name.len()).saturating_add(value.len());
            if at.saturating_add(1) < MAX_KEPT && longer <= MAX_OF_REQUEST {
                length = longer;
            } else {
                set.extend(self.expired(name));
            }
        }
        set.extend(self.removals_for(request, length));
        Ok(set)
    }

    pub(super) fn kept(&self, request: &RequestHead, name: &str) -> Option<String> {
        let cookie = self.kept_name(name);
        let (_, value) = self.kept_cookies(request).find(|(name, _)| *name == cookie)?;
        let (kept_at, sealed) = value.split_once('.')?;
        if now() >= kept_at_of(value).saturating_add(KEPT_FOR.as_secs()) {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let text = self.keys.open(&context(&cookie, kept_at), &sealed).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }

    pub(super) fn forget_kept(&self, request: &RequestHead, name: &str) -> Vec<HeaderValue> {
        let cookie = self.kept_name(name);
        let is_kept = self.kept_cookies(request).any(|(name, _)| name == cookie);
        self.expired(&cookie).filter(|_| is_kept).into_iter().collect()
    }

    /// Names of texts have characters that names of cookies must not have.
    fn kept_name(&self, name: &str) -> String {
        let digest = Sha256::digest(name);
        let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("{}{digest}", self.kept_prefix())
    }
}

/// Bytes of a cookie's value, which is in the head of a response together with up to eight cookies that are removed.
const MAX_VALUE: usize = 2000;
/// Bytes of all of them; the cookies of logins have what is left.
const MAX_OF_REQUEST: usize = 3000;

/// When it was kept, in seconds since 1970. It is authenticated, and 0 if it cannot be read.
fn kept_at_of(value: &str) -> u64 {
    value.split_once('.').and_then(|(kept_at, _)| kept_at.parse().ok()).unwrap_or(0)
}

fn context<'a>(cookie: &'a str, kept_at: &'a str) -> SealContext<'a> {
    SealContext { purpose: "kept-text", integration: kept_at, connection: cookie }
}
