//! What is stored of a connection: versioned JSON, sealed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::binding::client_mark;
use super::connection::ConnectionId;
use super::error::KeeperError;
use super::login_reason::LoginReason;
use super::store::{Revision, StoredTokens};
use crate::error::{ConfigError, SealError};
use crate::integration::Integration;
use crate::provider::missing_scopes;
use crate::seal::{KeyRing, SealContext};
use crate::values::scope::{Scope, ScopeDescription, Scopes};
use crate::values::token::{AccessToken, RefreshToken, TokenBinding, TokenSet};

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
    /// The login that they come from, by the revision that its import wrote first; `None` if that is not known.
    pub(super) login: Option<Revision>,
    /// The scopes that the login asked for.
    asked: Option<Scopes>,
    /// More scopes were granted than are kept.
    scopes_cut: bool,
}

impl Record {
    /// Tokens that were just obtained. Of a flood of scopes some are kept: no code host has so many.
    pub(super) fn new(mut tokens: TokenSet) -> Result<Self, KeeperError> {
        let scopes_cut = tokens.scopes.as_mut().is_some_and(cut);
        Ok(Self {
            revision: Revision::random()?,
            tokens,
            refreshing_since: None,
            dead: None,
            unverified: false,
            login: None,
            asked: None,
            scopes_cut,
        })
    }

    /// Those of a login that asked for these scopes.
    pub(super) fn of_login(tokens: TokenSet, asked: &Scopes) -> Result<Self, KeeperError> {
        let mut record = Self::new(tokens)?;
        record.login = Some(record.revision);
        record.asked = Some(asked.clone()).filter(|asked| !cut(&mut asked.clone()));
        Ok(record)
    }

    /// Those of a refresh: what the response left out is as before.
    pub(super) fn renewed(mut tokens: TokenSet, old: &Self) -> Result<Self, KeeperError> {
        let keeps_scopes = tokens.scopes.is_none();
        if tokens.refresh_token.is_none() {
            tokens.refresh_token = old.tokens.refresh_token.as_ref().map(RefreshToken::duplicate);
        }
        if keeps_scopes {
            tokens.scopes = old.tokens.scopes.clone();
        }
        let mut record = Self::new(tokens)?;
        record.scopes_cut |= keeps_scopes && old.scopes_cut;
        record.login = old.login;
        record.asked = old.asked.clone();
        Ok(record)
    }

    /// The same, to be written next.
    pub(super) fn successor(&self) -> Result<Self, KeeperError> {
        Ok(Self {
            revision: Revision::random()?,
            tokens: self.tokens.duplicate(),
            refreshing_since: self.refreshing_since,
            dead: self.dead.clone(),
            unverified: self.unverified,
            login: self.login,
            asked: self.asked.clone(),
            scopes_cut: self.scopes_cut,
        })
    }

    /// The scopes that `integration` asks for and that this login neither asked for nor was granted.
    pub(super) fn missing_scopes(&self, integration: &Integration) -> Option<Scopes> {
        let is_as_then = |asked: &Scopes| integration.scopes().iter().all(|scope| asked.contains(scope));
        if self.asked.as_ref().is_some_and(is_as_then) {
            return None;
        }
        let known = self.known_scopes()?;
        some(missing_scopes(&**integration.provider(), integration.scopes(), &known))
    }

    /// The scopes of `new`, a renewal of this, that were neither granted before, nor implied by those, nor asked for.
    pub(super) fn grown_scopes(&self, new: &Self, integration: &Integration) -> Option<Scopes> {
        let (granted, _) = (new.tokens.scopes.as_ref().filter(|_| !new.scopes_cut)?, self.tokens.scopes.as_ref()?);
        let known = self.known_scopes()?.iter().chain(integration.scopes()).cloned().collect();
        some(missing_scopes(&**integration.provider(), granted, &known))
    }

    /// What was asked for or granted, if all of it is known.
    fn known_scopes(&self) -> Option<Scopes> {
        if self.scopes_cut || (self.asked.is_none() && self.tokens.scopes.is_none()) {
            return None;
        }
        let lists = [self.asked.as_ref(), self.tokens.scopes.as_ref()];
        Some(lists.into_iter().flatten().flat_map(Scopes::iter).cloned().collect())
    }

