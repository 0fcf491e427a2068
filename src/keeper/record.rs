//! What is stored of a connection: versioned JSON, sealed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::connection::ConnectionId;
use super::outcome::LoginReason;
use super::store::{Revision, StoredTokens};
use crate::error::{ConfigError, KeeperError, SealError};
use crate::scope::Scopes;
use crate::seal::{KeyRing, SealContext};
use crate::token::{AccessToken, Origin, RefreshToken, TokenSet};

/// A connection's tokens and what is known about them.
pub(super) struct Record {
    pub(super) revision: Revision,
    pub(super) tokens: TokenSet,
    /// A refresh has begun with these tokens and was not heard of again.
    pub(super) refreshing_since: Option<SystemTime>,
    /// These tokens cannot be renewed.
    pub(super) dead: Option<LoginReason>,
    /// Stored before it was known whose they are.
    pub(super) unverified: bool,
}

impl Record {
    /// Tokens that were just obtained.
    pub(super) fn new(tokens: TokenSet) -> Result<Self, KeeperError> {
        Ok(Self { revision: Revision::random()?, tokens, refreshing_since: None, dead: None, unverified: false })
    }

    /// The same, to be written next.
    pub(super) fn successor(&self) -> Result<Self, KeeperError> {
        Ok(Self {
            revision: Revision::random()?,
            tokens: duplicate(&self.tokens),
            refreshing_since: self.refreshing_since,
            dead: self.dead,
            unverified: self.unverified,
        })
    }

    pub(super) fn seal(&self, ring: &KeyRing, connection: &ConnectionId) -> Result<StoredTokens, KeeperError> {
        let tokens = &self.tokens;
        let base_url = tokens.access_token.origin().base_url();
        let refresh_token = tokens.refresh_token.as_ref().map(|token| token.expose_for(base_url)).transpose()?;
        let json = Json {
            v: VERSION,
            base_url: base_url.as_str(),
            access_token: tokens.access_token.expose_for(base_url)?,
            refresh_token,
            scopes: tokens.scopes.as_ref().map(ToString::to_string),
            expires_in: tokens.expires_in.map(|lifetime| lifetime.as_secs()),
            received_at: millis(tokens.received_at),
            refreshing_since: self.refreshing_since.map(millis),
            dead: self.dead.map(LoginReason::code),
            unverified: self.unverified,
        };
        let json = Zeroizing::new(serde_json::to_vec(&json).map_err(|_| SealError::Malformed)?);
        Ok(StoredTokens { revision: self.revision, sealed: ring.seal(&context(connection), &json)? })
    }

    /// Opens what a store holds. `origin` is whose tokens they must be.
    pub(super) fn open(
        stored: &StoredTokens,
        ring: &KeyRing,
        connection: &ConnectionId,
        origin: &Origin,
    ) -> Result<Self, KeeperError> {
        let json = ring.open(&context(connection), &stored.sealed)?;
        // serde's own texts quote values.
        let json: Owned = serde_json::from_slice(&json).map_err(|_| SealError::Malformed)?;
        let access_token = Zeroizing::new(json.access_token);
        let refresh_token = json.refresh_token.map(Zeroizing::new);
        if json.v != VERSION {
            return Err(SealError::Malformed.into());
        }
        if json.base_url != origin.base_url().as_str() {
            return Err(ConfigError::OtherInstance { what: "stored tokens" }.into());
        }
        let mut tokens = TokenSet::new(AccessToken::new(access_token.to_string(), origin).ok_or(SealError::Malformed)?);
        if let Some(token) = refresh_token {
            tokens.refresh_token = Some(RefreshToken::new(token.to_string(), origin).ok_or(SealError::Malformed)?);
        }
        if let Some(scopes) = json.scopes {
            tokens.scopes = Some(scopes.parse().map_err(|_| SealError::Malformed)?);
        }
        tokens.expires_in = json.expires_in.map(Duration::from_secs);
        tokens.received_at = time(json.received_at);
        Ok(Self {
            revision: stored.revision,
            tokens,
            refreshing_since: json.refreshing_since.map(time),
            // A reason that a newer version writes is a reason all the same.
            dead: json.dead.map(|code| LoginReason::from_code(&code).unwrap_or(LoginReason::Refused)),
            unverified: json.unverified,
        })
    }

