use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

#[cfg(feature = "http-client")]
use sqlx::Transaction;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{Connection as _, Executor as _, Row as _};

use super::failure::{failed, is_session_lost, was_not_executed};
use super::migrations::Schema;
use crate::error::{StoreError, UntrustedText};

/// Sessions with a PostgreSQL server. After a fail-over, those with the former primary are closed.
pub(crate) struct Sessions {
    pool: PgPool,
    /// When a session was last found to be with a server that shuts down or is not the primary. Sessions that are at least as
    /// old are closed.
    cutoff: Moment,
    /// When the primary was last found to be read-only.
    read_only: Moment,
    /// How often a call is repeated in another session, if its session turns out to be of no use.
    max_repeats: u32,
}

#[derive(Clone, Default)]
struct Moment(Arc<Mutex<Option<Instant>>>);

impl Moment {
    fn set_to_now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The time since then.
    fn elapsed(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }
}

impl Sessions {
    /// Opens a pool of at most eight sessions.
    pub(crate) async fn connect(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url).map_err(bad_address)?;
        let cutoff = Moment::default();
        let shared = cutoff.clone();
        let pool = PgPoolOptions::new().max_connections(8).acquire_timeout(Duration::from_secs(4)).before_acquire(
            move |_, session| {
                let is_younger = shared.elapsed().is_none_or(|ago| session.age < ago);
                Box::pin(async move { Ok(is_younger) })
            },
        );
        // One repetition is enough: the pool then opens a new session.
        let pool = pool.connect_with(options).await.map_err(failed)?;
        Ok(Self { pool, cutoff, read_only: Moment::default(), max_repeats: 1 })
    }

    /// Uses the app's pool. The pool does not close old sessions, so each unusable one is found and closed here.
    pub(crate) fn of_pool(pool: PgPool) -> Self {
        let max_repeats = pool.options().get_max_connections();
        Self { pool, cutoff: Moment::default(), read_only: Moment::default(), max_repeats }
    }

    /// Creates the tables, or upgrades those of an older version, in one transaction. Needs no rights for that if there is
    /// nothing to do.
    pub(crate) async fn migrate(&self, schema: &Schema) -> Result<(), StoreError> {
        let mut session = self.pool.acquire().await.map_err(failed)?;
        if schema.pending(version(&mut session, schema).await?)?.is_empty() {
            return Ok(());
        }
        let mut transaction = session.begin().await.map_err(failed)?;
        sqlx::query(LOCK_SCHEMA).execute(&mut *transaction).await.map_err(failed)?;
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {} (id integer PRIMARY KEY CHECK (id = 1), version bigint NOT NULL)",
            schema.version_table
        );
        sqlx::query(&create).execute(&mut *transaction).await.map_err(failed)?;
        // Another node may have been first.
        for statements in schema.pending(version(&mut transaction, schema).await?)? {
            transaction.execute(*statements).await.map_err(failed)?;
        }
        sqlx::query(&schema.set_version()).execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// Runs a statement that gives at most one row. If its session is lost, runs it once more in a new session: after a
    /// fail-over the address leads to the new primary. A statement that may have been executed is run again only if
    /// `repeat`, which is for statements that give the same result when executed twice.
    pub(crate) async fn row<'q>(
        &self,
        repeat: bool,
        query: impl Fn() -> Query<'q, Postgres, PgArguments> + Send + Sync,
    ) -> Result<Option<PgRow>, StoreError> {
        let mut repeats = 0..self.max_repeats;
        loop {
            match self.run_once(query()).await {
                Err(error) if is_repeatable(&error, repeat) && repeats.next().is_some() => {}
                done => return done.map(|(rows, _)| rows.into_iter().next()).map_err(failed),
            }
        }
    }

    /// Runs a query of the form "[`CHECKS`] … FROM [`ONE_ROW`] LEFT JOIN …", which gives at least one row.
    ///
    /// A server that has become a replica, or read-only, would respond with old data. Then the query is run again in a new
    /// session. If that session reports a primary that is read-only, its rows are used.
    pub(crate) async fn read<'q>(
        &self,
        query: impl Fn() -> Query<'q, Postgres, PgArguments> + Send + Sync,
    ) -> Result<Vec<PgRow>, StoreError> {
        let mut repeats = 0..self.max_repeats;
        loop {
            let (rows, session) = match self.run_once(query()).await {
                Err(error) if is_session_lost(&error) && repeats.next().is_some() => continue,
                done => done.map_err(failed)?,
            };
            let first = rows.first().ok_or_else(|| StoreError::Refused { detail: UntrustedText::new("no row") })?;
            let is_replica = first.try_get::<bool, _>("is_replica").map_err(failed)?;
            let is_read_only = first.try_get::<bool, _>("is_read_only").map_err(failed)?;
            // At most once in a second, since a primary can be read-only for maintenance.
            let is_doubtful = is_read_only && self.read_only.elapsed().is_none_or(|ago| ago >= Duration::from_secs(1));
            if (is_replica || is_doubtful) && repeats.next().is_some() {
                self.close(session);
            } else if is_replica {
                return Err(StoreError::NotPrimary { detail: UntrustedText::new("the server is in recovery") });
            } else {
                if is_doubtful {
                    self.read_only.set_to_now();
                }
                return Ok(rows);
            }
        }
    }

    /// Begins a transaction with statements that take locks, and gives the row of the last one. Waits four seconds for a lock,
    /// also later in the transaction.
    #[cfg(feature = "http-client")]
    pub(crate) async fn begin<'q, const N: usize>(
        &self,
        locks: impl Fn() -> [Query<'q, Postgres, PgArguments>; N] + Send + Sync,
    ) -> Result<(Transaction<'static, Postgres>, Option<PgRow>), StoreError> {
        let mut repeats = 0..self.max_repeats;
        loop {
            let begun = async {
                let mut transaction = self.pool.begin_with(BEGIN).await?;
                let mut row = None;
                for lock in locks() {
                    row = lock.fetch_optional(&mut *transaction).await?;
                }
                Ok((transaction, row))
            };
            match begun.await {
                Ok(begun) => return Ok(begun),
                // Nothing was written that could be committed.
                Err(error) if is_session_lost(&error) && repeats.next().is_some() => {
                    self.cutoff.set_to_now();
                    // Closes the sessions of no use in an app's pool.
                    let checks = format!("SELECT {CHECKS}");
                    self.read(|| sqlx::query(&checks)).await?;
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// The rows, and the session that gave them.
    async fn run_once(
        &self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<(Vec<PgRow>, PoolConnection<Postgres>), sqlx::Error> {
        let mut session = self.pool.acquire().await?;
        match query.fetch_all(&mut *session).await {
            Ok(rows) => Ok((rows, session)),
            Err(error) => {
                if is_session_lost(&error) {
                    self.close(session);
                }
                Err(error)
            }
        }
    }

    fn close(&self, session: PoolConnection<Postgres>) {
        drop(session.detach());
        self.cutoff.set_to_now();
    }
}

/// What [`Sessions::read`] must know about the server.
pub(crate) const CHECKS: &str =
    "pg_is_in_recovery() AS is_replica, current_setting('transaction_read_only') = 'on' AS is_read_only";

/// A table with one row, to join others.
pub(crate) const ONE_ROW: &str = "(VALUES (1)) AS one_row";

fn is_repeatable(error: &sqlx::Error, repeat: bool) -> bool {
    was_not_executed(error) || (repeat && is_session_lost(error))
}

async fn version(session: &mut PgConnection, schema: &Schema) -> Result<Option<i64>, StoreError> {
    let exists = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(schema.version_table);
    if !exists.fetch_one(&mut *session).await.map_err(failed)? {
        return Ok(None);
    }
    sqlx::query_scalar(&schema.select_version()).fetch_optional(session).await.map_err(failed)
}

/// Without the driver's message: the address can contain a password.
fn bad_address(_: sqlx::Error) -> StoreError {
    StoreError::Address { detail: UntrustedText::new("it cannot be parsed") }
}

/// Each statement sees what was committed before it. A node that stops in the middle holds up the others for a minute at most.
#[cfg(feature = "http-client")]
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; \
                     SET LOCAL lock_timeout = '4s'; SET LOCAL idle_in_transaction_session_timeout = '1min'";

/// One node creates or upgrades tables at a time.
const LOCK_SCHEMA: &str = "SELECT pg_advisory_xact_lock(7223372036854775001)";

#[cfg(test)]
mod tests;
