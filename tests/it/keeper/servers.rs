//! Real servers for one run: each has its own data folder and port on loopback, and is stopped by process id.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use codehost_oauth::keeper::{PostgresTokens, RedisTokens, SqliteTokens, TokenStore};

use super::scenario::Result;

/// A store that other processes can open by its URL.
pub(crate) struct Server {
    pub(crate) url: String,
    child: Option<Child>,
    folder: PathBuf,
    port: u16,
}

impl Server {
    pub(crate) fn sqlite() -> Result<Self> {
        let folder = folder("sqlite")?;
        Ok(Self { url: format!("sqlite:{}", folder.join("tokens.db").display()), child: None, folder, port: 0 })
    }

    pub(crate) async fn postgres() -> Result<Self> {
        let server = Self::postgres_without_tables().await?;
        open(&server.url).await?;
        Ok(server)
    }

    pub(crate) async fn postgres_without_tables() -> Result<Self> {
        let bin = postgres_binaries("initdb")?;
        let folder = folder("postgres")?;
        let mut initdb = unprivileged(&folder, &bin.join("initdb"))?;
        let initdb = initdb.args(["-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C", "-D"]);
        let output = initdb.arg(folder.join("data")).output()?;
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        Self::serve_postgres(folder)?.ready().await
    }

    fn serve_postgres(folder: PathBuf) -> Result<Self> {
        let port = crate::port::free();
        let child = spawn_postgres(&folder, port)?;
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
        Ok(Self { url, child: Some(child), folder, port })
    }

    /// A standby server of this PostgreSQL.
    pub(crate) async fn standby(&self) -> Result<Self> {
        let folder = folder("standby")?;
        let mut copy = unprivileged(&folder, &postgres_binaries("pg_basebackup")?.join("pg_basebackup"))?;
        let copy = copy.args(["-h", "127.0.0.1", "-U", "postgres", "-R", "--no-sync", "-c", "fast", "-p"]);
        let output = copy.arg(self.port.to_string()).arg("-D").arg(folder.join("data")).output()?;
        assert!(output.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&output.stderr));
        Self::serve_postgres(folder)?.ready().await
    }

    pub(crate) async fn redis() -> Result<Self> {
        let folder = folder("redis")?;
        let port = crate::port::free();
        let child = spawn_redis(&folder, port)?;
        Self { url: format!("redis://127.0.0.1:{port}"), child: Some(child), folder, port }.ready().await
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Stops it cleanly and starts it again at the same port.
    pub(crate) async fn restart(&mut self) -> Result {
        let child = self.child.as_mut().expect("it is a server");
        let ended = Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
        assert!(ended.success());
        child.wait()?;
        self.child = Some(match self.url.starts_with("postgres:") {
            true => spawn_postgres(&self.folder, self.port)?,
            false => spawn_redis(&self.folder, self.port)?,
        });
        Ok(())
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    async fn ready(self) -> Result<Self> {
        for _ in 0..1200 {
            let ready = match self.url.starts_with("postgres:") {
                true => sqlx::PgPool::connect(&self.url).await.is_ok(),
                false => open(&self.url).await.is_ok(),
            };
            if ready {
                return Ok(self);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the server did not start: {}", self.url);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The child process is the server itself, so no other process is killed.
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Opens the store at a URL.
pub(crate) async fn open(url: &str) -> Result<Arc<dyn TokenStore>> {
    Ok(if let Some(path) = url.strip_prefix("sqlite:") {
        Arc::new(SqliteTokens::open(path).await?)
    } else if url.starts_with("postgres:") {
        Arc::new(PostgresTokens::connect(url).await?)
    } else {
        Arc::new(RedisTokens::connect(url).await?)
    })
}

fn spawn_postgres(folder: &Path, port: u16) -> Result<Child> {
    let mut server = unprivileged(folder, &postgres_binaries("postgres")?.join("postgres"))?;
    let server = server.arg("-D").arg(folder.join("data")).arg("-k").arg(folder).args(["-h", "127.0.0.1", "-p"]);
    Ok(server.arg(port.to_string()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

fn spawn_redis(folder: &Path, port: u16) -> Result<Child> {
    let mut server = Command::new("redis-server");
    let server = server.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    // A replica copies at once, instead of waiting five seconds for others.
    let server = server.args(["--repl-diskless-sync-delay", "0"]);
    let server = server.arg("--dir").arg(folder).arg("--port").arg(port.to_string());
    let child = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    Ok(child.map_err(|_| "redis-server is missing; run: apt-get install -y redis-server")?)
}

fn folder(name: &str) -> Result<PathBuf> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| error.to_string())?;
    let folder = std::env::temp_dir().join(format!("codehost-oauth-{name}-{:x}", u64::from_le_bytes(random)));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Debian does not put them into the path.
fn postgres_binaries(program: &str) -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = versions.map(|entry| entry.path().join("bin")).collect();
    found.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    found.retain(|folder| folder.join(program).exists());
    found.pop().ok_or_else(|| "PostgreSQL is missing; run: apt-get install -y postgresql".into())
}

/// PostgreSQL refuses to run as root, so it then runs as the user of its package, who becomes the owner of the folder.
fn unprivileged(folder: &Path, program: &Path) -> Result<Command> {
    use std::os::unix::fs::MetadataExt as _;
    let mut command = Command::new(program);
    if fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0) {
        let passwd = fs::read_to_string("/etc/passwd")?;
        let entry = passwd.lines().find(|line| line.starts_with("postgres:"));
        let mut ids = entry.expect("there is a user postgres").split(':').skip(2).map(str::parse::<u32>);
        let (uid, gid) = (ids.next().unwrap()?, ids.next().unwrap()?);
        std::os::unix::fs::chown(folder, Some(uid), Some(gid))?;
        use std::os::unix::process::CommandExt as _;
        command.uid(uid).gid(gid);
    }
    command.current_dir(folder);
    Ok(command)
}
