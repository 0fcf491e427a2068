use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::clock::{Clock, SystemClock};
use super::event::{KeeperEvent, OnEvent};
use super::inner::Inner;
use super::running_refreshes::RunningRefreshes;
use super::store::TokenStore;
use super::token_cache::TokenCache;
use super::token_keeper::TokenKeeper;
use crate::integration::FindIntegration;
use crate::seal::KeyRing;

impl TokenKeeper {
    /// A keeper for the connections in `store`, sealed with `ring`. `integrations` finds the integration that a
    /// connection belongs to: an `Integration`, a map, or the app's own table.
    pub fn builder(
        store: impl TokenStore + 'static,
        ring: KeyRing,
        integrations: impl FindIntegration,
    ) -> TokenKeeperBuilder {
        TokenKeeperBuilder::new(Arc::new(store), ring, Arc::new(integrations))
    }
}

/// Settings of a [`TokenKeeper`]. Each has a default that is right for most apps.
///
/// ```
/// use std::collections::HashMap;
/// use std::time::Duration;
///
/// use codehost_oauth::{keeper::{MemoryTokens, TokenKeeper}, seal::KeyRing};
///
/// let ring = KeyRing::new([(1, [7; 32].as_slice())])?;
/// let keeper = TokenKeeper::builder(MemoryTokens::default(), ring, HashMap::new())
///     .patience(Duration::from_secs(5))
///     .verify_identity(true)
///     .build();
/// assert!(format!("{keeper:?}").contains("KeyRing([1])"));
/// # Ok::<(), codehost_oauth::error::SealError>(())
/// ```
#[must_use]
pub struct TokenKeeperBuilder {
    store: Arc<dyn TokenStore>,
    ring: KeyRing,
    integrations: Arc<dyn FindIntegration>,
    clock: Arc<dyn Clock>,
    lease: Duration,
    patience: Duration,
    in_flight: usize,
    fresh_for: Duration,
    verify_identity: bool,
    require_scopes: bool,
    on_event: Arc<OnEvent>,
}

impl TokenKeeperBuilder {
    fn new(store: Arc<dyn TokenStore>, ring: KeyRing, integrations: Arc<dyn FindIntegration>) -> Self {
        Self {
            store,
            ring,
            integrations,
            clock: Arc::new(SystemClock),
            lease: Duration::from_secs(45),
            patience: Duration::from_secs(20),
            in_flight: 4,
            fresh_for: Duration::ZERO,
            verify_identity: false,
            require_scopes: true,
            on_event: Arc::new(|_| {}),
        }
    }

    /// How long other nodes must wait after a node has crashed during a refresh: 45 s by default, at least 1 s, at most
    /// ten minutes. It should be more than twice the transport's time-out. A refresh that takes longer extends its
    /// lease.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease.clamp(Duration::from_secs(1), Duration::from_secs(600));
        self
    }

    /// How long a caller waits for a refresh, its own or another node's, before it gets
    /// [`KeeperError::Retry`](super::KeeperError::Retry): 20 s by default.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How many refreshes of one integration may run in this process at the same time: 4 by default, at least 1, at
    /// most 1024.
    pub fn max_in_flight(mut self, count: usize) -> Self {
        self.in_flight = count.clamp(1, 1024);
        self
    }

    /// How long an access token that was read, and is not due for renewal, is used again without another read of the
    /// store: zero by default (the store is always read), at most one minute. Each process caches up to 65,536 access
    /// tokens.
    ///
    /// Changes by this process take effect at once. Changes by another node take effect here with this delay: the token
    /// of a connection that was deleted there is still given out here, and a renewal there may cause a 401 here, which
    /// [`with_token`](TokenKeeper::with_token) handles.
    pub fn fresh_for(mut self, freshness: Duration) -> Self {
        self.fresh_for = freshness.min(Duration::from_secs(60));
        self
    }

    /// After each refresh, looks up the user of the new tokens, and does not use tokens of another user: one more round
    /// trip for each refresh. Off by default.
    ///
    /// Defence in depth, against a code host that confuses the tokens of its users. New tokens are stored at once, but
    /// given out only after the look-up, so they cannot be used while the user endpoint of the API fails.
    pub fn verify_identity(mut self, verify: bool) -> Self {
        self.verify_identity = verify;
        self
    }

    /// Whether a connection needs a new login as soon as its integration requests more scopes than it did at the login:
    /// [`LoginReason::ScopesMissing`](super::LoginReason::ScopesMissing). On by default. If it is off, such a
    /// connection keeps its scopes, and the code host refuses API calls that need more.
    pub fn require_scopes(mut self, require: bool) -> Self {
        self.require_scopes = require;
        self
    }

    /// Calls `listener` for each event that an administrator should know of. With the feature `tracing`, each event is
    /// also logged at `WARN`. It is called during a refresh, so it must not block.
    pub fn on_event(mut self, listener: impl Fn(&KeeperEvent) + Send + Sync + 'static) -> Self {
        self.on_event = Arc::new(listener);
        self
    }

    /// Replaces the system's clock in tests: `testing::FakeClock` can be set forward.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Makes the keeper. Sends nothing.
    pub fn build(self) -> TokenKeeper {
        TokenKeeper {
            inner: Arc::new(Inner {
                store: self.store,
                ring: self.ring,
                integrations: self.integrations,
                clock: self.clock,
                lease: self.lease,
                patience: self.patience,
                verify_identity: self.verify_identity,
                require_scopes: self.require_scopes,
                on_event: self.on_event,
                refreshes: Arc::new(RunningRefreshes::new(self.in_flight)),
                token_cache: TokenCache::new(self.fresh_for),
            }),
        }
    }
}

impl fmt::Debug for TokenKeeperBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKeeperBuilder")
            .field("store", &self.store)
            .field("ring", &self.ring)
            .field("lease", &self.lease)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
