//! Sessions in SQLite.

use std::sync::Arc;

use codehost_oauth::error::StoreError;
use codehost_oauth::router::SqliteSessions;
use tower_sessions::session::{Id, Record};
use tower_sessions::{Session, SessionStore as _};

use crate::login::observe::capture_log;
use crate::support::schema;

type Failed = Box<dyn std::error::Error>;

struct File(std::path::PathBuf);

impl File {
    fn new(name: &str) -> Self {
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sessions_{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}.db"));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }

    async fn pool(&self) -> sqlx::SqlitePool {
        sqlx::SqlitePool::connect(&format!("sqlite:{}", self.0.display())).await.unwrap()
    }
}

async fn rows(file: &File) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM codehost_oauth_sessions").fetch_one(&file.pool().await).await.unwrap()
}

async fn stored(store: &SqliteSessions, name: &str) -> Session {
    let session = Session::new(None, Arc::new(store.clone()), None);
    session.insert("name", name).await.unwrap();
    session.save().await.unwrap();
    session
}

#[tokio::test]
async fn a_session_is_kept_over_a_restart_and_changed() -> Result<(), Failed> {
    let file = File::new("restart");
    let session = stored(&SqliteSessions::open(&file.0).await?, "jane").await;
    let store = SqliteSessions::open(&file.0).await?;
    let again = Session::new(session.id(), Arc::new(store.clone()), None);
    assert_eq!(again.get::<String>("name").await?.as_deref(), Some("jane"));
    again.insert("name", "john").await?;
    again.save().await?;
    let loaded = store.load(&session.id().unwrap()).await?.unwrap();
    assert_eq!((loaded.id, &loaded.data["name"]), (session.id().unwrap(), &"john".into()));
    assert!(store.load(&Id::default()).await?.is_none());
    Ok(())
}

/// A page that was loading during the log-out is saved after it.
#[tokio::test]
async fn a_deleted_session_stays_deleted() -> Result<(), Failed> {
    let file = File::new("deleted");
    let store = SqliteSessions::open(&file.0).await?;
    let session = stored(&store, "jane").await;
    let page = Session::new(session.id(), Arc::new(store.clone()), None);
    page.insert("seen", true).await?;
    let record = store.load(&session.id().unwrap()).await?.unwrap();
    session.flush().await?;
    page.save().await?;
    store.save(&record).await?;
    assert!(store.load(&record.id).await?.is_none());
    assert_eq!(rows(&file).await, 0);
    Ok(())
}

#[tokio::test]
async fn an_expired_session_is_not_loaded_and_then_deleted() -> Result<(), Failed> {
    let file = File::new("expired");
    let store = SqliteSessions::open(&file.0).await?;
    let session = stored(&store, "jane").await;
    let record = store.load(&session.id().unwrap()).await?.unwrap();
    let past = Record { expiry_date: record.expiry_date - tower_sessions::cookie::time::Duration::weeks(52), ..record };
    store.save(&past).await?;
    assert!(store.load(&past.id).await?.is_none());
    assert_eq!(rows(&file).await, 1);
    stored(&store, "john").await;
    assert_eq!(rows(&file).await, 1);
    Ok(())
}

#[tokio::test]
async fn the_file_has_no_id_of_a_session() -> Result<(), Failed> {
    let file = File::new("ids");
    let session = stored(&SqliteSessions::open(&file.0).await?, "jane").await;
    let id = session.id().unwrap();
    for path in [file.0.clone(), file.0.with_extension("db-wal")] {
        let bytes = std::fs::read(&path)?;
        for text in [id.to_string(), id.0.to_string()] {
            assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{}", path.display());
        }
    }
    Ok(())
}

/// Data that another program has written: the user logs in again.
#[tokio::test]
async fn a_session_that_cannot_be_read_is_deleted() -> Result<(), Failed> {
    let file = File::new("unreadable");
    let store = SqliteSessions::open(&file.0).await?;
    for data in ["'marker'", "x'ff'", "7", "''"] {
        let (session, other) = (stored(&store, "jane").await, stored(&store, "john").await);
        let id = session.id().unwrap();
        let before: String = sqlx::query_scalar("SELECT data FROM codehost_oauth_sessions WHERE data LIKE '%jane%'")
            .fetch_one(&file.pool().await)
            .await?;
        let sql = format!("UPDATE codehost_oauth_sessions SET data = {data} WHERE data = ?");
        sqlx::query(&sql).bind(before).execute(&file.pool().await).await?;
        let (log, _guard) = capture_log();
        assert!(store.load(&id).await?.is_none(), "{data}");
        let text = log.text();
        assert!(text.contains("a session was deleted") && !text.contains("marker"), "{text}");
        assert_eq!(rows(&file).await, 1, "{data}");
        other.flush().await?;
    }
    sqlx::query("UPDATE codehost_oauth_sessions_schema SET version = 7").execute(&file.pool().await).await?;
    assert_eq!(SqliteSessions::open(&file.0).await.unwrap_err(), StoreError::Schema { found: 7 });
    assert!(SqliteSessions::open("/nowhere/sessions.db").await.is_err());
    Ok(())
}

#[tokio::test]
async fn the_documented_tables_are_those_that_are_created() -> Result<(), Failed> {
    let [.., sql] = schema::documented();
    let (created, documented) = (File::new("created"), File::new("documented"));
    SqliteSessions::open(&created.0).await?;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&documented.0).create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await?;
    sqlx::raw_sql(sql).execute(&pool).await?;
    assert_eq!(schema::of_sqlite(&pool).await, schema::of_sqlite(&created.pool().await).await);
    Ok(())
}
