//! Access tokens that were read a moment ago: not every call of an API has to cost a read of the store.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use tokio::time::Instant;

use super::clock::Clock;
use super::connection::ConnectionId;
use super::record::{Due, Record};
use crate::values::token::{AccessToken, TokenBinding};

/// Bounded by [`MAX_TOKENS`]. Refresh tokens are never in here.
pub(super) struct Remembered {
    fresh_for: Duration,
    state: RwLock<State>,
}

struct State {
    /// By the connection's text.
    tokens: HashMap<Box<str>, Token>,
    /// How often something was forgotten. Who began to read before that may have read what was there before.
    forgotten: u64,
    swept_at: Instant,
}

/// Small, since memory that no cache holds is most of what a look-up costs.
struct Token {
    token: AccessToken,
    due: Due,
    read_at: Instant,
}

/// When a read of the store began.
pub(super) struct Reading {
    at: Instant,
    forgotten: u64,
}

impl Remembered {
    pub(super) fn new(fresh_for: Duration) -> Self {
        let state = State { tokens: HashMap::new(), forgotten: 0, swept_at: Instant::now() };
        Self { fresh_for, state: RwLock::new(state) }
    }

    /// A token that was read within the freshness and is not due. Nothing waits in here.
    pub(super) fn token(
        &self,
        connection: &ConnectionId,
        binding: &TokenBinding,
        clock: &dyn Clock,
    ) -> Option<AccessToken> {
        if self.is_off() {
            return None;
        }
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let found = state.tokens.get(connection.as_str())?;
        let good = found.read_at.elapsed() < self.fresh_for
            && !found.due.is_at(clock.now())
            && found.token.binding() == binding;
        good.then(|| found.token.duplicate())
    }

    /// To be called before the store is read.
    pub(super) fn begin(&self) -> Option<Reading> {
        if self.is_off() {
            return None;
        }
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        Some(Reading { at: Instant::now(), forgotten: state.forgotten })
    }

    /// Takes what was read, unless this process has written since it began to read.
    pub(super) fn keep(&self, connection: &ConnectionId, reading: &Reading, record: Record) {
        if record.dead.is_some() || record.unverified {
            return;
        }
        let token = Token { due: record.due(), token: record.tokens.access_token, read_at: reading.at };
        let mut state = self.write();
        if state.forgotten != reading.forgotten {
            return;
        }
        let now = Instant::now();
        if now.saturating_duration_since(state.swept_at) >= self.fresh_for.max(SWEEP) {
            state.swept_at = now;
            state.tokens.retain(|_, token| now.saturating_duration_since(token.read_at) < self.fresh_for);
        }
        if state.tokens.len() < MAX_TOKENS || state.tokens.contains_key(connection.as_str()) {
            state.tokens.insert(connection.as_str().into(), token);
        }
    }

    /// To be called after the store was written, or perhaps was.
    pub(super) fn forget(&self, connection: &ConnectionId) {
        if self.is_off() {
            return;
        }
        let mut state = self.write();
        state.forgotten = state.forgotten.wrapping_add(1);
        state.tokens.remove(connection.as_str());
    }

    fn is_off(&self) -> bool {
        self.fresh_for.is_zero()
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

const MAX_TOKENS: usize = 65_536;
/// What nobody asks for any more is dropped so often, when something else is read.
const SWEEP: Duration = Duration::from_secs(1);

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test data")]
mod tests {
    use super::*;
    use crate::BaseUrl;
    use crate::keeper::clock::SystemClock;
    use crate::values::token::TokenSet;

    const FRESH: Duration = Duration::from_secs(10);

    fn connection(n: usize) -> ConnectionId {
        format!("gitlab:demo:{n}").parse().unwrap()
    }

    fn binding(base_url: &'static str) -> TokenBinding {
        TokenBinding::new("demo".parse().unwrap(), BaseUrl::constant(base_url))
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_given_back() {
        let (remembered, here) = (Remembered::new(FRESH), binding("https://git.example.com"));
        let keep = |n| {
            let reading = remembered.begin().unwrap();
            let tokens = TokenSet::new(AccessToken::new("access".to_owned(), &here).unwrap());
            remembered.keep(&connection(n), &reading, Record::new(tokens).unwrap());
        };
        (0..MAX_TOKENS + 1000).for_each(keep);
        assert_eq!(remembered.write().tokens.len(), MAX_TOKENS);
        let token = |n, binding| remembered.token(&connection(n), binding, &SystemClock);
        assert!(token(0, &here).is_some() && token(MAX_TOKENS, &here).is_none());
        // The integration has another base URL by now.
        let elsewhere = binding("https://evil.example.com");
        assert!(token(0, &elsewhere).is_none());

        tokio::time::advance(FRESH).await;
        assert!(token(0, &here).is_none());
        keep(0);
        assert_eq!(remembered.write().tokens.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_before_a_write_is_not_kept() {
        let (remembered, here) = (Remembered::new(FRESH), binding("https://git.example.com"));
        let reading = remembered.begin().unwrap();
        remembered.forget(&connection(0));
        let tokens = || TokenSet::new(AccessToken::new("access".to_owned(), &here).unwrap());
        remembered.keep(&connection(0), &reading, Record::new(tokens()).unwrap());
        assert!(remembered.token(&connection(0), &here, &SystemClock).is_none());

        // It is as old as the beginning of the read.
        let reading = remembered.begin().unwrap();
        tokio::time::advance(FRESH).await;
        remembered.keep(&connection(0), &reading, Record::new(tokens()).unwrap());
        assert!(remembered.token(&connection(0), &here, &SystemClock).is_none());
    }
}
