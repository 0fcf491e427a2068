//! The tokens of a connection and what is known about them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::error::KeeperError;
use super::login_reason::LoginReason;
use super::store::Revision;
use crate::integration::Integration;
use crate::provider::{missing_scopes, scopes_not_covered};
use crate::values::scope::{ScopeDescription, Scopes};
use crate::values::token::{RefreshToken, TokenSet};

pub(super) struct Record {
    pub(super) revision: Revision,
    pub(super) tokens: TokenSet,
    /// When a refresh with these tokens started whose result is not known.
    pub(super) refreshing_since: Option<SystemTime>,
    /// Why only a new login helps: these tokens cannot be renewed.
    pub(super) needs_login: Option<LoginReason>,
    /// Stored before it was checked that they belong to the user of the connection.
    pub(super) unverified: bool,
    /// Identifies the login that these tokens come from: the revision with which it was stored first. `None` if that is not known.
    pub(super) login: Option<Revision>,
    /// The scopes that the login requested.
    pub(super) requested_scopes: Option<Scopes>,
    /// More scopes were granted than are stored; see [`MAX_SCOPES_BYTES`].
    pub(super) scopes_truncated: bool,
}

impl Record {
    /// A record for tokens that were just obtained.
    pub(super) fn new(mut tokens: TokenSet) -> Result<Self, KeeperError> {
        let scopes_truncated = tokens.scopes.as_mut().is_some_and(truncate);
        Ok(Self {
            revision: Revision::random()?,
            tokens,
            refreshing_since: None,
            needs_login: None,
            unverified: false,
            login: None,
            requested_scopes: None,
            scopes_truncated,
        })
    }

    /// A record for the tokens of a login that requested these scopes.
    pub(super) fn of_login(tokens: TokenSet, requested: &Scopes) -> Result<Self, KeeperError> {
        let mut record = Self::new(tokens)?;
        record.login = Some(record.revision);
        record.requested_scopes = fits(requested).then(|| requested.clone());
        Ok(record)
    }

    /// A record for the tokens of a refresh. What the response left out is taken from `old`.
    pub(super) fn renewed(mut tokens: TokenSet, old: &Self) -> Result<Self, KeeperError> {
        let keeps_scopes = tokens.scopes.is_none();
        if tokens.refresh_token.is_none() {
            tokens.refresh_token = old.tokens.refresh_token.as_ref().map(RefreshToken::duplicate);
        }
        if keeps_scopes {
            tokens.scopes = old.tokens.scopes.clone();
        }
        let mut record = Self::new(tokens)?;
        record.scopes_truncated |= keeps_scopes && old.scopes_truncated;
        record.login = old.login;
        record.requested_scopes = old.requested_scopes.clone();
        Ok(record)
    }

    /// A copy with a new revision, to be changed and written over this record.
    pub(super) fn successor(&self) -> Result<Self, KeeperError> {
        Ok(Self {
            revision: Revision::random()?,
            tokens: self.tokens.duplicate(),
            refreshing_since: self.refreshing_since,
            needs_login: self.needs_login.clone(),
            unverified: self.unverified,
            login: self.login,
            requested_scopes: self.requested_scopes.clone(),
            scopes_truncated: self.scopes_truncated,
        })
    }

    /// The scopes that `integration` requests now and that were neither requested by this login nor granted.
    pub(super) fn newly_requested_scopes(&self, integration: &Integration) -> Option<Scopes> {
        let has_all = |requested: &Scopes| integration.scopes().iter().all(|scope| requested.contains(scope));
        if self.requested_scopes.as_ref().is_some_and(has_all) {
            return None;
        }
        let known = self.known_scopes()?;
        // Without the requested scopes, those that the platform never lists may have been granted.
        let missing = if self.requested_scopes.is_some() { scopes_not_covered } else { missing_scopes };
        unless_empty(missing(&**integration.provider(), integration.scopes(), &known))
    }

