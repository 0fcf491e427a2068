//! Where tokens are kept between requests and nodes.

mod memory_tokens;
#[cfg(feature = "postgres")]
mod postgres_tokens;
#[cfg(feature = "redis")]
mod redis_tokens;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite_tokens;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use self::memory_tokens::MemoryTokens;
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub use self::postgres_tokens::PostgresTokens;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use self::redis_tokens::RedisTokens;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use self::sqlite_tokens::SqliteTokens;
use super::connection::ConnectionId;
use crate::error::{SealError, StoreError};
use crate::util::text::hex;

/// Stores sealed tokens, one value for each connection, for all nodes of an app.
///
/// Implement it for another database, and check the implementation with `testing::store_conformance`.
///
/// # Contract
///
/// - Every method is one atomic operation, and all nodes see the operations in the same order. A store that reads from
///   a replica does not fulfil this.
/// - A write survives a crash of the store, as far as the app needs it: if a write is lost, the user must log in again.
/// - A lease is a row or key with an expiry time. It holds no connection and no transaction, since HTTP requests are
///   made while it is held.
/// - After [`StoreError::TimedOut`] or [`StoreError::Unreachable`] the operation may have been done; after any other error it
///   has not been done. The keeper then calls again. The store itself may retry on
///   another connection: if the first attempt of a `compare_and_swap` was done, the second one may return `false`.
/// - The bytes are opaque, at most about 64 KiB long.
///
/// ```
/// use std::time::Duration;
/// use codehost_oauth::keeper::{LeaseOwner, MemoryTokens, Revision, StoredTokens, TokenStore};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryTokens::default();
/// let connection = "gitlab:demo:42".parse()?;
/// let [first, second] = [1, 2].map(|byte| StoredTokens::new(Revision::from_i64(byte), vec![7]));
///
/// assert!(store.compare_and_swap(&connection, None, &first).await?);
/// assert!(store.compare_and_swap(&connection, Some(first.revision), &second).await?);
/// // A write that expects an old revision changes nothing.
/// assert!(!store.compare_and_swap(&connection, Some(first.revision), &first).await?);
///
/// let [us, them] = [LeaseOwner::random()?, LeaseOwner::random()?];
/// assert!(store.lease(&connection, &us, Duration::from_secs(45)).await?);
/// assert!(!store.lease(&connection, &them, Duration::from_secs(45)).await?);
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[async_trait]
pub trait TokenStore: fmt::Debug + Send + Sync {
    /// What is stored for a connection.
    ///
    /// Signature: `async fn load(&self, connection: &ConnectionId) -> Result<Option<StoredTokens>, StoreError>`
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn load(&self, connection: &ConnectionId) -> Result<Option<StoredTokens>, StoreError>;

    /// Writes `new` if the stored revision is `expected`; `None` stands for a connection that is not stored. Returns
    /// `false` if it is not, and writes nothing. Does not change a lease.
    ///
    /// Signature: `async fn compare_and_swap(&self, connection: &ConnectionId, expected: Option<Revision>,
    /// new: &StoredTokens) -> Result<bool, StoreError>`
    ///
    /// # Errors
    ///
    /// [`StoreError`]: see the contract for whether it may have been written.
    async fn compare_and_swap(
        &self,
        connection: &ConnectionId,
        expected: Option<Revision>,
        new: &StoredTokens,
    ) -> Result<bool, StoreError>;

    /// Takes the lease of a stored connection for `duration` (at most ten minutes), by the store's clock. If `owner`
    /// already has the lease, extends it. Returns `false` if another owner has it, or the connection is not stored.
    ///
    /// Signature: `async fn lease(&self, connection: &ConnectionId, owner: &LeaseOwner, duration: Duration)
    /// -> Result<bool, StoreError>`
    ///
    /// # Errors
    ///
    /// [`StoreError`]: see the contract for whether it may have been taken.
    async fn lease(
        &self,
        connection: &ConnectionId,
        owner: &LeaseOwner,
        duration: Duration,
    ) -> Result<bool, StoreError>;

