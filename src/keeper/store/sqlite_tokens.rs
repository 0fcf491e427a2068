use std::fmt;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::SqlitePool;

use super::sql::{millis, stored};
use super::{LeaseOwner, MAX_LEASE, Revision, StoredTokens, TokenStore};
use crate::error::StoreError;
use crate::keeper::ConnectionId;
use crate::sql::sqlite::failed;
use crate::sql::{Schema, sqlite};

/// Keeps tokens in a file, for all processes of one machine. Do not use a network file system: SQLite's locks do not
/// work there.
///
/// The file is in WAL mode with `synchronous = FULL`, so writes survive a power cut. The tables are those of
/// `docs/stores.md`.
///
/// ```
/// use codehost_oauth::keeper::{SqliteTokens, TokenStore};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("codehost-oauth-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let store = SqliteTokens::open(folder.join("tokens.db")).await?;
/// assert!(store.load(&"gitlab:demo:42".parse()?).await?.is_none());
/// # drop(store);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
pub struct SqliteTokens {
    pool: SqlitePool,
}

impl SqliteTokens {
    /// Opens the file; creates it and its tables if they are missing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Schema`] for tables of another version; others if the file cannot be opened or written.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let pool = sqlite::open(path).await?;
        sqlite::migrate(&pool, &SCHEMA).await?;
        Ok(Self { pool })
    }
}

#[async_trait]
impl TokenStore for SqliteTokens {
    async fn load(&self, connection: &ConnectionId) -> Result<Option<StoredTokens>, StoreError> {
        let query = sqlx::query("SELECT revision, sealed FROM codehost_oauth_tokens WHERE connection = ?1");
        let row = query.bind(connection.as_str()).fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(stored).transpose()
    }

    async fn compare_and_swap(
        &self,
        connection: &ConnectionId,
        expected: Option<Revision>,
        new: &StoredTokens,
    ) -> Result<bool, StoreError> {
        let query = match expected {
            Some(expected) => sqlx::query(
                "UPDATE codehost_oauth_tokens SET revision = ?2, sealed = ?3 WHERE connection = ?1 AND revision = ?4",
            )
            .bind(connection.as_str())
            .bind(new.revision.to_i64())
            .bind(new.sealed.as_slice())
            .bind(expected.to_i64()),
            None => sqlx::query(
                "INSERT INTO codehost_oauth_tokens (connection, revision, sealed) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (connection) DO NOTHING",
            )
            .bind(connection.as_str())
            .bind(new.revision.to_i64())
            .bind(new.sealed.as_slice()),
        };
        Ok(query.execute(&self.pool).await.map_err(failed)?.rows_affected() == 1)
    }

    async fn lease(
        &self,
        connection: &ConnectionId,
        owner: &LeaseOwner,
        duration: Duration,
    ) -> Result<bool, StoreError> {
        // A lease that ends too far in the future was set before the clock was set back.
        let query = sqlx::query(
            "UPDATE codehost_oauth_tokens \
             SET lease_owner = ?2, lease_until = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?3 \
             WHERE connection = ?1 AND (lease_owner IS NULL OR lease_owner = ?2 OR lease_until NOT BETWEEN \
             CAST(unixepoch('subsec') * 1000 AS INTEGER) AND CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?4)",
        );
        let query = query.bind(connection.as_str()).bind(owner.as_str()).bind(millis(duration)).bind(millis(MAX_LEASE));
        Ok(query.execute(&self.pool).await.map_err(failed)?.rows_affected() == 1)
    }

    async fn release(&self, connection: &ConnectionId, owner: &LeaseOwner) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE codehost_oauth_tokens SET lease_owner = NULL, lease_until = NULL \
             WHERE connection = ?1 AND lease_owner = ?2",
        );
        query.bind(connection.as_str()).bind(owner.as_str()).execute(&self.pool).await.map_err(failed)?;
        Ok(())
    }

    async fn delete(&self, connection: &ConnectionId) -> Result<bool, StoreError> {
        let query = sqlx::query("DELETE FROM codehost_oauth_tokens WHERE connection = ?1");
        Ok(query.bind(connection.as_str()).execute(&self.pool).await.map_err(failed)?.rows_affected() == 1)
    }
}

/// Without the path.
impl fmt::Debug for SqliteTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteTokens")
    }
}

const SCHEMA: Schema = Schema { version_table: "codehost_oauth_schema", migrations: &[VERSION_1] };

const VERSION_1: &str = "
CREATE TABLE codehost_oauth_tokens (
    connection TEXT PRIMARY KEY NOT NULL,
    revision INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    lease_owner TEXT,
    lease_until INTEGER          -- milliseconds since 1970
) WITHOUT ROWID;
";
