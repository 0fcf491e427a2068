//! Codes, tokens and the consent of users. Times are since 1970, by a clock that a test can move.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Clone)]
pub(super) struct Code {
    pub(super) client_id: String,
    pub(super) user: u64,
    /// As it was sent. `None`: the request had none.
    pub(super) redirect_uri: Option<String>,
    pub(super) scopes: Vec<String>,
    pub(super) offline_access: bool,
    pub(super) challenge: Option<String>,
    pub(super) expires: Duration,
}

#[derive(Clone)]
pub(super) struct Token {
    pub(super) id: usize,
    pub(super) access: String,
    pub(super) refresh: String,
    pub(super) client_id: String,
    pub(super) user: u64,
    pub(super) scopes: Vec<String>,
    /// The ids of the organizations with SAML that it may read.
    pub(super) saml: Vec<u64>,
    pub(super) created: Duration,
    pub(super) last_used: Option<Duration>,
    /// With a lifetime it has a refresh token.
    pub(super) lifetime: Option<Duration>,
    pub(super) expired_early: bool,
    pub(super) access_revoked: bool,
    pub(super) refresh_revoked: bool,
}

impl Token {
    pub(super) fn expires(&self) -> Option<Duration> {
        self.lifetime.map(|lifetime| self.created.saturating_add(lifetime))
    }

    /// Also after a year without use.
    fn is_expired(&self, now: Duration) -> bool {
        let idle = now.saturating_sub(self.last_used.unwrap_or(self.created));
        self.expired_early || idle >= YEAR || self.expires().is_some_and(|expires| expires <= now)
    }

    fn is_refreshable(&self, now: Duration) -> bool {
        self.lifetime.is_some() && !self.refresh_revoked && now.saturating_sub(self.created) < REFRESH_LIFETIME
    }

    fn has_access(&self, now: Duration) -> bool {
        !self.access_revoked && !self.is_expired(now)
    }

    fn is_of(&self, client_id: &str, user: u64) -> bool {
        self.client_id == client_id && self.user == user
    }

    fn revoke(&mut self) {
        self.access_revoked = true;
        self.refresh_revoked = true;
    }
}

#[derive(Default)]
pub(super) struct Grants {
    codes: HashMap<String, Code>,
    tokens: Vec<Token>,
    /// What a user has granted to an application so far.
    consents: HashMap<(String, u64), BTreeSet<String>>,
    ahead: Duration,
}

impl Grants {
    pub(super) fn now(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_add(self.ahead)
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.ahead = self.ahead.saturating_add(by);
    }

    pub(super) fn consent(&self, client_id: &str, user: u64) -> Option<&BTreeSet<String>> {
        self.consents.get(&(client_id.to_owned(), user))
    }

    pub(super) fn add_consent(&mut self, client_id: &str, user: u64, scopes: &[String]) {
        self.consents.entry((client_id.to_owned(), user)).or_default().extend(scopes.iter().cloned());
    }

    pub(super) fn add_code(&mut self, text: String, code: Code) {
        self.codes.insert(text, code);
    }

    pub(super) fn has_code(&self, text: &str) -> bool {
        self.codes.get(text).is_some_and(|code| code.expires > self.now())
    }

    /// Uses up the code. `None` if it was used or has expired.
    pub(super) fn take_code(&mut self, text: &str) -> Option<Code> {
        let now = self.now();
        self.codes.remove(text).filter(|code| code.expires > now)
    }

    /// Adds a token. If the user then has more than ten of the application with the same scopes, one of them is revoked.
    pub(super) fn add_token(&mut self, mut token: Token, evict_oldest: bool) -> Token {
        let now = self.now();
        token.id = self.tokens.len().saturating_add(1);
        let is_alike = |other: &&mut Token| {
            other.is_of(&token.client_id, token.user)
                && other.scopes == token.scopes
                && (other.has_access(now) || other.is_refreshable(now))
        };
        let mut alike: Vec<&mut Token> = self.tokens.iter_mut().filter(is_alike).collect();
        if alike.len() >= TOKENS_FOR_APPLICATION {
            // The first of them is revoked: never used ones that are older than a minute, then the least recently used.
            alike.sort_by_key(|token| {
                let is_unused = token.last_used.is_none() && now.saturating_sub(token.created) > MINUTE;
                let used = token.last_used.filter(|_| !evict_oldest).unwrap_or(token.created);
                (!is_unused || evict_oldest, used, token.id)
            });
            if let Some(token) = alike.into_iter().next() {
                token.revoke();
            }
        }
        self.tokens.push(token.clone());
        token
    }

    /// How many tokens were made for the user, application and scopes in the last hour.
    pub(super) fn recent(&self, client_id: &str, user: u64, scopes: &[String]) -> usize {
        let since = self.now().saturating_sub(HOUR);
        let is_recent =
            |token: &&Token| token.is_of(client_id, user) && token.scopes == scopes && token.created > since;
        self.tokens.iter().filter(is_recent).count()
    }

    /// The token, if it is valid.
    pub(super) fn by_access(&self, access: &str) -> Option<&Token> {
        let now = self.now();
        self.tokens.iter().find(|token| token.access == access && token.has_access(now))
    }

    /// The pair, if the refresh token is valid.
    pub(super) fn by_refresh(&self, refresh: &str) -> Option<&Token> {
        let now = self.now();
        self.tokens.iter().find(|token| token.refresh == refresh && token.is_refreshable(now))
    }

    pub(super) fn used(&mut self, access: &str) {
        let now = self.now();
        self.tokens.iter_mut().filter(|token| token.access == access).for_each(|token| token.last_used = Some(now));
    }

    /// Revokes a token, and its refresh token unless that is kept.
    pub(super) fn revoke(&mut self, access: &str, keep_refresh_token: bool) {
        for token in self.tokens.iter_mut().filter(|token| token.access == access) {
            token.access_revoked = true;
            token.refresh_revoked |= !keep_refresh_token;
        }
    }

    /// Revokes all tokens of the user and application, and forgets the consent.
    pub(super) fn revoke_grant(&mut self, client_id: &str, user: u64) {
        self.tokens.iter_mut().filter(|token| token.is_of(client_id, user)).for_each(Token::revoke);
        self.consents.remove(&(client_id.to_owned(), user));
    }

    pub(super) fn revoke_all(&mut self) {
        self.tokens.iter_mut().for_each(Token::revoke);
        self.consents.clear();
    }

    pub(super) fn expire_all(&mut self) {
        self.tokens.iter_mut().for_each(|token| token.expired_early = true);
    }
}

const TOKENS_FOR_APPLICATION: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// 184 days without use.
pub(super) const REFRESH_LIFETIME: Duration = Duration::from_secs(15_897_600);
