//! Upgrades of tables in several steps, on a real server.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::*;
use crate::sql::migrations::SCHEMAS;

#[tokio::test]
async fn tables_of_every_older_version_are_upgraded() {
    let server = Server::start().await;
    let sessions = server.sessions().await;
    for (from, to) in [(0, 1), (0, 2), (1, 2), (2, 2)] {
        server.execute("DROP TABLE IF EXISTS app_schema, app_rows, app_names").await;
        sessions.migrate(&SCHEMAS[from]).await.unwrap();
        server.execute("INSERT INTO app_rows (id) VALUES (7)").await;
        // All of them together: each may find that another one was first.
        let others = (0..8).map(|_| async { server.sessions().await.migrate(&SCHEMAS[to]).await });
        let others = futures_util::future::join_all(others).await;
        assert!(others.iter().all(Result::is_ok), "{from} to {to}: {others:?}");
        assert_eq!(server.number("SELECT version FROM app_schema").await, i64::try_from(to).unwrap() + 1);
        assert_eq!(server.number("SELECT count(*) FROM app_rows WHERE id = 7 AND name = 'none'").await, 1);
        if to == 2 {
            let names = server.number("SELECT count(*) FROM app_names").await;
            assert_eq!(names, i64::from(from < 2), "{from} to {to}");
        }
    }
}

#[tokio::test]
async fn tables_of_a_newer_or_unknown_version_are_refused_and_kept() {
    let server = Server::start().await;
    let sessions = server.sessions().await;
    sessions.migrate(&SCHEMAS[2]).await.unwrap();
    assert_eq!(sessions.migrate(&SCHEMAS[0]).await, Err(StoreError::Schema { found: 3 }));
    server.execute("UPDATE app_schema SET version = -1").await;
    assert_eq!(sessions.migrate(&SCHEMAS[2]).await, Err(StoreError::Schema { found: -1 }));
    assert_eq!(server.number("SELECT version FROM app_schema").await, -1);
}

#[tokio::test]
async fn an_upgrade_that_fails_changes_nothing() {
    let server = Server::start().await;
    let sessions = server.sessions().await;
    sessions.migrate(&SCHEMAS[1]).await.unwrap();
    server.execute("INSERT INTO app_rows (id, name) VALUES (7, 'x')").await;
    assert!(matches!(sessions.migrate(&SCHEMAS[3]).await, Err(StoreError::Refused { .. })));
    assert_eq!(server.number("SELECT version FROM app_schema").await, 2);
    assert_eq!(server.number("SELECT count(*) FROM pg_tables WHERE tablename = 'app_names'").await, 0);
    sessions.migrate(&SCHEMAS[2]).await.unwrap();
    assert_eq!(server.number("SELECT count(*) FROM app_names").await, 1);
}

/// A server for one test, with its own folder and port on loopback.
struct Server {
    child: Child,
    folder: PathBuf,
    pool: PgPool,
    url: String,
}

impl Server {
    async fn start() -> Self {
        let mut random = [0; 8];
        crate::util::random::fill(&mut random).unwrap();
        let name = format!("codehost-oauth-upgrades-{:x}", u64::from_le_bytes(random));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        let mut initdb = program(&folder, "initdb");
        initdb
            .args(["-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C", "-D"])
            .arg(folder.join("data"));
        let output = initdb.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = program(&folder, "postgres");
        server.arg("-D").arg(folder.join("data")).arg("-k").arg(&folder).args(["-h", "127.0.0.1", "-p"]);
        let child = server.arg(port.to_string()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
        let pool = PgPool::connect_lazy(&url).unwrap();
        let server = Self { child, folder, pool, url };
        for _ in 0..1200 {
            if server.pool.acquire().await.is_ok() {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the server did not start");
    }

    async fn sessions(&self) -> Sessions {
        Sessions::connect(&self.url).await.unwrap()
    }

    async fn execute(&self, sql: &str) {
        sqlx::raw_sql(sql).execute(&self.pool).await.unwrap();
    }

    async fn number(&self, query: &str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.pool).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Debian does not put it into the path. It refuses to run as root, so it then runs as the user of its package.
fn program(folder: &Path, name: &str) -> Command {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = versions.map(|entry| entry.path().join("bin")).collect();
    found.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let found = found.into_iter().map(|folder| folder.join(name)).rfind(|program| program.exists());
    let mut command = Command::new(found.expect("PostgreSQL is missing; run: apt-get install -y postgresql"));
    if fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0) {
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let entry = passwd.lines().find(|line| line.starts_with("postgres:")).expect("there is a user postgres");
        let ids: Vec<u32> = entry.split(':').skip(2).take(2).map(|id| id.parse().unwrap()).collect();
        std::os::unix::fs::chown(folder, Some(ids[0]), Some(ids[1])).unwrap();
        command.uid(ids[0]).gid(ids[1]);
    }
    command.current_dir(folder);
    command
}
