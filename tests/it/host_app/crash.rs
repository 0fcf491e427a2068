//! The program is killed in the middle of whatever it does, and starts again.

use std::time::Duration;

use super::walk::Visitor;
use super::{Program, directory};

const KEYS: [(&str, &str); 1] = [("CODEHOST_KEYS", "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc")];

/// An address whose next two ports are free as well, so that the fakes are found again: below the range from which the
/// system gives ports to others.
fn address(offset: u16) -> String {
    let first = 20_000 + u16::try_from(std::process::id() % 2_000).unwrap() * 4 + offset * 1_000;
    let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    let port = (first..32_000).step_by(3).find(|port| (*port..port + 3).all(free)).unwrap();
    format!("127.0.0.1:{port}")
}

#[tokio::test]
async fn a_restart_keeps_integrations_accounts_and_sessions() {
    let database = directory("host_app_restart").join("host.sqlite");
    let listen = address(0);
    let program = Program::start(&listen, Some(&database), &KEYS).await;
    let mut visitor = Visitor::of(&program);
    let id = visitor.add(&program, "main", "gitlab", "GitLab").await;
    visitor.log_in(&id, "alice").await;
    program.kill().await;

    let program = Program::start(&listen, Some(&database), &KEYS).await;
    let account = visitor.open("/account").await;
    assert!(account.body.contains("gitlab:main-gitlab:2"), "still logged in: {}", account.body);
    assert!(visitor.log_in(&id, "alice").await.body.contains("Welcome back."));
    program.kill().await;

    // With another key nobody is logged in, the secret does not open, and the program says so instead of failing.
    let other = [("CODEHOST_KEYS", "1:CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg")];
    let program = Program::start(&listen, Some(&database), &other).await;
    assert_eq!(visitor.get("/account").await.status, 303);
    let mut operator = Visitor::of(&program);
    let list = operator.submit("/setup", "/setup", &[("token", &program.token)]).await;
    assert!(list.body.contains("This integration cannot be used"), "{}", list.body);
}

#[tokio::test]
async fn killed_in_the_middle_of_a_save_the_old_state_or_the_new_is_there() {
    let database = directory("host_app_crash").join("host.sqlite");
    let listen = address(1);
    let mut program = Program::start(&listen, Some(&database), &KEYS).await;
    let mut visitor = Visitor::of(&program);
    let id = visitor.add(&program, "main", "gitlab", "GitLab").await;
    visitor.log_in(&id, "alice").await;
    let edit = format!("/org/main/integrations/{id}/edit");

    for round in 0..8_u64 {
        let page = visitor.open(&edit).await;
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
        let save = visitor.raw_post(&edit, body);
        tokio::time::sleep(Duration::from_micros(round * 900)).await;
        program.kill().await;
        let _ = save.await;

        program = Program::start(&listen, Some(&database), &KEYS).await;
        let page = visitor.open(&edit).await.body;
        let new = page.contains(&format!("value=\"client-{round}\""));
        assert_eq!(new, page.contains(&format!("value=\"{timeout}\"")), "half of it: {page}");
        // What is there can be used: its secret opens.
        let list = visitor.open("/org/main/integrations").await.body;
        assert!(list.contains("Login link") && !list.contains("cannot be used"), "{list}");
    }
}
