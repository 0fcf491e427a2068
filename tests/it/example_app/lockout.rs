//! Nobody locks the administrators out, or keeps a right that has ended.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use codehost_oauth::testing::{FakeApplication, FakeGitLab};

use super::client::{HttpBrowser, Page};
use super::{INTEGRATIONS, Program, crash, directory};
use crate::admin::screen::Screen;

const SECRET: &str = "canary-lockout-secret";
const KEYS: [(&str, &str); 1] = [("CODEHOST_KEYS", "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc")];

#[tokio::test]
async fn an_account_at_a_disabled_integration_is_no_other_account() {
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let program = Program::demo(None).await;
    let mut admin = HttpBrowser::founder(&program).await;
    let id = admin.add_gitlab(&gitlab, "Our GitLab", SECRET).await;
    admin.log_in(&id, "alice").await;
    let second = admin.add(&program, "main", "forgejo", "Second").await;
    let connect = admin.authorize("/account", "Connect Second", Some("jane")).await;
    admin.open(&connect).await.assert_text("The account is connected.");
    let both = admin.open("/account").await.screen();
    assert_eq!(admin.submit(&format!("{INTEGRATIONS}/{second}"), "Disable").await.status, 200);

    let (action, fields) = disconnect(&both, &format!("gitlab:{id}:2"));
    let refused = admin.post(&action, &fields).await;
    let page = admin.open(refused.location()).await;
    page.assert_text("This account cannot be disconnected.");
    page.assert_text("Administrator of main");
    page.assert_text("This is your only account here with which you can log in.");
    assert_eq!(page.screen().all("h3"), ["Second", "Our GitLab"]);
    page.assert_text("Second You cannot log in with this account at the moment.");
    assert_eq!(gitlab.count("/oauth/revoke"), 0);
    // The other one can be. Nothing can be revoked there.
    let (action, fields) = disconnect(&both, &key_at(&both, &second));
    let done = admin.post(&action, &fields).await;
    admin.open(done.location()).await.assert_text("The account is disconnected, but the code host did not revoke");
    assert!(!admin.open("/account").await.body.contains(&second));
    HttpBrowser::of(&program).log_in(&id, "alice").await.assert_text("Administrator of main");
}

#[tokio::test]
async fn of_two_accounts_disconnected_at_once_one_is_left() {
    let servers = [FakeGitLab::builder().start().await.unwrap(), FakeGitLab::builder().start().await.unwrap()];
    let program = Program::demo(None).await;
    let mut admin = HttpBrowser::founder(&program).await;
    let first = admin.add_gitlab(&servers[0], "First", SECRET).await;
    admin.log_in(&first, "alice").await;
    let second = admin.add_gitlab(&servers[1], "Second", SECRET).await;
    let connect = admin.authorize("/account", "Connect Second", Some("alice")).await;
    admin.open(&connect).await.assert_text("The account is connected.");
    let page = admin.open("/account").await.screen();
    for server in &servers {
        server.set_latency(Duration::from_millis(500));
    }
    let (mut one, mut other) = (admin.clone(), admin.clone());
    let (action, of_one) = disconnect(&page, &format!("gitlab:{first}:2"));
    let (_, of_other) = disconnect(&page, &format!("gitlab:{second}:2"));
    let pages = tokio::join!(one.post(&action, &of_one), other.post(&action, &of_other));
    assert_eq!([pages.0.status, pages.1.status], [303, 303]);

    let is_revoked = servers.each_ref().map(|server| server.count("/oauth/revoke") > 0);
    assert_ne!(is_revoked[0], is_revoked[1], "the tokens of one account, and not of the other");
    let left = if is_revoked[0] { &second } else { &first };
    HttpBrowser::of(&program).log_in(left, "alice").await.assert_text("Administrator of main");
}

