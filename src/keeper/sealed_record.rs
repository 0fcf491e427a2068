//! The stored form of a record: versioned JSON, sealed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::connection::ConnectionId;
use super::error::KeeperError;
use super::login_reason::LoginReason;
use super::record::Record;
use super::settings_digest::client_id_digest;
use super::store::{Revision, StoredTokens};
use crate::error::{ConfigError, SealError};
use crate::seal::{KeyRing, SealContext};
use crate::values::secret::to_zeroizing_json;
use crate::values::token::{AccessToken, RefreshToken, TokenBinding, TokenSet};

impl Record {
    /// `client_id` is that of the client whose requests the record is about.
    pub(super) fn seal(
        &self,
        ring: &KeyRing,
        connection: &ConnectionId,
        client_id: &str,
    ) -> Result<StoredTokens, KeeperError> {
        let tokens = &self.tokens;
        let base_url = tokens.access_token.binding().base_url();
        let access_token = without_json_escapes(tokens.access_token.expose_for(base_url)?);
        let refresh_token = tokens.refresh_token.as_ref().map(|token| token.expose_for(base_url)).transpose()?;
        let refresh_token = refresh_token.map(without_json_escapes);
        let depends_on_client = self.needs_login.as_ref().is_some_and(depends_on_client);
        let json = JsonToWrite {
            version: VERSION,
            base_url: base_url.as_str(),
            access_token: &access_token,
            refresh_token: refresh_token.as_ref().map(|token| token.as_str()),
            scopes: tokens.scopes.as_ref().map(ToString::to_string),
            expires_in_seconds: tokens.expires_in.map(|lifetime| lifetime.as_secs()),
            received_at_millis: to_millis(tokens.received_at),
            refreshing_since_millis: self.refreshing_since.map(to_millis),
            needs_login: self.needs_login.as_ref().map(LoginReason::code),
            rejected_client: depends_on_client.then(|| client_id_digest(client_id)),
            unverified: self.unverified,
            login: self.login.map(Revision::to_i64),
            requested_scopes: self.requested_scopes.as_ref().map(ToString::to_string),
            scopes_truncated: self.scopes_truncated,
        };
        let json = to_zeroizing_json(&json).map_err(|_| SealError::Malformed)?;
        Ok(StoredTokens { revision: self.revision, sealed: ring.seal(&context(connection), &json)? })
    }

    /// Opens a stored record, whose tokens must have this `binding`, or must be for another base URL at which the same server `was_at`.
    ///
    /// If the refresh token was rejected for another client than `client_id`, the reason for a login is left out: a
    /// code host rejects a token of another client in the same way as an expired one.
    pub(super) fn open(
        stored: &StoredTokens,
        ring: &KeyRing,
        connection: &ConnectionId,
        binding: &TokenBinding,
        was_at: impl Fn(&str) -> bool,
        client_id: &str,
    ) -> Result<Self, KeeperError> {
        let json = ring.open(&context(connection), &stored.sealed)?;
        // serde's own messages quote values.
        let json: JsonRead = serde_json::from_slice(&json).map_err(|_| SealError::Malformed)?;
        let access_token = Zeroizing::new(with_original_characters(json.access_token));
        let refresh_token = json.refresh_token.map(|token| Zeroizing::new(with_original_characters(token)));
        if json.version != VERSION {
            return Err(SealError::Malformed.into());
        }
        if json.base_url != binding.base_url().as_str() && !was_at(&json.base_url) {
            return Err(ConfigError::OtherBinding { what: "stored tokens" }.into());
        }
        let mut tokens =
            TokenSet::new(AccessToken::new(access_token.to_string(), binding).ok_or(SealError::Malformed)?);
        if let Some(token) = refresh_token {
            tokens.refresh_token = Some(RefreshToken::new(token.to_string(), binding).ok_or(SealError::Malformed)?);
        }
        if let Some(scopes) = json.scopes {
            tokens.scopes = Some(scopes.parse().map_err(|_| SealError::Malformed)?);
        }
        tokens.expires_in = json.expires_in_seconds.map(Duration::from_secs);
        tokens.received_at = from_millis(json.received_at_millis);
        let is_same_client = json.rejected_client.is_none_or(|digest| digest == client_id_digest(client_id));
        Ok(Self {
            revision: stored.revision,
            tokens,
            refreshing_since: json.refreshing_since_millis.map(from_millis),
            // A newer version of this crate may have written a reason that this version does not know.
            needs_login: json
                .needs_login
                .filter(|_| is_same_client)
                .map(|code| LoginReason::from_code(&code).unwrap_or(LoginReason::RefreshTokenRejected)),
            unverified: json.unverified,
            login: json.login.map(Revision::from_i64),
            requested_scopes: json.requested_scopes.and_then(|scopes| scopes.parse().ok()),
            scopes_truncated: json.scopes_truncated,
        })
    }
}

