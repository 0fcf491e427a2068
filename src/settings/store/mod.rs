//! Where integrations are kept.

mod hook;
mod memory_integrations;
#[cfg(feature = "postgres")]
mod postgres_integrations;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite_integrations;
mod stored;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

pub use self::hook::{StoreTransaction, StoredBefore, WriteHook};
pub use self::memory_integrations::MemoryIntegrations;
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub use self::postgres_integrations::PostgresIntegrations;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use self::sqlite_integrations::SqliteIntegrations;
pub use self::stored::{Proposal, Stamp, StoredIntegration, UnreadableIntegration};
use super::health::{Health, HealthNote};
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
/// - Writes of integrations of one owner are done one after the other, with their hooks: a hook that reads the owner's other
///   integrations in the transaction sees what the writes before have done.
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
    /// [`StoreError::Malformed`] if its settings cannot be read.
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

    /// The integrations of one owner, or those without an owner, by name and id. One that cannot be read does not hide the others.
    ///
    /// Signature: `async fn list(&self, owner: Option<&str>)
    /// -> Result<Vec<Result<StoredIntegration, UnreadableIntegration>>, StoreError>`
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn list(
        &self,
        owner: Option<&str>,
    ) -> Result<Vec<Result<StoredIntegration, UnreadableIntegration>>, StoreError>;

    /// Writes in one transaction, if the stored version is the expected one: calls [`WriteHook::before`], writes, calls
    /// [`WriteHook::after`], and commits. The hook is not called for a write that is not done. Of a new integration, it counts
    /// those of its owner, so that an app can limit their number. One whose settings cannot be read can be deleted, and not
    /// replaced.
    ///
    /// Signature: `async fn write(&self, write: &IntegrationWrite, hook: &dyn WriteHook) -> Result<Written, WriteError>`
    ///
    /// # Errors
    ///
    /// [`WriteError::Refused`] with the hook's error: then nothing is written. [`WriteError::Store`], with
    /// [`StoreError::Malformed`] if what it would replace cannot be read.
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
    pub fn integration(&self) -> Option<&StoredIntegration> {
        match self {
            Self::Create(new) | Self::Replace(new) => Some(new),
            Self::Delete { .. } => None,
        }
    }

    /// What is stored before the write, or why it cannot be done. Of a new one, the owner's others are not counted yet.
    ///
    /// # Errors
    ///
    /// [`StoreError::Malformed`].
    fn check(&self, found: Found) -> Result<Result<StoredBefore, Written>, StoreError> {
        Ok(match (self, found) {
            (Self::Create(_), Found::Nothing) => Ok(StoredBefore::Nothing { of_owner: 0 }),
            (Self::Create(_), _) => Err(Written::IdTaken),
            (Self::Replace(new), Found::Stored(old)) if old.version == new.version.saturating_sub(1) => {
                Ok(StoredBefore::Integration(old))
            }
            (Self::Delete { version, .. }, Found::Stored(old)) if old.version == *version => {
                Ok(StoredBefore::Integration(old))
            }
            (Self::Delete { version, .. }, Found::Unreadable(old)) if old.version == *version => {
                Ok(StoredBefore::Unreadable(old))
            }
            (_, Found::Unreadable(unreadable)) => return Err((*unreadable).into()),
            (_, Found::Stored(newer)) => Err(Written::Stale(Some(newer))),
            (_, Found::Nothing | Found::Deleted) => Err(Written::Stale(None)),
        })
    }
}

/// What is stored for an id.
enum Found {
    Nothing,
    Deleted,
    Stored(Box<StoredIntegration>),
    Unreadable(Box<UnreadableIntegration>),
}

impl From<Result<StoredIntegration, UnreadableIntegration>> for Found {
    fn from(stored: Result<StoredIntegration, UnreadableIntegration>) -> Self {
        match stored {
            Ok(stored) => Self::Stored(Box::new(stored)),
            Err(unreadable) => Self::Unreadable(Box::new(unreadable)),
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

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: IntegrationStore + ?Sized> IntegrationStore for Arc<S> {
    async fn load(&self, id: &IntegrationId) -> Result<Option<StoredIntegration>, StoreError> {
        (**self).load(id).await
    }

    async fn version(&self, id: &IntegrationId) -> Result<Option<i64>, StoreError> {
        (**self).version(id).await
    }

    async fn list(
        &self,
        owner: Option<&str>,
    ) -> Result<Vec<Result<StoredIntegration, UnreadableIntegration>>, StoreError> {
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