    /// `client_id` is the one that the code host has said all this to.
    pub(super) fn seal(
        &self,
        ring: &KeyRing,
        connection: &ConnectionId,
        client_id: &str,
    ) -> Result<StoredTokens, KeeperError> {
        let tokens = &self.tokens;
        let base_url = tokens.access_token.binding().base_url();
        let access_token = written(tokens.access_token.expose_for(base_url)?);
        let refresh_token = tokens.refresh_token.as_ref().map(|token| token.expose_for(base_url)).transpose()?;
        let refresh_token = refresh_token.map(written);
        let json = Json {
            v: VERSION,
            base_url: base_url.as_str(),
            access_token: &access_token,
            refresh_token: refresh_token.as_ref().map(|token| token.as_str()),
            scopes: tokens.scopes.as_ref().map(ToString::to_string),
            expires_in: tokens.expires_in.map(|lifetime| lifetime.as_secs()),
            received_at: millis(tokens.received_at),
            refreshing_since: self.refreshing_since.map(millis),
            dead: self.dead.as_ref().map(LoginReason::code),
            dead_for: self.dead.as_ref().filter(|reason| is_of_client(reason)).map(|_| client_mark(client_id)),
            unverified: self.unverified,
            login: self.login.map(Revision::to_i64),
            asked: self.asked.as_ref().map(ToString::to_string),
            scopes_cut: self.scopes_cut,
        };
        let json = crate::values::secret::json(&json).map_err(|_| SealError::Malformed)?;
        Ok(StoredTokens { revision: self.revision, sealed: ring.seal(&context(connection), &json)? })
    }

