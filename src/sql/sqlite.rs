use std::path::Path;
use std::time::Duration;

use sqlx::Executor as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use super::migrations::Schema;
use crate::error::StoreError;

/// Opens a file in WAL mode with `synchronous = FULL`; creates it if it is missing.
pub(crate) async fn open(path: impl AsRef<Path>) -> Result<SqlitePool, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(MAX_WAIT);
    let pool = SqlitePoolOptions::new().max_connections(4).acquire_timeout(MAX_WAIT);
    let pool = pool.connect_with(options).await.map_err(failed)?;
    enable_wal(&pool).await?;
    Ok(pool)
}

/// Creates the tables, or upgrades those of an older version, in one transaction.
pub(crate) async fn migrate(pool: &SqlitePool, schema: &Schema) -> Result<(), StoreError> {
    // Without the lock for writing, if there is nothing to do.
    let found = version(&mut *pool.acquire().await.map_err(failed)?, schema).await?;
    if schema.pending(found)?.is_empty() {
        return Ok(());
    }
    let mut transaction = pool.begin_with(BEGIN).await.map_err(failed)?;
    let create = format!(
        "CREATE TABLE IF NOT EXISTS {} (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL)",
        schema.version_table
    );
    sqlx::query(&create).execute(&mut *transaction).await.map_err(failed)?;
    // Another process may have been first.
    for statements in schema.pending(version(&mut transaction, schema).await?)? {
        transaction.execute(*statements).await.map_err(failed)?;
    }
    sqlx::query(&schema.set_version()).execute(&mut *transaction).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

/// Begins a transaction that writes. Another one waits here, and not at its first write, where SQLite would refuse it.
pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";

pub(crate) fn failed(error: sqlx::Error) -> StoreError {
    if is_locked(&error) { StoreError::TimedOut } else { super::failed(error) }
}

/// SQLite needs exclusive access for that, and does not wait for it by itself.
async fn enable_wal(pool: &SqlitePool) -> Result<(), StoreError> {
    let changed = async {
        loop {
            match sqlx::query("PRAGMA journal_mode = WAL").execute(pool).await {
                Err(error) if is_locked(&error) => tokio::time::sleep(Duration::from_millis(10)).await,
                done => return done.map(drop).map_err(failed),
            }
        }
    };
    tokio::time::timeout(MAX_WAIT, changed).await.unwrap_or(Err(StoreError::TimedOut))
}

async fn version(connection: &mut SqliteConnection, schema: &Schema) -> Result<Option<i64>, StoreError> {
    let exists =
        sqlx::query("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1").bind(schema.version_table);
    if exists.fetch_optional(&mut *connection).await.map_err(failed)?.is_none() {
        return Ok(None);
    }
    sqlx::query_scalar(&schema.select_version()).fetch_optional(connection).await.map_err(failed)
}

/// How long a call waits for other writers.
const MAX_WAIT: Duration = Duration::from_secs(4);

/// `SQLITE_BUSY`, also as the lowest byte of an extended code.
fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::migrations::SCHEMAS;

    #[tokio::test]
    async fn tables_of_every_older_version_are_upgraded() {
        for (from, to) in [(0, 1), (0, 2), (1, 2), (2, 2)] {
            let file = File::new();
            let pool = file.open().await;
            migrate(&pool, &SCHEMAS[from]).await.unwrap();
            sqlx::query("INSERT INTO app_rows (id) VALUES (7)").execute(&pool).await.unwrap();
            // All of them together: each may find that another one was first.
            let others = futures_util::future::join_all(
                (0..8).map(|_| async { migrate(&file.open().await, &SCHEMAS[to]).await }),
            );
            assert!(others.await.iter().all(Result::is_ok), "{from} to {to}");
            assert_eq!(number(&pool, "SELECT version FROM app_schema").await, i64::try_from(to).unwrap() + 1);
            assert_eq!(number(&pool, "SELECT count(*) FROM app_rows WHERE id = 7 AND name = 'none'").await, 1);
            let names = sqlx::query("SELECT name FROM app_names").fetch_all(&pool).await;
            assert_eq!(names.map_or(0, |rows| rows.len()), usize::from(to == 2 && from < 2), "{from} to {to}");
        }
    }

    #[tokio::test]
    async fn tables_of_a_newer_or_unknown_version_are_refused_and_kept() {
        let file = File::new();
        let pool = file.open().await;
        migrate(&pool, &SCHEMAS[2]).await.unwrap();
        assert_eq!(migrate(&pool, &SCHEMAS[0]).await, Err(StoreError::Schema { found: 3 }));
        sqlx::query("UPDATE app_schema SET version = -1").execute(&pool).await.unwrap();
        assert_eq!(migrate(&pool, &SCHEMAS[2]).await, Err(StoreError::Schema { found: -1 }));
        assert_eq!(number(&pool, "SELECT version FROM app_schema").await, -1);
    }

    #[tokio::test]
    async fn an_upgrade_that_fails_changes_nothing() {
        let file = File::new();
        let pool = file.open().await;
        migrate(&pool, &SCHEMAS[1]).await.unwrap();
        sqlx::query("INSERT INTO app_rows (id, name) VALUES (7, 'x')").execute(&pool).await.unwrap();
        assert!(matches!(migrate(&pool, &SCHEMAS[3]).await, Err(StoreError::Refused { .. })));
        assert_eq!(number(&pool, "SELECT version FROM app_schema").await, 2);
        assert_eq!(number(&pool, "SELECT count(*) FROM sqlite_schema WHERE name = 'app_names'").await, 0);
        migrate(&pool, &SCHEMAS[2]).await.unwrap();
        assert_eq!(number(&pool, "SELECT count(*) FROM app_names").await, 1);
    }

    async fn number(pool: &SqlitePool, query: &str) -> i64 {
        sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
    }

    struct File(std::path::PathBuf);

    impl File {
        fn new() -> Self {
            let mut random = [0; 8];
            crate::util::random::fill(&mut random).unwrap();
            let name = format!("codehost-oauth-migrations-{:x}", u64::from_le_bytes(random));
            let folder = std::env::temp_dir().join(name);
            std::fs::create_dir(&folder).unwrap();
            Self(folder)
        }

        async fn open(&self) -> SqlitePool {
            open(self.0.join("app.db")).await.unwrap()
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