const VERSION: u8 = 1;

#[derive(Serialize)]
struct JsonToWrite<'a> {
    #[serde(rename = "v")]
    version: u8,
    base_url: &'a str,
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<String>,
    #[serde(rename = "expires_in", skip_serializing_if = "Option::is_none")]
    expires_in_seconds: Option<u64>,
    /// Since 1970, like every time in here.
    #[serde(rename = "received_at")]
    received_at_millis: u64,
    #[serde(rename = "refreshing_since", skip_serializing_if = "Option::is_none")]
    refreshing_since_millis: Option<u64>,
    /// The code of the [`LoginReason`].
    #[serde(skip_serializing_if = "Option::is_none")]
    needs_login: Option<&'a str>,
    /// The digest of the client ID with which the refresh token was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected_client: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unverified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_scopes: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    scopes_truncated: bool,
}

/// The members of [`JsonToWrite`].
#[derive(Deserialize)]
struct JsonRead {
    #[serde(rename = "v")]
    version: u8,
    base_url: String,
    access_token: String,
    refresh_token: Option<String>,
    scopes: Option<String>,
    #[serde(rename = "expires_in")]
    expires_in_seconds: Option<u64>,
    #[serde(rename = "received_at")]
    received_at_millis: u64,
    #[serde(rename = "refreshing_since")]
    refreshing_since_millis: Option<u64>,
    needs_login: Option<String>,
    rejected_client: Option<String>,
    #[serde(default)]
    unverified: bool,
    login: Option<i64>,
    requested_scopes: Option<String>,
    #[serde(default)]
    scopes_truncated: bool,
}

/// Whether another client of the same integration could still use the tokens.
fn depends_on_client(reason: &LoginReason) -> bool {
    matches!(reason, LoginReason::RefreshTokenRejected | LoginReason::ResponseLost)
}

/// Replaces `"` and `\`, which take two bytes each in JSON, by two characters that a token cannot contain. Otherwise a
/// long token of such characters would make the record larger than a store must accept.
fn without_json_escapes(token: &str) -> Zeroizing<String> {
    Zeroizing::new(token.replace('"', " ").replace('\\', "\u{7f}"))
}

/// Reverses [`without_json_escapes`].
fn with_original_characters(token: String) -> String {
    if token.contains([' ', '\u{7f}']) { token.replace(' ', "\"").replace('\u{7f}', "\\") } else { token }
}

fn context(connection: &ConnectionId) -> SealContext<'_> {
    SealContext { purpose: "tokens", integration: connection.integration().as_str(), connection: connection.as_str() }
}

