//! The example `keeper` as a program.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use codehost_oauth::{Callback, PendingLogins};

use super::scenario::{Result, integration};
use super::servers::Server;
use crate::secrets::leak_check::LeakChecked as _;

const KEYS: &str = "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

#[tokio::test(flavor = "multi_thread")]
async fn several_programs_make_one_refresh() -> Result {
    let callback = "https://app.example.com/oauth/callback/gitlab/demo";
    let app = FakeApplication::new("id", "canary-keeper-secret", callback, "read_user");
    let gitlab = FakeGitLab::builder().application(app).token_lifetime(Some(Duration::from_secs(2))).start().await?;
    let server = Server::sqlite()?;
    let flags = Flags { gitlab: &gitlab, store: &server.url };

    let json = token_response(&gitlab).await?;
    let stored = flags.run("import", &json)?;
    assert!(stored.status.success(), "{stored:?}");
    tokio::time::sleep(Duration::from_secs(2)).await;

    gitlab.clear_requests();
    let programs: Vec<_> = (0..4).map(|_| flags.start("token")).collect::<Result<_>>()?;
    let mut digests = Vec::new();
    for program in programs {
        let output = program.wait_with_output()?;
        assert!(output.status.success(), "{output:?}");
        digests.push(String::from_utf8(output.stdout)?);
    }
    assert!(digests[0].starts_with("sha256:") && digests[0].trim().len() == 71, "{digests:?}");
    // Tokens are valid for a second, and a program may be late.
    digests.sort();
    digests.dedup();
    assert_eq!(gitlab.count("/oauth/token"), digests.len());

    gitlab.revoke_all();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let refused = flags.run("token", "")?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr)?.contains("error[refresh_rejected]: the user must log in again"));
    Ok(())
}

#[tokio::test]
async fn missing_settings_are_named() -> Result {
    let gitlab = FakeGitLab::builder().start().await?;
    let flags = Flags { gitlab: &gitlab, store: "sqlite:/nowhere/at/all.db" };
    let output = flags.command("token").env_remove("CODEHOST_SEAL_KEYS").output()?;
    assert!(String::from_utf8(output.stderr)?.starts_with("error[seal_keys_missing]: "));
    let output = flags.command("token").output()?;
    assert!(String::from_utf8(output.stderr)?.starts_with("error[store_"));
    assert_eq!(Command::new(crate::support::programs::package("keeper")).output()?.status.code(), Some(2));
    Ok(())
}

struct Flags<'a> {
    gitlab: &'a FakeGitLab,
    store: &'a str,
}

impl Flags<'_> {
    fn command(&self, action: &str) -> Command {
        let mut command = Command::new(crate::support::programs::package("keeper"));
        command.args([action, "--platform", "gitlab", "--base-url", self.gitlab.base_url(), "--allow-http"]);
        command.args([
            "--public-url",
            "https://app.example.com",
            "--id",
            "demo",
            "--client-id",
            "id",
            "--access",
            "sign-in",
        ]);
        command.args(["--store", self.store, "--connection", "gitlab:demo:1"]);
        command.env("CODEHOST_CLIENT_SECRET", "canary-keeper-secret").env("CODEHOST_SEAL_KEYS", KEYS);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn start(&self, action: &str) -> Result<std::process::Child> {
        Ok(self.command(action).spawn()?)
    }

    fn run(&self, action: &str, stdin: &str) -> Result<Output> {
        let mut child = self.start(action)?;
        child.stdin.take().expect("piped").write_all(stdin.as_bytes())?;
        let output = child.wait_with_output()?;
        let printed = [output.stdout.as_slice(), &output.stderr].concat();
        crate::secrets::leak_check::text("the output of an example", &String::from_utf8_lossy(&printed));
        Ok(output)
    }
}

async fn token_response(gitlab: &FakeGitLab) -> Result<String> {
    let integration = integration(gitlab.base_url(), "demo")?;
    let start = integration.begin_login(None).leak_checked()?;
    let mut session = PendingLogins::default();
    session.insert(start.pending);
    let callback =
        Callback::from_uri(&gitlab.authorize(start.redirect_to.as_str(), "alice")?.parse()?).leak_checked()?;
    let tokens = integration.finish_login(session.take(&callback)?, callback).await.leak_checked()?.tokens;
    let base = integration.provider().base_url();
    let refresh = tokens.refresh_token.as_ref().unwrap().expose_for(base)?;
    Ok(format!(
        "{{\"access_token\":\"{}\",\"token_type\":\"Bearer\",\"expires_in\":2,\"refresh_token\":\"{refresh}\",\"scope\":\"read_user\"}}",
        tokens.access_token.expose_for(base)?
    ))
}