    /// Ends the lease if `owner` still has it.
    ///
    /// Signature: `async fn release(&self, connection: &ConnectionId, owner: &LeaseOwner) -> Result<(), StoreError>`
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn release(&self, connection: &ConnectionId, owner: &LeaseOwner) -> Result<(), StoreError>;

    /// Deletes a connection and its lease, regardless of the owner. Returns `false` if it was not stored.
    ///
    /// Signature: `async fn delete(&self, connection: &ConnectionId) -> Result<bool, StoreError>`
    ///
    /// # Errors
    ///
    /// [`StoreError`]: see the contract for whether it may have been deleted.
    async fn delete(&self, connection: &ConnectionId) -> Result<bool, StoreError>;
}

/// Sealed tokens and their revision.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredTokens {
    /// Identifies this write.
    pub revision: Revision,
    /// The bytes to store.
    pub sealed: Vec<u8>,
}

impl StoredTokens {
    /// Made by a store from what it has read.
    pub fn new(revision: Revision, sealed: Vec<u8>) -> Self {
        Self { revision, sealed }
    }
}

/// Shows the length of the sealed bytes only.
impl fmt::Debug for StoredTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredTokens({:?}, {} bytes sealed)", self.revision, self.sealed.len())
    }
}

/// Identifies one write of a connection. It is a random number and not a counter, so that it is not used again after
/// the connection was deleted: as long as the revision is the same, there was no write.
///
/// ```
/// use codehost_oauth::keeper::Revision;
///
/// assert_eq!(Revision::from_i64(7).to_i64(), 7);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Revision(i64);

impl Revision {
    /// Made by a store from the number that it has read.
    pub fn from_i64(number: i64) -> Self {
        Self(number)
    }

    /// The number to store. It can be negative.
    pub fn to_i64(self) -> i64 {
        self.0
    }

    pub(super) fn random() -> Result<Self, SealError> {
        let mut bytes = [0; 8];
        crate::util::random::fill(&mut bytes).map_err(|_| SealError::Random)?;
        Ok(Self(i64::from_le_bytes(bytes)))
    }

    /// A number from 0 to 1, the same on every node.
    pub(super) fn fraction(self) -> f64 {
        f64::from(self.0.rem_euclid(1000) as u16) / 1000.0
    }
}

/// The owner of a lease: one refresh in one process. It is not used again.
///
/// ```
/// use codehost_oauth::keeper::LeaseOwner;
///
/// assert_eq!(LeaseOwner::random()?.as_str().len(), 32);
/// # Ok::<(), codehost_oauth::error::SealError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaseOwner(Box<str>);

impl LeaseOwner {
    /// A new, unique owner.
    ///
    /// # Errors
    ///
    /// [`SealError::Random`] if the system gives no random bytes.
    pub fn random() -> Result<Self, SealError> {
        let mut bytes = [0; 16];
        crate::util::random::fill(&mut bytes).map_err(|_| SealError::Random)?;
        Ok(Self(hex(&bytes).into()))
    }

    /// 32 characters of `0-9` and `a-f`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: TokenStore + ?Sized> TokenStore for Arc<S> {
    async fn load(&self, connection: &ConnectionId) -> Result<Option<StoredTokens>, StoreError> {
        (**self).load(connection).await
    }

    async fn compare_and_swap(
        &self,
        connection: &ConnectionId,
        expected: Option<Revision>,
        new: &StoredTokens,
    ) -> Result<bool, StoreError> {
        (**self).compare_and_swap(connection, expected, new).await
    }

    async fn lease(
        &self,
        connection: &ConnectionId,
        owner: &LeaseOwner,
        duration: Duration,
    ) -> Result<bool, StoreError> {
        (**self).lease(connection, owner, duration).await
    }

    async fn release(&self, connection: &ConnectionId, owner: &LeaseOwner) -> Result<(), StoreError> {
        (**self).release(connection, owner).await
    }

    async fn delete(&self, connection: &ConnectionId) -> Result<bool, StoreError> {
        (**self).delete(connection).await
    }
}

/// The longest lease. After a clock was set back, a lease that seems to be longer does not count.
const MAX_LEASE: Duration = Duration::from_secs(600);