/// What is left of a disconnection during which the program was killed is revoked and deleted at the next start.
#[tokio::test]
async fn tokens_without_an_account_are_revoked_at_the_start() {
    let database = directory("example_app_left_tokens").join("host.sqlite");
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let program = Program::start("127.0.0.1:0", Some(&database), &KEYS).await;
    let mut admin = HttpBrowser::founder(&program).await;
    let id = admin.add_gitlab(&gitlab, "Our GitLab", SECRET).await;
    admin.log_in(&id, "alice").await;
    let link = admin.invite("main", "Invite a member").await;
    HttpBrowser::of(&program).log_in_at(&link, "bob").await.assert_text("Member of main");
    program.kill().await;
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", database.display())).await.unwrap();
    let bob = format!("gitlab:{id}:3");
    sqlx::query("DELETE FROM accounts WHERE key = ?").bind(&bob).execute(&pool).await.unwrap();
    // These cannot be opened.
    let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info('codehost_oauth_tokens')")
        .fetch_all(&pool)
        .await
        .unwrap();
    let values: Vec<_> = columns
        .iter()
        .map(|name| if name == "connection" { "connection || '9'".to_owned() } else { name.clone() })
        .collect();
    let copy = format!("INSERT INTO codehost_oauth_tokens SELECT {} FROM codehost_oauth_tokens", values.join(", "));
    assert_eq!(sqlx::query(&copy).execute(&pool).await.unwrap().rows_affected(), 2);
    let _program = Program::start("127.0.0.1:0", Some(&database), &KEYS).await;
    let left = async || -> Vec<String> {
        sqlx::query_scalar("SELECT connection FROM codehost_oauth_tokens").fetch_all(&pool).await.unwrap()
    };
    let ends = async {
        while left().await.len() > 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ends).await.expect("they are deleted");
    assert_eq!(left().await, [format!("gitlab:{id}:2")]);
    assert!(gitlab.count("/oauth/revoke") > 0);
}

#[tokio::test]
async fn a_browser_that_is_logged_in_sets_up_the_app() {
    let database = directory("example_app_member_founder").join("host.sqlite");
    let listen = crash::address(4);
    let program = Program::start(&listen, Some(&database), &KEYS).await;
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let mut admin = HttpBrowser::founder(&program).await;
    let id = admin.add_gitlab(&gitlab, "Our GitLab", SECRET).await;
    admin.log_in(&id, "alice").await;
    program.kill().await;

    let program = Program::with_resets(&listen, &database, &KEYS, &["--reset-administrators"]).await;
    admin.open("/account").await.assert_text("Member of main");
    let page = admin.get(&program.setup).await.screen();
    let begun = admin.press(&page, "Begin setup").await;
    admin.open(begun.location()).await.assert_text("Setup mode");
    assert_eq!(admin.get("/account").await.location(), "/login");
    admin.log_in(&id, "alice").await.assert_text("You are the administrator from now on.");
}

#[tokio::test]
async fn an_invitation_ends_with_the_right_of_its_maker() {
    let program = Program::demo(None).await;
    let (mut main, _) = HttpBrowser::administrator(&program).await;
    let id = add_tenant(&mut main, &program).await;
    let [first, second] =
        [main.invite("tenant", "Invite an administrator").await, main.invite("tenant", "Invite a member").await];
    let mut late = HttpBrowser::of(&program);
    let callback = late.authorize(&second, "Log in with Their GitLab", Some("root")).await;
    HttpBrowser::of(&program).log_in_at(&first, "bob").await.assert_text("Administrator of tenant");

    // Now that it has an administrator, those of the first organization manage it no more.
    assert_eq!(HttpBrowser::of(&program).get(&second).await.status, 404);
    late.open(&callback).await.assert_text("Only users who were invited have one.");
    late.log_in(&id, "root").await.assert_text("Only users who were invited have one.");
}

#[tokio::test]
async fn a_page_that_is_only_read_does_not_write_the_session() {
    let program = Program::demo(None).await;
    let (mut admin, id) = HttpBrowser::administrator(&program).await;
    let is_written =
        |page: &Page| page.headers.get_all("set-cookie").iter().any(|cookie| cookie.as_bytes().starts_with(b"depot="));
    assert!(!is_written(&admin.get("/account").await), "there is no notice any more");
    // A notice is shown once.
    let (_, fields) = admin.open("/account").await.screen().submission("Log out");
    let key = ("key".to_owned(), format!("gitlab:{id}:2"));
    let told = admin.post("/account", &[fields[0].clone(), key, ("act".to_owned(), "disconnect".to_owned())]).await;
    let shown = admin.get(told.location()).await;
    shown.assert_text("cannot be disconnected");
    assert!(is_written(&shown));
    let again = admin.get("/account").await;
    assert!(!is_written(&again) && !again.screen().shows("cannot be disconnected"));
}

