//! The program, walked through by a browser.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at what it did not expect; clippy.toml reaches the test functions, not their helpers"
)]

#[path = "../../hyper/tests/walks/mod.rs"]
mod walks;

use std::sync::Arc;

use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use walks::{ALICE, CLIENT_ID, CLIENT_SECRET, Program, WELCOME};

const PROGRAM: &str = env!("CARGO_BIN_EXE_login-actix");

/// The log-out comes after the app has sent the code, and before the code host has responded.
#[tokio::test]
async fn a_log_out_ends_a_login_that_is_in_progress() {
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let (address, path) = gitlab.base_url().strip_prefix("http://").unwrap().split_once('/').unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/{path}", listener.local_addr().unwrap());
    let mut gate = Gate::start(listener, address.to_owned());
    let program = Program::at_gitlab(&url).await;
    gitlab.add_application(FakeApplication::new(CLIENT_ID, CLIENT_SECRET, &program.callback, "read_user"));
    for (page, button) in [("/login/gitlab", "Log in with GitLab"), ("/", "Connect GitLab")] {
        let mut browser = program.browser();
        browser.go("/login/gitlab", "Log in with GitLab", "alice").await.assert(200, &[ALICE]);
        let url = browser.begin(page, button).await;
        let callback = browser.authorize(&url, "bob").await;

        let closed = gate.open.lock().await;
        let arrived = *gate.arrived.borrow();
        let mut other_tab = browser.clone();
        let finished = tokio::spawn(async move { other_tab.get(&callback).await });
        gate.arrived.wait_for(|count| *count > arrived).await.unwrap();
        assert_eq!(browser.press("/", "Log out", &[]).await.location(), "/");
        drop(closed);

        let finished = finished.await.unwrap();
        finished.assert(400, &["You logged out while the login was in progress."]);
        assert_eq!(finished.headers.get("set-cookie"), None);
        browser.get("/").await.assert(200, &[WELCOME]);
    }
    // Alice has got nothing by the connection.
    let page = program.browser().go("/login/gitlab", "Log in with GitLab", "bob").await;
    page.assert(200, &["Your accounts"]);
    assert!(!page.body.contains(ALICE), "{}", page.body);
}

/// Stands between the app and the code host. What the app sends waits while the gate is closed.
struct Gate {
    open: Arc<Mutex<()>>,
    /// Counts what the app has sent.
    arrived: watch::Receiver<usize>,
}

impl Gate {
    fn start(listener: TcpListener, code_host: String) -> Self {
        let (count, arrived) = watch::channel(0);
        let (open, count) = (Arc::<Mutex<()>>::default(), Arc::new(count));
        let gate = Self { open: Arc::clone(&open), arrived };
        tokio::spawn(async move {
            loop {
                let (mut from_app, mut to_app) = listener.accept().await.unwrap().0.into_split();
                let (mut from_host, mut to_host) = TcpStream::connect(&code_host).await.unwrap().into_split();
                let (open, count) = (Arc::clone(&open), Arc::clone(&count));
                tokio::spawn(async move { copy(&mut from_host, &mut to_app).await });
                tokio::spawn(async move {
                    let mut buffer = vec![0; 65536];
                    while let Ok(length @ 1..) = from_app.read(&mut buffer).await {
                        count.send_modify(|count| *count += 1);
                        let _open = open.lock().await;
                        to_host.write_all(&buffer[..length]).await.unwrap();
                    }
                });
            }
        });
        gate
    }
}
