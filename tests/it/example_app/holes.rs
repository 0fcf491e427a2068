//! Holes that such apps have had.

use std::time::Duration;

use codehost_oauth::testing::FakeGitLab;
use sqlx::Row as _;

use super::client::HttpBrowser;
use super::{INTEGRATIONS, Program, directory};

const SECRET: &str = "canary-hole-secret";

/// The code host that an integration has left answers late, to the browser that sets up the app.
#[tokio::test]
async fn a_late_answer_of_the_old_code_host_makes_no_administrator() {
    let program = Program::demo(None).await;
    let [old, new] = [FakeGitLab::builder().start().await.unwrap(), FakeGitLab::builder().start().await.unwrap()];
    let mut founder = HttpBrowser::founder(&program).await;
    let id = founder.add_gitlab(&old, "Our GitLab", SECRET).await;
    let callback = founder.authorize(&format!("/login/{id}"), "Log in with Our GitLab", Some("alice")).await;
    let moving = founder.begin_move(&id, &new, SECRET).await;
    old.set_latency(Duration::from_millis(1500));
    let asked = old.requests().len();
    let mut waiting = founder.clone();
    let late = tokio::spawn(async move { waiting.open(&callback).await });
    while old.requests().len() == asked {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(founder.press(&moving, "Move to another server").await.status, 303);
    late.await.unwrap().assert_text("its settings have just been changed");
    founder.open(INTEGRATIONS).await.assert_text("Setup mode");
    assert_eq!(founder.get("/account").await.location(), "/login");
}

/// After a move, the same user id is somebody else, who is not even a member.
#[tokio::test]
async fn a_changed_base_url_gives_nobody_the_account_of_somebody_else() {
    let program = Program::demo(None).await;
    let [old, new] = [FakeGitLab::builder().start().await.unwrap(), FakeGitLab::builder().start().await.unwrap()];
    let mut admin = HttpBrowser::founder(&program).await;
    let id = admin.add_gitlab(&old, "Our GitLab", SECRET).await;
    admin.log_in(&id, "alice").await.assert_text("You are the administrator from now on.");
    let link = admin.invite("main", "Invite a member").await;
    let mut bob = HttpBrowser::of(&program);
    bob.log_in_at(&link, "bob").await.assert_text("Member of main");

    // The only administrator could not log in any more.
    let page = admin.begin_move(&id, &new, SECRET).await;
    page.assert_shows("2 accounts use this integration.");
    let refused = admin.press(&page, "Move to another server").await;
    assert_eq!(refused.status, 409);
    refused.assert_text("No administrator of this organization could log in any more.");
    bob.open("/account").await.assert_text("Member of main");

    let other = admin.add(&program, "main", "forgejo", "Forgejo").await;
    let connect = admin.authorize("/account", "Connect Forgejo", Some("jane")).await;
    admin.open(&connect).await.assert_text("The account is connected.");
    // It is not the same server: another account has logged in there, or none that is known.
    let page = admin.begin_move(&id, &new, SECRET).await;
    let proposed = admin.press(&page, "Confirm with a test login").await;
    let proof = admin.authorize(proposed.location(), "Confirm with a test login", Some("root")).await;
    admin.open(&proof).await.assert_text("The login did not prove that it is the same server");

    // The same user id, but somebody else.
    new.rename("alice", "mallory");
    let proof = admin.authorize(proposed.location(), "Confirm with a test login", Some("mallory")).await;
    admin.open(&proof).await.assert_text("The login did not prove that it is the same server");
    new.rename("mallory", "alice");

    let page = admin.begin_move(&id, &new, SECRET).await;
    assert_eq!(admin.press(&page, "Move to another server").await.status, 303);
    // Sessions end with the account.
    assert_eq!(bob.get("/account").await.location(), "/login");
    assert_eq!(admin.get("/account").await.location(), "/login");
    for user in ["alice", "bob"] {
        let mut stranger = HttpBrowser::of(&program);
        stranger.log_in(&id, user).await.assert_text("Only users who were invited have one.");
        assert_eq!(stranger.get(INTEGRATIONS).await.status, 401);
    }
    admin.log_in(&other, "jane").await.assert_text("Administrator of main");
}

/// The same server under a new name keeps its accounts, if a test login proves it.
#[tokio::test]
async fn the_same_server_under_a_new_name_keeps_accounts() {
    let program = Program::demo(None).await;
    let [old, new] = [FakeGitLab::builder().start().await.unwrap(), FakeGitLab::builder().start().await.unwrap()];
    let mut admin = HttpBrowser::founder(&program).await;
    let id = admin.add_gitlab(&old, "Our GitLab", SECRET).await;
    admin.log_in(&id, "alice").await;
    let page = admin.begin_move(&id, &new, SECRET).await;
    let proposed = admin.press(&page, "Confirm with a test login").await;
    let proof = admin.authorize(proposed.location(), "Confirm with a test login", Some("alice")).await;
    admin.open(&proof).await.assert_text("It is the same server");
    admin.open("/account").await.assert_text("Administrator of main");
    let mut again = HttpBrowser::of(&program);
    again.log_in(&id, "alice").await.assert_text("Administrator of main");
}

/// After a move, a new user has the account key of a former one, whose session still exists.
#[tokio::test]
async fn an_old_session_is_not_the_new_user_with_the_same_key() {
    let program = Program::demo(None).await;
    let [old, new] = [FakeGitLab::builder().start().await.unwrap(), FakeGitLab::builder().start().await.unwrap()];
    let (mut admin, _) = HttpBrowser::administrator(&program).await;
    let id = admin.add_gitlab(&old, "Second", SECRET).await;
    let log_in = async |browser: &mut HttpBrowser, link: &str| {
        let callback = browser.authorize(link, "Log in with Second", Some("bob")).await;
        browser.open(&callback).await
    };
    let (mut former, mut latter) = (HttpBrowser::of(&program), HttpBrowser::of(&program));
    let link = admin.invite("main", "Invite a member").await;
    log_in(&mut former, &link).await.assert_text(&format!("gitlab:{id}:3"));
    let moving = admin.begin_move(&id, &new, SECRET).await;
    assert_eq!(admin.press(&moving, "Move to another server").await.status, 303);

    let link = admin.invite("main", "Invite an administrator").await;
    log_in(&mut latter, &link).await.assert_text(&format!("gitlab:{id}:3"));
    latter.open("/account").await.assert_text("Administrator of main");
    assert_eq!(former.get("/account").await.location(), "/login");
    assert_eq!(former.get(INTEGRATIONS).await.status, 401);
}

#[tokio::test]
async fn failure_pages_tell_no_network_causes() {
    let program = Program::demo(None).await;
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let mut admin = HttpBrowser::founder(&program).await;
    let id = admin.add_gitlab(&gitlab, "Our GitLab", SECRET).await;
    let mut stranger = HttpBrowser::of(&program);
    let callback = stranger.authorize(&format!("/login/{id}"), "Log in with Our GitLab", Some("bob")).await;
    let authority = gitlab.base_url().split("//").nth(1).unwrap().to_owned();
    gitlab.stop().await;
    let page = stranger.open(&callback).await;
    page.assert_text("Error code: instance_unreachable");
    for word in [authority.as_str(), "127.0.0.1", "refused", "connect"] {
        assert!(!page.screen().text().contains(word), "{word}: {}", page.screen().text());
    }
    // The list has the same code: a tenant could look at the app's network with it. It is written within a second.
    while !admin.open(INTEGRATIONS).await.screen().shows("Last failure instance_unreachable") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The pages at which the demo's code hosts create an application show what they have just made, and nothing that is stored.
#[tokio::test]
async fn the_demo_shows_no_stored_secret() {
    let database = directory("example_app_real").join("host.sqlite");
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let program = Program::start("127.0.0.1:0", Some(&database), &KEYS[..1]).await;
    HttpBrowser::founder(&program).await.add_gitlab(&gitlab, "Our GitLab", SECRET).await;
    program.kill().await;
    let program = Program::start("127.0.0.1:0", Some(&database), &KEYS[..1]).await;
    let mut stranger = HttpBrowser::of(&program);
    for path in ["/", "/login", "/demo/application"] {
        assert!(!stranger.open(path).await.body.contains("test-id"), "{path}");
    }
    for server in [program.fake("gitlab"), gitlab.base_url()] {
        let page = stranger.get(&format!("{server}/-/user_settings/applications")).await;
        page.assert_text("New OAuth application");
        assert!(!page.body.contains(SECRET) && !page.body.contains("test-id"), "{}", page.body);
    }
}

#[tokio::test]
async fn a_form_of_the_setup_is_not_saved_after_there_is_an_administrator() {
    let program = Program::demo(None).await;
    let mut founder = HttpBrowser::founder(&program).await;
    let id = founder.add(&program, "main", "gitlab", "Our GitLab").await;
    let mut form = founder.begin_form("main", "forgejo", program.fake("forgejo"), "Late").await;
    form.set("client_id", "late-id");
    form.set("client_secret", "canary-late-secret");
    let mut second_tab = founder.clone();
    founder.log_in(&id, "alice").await.assert_text("You are the administrator from now on.");
    let refused = second_tab.press(&form, "Create integration").await;
    assert_eq!(refused.status, 401, "{}", refused.body);
    assert!(!founder.open(INTEGRATIONS).await.body.contains("Late"));
    assert_eq!(second_tab.get(INTEGRATIONS).await.status, 401);
    assert_eq!(second_tab.get("/account").await.location(), "/login");
}

#[tokio::test]
async fn requests_of_strangers_store_nothing_and_scan_no_table() {
    let database = directory("example_app_strangers").join("host.sqlite");
    let program = Program::demo(Some(&database)).await;
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", database.display())).await.unwrap();
    let rows = async || -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM codehost_oauth_sessions").fetch_one(&pool).await.unwrap()
    };
    let (mut admin, id) = HttpBrowser::administrator(&program).await;
    let invitation = admin.invite("main", "Invite a member").await;
    let before = rows().await;
    assert!(before > 0);
    let (link, made_up) = (format!("/login/{id}"), "AAAAAAAAAAAAAAAAAAAAAA".to_owned());
    let paths = ["/", "/login", "/org/main/login", &link, &invitation, &program.setup, "/account"];
    let more = [INTEGRATIONS, "/org/main/integrations/new", "/org/main/people", "/nowhere"];
    for path in paths.into_iter().chain(more) {
        for cookie in [None, Some(made_up.clone())] {
            let mut stranger = HttpBrowser::of(&program);
            stranger.cookies.extend(cookie.map(|value| ("depot".to_owned(), value)));
            stranger.get(path).await;
            assert_eq!(rows().await, before, "{path}");
        }
    }
    // Nor does a login that is begun, or refused.
    let mut stranger = HttpBrowser::of(&program);
    stranger.log_in(&id, "bob").await.assert_text("Only users who were invited have one.");
    assert_eq!(rows().await, before);

    for statement in [
        "DELETE FROM codehost_oauth_sessions WHERE expires <= 1",
        "SELECT data FROM codehost_oauth_sessions WHERE id = 'x' AND expires > 1",
        "UPDATE codehost_oauth_sessions SET data = 'x', expires = 1 WHERE id = 'x'",
        "SELECT 1 FROM administrators WHERE organization = 'main' AND integration <> '' LIMIT 1",
        "SELECT 1 FROM people WHERE organization = 'main' AND is_admin",
    ] {
        let plan = sqlx::query(&format!("EXPLAIN QUERY PLAN {statement}")).fetch_all(&pool).await.unwrap();
        for row in plan {
            let step: String = row.get("detail");
            assert!(step.starts_with("SEARCH ") && step.contains(" USING "), "{statement}: {step}");
        }
    }
}

#[tokio::test]
async fn refusals_are_in_the_layout_with_the_user() {
    let program = Program::demo(None).await;
    let (mut admin, _) = HttpBrowser::administrator(&program).await;
    let link = admin.invite("main", "Invite a member").await;
    let mut bob = HttpBrowser::of(&program);
    bob.log_in_at(&link, "bob").await;
    let unknown = format!("{INTEGRATIONS}/unknown");
    for (path, status) in [
        (INTEGRATIONS, 403),
        (&unknown, 403),
        ("/org/main/people", 403),
        ("/nowhere", 404),
        ("/org/nobody/login", 404),
        ("/setup/wrong", 403),
        ("/invite/wrong", 404),
    ] {
        let page = bob.get(path).await;
        assert_eq!(page.status, status, "{path}");
        let screen = page.screen();
        let bar = screen.all("nav").remove(0);
        assert!(bar.contains("Bob") && !bar.contains("Log in"), "{path}: {bar}");
    }
    let page = admin.get(&unknown).await;
    assert_eq!(page.status, 404);
    assert!(page.screen().all("nav")[0].contains("Alice"), "{}", page.body);
}

/// The integrations are still listed, with what to do.
#[tokio::test]
async fn a_lost_key_is_not_no_integration() {
    let database = directory("example_app_lost_key").join("host.sqlite");
    let program = Program::start("127.0.0.1:0", Some(&database), &KEYS[..1]).await;
    HttpBrowser::administrator(&program).await;
    program.kill().await;
    let program = Program::start_again("127.0.0.1:0", &database, &KEYS[1..]).await;
    let mut founder = HttpBrowser::founder(&program).await;
    let list = founder.open(INTEGRATIONS).await.screen();
    list.assert_shows("Our GitLab");
    list.assert_shows("This integration cannot be used. The app no longer has the key that encrypted the secret.");
    list.assert_hides("There is no integration yet");
}

const KEYS: [(&str, &str); 2] = [
    ("CODEHOST_KEYS", "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"),
    ("CODEHOST_KEYS", "2:CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg"),
];
