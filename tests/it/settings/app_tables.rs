//! An app changes its own tables in the transaction of a write.

use async_trait::async_trait;
use codehost_oauth::error::{AppError, StoreError};
use codehost_oauth::settings::{
    IntegrationStore, IntegrationWrite, StoreTransaction, StoredBefore, WriteError, WriteHook, Written,
};

use super::support::{Result, open, open_in_pool, stored};
use crate::keeper::fail_over::Pair;
use crate::keeper::servers::Server;

/// Runs SQL of the app before and after each write.
pub(super) struct AppSql {
    pub(super) before: String,
    pub(super) after: String,
    /// Whether the app takes no notice of an error of its own SQL.
    pub(super) hides_errors: bool,
}

#[async_trait]
impl WriteHook for AppSql {
    async fn before(
        &self,
        _: &IntegrationWrite,
        _: &StoredBefore,
        transaction: &mut StoreTransaction<'_>,
    ) -> std::result::Result<(), AppError> {
        self.run(&self.before, transaction).await
    }

    async fn after(
        &self,
        _: &IntegrationWrite,
        _: &StoredBefore,
        transaction: &mut StoreTransaction<'_>,
    ) -> std::result::Result<(), AppError> {
        self.run(&self.after, transaction).await
    }
}

impl AppSql {
    async fn run(&self, sql: &str, transaction: &mut StoreTransaction<'_>) -> std::result::Result<(), AppError> {
        let done = match transaction {
            StoreTransaction::Sqlite(connection) => sqlx::query(sql).execute(&mut **connection).await.map(drop),
            StoreTransaction::Postgres(connection) => sqlx::query(sql).execute(&mut **connection).await.map(drop),
            other => panic!("{other:?}"),
        };
        if self.hides_errors { Ok(()) } else { Ok(done?) }
    }
}

fn add(name: &str) -> String {
    format!("INSERT INTO app_log (name) VALUES ('{name}')")
}

#[tokio::test]
async fn the_app_writes_in_the_transaction_on_sqlite() -> Result {
    let server = Server::sqlite()?;
    let app = sqlx::SqlitePool::connect(&format!("{}?mode=rwc", server.url)).await?;
    sqlx::raw_sql("CREATE TABLE app_log (name TEXT UNIQUE)").execute(&app).await?;
    the_app_writes_in_the_transaction(&server, async || {
        let sql = "SELECT coalesce(group_concat(name), '') FROM (SELECT name FROM app_log ORDER BY name)";
        Ok(sqlx::query_scalar(sql).fetch_one(&app).await?)
    })
    .await
}

#[tokio::test]
async fn the_app_writes_in_the_transaction_on_postgres() -> Result {
    let server = Server::postgres_without_tables().await?;
    let app = sqlx::PgPool::connect(&server.url).await?;
    sqlx::raw_sql("CREATE TABLE app_log (name text UNIQUE)").execute(&app).await?;
    the_app_writes_in_the_transaction(&server, async || {
        let sql = "SELECT coalesce(string_agg(name, ',' ORDER BY name), '') FROM app_log";
        Ok(sqlx::query_scalar(sql).fetch_one(&app).await?)
    })
    .await
}

async fn the_app_writes_in_the_transaction(server: &Server, log: impl AsyncFn() -> Result<String>) -> Result {
    let hook = |before: &str, after: &str| AppSql { before: add(before), after: add(after), hides_errors: false };
    for (n, store) in [open(&server.url).await?, open_in_pool(&server.url).await?].into_iter().enumerate() {
        let before = log().await?;
        let new = stored(&format!("demo-{n}"), None);
        let create = IntegrationWrite::Create(Box::new(new.clone()));
        // The app's own rule, a unique name, refuses each: everything is undone, also what succeeded before.
        for (first, second) in [("x", "x"), ("y", "x' FROM nowhere --")] {
            let error = store.write(&create, &hook(first, second)).await.unwrap_err();
            assert!(matches!(error, WriteError::Refused(_)), "{error:?}");
            assert_eq!((store.load(&new.id).await?, log().await?), (None, before.clone()));
        }
        let [a, b] = ["a", "b"].map(|name| format!("{n}{name}"));
        assert_eq!(store.write(&create, &hook(&a, &b)).await?, Written::Done);
        let written = if before.is_empty() { format!("{a},{b}") } else { format!("{before},{a},{b}") };
        assert_eq!((store.load(&new.id).await?, log().await?), (Some(new.clone()), written.clone()));
        // A write that is not done does nothing of the app's.
        assert_eq!(store.write(&create, &hook("c", "d")).await?, Written::IdTaken);
        let delete = IntegrationWrite::Delete { id: new.id.clone(), version: 9 };
        assert_eq!(store.write(&delete, &hook("c", "d")).await?, Written::Stale(Some(Box::new(new))));
        assert_eq!(log().await?, written);
    }
    Ok(())
}

