//! The examples `fake`, `login` and `setup_guide` as programs: flags, output and exit status.

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use codehost_oauth::check::Verdict;
use codehost_oauth::testing::{FakeApplication, FakeBitbucket, FakeGitLab, gitlab};
use codehost_oauth::{Access, Platform};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};

use crate::secrets::leak_check;
use crate::support::network_programs::Program as NetworkProgram;
use crate::support::programs::example;
use crate::support::{canned_http, free_address};

const SECRET: &str = "canary-example-secret-77";

fn program(name: &str) -> Command {
    let mut command = Command::new(example(name));
    command.env_remove("CODEHOST_CLIENT_SECRET").stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn run(name: &str, flags: &[&str]) -> Output {
    program(name).args(flags).env("CODEHOST_CLIENT_SECRET", SECRET).output().await.unwrap()
}

fn stdout(output: &Output) -> String {
    printed(output.stdout.clone())
}

fn stderr(output: &Output) -> String {
    printed(output.stderr.clone())
}

/// The output of a program, checked for secrets.
fn printed(text: Vec<u8>) -> String {
    let text = String::from_utf8(text).unwrap();
    leak_check::text("the output of an example", &text);
    text
}

/// `error[CODE]: message`, `hint: …`, exit status 1, nothing else.
#[track_caller]
fn assert_failed(status: Option<i32>, stderr: &str, code: &str) {
    assert_eq!(status, Some(1), "{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(lines[0].starts_with(&format!("error[{code}]: ")), "{code}: {stderr}");
    assert!(lines[0].len() > code.len() + 12 && lines.len() == 2 && lines[1].starts_with("hint: "), "{stderr}");
}

/// A running `login` that has printed its callback URL and the URL to open.
struct Running {
    child: Child,
    lines: tokio::io::Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
    callback: String,
    open: String,
}

/// The exit status and output of `login`.
struct Ended {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

/// The flags and the environment of `login` that differ between tests.
struct Start<'a> {
    platform: &'a str,
    base_url: &'a str,
    access: &'a str,
    secret: &'a str,
    address: SocketAddr,
    more: &'a [&'a str],
    environment: &'a [(&'a str, &'a str)],
}

impl<'a> Start<'a> {
    fn new(platform: &'a str, base_url: &'a str, address: SocketAddr) -> Self {
        Self { platform, base_url, access: "sign-in", secret: SECRET, address, more: &[], environment: &[] }
    }

    async fn run(self) -> Running {
        let address = self.address;
        let (public_url, listen) = (format!("http://{address}"), address.to_string());
        let mut command = program("login");
        command.args([
            "--platform",
            self.platform,
            "--base-url",
            self.base_url,
            "--public-url",
            &public_url,
            "--listen",
            &listen,
        ]);
        command.args(["--id", "demo", "--client-id", "example-client", "--access", self.access, "--allow-http"]);
        command.args(self.more).env("CODEHOST_CLIENT_SECRET", self.secret).envs(self.environment.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = async |start: &str| {
            let line = lines.next_line().await.unwrap().unwrap_or_default();
            line.strip_prefix(start).unwrap_or_else(|| panic!("{start:?} expected: {line:?}")).to_owned()
        };
        let (callback, open) = (line("callback: ").await, line("open: ").await);
        Running { child, lines, address, callback, open }
    }
}

impl Running {
    /// Requests `url` as a browser does after a redirect; returns the whole response.
    async fn browse(&self, url: &str) -> String {
        let target = url.strip_prefix(&format!("http://{}", self.address)).unwrap();
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        leak_check::text("a page of an example", &response);
        response
    }

    async fn end(mut self) -> Ended {
        let mut out = String::new();
        let ended = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                out.push_str(&line);
                out.push('\n');
            }
            self.child.wait_with_output().await.unwrap()
        };
        let output = tokio::time::timeout(Duration::from_secs(120), ended).await.expect("the program does not end");
        Ended { status: output.status.code(), stdout: printed(out.into_bytes()), stderr: printed(output.stderr) }
    }

    async fn finish(self, url: &str) -> Ended {
        let response = self.browse(url).await;
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
        self.end().await
    }
}