#[tokio::test]
async fn the_administrators_of_any_organization_can_be_reset() {
    let database = directory("example_app_reset_tenant").join("host.sqlite");
    let listen = crash::address(5);
    let program = Program::start(&listen, Some(&database), &KEYS).await;
    let servers = [FakeGitLab::builder().start().await.unwrap(), FakeGitLab::builder().start().await.unwrap()];
    let mut main = HttpBrowser::founder(&program).await;
    let id = main.add_gitlab(&servers[0], "Our GitLab", SECRET).await;
    main.log_in(&id, "alice").await;
    add_tenant(&mut main, &program).await;
    let link = main.invite("tenant", "Invite an administrator").await;
    let mut bob = HttpBrowser::of(&program);
    bob.log_in_at(&link, "bob").await.assert_text("Administrator of tenant");
    assert_eq!(main.get("/org/tenant/integrations").await.status, 403);
    program.kill().await;

    let program = Program::with_resets(&listen, &database, &KEYS, &["--reset-administrators", "tenant"]).await;
    assert_eq!(program.setup, "", "the first organization has its administrator");
    main.open("/account").await.assert_text("Administrator of main");
    main.open("/org/tenant/integrations").await.assert_text("Their GitLab");
    bob.open("/account").await.assert_text("Member of tenant");
    assert_eq!(bob.get("/org/tenant/integrations").await.status, 403);
    program.kill().await;

    let (code, errors) = fails(&database, &["--reset-administrators", "nobody"]).await;
    assert_ne!(code, Some(0));
    assert!(errors.contains("there is no organization \"nobody\""), "{errors}");
}

/// Credentials of another application may be wrong.
#[tokio::test]
async fn the_application_of_the_last_administrator_is_not_replaced() {
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let program = Program::demo(None).await;
    let mut admin = HttpBrowser::founder(&program).await;
    let id = admin.add_gitlab(&gitlab, "Our GitLab", SECRET).await;
    admin.log_in(&id, "alice").await;
    let callback = format!("{}/oauth/callback/gitlab/{id}", program.url);
    gitlab.add_application(FakeApplication::new("other-id", SECRET, &callback, "read_user read_api api"));
    let mut form = admin.open(&format!("{INTEGRATIONS}/{id}/edit")).await.screen();
    form.set("client_id", "other-id");
    form.set("client_secret", SECRET);
    let question = admin.press(&form, "Save changes").await.screen();
    let refused = admin.press(&question, "Use the other application").await;
    assert_eq!(refused.status, 409);
    refused.assert_text("No administrator of this organization could log in any more. Nothing was changed.");

    // With an account elsewhere, it is possible. The accounts stay.
    admin.add(&program, "main", "forgejo", "Forgejo").await;
    let connect = admin.authorize("/account", "Connect Forgejo", Some("jane")).await;
    admin.open(&connect).await.assert_text("The account is connected.");
    assert_eq!(admin.press(&question, "Use the other application").await.status, 303);
    admin.open("/account").await.assert_text(&format!("gitlab:{id}:2"));
}

/// A code host that is not trusted any more vouches for nobody.
#[tokio::test]
async fn sessions_have_no_rights_while_their_integration_is_disabled() {
    let program = Program::demo(None).await;
    let (mut admin, _) = HttpBrowser::administrator(&program).await;
    let id = admin.add(&program, "main", "forgejo", "Second").await;
    let link = admin.invite("main", "Invite an administrator").await;
    let mut jane = HttpBrowser::of(&program);
    let callback = jane.authorize(&link, "Log in with Second", Some("jane")).await;
    jane.open(&callback).await.assert_text("Administrator of main");
    assert_eq!(jane.get(INTEGRATIONS).await.status, 200);
    admin.submit(&format!("{INTEGRATIONS}/{id}"), "Disable").await.assert_text("Nobody can log in with it.");
    assert_eq!(jane.get("/account").await.location(), "/login");
    assert_eq!(jane.get(INTEGRATIONS).await.status, 401);
    admin.submit(&format!("{INTEGRATIONS}/{id}"), "Enable").await.assert_text("The integration is enabled.");
    jane.open("/account").await.assert_text("Administrator of main");
}

/// The form that disconnects this account.
fn disconnect(page: &Screen, key: &str) -> (String, Vec<(String, String)>) {
    let (action, mut fields) = page.submission("Disconnect");
    key.clone_into(&mut fields.iter_mut().find(|(name, _)| name == "key").unwrap().1);
    (action, fields)
}

/// The key of the account at this integration.
fn key_at(page: &Screen, id: &str) -> String {
    page.attributes("value").into_iter().find(|value| value.contains(&format!(":{id}:"))).unwrap().to_owned()
}

/// Adds the organization "Tenant", with "Their GitLab". Returns the integration's id.
async fn add_tenant(main: &mut HttpBrowser, program: &Program) -> String {
    let mut page = main.open("/org/main/people").await.screen();
    page.set("name", "Tenant");
    main.press(&page, "Add organization").await.assert_text("Tenant");
    main.add(program, "tenant", "gitlab", "Their GitLab").await
}

/// Starts the program with wrong flags: its exit code and errors.
async fn fails(database: &Path, flags: &[&str]) -> (Option<i32>, String) {
    let mut command = Program::command("127.0.0.1:0");
    command.arg("--database").arg(database).args(flags).envs(KEYS).stdout(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}
