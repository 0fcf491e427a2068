use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::sql::{self, COLUMNS, HEALTH};
use super::{
    IntegrationStore, IntegrationWrite, StoreTransaction, StoredBefore, StoredIntegration, UnreadableIntegration,
    WriteError, WriteHook, Written,
};
use crate::error::StoreError;
use crate::settings::health::{Health, HealthNote};
use crate::sql::sqlite::{BEGIN, failed};
use crate::sql::{Schema, sqlite};
use crate::values::integration_id::IntegrationId;

/// Keeps integrations in a file, for all processes of one machine. Do not use a network file system: SQLite's locks do not
/// work there.
///
/// The file can be that of [`keeper::SqliteTokens`](crate::keeper::SqliteTokens), and the app can have tables in it: a
/// [`WriteHook`] gets [`StoreTransaction::Sqlite`]. The tables are those of `docs/stores.md`.
///
/// ```
/// use codehost_oauth::settings::{IntegrationStore, SqliteIntegrations};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("codehost-oauth-doc-integrations-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let store = SqliteIntegrations::open(folder.join("app.db")).await?;
/// assert!(store.list(None).await?.is_empty());
/// # drop(store);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone)]
pub struct SqliteIntegrations {
    pool: SqlitePool,
}

impl SqliteIntegrations {
    /// Opens the file; creates it and its tables if they are missing, and upgrades tables of an older version. The file is in
    /// WAL mode with `synchronous = FULL`, so writes survive a power cut.
    ///
    /// # Errors
    ///
    /// [`StoreError::Schema`] for tables of a newer version; others if the file cannot be opened or written.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::with_pool(sqlite::open(path).await?).await
    }

    /// The same in the app's own pool, whose settings stay as they are. Its connections should be in WAL mode, have a
    /// `busy_timeout`, and be at least two.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn with_pool(pool: SqlitePool) -> Result<Self, StoreError> {
        sqlite::migrate(&pool, &SCHEMA).await?;
        Ok(Self { pool })
    }

    async fn row(&self, sql: &str, id: &IntegrationId) -> Result<Option<SqliteRow>, StoreError> {
        sqlx::query(sql).bind(id.as_str()).fetch_optional(&self.pool).await.map_err(failed)
    }
}

#[async_trait]
impl IntegrationStore for SqliteIntegrations {
    async fn load(&self, id: &IntegrationId) -> Result<Option<StoredIntegration>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM codehost_oauth_integrations WHERE id = $1 AND NOT is_deleted");
        let row = self.row(&sql, id).await?;
        Ok(row.as_ref().map(sql::stored).transpose()?.transpose()?)
    }

    async fn version(&self, id: &IntegrationId) -> Result<Option<i64>, StoreError> {
        let query = "SELECT version FROM codehost_oauth_integrations WHERE id = $1 AND NOT is_deleted";
        sqlx::query_scalar(query).bind(id.as_str()).fetch_optional(&self.pool).await.map_err(failed)
    }

    async fn list(
        &self,
        owner: Option<&str>,
    ) -> Result<Vec<Result<StoredIntegration, UnreadableIntegration>>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM codehost_oauth_integrations WHERE owner IS $1 AND NOT is_deleted ORDER BY name, id"
        );
        let rows = sqlx::query(&sql).bind(owner).fetch_all(&self.pool).await.map_err(failed)?;
        Ok(sql::list(&rows))
    }

    async fn write(&self, write: &IntegrationWrite, hook: &dyn WriteHook) -> Result<Written, WriteError> {
        // Dropped before the commit, it is rolled back.
        let mut transaction = self.pool.begin_with(BEGIN).await.map_err(failed)?;
        let select = format!("SELECT {COLUMNS}, is_deleted FROM codehost_oauth_integrations WHERE id = $1");
        let row = sqlx::query(&select).bind(write.id().as_str()).fetch_optional(&mut *transaction).await;
        let mut before = match write.check(sql::found(row.map_err(failed)?.as_ref())?)? {
            Ok(before) => before,
            Err(written) => return Ok(written),
        };
        if let (StoredBefore::Nothing { of_owner }, Some(new)) = (&mut before, write.integration()) {
            let count = sqlx::query_scalar::<_, i64>(COUNT).bind(&new.owner).fetch_one(&mut *transaction).await;
            *of_owner = count.map_err(failed)?.unsigned_abs();
        }
        let before_result = hook.before(write, &before, &mut StoreTransaction::Sqlite(&mut transaction)).await;
        before_result.map_err(WriteError::Refused)?;
        sql::statement(write)?.execute(&mut *transaction).await.map_err(failed)?;
        let after_result = hook.after(write, &before, &mut StoreTransaction::Sqlite(&mut transaction)).await;
        after_result.map_err(WriteError::Refused)?;
        transaction.commit().await.map_err(failed)?;
        Ok(Written::Done)
    }

    async fn health(&self, ids: &[IntegrationId]) -> Result<Vec<Health>, StoreError> {
        let sql = format!(
            "SELECT {HEALTH} FROM codehost_oauth_integrations \
             WHERE id IN (SELECT value FROM json_each($1)) AND NOT is_deleted"
        );
        let array = serde_json::Value::from_iter(ids.iter().map(IntegrationId::as_str)).to_string();
        let rows = sqlx::query(&sql).bind(array).fetch_all(&self.pool).await.map_err(failed)?;
        sql::health(ids, &rows)
    }

    async fn note(&self, notes: &[HealthNote]) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin_with(BEGIN).await.map_err(failed)?;
        for note in notes {
            sql::note(note).execute(&mut *transaction).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }
}

/// Without the path.
impl fmt::Debug for SqliteIntegrations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteIntegrations")
    }
}

/// How many integrations an owner has.
const COUNT: &str = "SELECT count(*) FROM codehost_oauth_integrations WHERE owner IS $1 AND NOT is_deleted";

const SCHEMA: Schema = Schema { version_table: "codehost_oauth_integrations_schema", migrations: &[VERSION_1] };

const VERSION_1: &str = "
CREATE TABLE codehost_oauth_integrations (
    id TEXT PRIMARY KEY NOT NULL,
    owner TEXT,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    is_disabled INTEGER NOT NULL,
    settings TEXT NOT NULL,
    sealed_secrets BLOB NOT NULL,
    proposed_settings TEXT,
    proposed_secrets BLOB,
    proposed_by TEXT,
    proposed_at INTEGER,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    is_deleted INTEGER NOT NULL,
    last_login_at INTEGER,
    last_failure_code TEXT,
    last_failure_at INTEGER
);
CREATE INDEX codehost_oauth_integrations_by_owner ON codehost_oauth_integrations (owner) WHERE NOT is_deleted;
";
