//! Where integrations are kept.

mod memory_store;
#[cfg(feature = "postgres")]
mod postgres_store;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite_store;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;

pub use self::memory_store::MemoryIntegrations;
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub use self::postgres_store::PostgresIntegrations;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use self::sqlite_store::SqliteIntegrations;
use super::health::{Health, HealthNote};
use super::integration_settings::IntegrationSettings;
use crate::error::{AppError, StoreError};
use crate::values::integration_id::IntegrationId;

/// Stores the integrations of an app, for all its nodes.
///
/// Implement it for another database, and check the implementation with `testing::integration_store_conformance`.
///
/// # Contract
///
/// - Every method is one atomic operation, and all nodes see the operations in the same order.
/// - A [`write`](Self::write) is one transaction: the write and what the [`WriteHook`] does in it happen together or not at all,
///   also after a crash.
/// - A deleted integration leaves its id behind, which is never stored again.
/// - After [`StoreError::TimedOut`] or [`StoreError::Unreachable`] the write may have been done; after any other error it has not
///   been done.
#[async_trait]
pub trait IntegrationStore: fmt::Debug + Send + Sync + 'static {
    /// The stored integration; `None` if there is none, or if it was deleted.
    ///
    /// Signature: `async fn load(&self, id: &IntegrationId) -> Result<Option<StoredIntegration>, StoreError>`
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn load(&self, id: &IntegrationId) -> Result<Option<StoredIntegration>, StoreError>;

    /// The version of the stored integration; `None` as in [`load`](Self::load). It is read often, so it should cost one
    /// look-up by the key.
    ///
    /// Signature: `async fn version(&self, id: &IntegrationId) -> Result<Option<i64>, StoreError>`
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn version(&self, id: &IntegrationId) -> Result<Option<i64>, StoreError>;

    /// The integrations of one owner, or those without an owner, by name and id.
    ///
    /// Signature: `async fn list(&self, owner: Option<&str>) -> Result<Vec<StoredIntegration>, StoreError>`
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn list(&self, owner: Option<&str>) -> Result<Vec<StoredIntegration>, StoreError>;

    /// Writes in one transaction, if the stored version is the expected one: calls [`WriteHook::before`], writes, calls
    /// [`WriteHook::after`], and commits. The hook is not called for a write that is not done. Of a new integration, it counts
    /// those of its owner, so that an app can limit their number.
    ///
    /// Signature: `async fn write(&self, write: &IntegrationWrite, hook: &dyn WriteHook) -> Result<Written, WriteError>`
    ///
    /// # Errors
    ///
    /// [`WriteError::Refused`] with the hook's error: then nothing is written. [`WriteError::Store`].
    async fn write(&self, write: &IntegrationWrite, hook: &dyn WriteHook) -> Result<Written, WriteError>;

    /// What is known about the logins of these integrations, in their order. Of one that has no note, or was deleted: the
    /// default.
    ///
    /// Signature: `async fn health(&self, ids: &[IntegrationId]) -> Result<Vec<Health>, StoreError>`
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn health(&self, ids: &[IntegrationId]) -> Result<Vec<Health>, StoreError>;

    /// Notes what happened. A note that is older than the stored one, or about an integration that is not stored, changes
    /// nothing. Does not change the version.
    ///
    /// Signature: `async fn note(&self, notes: &[HealthNote]) -> Result<(), StoreError>`
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn note(&self, notes: &[HealthNote]) -> Result<(), StoreError>;
}

/// An integration as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredIntegration {
    /// The id.
    pub id: IntegrationId,
    /// The organization that it belongs to, if the app has several.
    pub owner: Option<String>,
    /// The number of this write, from 1 on. Each write has the next one.
    pub version: i64,
    /// Whether it was disabled: it is kept, but nobody can log in.
    pub is_disabled: bool,
    /// The settings.
    pub settings: IntegrationSettings,
    /// The [sealed](super::IntegrationSecrets::seal) secrets.
    pub sealed_secrets: Vec<u8>,
    /// Another base URL for the same server, until a test login has proved it.
    pub proposed: Option<Proposal>,
    /// Who created it, and when.
    pub created: Stamp,
    /// Who wrote it last, and when.
    pub changed: Stamp,
}

