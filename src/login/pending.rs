use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use super::callback::{Callback, Outcome};
use super::purpose::Purpose;
use super::return_to::ReturnTo;
use crate::error::{ConfigError, VerifyError};
use crate::provider::grant::VerifiedGrant;
use crate::provider::oauth_provider::OAuthProvider;
use crate::util::text::is_same_issuer;
use crate::util::time::unix_seconds;
use crate::values::callback_url::CallbackUrl;
use crate::values::integration_id::IntegrationId;
use crate::values::secret::Secret;
use crate::values::token::TokenBinding;

/// What the app keeps in the browser's session between the redirect and the callback.
///
/// It holds the state and the PKCE verifier, so it is serialized for a session store or an encrypted cookie and for
/// nothing else; a signed cookie is not enough. It is about 300 bytes of JSON, has a version, and shows no secret in
/// `Debug`. It is valid for one hour. Most apps keep [`PendingLogins`] instead, so that two tabs work.
pub struct PendingLogin {
    integration: IntegrationId,
    /// The base URL and the callback URL as [`comparable`] returns them.
    base_url: Box<str>,
    callback_url: Box<str>,
    state: Secret,
    verifier: Secret,
    /// Seconds since 1970.
    begun_at: u64,
    purpose: Purpose,
    return_to: Option<ReturnTo>,
}

/// What an integration expects of a callback.
pub(crate) struct Expected<'a> {
    /// What the tokens will belong to.
    pub(crate) binding: &'a TokenBinding,
    pub(crate) callback_url: &'a CallbackUrl,
    /// Knows the issuers that a callback may name (RFC 9207).
    pub(crate) provider: &'a dyn OAuthProvider,
    pub(crate) purpose: Purpose,
}

impl PendingLogin {
    /// Begins a login: a state and a PKCE verifier, each of 32 random bytes.
    pub(crate) fn begin(
        expected: &Expected<'_>,
        return_to: Option<ReturnTo>,
        now: SystemTime,
    ) -> Result<Self, ConfigError> {
        let [state, verifier] = Secret::random()?;
        Ok(Self {
            integration: expected.binding.integration().clone(),
            base_url: comparable(expected.binding.base_url().as_str()).into(),
            callback_url: comparable(expected.callback_url.as_str()).into(),
            state,
            verifier,
            begun_at: unix_seconds(now),
            purpose: expected.purpose.clone(),
            return_to,
        })
    }

    /// Checks whether a callback finishes this login: first the state, then integration and callback URL, purpose, age and issuer,
    /// and only then what the code host says.
    pub(crate) fn verify(
        self,
        callback: Callback,
        expected: &Expected<'_>,
        now: SystemTime,
    ) -> Result<VerifiedGrant, VerifyError> {
        let state = callback.state.as_ref().ok_or(VerifyError::StateMissing)?;
        if !self.state.matches(state) {
            return Err(VerifyError::StateUnknown);
        }
        // The base URL too: the code of the old code host is not for the new one, if it has been changed meanwhile.
        let binding = expected.binding;
        if self.integration != *binding.integration() || *self.base_url != *comparable(binding.base_url().as_str()) {
            return Err(VerifyError::OtherIntegration);
        }
        if *self.callback_url != *comparable(expected.callback_url.as_str())
            || callback.path().is_some_and(|path| !expected.callback_url.is_at(path))
        {
            return Err(VerifyError::OtherCallbackUrl);
        }
        if self.purpose != expected.purpose {
            let is_other_user = self.purpose.is_same_kind(&expected.purpose);
            return Err(if is_other_user { VerifyError::OtherUser } else { VerifyError::OtherPurpose });
        }
        let age = self.age(now).ok_or(VerifyError::Clock)?;
        if age >= MAX_LOGIN_AGE {
            return Err(VerifyError::Expired);
        }
        if let Some(given) = &callback.issuer {
            let issuers = expected.provider.issuers();
            if !issuers.iter().any(|issuer| is_same_issuer(issuer, given)) {
                return Err(VerifyError::OtherIssuer { expected: issuers.join(" or ") });
            }
        }
        Ok(VerifiedGrant {
            code: code(callback.outcome, expected.provider)?,
            verifier: self.verifier,
            callback_url: expected.callback_url.clone(),
            binding: binding.clone(),
        })
    }

