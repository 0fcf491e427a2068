use std::any::Any;
use std::fmt;

use async_trait::async_trait;

use super::IntegrationWrite;
use super::stored::{StoredIntegration, UnreadableIntegration};
use crate::error::AppError;

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
        let _ = (write, stored, transaction);
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
        let _ = (write, stored, transaction);
        Ok(())
    }
}

/// Does nothing.
impl WriteHook for () {}

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
    /// One that cannot be read, and is deleted.
    Unreadable(Box<UnreadableIntegration>),
}

impl StoredBefore {
    /// The integration, if there is one that can be read.
    pub fn integration(&self) -> Option<&StoredIntegration> {
        match self {
            Self::Integration(stored) => Some(stored),
            Self::Nothing { .. } | Self::Unreadable(_) => None,
        }
    }
}

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
