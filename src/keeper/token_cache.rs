//! Access tokens that were read recently, so that not every API call reads the store.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use tokio::time::Instant;

use super::clock::Clock;
use super::connection::ConnectionId;
use super::record::{Record, RenewalTime};
use crate::values::token::{AccessToken, TokenBinding};

/// Bounded by [`MAX_TOKENS`]. Contains no refresh tokens.
pub(super) struct TokenCache {
    fresh_for: Duration,
    state: RwLock<State>,
}

struct State {
    /// By the connection's text.
    tokens: HashMap<Box<str>, Token>,
    /// The number of removals so far. A read that started before the last one may have given an outdated token.
    removals: u64,
    cleaned_at: Instant,
}

/// Kept small: a look-up mostly waits for memory that is not in the processor's cache.
struct Token {
    token: AccessToken,
    renewal_time: RenewalTime,
    read_at: Instant,
}

/// The start of a read of the store.
pub(super) struct ReadStart {
    at: Instant,
    removals: u64,
}

impl TokenCache {
    pub(super) fn new(fresh_for: Duration) -> Self {
        let state = State { tokens: HashMap::new(), removals: 0, cleaned_at: Instant::now() };
        Self { fresh_for, state: RwLock::new(state) }
    }

    /// A token that was read within `fresh_for` and is not due for renewal. Does no I/O.
    pub(super) fn get(
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
        let is_usable = found.read_at.elapsed() < self.fresh_for
            && !found.renewal_time.is_reached(clock.now())
            && found.token.binding() == binding;
        is_usable.then(|| found.token.duplicate())
    }

    /// Call it before reading the store.
    pub(super) fn begin_read(&self) -> Option<ReadStart> {
        if self.is_off() {
            return None;
        }
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        Some(ReadStart { at: Instant::now(), removals: state.removals })
    }

    /// Adds the token that was read, unless this process has written to the store since the read started.
    pub(super) fn insert(&self, connection: &ConnectionId, read: &ReadStart, record: Record) {
        if record.needs_login.is_some() || record.unverified {
            return;
        }
        let (renewal_time, read_at) = (record.renewal_time(), read.at);
        let token = Token { token: record.tokens.access_token, renewal_time, read_at };
        let mut state = self.write();
        if state.removals != read.removals {
            return;
        }
        let now = Instant::now();
        if now.saturating_duration_since(state.cleaned_at) >= self.fresh_for.max(MIN_CLEAN_UP_INTERVAL) {
            state.cleaned_at = now;
            state.tokens.retain(|_, token| now.saturating_duration_since(token.read_at) < self.fresh_for);
        }
        if state.tokens.len() < MAX_TOKENS || state.tokens.contains_key(connection.as_str()) {
            state.tokens.insert(connection.as_str().into(), token);
        }
    }

    /// Call it after a write to the store, also after one that failed.
    pub(super) fn remove(&self, connection: &ConnectionId) {
        if self.is_off() {
            return;
        }
        let mut state = self.write();
        state.removals = state.removals.wrapping_add(1);
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
/// Expired tokens are removed at most this often, when another token is added.
const MIN_CLEAN_UP_INTERVAL: Duration = Duration::from_secs(1);

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
    async fn memory_is_bounded_and_freed() {
        let (token_cache, here) = (TokenCache::new(FRESH), binding("https://git.example.com"));
        let insert = |n| {
            let read = token_cache.begin_read().unwrap();
            let tokens = TokenSet::new(AccessToken::new("access".to_owned(), &here).unwrap());
            token_cache.insert(&connection(n), &read, Record::new(tokens).unwrap());
        };
        (0..MAX_TOKENS + 1000).for_each(insert);
        assert_eq!(token_cache.write().tokens.len(), MAX_TOKENS);
        let get = |n, binding| token_cache.get(&connection(n), binding, &SystemClock);
        assert!(get(0, &here).is_some() && get(MAX_TOKENS, &here).is_none());
        // The integration has another base URL now.
        let other_binding = binding("https://evil.example.com");
        assert!(get(0, &other_binding).is_none());

        tokio::time::advance(FRESH).await;
        assert!(get(0, &here).is_none());
        insert(0);
        assert_eq!(token_cache.write().tokens.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_was_read_before_a_write_is_not_cached() {
        let (token_cache, here) = (TokenCache::new(FRESH), binding("https://git.example.com"));
        let read = token_cache.begin_read().unwrap();
        token_cache.remove(&connection(0));
        let tokens = || TokenSet::new(AccessToken::new("access".to_owned(), &here).unwrap());
        token_cache.insert(&connection(0), &read, Record::new(tokens()).unwrap());
        assert!(token_cache.get(&connection(0), &here, &SystemClock).is_none());

        // Its age counts from the start of the read.
        let read = token_cache.begin_read().unwrap();
        tokio::time::advance(FRESH).await;
        token_cache.insert(&connection(0), &read, Record::new(tokens()).unwrap());
        assert!(token_cache.get(&connection(0), &here, &SystemClock).is_none());
    }
}