impl StoredIntegration {
    /// A new one with version 1, enabled.
    pub fn new(
        id: IntegrationId,
        owner: Option<&str>,
        settings: IntegrationSettings,
        sealed_secrets: Vec<u8>,
        created: Stamp,
    ) -> Self {
        Self {
            id,
            owner: owner.map(str::to_owned),
            version: 1,
            is_disabled: false,
            settings,
            sealed_secrets,
            proposed: None,
            changed: created.clone(),
            created,
        }
    }
}

/// Settings that replace the stored ones if a test login succeeds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proposal {
    /// The settings.
    pub settings: IntegrationSettings,
    /// Their sealed secrets.
    pub sealed_secrets: Vec<u8>,
    /// Who proposed it, and when.
    pub proposed: Stamp,
}

impl Proposal {
    /// Settings, their sealed secrets, and who proposed them.
    pub fn new(settings: IntegrationSettings, sealed_secrets: Vec<u8>, proposed: Stamp) -> Self {
        Self { settings, sealed_secrets, proposed }
    }
}

/// Who did something, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stamp {
    /// The name of the administrator, as the app says it.
    pub by: String,
    /// When, to the second.
    pub at: SystemTime,
}

impl Stamp {
    /// Somebody at some time.
    pub fn new(by: &str, at: SystemTime) -> Self {
        let seconds = crate::util::time::unix_seconds(at);
        let at = SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(seconds)).unwrap_or(at);
        Self { by: by.to_owned(), at }
    }

    /// Somebody, now.
    pub fn now(by: &str) -> Self {
        Self::new(by, SystemTime::now())
    }
}

/// What [`IntegrationStore::write`] does.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum IntegrationWrite {
    /// Stores a new integration, whose id was never used.
    Create(Box<StoredIntegration>),
    /// Replaces the one with this id, if its version is the one before the new one's.
    Replace(Box<StoredIntegration>),
    /// Deletes everything but the id, if the stored version is this one.
    Delete {
        /// The id.
        id: IntegrationId,
        /// The version that was read.
        version: i64,
    },
}

impl IntegrationWrite {
    /// The id of the integration.
    pub fn id(&self) -> &IntegrationId {
        match self {
            Self::Create(new) | Self::Replace(new) => &new.id,
            Self::Delete { id, .. } => id,
        }
    }

    /// What is stored afterwards; `None` if it is deleted.
    pub fn new(&self) -> Option<&StoredIntegration> {
        match self {
            Self::Create(new) | Self::Replace(new) => Some(new),
            Self::Delete { .. } => None,
        }
    }

    /// What is stored before the write, or why it cannot be done. Of a new one, the owner's others are not counted yet.
    fn check(&self, found: Found) -> Result<StoredBefore, Written> {
        match (self, found) {
            (Self::Create(_), Found::Nothing) => Ok(StoredBefore::Nothing { of_owner: 0 }),
            (Self::Create(_), Found::Deleted | Found::Stored(_)) => Err(Written::IdTaken),
            (Self::Replace(new), Found::Stored(old)) if old.version == new.version.saturating_sub(1) => {
                Ok(StoredBefore::Integration(old))
            }
            (Self::Delete { version, .. }, Found::Stored(old)) if old.version == *version => {
                Ok(StoredBefore::Integration(old))
            }
            (_, Found::Stored(newer)) => Err(Written::Stale(Some(newer))),
            (_, Found::Nothing | Found::Deleted) => Err(Written::Stale(None)),
        }
    }
}

/// What is stored for an id.
enum Found {
    Nothing,
    Deleted,
    Stored(Box<StoredIntegration>),
}

/// What is stored for an id before a write.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoredBefore {
    /// Nothing: the integration is new.
    Nothing {
        /// How many integrations its owner has already. No other transaction adds one before this one ends.
        of_owner: u64,
    },
    /// The integration that is replaced or deleted.
    Integration(Box<StoredIntegration>),
}