    /// Whether both hold the same pair of tokens, whatever else is known about it.
    pub(super) fn same_pair(&self, other: &Self) -> bool {
        let [a, b] = [&self.tokens, &other.tokens];
        let refresh = match (&a.refresh_token, &b.refresh_token) {
            (Some(a), Some(b)) => a.matches(b),
            (None, None) => true,
            _ => false,
        };
        refresh && a.access_token.matches(&b.access_token)
    }

    pub(super) fn scopes(&self) -> Option<&Scopes> {
        self.tokens.scopes.as_ref()
    }

    /// When the access token ends. A token from the future is one from a clock that has since been set back: how old it
    /// is cannot be known, so the API says when it ends.
    fn expires_at(&self, now: SystemTime) -> Option<SystemTime> {
        if is_future(self.tokens.received_at, now) { None } else { self.tokens.expires_at() }
    }

    /// Whether the access token can still be used.
    pub(super) fn is_valid(&self, now: SystemTime) -> bool {
        self.dead.is_none()
            && !self.unverified
            && self.expires_at(now).is_none_or(|end| left(end, now) > LAST_MOMENT.min(self.part_of_life(10)))
    }

    /// Whether it is time to renew: 60 to 120 s before the end, and never before half of the life. Every node computes
    /// the same moment, since what spreads connections is the random revision.
    pub(super) fn is_due(&self, now: SystemTime) -> bool {
        self.dead.is_some() || self.unverified || self.due().is_at(now)
    }

    pub(super) fn due(&self) -> Due {
        let part = MARGIN.min(self.part_of_life(4));
        let margin = part.saturating_add(part.mul_f64(self.revision.fraction()));
        Due {
            received_at: self.tokens.received_at,
            at: self.tokens.expires_at().map(|end| end.checked_sub(margin).unwrap_or(UNIX_EPOCH)),
        }
    }

    /// Received so shortly ago that a 401 has another cause than its age.
    pub(super) fn is_new(&self, now: SystemTime) -> bool {
        now.duration_since(self.tokens.received_at).is_ok_and(|age| age < NEW)
    }

    fn part_of_life(&self, divisor: u32) -> Duration {
        self.tokens.expires_in.unwrap_or(Duration::MAX).checked_div(divisor).unwrap_or_default()
    }
}

/// When it is time to renew, and all that it takes to know.
pub(super) struct Due {
    received_at: SystemTime,
    at: Option<SystemTime>,
}

impl Due {
    pub(super) fn is_at(&self, now: SystemTime) -> bool {
        self.at.is_some_and(|at| at <= now) && !is_future(self.received_at, now)
    }
}

fn is_future(received_at: SystemTime, now: SystemTime) -> bool {
    received_at.duration_since(now).is_ok_and(|ahead| ahead > CLOCK_TOLERANCE)
}

pub(super) fn duplicate(tokens: &TokenSet) -> TokenSet {
    TokenSet {
        access_token: tokens.access_token.duplicate(),
        refresh_token: tokens.refresh_token.as_ref().map(RefreshToken::duplicate),
        scopes: tokens.scopes.clone(),
        expires_in: tokens.expires_in,
        received_at: tokens.received_at,
        notes: tokens.notes.clone(),
    }
}

const VERSION: u8 = 1;
const MARGIN: Duration = Duration::from_secs(60);
/// A request that begins now should arrive before the token's end.
const LAST_MOMENT: Duration = Duration::from_secs(5);
const CLOCK_TOLERANCE: Duration = Duration::from_secs(30);
const NEW: Duration = Duration::from_secs(10);

#[derive(Serialize)]
struct Json<'a> {
    v: u8,
    base_url: &'a str,
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<String>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    /// Milliseconds since 1970.
    received_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refreshing_since: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unverified: bool,
}

#[derive(Deserialize)]
struct Owned {
    v: u8,
    base_url: String,
    access_token: String,
    refresh_token: Option<String>,
    scopes: Option<String>,
    expires_in: Option<u64>,
    received_at: u64,
    refreshing_since: Option<u64>,
    dead: Option<String>,
    #[serde(default)]
    unverified: bool,
}

fn context(connection: &ConnectionId) -> SealContext<'_> {
    SealContext { purpose: "tokens", integration: connection.integration().as_str(), connection: connection.as_str() }
}

