//! The program is killed and started again.

use std::time::Duration;

use codehost_oauth::testing::FakeGitLab;

use super::client::HttpBrowser;
use super::{INTEGRATIONS, Program, directory};
use crate::admin::screen::Screen;

const KEYS: [(&str, &str); 1] = [("CODEHOST_KEYS", "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc")];
const SECRET: &str = "canary-crash-secret";

/// An address that is below the range from which the system assigns ports.
pub(super) fn address(offset: u16) -> String {
    let first = 20_000 + u16::try_from(std::process::id() % 2_000).unwrap() * 4 + offset * 500;
    let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    let port = (first..32_000).step_by(3).find(|port| free(*port)).unwrap();
    format!("127.0.0.1:{port}")
}

#[tokio::test]
async fn a_restart_keeps_integrations_accounts_and_sessions() {
    let (database, listen) = (directory("example_app_restart").join("host.sqlite"), address(0));
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let program = Program::start(&listen, Some(&database), &KEYS).await;
    let mut browser = HttpBrowser::founder(&program).await;
    let id = browser.add_gitlab(&gitlab, "Our GitLab", SECRET).await;
    browser.log_in(&id, "alice").await;
    program.kill().await;

    let program = Program::start(&listen, Some(&database), &KEYS).await;
    browser.open("/account").await.assert_text(&format!("gitlab:{id}:2"));
    browser.submit("/account", "Who am I there?").await.assert_text("The code host says now:");
    HttpBrowser::of(&program).log_in(&id, "alice").await.assert_text("Administrator of main");
    assert_eq!(program.setup, "", "there is no setup link while an administrator can log in");
}

#[tokio::test]
async fn a_kill_during_a_save_leaves_the_old_or_the_new_state() {
    let (database, listen) = (directory("example_app_crash").join("host.sqlite"), address(1));
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let mut program = Program::start(&listen, Some(&database), &KEYS).await;
    let mut browser = HttpBrowser::founder(&program).await;
    let id = browser.add_gitlab(&gitlab, "Our GitLab", SECRET).await;
    browser.log_in(&id, "alice").await;
    let edit = format!("{INTEGRATIONS}/{id}/edit");
    for round in 0..8_u64 {
        let mut form = browser.open(&edit).await.screen();
        let (name, timeout) = (format!("Name {round}"), (10 + round).to_string());
        form.set("name", &name);
        form.set("timeout", &timeout);
        program = kill_during(program, &mut browser, &form, "Save changes", round, &listen, &database).await;
        let form = browser.open(&edit).await.screen();
        assert_eq!(form.value("name") == name, form.value("timeout") == timeout, "saved in part");
        // The stored integration can be used: its secret can be opened.
        let list = browser.open(INTEGRATIONS).await.screen();
        list.assert_shows("Login link");
        list.assert_hides("cannot be used");
    }
}

/// The integration and the accounts of its users are in one file, and move together.
#[tokio::test]
async fn a_kill_during_a_move_leaves_the_old_or_the_new_state() {
    let (database, listen) = (directory("example_app_move").join("host.sqlite"), address(2));
    let servers = [
        FakeGitLab::builder().start().await.unwrap(),
        FakeGitLab::builder().start().await.unwrap(),
        FakeGitLab::builder().start().await.unwrap(),
    ];
    let mut program = Program::start(&listen, Some(&database), &KEYS).await;
    let mut browser = HttpBrowser::founder(&program).await;
    let own = browser.add_gitlab(&servers[2], "Administrators", SECRET).await;
    browser.log_in(&own, "alice").await;
    let id = browser.add_gitlab(&servers[0], "Moving", SECRET).await;
    let (mut at, mut has_bob) = (0, false);
    for round in 0..10_u64 {
        if !has_bob {
            let link = browser.invite("main", "Invite a member").await;
            let mut bob = HttpBrowser::of(&program);
            let callback = bob.authorize(&link, "Log in with Moving", Some("bob")).await;
            bob.open(&callback).await.assert_text("Member of main");
        }
        let to = &servers[1 - at];
        let question = browser.begin_move(&id, to, SECRET).await;
        question.assert_shows("1 account uses this integration.");
        program =
            kill_during(program, &mut browser, &question, "Move to another server", round, &listen, &database).await;
        let page = browser.open(&format!("{INTEGRATIONS}/{id}")).await.screen();
        let is_moved = page.shows(to.base_url());
        page.assert_shows(if is_moved { "Users 0" } else { "Users 1" });
        if is_moved {
            at = 1 - at;
        }
        has_bob = !is_moved;
    }
}

/// Presses the button, kills the program a little later, and starts it again.
async fn kill_during(
    program: Program,
    browser: &mut HttpBrowser,
    screen: &Screen,
    button: &str,
    round: u64,
    listen: &str,
    database: &std::path::Path,
) -> Program {
    let pressed = browser.press_in_background(screen, button);
    tokio::time::sleep(Duration::from_micros(round * 1_500)).await;
    program.kill().await;
    let _ = pressed.await;
    Program::start(listen, Some(database), &KEYS).await
}
