//! Pending logins in a cookie.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::PendingLogins;
use crate::error::SealError;
use crate::seal::{KeyRing, SealContext};

impl PendingLogins {
    /// Seals them for a cookie: at most 3,800 characters of base64url, good for ten minutes. The oldest logins are
    /// dropped until the rest fits.
    ///
    /// Name the cookie `__Host-…`, with `Secure`, `HttpOnly`, `SameSite=Lax` and `Path=/`. A cookie that was copied can be
    /// used again until it expires; that a code works once is then the only guard. A session store has none of this.
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
    /// let late = now + Duration::from_secs(600);
    /// assert_eq!(PendingLogins::open(&cookie, &ring, late).unwrap_err(), SealError::Expired);
    /// # Ok::<(), SealError>(())
    /// ```
    pub fn seal(&self, ring: &KeyRing, now: SystemTime) -> Result<String, SealError> {
        let expires_at = seconds(now).saturating_add(LIFETIME.as_secs());
        for dropped in 0..=self.len() {
            let payload = Payload { expires_at, logins: self.iter().skip(dropped).collect::<Vec<_>>() };
            let json = crate::secret::json(&payload).map_err(|_| SealError::Malformed)?;
            let text = URL_SAFE_NO_PAD.encode(ring.seal(&PLACE, &json)?);
            // None at all fits always, but would lose the login that has just begun without a word.
            if text.len() <= MAX_TEXT && (dropped < self.len() || self.is_empty()) {
                return Ok(text);
            }
        }
        Err(SealError::TooLarge)
    }

    /// Opens a cookie's value.
    ///
    /// # Errors
    ///
    /// [`SealError::Expired`] after ten minutes; [`SealError::Malformed`], [`SealError::UnknownKey`] and
    /// [`SealError::Rejected`] for what [`seal`](Self::seal) has not made with a key of this ring.
    pub fn open(text: &str, ring: &KeyRing, now: SystemTime) -> Result<Self, SealError> {
        if text.len() > MAX_TEXT {
            return Err(SealError::TooLarge);
        }
        let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| SealError::Malformed)?;
        let json = ring.open(&PLACE, &sealed)?;
        let payload: Payload<Self> = serde_json::from_slice(&json).map_err(|_| SealError::Malformed)?;
        if seconds(now) >= payload.expires_at { Err(SealError::Expired) } else { Ok(payload.logins) }
    }
}

#[derive(Serialize, Deserialize)]
struct Payload<T> {
    /// Seconds since 1970.
    expires_at: u64,
    logins: T,
}

const PLACE: SealContext<'_> = SealContext { purpose: "pending-logins", integration: "", connection: "" };
const LIFETIME: Duration = Duration::from_secs(600);
/// Browsers keep 4,096 bytes of name, value and attributes.
const MAX_TEXT: usize = 3800;

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test data")]
mod tests {
    use super::*;
    use crate::token::Origin;
    use crate::{BaseUrl, CallbackUrl, Expected, Host, PendingLogin};

    fn ring() -> KeyRing {
        KeyRing::new([(1, [7; 32].as_slice())]).unwrap()
    }

    fn pending(return_to: &str) -> PendingLogin {
        let base = BaseUrl::constant("https://git.example.com");
        let origin = Origin::new("demo".parse().unwrap(), base);
        let host: Host = "https://packages.example.com".parse().unwrap();
        let callback = CallbackUrl::new(&host, "gitlab", origin.integration());
        let expected = Expected::new(&origin, &callback, "https://git.example.com");
        PendingLogin::begin(&expected, Some(return_to.parse().unwrap()), SystemTime::now()).unwrap()
    }

    #[test]
    fn as_many_as_fit_are_kept() {
        for (path, fits) in [("/", 8), (&*format!("/{}", "x".repeat(1000)), 1)] {
            let mut logins = PendingLogins::default();
            (0..8).for_each(|_| logins.insert(pending(path)));
            let now = SystemTime::now();
            let text = logins.seal(&ring(), now).unwrap();
            assert!(text.len() <= MAX_TEXT);
            let opened = PendingLogins::open(&text, &ring(), now).unwrap();
            assert!(opened.len() >= fits, "{}", opened.len());
            // The newest is there.
            let newest = |logins: &PendingLogins| logins.iter().last().map(|l| l.state().expose().to_owned());
            assert_eq!(newest(&opened), newest(&logins));
        }
    }

    #[test]
    fn a_cookie_of_the_greatest_length_opens_and_a_longer_one_is_not_looked_at() {
        let now = SystemTime::now();
        // A quotation mark is two characters of JSON, so that one login is as long as a cookie can be.
        let seal = |quotes: usize, letters: usize| {
            let mut logins = PendingLogins::default();
            logins.insert(pending(&format!("/{}{}", "\"".repeat(quotes), "x".repeat(letters))));
            logins.seal(&ring(), now)
        };
        let longest = (600..900).find_map(|letters| seal(900, letters).ok().filter(|text| text.len() == MAX_TEXT));
        assert_eq!(PendingLogins::open(&longest.unwrap(), &ring(), now).unwrap().len(), 1);
        // The login that has just begun is not lost without a word.
        assert_eq!(seal(2000, 0).unwrap_err(), SealError::TooLarge);
        assert_eq!(PendingLogins::open(&"A".repeat(MAX_TEXT + 1), &ring(), now).unwrap_err(), SealError::TooLarge);
        assert_eq!(PendingLogins::open(&"A".repeat(MAX_TEXT + 100), &ring(), now).unwrap_err(), SealError::TooLarge);
    }

    #[test]
    fn a_cookie_is_good_for_ten_minutes() {
        let now = SystemTime::now();
        let mut logins = PendingLogins::default();
        logins.insert(pending("/"));
        let text = logins.seal(&ring(), now).unwrap();
        let open = |seconds| PendingLogins::open(&text, &ring(), now + Duration::from_secs(seconds));
        assert_eq!([0, 1, 599].map(|seconds| open(seconds).unwrap().len()), [1, 1, 1]);
        for seconds in [600, 601, 86_400] {
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
    fn another_purpose_is_no_cookie() {
        let tokens = SealContext { purpose: "tokens", ..PLACE };
        let text = URL_SAFE_NO_PAD.encode(ring().seal(&tokens, b"{\"expires_at\":99999999999,\"logins\":[]}").unwrap());
        assert_eq!(PendingLogins::open(&text, &ring(), SystemTime::now()).unwrap_err(), SealError::Rejected);
    }
}
