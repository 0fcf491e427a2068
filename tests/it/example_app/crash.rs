//! The program is killed and started again.

use std::time::Duration;

use super::pages::HttpBrowser;
use super::{Program, directory};

const KEYS: [(&str, &str); 1] = [("CODEHOST_KEYS", "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc")];

/// An address whose next two ports are free as well, so that the fakes get the same ports again. It is below the range from
/// which the system assigns ports.
fn address(offset: u16) -> String {
    let first = 20_000 + u16::try_from(std::process::id() % 2_000).unwrap() * 4 + offset * 1_000;
    let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    let port = (first..32_000).step_by(3).find(|port| (*port..port + 3).all(free)).unwrap();
    format!("127.0.0.1:{port}")
}

#[tokio::test]
async fn a_restart_keeps_integrations_accounts_and_sessions() {
    let database = directory("example_app_restart").join("host.sqlite");
    let listen = address(0);
    let program = Program::start(&listen, Some(&database), &KEYS).await;
    let mut browser = HttpBrowser::of(&program);
    let id = browser.add(&program, "main", "gitlab", "GitLab").await;
    browser.log_in(&id, "alice").await;
    program.kill().await;

    let program = Program::start(&listen, Some(&database), &KEYS).await;
    let account = browser.open("/account").await;
    assert!(account.body.contains("gitlab:main-gitlab:2"), "still logged in: {}", account.body);
    assert!(browser.log_in(&id, "alice").await.body.contains("Welcome back."));
    program.kill().await;

    // With another key, no session is valid and no secret can be opened. The program says so and does not fail.
    let other = [("CODEHOST_KEYS", "1:CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg")];
    let program = Program::start(&listen, Some(&database), &other).await;
    assert_eq!(browser.get("/account").await.status, 303);
    let mut operator = HttpBrowser::of(&program);
    let list = operator.submit("/setup", "/setup", &[("token", &program.token)]).await;
    assert!(list.body.contains("This integration cannot be used"), "{}", list.body);
}

#[tokio::test]
async fn a_kill_during_a_save_leaves_the_old_or_the_new_state() {
    let database = directory("example_app_crash").join("host.sqlite");
    let listen = address(1);
    let mut program = Program::start(&listen, Some(&database), &KEYS).await;
    let mut browser = HttpBrowser::of(&program);
    let id = browser.add(&program, "main", "gitlab", "GitLab").await;
    browser.log_in(&id, "alice").await;
    let edit = format!("/org/main/integrations/{id}/edit");

    for round in 0..8_u64 {
        let page = browser.open(&edit).await;
        let token = page.body.split_once("name=\"csrf_token\" value=\"").unwrap().1.split('"').next().unwrap();
        let timeout = (10 + round).to_string();
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("csrf_token", token),
                ("base_url", &program.gitlab),
                ("access", "sign-in"),
                ("client_id", &format!("client-{round}")),
                ("client_secret", &format!("canary-secret-{round}")),
                ("timeout", &timeout),
                ("act", "save-anyway"),
            ])
            .finish();
        let save = browser.post_in_background(&edit, body);
        tokio::time::sleep(Duration::from_micros(round * 900)).await;
        program.kill().await;
        let _ = save.await;

        program = Program::start(&listen, Some(&database), &KEYS).await;
        let page = browser.open(&edit).await.body;
        let new = page.contains(&format!("value=\"client-{round}\""));
        assert_eq!(new, page.contains(&format!("value=\"{timeout}\"")), "saved in part: {page}");
        // The stored integration can be used: its secret can be opened.
        let list = browser.open("/org/main/integrations").await.body;
        assert!(list.contains("Login link") && !list.contains("cannot be used"), "{list}");
    }
}
