//! The example app `examples/host` as a program, over HTTP and in a browser.

mod accounts;
pub(crate) mod browser;
mod client;
mod crash;
mod guides;
mod holes;
mod lockout;
mod pages;
mod rights;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use crate::secrets::leak_check;

/// Where the integrations of the first organization are.
pub(super) const INTEGRATIONS: &str = "/org/main/integrations";

/// The running program. Dropping this value kills it.
pub(super) struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(super) url: String,
    /// The path of the setup link; empty if an administrator can log in.
    pub(super) setup: String,
    /// The name of each fake code host, and its URL.
    fakes: Vec<(String, String)>,
}

impl Program {
    /// Starts it with `--demo` on a free port, in a temporary file unless there is a database.
    pub(super) async fn demo(database: Option<&Path>) -> Self {
        Self::start("127.0.0.1:0", database, &[]).await
    }

    /// Starts it with flags about code hosts.
    pub(super) async fn with_flags(listen: &str, flags: &[&str]) -> Self {
        let mut command = Self::command(listen);
        command.args(flags);
        Self::run(command).await
    }

    pub(super) async fn start(listen: &str, database: Option<&Path>, keys: &[(&str, &str)]) -> Self {
        let mut command = Self::command(listen);
        command.envs(keys.iter().copied());
        if let Some(database) = database {
            command.arg("--database").arg(database);
        }
        Self::run(command).await
    }

    /// Starts it with other keys, as an operator does if no administrator can log in any more.
    pub(super) async fn start_again(listen: &str, database: &Path, keys: &[(&str, &str)]) -> Self {
        Self::with_resets(listen, database, keys, &["--reset-administrators"]).await
    }

    /// Starts it with the flag that makes administrators members.
    pub(super) async fn with_resets(listen: &str, database: &Path, keys: &[(&str, &str)], flags: &[&str]) -> Self {
        let mut command = Self::command(listen);
        command.arg("--database").arg(database).args(flags).envs(keys.iter().copied());
        Self::run(command).await
    }

    /// Starts it for real code hosts on this machine, with an empty database.
    pub(super) async fn without_demo(database: &Path) -> Self {
        let mut command = Command::new(crate::support::programs::package("host"));
        command.args(["--listen", "127.0.0.1:0", "--allow-http"]).arg("--database").arg(database);
        command.env("CODEHOST_KEYS", format!("1:{}", STANDARD.encode([7; 32])));
        Self::run(command).await
    }

    fn command(listen: &str) -> Command {
        let mut command = Command::new(crate::support::programs::package("host"));
        command.args(["--demo", "--listen", listen]).env_remove("CODEHOST_KEYS");
        // It is killed before it could remove its temporary files.
        command.env("TMPDIR", env!("CARGO_TARGET_TMPDIR"));
        command
    }

    async fn run(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut url, mut setup, mut fakes) = <(String, String, Vec<(String, String)>)>::default();
        check_errors(child.stderr.take().unwrap());
        while let Some(line) = lines.next_line().await.unwrap() {
            leak_check::page("the output of the example app", &line);
            if let Some((name, url)) = line.strip_prefix("fake ").and_then(|rest| rest.split_once(": ")) {
                fakes.push((name.to_owned(), url.to_owned()));
            } else if let Some(rest) = line.strip_prefix("setup: ") {
                let (link, how) = rest.split_once(' ').unwrap();
                assert!(how.contains("works once, in one browser"), "{how}");
                setup = url::Url::parse(link).unwrap().path().to_owned();
            } else if let Some(rest) = line.strip_prefix("open: ") {
                url = rest.to_owned();
                break;
            }
        }
        assert!(!url.is_empty(), "the program ended before it listened: {:?}", child.wait().await);
        Self { child, lines, url, setup, fakes }
    }

    /// The URL of the fake of a platform.
    pub(super) fn fake(&self, platform: &str) -> &str {
        let name = codehost_oauth::Platform::find(platform).unwrap().name();
        &self.fakes.iter().find(|(fake, _)| fake == name).unwrap().1
    }

    /// Kills it as `kill -9` does.
    pub(super) async fn kill(mut self) {
        self.child.kill().await.unwrap();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            leak_check::page("the output of the example app", &line);
        }
    }
}

/// Reads its errors as long as the program runs: a full pipe would stop it.
fn check_errors(errors: ChildStderr) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(errors).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            leak_check::page("the errors of the example app", &line);
        }
    });
}

/// An empty directory for one test, below the target directory.
pub(super) fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(std::process::id().to_string()).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}