impl StoredBefore {
    /// The integration, if there is one.
    pub fn integration(&self) -> Option<&StoredIntegration> {
        match self {
            Self::Nothing { .. } => None,
            Self::Integration(stored) => Some(stored),
        }
    }
}

/// The outcome of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Written {
    /// It is done.
    Done,
    /// Somebody else wrote or deleted it first: the one that is stored now. Nothing was written.
    Stale(Option<Box<StoredIntegration>>),
    /// There is or was an integration with this id. Nothing was written.
    IdTaken,
}

/// Why a write failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The app's hook refused it.
    #[error("the app refused the write")]
    Refused(#[source] AppError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an app does in the transaction of a write: check rights, and change its own tables where they are in the same database.
/// An error ends the transaction, and nothing is written.
///
/// Do not wait for anything else in it: other writes may have to wait meanwhile.
#[async_trait]
pub trait WriteHook: Send + Sync {
    /// Called in the transaction before the write. `stored` is what is stored until then.
    ///
    /// Signature: `async fn before(&self, write: &IntegrationWrite, stored: &StoredBefore,
    /// transaction: &mut StoreTransaction<'_>) -> Result<(), AppError>`
    ///
    /// # Errors
    ///
    /// The app's reason to refuse the write.
    async fn before(
        &self,
        write: &IntegrationWrite,
        stored: &StoredBefore,
        transaction: &mut StoreTransaction<'_>,
    ) -> Result<(), AppError> {
        let (_, _, _) = (write, stored, transaction);
        Ok(())
    }

    /// Called in the transaction after the write, with the same.
    ///
    /// Signature: `async fn after(&self, write: &IntegrationWrite, stored: &StoredBefore,
    /// transaction: &mut StoreTransaction<'_>) -> Result<(), AppError>`
    ///
    /// # Errors
    ///
    /// The app's reason to refuse the write.
    async fn after(
        &self,
        write: &IntegrationWrite,
        stored: &StoredBefore,
        transaction: &mut StoreTransaction<'_>,
    ) -> Result<(), AppError> {
        let (_, _, _) = (write, stored, transaction);
        Ok(())
    }
}

/// Does nothing.
impl WriteHook for () {}

/// The transaction of a write, for an app with its own tables in the same database.
#[non_exhaustive]
pub enum StoreTransaction<'t> {
    /// Of a store without transactions for the app.
    None,
    /// A connection to SQLite, inside the transaction. Do not end it.
    #[cfg(feature = "sqlite")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
    Sqlite(&'t mut sqlx::SqliteConnection),
    /// A connection to PostgreSQL, inside the transaction. Do not end it.
    #[cfg(feature = "postgres")]
    #[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
    Postgres(&'t mut sqlx::PgConnection),
    /// That of another store, which says what it is.
    Other(&'t mut (dyn Any + Send)),
}

impl fmt::Debug for StoreTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreTransaction")
    }
}

#[async_trait]
impl<S: IntegrationStore + ?Sized> IntegrationStore for Arc<S> {
    async fn load(&self, id: &IntegrationId) -> Result<Option<StoredIntegration>, StoreError> {
        (**self).load(id).await
    }

    async fn version(&self, id: &IntegrationId) -> Result<Option<i64>, StoreError> {
        (**self).version(id).await
    }

    async fn list(&self, owner: Option<&str>) -> Result<Vec<StoredIntegration>, StoreError> {
        (**self).list(owner).await
    }

    async fn write(&self, write: &IntegrationWrite, hook: &dyn WriteHook) -> Result<Written, WriteError> {
        (**self).write(write, hook).await
    }

    async fn health(&self, ids: &[IntegrationId]) -> Result<Vec<Health>, StoreError> {
        (**self).health(ids).await
    }

    async fn note(&self, notes: &[HealthNote]) -> Result<(), StoreError> {
        (**self).note(notes).await
    }
}