fn left(end: SystemTime, now: SystemTime) -> Duration {
    end.duration_since(now).unwrap_or_default()
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn time(millis: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test data")]
mod tests {
    use super::*;
    use crate::BaseUrl;

    fn origin() -> Origin {
        Origin::new("demo".parse().unwrap(), BaseUrl::constant("https://git.example.com"))
    }

    fn record(life: Option<u64>) -> Record {
        let mut tokens = TokenSet::new(AccessToken::new("access".to_owned(), &origin()).unwrap());
        tokens.refresh_token = RefreshToken::new("refresh".to_owned(), &origin());
        tokens.scopes = Some("api read_user".parse().unwrap());
        tokens.expires_in = life.map(Duration::from_secs);
        tokens.received_at = UNIX_EPOCH + Duration::from_secs(1_000_000);
        Record::new(tokens).unwrap()
    }

    #[test]
    fn a_record_survives_the_store() {
        let ring = KeyRing::new([(1, [7; 32].as_slice())]).unwrap();
        let connection: ConnectionId = "gitlab:demo:42".parse().unwrap();
        let mut before = record(Some(7200));
        before.refreshing_since = Some(UNIX_EPOCH + Duration::from_millis(1_000_000_500));
        before.dead = Some(LoginReason::AnswerLost);
        before.unverified = true;
        let stored = before.seal(&ring, &connection).unwrap();
        let after = Record::open(&stored, &ring, &connection, &origin()).unwrap();
        assert!(after.same_pair(&before));
        assert_eq!(after.revision, before.revision);
        assert_eq!((after.refreshing_since, after.dead), (before.refreshing_since, before.dead));
        assert_eq!(after.scopes(), before.scopes());
        assert_eq!(after.tokens.expires_at(), before.tokens.expires_at());
        assert!(after.unverified);

        let elsewhere = Origin::new("demo".parse().unwrap(), BaseUrl::constant("https://evil.example.com"));
        let refused = Record::open(&stored, &ring, &connection, &elsewhere).err().unwrap();
        assert_eq!(refused.code(), "other_instance");
        let other: ConnectionId = "gitlab:demo:43".parse().unwrap();
        assert_eq!(Record::open(&stored, &ring, &other, &origin()).err().unwrap().code(), "seal_rejected");
    }

    #[test]
    fn due_early_but_never_in_the_first_half() {
        for life in [1, 10, 60, 120, 240, 600, 7200, 86400] {
            for _ in 0..50 {
                let record = record(Some(life));
                let at =
                    |part: f64| record.tokens.received_at + Duration::from_millis((part * life as f64 * 1000.0) as u64);
                assert!(!record.is_due(at(0.499)), "{life}");
                let end = record.tokens.expires_at().unwrap();
                assert!(!record.is_due(end - Duration::from_secs(121)) || life < 242);
                assert!(record.is_due(end - Duration::from_secs(60).min(Duration::from_secs(life) / 4)));
                assert!(record.is_valid(at(0.8)), "{life}");
                assert!(!record.is_valid(end));
            }
        }
    }

    #[test]
    fn connections_of_one_moment_are_spread() {
        let due = |record: &Record, before: u64| {
            record.is_due(record.tokens.expires_at().unwrap() - Duration::from_secs(before))
        };
        let records: Vec<_> = (0..1000).map(|_| record(Some(7200))).collect();
        let count = |before| records.iter().filter(|record| due(record, before)).count();
        assert_eq!((count(121), count(60)), (0, 1000));
        assert!((150..350).contains(&count(105)) && (650..850).contains(&count(75)));
    }

    #[test]
    fn a_clock_that_jumps_back_or_a_missing_lifetime_is_no_reason_to_refresh() {
        let now = |record: &Record, by: i64| {
            let by_abs = Duration::from_secs(by.unsigned_abs());
            if by < 0 { record.tokens.received_at - by_abs } else { record.tokens.received_at + by_abs }
        };
        let known = record(Some(7200));
        for by in [-86400, -3600, -10, 0, 10] {
            assert!(!known.is_due(now(&known, by)) && known.is_valid(now(&known, by)));
        }
        let unknown = record(None);
        for by in [-86400, 0, 86400, 10_000_000] {
            assert!(!unknown.is_due(now(&unknown, by)) && unknown.is_valid(now(&unknown, by)));
        }
    }
}
