use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Row as _;
use sqlx::postgres::{PgPool, PgRow};

use super::sql::{self, COLUMNS, HEALTH};
use super::{
    IntegrationStore, IntegrationWrite, StoreTransaction, StoredBefore, StoredIntegration, UnreadableIntegration,
    WriteError, WriteHook, Written,
};
use crate::error::StoreError;
use crate::settings::health::{Health, HealthNote};
use crate::sql::postgres::{CHECKS, ONE_ROW, Sessions};
use crate::sql::{Schema, failed};
use crate::values::integration_id::IntegrationId;

/// Keeps integrations in PostgreSQL, for any number of nodes. The server must be the primary: a replica returns old data.
///
/// The database can be that of [`keeper::PostgresTokens`](crate::keeper::PostgresTokens), and the app can have tables in it: a
/// [`WriteHook`] gets [`StoreTransaction::Postgres`]. A wait for a lock in its transaction ends after four seconds. Writes of one
/// owner's integrations wait for each other; where else the app changes what its hook reads, it takes a lock of its own. This
/// and the tables are in `docs/stores.md`.
///
/// ```no_run
/// use codehost_oauth::settings::{IntegrationStore, PostgresIntegrations};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresIntegrations::connect("postgres://app@db.example.com/app?sslmode=verify-full").await?;
/// assert!(store.list(None).await?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresIntegrations {
    sessions: Arc<Sessions>,
}

impl PostgresIntegrations {
    /// Connects to `postgres://user:password@host:port/database`; `?sslmode=verify-full` and `&sslrootcert=…` as in libpq.
    /// Creates the tables if they are missing, and upgrades those of an older version. It uses at most eight connections.
    ///
    /// # Errors
    ///
    /// [`StoreError::Address`] for an address that cannot be parsed; [`StoreError::Schema`] for tables of a newer version;
    /// [`StoreError::Refused`] without the right to create or upgrade tables; others if the server cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::open(Sessions::connect(url).await?).await
    }

    /// The same in the app's own pool, whose settings stay as they are.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn with_pool(pool: PgPool) -> Result<Self, StoreError> {
        Self::open(Sessions::of_pool(pool)).await
    }

    async fn open(sessions: Sessions) -> Result<Self, StoreError> {
        sessions.migrate(&SCHEMA).await?;
        Ok(Self { sessions: Arc::new(sessions) })
    }

    /// The rows of integrations that are not deleted, with these columns.
    async fn rows<T>(&self, columns: &str, condition: &str, value: T) -> Result<Vec<PgRow>, StoreError>
    where
        T: Clone + Send + Sync + for<'q> sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        let sql = format!(
            "SELECT {CHECKS}, {columns} FROM {ONE_ROW} \
             LEFT JOIN codehost_oauth_integrations ON {condition} AND NOT is_deleted ORDER BY name, id"
        );
        let mut rows = self.sessions.read(|| sqlx::query(&sql).bind(value.clone())).await?;
        // Without any, there is a row without an id.
        rows.retain(|row| !matches!(row.try_get::<Option<&str>, _>("id"), Ok(None)));
        Ok(rows)
    }
}

#[async_trait]
impl IntegrationStore for PostgresIntegrations {
    async fn load(&self, id: &IntegrationId) -> Result<Option<StoredIntegration>, StoreError> {
        let rows = self.rows(COLUMNS, "id = $1", id.as_str().to_owned()).await?;
        Ok(rows.first().map(sql::stored).transpose()?.transpose()?)
    }

    async fn version(&self, id: &IntegrationId) -> Result<Option<i64>, StoreError> {
        let rows = self.rows("id, version", "id = $1", id.as_str().to_owned()).await?;
        rows.first().map(|row| row.try_get("version").map_err(failed)).transpose()
    }

    async fn list(
        &self,
        owner: Option<&str>,
    ) -> Result<Vec<Result<StoredIntegration, UnreadableIntegration>>, StoreError> {
        let owner = owner.map(str::to_owned);
        Ok(sql::list(&self.rows(COLUMNS, of(&owner), owner).await?))
    }

