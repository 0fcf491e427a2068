//! Doorkeeper, the OAuth server inside GitLab, as a program with GitLab's settings: `server.rb`. Unlike the fake, nobody here wrote
//! what it answers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use codehost_oauth::testing::FakeApplication;
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::support::programs::root;

/// The running server, with the users `root`, `alice` and `bob`. Dropping this value kills it, and so does the end of this process.
pub(crate) struct Doorkeeper {
    _child: Child,
    folder: Folder,
    pub(crate) base_url: String,
}

impl Doorkeeper {
    /// The password of all users.
    pub(crate) const PASSWORD: &str = "canary-doorkeeper-password";

    /// Starts it with these applications.
    pub(crate) async fn start(applications: &[FakeApplication]) -> Self {
        let folder = Folder::new();
        let applications: Vec<_> = applications
            .iter()
            .map(|application| {
                json!({
                    "name": application.name,
                    "uid": application.client_id,
                    "secret": application.client_secret,
                    "redirect_uri": application.redirect_uris.join("\n"),
                    "scopes": application.scopes.join(" "),
                })
            })
            .collect();
        let settings = json!({ "password": Self::PASSWORD, "applications": applications });
        fs::write(folder.0.join("settings.json"), settings.to_string()).unwrap();

        let mut command = Command::new("ruby");
        command.arg(root().join("tests/it/support/doorkeeper/server.rb")).arg(&folder.0);
        // It ends when this process does, because its input is closed then.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        command.stderr(fs::File::create(folder.0.join("errors.log")).unwrap());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("ruby: {error}; {INSTALL}"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(base_url) = line.strip_prefix("listening: ") {
                return Self { _child: child, base_url: base_url.to_owned(), folder };
            }
        }
        panic!("Doorkeeper does not start; {INSTALL}\n{}", folder.errors());
    }

    /// How many tokens of the application with this name are not revoked, as its database says.
    pub(crate) async fn valid_tokens(&self, application: &str) -> i64 {
        let file = self.folder.0.join("gitlab.sqlite");
        let mut database = SqliteConnectOptions::new().filename(file).read_only(true).connect().await.unwrap();
        let query = sqlx::query_scalar(
            "SELECT count(*) FROM oauth_access_tokens AS tokens
             JOIN oauth_applications AS applications ON applications.id = tokens.application_id
             WHERE applications.name = ? AND tokens.revoked_at IS NULL",
        );
        let count = query.bind(application).fetch_one(&mut database).await.unwrap();
        database.close().await.unwrap();
        count
    }
}

/// A folder of its own, which is removed when this value is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("doorkeeper-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn errors(&self) -> String {
        fs::read_to_string(self.0.join("errors.log")).unwrap_or_default()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const INSTALL: &str =
    "run: apt-get install -y puma ruby-activerecord ruby-doorkeeper ruby-doorkeeper-openid-connect ruby-sqlite3";