    /// Opens what a store holds. `binding` is whose tokens they must be. A token that is dead for another client than
    /// `client_id` is not dead: the code host has no other words for a token of another client.
    pub(super) fn open(
        stored: &StoredTokens,
        ring: &KeyRing,
        connection: &ConnectionId,
        binding: &TokenBinding,
        client_id: &str,
    ) -> Result<Self, KeeperError> {
        let json = ring.open(&context(connection), &stored.sealed)?;
        // serde's own texts quote values.
        let json: Owned = serde_json::from_slice(&json).map_err(|_| SealError::Malformed)?;
        let access_token = Zeroizing::new(read(json.access_token));
        let refresh_token = json.refresh_token.map(|token| Zeroizing::new(read(token)));
        if json.v != VERSION {
            return Err(SealError::Malformed.into());
        }
        if json.base_url != binding.base_url().as_str() {
            return Err(ConfigError::OtherInstance { what: "stored tokens" }.into());
        }
        let mut tokens =
            TokenSet::new(AccessToken::new(access_token.to_string(), binding).ok_or(SealError::Malformed)?);
        if let Some(token) = refresh_token {
            tokens.refresh_token = Some(RefreshToken::new(token.to_string(), binding).ok_or(SealError::Malformed)?);
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
            // A reason that a newer version writes is a reason anyway.
            dead: json
                .dead
                .filter(|_| json.dead_for.is_none_or(|mark| mark == client_mark(client_id)))
                .map(|code| LoginReason::from_code(&code).unwrap_or(LoginReason::Refused)),
            unverified: json.unverified,
            login: json.login.map(Revision::from_i64),
            asked: json.asked.and_then(|scopes| scopes.parse().ok()),
            scopes_cut: json.scopes_cut,
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

    /// Whether no token of this pair is in the other one, so that this one can be revoked.
    pub(super) fn is_replaced_by(&self, other: &Self) -> bool {
        let [old, new] = [&self.tokens, &other.tokens];
        let shares_refresh = match (&old.refresh_token, &new.refresh_token) {
            (Some(old), Some(new)) => old.matches(new),
            _ => false,
        };
        !shares_refresh && !old.access_token.matches(&new.access_token)
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
    /// The mark of the client that `dead` was said to.
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_for: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unverified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    scopes_cut: bool,
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
    dead_for: Option<String>,
    #[serde(default)]
    unverified: bool,
    login: Option<i64>,
    asked: Option<String>,
    #[serde(default)]
    scopes_cut: bool,
}

/// Whether a reason is the code host's word to the client that asked.
fn is_of_client(reason: &LoginReason) -> bool {
    matches!(reason, LoginReason::Refused | LoginReason::ResponseLost)
}

/// A token as it stands in the JSON. `"` and `\` would take two bytes each, and a token of nothing else would not fit; no
/// token holds the two that stand for them.
fn written(token: &str) -> Zeroizing<String> {
    Zeroizing::new(token.replace('"', " ").replace('\\', "\u{7f}"))
}

fn read(token: String) -> String {
    if token.contains([' ', '\u{7f}']) { token.replace(' ', "\"").replace('\u{7f}', "\\") } else { token }
}

/// Keeps the first scopes that there is room for. `true` if there were more.
fn cut(scopes: &mut Scopes) -> bool {
    let mut room = MAX_SCOPES;
    let mut fits = |scope: &Scope| {
        let left = room.checked_sub(scope.as_str().len().saturating_add(1));
        room = left.unwrap_or_default();
        left.is_some()
    };
    let kept: Vec<_> = scopes.iter().take_while(|scope| fits(scope)).cloned().collect();
    let is_cut = kept.len() < scopes.len();
    if is_cut {
        *scopes = kept.into_iter().collect();
    }
    is_cut
}

fn some(scopes: Vec<ScopeDescription>) -> Option<Scopes> {
    (!scopes.is_empty()).then(|| scopes.into_iter().map(|description| description.scope).collect())
}

/// Bytes of scopes in a record, of those that were granted and of those that were asked for: the code hosts' own lists have
/// some hundred.
const MAX_SCOPES: usize = 4096;

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

    fn binding() -> TokenBinding {
        TokenBinding::new("demo".parse().unwrap(), BaseUrl::constant("https://git.example.com"))
    }

    fn record(life: Option<u64>) -> Record {
        let mut tokens = TokenSet::new(AccessToken::new("access".to_owned(), &binding()).unwrap());
        tokens.refresh_token = RefreshToken::new("refresh".to_owned(), &binding());
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
        before.dead = Some(LoginReason::ResponseLost);
        before.unverified = true;
        let stored = before.seal(&ring, &connection, "id").unwrap();
        let after = Record::open(&stored, &ring, &connection, &binding(), "id").unwrap();
        assert!(after.same_pair(&before));
        assert_eq!(after.revision, before.revision);
        assert_eq!((after.refreshing_since, after.dead.clone()), (before.refreshing_since, before.dead.clone()));
        assert_eq!(after.tokens.scopes, before.tokens.scopes);
        assert_eq!(after.tokens.expires_at(), before.tokens.expires_at());
        assert!(after.unverified);

        let elsewhere = TokenBinding::new("demo".parse().unwrap(), BaseUrl::constant("https://evil.example.com"));
        let refused = Record::open(&stored, &ring, &connection, &elsewhere, "id").err().unwrap();
        assert_eq!(refused.code(), "other_instance");
        let other: ConnectionId = "gitlab:demo:43".parse().unwrap();
        assert_eq!(Record::open(&stored, &ring, &other, &binding(), "id").err().unwrap().code(), "seal_rejected");
    }

    /// What the contract of a store lets a record be, and less than it has room for.
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
            let flood: Scopes = (0..100_000).map(|n| format!("{n}{}", "x".repeat(n % 250)).parse().unwrap()).collect();
            tokens.scopes = Some(flood.clone());
            let mut record = Record::of_login(tokens, &flood.iter().take(200).cloned().collect()).unwrap();
            record.refreshing_since = Some(UNIX_EPOCH + Duration::from_secs(10_000_000_000));
            record.dead = Some(LoginReason::ResponseLost);
            let stored = record.seal(&ring, &connection, "id").unwrap();
            assert!(stored.sealed.len() < 48 * 1024, "{byte}: {}", stored.sealed.len());
            let read = Record::open(&stored, &ring, &connection, &binding, "id").unwrap();
            assert!(read.same_pair(&record));
            assert_eq!(read.tokens.access_token.expose_for(binding.base_url()).unwrap(), token());
            assert!(read.scopes_cut && read.tokens.scopes.unwrap().len() > 10);
        }
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