    /// The scopes of `new`, a renewal of this record, that were neither granted before, nor implied by those, nor
    /// requested.
    pub(super) fn grown_scopes(&self, new: &Self, integration: &Integration) -> Option<Scopes> {
        if new.scopes_truncated || self.tokens.scopes.is_none() {
            return None;
        }
        let granted = new.tokens.scopes.as_ref()?;
        let known = self.known_scopes()?.iter().chain(integration.scopes()).cloned().collect();
        // What is granted and not covered by what was known.
        unless_empty(missing_scopes(&**integration.provider(), granted, &known))
    }

    /// The scopes that were requested or granted; `None` if they are not completely known.
    fn known_scopes(&self) -> Option<Scopes> {
        if self.scopes_truncated || (self.requested_scopes.is_none() && self.tokens.scopes.is_none()) {
            return None;
        }
        let lists = [self.requested_scopes.as_ref(), self.tokens.scopes.as_ref()];
        Some(lists.into_iter().flatten().flat_map(Scopes::iter).cloned().collect())
    }

    /// Whether both have the same access token and the same refresh token.
    pub(super) fn same_pair(&self, other: &Self) -> bool {
        let [a, b] = [&self.tokens, &other.tokens];
        let same_refresh_token = match (&a.refresh_token, &b.refresh_token) {
            (Some(a), Some(b)) => a.matches(b),
            (None, None) => true,
            _ => false,
        };
        same_refresh_token && a.access_token.matches(&b.access_token)
    }

    /// Whether the two records have no token in common. Only then can the tokens of one be revoked without the other's.
    pub(super) fn shares_no_token_with(&self, other: &Self) -> bool {
        let [old, new] = [&self.tokens, &other.tokens];
        let same_refresh_token = match (&old.refresh_token, &new.refresh_token) {
            (Some(old), Some(new)) => old.matches(new),
            _ => false,
        };
        !same_refresh_token && !old.access_token.matches(&new.access_token)
    }

    /// When the access token expires. `None` if it was received in the future: the clock has been set back since, so
    /// its age is not known.
    fn expires_at(&self, now: SystemTime) -> Option<SystemTime> {
        if is_future(self.tokens.received_at, now) { None } else { self.tokens.expires_at() }
    }

    /// Whether the access token can still be used.
    pub(super) fn is_valid(&self, now: SystemTime) -> bool {
        let needed = MIN_REMAINING_LIFETIME.min(self.fraction_of_lifetime(10));
        self.needs_login.is_none()
            && !self.unverified
            && self.expires_at(now).is_none_or(|end| end.duration_since(now).unwrap_or_default() > needed)
    }

    /// Whether it is time to renew: at once if the user is not verified; otherwise 60 to 120 s before the token
    /// expires, or a quarter to half of its lifetime before if it lives less than four minutes. The random revision decides when
    /// exactly, so connections are spread, and every node computes the same time.
    pub(super) fn is_due(&self, now: SystemTime) -> bool {
        self.unverified || self.renewal_time().is_reached(now)
    }

    pub(super) fn renewal_time(&self) -> RenewalTime {
        let min_margin = RENEWAL_MARGIN.min(self.fraction_of_lifetime(4));
        let margin = min_margin.saturating_add(min_margin.mul_f64(self.revision.fraction()));
        RenewalTime {
            received_at: self.tokens.received_at,
            at: self.tokens.expires_at().map(|end| end.checked_sub(margin).unwrap_or(UNIX_EPOCH)),
        }
    }

    /// Whether the tokens were received so recently that a 401 has another cause than their age.
    pub(super) fn is_new(&self, now: SystemTime) -> bool {
        now.duration_since(self.tokens.received_at).is_ok_and(|age| age < NEW_FOR)
    }

    fn fraction_of_lifetime(&self, divisor: u32) -> Duration {
        self.tokens.expires_in.unwrap_or(Duration::MAX).checked_div(divisor).unwrap_or_default()
    }
}

/// When it is time to renew; `at` is `None` for tokens that do not expire.
pub(super) struct RenewalTime {
    received_at: SystemTime,
    at: Option<SystemTime>,
}

impl RenewalTime {
    /// Never reached if the tokens were received in the future: the clock has been set back since.
    pub(super) fn is_reached(&self, now: SystemTime) -> bool {
        self.at.is_some_and(|at| at <= now) && !is_future(self.received_at, now)
    }
}

