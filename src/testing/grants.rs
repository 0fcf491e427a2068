//! The codes and tokens that a fake has issued.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Clone)]
pub(super) struct Code {
    pub(super) client_id: String,
    pub(super) user: String,
    pub(super) redirect_uri: Option<String>,
    pub(super) scopes: String,
    pub(super) challenge: Option<String>,
    /// Of OpenID Connect.
    pub(super) nonce: Option<String>,
    pub(super) expires: Duration,
}

#[derive(Clone)]
pub(super) struct Token {
    pub(super) access: String,
    pub(super) refresh: String,
    pub(super) client_id: String,
    pub(super) user: String,
    pub(super) scopes: String,
    pub(super) created: Duration,
    pub(super) lifetime: Option<Duration>,
    /// Whether the test has made it expire.
    pub(super) expired_early: bool,
    pub(super) access_revoked: bool,
    pub(super) refresh_revoked: bool,
}

impl Token {
    pub(super) fn is_expired(&self, now: Duration) -> bool {
        self.expired_early || self.lifetime.is_some_and(|lifetime| self.created.saturating_add(lifetime) <= now)
    }

    fn revoke(&mut self) {
        self.access_revoked = true;
        self.refresh_revoked = true;
    }
}

/// Times are durations since 1970, by a clock that a test can set forward.
#[derive(Default)]
pub(super) struct Grants {
    codes: HashMap<String, Code>,
    tokens: Vec<Token>,
    by_access: HashMap<String, usize>,
    by_refresh: HashMap<String, usize>,
    ahead: Duration,
}

impl Grants {
    pub(super) fn now(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_add(self.ahead)
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.ahead = self.ahead.saturating_add(by);
    }

    pub(super) fn add_code(&mut self, text: String, code: Code) {
        self.codes.insert(text, code);
    }

    /// The code, unless it was used or has expired.
    pub(super) fn code(&self, text: &str) -> Option<Code> {
        self.codes.get(text).filter(|code| code.expires > self.now()).cloned()
    }

    pub(super) fn use_up(&mut self, code: &str) {
        self.codes.remove(code);
    }

    pub(super) fn add_token(&mut self, token: Token) {
        let index = self.tokens.len();
        self.by_access.insert(token.access.clone(), index);
        self.by_refresh.insert(token.refresh.clone(), index);
        self.tokens.push(token);
    }

    pub(super) fn by_access(&self, access: &str) -> Option<&Token> {
        self.by_access.get(access).and_then(|index| self.tokens.get(*index))
    }

    pub(super) fn by_refresh(&self, refresh: &str) -> Option<&Token> {
        self.by_refresh.get(refresh).and_then(|index| self.tokens.get(*index))
    }

    /// Revokes the access token and the refresh token of its pair.
    pub(super) fn revoke(&mut self, access: &str) {
        if let Some(token) = self.by_access.get(access).and_then(|index| self.tokens.get_mut(*index)) {
            token.revoke();
        }
    }

    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// Invalidates a refresh token. Its access token stays valid.
    pub(super) fn use_up_refresh(&mut self, refresh: &str) {
        if let Some(token) = self.by_refresh.get(refresh).and_then(|index| self.tokens.get_mut(*index)) {
            token.refresh_revoked = true;
        }
    }

    pub(super) fn revoke_all(&mut self) {
        self.tokens.iter_mut().for_each(Token::revoke);
    }

    pub(super) fn expire_all(&mut self) {
        for token in &mut self.tokens {
            token.expired_early = true;
        }
    }
}