    /// The integration that the user logs in through.
    pub fn integration(&self) -> &IntegrationId {
        &self.integration
    }

    /// What the login is for.
    pub fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// Where the user wanted to go.
    pub fn return_to(&self) -> Option<&ReturnTo> {
        self.return_to.as_ref()
    }

    pub(crate) fn state(&self) -> &Secret {
        &self.state
    }

    pub(crate) fn verifier(&self) -> &Secret {
        &self.verifier
    }

    /// Seconds since 1970.
    #[cfg(feature = "axum")]
    pub(crate) fn begun_at(&self) -> u64 {
        self.begun_at
    }

    /// `None` if it was begun in the future by more than the clocks of two nodes may differ.
    fn age(&self, now: SystemTime) -> Option<Duration> {
        let now = unix_seconds(now);
        match now.checked_sub(self.begun_at) {
            Some(age) => Some(Duration::from_secs(age)),
            None if self.begun_at.saturating_sub(now) <= CLOCK_TOLERANCE => Some(Duration::ZERO),
            None => None,
        }
    }
}

impl fmt::Debug for PendingLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingLogin").field("integration", self.integration()).finish_non_exhaustive()
    }
}

/// The code, or what the code host says in its place.
fn code(outcome: Outcome, provider: &dyn OAuthProvider) -> Result<Secret, VerifyError> {
    match outcome {
        Outcome::Code(code) => code.checked(MAX_CODE).ok_or(VerifyError::Code),
        Outcome::Nothing => Err(VerifyError::CodeMissing),
        Outcome::Error { error, description } => {
            let text = description.as_ref().map(|text| text.sanitized()).unwrap_or_default();
            Err(provider.callback_error(error.sanitized(), text).unwrap_or_else(|| match error.sanitized() {
                "access_denied" => VerifyError::Denied,
                "invalid_scope" => VerifyError::ScopeNotEnabled,
                "server_error" | "temporarily_unavailable" => VerifyError::Unavailable,
                _ => VerifyError::Refused { error, description },
            }))
        }
    }
}

/// The logins that one browser has begun, at most eight, the oldest dropped first: the one value to keep in a session.
///
/// ```
/// use codehost_oauth::{Callback, PendingLogins};
///
/// let mut session: PendingLogins = serde_json::from_str("[]")?;
/// let callback = Callback::from_uri(&"/oauth/callback/gitlab/demo?code=x&state=y".parse()?)?;
/// assert_eq!(session.take(&callback).unwrap_err().code(), "state_unknown");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub struct PendingLogins(VecDeque<PendingLogin>);

impl PendingLogins {
    /// Keeps one more.
    pub fn insert(&mut self, pending: PendingLogin) {
        while self.0.len() >= MAX_PENDING {
            self.0.pop_front();
        }
        self.0.push_back(pending);
    }

    /// Takes the login that a callback belongs to. Store what is left before anything is sent: a callback works once.
    ///
    /// # Errors
    ///
    /// [`VerifyError::StateMissing`] or [`VerifyError::StateUnknown`].
    pub fn take(&mut self, callback: &Callback) -> Result<PendingLogin, VerifyError> {
        let state = callback.state.as_ref().ok_or(VerifyError::StateMissing)?;
        let found = self.0.iter().position(|pending| pending.state.matches(state));
        found.and_then(|at| self.0.remove(at)).ok_or(VerifyError::StateUnknown)
    }

    #[cfg(feature = "seal")]
    pub(super) fn iter(&self) -> impl Iterator<Item = &PendingLogin> {
        self.0.iter()
    }

