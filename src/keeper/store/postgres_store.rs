use std::fmt;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::Row as _;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions, PgRow, Postgres};
use sqlx::query::Query;

use super::sql::{self, SCHEMA_VERSION, check_schema_version, failed, millis, stored};
use super::{LeaseOwner, MAX_LEASE, Revision, StoredTokens, TokenStore};
use crate::error::{StoreError, UntrustedText};
use crate::keeper::ConnectionId;

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
    pool: PgPool,
    cutoff: SessionCutoff,
}

/// When a session was last found to be with a server that shuts down or is not the primary. Sessions that are at least
/// as old are closed.
#[derive(Clone, Default)]
struct SessionCutoff(Arc<Mutex<Option<Instant>>>);

impl SessionCutoff {
    fn set_to_now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The time since then.
    fn elapsed(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }
}

impl PostgresStore {
    /// Connects to `postgres://user:password@host:port/database`; `?sslmode=verify-full` and `&sslrootcert=…` as in
    /// libpq.
    ///
    /// # Errors
    ///
    /// [`StoreError::Address`] for an address that cannot be parsed; others if the server cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url).map_err(bad_address)?;
        let cutoff = SessionCutoff::default();
        let shared = cutoff.clone();
        let pool = PgPoolOptions::new().max_connections(8).acquire_timeout(Duration::from_secs(4)).before_acquire(
            move |_, session| {
                let is_younger = shared.elapsed().is_none_or(|ago| session.age < ago);
                Box::pin(async move { Ok(is_younger) })
            },
        );
        Ok(Self { pool: pool.connect_with(options).await.map_err(failed)?, cutoff })
    }

    /// Creates the tables if they are missing, and checks their version. An app with its own migrations can run the SQL
    /// of `docs/stores.md` instead; this method then only checks the version.
    ///
    /// # Errors
    ///
    /// [`StoreError::Schema`] for tables of another version; [`StoreError::Refused`] without the right to create them.
    pub async fn create_tables(&self) -> Result<(), StoreError> {
        const EXISTS: &str = "SELECT to_regclass('codehost_oauth_schema') IS NOT NULL";
        let exists: bool = sqlx::query_scalar(EXISTS).fetch_one(&self.pool).await.map_err(failed)?;
        if !exists {
            let mut transaction = self.pool.begin().await.map_err(failed)?;
            // The lock is needed: even with IF NOT EXISTS, two nodes that create a table at the same time can get an
            // error.
            for statement in CREATE {
                sqlx::query(statement).execute(&mut *transaction).await.map_err(failed)?;
            }
            let insert = "INSERT INTO codehost_oauth_schema (id, version) VALUES (1, $1) ON CONFLICT (id) DO NOTHING";
            sqlx::query(insert).bind(SCHEMA_VERSION).execute(&mut *transaction).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
        }
        let version = sqlx::query_scalar("SELECT version FROM codehost_oauth_schema WHERE id = 1");
        check_schema_version(version.fetch_one(&self.pool).await.map_err(failed)?)
    }
}

impl PostgresStore {
    /// Runs a statement that gives at most one row. If its session is lost, runs it once more in a new session: after a
    /// fail-over the address leads to the new primary. A statement that may have been executed is run again only if
    /// `repeat`, which is for statements that give the same result when executed twice.
    async fn row<'q>(
        &self,
        repeat: bool,
        query: impl Fn() -> Query<'q, Postgres, PgArguments> + Send + Sync,
    ) -> Result<Option<PgRow>, StoreError> {
        match self.run_once(query()).await {
            Err(error) if sql::was_not_executed(&error) || (repeat && sql::is_session_lost(&error)) => {
                self.run_once(query()).await.map_err(failed)
            }
            done => done.map_err(failed),
        }
    }

    async fn run_once(&self, query: Query<'_, Postgres, PgArguments>) -> Result<Option<PgRow>, sqlx::Error> {
        let mut session = self.pool.acquire().await?;
        let done = query.fetch_optional(&mut *session).await;
        if done.as_ref().is_err_and(sql::is_session_lost) {
            drop(session.detach());
            self.cutoff.set_to_now();
        }
        done
    }
}

#[async_trait]
impl TokenStore for PostgresStore {
    /// A server that has become a replica, or read-only, would respond with old data. So the query also reads whether
    /// it is a replica or read-only, and if so, it is run again in a new session. If that session reports a primary
    /// that is read-only, the row is used.
    async fn load(&self, connection: &ConnectionId) -> Result<Option<StoredTokens>, StoreError> {
        let query = || {
            sqlx::query(
                "SELECT revision, sealed, pg_is_in_recovery(), current_setting('transaction_read_only') = 'on' \
                 FROM (VALUES (1)) AS one LEFT JOIN codehost_oauth_tokens ON connection = $1",
            )
            .bind(connection.as_str())
        };
        let mut is_first = true;
        loop {
            let row = self.row(true, query).await?;
            let row = row.ok_or_else(|| StoreError::Refused { detail: UntrustedText::new("no row") })?;
            let is_replica = row.try_get::<bool, _>(2).map_err(failed)?;
            let is_read_only = row.try_get::<bool, _>(3).map_err(failed)?;
            // At most once in a second, since a primary can be read-only for maintenance.
            let is_doubtful = is_read_only && self.cutoff.elapsed().is_none_or(|ago| ago >= Duration::from_secs(1));
            if is_first && (is_replica || is_doubtful) {
                self.cutoff.set_to_now();
                is_first = false;
            } else if is_replica {
                return Err(StoreError::NotPrimary { detail: UntrustedText::new("the server is in recovery") });
            } else {
                let is_stored = row.try_get::<Option<i64>, _>(0).map_err(failed)?.is_some();
                return is_stored.then(|| stored(&row)).transpose();
            }
        }
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
        Ok(self.row(true, query).await?.is_some())
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
        Ok(self.row(true, query).await?.is_some())
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
        self.row(true, query).await.map(drop)
    }

    async fn delete(&self, connection: &ConnectionId) -> Result<bool, StoreError> {
        let query = || {
            sqlx::query("DELETE FROM codehost_oauth_tokens WHERE connection = $1 RETURNING 1").bind(connection.as_str())
        };
        Ok(self.row(false, query).await?.is_some())
    }
}

/// Without the address, which can contain a password.
impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresStore")
    }
}

/// Without the driver's message: the address can contain a password.
fn bad_address(_: sqlx::Error) -> StoreError {
    StoreError::Address { detail: UntrustedText::new("it cannot be parsed") }
}

const CREATE: [&str; 3] = [
    "SELECT pg_advisory_xact_lock(7223372036854775001)",
    "CREATE TABLE IF NOT EXISTS codehost_oauth_schema (id integer PRIMARY KEY CHECK (id = 1), version bigint NOT NULL)",
    "CREATE TABLE IF NOT EXISTS codehost_oauth_tokens (connection text COLLATE \"C\" PRIMARY KEY, revision bigint NOT NULL, \
     sealed bytea NOT NULL, lease_owner text, lease_until timestamptz) WITH (fillfactor = 70)",
];
