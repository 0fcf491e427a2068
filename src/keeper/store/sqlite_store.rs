use std::fmt;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use super::sql::{self, SCHEMA_VERSION, check_schema_version, millis, stored};
use super::{LeaseOwner, MAX_LEASE, Revision, StoredTokens, TokenStore};
use crate::error::StoreError;
use crate::keeper::ConnectionId;

/// Keeps tokens in a file, for all processes of one machine. Do not use a network file system: SQLite's locks do not
/// work there.
///
/// The file is in WAL mode with `synchronous = FULL`, so writes survive a power cut. The tables are those of
/// `docs/stores.md`.
///
/// ```
/// use codehost_oauth::keeper::{SqliteStore, TokenStore};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("codehost-oauth-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let store = SqliteStore::open(folder.join("tokens.db")).await?;
/// assert!(store.load(&"gitlab:demo:42".parse()?).await?.is_none());
/// # drop(store);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
pub struct SqliteStore {
    pool: SqlitePool,
}

impl SqliteStore {
    /// Opens the file; creates it and its tables if they are missing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Schema`] for tables of another version; others if the file cannot be opened or written.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(MAX_WAIT);
        let pool = SqlitePoolOptions::new().max_connections(4).acquire_timeout(MAX_WAIT);
        let store = Self { pool: pool.connect_with(options).await.map_err(failed)? };
        store.enable_wal().await?;
        store.create_tables().await?;
        Ok(store)
    }

    /// Sets the file to WAL mode. SQLite needs exclusive access for that, and does not wait for it by itself.
    async fn enable_wal(&self) -> Result<(), StoreError> {
        let changed = async {
            loop {
                match sqlx::query("PRAGMA journal_mode = WAL").execute(&self.pool).await {
                    Err(error) if is_locked(&error) => tokio::time::sleep(Duration::from_millis(10)).await,
                    done => return done.map(drop).map_err(failed),
                }
            }
        };
        tokio::time::timeout(MAX_WAIT, changed).await.unwrap_or(Err(StoreError::TimedOut))
    }

    /// Creates the tables. Each statement does nothing if another process was first.
    async fn create_tables(&self) -> Result<(), StoreError> {
        for statement in CREATE {
            sqlx::query(statement).execute(&self.pool).await.map_err(failed)?;
        }
        let insert = "INSERT INTO codehost_oauth_schema (id, version) VALUES (1, ?1) ON CONFLICT (id) DO NOTHING";
        sqlx::query(insert).bind(SCHEMA_VERSION).execute(&self.pool).await.map_err(failed)?;
        let version = sqlx::query_scalar("SELECT version FROM codehost_oauth_schema WHERE id = 1");
        check_schema_version(version.fetch_one(&self.pool).await.map_err(failed)?)
    }
}

#[async_trait]
impl TokenStore for SqliteStore {
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
impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteStore")
    }
}

/// How long a call waits for other writers.
const MAX_WAIT: Duration = Duration::from_secs(4);

fn failed(error: sqlx::Error) -> StoreError {
    if is_locked(&error) { StoreError::TimedOut } else { sql::failed(error) }
}

/// `SQLITE_BUSY`, also as the lowest byte of an extended code.
fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}

const CREATE: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS codehost_oauth_schema (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS codehost_oauth_tokens (connection TEXT PRIMARY KEY NOT NULL, revision INTEGER NOT NULL, \
     sealed BLOB NOT NULL, lease_owner TEXT, lease_until INTEGER) WITHOUT ROWID",
];
