use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::Row as _;
use sqlx::postgres::PgPool;

use super::sql::{millis, stored};
use super::{LeaseOwner, MAX_LEASE, Revision, StoredTokens, TokenStore};
use crate::error::StoreError;
use crate::keeper::ConnectionId;
use crate::sql::postgres::{CHECKS, ONE_ROW, Sessions};
use crate::sql::{Schema, failed};

/// Keeps tokens in PostgreSQL, for any number of nodes. The server must be the primary: a replica returns old data.
///
/// After a fail-over the address must lead to the new primary. Sessions with a server that shuts down, or has become a
/// replica, are closed automatically.
///
/// It uses a pool of at most eight connections, and holds none of them during requests to the code host. It uses
/// prepared statements, so a pooler in front of the server must support them (PgBouncer 1.21 or later). The tables are
/// those of `docs/stores.md`.
///
/// ```no_run
/// use codehost_oauth::keeper::{PostgresStore, TokenStore};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresStore::connect("postgres://app@db.example.com/app?sslmode=verify-full").await?;
/// store.create_tables().await?;
/// assert!(store.load(&"gitlab:demo:42".parse()?).await?.is_none());
/// # Ok(())
/// # }
/// ```
pub struct PostgresStore {
    sessions: Sessions,
}

impl PostgresStore {
    /// Connects to `postgres://user:password@host:port/database`; `?sslmode=verify-full` and `&sslrootcert=…` as in
    /// libpq.
    ///
    /// # Errors
    ///
    /// [`StoreError::Address`] for an address that cannot be parsed; others if the server cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Ok(Self { sessions: Sessions::connect(url).await? })
    }

    /// The same in the app's own pool, whose settings stay as they are: with
    /// [`PostgresIntegrations::with_pool`](crate::settings::PostgresIntegrations::with_pool), a node has one pool for everything.
    ///
    /// ```no_run
    /// use codehost_oauth::keeper::{PostgresStore, TokenStore};
    /// use sqlx::postgres::PgPoolOptions;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = PgPoolOptions::new().max_connections(8).connect("postgres://app@db.example.com/app").await?;
    /// let store = PostgresStore::with_pool(pool);
    /// store.create_tables().await?;
    /// assert!(store.load(&"gitlab:demo:42".parse()?).await?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_pool(pool: PgPool) -> Self {
        Self { sessions: Sessions::of_pool(pool) }
    }

    /// Creates the tables if they are missing, and checks their version. An app with its own migrations can run the SQL
    /// of `docs/stores.md` instead; this method then only checks the version.
    ///
    /// # Errors
    ///
    /// [`StoreError::Schema`] for tables of another version; [`StoreError::Refused`] without the right to create them.
    pub async fn create_tables(&self) -> Result<(), StoreError> {
        self.sessions.migrate(&SCHEMA).await
    }
}

#[async_trait]
impl TokenStore for PostgresStore {
    async fn load(&self, connection: &ConnectionId) -> Result<Option<StoredTokens>, StoreError> {
        let sql = format!(
            "SELECT revision, sealed, {CHECKS} FROM {ONE_ROW} LEFT JOIN codehost_oauth_tokens ON connection = $1"
        );
        let rows = self.sessions.read(|| sqlx::query(&sql).bind(connection.as_str())).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let is_stored = row.try_get::<Option<i64>, _>(0).map_err(failed)?.is_some();
        is_stored.then(|| stored(row)).transpose()
    }

    async fn compare_and_swap(
        &self,
        connection: &ConnectionId,
        expected: Option<Revision>,
        new: &StoredTokens,
    ) -> Result<bool, StoreError> {
        let query = || match expected {
            Some(expected) => sqlx::query(
                "UPDATE codehost_oauth_tokens SET revision = $2, sealed = $3 WHERE connection = $1 AND revision = $4 \
                 RETURNING 1",
            )
            .bind(connection.as_str())
            .bind(new.revision.to_i64())
            .bind(new.sealed.as_slice())
            .bind(expected.to_i64()),
            None => sqlx::query(
                "INSERT INTO codehost_oauth_tokens (connection, revision, sealed) VALUES ($1, $2, $3) \
                 ON CONFLICT (connection) DO NOTHING RETURNING 1",
            )
            .bind(connection.as_str())
            .bind(new.revision.to_i64())
            .bind(new.sealed.as_slice()),
        };
        // If it is done twice, the second result is `false`, as the contract allows: the keeper then finds its own
        // revision.
        Ok(self.sessions.row(true, query).await?.is_some())
    }

    async fn lease(
        &self,
        connection: &ConnectionId,
        owner: &LeaseOwner,
        duration: Duration,
    ) -> Result<bool, StoreError> {
        // A lease that ends too far in the future was set before the clock was set back.
        let query = || {
            sqlx::query(
                "UPDATE codehost_oauth_tokens \
                 SET lease_owner = $2, lease_until = clock_timestamp() + $3 * interval '1 millisecond' \
                 WHERE connection = $1 AND (lease_owner IS NULL OR lease_owner = $2 OR lease_until NOT BETWEEN \
                 clock_timestamp() AND clock_timestamp() + $4 * interval '1 millisecond') RETURNING 1",
            )
            .bind(connection.as_str())
            .bind(owner.as_str())
            .bind(millis(duration))
            .bind(millis(MAX_LEASE))
        };
        Ok(self.sessions.row(true, query).await?.is_some())
    }

    async fn release(&self, connection: &ConnectionId, owner: &LeaseOwner) -> Result<(), StoreError> {
        let query = || {
            sqlx::query(
                "UPDATE codehost_oauth_tokens SET lease_owner = NULL, lease_until = NULL \
                 WHERE connection = $1 AND lease_owner = $2",
            )
            .bind(connection.as_str())
            .bind(owner.as_str())
        };
        self.sessions.row(true, query).await.map(drop)
    }

    async fn delete(&self, connection: &ConnectionId) -> Result<bool, StoreError> {
        let query = || {
            sqlx::query("DELETE FROM codehost_oauth_tokens WHERE connection = $1 RETURNING 1").bind(connection.as_str())
        };
        Ok(self.sessions.row(false, query).await?.is_some())
    }
}

/// Without the address, which can contain a password.
impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresStore")
    }
}

const SCHEMA: Schema = Schema { version_table: "codehost_oauth_schema", migrations: &[VERSION_1] };

const VERSION_1: &str = r#"
CREATE TABLE codehost_oauth_tokens (
    connection text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL,
    sealed bytea NOT NULL,
    lease_owner text,
    lease_until timestamptz
) WITH (fillfactor = 70);
"#;
