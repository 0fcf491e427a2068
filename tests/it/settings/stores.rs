//! The conformance suite on all three stores, and their tables.

use std::sync::Arc;

use codehost_oauth::FindIntegration as _;
use codehost_oauth::error::StoreError;
use codehost_oauth::keeper::TokenStore as _;
use codehost_oauth::settings::{
    Health, HealthNote, IntegrationStore, IntegrationWrite, MemoryIntegrations, PostgresIntegrations,
    SqliteIntegrations, UnreadableIntegration, UnreadableSettings, WriteError, Written,
};
use codehost_oauth::testing::{Fault, FaultyIntegrationStore, Nonconformity, integration_store_conformance};

use super::node;
use super::support::{Result, open, open_in_pool, stored};
use crate::keeper::servers::{self, Server};
use crate::login::observe::capture_log;
use crate::support::schema;

#[tokio::test]
async fn memory_conforms() -> Result {
    let store = MemoryIntegrations::default();
    integration_store_conformance(Arc::new(store.clone()), Arc::new(store.clone())).await?;
    integration_store_conformance(Arc::new(FaultyIntegrationStore::new(store.clone())), Arc::new(store)).await?;
    Ok(())
}

/// Several calls of the suite in turn: the suite reports the failure of the store.
#[tokio::test]
async fn a_failing_store_does_not_conform() -> Result {
    for call in [0, 10, 50, 100, 200] {
        for fault in [Fault::Error, Fault::LostResponse] {
            let store = FaultyIntegrationStore::new(MemoryIntegrations::default());
            store.fail(call, fault);
            let found = integration_store_conformance(Arc::new(store.clone()), Arc::new(store)).await;
            assert!(matches!(found, Err(Nonconformity::Failed(StoreError::Unreachable { .. }))), "{call}: {found:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_faulty_store_fails_before_or_after_the_write() -> Result {
    let memory = MemoryIntegrations::default();
    let store = FaultyIntegrationStore::new(memory.clone());
    store.fail(0, Fault::Error);
    store.fail(1, Fault::LostResponse);
    let new = stored("demo", None);
    let create = IntegrationWrite::Create(Box::new(new.clone()));
    for is_stored in [false, true] {
        let error = store.write(&create, &()).await.unwrap_err();
        assert!(matches!(error, WriteError::Store(StoreError::Unreachable { .. })), "{error:?}");
        assert_eq!(memory.load(&new.id).await?.is_some(), is_stored);
    }
    assert_eq!((store.write(&create, &()).await?, store.calls()), (Written::IdTaken, 3));
    Ok(())
}

#[tokio::test]
async fn sqlite_conforms() -> Result {
    conforms(&Server::sqlite()?.url).await
}

#[tokio::test]
async fn postgres_conforms() -> Result {
    conforms(&Server::postgres_without_tables().await?.url).await
}

/// Through two stores, one of them in the pool of an app.
async fn conforms(url: &str) -> Result {
    let here = open(url).await?;
    integration_store_conformance(here, open_in_pool(url).await?).await?;
    Ok(())
}

#[tokio::test]
async fn the_documented_tables_are_those_that_are_created() -> Result {
    let [_, _, postgres_sql, sqlite_sql, _] = schema::documented();

    let (created, server) = (Server::postgres_without_tables().await?, Server::postgres_without_tables().await?);
    open(&created.url).await?;
    let [created, postgres] = [sqlx::PgPool::connect(&created.url).await?, sqlx::PgPool::connect(&server.url).await?];
    sqlx::raw_sql(postgres_sql).execute(&postgres).await?;
    assert_eq!(schema::of_postgres(&postgres).await, schema::of_postgres(&created).await);
    conforms(&server.url).await?;

    let (created, server) = (Server::sqlite()?, Server::sqlite()?);
    open(&created.url).await?;
    let created = sqlx::SqlitePool::connect(&created.url).await?;
    let sqlite = sqlx::SqlitePool::connect(&format!("{}?mode=rwc", server.url)).await?;
    sqlx::raw_sql(sqlite_sql).execute(&sqlite).await?;
    assert_eq!(schema::of_sqlite(&sqlite).await, schema::of_sqlite(&created).await);
    conforms(&server.url).await
}

/// On a database without tables, and on one of an older version.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_together_upgrade_the_tables_once() -> Result {
    for older in ["SELECT 1", VERSION_0] {
        for server in [Server::sqlite()?, Server::postgres_without_tables().await?] {
            execute(&server.url, older).await?;
            let opened = (0..8).map(|_| {
                let url = server.url.clone();
                tokio::spawn(async move { open(&url).await })
            });
            for store in futures_util::future::join_all(opened).await {
                assert!(store??.list(None).await?.is_empty());
            }
            conforms(&server.url).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_upgrade_that_fails_changes_nothing() -> Result {
    for server in [Server::sqlite()?, Server::postgres_without_tables().await?] {
        let other = "CREATE TABLE other (owner integer);\
                     CREATE INDEX codehost_oauth_integrations_by_owner ON other (owner)";
        execute(&server.url, &format!("{VERSION_0};{other}")).await?;
        let error = open(&server.url).await.unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(StoreError::Refused { .. })), "{error:?}");
        // The table was created before the index that is in the way.
        execute(&server.url, "CREATE TABLE codehost_oauth_integrations (id integer)").await?;
        execute(&server.url, "DROP TABLE codehost_oauth_integrations; DROP TABLE other").await?;
        conforms(&server.url).await?;
    }
    Ok(())
}

/// Before the first version of the tables.
const VERSION_0: &str = "CREATE TABLE codehost_oauth_integrations_schema (id integer PRIMARY KEY, version bigint);\
                         INSERT INTO codehost_oauth_integrations_schema VALUES (1, 0)";

#[tokio::test]
async fn tables_of_an_unknown_version_are_refused_and_kept() -> Result {
    for server in [Server::sqlite()?, Server::postgres_without_tables().await?] {
        let store = open(&server.url).await?;
        let new = stored("demo", None);
        store.write(&IntegrationWrite::Create(Box::new(new.clone())), &()).await?;
        for version in [2, -1] {
            execute(&server.url, &format!("UPDATE codehost_oauth_integrations_schema SET version = {version}")).await?;
            let errors = [open(&server.url).await.unwrap_err(), open_in_pool(&server.url).await.unwrap_err()];
            for error in errors {
                let error = error.downcast_ref::<StoreError>().unwrap();
                assert_eq!(*error, StoreError::Schema { found: version });
                assert_eq!(error.code(), "store_schema");
            }
        }
        assert_eq!(store.load(&new.id).await?, Some(new));
    }
    Ok(())
}

#[tokio::test]
async fn tokens_and_integrations_can_be_in_one_database() -> Result {
    for server in [Server::sqlite()?, Server::postgres().await?] {
        let (tokens, integrations) = (servers::open(&server.url).await?, open(&server.url).await?);
        assert!(tokens.load(&"gitlab:demo:1".parse()?).await?.is_none() && integrations.list(None).await?.is_empty());
    }
    Ok(())
}

/// The app's migrations have created the tables; the app itself may only use them.
#[tokio::test]
async fn a_database_user_without_the_right_to_create_tables_can_use_them() -> Result {
    let server = Server::postgres_without_tables().await?;
    let [_, _, postgres_sql, ..] = schema::documented();
    let grants = "CREATE USER app; GRANT SELECT, INSERT, UPDATE ON codehost_oauth_integrations TO app; \
                  GRANT SELECT ON codehost_oauth_integrations_schema TO app";
    execute(&server.url, &format!("CREATE USER nobody; {postgres_sql}; {grants}")).await?;
    let url = server.url.replace("postgres@", "app@");
    conforms(&url).await?;
    let error = open(&server.url.replace("postgres@", "nobody@")).await.unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(StoreError::Refused { .. })), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn lists_use_the_index() -> Result {
    let sqlite = Server::sqlite()?;
    open(&sqlite.url).await?;
    for owner in ["'acme'", "NULL"] {
        let pool = sqlx::SqlitePool::connect(&sqlite.url).await?;
        let explain = format!(
            "EXPLAIN QUERY PLAN SELECT settings FROM codehost_oauth_integrations WHERE owner IS {owner} AND NOT is_deleted"
        );
        let plan: (i64, i64, i64, String) = sqlx::query_as(&explain).fetch_one(&pool).await?;
        assert!(plan.3.contains("codehost_oauth_integrations_by_owner (owner=?)"), "{plan:?}");
    }
    let postgres = Server::postgres_without_tables().await?;
    open(&postgres.url).await?;
    let pool = sqlx::PgPool::connect_with(
        postgres.url.parse::<sqlx::postgres::PgConnectOptions>()?.options([("enable_seqscan", "off")]),
    )
    .await?;
    for condition in ["owner = 'acme'", "owner IS NULL AND 'x'::text IS NOT NULL"] {
        let explain = format!(
            "EXPLAIN SELECT settings FROM (VALUES (1)) AS one_row \
             LEFT JOIN codehost_oauth_integrations ON {condition} AND NOT is_deleted ORDER BY name, id"
        );
        let plan: Vec<String> = sqlx::query_scalar(&explain).fetch_all(&pool).await?;
        assert!(plan.join("\n").contains("codehost_oauth_integrations_by_owner"), "{plan:?}");
    }
    Ok(())
}

/// Another program, or a newer version, has written the row.
#[tokio::test]
async fn a_row_that_cannot_be_read_is_listed_with_the_reason_and_can_be_deleted() -> Result {
    for server in [Server::sqlite()?, Server::postgres_without_tables().await?] {
        let store = open(&server.url).await?;
        let good = stored("good", Some("acme"));
        store.write(&IntegrationWrite::Create(Box::new(good.clone())), &()).await?;
        for (n, (change, why)) in [
            (r#"settings = '{"version":2,"canary":"s3cr3t"}'"#, UnreadableSettings::Version { found: 2 }),
            (r#"settings = '{"version":1,"canary":"s3cr3t"}'"#, UnreadableSettings::Malformed),
            ("settings = 's3cr3t'", UnreadableSettings::Malformed),
            ("proposed_settings = settings", UnreadableSettings::Malformed),
        ]
        .into_iter()
        .enumerate()
        {
            let bad = stored(&format!("bad-{n}"), Some("acme"));
            store.write(&IntegrationWrite::Create(Box::new(bad.clone())), &()).await?;
            let sql = format!("UPDATE codehost_oauth_integrations SET {change} WHERE id = 'bad-{n}'");
            execute(&server.url, &sql).await?;
            let malformed = StoreError::Malformed { id: format!("bad-{n}") };
            assert_eq!(store.load(&bad.id).await, Err(malformed.clone()), "{change}");
            let mut unreadable = UnreadableIntegration::new(bad.id.clone(), Some("acme"), 1, why, bad.changed.clone());
            unreadable.name = "One".to_owned();
            let listed = store.list(Some("acme")).await?;
            assert_eq!(listed, [Err(unreadable), Ok(good.clone())], "{change}");
            assert!(!format!("{listed:?} {why}").contains("s3cr3t"));

            let node = node(Arc::clone(&store));
            let error = node.find(&bad.id).await.unwrap_err();
            assert_eq!(error.to_string(), format!("what is stored for bad-{n} cannot be read"));
            let mut newer = bad.clone();
            newer.version = 2;
            let error = store.write(&IntegrationWrite::Replace(Box::new(newer)), &()).await.unwrap_err();
            assert!(matches!(&error, WriteError::Store(error) if *error == malformed), "{error:?}");
            let [Err(unreadable), _] = listed.as_slice() else { panic!("{listed:?}") };
            node.by("jane").delete_unreadable(unreadable).await?;
            assert_eq!(store.list(Some("acme")).await?, [Ok(good.clone())]);
            assert!(node.find(&bad.id).await?.is_none());
        }
    }
    Ok(())
}

/// In any column but the settings: somebody has changed the table.
#[tokio::test]
async fn an_odd_value_in_any_column_hides_no_other_row() -> Result {
    let columns = [
        ("name = x'ff'", true),
        ("is_disabled = 'odd'", true),
        ("sealed_secrets = 7", true),
        ("created_by = x'ff'", true),
        ("created_at = 'odd'", true),
        ("changed_by = x'ff'", true),
        ("changed_at = 'odd'", true),
        ("proposed_settings = settings, proposed_secrets = 7", true),
        // Nothing can name these.
        ("version = 'odd'", false),
        ("id = 'Not an ID'", false),
        ("id = x'ff'", false),
    ];
    for (change, is_listed) in columns {
        let sql = format!("UPDATE codehost_oauth_integrations SET {change} WHERE id = 'bad'");
        odd_row(&Server::sqlite()?.url, &sql, is_listed).await?;
    }
    let postgres = "ALTER TABLE codehost_oauth_integrations ALTER changed_at DROP NOT NULL, ALTER name DROP NOT NULL; \
                    UPDATE codehost_oauth_integrations SET changed_at = NULL, name = NULL";
    odd_row(&Server::postgres_without_tables().await?.url, &format!("{postgres} WHERE id = 'bad'"), true).await
}

async fn odd_row(url: &str, sql: &str, is_listed: bool) -> Result {
    let store = open(url).await?;
    let (good, bad) = (stored("good", Some("acme")), stored("bad", Some("acme")));
    for new in [&good, &bad] {
        store.write(&IntegrationWrite::Create(Box::new(new.clone())), &()).await?;
    }
    let failure = HealthNote::now(&bad.id, Some("odd"));
    store.note(&[failure, HealthNote::now(&good.id, None)]).await?;
    execute(url, sql).await?;
    let (log, _guard) = capture_log();
    let (found, unreadable): (Vec<_>, Vec<_>) =
        store.list(Some("acme")).await?.into_iter().partition(|one| one.is_ok());
    assert_eq!(found, [Ok(good.clone())], "{sql}");
    assert_eq!((unreadable.len() == 1, log.text().contains("is not in the list")), (is_listed, !is_listed), "{sql}");
    for one in unreadable {
        let one = one.unwrap_err();
        assert_eq!((&one.id, one.version, one.why), (&bad.id, 1, UnreadableSettings::Malformed), "{sql}");
        assert_eq!(store.load(&bad.id).await, Err(StoreError::Malformed { id: "bad".to_owned() }), "{sql}");
        node(Arc::clone(&store)).by("jane").delete_unreadable(&one).await?;
        assert_eq!(store.load(&bad.id).await?, None);
    }
    assert_eq!(store.list(Some("acme")).await?, [Ok(good)], "{sql}");
    Ok(())
}

#[tokio::test]
async fn an_odd_health_hides_no_other() -> Result {
    let server = Server::sqlite()?;
    let store = open(&server.url).await?;
    let (good, bad) = (stored("good", None), stored("bad", None));
    for new in [&good, &bad] {
        store.write(&IntegrationWrite::Create(Box::new(new.clone())), &()).await?;
        store.note(&[HealthNote::now(&new.id, None), HealthNote::now(&new.id, Some("denied"))]).await?;
    }
    let odd = "last_login_at = 'odd', last_failure_code = x'ff'";
    execute(&server.url, &format!("UPDATE codehost_oauth_integrations SET {odd} WHERE id = 'bad'")).await?;
    let health = store.health(&[bad.id, good.id]).await?;
    assert_eq!(health[0], Health::default());
    assert!(health[1].last_login.is_some() && health[1].last_failure.is_some());
    Ok(())
}

/// Text that PostgreSQL cannot store.
#[tokio::test]
async fn text_with_a_null_character_is_stored_or_refused() -> Result {
    for server in [Server::sqlite()?, Server::postgres_without_tables().await?] {
        let store = open(&server.url).await?;
        let new = stored("demo", Some("ac\0me"));
        match store.write(&IntegrationWrite::Create(Box::new(new.clone())), &()).await {
            Ok(Written::Done) => assert_eq!(store.list(Some("ac\0me")).await?, [Ok(new)]),
            Err(WriteError::Store(StoreError::Refused { .. })) => assert!(store.load(&new.id).await?.is_none()),
            other => panic!("{other:?}"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_lock_that_stays_is_a_time_out() -> Result {
    let new = stored("demo", None);
    let create = IntegrationWrite::Create(Box::new(new.clone()));
    let delete = IntegrationWrite::Delete { id: new.id.clone(), version: 1 };
    let timed_out = |error| matches!(error, WriteError::Store(StoreError::TimedOut));

    let server = Server::sqlite()?;
    let store = open(&server.url).await?;
    store.write(&create, &()).await?;
    let other = sqlx::SqlitePool::connect(&server.url).await?;
    let writing = other.begin_with("BEGIN IMMEDIATE").await?;
    assert!(timed_out(store.write(&delete, &()).await.unwrap_err()));
    assert_eq!(store.version(&new.id).await?, Some(1), "readers do not wait");
    drop(writing);

    let server = Server::postgres_without_tables().await?;
    let store = open(&server.url).await?;
    store.write(&create, &()).await?;
    let other = sqlx::PgPool::connect(&server.url).await?;
    let mut writing = other.begin().await?;
    sqlx::query("SELECT 1 FROM codehost_oauth_integrations FOR UPDATE").execute(&mut *writing).await?;
    assert!(timed_out(store.write(&delete, &()).await.unwrap_err()));
    assert_eq!(store.version(&new.id).await?, Some(1), "readers do not wait");
    assert_eq!(store.note(&[HealthNote::now(&new.id, None)]).await, Err(StoreError::TimedOut));
    drop(writing);
    Ok(())
}

#[tokio::test]
async fn a_stopped_server_is_unreachable() -> Result {
    let mut server = Server::postgres_without_tables().await?;
    let (store, in_pool) = (open(&server.url).await?, open_in_pool(&server.url).await?);
    assert_eq!(format!("{store:?}"), "PostgresIntegrations");
    let create = IntegrationWrite::Create(Box::new(stored("demo", None)));
    server.kill();
    for store in [store, in_pool] {
        let error = store.load(&"demo".parse()?).await.unwrap_err();
        assert!(matches!(error, StoreError::Unreachable { .. } | StoreError::TimedOut), "{error:?}");
        let error = store.write(&create, &()).await.unwrap_err();
        assert!(matches!(error, WriteError::Store(StoreError::Unreachable { .. } | StoreError::TimedOut)), "{error:?}");
    }
    Ok(())
}

#[tokio::test]
async fn errors_of_wrong_addresses_show_no_password() {
    for url in ["postgres://app:s3cr3t@127.0.0.1:99999/x", "s3cr3t"] {
        let error = PostgresIntegrations::connect(url).await.unwrap_err();
        let StoreError::Address { detail } = &error else { panic!("{error:?}") };
        assert!(!format!("{error:?} {error} {}", detail.sanitized()).contains("s3cr3t"));
    }
    assert!(SqliteIntegrations::open("/nowhere/at/all.db").await.is_err());
}

async fn execute(url: &str, sql: &str) -> Result {
    match url.starts_with("sqlite:") {
        true => {
            sqlx::raw_sql(sql).execute(&sqlx::SqlitePool::connect(&format!("{url}?mode=rwc")).await?).await.map(drop)?
        }
        false => sqlx::raw_sql(sql).execute(&sqlx::PgPool::connect(url).await?).await.map(drop)?,
    }
    Ok(())
}