/// PostgreSQL then undoes the transaction, and reports no error for its `COMMIT`.
#[tokio::test]
async fn an_error_that_the_app_hides_is_no_success() -> Result {
    for server in [Server::sqlite()?, Server::postgres_without_tables().await?] {
        let store = open(&server.url).await?;
        for (n, (before, after)) in
            [("SELECT 1 FROM nowhere", "SELECT 1"), ("SELECT 1", "SELECT 1 FROM nowhere")].into_iter().enumerate()
        {
            let new = stored(&format!("demo-{n}"), None);
            let hook = AppSql { before: before.to_owned(), after: after.to_owned(), hides_errors: true };
            let done = store.write(&IntegrationWrite::Create(Box::new(new.clone())), &hook).await;
            match done {
                Ok(Written::Done) => assert_eq!(store.load(&new.id).await?, Some(new)),
                Err(WriteError::Store(StoreError::Refused { .. })) => assert_eq!(store.load(&new.id).await?, None),
                other => panic!("{other:?}"),
            }
        }
    }
    Ok(())
}

/// A call that is dropped, for example by a time limit of the app, leaves nothing and holds up nobody.
#[tokio::test]
async fn a_write_that_is_dropped_is_undone() -> Result {
    struct Never;

    #[async_trait]
    impl WriteHook for Never {
        async fn after(
            &self,
            _: &IntegrationWrite,
            _: &StoredBefore,
            _: &mut StoreTransaction<'_>,
        ) -> std::result::Result<(), AppError> {
            std::future::pending().await
        }
    }

    for server in [Server::sqlite()?, Server::postgres_without_tables().await?] {
        let store = open(&server.url).await?;
        let new = stored("demo", None);
        let create = IntegrationWrite::Create(Box::new(new.clone()));
        for _ in 0..10 {
            let write = store.write(&create, &Never);
            assert!(tokio::time::timeout(std::time::Duration::from_millis(50), write).await.is_err());
        }
        assert_eq!(store.load(&new.id).await?, None);
        assert_eq!(store.write(&create, &()).await?, Written::Done);
    }
    Ok(())
}

/// The app's rule is "not the last enabled one". The second write begins while the first one is in its hook.
#[tokio::test]
async fn writes_of_one_owner_see_each_other_on_postgres() -> Result {
    let server = Server::postgres_without_tables().await?;
    let (here, there) = (open(&server.url).await?, open_in_pool(&server.url).await?);
    let app = sqlx::PgPool::connect(&server.url).await?;
    for (n, is_deleted) in [false, true].into_iter().enumerate() {
        let owner = format!("owner-{n}");
        let [one, two] = ["one", "two"].map(|id| stored(&format!("{id}-{n}"), Some(&owner)));
        for new in [&one, &two] {
            here.write(&IntegrationWrite::Create(Box::new(new.clone())), &()).await?;
        }
        let mut disabled = one.clone();
        (disabled.version, disabled.is_disabled) = (2, true);
        let first = IntegrationWrite::Replace(Box::new(disabled));
        let mut disabled = two.clone();
        (disabled.version, disabled.is_disabled) = (2, true);
        let second = match is_deleted {
            true => IntegrationWrite::Delete { id: two.id.clone(), version: 1 },
            false => IntegrationWrite::Replace(Box::new(disabled)),
        };
        let (slow, quick) = (NotTheLast::new(&owner), NotTheLast::new(&owner));
        quick.may_end.notify_one();
        let second = async {
            slow.has_counted.notified().await;
            tokio::join!(there.write(&second, &quick), async {
                // Until the second write waits, or has not waited and counted.
                let waits = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted";
                while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&app).await.unwrap() && !quick.is_done() {
                    tokio::task::yield_now().await;
                }
                slow.may_end.notify_one();
            })
            .0
        };
        let (first, second) = tokio::join!(here.write(&first, &slow), second);
        assert_eq!(first?, Written::Done);
        assert!(matches!(second, Err(WriteError::Refused(_))), "{second:?}");
        assert_eq!(there.load(&two.id).await?, Some(two));
        // Another owner's do not wait.
        let other = stored(&format!("other-{n}"), None);
        assert_eq!(there.write(&IntegrationWrite::Create(Box::new(other)), &()).await?, Written::Done);
    }
    Ok(())
}

