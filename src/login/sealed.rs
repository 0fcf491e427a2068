//! Pending logins in a cookie.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::PendingLogins;
use super::pending::{MAX_LOGIN_AGE, WithoutReturnTo};
use crate::error::SealError;
use crate::seal::{KeyRing, SealContext};
use crate::util::time::unix_seconds;
use crate::values::secret;

impl PendingLogins {
    /// Seals them for a cookie: at most 2,400 characters of base64url, valid for one hour. The oldest logins are dropped
    /// until the rest fits; if not even the newest does, it loses the path that it was to return to.
    ///
    /// Web servers in front of an app refuse a response whose head is longer than 4 KiB, so the cookie leaves space for
    /// other headers. It is better to set one cookie for each login, as the [router](crate::router) does: seal a list of one
    /// login. Then two tabs do not overwrite each other's cookie.
    ///
    /// Name the cookie `__Host-…`, with `Secure`, `HttpOnly`, `SameSite=Lax` and `Path=/`. A cookie that was copied can be
    /// used again until it expires. Then only the code host, which accepts a code once, prevents a second login. A session store
    /// has none of this.
    ///
    /// # Errors
    ///
    /// [`SealError::TooLarge`] if not even one fits; [`SealError::Random`].
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use codehost_oauth::{error::SealError, seal::KeyRing, PendingLogins};
    ///
    /// let ring = KeyRing::new([(1, [7; 32].as_slice())])?;
    /// let now = SystemTime::now();
    /// let cookie = PendingLogins::default().seal(&ring, now)?;
    /// assert!(PendingLogins::open(&cookie, &ring, now)?.is_empty());
    ///
    /// let late = now + Duration::from_secs(3600);
    /// assert_eq!(PendingLogins::open(&cookie, &ring, late).unwrap_err(), SealError::Expired);
    /// # Ok::<(), SealError>(())
    /// ```
    pub fn seal(&self, ring: &KeyRing, now: SystemTime) -> Result<String, SealError> {
        self.seal_within(MAX_SEALED, ring, now)
    }

    /// The same in at most `max` characters, for a response that sets other cookies too. The oldest logins are dropped first, then the
    /// path to return to. [`SealError::TooLarge`] if not even the newest login fits.
    pub(crate) fn seal_within(&self, max: usize, ring: &KeyRing, now: SystemTime) -> Result<String, SealError> {
        let max = max.min(MAX_SEALED);
        let expires_at = unix_seconds(now).saturating_add(MAX_LOGIN_AGE.as_secs());
        if self.is_empty() {
            return seal(&Payload { expires_at, logins: [(); 0] }, max, ring)?.ok_or(SealError::TooLarge);
        }
        for dropped in 0..self.len() {
            let logins = self.iter().skip(dropped).collect::<Vec<_>>();
            if let Some(text) = seal(&Payload { expires_at, logins }, max, ring)? {
                return Ok(text);
            }
        }
        let newest = self.iter().last().map(WithoutReturnTo);
        let payload = Payload { expires_at, logins: newest.into_iter().collect::<Vec<_>>() };
        seal(&payload, max, ring)?.ok_or(SealError::TooLarge)
    }

    /// Opens a cookie's value.
    ///
    /// # Errors
    ///
    /// [`SealError::Expired`] after one hour; [`SealError::TooLarge`], [`SealError::Malformed`], [`SealError::UnknownKey`] and
    /// [`SealError::Rejected`] for a text that [`seal`](Self::seal) did not make with a key of this ring.
    pub fn open(text: &str, ring: &KeyRing, now: SystemTime) -> Result<Self, SealError> {
        if text.len() > MAX_SEALED {
            return Err(SealError::TooLarge);
        }
        let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| SealError::Malformed)?;
        let json = ring.open(&PLACE, &sealed)?;
        let payload: Payload<Self> = serde_json::from_slice(&json).map_err(|_| SealError::Malformed)?;
        if unix_seconds(now) >= payload.expires_at { Err(SealError::Expired) } else { Ok(payload.logins) }
    }
}

#[derive(Serialize, Deserialize)]
struct Payload<T> {
    /// Seconds since 1970.
    expires_at: u64,
    logins: T,
}

const PLACE: SealContext<'_> = SealContext { purpose: "pending-logins", integration: "", connection: "" };
/// In bytes. Many proxies refuse a response head of more than 4 KiB, and the app's other headers need their part of it.
pub(crate) const MAX_SEALED: usize = 2400;