fn is_future(received_at: SystemTime, now: SystemTime) -> bool {
    received_at.duration_since(now).is_ok_and(|ahead| ahead > CLOCK_TOLERANCE)
}

const RENEWAL_MARGIN: Duration = Duration::from_secs(60);
/// A request that starts now should arrive before the token expires.
const MIN_REMAINING_LIFETIME: Duration = Duration::from_secs(5);
const CLOCK_TOLERANCE: Duration = Duration::from_secs(30);
const NEW_FOR: Duration = Duration::from_secs(10);

/// Keeps the first scopes up to [`MAX_SCOPES_BYTES`]. `true` if there were more.
fn truncate(scopes: &mut Scopes) -> bool {
    let is_truncated = !fits(scopes);
    if is_truncated {
        *scopes = scopes.iter().take(count_that_fits(scopes)).cloned().collect();
    }
    is_truncated
}

fn fits(scopes: &Scopes) -> bool {
    count_that_fits(scopes) == scopes.len()
}

/// How many scopes from the first on have at most [`MAX_SCOPES_BYTES`] together, with a blank after each.
fn count_that_fits(scopes: &Scopes) -> usize {
    let sums = scopes.iter().scan(0_usize, |sum, scope| {
        *sum = sum.saturating_add(scope.as_str().len()).saturating_add(1);
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= MAX_SCOPES_BYTES).count()
}

fn unless_empty(scopes: Vec<ScopeDescription>) -> Option<Scopes> {
    (!scopes.is_empty()).then(|| scopes.into_iter().map(|description| description.scope).collect())
}

/// The limit for the granted scopes of a record, and for the requested ones. All scopes of a code host together have
/// some hundred bytes.
const MAX_SCOPES_BYTES: usize = 4096;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test data")]
mod tests {
    use super::*;
    use crate::BaseUrl;
    use crate::values::token::{AccessToken, TokenBinding};

    fn binding() -> TokenBinding {
        TokenBinding::new("demo".parse().unwrap(), BaseUrl::constant("https://git.example.com"))
    }

    fn record(lifetime_seconds: Option<u64>) -> Record {
        let mut tokens = TokenSet::new(AccessToken::new("access".to_owned(), &binding()).unwrap());
        tokens.refresh_token = RefreshToken::new("refresh".to_owned(), &binding());
        tokens.scopes = Some("api read_user".parse().unwrap());
        tokens.expires_in = lifetime_seconds.map(Duration::from_secs);
        tokens.received_at = UNIX_EPOCH + Duration::from_secs(1_000_000);
        Record::new(tokens).unwrap()
    }

    #[test]
    fn renewal_is_due_early_but_never_in_the_first_half() {
        for lifetime in [1, 10, 60, 120, 240, 600, 7200, 86400] {
            for _ in 0..50 {
                let record = record(Some(lifetime));
                let at = |part: f64| {
                    record.tokens.received_at + Duration::from_millis((part * lifetime as f64 * 1000.0) as u64)
                };
                assert!(!record.is_due(at(0.499)), "{lifetime}");
                let end = record.tokens.expires_at().unwrap();
                assert!(!record.is_due(end - Duration::from_secs(121)) || lifetime < 242);
                assert!(record.is_due(end - Duration::from_secs(60).min(Duration::from_secs(lifetime) / 4)));
                assert!(record.is_valid(at(0.8)), "{lifetime}");
                assert!(!record.is_valid(end));
            }
        }
    }

    #[test]
    fn renewals_of_tokens_of_the_same_time_are_spread() {
        let is_due = |record: &Record, seconds_before_expiry: u64| {
            record.is_due(record.tokens.expires_at().unwrap() - Duration::from_secs(seconds_before_expiry))
        };
        let records: Vec<_> = (0..1000).map(|_| record(Some(7200))).collect();
        let count = |seconds| records.iter().filter(|record| is_due(record, seconds)).count();
        assert_eq!((count(121), count(60)), (0, 1000));
        assert!((150..350).contains(&count(105)) && (650..850).contains(&count(75)));
    }

    #[test]
    fn a_clock_that_is_set_back_or_a_missing_lifetime_does_not_cause_a_refresh() {
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