/// Writes that give integrations to each other's owner, many times at once.
#[tokio::test(flavor = "multi_thread")]
async fn writes_of_several_owners_do_not_wait_for_each_other_forever() -> Result {
    let server = Server::postgres_without_tables().await?;
    let store = open(&server.url).await?;
    for id in ["a", "b"] {
        store.write(&IntegrationWrite::Create(Box::new(stored(id, Some(id)))), &()).await?;
    }
    let writers = ["a", "b"].map(|id| {
        let (store, mut next) = (store.clone(), stored(id, Some(id)));
        tokio::spawn(async move {
            for n in 0..50 {
                next.version += 1;
                next.owner = Some(if n % 2 == 0 { "a" } else { "b" }.to_owned());
                let written = store.write(&IntegrationWrite::Replace(Box::new(next.clone())), &()).await.unwrap();
                assert_eq!(written, Written::Done);
            }
        })
    });
    for writer in writers {
        writer.await?;
    }
    Ok(())
}

/// Refuses to disable or delete the last integration of an owner that is enabled. Then it waits until it may end.
struct NotTheLast {
    owner: String,
    has_counted: tokio::sync::Notify,
    is_done: std::sync::atomic::AtomicBool,
    may_end: tokio::sync::Notify,
}

impl NotTheLast {
    fn new(owner: &str) -> Self {
        let (has_counted, may_end) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
        Self { owner: owner.to_owned(), has_counted, is_done: false.into(), may_end }
    }

    fn is_done(&self) -> bool {
        self.is_done.load(std::sync::atomic::Ordering::SeqCst)
    }
}

#[async_trait]
impl WriteHook for NotTheLast {
    async fn before(
        &self,
        write: &IntegrationWrite,
        _: &StoredBefore,
        transaction: &mut StoreTransaction<'_>,
    ) -> std::result::Result<(), AppError> {
        let StoreTransaction::Postgres(connection) = transaction else { panic!("{transaction:?}") };
        let sql = "SELECT count(*) FROM codehost_oauth_integrations \
                   WHERE owner = $1 AND id <> $2 AND NOT is_disabled AND NOT is_deleted";
        let query = sqlx::query_scalar::<_, i64>(sql).bind(&self.owner).bind(write.id().as_str());
        let others = query.fetch_one(&mut **connection).await?;
        self.is_done.store(true, std::sync::atomic::Ordering::SeqCst);
        self.has_counted.notify_one();
        self.may_end.notified().await;
        if others == 0 { Err("the last one".into()) } else { Ok(()) }
    }
}

/// Each kind of call is the first one after the swap, each on its own store, whose sessions are with the old primary.
#[tokio::test]
async fn after_a_fail_over_every_call_uses_the_new_primary() -> Result {
    let pair = Pair::postgres().await?;
    let mut stores = Vec::new();
    for n in 0..10 {
        let store = if n % 2 == 0 { open(&pair.url).await? } else { open_in_pool(&pair.url).await? };
        futures_util::future::try_join_all((0..8).map(|_| store.list(None))).await?;
        stores.push(store);
    }
    let one = stored("one", None);
    stores[0].write(&IntegrationWrite::Create(Box::new(one.clone())), &()).await?;
    pair.swap().await?;
    let mut two = one.clone();
    two.version = 2;
    let replace = IntegrationWrite::Replace(Box::new(two.clone()));
    assert_eq!(stores[0].write(&replace, &()).await?, Written::Done);
    let [three, four] = ["three", "four"].map(|id| stored(id, Some("owner")));
    assert_eq!(stores[1].write(&IntegrationWrite::Create(Box::new(three.clone())), &()).await?, Written::Done);
    assert_eq!(stores[2].write(&IntegrationWrite::Create(Box::new(four.clone())), &()).await?, Written::Done);
    // The old primary would respond with old data.
    for store in &stores[3..5] {
        assert_eq!(store.version(&two.id).await?, Some(2));
    }
    for store in &stores[5..7] {
        assert_eq!(store.list(Some("owner")).await?, [Ok(four.clone()), Ok(three.clone())]);
    }
    let note = codehost_oauth::settings::HealthNote::now(&two.id, None);
    stores[7].note(std::slice::from_ref(&note)).await?;
    stores[8].note(std::slice::from_ref(&note)).await?;
    assert_eq!(stores[9].health(std::slice::from_ref(&two.id)).await?[0].last_login, Some(note.at));
    for store in &stores {
        for _ in 0..8 {
            assert_eq!(store.load(&two.id).await?.as_ref(), Some(&two));
        }
    }
    Ok(())
}