    /// Drops every login, and keeps connections and test logins. Call it when a login has finished, before the session is stored: a
    /// login that somebody else has begun in this browser would otherwise change the user later.
    ///
    /// ```
    /// # fn example(integration: codehost_oauth::Integration) -> Result<(), codehost_oauth::error::ConfigError> {
    /// let mut session = codehost_oauth::PendingLogins::default();
    /// session.insert(integration.begin_login(None)?.pending);
    /// session.insert(integration.begin_connect("user-7", None)?.pending);
    /// session.drop_logins();
    /// assert_eq!(session.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn drop_logins(&mut self) {
        self.0.retain(|pending| pending.purpose != Purpose::LogIn);
    }

    /// Removes the logins that are used.
    #[cfg(feature = "axum")]
    pub(crate) fn remove_if(&mut self, is_used: impl Fn(&PendingLogin) -> bool) {
        self.0.retain(|pending| !is_used(pending));
    }

    /// Removes and returns the newest login.
    #[cfg(feature = "axum")]
    pub(crate) fn pop_newest(&mut self) -> Option<PendingLogin> {
        self.0.pop_back()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The same limit applies to stored logins. An error contains no part of them.
impl<'de> Deserialize<'de> for PendingLogins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Vec::<PendingLogin>::deserialize(deserializer).map_err(|_| invalid())?;
        let mut pending = Self::default();
        stored.into_iter().for_each(|one| pending.insert(one));
        Ok(pending)
    }
}

/// How long a login may take: a second factor or a password reset at the code host takes time. Safety comes from state, PKCE
/// and the browser's session, not from this limit; a code is valid for ten minutes at most.
pub(crate) const MAX_LOGIN_AGE: Duration = Duration::from_secs(3600);
const CLOCK_TOLERANCE: u64 = 30;
const MAX_CODE: usize = 8 * 1024;
const MAX_PENDING: usize = 8;
const VERSION: u8 = 1;
/// The longest URL that is stored as it is.
const MAX_URL: usize = 64;

/// A URL that is stored only to be compared. A long one is stored as its digest, so that a cookie stays small. No URL begins
/// with `sha256:`.
fn comparable(url: &str) -> Cow<'_, str> {
    if url.len() <= MAX_URL {
        return Cow::Borrowed(url);
    }
    Cow::Owned(format!("sha256:{}", URL_SAFE_NO_PAD.encode(Sha256::digest(url))))
}

/// How a pending login is stored.
#[derive(Serialize)]
struct Stored<'a> {
    v: u8,
    integration: &'a str,
    base_url: &'a str,
    callback_url: &'a str,
    state: &'a str,
    verifier: &'a str,
    begun_at: u64,
    purpose: &'a Purpose,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_to: Option<&'a ReturnTo>,
}

impl Serialize for PendingLogin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.store(self.return_to.as_ref(), serializer)
    }
}

/// The same without the path to return to, for a cookie that would be too long with it.
#[cfg(feature = "seal")]
pub(super) struct WithoutReturnTo<'a>(pub(super) &'a PendingLogin);

#[cfg(feature = "seal")]
impl Serialize for WithoutReturnTo<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.store(None, serializer)
    }
}

impl PendingLogin {
    fn store<S: Serializer>(&self, return_to: Option<&ReturnTo>, serializer: S) -> Result<S::Ok, S::Error> {
        let stored = Stored {
            v: VERSION,
            integration: self.integration.as_str(),
            base_url: &self.base_url,
            callback_url: &self.callback_url,
            state: self.state.expose(),
            verifier: self.verifier.expose(),
            begun_at: self.begun_at,
            purpose: &self.purpose,
            return_to,
        };
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PendingLogin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Owned {
            v: u8,
            integration: String,
            base_url: Box<str>,
            callback_url: Box<str>,
            state: String,
            verifier: String,
            begun_at: u64,
            purpose: Purpose,
            return_to: Option<ReturnTo>,
        }
        let stored = Owned::deserialize(deserializer).map_err(|_| invalid())?;
        if stored.v != VERSION {
            return Err(invalid());
        }
        Ok(Self {
            integration: stored.integration.parse().map_err(|_| invalid())?,
            base_url: stored.base_url,
            callback_url: stored.callback_url,
            state: Secret::parse_random(stored.state).ok_or_else(invalid)?,
            verifier: Secret::parse_random(stored.verifier).ok_or_else(invalid)?,
            begun_at: stored.begun_at,
            purpose: stored.purpose,
            return_to: stored.return_to,
        })
    }
}

/// serde's own texts quote values, which may be secrets.
fn invalid<E: serde::de::Error>() -> E {
    E::custom("not a pending login of this version")
}
