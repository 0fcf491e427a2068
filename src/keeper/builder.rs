use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::clock::{Clock, SystemClock};
use super::event::{KeeperEvent, OnEvent};
use super::flights::Flights;
use super::inner::Inner;
use super::remembered::Remembered;
use super::store::TokenStore;
use super::token_keeper::TokenKeeper;
use crate::integration::FindIntegration;
use crate::seal::KeyRing;

impl TokenKeeper {
    /// A keeper for the connections in `store`, sealed with `ring`. `integrations` tells which integration a connection
    /// belongs to: an `Arc<Integration>`, a map, or the app's own table.
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
/// use codehost_oauth::{keeper::{MemoryStore, TokenKeeper}, seal::KeyRing};
///
/// let ring = KeyRing::new([(1, [7; 32].as_slice())])?;
/// let keeper = TokenKeeper::builder(MemoryStore::default(), ring, HashMap::new())
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

    /// How long a node that crashed in a refresh keeps the others waiting: 45 s unless set, at least 1 s, at most ten
    /// minutes. It should be more than twice the transport's time-out; a refresh that takes longer extends its lease.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease.clamp(Duration::from_secs(1), Duration::from_secs(600));
        self
    }

    /// How long a caller waits for a refresh, its own or another node's, before it gets
    /// [`KeeperError::Retry`](super::KeeperError::Retry): 20 s unless set.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How many refreshes of one integration this process has under way at a time: 4 unless set, at least 1.
    pub fn in_flight_per_integration(mut self, count: usize) -> Self {
        self.in_flight = count.clamp(1, 1024);
        self
    }

    /// For how long a token that was read and is not due is given out again without another read of the store: not at all
    /// unless set, at most a minute. Each process keeps up to 65,536 such access tokens in its memory.
    ///
    /// What this process does is seen at once, whatever is set. What another node does is seen so much later: until then a
    /// person who disconnected there still gets the token here, and a renewal there may cost a 401 here, which
    /// [`with_token`](TokenKeeper::with_token) puts right.
    pub fn fresh_for(mut self, freshness: Duration) -> Self {
        self.fresh_for = freshness.min(Duration::from_secs(60));
        self
    }

    /// Asks the platform after each refresh whose the new tokens are, and gives nobody those of another user: one more round
    /// trip for each refresh. Off unless set.
    ///
    /// A refresh token belongs to one user at the code host already; this is a second check, against a code host that
    /// mixes its own tokens up. Its price: new tokens are stored at once, but nobody gets them before the user was looked
    /// up, so a connection then depends on the user's endpoint too.
    pub fn verify_identity(mut self, verify: bool) -> Self {
        self.verify_identity = verify;
        self
    }

    /// Whether a connection needs a new login as soon as its integration asks for more scopes than it did at the login:
    /// [`LoginReason::ScopesMissing`](super::LoginReason::ScopesMissing). On unless set. Without it such connections go on
    /// with what they have, and calls that need more are refused by the code host.
    pub fn require_scopes(mut self, require: bool) -> Self {
        self.require_scopes = require;
        self
    }

    /// Hears of what an administrator should know; nothing unless set. The same goes to the log at `WARN` with the feature
    /// `tracing`. It is called in the middle of a refresh, so it must not block.
    pub fn on_event(mut self, hear: impl Fn(&KeeperEvent) + Send + Sync + 'static) -> Self {
        self.on_event = Arc::new(hear);
        self
    }

    /// Another clock than the system's, for tests: `testing::FakeClock` can be set forward.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The keeper. Sends nothing.
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
                flights: Arc::new(Flights::new(self.in_flight)),
                remembered: Remembered::new(self.fresh_for),
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
