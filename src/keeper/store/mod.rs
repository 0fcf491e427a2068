//! Where tokens are kept between requests and nodes.

mod memory_store;
#[cfg(feature = "postgres")]
mod postgres_store;
#[cfg(feature = "redis")]
mod redis_store;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite_store;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use self::memory_store::MemoryStore;
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub use self::postgres_store::PostgresStore;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use self::redis_store::RedisStore;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use self::sqlite_store::SqliteStore;
use super::connection::ConnectionId;
use crate::error::SealError;
use crate::keeper::error::StoreError;

/// Keeps sealed tokens, one value for each connection, for all nodes of an app.
///
/// Implement it for another database; `testing::store_conformance` tells whether it is right.
///
/// # Contract
///
/// - Every method is one atomic step, seen by all nodes in one order. A store that answers reads from a replica is none.
/// - What was written is there after a crash of the store, as far as the app wants to rely on it: what the store forgets
///   are logins.
/// - A lease is a row or key with an end. It holds no connection and no transaction: an HTTP call is made under it.
/// - An error means "perhaps": the step may have been done. The keeper asks again. So may the store itself, on another
///   connection: a `compare_and_swap` that was done by its first try may then say `false`.
/// - The bytes are opaque, at most about 64 KiB.
///
/// ```
/// use std::time::Duration;
/// use codehost_oauth::keeper::{LeaseOwner, MemoryStore, Revision, StoredTokens, TokenStore};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::default();
/// let connection = "gitlab:demo:42".parse()?;
/// let [first, second] = [1, 2].map(|byte| StoredTokens::new(Revision::from_i64(byte), vec![7]));
///
/// assert!(store.compare_and_swap(&connection, None, &first).await?);
/// assert!(store.compare_and_swap(&connection, Some(first.revision), &second).await?);
/// // Somebody who still believes in the first one writes nothing.
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

    /// Writes `new` if the stored revision is `expected`, `None` for a connection that is not stored. `false`: it was
    /// not, and nothing was written. A lease stays as it is.
    ///
    /// Signature: `async fn compare_and_swap(&self, connection: &ConnectionId, expected: Option<Revision>,
    /// new: &StoredTokens) -> Result<bool, StoreError>`
    ///
    /// # Errors
    ///
    /// [`StoreError`]; it may have been written anyway.
    async fn compare_and_swap(
        &self,
        connection: &ConnectionId,
        expected: Option<Revision>,
        new: &StoredTokens,
    ) -> Result<bool, StoreError>;

    /// Takes the lease of a stored connection for `duration` (at most ten minutes), by the store's clock. `false`:
    /// another owner has it, or the connection is not stored. The owner that has it already gets it for longer.
    ///
    /// Signature: `async fn lease(&self, connection: &ConnectionId, owner: &LeaseOwner, duration: Duration)
    /// -> Result<bool, StoreError>`
    ///
    /// # Errors
    ///
    /// [`StoreError`]; it may have been taken anyway.
    async fn lease(
        &self,
        connection: &ConnectionId,
        owner: &LeaseOwner,
        duration: Duration,
    ) -> Result<bool, StoreError>;

    /// Gives the lease back, if `owner` still has it.
    ///
    /// Signature: `async fn release(&self, connection: &ConnectionId, owner: &LeaseOwner) -> Result<(), StoreError>`
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn release(&self, connection: &ConnectionId, owner: &LeaseOwner) -> Result<(), StoreError>;

    /// Deletes a connection with its lease, whoever has it. `false`: it was not stored.
    ///
    /// Signature: `async fn delete(&self, connection: &ConnectionId) -> Result<bool, StoreError>`
    ///
    /// # Errors
    ///
    /// [`StoreError`]; it may have been deleted anyway.
    async fn delete(&self, connection: &ConnectionId) -> Result<bool, StoreError>;
}

/// Sealed tokens, and which writing of them this is.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredTokens {
    /// Which writing.
    pub revision: Revision,
    /// The bytes to keep.
    pub sealed: Vec<u8>,
}

impl StoredTokens {
    /// What a store has read.
    pub fn new(revision: Revision, sealed: Vec<u8>) -> Self {
        Self { revision, sealed }
    }
}

/// The length of what is sealed, and not its bytes.
impl fmt::Debug for StoredTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredTokens({:?}, {} bytes sealed)", self.revision, self.sealed.len())
    }
}

/// Marks one writing. It is random, not counted: it never comes again, not even after the connection was deleted, so
/// whoever has read it can tell whether anything at all has happened since.
///
/// ```
/// use codehost_oauth::keeper::Revision;
///
/// assert_eq!(Revision::from_i64(7).to_i64(), 7);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Revision(i64);

impl Revision {
    /// What a store has read.
    pub fn from_i64(number: i64) -> Self {
        Self(number)
    }

    /// What a store keeps: any number, with its sign.
    pub fn to_i64(self) -> i64 {
        self.0
    }

    pub(super) fn random() -> Result<Self, SealError> {
        let mut bytes = [0; 8];
        crate::util::random::fill(&mut bytes).map_err(|_| SealError::Random)?;
        Ok(Self(i64::from_le_bytes(bytes)))
    }

    /// A number from 0 to 1 that every node computes alike.
    pub(super) fn fraction(self) -> f64 {
        f64::from(self.0.rem_euclid(1000) as u16) / 1000.0
    }
}

/// Who holds a lease: one refresh in one process, never used again.
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
    /// An owner like no other.
    ///
    /// # Errors
    ///
    /// [`SealError::Random`] if the system gives no random bytes.
    pub fn random() -> Result<Self, SealError> {
        let mut bytes = [0; 16];
        crate::util::random::fill(&mut bytes).map_err(|_| SealError::Random)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()))
    }

    /// 32 characters of `0-9` and `a-f`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[async_trait]
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

/// No lease is longer: a clock that was set back must not keep one for a day.
const MAX_LEASE: Duration = Duration::from_secs(600);