    async fn write(&self, write: &IntegrationWrite, hook: &dyn WriteHook) -> Result<Written, WriteError> {
        let id = write.id().as_str();
        let select = format!("SELECT {COLUMNS}, is_deleted FROM codehost_oauth_integrations WHERE id = $1 FOR UPDATE");
        let select = || sqlx::query(&select).bind(id);
        let new_owner = write.integration().map(|new| new.owner.clone().unwrap_or_default());
        let lock_owners = || sqlx::query(LOCK_OWNERS).bind(id).bind(new_owner.as_slice());
        // Dropped before the commit, it is rolled back.
        let (mut transaction, row) = match write {
            // There is no row to lock.
            IntegrationWrite::Create(_) => {
                self.sessions.begin(|| [sqlx::query(LOCK_NEW).bind(id), lock_owners(), select()]).await?
            }
            _ => self.sessions.begin(|| [lock_owners(), select()]).await?,
        };
        let mut before = match write.check(sql::found(row.as_ref())?)? {
            Ok(before) => before,
            Err(written) => return Ok(written),
        };
        if let (StoredBefore::Nothing { of_owner }, Some(new)) = (&mut before, write.integration()) {
            let sql =
                format!("SELECT count(*) FROM codehost_oauth_integrations WHERE {} AND NOT is_deleted", of(&new.owner));
            let count = sqlx::query_scalar::<_, i64>(&sql).bind(&new.owner).fetch_one(&mut *transaction).await;
            *of_owner = count.map_err(failed)?.unsigned_abs();
        }
        let before_result = hook.before(write, &before, &mut StoreTransaction::Postgres(&mut transaction)).await;
        before_result.map_err(WriteError::Refused)?;
        sql::statement(write)?.execute(&mut *transaction).await.map_err(failed)?;
        let after_result = hook.after(write, &before, &mut StoreTransaction::Postgres(&mut transaction)).await;
        after_result.map_err(WriteError::Refused)?;
        // After an error that the hook has hidden, `COMMIT` would roll back without an error.
        sqlx::query("SELECT 1").execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(Written::Done)
    }

    async fn health(&self, ids: &[IntegrationId]) -> Result<Vec<Health>, StoreError> {
        let texts: Vec<String> = ids.iter().map(|id| id.as_str().to_owned()).collect();
        sql::health(ids, &self.rows(HEALTH, "id = ANY($1)", texts).await?)
    }

    async fn note(&self, notes: &[HealthNote]) -> Result<(), StoreError> {
        // Two nodes that lock the same rows in another order would wait for each other.
        let mut notes: Vec<_> = notes.iter().collect();
        notes.sort_by_key(|note| &note.id);
        let Some((first, others)) = notes.split_first() else { return Ok(()) };
        let (mut transaction, _) = self.sessions.begin(|| [sql::note(first)]).await?;
        for note in others {
            sql::note(note).execute(&mut *transaction).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }
}

/// Without the address, which can contain a password.
impl fmt::Debug for PostgresIntegrations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresIntegrations")
    }
}

/// The condition for the rows of an owner. An index is used for both, but not for "IS NOT DISTINCT FROM".
fn of(owner: &Option<String>) -> &'static str {
    if owner.is_some() { "owner = $1" } else { "owner IS NULL AND $1::text IS NULL" }
}

/// Lets one transaction at a time create an integration with this id. 722337203 and 722337204 are the numbers of this crate's locks.
const LOCK_NEW: &str = "SELECT pg_advisory_xact_lock(722337203, hashtext($1))";

/// Lets one transaction at a time write integrations of an owner: the one that is stored, and the new one if it is another. A hook
/// may look at all of them. Always after [`LOCK_NEW`], before the lock of the row, and in one order, so that no two transactions
/// wait for each other. If the row gets another owner meanwhile, it has another version afterwards, and nothing is written.
const LOCK_OWNERS: &str = "SELECT pg_advisory_xact_lock(722337204, number) FROM (SELECT DISTINCT hashtext(owner) AS number FROM \
     (SELECT coalesce(owner, '') AS owner FROM codehost_oauth_integrations WHERE id = $1 \
     UNION ALL SELECT unnest($2::text[])) AS owners ORDER BY number) AS numbers";

const SCHEMA: Schema = Schema { version_table: "codehost_oauth_integrations_schema", migrations: &[VERSION_1] };

const VERSION_1: &str = r#"
CREATE TABLE codehost_oauth_integrations (
    id text COLLATE "C" PRIMARY KEY,
    owner text,
    version bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    is_disabled boolean NOT NULL,
    settings text NOT NULL,
    sealed_secrets bytea NOT NULL,
    proposed_settings text,
    proposed_secrets bytea,
    proposed_by text,
    proposed_at bigint,
    created_by text NOT NULL,
    created_at bigint NOT NULL,
    changed_by text NOT NULL,
    changed_at bigint NOT NULL,
    is_deleted boolean NOT NULL,
    last_login_at bigint,
    last_failure_code text,
    last_failure_at bigint
) WITH (fillfactor = 70);
CREATE INDEX codehost_oauth_integrations_by_owner ON codehost_oauth_integrations (owner) WHERE NOT is_deleted;
"#;
