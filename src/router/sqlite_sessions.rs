use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use sqlx::sqlite::SqlitePool;
use tower_sessions_core::SessionStore;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_core::session_store::{Error, Result as SessionResult};

use crate::error::StoreError;
use crate::observe;
use crate::sql::{Schema, sqlite};

/// Keeps the sessions of [tower-sessions](https://docs.rs/tower-sessions) 0.15 in a file, for all processes of one machine. Do not
/// use a network file system: SQLite's locks do not work there.
///
/// A session that was deleted does not come back when another request that has read it before is saved. Ids are stored as digests,
/// so nobody can use a session who has read the file; its data is stored as it is. A session whose data cannot be read is
/// deleted. The file can be that of [`keeper::SqliteTokens`](crate::keeper::SqliteTokens) or of the app. Each new session deletes
/// those that have expired.
///
/// ```
/// use codehost_oauth::router::SqliteSessions;
/// use tower_sessions_core::Session;
/// # use std::sync::Arc;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("codehost-oauth-doc-sessions-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// // With tower-sessions: `SessionManagerLayer::new(store)`.
/// let store = SqliteSessions::open(folder.join("app.db")).await?;
/// let session = Session::new(None, Arc::new(store.clone()), None);
/// session.insert("user", "jane").await?;
/// session.save().await?;
///
/// let again = Session::new(session.id(), Arc::new(store), None);
/// assert_eq!(again.get::<String>("user").await?.as_deref(), Some("jane"));
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone)]
pub struct SqliteSessions {
    pool: SqlitePool,
}

impl SqliteSessions {
    /// Opens the file; creates it and its tables if they are missing, and upgrades tables of an older version. The file is in
    /// WAL mode with `synchronous = FULL`, so a log-out survives a power cut.
    ///
    /// # Errors
    ///
    /// [`StoreError::Schema`] for tables of a newer version; others if the file cannot be opened or written.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::with_pool(sqlite::open(path).await?).await
    }

    /// The same in the app's own pool, whose settings stay as they are. Its connections should be in WAL mode and have a
    /// `busy_timeout`.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn with_pool(pool: SqlitePool) -> Result<Self, StoreError> {
        sqlite::migrate(&pool, &SCHEMA).await?;
        Ok(Self { pool })
    }

    async fn write(&self, statement: &str, record: &Record) -> SessionResult<()> {
        let data = Record { id: Id(0), ..record.clone() };
        let data = serde_json::to_string(&data).map_err(|_| Error::Encode("no JSON".to_owned()))?;
        let write =
            sqlx::query(statement).bind(data).bind(record.expiry_date.unix_timestamp()).bind(digest(&record.id));
        write.execute(&self.pool).await.map(drop).map_err(failed)
    }
}

#[async_trait]
impl SessionStore for SqliteSessions {
    async fn create(&self, record: &mut Record) -> SessionResult<()> {
        let expired = sqlx::query("DELETE FROM codehost_oauth_sessions WHERE expires <= unixepoch()");
        expired.execute(&self.pool).await.map_err(failed)?;
        // Two random ids are never the same.
        self.write("INSERT INTO codehost_oauth_sessions (data, expires, id) VALUES (?1, ?2, ?3)", record).await
    }

    async fn save(&self, record: &Record) -> SessionResult<()> {
        // Inserts nothing: a session that was deleted in the meantime stays deleted.
        self.write("UPDATE codehost_oauth_sessions SET data = ?1, expires = ?2 WHERE id = ?3", record).await
    }

    async fn load(&self, id: &Id) -> SessionResult<Option<Record>> {
        // As bytes, because what somebody else has written there can be of any type.
        let sql = "SELECT CAST(data AS BLOB) FROM codehost_oauth_sessions WHERE id = ?1 AND expires > unixepoch()";
        let found = sqlx::query_scalar(sql).bind(digest(id)).fetch_optional(&self.pool);
        let Some(data): Option<Vec<u8>> = found.await.map_err(failed)? else { return Ok(None) };
        let Ok(record) = serde_json::from_slice::<Record>(&data) else {
            observe::error("a session was deleted, because its data could not be read: its user must log in again");
            self.delete(id).await?;
            return Ok(None);
        };
        Ok(Some(Record { id: *id, ..record }))
    }

    async fn delete(&self, id: &Id) -> SessionResult<()> {
        let delete = sqlx::query("DELETE FROM codehost_oauth_sessions WHERE id = ?1").bind(digest(id));
        delete.execute(&self.pool).await.map(drop).map_err(failed)
    }
}

impl fmt::Debug for SqliteSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteSessions")
    }
}

fn digest(id: &Id) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(id.0.to_le_bytes()))
}

fn failed(error: sqlx::Error) -> Error {
    Error::Backend(sqlite::failed(error).to_string())
}

const SCHEMA: Schema = Schema {
    version_table: "codehost_oauth_sessions_schema",
    migrations: &[
        "CREATE TABLE codehost_oauth_sessions (id TEXT PRIMARY KEY, data TEXT NOT NULL, expires INTEGER NOT NULL);
         CREATE INDEX codehost_oauth_sessions_by_expiry ON codehost_oauth_sessions (expires);",
    ],
};
