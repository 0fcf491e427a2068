//! The watch over the run finds what is planted, wherever it is written and whenever it becomes known.

use std::process::Command;

use codehost_oauth::error::{ConfigError, Error};
use codehost_oauth::testing::ScriptedTransport;
use codehost_oauth::transport::Transport as _;

use crate::support::{gitlab, http};
use crate::watch::{self, MARKER, Watched as _};

/// Secrets that nobody has chosen: they are learnt where they pass.
const CODE: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const STATE: &str = "q8Xo3vZ1k7Tn5Rb2Ys9Wd4";

/// What is planted, and of what the run must speak when it ends.
const PLANTS: [(&str, &str); 15] = [
    ("marker in a tracing record", "test's own secret in a log record"),
    ("marker in a log record", "test's own secret in a log record"),
    ("marker in a field of a span", "test's own secret in a log record"),
    ("marker under a subscriber of a test's own", "test's own secret in a log record"),
    ("marker in capitals", "test's own secret in a log record"),
    ("marker as bytes", "test's own secret in a log record"),
    ("code in a task that nobody waits for", "code in a log record"),
    ("state known later than it was written", "state in a log record"),
    ("token of an answer", "token in a log record"),
    ("form-encoded secret", "client secret in a log record"),
    ("basic credentials", "authorization in a log record"),
    ("code in a request line", "code in a request line"),
    ("code in a header", "code in a header"),
    ("marker in an error", "test's own secret in an error"),
    ("marker in a panic", "test's own secret in a panic"),
];

#[test]
fn whatever_is_planted_ends_the_run() {
    for (plant, found) in PLANTS {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "watch_bites::plant"])
            .env("WATCH_PLANT", plant)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("A SECRET LEAKS") && said.contains(found), "{plant}: {said}");
        assert_eq!(output.status.code(), Some(101), "{plant}");
    }
}

/// The test above runs it in processes of their own. With nothing planted nothing is found.
#[tokio::test]
async fn plant() {
    watch::on();
    let plant = std::env::var("WATCH_PLANT").unwrap_or_default();
    let secret = format!("{MARKER}x");
    match plant.as_str() {
        "marker in a tracing record" => tracing::trace!("so {secret}"),
        "marker in a log record" => log::trace!("so {secret}"),
        "marker in a field of a span" => drop(tracing::trace_span!("span", field = secret).entered()),
        "marker under a subscriber of a test's own" => {
            let (_log, _guard) = crate::observe::watch();
            tracing::trace!("so {secret}");
        }
        "marker in capitals" => tracing::trace!("{}", secret.to_uppercase()),
        "marker as bytes" => tracing::trace!("{:#?}", secret.as_bytes()),
        "code in a task that nobody waits for" => {
            exchange().await;
            let _ = tokio::spawn(async { tracing::trace!("{CODE}") }).await;
        }
        "state known later than it was written" => {
            tracing::trace!("{STATE}");
            let gitlab = gitlab().await;
            let page = format!("{}/oauth/authorize?client_id=demo-client&response_type=code", gitlab.base_url());
            let back = crate::support::callback_url("gitlab", "demo");
            let _ = gitlab.authorize(&format!("{page}&scope=read_user&state={STATE}&redirect_uri={back}"), "alice");
        }
        "token of an answer" => {
            let transport = ScriptedTransport::new();
            transport.json("/", format!("{{\"access_token\":\"{CODE}\"}}"));
            transport.send(get("/").body(Vec::new()).unwrap(), 1024).await.unwrap();
            tracing::trace!("{CODE}");
        }
        "form-encoded secret" => {
            watch::learn("client secret", "x/y+z 1234567890%");
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
            let _ = Err::<(), _>(source).watched();
        }
        "marker in a panic" => {
            // Through a pointer it panics in the standard library and not at the place of the call, which is a test's.
            let expect: fn(Option<()>, &str) = Option::expect;
            let _ = std::panic::catch_unwind(|| expect(None, &secret));
        }
        _ => {
            exchange().await;
            tracing::trace!("nothing");
            let _ = Err::<(), _>(Error::from(ConfigError::ClientSecret)).watched();
            watch::panicked("tests/it/x.rs", &secret);
        }
    }
    assert_eq!(plant, "", "nobody noticed");
}

fn get(path: &str) -> http::request::Builder {
    http::Request::get(format!("https://git.example.com{path}"))
}

/// A code passes in the one place where it may.
async fn exchange() {
    let request = http::Request::post("https://git.example.com/oauth/token");
    let _ = ScriptedTransport::new().send(request.body(format!("code={CODE}").into_bytes()).unwrap(), 1024).await;
}
