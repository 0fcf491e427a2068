//! A process is killed while it saves and moves an integration, and changes a table of the app in the same transaction.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use codehost_oauth::error::AppError;
use codehost_oauth::settings::{
    IntegrationSecrets, IntegrationSettings, IntegrationWrite, Integrations, StoreTransaction, StoredBefore,
    StoredIntegration, WriteHook,
};

use super::app_tables::AppSql;
use super::support::{Result, named, open};
use super::{keys, node};
use crate::keeper::servers::Server;

#[tokio::test]
async fn a_kill_on_sqlite_leaves_the_old_or_the_new_state() -> Result {
    let server = Server::sqlite()?;
    let app = sqlx::SqlitePool::connect(&format!("{}?mode=rwc", server.url)).await?;
    sqlx::raw_sql(APP_TABLE).execute(&app).await?;
    killed(&server, async || Ok(sqlx::query_scalar(APP_VERSION).fetch_one(&app).await?)).await
}

#[tokio::test]
async fn a_kill_on_postgres_leaves_the_old_or_the_new_state() -> Result {
    let server = Server::postgres_without_tables().await?;
    let app = sqlx::PgPool::connect(&server.url).await?;
    sqlx::raw_sql(APP_TABLE).execute(&app).await?;
    killed(&server, async || Ok(sqlx::query_scalar(APP_VERSION).fetch_one(&app).await?)).await
}

/// The version of the integration, as the app's own table has it.
const APP_TABLE: &str = "CREATE TABLE app_versions (version bigint NOT NULL); INSERT INTO app_versions VALUES (1)";
const APP_VERSION: &str = "SELECT version FROM app_versions";

async fn killed(server: &Server, app_version: impl AsyncFn() -> Result<i64>) -> Result {
    let integrations = node(open(&server.url).await?);
    let (settings, secrets) = contents(1);
    integrations.by("jane").create(&"demo".parse()?, None, settings, &secrets).await?;

    let mut interrupted = 0;
    for round in 0..24 {
        // It kills itself in the middle of a transaction, or is killed from outside at any time.
        let kill_at = ["before", "after", ""][round % 3];
        let mut writer = Writer::start(server, kill_at)?;
        let mut confirmed = 0;
        while let Some(version) = writer.next_version()? {
            confirmed = version;
            if kill_at.is_empty() && version % 4 == 0 {
                tokio::time::sleep(Duration::from_micros(u64::try_from(round).unwrap() * 150)).await;
                writer.process.kill()?;
            }
        }
        drop(writer);

        let stored = integrations.load(&"demo".parse()?).await?.unwrap();
        let (settings, secrets) = contents(stored.version);
        assert_eq!(stored.settings, settings, "saved in part");
        let opened = integrations.secrets(&stored)?;
        let seals = |secrets: &IntegrationSecrets| {
            secrets.seal(&keys(), &stored.id, &stored.settings.base_url).map(|sealed| sealed.len())
        };
        assert_eq!(seals(&opened)?, seals(&secrets)?, "the secret has another length");
        assert_eq!(stored.changed.by, format!("writer of {}", stored.version));
        assert_eq!(app_version().await?, stored.version, "the app's table and the integration are of one write");
        let lost = stored.version < confirmed;
        assert!(!lost, "version {confirmed} was confirmed, and {} is stored", stored.version);
        assert!(stored.version <= confirmed + 1, "nothing else has written");
        if !kill_at.is_empty() {
            assert_eq!(stored.version, confirmed, "killed before the commit");
            interrupted += 1;
        }
    }
    assert_eq!(interrupted, 16);
    Ok(())
}

/// What each version contains. Each third one is a move to another server, with a secret of another length.
fn contents(version: i64) -> (IntegrationSettings, IntegrationSecrets) {
    let mut settings = named(&format!("Version {version}"));
    let server = version / 3;
    settings.base_url = format!("https://git-{server}.example.com");
    settings.client_id = format!("client-{server}");
    (settings, IntegrationSecrets::new(&format!("canary-{}", "x".repeat(usize::try_from(server).unwrap()))))
}

/// Another process: this test binary again, running [`child`].
struct Writer {
    process: Child,
    lines: BufReader<ChildStdout>,
}

impl Writer {
    fn start(server: &Server, kill_at: &str) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--exact", "--nocapture", "settings::crash::child"])
            .env("INTEGRATIONS_STORE", &server.url)
            .env("INTEGRATIONS_KILL_AT", kill_at)
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(process.stdout.take().expect("piped"));
        Ok(Self { process, lines })
    }

    /// The next version that was stored; `None` if the process was killed.
    fn next_version(&mut self) -> Result<Option<i64>> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            if let Some((_, version)) = line.trim().split_once("stored: ") {
                return Ok(Some(version.parse()?));
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn child() -> Result {
    // The child process of the tests above. Without the variables it does nothing.
    let Ok(store) = std::env::var("INTEGRATIONS_STORE") else { return Ok(()) };
    let kill_at = std::env::var("INTEGRATIONS_KILL_AT")?;
    let integrations = node(open(&store).await?);
    let mut stored = integrations.load(&"demo".parse()?).await?.unwrap();
    println!("stored: {}", stored.version);
    for number in 0.. {
        let version = stored.version + 1;
        let hook = KillingHook {
            app: AppSql {
                before: "SELECT 1".to_owned(),
                after: format!("UPDATE app_versions SET version = {version}"),
                hides_errors: false,
            },
            kill_at: if number == 5 { kill_at.clone() } else { String::new() },
        };
        stored = write(&integrations, &stored, version, &hook).await?;
        println!("stored: {version}");
    }
    Ok(())
}

async fn write(
    integrations: &Integrations,
    old: &StoredIntegration,
    version: i64,
    hook: &dyn WriteHook,
) -> Result<StoredIntegration> {
    let (settings, secrets) = contents(version);
    let by = format!("writer of {version}");
    Ok(match version % 3 {
        0 => integrations.by(&by).with_hook(hook).move_to(old, settings, &secrets).await?,
        _ => integrations.by(&by).with_hook(hook).save(old, settings, None).await?,
    })
}

/// Kills this process around the write, after the app's own change.
struct KillingHook {
    app: AppSql,
    kill_at: String,
}

#[async_trait]
impl WriteHook for KillingHook {
    async fn before(
        &self,
        write: &IntegrationWrite,
        stored: &StoredBefore,
        transaction: &mut StoreTransaction<'_>,
    ) -> std::result::Result<(), AppError> {
        self.app.before(write, stored, transaction).await?;
        self.kill("before");
        Ok(())
    }

    async fn after(
        &self,
        write: &IntegrationWrite,
        stored: &StoredBefore,
        transaction: &mut StoreTransaction<'_>,
    ) -> std::result::Result<(), AppError> {
        self.app.after(write, stored, transaction).await?;
        self.kill("after");
        Ok(())
    }
}

impl KillingHook {
    /// With the signal that cannot be caught.
    fn kill(&self, moment: &str) {
        if self.kill_at == moment {
            let _ = Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
            std::process::abort();
        }
    }
}
