//! The grants, codes and tokens.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::testing::wire::random;

/// What one user has allowed one application. There is one for each pair.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) id: u64,
    pub(super) user: u64,
    pub(super) client_id: String,
    /// The text of the first request.
    pub(super) scopes: String,
    pub(super) nonce: Option<String>,
    /// With rotation, only the refresh token with this number is valid.
    pub(super) counter: u64,
}

#[derive(Clone)]
pub(super) struct Code {
    pub(super) grant: u64,
    pub(super) redirect_uri: String,
    pub(super) challenge: Option<String>,
    pub(super) created: Duration,
}

#[derive(Clone)]
pub(super) struct Issued {
    pub(super) grant: u64,
    pub(super) refresh: bool,
    pub(super) counter: u64,
    pub(super) expires: Duration,
}

/// Times are since 1970, by a clock that a test can move.
pub(super) struct Ledger {
    pub(super) key: Vec<u8>,
    grants: Vec<Grant>,
    codes: HashMap<String, Code>,
    issued: HashMap<String, Issued>,
    last_grant: u64,
    ahead: Duration,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self {
            key: random(32),
            grants: Vec::new(),
            codes: HashMap::new(),
            issued: HashMap::new(),
            last_grant: 0,
            ahead: Duration::ZERO,
        }
    }

    pub(super) fn now(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_add(self.ahead)
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.ahead = self.ahead.saturating_add(by);
    }

    pub(super) fn grant(&self, id: u64) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.id == id)
    }

    pub(super) fn grant_mut(&mut self, id: u64) -> Option<&mut Grant> {
        self.grants.iter_mut().find(|grant| grant.id == id)
    }

    pub(super) fn grant_of(&self, user: u64, client_id: &str) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.user == user && grant.client_id == client_id)
    }

    pub(super) fn add_grant(&mut self, user: u64, client_id: &str, scopes: &str) -> u64 {
        self.last_grant = self.last_grant.saturating_add(1);
        let (client_id, scopes) = (client_id.to_owned(), scopes.to_owned());
        self.grants.push(Grant { id: self.last_grant, user, client_id, scopes, nonce: None, counter: 0 });
        self.last_grant
    }

    pub(super) fn remove_grants(&mut self, revoked: impl Fn(&Grant) -> bool) {
        self.grants.retain(|grant| !revoked(grant));
        let grants = &self.grants;
        self.codes.retain(|_, code| grants.iter().any(|grant| grant.id == code.grant));
    }

    pub(super) fn add_code(&mut self, text: String, code: Code) {
        self.codes.insert(text, code);
    }

    pub(super) fn code(&self, text: &str) -> Option<&Code> {
        self.codes.get(text)
    }

    pub(super) fn spend(&mut self, code: &str) {
        self.codes.remove(code);
    }

    pub(super) fn add_token(&mut self, text: String, token: Issued) {
        self.issued.insert(text, token);
    }

    /// The token, even if it has expired or its grant was revoked.
    pub(super) fn token(&self, text: &str) -> Option<&Issued> {
        self.issued.get(text)
    }

    /// A second passes as well: otherwise the next token could be the same text as an expired one.
    pub(super) fn expire_access_tokens(&mut self) {
        self.advance(Duration::from_secs(1));
        for token in self.issued.values_mut().filter(|token| !token.refresh) {
            token.expires = Duration::ZERO;
        }
    }
}
