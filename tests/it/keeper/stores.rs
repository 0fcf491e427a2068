//! The conformance suite on all four stores, and their tables.

use std::sync::Arc;
use std::time::Duration;

use codehost_oauth::error::StoreError;
use codehost_oauth::keeper::{MemoryStore, PostgresStore, RedisStore, SqliteStore, TokenStore as _};
use codehost_oauth::testing::{Fault, FaultyStore, Nonconformity, store_conformance};

use super::scenario::Result;
use super::servers::{Server, open};
use crate::secrets::leak_check::LeakChecked as _;
use crate::support::schema;

#[tokio::test]
async fn memory_conforms() -> Result {
    let store = Arc::new(MemoryStore::default());
    store_conformance(store.clone(), store.clone()).await?;
    store_conformance(Arc::new(FaultyStore::new(Arc::clone(&store))), store).await?;
    Ok(())
}

/// Several calls of the suite in turn: the suite reports the failure of the store.
#[tokio::test]
async fn a_failing_store_does_not_conform() -> Result {
    for call in [0, 5, 20, 60] {
        let store = Arc::new(FaultyStore::new(MemoryStore::default()));
        store.fail(call, Fault::Error);
        let found = store_conformance(store.clone(), store.clone()).await;
        assert!(matches!(found, Err(Nonconformity::Failed(StoreError::Unreachable { .. }))), "{call}: {found:?}");
    }
    Ok(())
}

#[tokio::test]
async fn sqlite_conforms() -> Result {
    conforms(&Server::sqlite()?).await
}

#[tokio::test]
async fn postgres_conforms() -> Result {
    conforms(&Server::postgres().await?).await
}

#[tokio::test]
async fn postgres_in_the_apps_pool_conforms() -> Result {
    let server = Server::postgres_without_tables().await?;
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(2).connect(&server.url).await?;
    let [here, there] = [pool.clone(), pool.clone()].map(|pool| Arc::new(PostgresStore::with_pool(pool)));
    here.create_tables().await?;
    store_conformance(here, there).await?;
    assert!(pool.size() > 0 && !pool.is_closed());
    Ok(())
}

#[tokio::test]
async fn redis_conforms() -> Result {
    conforms(&Server::redis().await?).await
}

async fn conforms(server: &Server) -> Result {
    let (here, there) = tokio::try_join!(open(&server.url), open(&server.url))?;
    store_conformance(here, there).await?;
    Ok(())
}