/// `None` if it is longer than `max`.
fn seal<T: Serialize>(payload: &Payload<T>, max: usize, ring: &KeyRing) -> Result<Option<String>, SealError> {
    let json = secret::to_zeroizing_json(payload).map_err(|_| SealError::Malformed)?;
    let text = URL_SAFE_NO_PAD.encode(ring.seal(&PLACE, &json)?);
    Ok(Some(text).filter(|text| text.len() <= max))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test data")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::login::Expected;
    use crate::values::token::TokenBinding;
    use crate::{BaseUrl, CallbackUrl, PendingLogin, PublicUrl, Purpose};

    fn ring() -> KeyRing {
        KeyRing::new([(1, [7; 32].as_slice())]).unwrap()
    }

    fn pending(return_to: &str) -> PendingLogin {
        let base = BaseUrl::constant("https://git.example.com");
        let binding = TokenBinding::new("demo".parse().unwrap(), base);
        let app: PublicUrl = "https://packages.example.com".parse().unwrap();
        let callback = CallbackUrl::new(&app, "gitlab", binding.integration());
        let provider = crate::bitbucket_cloud::BitbucketCloud::new();
        let expected =
            Expected { binding: &binding, callback_url: &callback, provider: &provider, purpose: Purpose::LogIn };
        PendingLogin::begin(&expected, Some(return_to.parse().unwrap()), SystemTime::now()).unwrap()
    }

    #[test]
    fn as_many_as_fit_are_kept() {
        for (path, fits) in [("/", 4), (&*format!("/{}", "x".repeat(1000)), 1)] {
            let mut logins = PendingLogins::default();
            (0..8).for_each(|_| logins.insert(pending(path)));
            let now = SystemTime::now();
            let text = logins.seal(&ring(), now).unwrap();
            assert!(text.len() <= MAX_SEALED);
            let opened = PendingLogins::open(&text, &ring(), now).unwrap();
            assert!(opened.len() >= fits, "{}", opened.len());
            // The newest is there.
            let newest = |logins: &PendingLogins| logins.iter().last().map(|l| l.state().expose().to_owned());
            assert_eq!(newest(&opened), newest(&logins));
        }
    }

    #[test]
    fn a_login_that_is_too_long_loses_only_its_return_path() {
        let now = SystemTime::now();
        let open = |path: &str| {
            let mut logins = PendingLogins::default();
            logins.insert(pending(path));
            let text = logins.seal(&ring(), now).unwrap();
            assert!(text.len() <= MAX_SEALED);
            let opened = PendingLogins::open(&text, &ring(), now).unwrap();
            assert_eq!(opened.len(), 1);
            opened.iter().next().unwrap().return_to().map(|path| path.as_str().len())
        };
        assert_eq!(open(&format!("/{}", "x".repeat(1200))), Some(1201));
        assert_eq!(open(&format!("/{}", "x".repeat(2047))), None);
        // A quotation mark is two characters of JSON.
        assert_eq!(open(&format!("/{}", "\"".repeat(1200))), None);
    }

    #[test]
    fn a_cookie_of_the_greatest_length_opens_and_a_longer_one_is_refused() {
        let now = SystemTime::now();
        let seal = |letters: usize| {
            let mut logins = PendingLogins::default();
            logins.insert(pending(&format!("/{}", "x".repeat(letters))));
            logins.seal(&ring(), now).unwrap()
        };
        let longest = (1200..1700).map(seal).find(|text| text.len() == MAX_SEALED);
        assert_eq!(PendingLogins::open(&longest.unwrap(), &ring(), now).unwrap().len(), 1);
        // The login that has just begun is not lost without a word.
        let mut logins = PendingLogins::default();
        logins.insert(pending("/"));
        assert_eq!(logins.seal_within(300, &ring(), now).unwrap_err(), SealError::TooLarge);
        assert_eq!(PendingLogins::open(&"A".repeat(MAX_SEALED + 1), &ring(), now).unwrap_err(), SealError::TooLarge);
        assert_eq!(PendingLogins::open(&"A".repeat(MAX_SEALED + 100), &ring(), now).unwrap_err(), SealError::TooLarge);
    }

    #[test]
    fn a_cookie_is_valid_for_one_hour() {
        let now = SystemTime::now();
        let mut logins = PendingLogins::default();
        logins.insert(pending("/"));
        let text = logins.seal(&ring(), now).unwrap();
        let open = |seconds| PendingLogins::open(&text, &ring(), now + Duration::from_secs(seconds));
        assert_eq!([0, 1, 600, 3599].map(|seconds| open(seconds).unwrap().len()), [1, 1, 1, 1]);
        for seconds in [3600, 3601, 86_400] {
            assert_eq!(open(seconds).unwrap_err(), SealError::Expired);
        }
    }

    #[test]
    fn every_character_counts() {
        let mut logins = PendingLogins::default();
        logins.insert(pending("/"));
        let now = SystemTime::now();
        let text = logins.seal(&ring(), now).unwrap();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert!(PendingLogins::open(std::str::from_utf8(&bytes).unwrap(), &ring(), now).is_err());
            assert!(PendingLogins::open(text.get(..at).unwrap(), &ring(), now).is_err());
        }
    }

    #[test]
    fn a_value_sealed_for_another_purpose_does_not_open() {
        let tokens = SealContext { purpose: "tokens", ..PLACE };
        let text = URL_SAFE_NO_PAD.encode(ring().seal(&tokens, b"{\"expires_at\":99999999999,\"logins\":[]}").unwrap());
        assert_eq!(PendingLogins::open(&text, &ring(), SystemTime::now()).unwrap_err(), SealError::Rejected);
    }
}
