//! The texts of forms in cookies, one for each.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use sha2::{Digest as _, Sha256};

use super::in_cookie::InCookie;
use super::{KEPT_FOR, MAX_KEPT, not_a_header};
use crate::error::SealError;
use crate::router::{Failure, FailureCause, RequestHead};
use crate::seal::SealContext;
use crate::util::text::hex;
use crate::util::time::unix_now;

impl InCookie {
    /// Sets the cookie of a text. Removes the oldest cookies that are too many or too long beside it.
    pub(super) fn keep(&self, request: &RequestHead, name: &str, text: &str) -> Result<Vec<HeaderValue>, Failure> {
        let cookie = self.kept_name(name);
        let value = self.kept_value(&cookie, text, unix_now()).map_err(|error| FailureCause::Session(error.into()))?;
        if value.len() > MAX_VALUE {
            return Err(FailureCause::TooLongToKeep.into());
        }
        let mut set = vec![self.set(&cookie, &value, Some(KEPT_FOR.as_secs())).map_err(not_a_header)?];
        let mut length = cookie.len().saturating_add(value.len());
        let mut others: Vec<_> = self.kept_cookies(request).filter(|(name, _)| *name != cookie).collect();
        // The newest first. Of those of the same second, browsers send the older one first.
        others.reverse();
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
        if unix_now() >= kept_at_of(value).saturating_add(KEPT_FOR.as_secs()) {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let bytes = self.keys.open(&context(&cookie, kept_at), &sealed).ok()?;
        Some(URL_SAFE_NO_PAD.encode(&*bytes))
    }

    pub(super) fn forget_kept(&self, request: &RequestHead, name: &str) -> Vec<HeaderValue> {
        let cookie = self.kept_name(name);
        let is_kept = self.kept_cookies(request).any(|(name, _)| name == cookie);
        self.expired(&cookie).filter(|_| is_kept).into_iter().collect()
    }

    fn kept_value(&self, cookie: &str, text: &str, kept_at: u64) -> Result<String, SealError> {
        let kept_at = kept_at.to_string();
        // As bytes: the text is base64url, which a second encoding would make a third longer.
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| SealError::Malformed)?;
        let sealed = self.keys.seal(&context(cookie, &kept_at), &bytes)?;
        Ok(format!("{kept_at}.{}", URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// Names of texts have characters that names of cookies must not have.
    fn kept_name(&self, name: &str) -> String {
        let digest = Sha256::digest(name);
        format!("{}{}", self.kept_prefix(), hex(digest.get(..8).unwrap_or_default()))
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

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test data")]
mod tests {
    use http::Request;
    use http::header::COOKIE;

    use super::*;
    use crate::seal::KeyRing;

    #[test]
    fn a_text_in_a_cookie_is_kept_for_an_hour_for_its_name_and_time() {
        let keys = KeyRing::new([(1, [7; 32].as_slice())]).unwrap();
        let in_cookie = InCookie::new(&"https://app.example.com".parse().unwrap(), keys);
        let cookie = in_cookie.kept_name("a");
        let kept = |value: &str| {
            let request = Request::builder().header(COOKIE, format!("x=y; {cookie}={value}"));
            in_cookie.kept(&request.body(()).unwrap().into_parts().0, "a")
        };
        let value = |cookie: &str, age: u64| in_cookie.kept_value(cookie, "AAAA", unix_now() - age).unwrap();
        assert_eq!(kept(&value(&cookie, 3590)).as_deref(), Some("AAAA"));
        assert_eq!(kept(&value(&cookie, 3601)), None);
        assert_eq!(kept(&value(&in_cookie.kept_name("b"), 0)), None, "another form's");
        // An old one with a newer time.
        let old = value(&cookie, 3601);
        let (_, sealed) = old.split_once('.').unwrap();
        assert_eq!(kept(&format!("{}.{sealed}", unix_now())), None);
        for text in ["", ".", "x", "1.", "99999999999999999999999.x", &format!("{}.AAAA", unix_now())] {
            assert_eq!(kept(text), None, "{text}");
        }
    }
}