#[tokio::test]
async fn errors_of_wrong_store_urls_show_no_password() {
    for url in ["postgres://app:s3cr3t@127.0.0.1:99999/x", "redis://app:s3cr3t@127.0.0.1:99999", "s3cr3t"] {
        let errors = [PostgresStore::connect(url).await.err(), RedisStore::connect(url).await.err()];
        for error in errors {
            let text = match &error {
                Some(StoreError::Address { detail } | StoreError::Unreachable { detail }) => {
                    detail.sanitized().to_owned()
                }
                other => format!("{other:?}"),
            };
            assert!(!format!("{error:?} {text}").contains("s3cr3t"), "{text}");
            assert!(error.is_some(), "{url}");
        }
    }
    assert!(SqliteStore::open("/nowhere/at/all.db").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_together_create_the_tables_once() -> Result {
    for server in [Server::sqlite()?, Server::postgres_without_tables().await?] {
        let opened = futures_util::future::join_all((0..8).map(|_| open(&server.url))).await;
        for store in opened {
            assert!(store?.load(&"gitlab:demo:1".parse()?).await?.is_none());
        }
    }
    Ok(())
}

/// SQLite fails with "locked" at once if the journal mode is changed while another process writes.
#[tokio::test]
async fn opening_waits_for_another_process_that_writes_to_the_file() -> Result {
    let server = Server::sqlite()?;
    let other = sqlx::SqlitePool::connect(&format!("{}?mode=rwc", server.url)).await?;
    let mut writing = other.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql("CREATE TABLE theirs (id INTEGER)").execute(&mut *writing).await?;
    let finish = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        writing.commit().await
    };
    let (store, finished) = tokio::join!(open(&server.url), finish);
    finished?;
    assert!(store?.load(&"gitlab:demo:1".parse()?).await?.is_none());
    let file = std::fs::read(server.url.trim_start_matches("sqlite:"))?;
    assert_eq!(file[18..20], [2, 2], "the file's header says that it has a write-ahead log");
    Ok(())
}

#[tokio::test]
async fn a_file_that_stays_locked_is_a_time_out() -> Result {
    let server = Server::sqlite()?;
    let store = open(&server.url).await?;
    let other = sqlx::SqlitePool::connect(&server.url).await?;
    let _writing = other.begin_with("BEGIN IMMEDIATE").await?;
    assert_eq!(store.delete(&"gitlab:demo:1".parse()?).await, Err(StoreError::TimedOut));
    // Nothing is written when tables are opened that are there.
    assert!(open(&server.url).await?.load(&"gitlab:demo:1".parse()?).await?.is_none());

    let server = Server::sqlite()?;
    let other = sqlx::SqlitePool::connect(&format!("{}?mode=rwc", server.url)).await?;
    let _writing = other.begin_with("BEGIN IMMEDIATE").await?;
    assert_eq!(open(&server.url).await.err().map(|error| error.to_string()), Some(StoreError::TimedOut.to_string()));
    Ok(())
}

#[tokio::test]
async fn a_stopped_server_is_unreachable() -> Result {
    for mut server in [Server::postgres().await?, Server::redis().await?] {
        let store = open(&server.url).await?;
        assert_eq!(format!("{store:?}"), if server.url.starts_with("redis") { "RedisStore" } else { "PostgresStore" });
        server.kill();
        let connection = "gitlab:demo:1".parse()?;
        for _ in 0..2 {
            let error = store.load(&connection).await.unwrap_err();
            assert!(matches!(error, StoreError::Unreachable { .. } | StoreError::TimedOut), "{error:?}");
            assert!(error.advice().is_transient);
        }
    }
    Ok(())
}

/// Another program has written to our keys.
#[tokio::test]
async fn foreign_values_in_redis_are_refused() -> Result {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let server = Server::redis().await?;
    let store = open(&server.url).await?;
    let mut socket = tokio::net::TcpStream::connect(server.url.trim_start_matches("redis://")).await?;
    for (id, command, code) in
        [("gitlab:demo:1", "HSET KEY r seven d x", "store_malformed"), ("gitlab:demo:2", "SET KEY x", "store_refused")]
    {
        let command = command.replace("KEY", &format!("codehost-oauth:1:{{{id}}}:tokens"));
        socket.write_all(format!("{command}\r\n").as_bytes()).await?;
        let mut response = [0; 64];
        let length = socket.read(&mut response).await?;
        assert!(matches!(response[..length], [b':' | b'+', ..]), "{:?}", String::from_utf8_lossy(&response[..length]));
        let error = store.load(&id.parse()?).await.unwrap_err();
        assert_eq!(error.code(), code, "{error:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_documented_tables_are_those_that_are_created() -> Result {
    let [postgres_sql, sqlite_sql, ..] = schema::documented();

    let (created, server) = (Server::postgres().await?, Server::postgres_without_tables().await?);
    let postgres = sqlx::PgPool::connect(&server.url).await?;
    sqlx::raw_sql(postgres_sql).execute(&postgres).await?;
    let created = sqlx::PgPool::connect(&created.url).await?;
    assert_eq!(schema::of_postgres(&postgres).await, schema::of_postgres(&created).await);
    conforms(&server).await?;
    sqlx::raw_sql("UPDATE codehost_oauth_schema SET version = 2").execute(&postgres).await?;
    assert!(open(&server.url).await.unwrap_err().to_string().contains("version 2"));

    let (created, server) = (Server::sqlite()?, Server::sqlite()?);
    let sqlite = sqlx::SqlitePool::connect(&format!("{}?mode=rwc", server.url)).await?;
    sqlx::raw_sql(sqlite_sql).execute(&sqlite).await?;
    open(&created.url).await?;
    let created = sqlx::SqlitePool::connect(&created.url).await?;
    assert_eq!(schema::of_sqlite(&sqlite).await, schema::of_sqlite(&created).await);
    conforms(&server).await?;
    sqlx::raw_sql("UPDATE codehost_oauth_schema SET version = 2").execute(&sqlite).await?;
    assert!(open(&server.url).await.unwrap_err().to_string().contains("version 2"));
    Ok(())
}

#[tokio::test]
async fn stored_tokens_are_sealed_and_belong_to_one_connection() -> Result {
    let mut scenario = super::scenario::Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let access = scenario.text(&tokens.access_token);
    let store = Arc::new(MemoryStore::default());
    let keeper = scenario.keeper(Arc::clone(&store));
    keeper.import(&scenario.connection, tokens).await.leak_checked()?;
    let stored = store.load(&scenario.connection).await?.unwrap();
    assert!(!String::from_utf8_lossy(&stored.sealed).contains(&access));
    let outcome = keeper.ask(&scenario.connection).await.leak_checked()?;
    let text = format!("{outcome:?} {keeper:?} {stored:?}");
    assert!(!text.contains(&access) && !text.contains("7, 7, 7"), "{text}");

    // A row that was copied to another connection cannot be opened.
    let other = "gitlab:demo:99999".parse()?;
    assert!(store.compare_and_swap(&other, None, &stored).await?);
    assert_eq!(keeper.access_token(&other).await.leak_checked().unwrap_err().code(), "seal_rejected");
    Ok(())
}