impl Ended {
    fn json(&self) -> Value {
        assert_eq!((self.status, self.stderr.as_str()), (Some(0), ""), "{}", self.stdout);
        assert_eq!(self.stdout.lines().count(), 1, "{}", self.stdout);
        serde_json::from_str(&self.stdout).unwrap()
    }

    fn assert_failed(&self, code: &str) {
        assert_failed(self.status, &self.stderr, code);
        assert_eq!(self.stdout, "");
    }
}

fn application(platform: &str, address: SocketAddr, scopes: &str) -> FakeApplication {
    let callback = format!("http://{address}/oauth/callback/{platform}/demo");
    FakeApplication::new("example-client", SECRET, &callback, scopes)
}

async fn at_gitlab() -> (FakeGitLab, SocketAddr) {
    let address = free_address();
    let application = application("gitlab", address, "read_user read_api api");
    (FakeGitLab::builder().application(application).start().await.unwrap(), address)
}

async fn at_bitbucket() -> (FakeBitbucket, SocketAddr) {
    let address = free_address();
    let application = application("bitbucket-cloud", address, "account email");
    (FakeBitbucket::builder().application(application).start().await.unwrap(), address)
}

#[tokio::test]
async fn login_without_flags_logs_in_to_both_platforms() {
    let output = program("login").output().await.unwrap();
    let text = stdout(&output);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{text}");
    for expected in [
        "GitLab (fake) at http://127.0.0.1:",
        "Bitbucket Cloud (fake) at http://127.0.0.1:",
        "account key   gitlab:demo:2\n",
        "account key   bitbucket-cloud:demo:11111111-2222-3333-4444-555555555555\n",
        "/oauth/callback/gitlab/demo",
        "/oauth/callback/bitbucket-cloud/demo",
        "new tokens for gitlab:demo:2\n",
        "What to try next\n",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    for secret in ["demo-secret", "code=", "state=", "access_token"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
}

#[tokio::test]
async fn login_prints_who_logged_in_at_gitlab() {
    let (gitlab, address) = at_gitlab().await;
    let running = Start::new("gitlab", gitlab.base_url(), address).run().await;
    assert_eq!(running.callback, format!("http://{address}/oauth/callback/gitlab/demo"));
    assert!(running.open.starts_with(&format!("{}/oauth/authorize?", gitlab.base_url())));
    let url = gitlab.authorize(&running.open, "alice").unwrap();
    // Other requests of a browser are not taken for the callback.
    for path in ["/", "/favicon.ico", "/oauth/callback/gitlab/demo/", "/oauth/callback/gitlab/other?code=x&state=y"] {
        let response = running.browse(&format!("http://{address}{path}")).await;
        assert!(response.starts_with("HTTP/1.1 404 "), "{response}");
    }
    let page = running.browse(&url).await;
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    for header in ["cache-control: no-store", "referrer-policy: no-referrer"] {
        assert!(page.to_lowercase().contains(header), "{page}");
    }
    let query = url.split_once('?').unwrap().1;
    assert!(query.split('&').all(|pair| !page.contains(pair.split_once('=').unwrap().1)), "{page}");
    let ended = running.end().await;
    assert_eq!(
        ended.json(),
        json!({
            "account_key": "gitlab:demo:2",
            "platform": "gitlab",
            "username": "alice",
            "display_name": "Alice Åström",
            "emails": [{
                "address": "alice@example.com",
                "evidence": "confirmed",
                "authority": "self_managed",
                "primary": true
            }],
            "trusted_email": null,
            "state": "active",
            "two_factor": false,
            "granted_scopes": ["read_user"],
            "missing_scopes": [],
            "expires_in": 7200
        })
    );
    let requests = gitlab.requests();
    assert_eq!(requests.len(), 2);
    let token = requests[1].header("authorization").unwrap().split(' ').nth(1).unwrap();
    let code = requests[0].form("code").unwrap();
    for secret in [SECRET, token, &code] {
        assert!(!ended.stdout.contains(secret));
    }
}

#[tokio::test]
async fn login_prints_who_logged_in_at_bitbucket() {
    let (bitbucket, address) = at_bitbucket().await;
    let running = Start::new("bitbucket-cloud", bitbucket.base_url(), address).run().await;
    assert_eq!(running.callback, format!("http://{address}/oauth/callback/bitbucket-cloud/demo"));
    let url = bitbucket.authorize(&running.open, "jane").unwrap();
    let login = running.finish(&url).await.json();
    assert_eq!(login["account_key"], "bitbucket-cloud:demo:11111111-2222-3333-4444-555555555555");
    assert_eq!(login["platform"], "bitbucket-cloud");
    assert_eq!((&login["username"], &login["display_name"]), (&json!("jane"), &json!("Jane Doe")));
    assert_eq!(login["trusted_email"], "jane@example.com");
    assert_eq!(login["emails"][0]["evidence"], "confirmed");
    assert_eq!((&login["state"], &login["two_factor"]), (&json!("active"), &Value::Null));
    assert_eq!(login["granted_scopes"], json!(["account", "email"]));
    assert_eq!((&login["missing_scopes"], &login["expires_in"]), (&json!([]), &json!(7200)));
    assert_eq!(bitbucket.requests().len(), 3);
}

/// `localhost` is not allowed for the app itself, so that the proxy is used for the address.
#[tokio::test]
async fn login_and_check_use_a_proxy() {
    let (gitlab, address) = at_gitlab().await;
    let proxy = NetworkProgram::tinyproxy(Some(("app", "s3cr3t"))).await;
    let url = format!("http://app@127.0.0.1:{}", proxy.port);
    let (proxy_flags, password) = (["--proxy", &*url], [("CODEHOST_PROXY_PASSWORD", "s3cr3t")]);

    let mut start = Start::new("gitlab", gitlab.base_url(), address);
    start.more = &proxy_flags;
    start.environment = &password;
    let running = start.run().await;
    let callback = gitlab.authorize(&running.open, "alice").unwrap();
    assert_eq!(running.finish(&callback).await.json()["account_key"], "gitlab:demo:2");

    // Without the password, and through the proxy of the environment.
    let mut start = Start::new("gitlab", gitlab.base_url(), address);
    start.more = &proxy_flags;
    let running = start.run().await;
    let callback = gitlab.authorize(&running.open, "alice").unwrap();
    running.browse(&callback).await;
    running.end().await.assert_failed("proxy_credentials_refused");

    let check = ["--platform", "gitlab", "--base-url", gitlab.base_url(), "--public-url", "http://127.0.0.1:9000"];
    let check = [&check[..], &["--id", "demo", "--client-id", "x", "--access", "sign-in", "--allow-http"]].concat();
    let env = |no_proxy: &str| {
        let mut command = program("check");
        command.args(&check).args(["--proxy", "env", "--format", "json"]).env("CODEHOST_CLIENT_SECRET", SECRET);
        command.env("HTTPS_PROXY", format!("127.0.0.1:{}", proxy.port)).env("NO_PROXY", no_proxy);
        command
    };
    let report: Value = serde_json::from_str(&stdout(&env("").output().await.unwrap())).unwrap();
    assert_eq!(report["findings"][0]["code"], "proxy_credentials_missing");
    assert_eq!(report["connection"]["proxy"], format!("http://127.0.0.1:{}", proxy.port));
    let report: Value = serde_json::from_str(&stdout(&env("127.0.0.1").output().await.unwrap())).unwrap();
    assert_eq!(report["findings"][0]["code"], "reachable");
    assert_eq!(report["connection"]["proxy"], Value::Null);
    assert_eq!(report["connection"]["addresses"][0]["class"], "loopback");

    for (flags, status, text) in [
        (["--proxy", "http://app:s3cr3t@127.0.0.1:1"], 1, "error[proxy_password]"),
        (["--proxy", "ftp://127.0.0.1"], 1, "error[proxy_url]"),
        (["--client-certificate", "/nowhere"], 1, "error[client_certificate]"),
        (["--headers", "/nowhere"], 1, "error[headers]"),
        (["--allow-name", "10.0.0.1"], 1, "error[allowed_name]"),
    ] {
        let output = run("check", &[&check[..], &flags].concat()).await;
        assert_eq!(output.status.code(), Some(status), "{flags:?}");
        let stderr = stderr(&output);
        assert!(stderr.contains(text) && !stderr.contains("s3cr3t"), "{flags:?}");
    }
}

#[tokio::test]
async fn login_prints_missing_scopes() {
    let (gitlab, address) = at_gitlab().await;
    let mut start = Start::new("gitlab", gitlab.base_url(), address);
    start.access = "read";
    let running = start.run().await;
    let url = gitlab.authorize(&running.open.replace("read_api+", ""), "alice").unwrap();
    let login = running.finish(&url).await.json();
    assert_eq!(login["granted_scopes"], json!(["read_user"]));
    assert_eq!(login["missing_scopes"][0]["scope"], "read_api");
}

#[tokio::test]
async fn login_prints_why_it_failed() {
    for (username, code) in [
        ("", "denied"),
        ("carol", "account_blocked"),
        ("dave", "account_deactivated"),
        ("frank", "terms_not_accepted"),
        ("zoe", "account_unconfirmed"),
        ("project_9_bot", "account_not_a_person"),
    ] {
        let (gitlab, address) = at_gitlab().await;
        let mut zoe = gitlab::FakeUser::new(30, "zoe", "Zoe", "zoe@example.com");
        zoe.refusal = Some(gitlab::Refusal::Unconfirmed);
        gitlab.add_user(zoe);
        let running = Start::new("gitlab", gitlab.base_url(), address).run().await;
        let url = match username {
            "" => gitlab.deny(&running.open).unwrap(),
            username => gitlab.authorize(&running.open, username).unwrap(),
        };
        running.finish(&url).await.assert_failed(code);
    }
    for (username, code) in [("", "denied"), ("ina", "account_deactivated"), ("app", "account_not_a_person")] {
        let (bitbucket, address) = at_bitbucket().await;
        let running = Start::new("bitbucket-cloud", bitbucket.base_url(), address).run().await;
        let url = match username {
            "" => bitbucket.deny(&running.open).unwrap(),
            username => bitbucket.authorize(&running.open, username).unwrap(),
        };
        running.finish(&url).await.assert_failed(code);
    }
}

#[tokio::test]
async fn login_reports_a_wrong_secret_without_printing_it() {
    let wrong = "canary-wrong-secret-99";
    let (gitlab, address) = at_gitlab().await;
    let mut start = Start::new("gitlab", gitlab.base_url(), address);
    start.secret = wrong;
    let running = start.run().await;
    let url = gitlab.authorize(&running.open, "alice").unwrap();
    let ended = running.finish(&url).await;
    ended.assert_failed("client_rejected");
    assert!(!ended.stderr.contains(wrong));

    let (bitbucket, address) = at_bitbucket().await;
    let mut start = Start::new("bitbucket-cloud", bitbucket.base_url(), address);
    start.secret = wrong;
    let running = start.run().await;
    let url = bitbucket.authorize(&running.open, "jane").unwrap();
    let ended = running.finish(&url).await;
    ended.assert_failed("client_rejected");
    assert!(!ended.stderr.contains(wrong));
}

#[tokio::test]
async fn login_refuses_forged_and_malformed_callbacks() {
    for (query, code) in [
        ("code=abc&state=x", "state_unknown"),
        ("code=abc", "state_missing"),
        ("", "state_missing"),
        ("error=access_denied&state=x", "state_unknown"),
        ("code=a&code=b&state=x", "callback_repeated"),
        ("code=%FF&state=x", "callback_encoding"),
        ("access_token=abc", "callback_implicit"),
    ] {
        let (gitlab, address) = at_gitlab().await;
        let running = Start::new("gitlab", gitlab.base_url(), address).run().await;
        let url = format!("{}?{query}", running.callback);
        running.finish(&url).await.assert_failed(code);
        assert!(gitlab.requests().is_empty());
    }
}

#[tokio::test]
async fn login_stops_waiting_after_its_timeout() {
    let (gitlab, address) = at_gitlab().await;
    let mut start = Start::new("gitlab", gitlab.base_url(), address);
    start.more = &["--timeout", "1"];
    let begun = std::time::Instant::now();
    start.run().await.end().await.assert_failed("no_callback");
    // Without the flag it waits for five minutes.
    assert!((1..120).contains(&begun.elapsed().as_secs()));
}

#[tokio::test]
async fn login_refuses_wrong_flag_values_before_it_listens() {
    let flags = |changes: &[(&str, &str)]| {
        let mut flags = vec![
            ("--platform", "gitlab"),
            ("--base-url", "https://git.example.com"),
            ("--public-url", "https://packages.example.com"),
            ("--id", "demo"),
            ("--client-id", "example-client"),
            ("--access", "sign-in"),
            ("--timeout", "1"),
        ];
        for (name, value) in changes {
            flags.retain(|(known, _)| known != name);
            flags.push((name, value));
        }
        flags.into_iter().flat_map(|(name, value)| [name.to_owned(), value.to_owned()]).collect::<Vec<_>>()
    };
    let used_address = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let used_address = (used_address.local_addr().unwrap().to_string(), used_address);
    for (changes, code) in [
        (&[("--base-url", "http://git.example.com")][..], "base_url_plain_http"),
        (&[("--base-url", "git.example.com")], "base_url_no_scheme"),
        (&[("--base-url", "https://10.0.0.5")], "base_url_address"),
        (&[("--base-url", "https://user:canary-example-secret-77@git.example.com")], "base_url_user_info"),
        (&[("--base-url", "https://bitbucket.org")], "base_url_other_platform"),
        (&[("--platform", "bitbucket-cloud"), ("--base-url", "https://git.example.com")], "base_url_other_platform"),
        (&[("--api-url", "http://10.0.0.5")], "base_url_address"),
        (&[("--public-url", "http://packages.example.com")], "public_url"),
        (&[("--id", "Demo")], "integration_id"),
        (&[("--client-id", " ")], "client_id"),
        (&[("--allow-network", "10.0.0.0/99")], "network"),
        (&[("--ca-file", "/nonexistent/ca.pem")], "ca_file"),
        (&[("--ca-file", "/dev/null")], "no_certificate"),
        (&[("--listen", &used_address.0)], "listen"),
    ] {
        let output =
            program("login").args(flags(changes)).env("CODEHOST_CLIENT_SECRET", SECRET).output().await.unwrap();
        assert_failed(output.status.code(), &stderr(&output), code);
        assert_eq!(stdout(&output), "");
        assert!(!stderr(&output).contains(SECRET), "{}", stderr(&output));
    }
    for (secret, code) in
        [(None, "client_secret_missing"), (Some(""), "client_secret"), (Some("a b c"), "client_secret")]
    {
        let mut command = program("login");
        command.args(flags(&[]));
        if let Some(secret) = secret {
            command.env("CODEHOST_CLIENT_SECRET", secret);
        }
        let output = command.output().await.unwrap();
        assert_failed(output.status.code(), &stderr(&output), code);
        assert!(!stderr(&output).contains("a b c"));
    }
}

#[tokio::test]
async fn wrong_usage_exits_with_2_and_help_with_0() {
    for (name, flags) in [
        ("login", &["--platform"][..]),
        ("login", &["--platform", "gitlab"]),
        ("login", &["--platform", "github"]),
        ("login", &["--client-secret", "canary-example-secret-77"]),
        ("login", &["--nonsense"]),
        ("setup_guide", &[]),
        (
            "setup_guide",
            &[
                "--platform",
                "bitbucket-data-center",
                "--public-url",
                "https://h.example",
                "--name",
                "x",
                "--access",
                "sign-in",
            ],
        ),
        ("setup_guide", &["--platform", "github"]),
        ("setup_guide", &["--format", "pdf"]),
    ] {
        let output = run(name, flags).await;
        assert_eq!(output.status.code(), Some(2), "{name} {flags:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("--help") && output.stdout.is_empty(), "{}", stderr(&output));
    }
    for name in ["login", "setup_guide"] {
        let output = run(name, &["--help"]).await;
        let text = stdout(&output);
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
        for flag in [
            "--platform",
            "--base-url",
            "--public-url",
            "--id",
            "--name",
            "--access",
            "--allow-network",
            "--allow-http",
        ] {
            assert!(text.contains(flag), "{name}: {flag}");
        }
        assert!(!text.contains("--client-secret"));
    }
}

#[tokio::test]
async fn setup_guide_prints_every_format_for_both_platforms() {
    for (platform, base_url, owner) in [
        ("gitlab", "https://git.example.com/gitlab", &["--group", "acme/tools"][..]),
        ("gitlab", "https://gitlab.com", &[]),
        ("bitbucket-cloud", "https://bitbucket.org", &["--workspace", "acme"]),
        ("bitbucket-cloud", "", &[]),
    ] {
        for access in ["sign-in", "read", "write"] {
            for format in ["", "text", "markdown", "html", "json"] {
                let mut flags = vec!["--platform", platform, "--public-url", "https://packages.example.com/app"];
                flags.extend(["--name", "On-premise Git", "--access", access]);
                if !base_url.is_empty() {
                    flags.extend(["--base-url", base_url]);
                }
                if !format.is_empty() {
                    flags.extend(["--format", format]);
                }
                flags.extend(owner);
                let output = run("setup_guide", &flags).await;
                let text = stdout(&output);
                assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{flags:?}");
                let callback = format!("https://packages.example.com/app/oauth/callback/{platform}/onpremisegit");
                assert!(text.contains(&callback) && text.ends_with('\n'), "{flags:?}: {text}");
                let label = if platform == "gitlab" { "Application ID" } else { "Key" };
                assert!(text.contains(label), "{flags:?}: {text}");
                match format {
                    "json" => {
                        let guide: Value = serde_json::from_str(&text).unwrap();
                        assert_eq!(guide["callback_url"], callback);
                    }
                    "html" => assert!(text.trim_start().starts_with('<')),
                    "markdown" => assert!(text.starts_with('#')),
                    _ => assert!(!text.contains("<li>")),
                }
            }
        }
    }
}

#[tokio::test]
async fn setup_guide_refuses_wrong_flag_values() {
    let run = async |changes: &[(&str, &str)]| {
        let mut flags = vec![
            ("--platform", "gitlab"),
            ("--base-url", "https://git.example.com"),
            ("--public-url", "https://packages.example.com"),
            ("--name", "Demo"),
            ("--access", "sign-in"),
        ];
        for (name, value) in changes {
            flags.retain(|(known, _)| known != name);
            flags.push((name, value));
        }
        let flags: Vec<&str> = flags.into_iter().flat_map(|(name, value)| [name, value]).collect();
        run("setup_guide", &flags).await
    };
    for (changes, code) in [
        (&[("--base-url", "ftp://git.example.com")][..], "base_url_scheme"),
        (&[("--base-url", "https://127.0.0.1")], "base_url_address"),
        (&[("--platform", "bitbucket-cloud")], "base_url_other_platform"),
        (&[("--public-url", "packages.example.com")], "public_url"),
        (&[("--id", "-")], "integration_id"),
        (&[("--name", "日本")], "no_slug"),
        (&[("--allow-network", "intranet")], "network"),
    ] {
        let output = run(changes).await;
        assert_failed(output.status.code(), &stderr(&output), code);
    }
    let allowed = run(&[("--base-url", "https://10.0.0.5"), ("--allow-network", "10.0.0.0/8")]).await;
    assert_eq!(allowed.status.code(), Some(0), "{}", stderr(&allowed));
}

#[tokio::test]
async fn fake_prints_what_an_app_needs_on_every_platform() {
    for platform in Platform::all() {
        let callback_url = format!("http://127.0.0.1:9000/oauth/callback/{}/demo", platform.id());
        let mut command = program("fake");
        command.args(["--platform", platform.id(), "--callback-url", &callback_url, "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = async |start: &str| {
            let line = lines.next_line().await.unwrap().unwrap_or_default();
            line.strip_prefix(start).unwrap_or_else(|| panic!("{start:?} expected: {line:?}")).to_owned()
        };
        let (base_url, client_id) = (line("base URL: ").await, line("client ID: ").await);
        let (secret, users) = (line("secret: ").await, line("users: ").await);
        assert!(!users.is_empty());
        for (secret, expected) in [(secret.as_str(), true), ("wrong", false)] {
            let builder = canned_http::live(platform.id(), &base_url, secret).access(Access::SignIn);
            let verdict = builder.credentials(&client_id, secret).build().unwrap().check().await.verdict();
            assert_eq!(verdict != Verdict::Wrong, expected, "{platform}: {verdict:?}");
        }
        child.kill().await.unwrap();
    }
}