fn to_millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn from_millis(millis: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test data")]
mod tests {
    use super::*;
    use crate::BaseUrl;
    use crate::values::scope::Scopes;

    fn binding() -> TokenBinding {
        TokenBinding::new("demo".parse().unwrap(), BaseUrl::constant("https://git.example.com"))
    }

    fn record() -> Record {
        let mut tokens = TokenSet::new(AccessToken::new("access".to_owned(), &binding()).unwrap());
        tokens.refresh_token = RefreshToken::new("refresh".to_owned(), &binding());
        tokens.scopes = Some("api read_user".parse().unwrap());
        tokens.expires_in = Some(Duration::from_secs(7200));
        tokens.received_at = UNIX_EPOCH + Duration::from_secs(1_000_000);
        Record::new(tokens).unwrap()
    }

    #[test]
    fn an_opened_record_equals_the_sealed_one() {
        let ring = KeyRing::new([(1, [7; 32].as_slice())]).unwrap();
        let connection: ConnectionId = "gitlab:demo:42".parse().unwrap();
        let mut before = record();
        before.refreshing_since = Some(UNIX_EPOCH + Duration::from_millis(1_000_000_500));
        before.needs_login = Some(LoginReason::ResponseLost);
        before.unverified = true;
        let stored = before.seal(&ring, &connection, "id").unwrap();
        let after = Record::open(&stored, &ring, &connection, &binding(), |_| false, "id").unwrap();
        assert!(after.same_pair(&before));
        assert_eq!(after.revision, before.revision);
        assert_eq!(
            (after.refreshing_since, after.needs_login.clone()),
            (before.refreshing_since, before.needs_login.clone())
        );
        assert_eq!(after.tokens.scopes, before.tokens.scopes);
        assert_eq!(after.tokens.expires_at(), before.tokens.expires_at());
        assert!(after.unverified);

        let other_binding = TokenBinding::new("demo".parse().unwrap(), BaseUrl::constant("https://evil.example.com"));
        let refused = Record::open(&stored, &ring, &connection, &other_binding, |_| false, "id").err().unwrap();
        assert_eq!(refused.code(), "other_binding");
        let other: ConnectionId = "gitlab:demo:43".parse().unwrap();
        assert_eq!(
            Record::open(&stored, &ring, &other, &binding(), |_| false, "id").err().unwrap().code(),
            "seal_rejected"
        );
    }

    /// The contract of a store allows 64 KiB; the largest record is smaller.
    #[test]
    fn the_largest_record_fits_into_every_store() {
        let ring = KeyRing::new([(1, [7; 32].as_slice())]).unwrap();
        let connection: ConnectionId = "gitlab:demo:42".parse().unwrap();
        let base_url: &'static str = Box::leak(format!("https://git.example.com/{}", "a".repeat(2000)).into());
        let binding = TokenBinding::new("demo".parse().unwrap(), BaseUrl::constant(base_url));
        for byte in ["a", "\"", "\\", "\\\"~"] {
            let token = || byte.repeat(16 * 1024 / byte.len());
            let mut tokens = TokenSet::new(AccessToken::new(token(), &binding).unwrap());
            tokens.refresh_token = RefreshToken::new(token(), &binding);
            let many_scopes: Scopes =
                (0..100_000).map(|n| format!("{n}{}", "x".repeat(n % 250)).parse().unwrap()).collect();
            tokens.scopes = Some(many_scopes.clone());
            let mut record = Record::of_login(tokens, &many_scopes.iter().take(200).cloned().collect()).unwrap();
            record.refreshing_since = Some(UNIX_EPOCH + Duration::from_secs(10_000_000_000));
            record.needs_login = Some(LoginReason::ResponseLost);
            let stored = record.seal(&ring, &connection, "id").unwrap();
            assert!(stored.sealed.len() < 48 * 1024, "{byte}: {}", stored.sealed.len());
            let read = Record::open(&stored, &ring, &connection, &binding, |_| false, "id").unwrap();
            assert!(read.same_pair(&record));
            assert_eq!(read.tokens.access_token.expose_for(binding.base_url()).unwrap(), token());
            assert!(read.scopes_truncated && read.tokens.scopes.unwrap().len() > 10);
        }
    }
}
