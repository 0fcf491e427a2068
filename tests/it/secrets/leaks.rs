//! The secret-leak check finds every kind of leak, in every place, also if the secret is learnt later.

use std::process::Command;

use codehost_oauth::error::{ConfigError, Error};
use codehost_oauth::testing::ScriptedTransport;
use codehost_oauth::transport::Transport as _;

use crate::secrets::leak_check::{self, LeakChecked as _, MARKER};
use crate::support::{gitlab, http};

/// Secrets that do not begin with the marker, so that they must be learnt.
const CODE: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const STATE: &str = "q8Xo3vZ1k7Tn5Rb2Ys9Wd4";

/// Each leak, and the report when the run ends.
const LEAKS: [(&str, &str); 15] = [
    ("marker in a tracing record", "test's own secret in a log record"),
    ("marker in a log record", "test's own secret in a log record"),
    ("marker in a field of a span", "test's own secret in a log record"),
    ("marker under a subscriber of a test's own", "test's own secret in a log record"),
    ("marker in capitals", "test's own secret in a log record"),
    ("marker as bytes", "test's own secret in a log record"),
    ("code in a detached task", "code in a log record"),
    ("state known later than it was written", "state in a log record"),
    ("token of a response", "token in a log record"),
    ("form-encoded secret", "client secret in a log record"),
    ("basic credentials", "authorization in a log record"),
    ("code in a request line", "code in a request line"),
    ("code in a header", "code in a header"),
    ("marker in an error", "test's own secret in an error"),
    ("marker in a panic", "test's own secret in a panic"),
];

#[test]
fn every_kind_of_leak_is_found_and_ends_the_run() {
    for (leak, found) in LEAKS {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "secrets::leaks::leak_of_the_environment_variable"])
            .env("LEAK", leak)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("A SECRET LEAKS") && stderr.contains(found), "{leak}: {stderr}");
        assert_eq!(output.status.code(), Some(101), "{leak}");
    }
}

/// The test above runs this one in a process for each leak. Run without a leak, the check must find none.
#[tokio::test]
async fn leak_of_the_environment_variable() {
    leak_check::start();
    let leak = std::env::var("LEAK").unwrap_or_default();
    let secret = format!("{MARKER}x");
    match leak.as_str() {
        "marker in a tracing record" => tracing::trace!("text {secret}"),
        "marker in a log record" => log::trace!("text {secret}"),
        "marker in a field of a span" => drop(tracing::trace_span!("span", field = secret).entered()),
        "marker under a subscriber of a test's own" => {
            let (_log, _guard) = crate::login::observe::capture_log();
            tracing::trace!("text {secret}");
        }
        "marker in capitals" => tracing::trace!("{}", secret.to_uppercase()),
        "marker as bytes" => tracing::trace!("{:#?}", secret.as_bytes()),
        "code in a detached task" => {
            exchange().await;
            let _ = tokio::spawn(async { tracing::trace!("{CODE}") }).await;
        }
        "state known later than it was written" => {
            tracing::trace!("{STATE}");
            let gitlab = gitlab().await;
            let page = format!("{}/oauth/authorize?client_id=demo-client&response_type=code", gitlab.base_url());
            let callback_url = crate::support::callback_url("gitlab", "demo");
            let _ =
                gitlab.authorize(&format!("{page}&scope=read_user&state={STATE}&redirect_uri={callback_url}"), "alice");
        }
        "token of a response" => {
            let transport = ScriptedTransport::new();
            transport.json("/", format!("{{\"access_token\":\"{CODE}\"}}"));
            transport.send(get("/").body(Vec::new()).unwrap(), 1024).await.unwrap();
            tracing::trace!("{CODE}");
        }
        "form-encoded secret" => {
            leak_check::learn("client secret", "x/y+z 1234567890%");
            tracing::trace!("client_secret=x%2Fy%2Bz+1234567890%25");
        }
        "basic credentials" => {
            let request = get("/").header("authorization", "Basic bXktaWQ6YW5vdGhlci1zZWNyZXQtMTIzNA==");
            let _ = ScriptedTransport::new().send(request.body(Vec::new()).unwrap(), 1024).await;
            tracing::trace!("bXktaWQ6YW5vdGhlci1zZWNyZXQtMTIzNA==");
        }
        "code in a request line" => {
            exchange().await;
            let gitlab = gitlab().await;
            let request = http::Request::get(format!("{}/?q={CODE}", gitlab.base_url())).body(Vec::new()).unwrap();
            let _ = http().send(request, 1024).await;
        }
        "code in a header" => {
            exchange().await;
            let request = get("/").header("referer", format!("https://x/?q={CODE}"));
            let _ = ScriptedTransport::new().send(request.body(Vec::new()).unwrap(), 1024).await;
        }
        "marker in an error" => {
            let source = std::io::Error::other(secret);
            let _ = Err::<(), _>(source).leak_checked();
        }
        "marker in a panic" => {
            // Called through a pointer it panics in the standard library, and not in this file, where panics are allowed.
            let expect: fn(Option<()>, &str) = Option::expect;
            let _ = std::panic::catch_unwind(|| expect(None, &secret));
        }
        _ => {
            exchange().await;
            tracing::trace!("nothing");
            let _ = Err::<(), _>(Error::from(ConfigError::ClientSecret(codehost_oauth::error::TextFault::Empty)))
                .leak_checked();
            leak_check::panicked("tests/it/x.rs", &secret);
        }
    }
    assert_eq!(leak, "", "the check did not find it");
}

fn get(path: &str) -> http::request::Builder {
    http::Request::get(format!("https://git.example.com{path}"))
}

/// Sends the code in the form of a token request, where it is allowed.
async fn exchange() {
    let request = http::Request::post("https://git.example.com/oauth/token");
    let _ = ScriptedTransport::new().send(request.body(format!("code={CODE}").into_bytes()).unwrap(), 1024).await;
}
