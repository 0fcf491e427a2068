//! Who becomes an administrator: row N5 of the threat model. Changes while a form is being checked: row N4.

use std::time::Duration;

use codehost_oauth::testing::FakeGitLab;

use super::client::HttpBrowser;
use super::{INTEGRATIONS, Program};

#[tokio::test]
async fn the_first_user_is_not_an_administrator() {
    let program = Program::demo(None).await;
    // Setup mode: nothing is open to a browser without the one-time token.
    let mut other = HttpBrowser::of(&program);
    other.open("/").await.assert_text("Setup mode");
    for path in [INTEGRATIONS, "/org/main/integrations/new", "/org/main/people"] {
        assert!(matches!(other.get(path).await.status, 401 | 403), "{path}");
    }

    // Bob logs in first, before the user with the token: he was not invited.
    let mut admin = HttpBrowser::founder(&program).await;
    let id = admin.add(&program, "main", "gitlab", "GitLab").await;
    let refused = other.log_in(&id, "bob").await;
    assert_eq!(refused.status, 403);
    refused.assert_text("Only users who were invited have one, and there is no administrator yet who can invite you.");
    refused.assert_text("log in with the browser in which you began the setup");
    // An invitation ends with who made it, so the browser that sets up the app makes none.
    admin.submit("/org/main/people", "Invite a member").await.assert_text("Log in before you invite others.");
    admin.log_in(&id, "alice").await.assert_text("You are the administrator from now on.");
    let link = admin.invite("main", "Invite a member").await;
    other.log_in_at(&link, "bob").await.assert_text("Member of main");
    assert_eq!(other.get(INTEGRATIONS).await.status, 403);

    // Only an administrator can make another administrator.
    let people = admin.open("/org/main/people").await.screen();
    let (action, fields) = people.submission("Make administrator");
    assert_eq!(other.post(&action, &fields).await.status, 403, "the token of another browser");
    let (_, own) = other.open("/account").await.screen().submission("Log out");
    let act = fields.into_iter().find(|(name, _)| name == "act").unwrap();
    assert_eq!(other.post(&action, &[own[0].clone(), act]).await.status, 403);
    admin.press(&people, "Make administrator").await.assert_text("Bob Unconfirmed (Administrator)");
    assert_eq!(other.get(INTEGRATIONS).await.status, 200);
    // Alice, the first in the list, makes herself a member; Bob, the last administrator, cannot.
    let people = admin.open("/org/main/people").await.screen();
    admin.press(&people, "Make member").await.assert_text("You do not have access to this page");
    admin.open("/account").await.assert_text("Member of main");
    let kept = other.submit("/org/main/people", "Make member").await;
    kept.assert_text("no administrator of this organization could log in any more");
    assert_eq!(other.get(INTEGRATIONS).await.status, 200);
}

#[tokio::test]
async fn an_invitation_works_once_and_gives_its_role() {
    let program = Program::demo(None).await;
    let (mut admin, id) = HttpBrowser::administrator(&program).await;
    let link = admin.invite("main", "Invite a member").await;
    let mut bob = HttpBrowser::of(&program);
    bob.log_in_at(&link, "bob").await.assert_text("Member of main");
    // Used.
    let mut root = HttpBrowser::of(&program);
    assert_eq!(root.get(&link).await.status, 404);
    let callback =
        root.authorize(&format!("/login/{id}?return_to={link}"), "Log in with Our GitLab", Some("root")).await;
    root.open(&callback).await.assert_text("Only users who were invited have one.");
    // An administrator's, also for somebody who has an account.
    let link = admin.invite("main", "Invite an administrator").await;
    bob.get(&link).await.assert_text("You will be an administrator.");
    bob.log_in_at(&link, "bob").await.assert_text("Administrator of main");

    // Whoever is removed is logged out, and needs another invitation. Alice is the first in the list.
    let people = bob.open("/org/main/people").await.screen();
    bob.press(&people, "Remove").await.assert_text("The user is removed.");
    assert_eq!(admin.get("/account").await.location(), "/login");
    let refused = admin.log_in(&id, "alice").await;
    refused.assert_text("Only users who were invited have one. Ask an administrator of your organization");
    bob.submit("/org/main/people", "Remove").await.assert_text("Nothing was changed");
    bob.open("/account").await.assert_text("Administrator of main");
}

/// Deleting, moving or disabling the last integration with which an administrator can log in is refused. If there is none anyway, only a
/// new one-time token helps.
#[tokio::test]
async fn an_organization_without_administrators_cannot_be_taken_over() {
    let database = super::directory("example_app_orphaned").join("host.sqlite");
    let keys = [("CODEHOST_KEYS", "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc")];
    let program = Program::start("127.0.0.1:0", Some(&database), &keys).await;
    let mut admin = HttpBrowser::founder(&program).await;
    let founder_cookies = admin.cookies.clone();
    let id = admin.add(&program, "main", "gitlab", "Our GitLab").await;
    admin.log_in(&id, "alice").await;
    let refused = admin.submit(&format!("{INTEGRATIONS}/{id}/delete"), "Delete integration").await;
    assert_eq!(refused.status, 409);
    refused.assert_text("No administrator of this organization could log in any more. Nothing was changed.");
    let refused = admin.submit(&format!("{INTEGRATIONS}/{id}"), "Disable").await;
    assert_eq!(refused.status, 409);
    refused.assert_text("No administrator of this organization could log in any more. Nothing was changed.");
    admin.open("/login").await.assert_text("Log in with Our GitLab");
    admin.open("/account").await.assert_text("Administrator of main");

    // With an account elsewhere, it is possible.
    let bitbucket = admin.add(&program, "main", "bitbucket-cloud", "Bitbucket").await;
    let callback = admin.authorize("/account", "Connect Bitbucket", Some("jane")).await;
    admin.open(&callback).await.assert_text("The account is connected.");
    let deleted = admin.submit(&format!("{INTEGRATIONS}/{id}/delete"), "Delete integration").await;
    // The account with which this session began is gone, and the session with it.
    assert_eq!(deleted.status, 401, "{}", deleted.body);
    admin.log_in(&bitbucket, "jane").await.assert_text("Administrator of main");

    // All administrators' accounts are gone anyway.
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", database.display())).await.unwrap();
    sqlx::query("DELETE FROM accounts").execute(&pool).await.unwrap();
    assert_eq!(admin.get(INTEGRATIONS).await.status, 401);
    let mut stranger = HttpBrowser::of(&program);
    stranger.open("/").await.assert_text("Setup mode");
    stranger.log_in(&bitbucket, "many").await.assert_text("there is no administrator yet who can invite you");
    assert_eq!(stranger.get(INTEGRATIONS).await.status, 401);
    // The mark of the browser that had set up the app has ended, and its token was used.
    admin.cookies = founder_cookies;
    assert_eq!(admin.get(INTEGRATIONS).await.status, 401);
    assert_eq!(admin.get(&program.setup).await.status, 403);
    program.kill().await;
    let program = Program::start("127.0.0.1:0", Some(&database), &keys).await;
    let mut founder = HttpBrowser::founder(&program).await;
    founder.open(INTEGRATIONS).await.assert_text("Bitbucket");
}

/// An invitation ends when who made it loses the role, or is removed. Administrators see the open ones, and withdraw them.
#[tokio::test]
async fn an_invitation_ends_with_its_creator() {
    let program = Program::demo(None).await;
    let (mut admin, id) = HttpBrowser::administrator(&program).await;
    let mut bob = HttpBrowser::of(&program);
    let mut root = HttpBrowser::of(&program);
    for end in ["Make member", "Remove"] {
        let link = admin.invite("main", "Invite an administrator").await;
        bob.log_in_at(&link, "bob").await.assert_text("Administrator of main");
        let link = bob.invite("main", "Invite an administrator").await;
        admin.open("/org/main/people").await.assert_text("Administrator, by Bob");
        root.get(&link).await.assert_text("You will be an administrator.");
        let login = format!("/login/{id}?return_to={link}");
        let late = root.authorize(&login, "Log in with Our GitLab", Some("root")).await;

        // Bob is the second in the list.
        let people = admin.open("/org/main/people").await.screen();
        let (action, mut fields) = people.submission(end);
        let buttons = people.attributes("value").into_iter();
        let act = fields.last().unwrap().1.split(' ').next().unwrap().to_owned();
        let of_bob = buttons.filter(|value| value.starts_with(&format!("{act} "))).nth(1).unwrap();
        of_bob.clone_into(&mut fields.last_mut().unwrap().1);
        admin.post(&action, &fields).await.assert_text(if end == "Remove" { "is removed" } else { "is saved" });
        assert_eq!(root.get(&link).await.status, 404, "{end}");
        root.open(&late).await.assert_text("Only users who were invited have one.");
        assert!(!admin.open("/org/main/people").await.screen().shows("by Bob"));
    }
}

#[tokio::test]
async fn an_administrator_withdraws_an_invitation() {
    let program = Program::demo(None).await;
    let (mut admin, _) = HttpBrowser::administrator(&program).await;
    let link = admin.invite("main", "Invite a member").await;
    let people = admin.open("/org/main/people").await;
    people.assert_text("Member, by Alice");
    assert!(!people.body.contains(link.rsplit('/').next().unwrap()), "the token is not shown again");
    admin.press(&people.screen(), "Withdraw").await.assert_text("The invitation is withdrawn.");
    assert_eq!(HttpBrowser::of(&program).get(&link).await.status, 404);
    assert!(!admin.open("/org/main/people").await.screen().shows("by Alice"));
}

/// The account of the administrator who made it is forgotten.
#[tokio::test]
async fn an_invitation_ends_when_the_account_of_its_creator_is_forgotten() {
    let [old, new] = [FakeGitLab::builder().start().await.unwrap(), FakeGitLab::builder().start().await.unwrap()];
    let program = Program::demo(None).await;
    let (mut admin, _) = HttpBrowser::administrator(&program).await;
    let id = admin.add_gitlab(&old, "Second", "canary-creator-secret").await;
    let link = admin.invite("main", "Invite an administrator").await;
    let mut bob = HttpBrowser::of(&program);
    let callback = bob.authorize(&link, "Log in with Second", Some("bob")).await;
    bob.open(&callback).await.assert_text("Administrator of main");
    let link = bob.invite("main", "Invite an administrator").await;
    let moving = admin.begin_move(&id, &new, "canary-creator-secret").await;
    assert_eq!(admin.press(&moving, "Move to another server").await.status, 303);
    assert_eq!(HttpBrowser::of(&program).get(&link).await.status, 404);
}

/// A token that was printed, but not used, ends when an administrator can log in, and does not come back when none can.
#[tokio::test]
async fn an_unused_setup_token_ends_with_the_first_administrator() {
    let database = super::directory("example_app_unused_token").join("host.sqlite");
    let keys = [("CODEHOST_KEYS", "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc")];
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let listen = super::crash::address(3);
    let program = Program::start(&listen, Some(&database), &keys).await;
    let mut admin = HttpBrowser::founder(&program).await;
    let id = admin.add_gitlab(&gitlab, "Our GitLab", "canary-unused-secret").await;
    admin.log_in(&id, "alice").await;
    program.kill().await;

    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", database.display())).await.unwrap();
    let set_role = async |is_admin: bool| {
        sqlx::query("UPDATE people SET is_admin = ?").bind(is_admin).execute(&pool).await.unwrap();
    };
    set_role(false).await;
    let program = Program::start(&listen, Some(&database), &keys).await;
    let mut stranger = HttpBrowser::of(&program);
    assert_eq!(stranger.get(&program.setup).await.status, 200);
    set_role(true).await;
    HttpBrowser::of(&program).log_in(&id, "alice").await.assert_text("Administrator of main");
    set_role(false).await;
    stranger.open("/").await.assert_text("Setup mode");
    assert_eq!(stranger.get(&program.setup).await.status, 403);
}

/// Check and save, while the integration is changed or deleted, and while the administrator logs out.
#[tokio::test]
async fn a_change_during_a_check_is_not_overwritten() {
    for change in ["rename", "delete", "log out"] {
        let program = Program::demo(None).await;
        let (mut admin, _) = HttpBrowser::administrator(&program).await;
        let id = admin.add(&program, "main", "bitbucket-cloud", "Second").await;
        let page = format!("{INTEGRATIONS}/{id}");

        // A slow code host.
        let slow = wiremock::MockServer::start().await;
        let response = wiremock::ResponseTemplate::new(503).set_delay(Duration::from_millis(1500));
        wiremock::Mock::given(wiremock::matchers::any()).respond_with(response).mount(&slow).await;
        let mut form = admin.open(&format!("{page}/edit")).await.screen();
        form.set("base_url", &slow.uri());
        form.set("client_secret", "canary-slow-secret");
        let checking = admin.press_in_background(&form, "Save changes");
        while slow.received_requests().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        match change {
            "rename" => {
                let mut screen = admin.open(&page).await.screen();
                screen.set("name", "Renamed");
                assert_eq!(admin.press(&screen, "Save name").await.status, 303);
            }
            "delete" => {
                admin
                    .submit(&format!("{page}/delete"), "Delete integration")
                    .await
                    .assert_text("The integration was deleted.");
            }
            _ => drop(admin.submit("/account", "Log out").await),
        }
        let (status, body) = checking.await.unwrap().unwrap();
        // The check could not tell, so nothing was saved in any case. Only who is logged out learns nothing about it.
        match change {
            "log out" => assert_eq!(status, 401, "{body}"),
            _ => assert!(matches!(status, 200 | 404 | 409 | 422), "{change}: {status}"),
        }
        if change == "delete" {
            assert_eq!(admin.get(&format!("/login/{id}")).await.status, 404);
            assert_eq!(admin.get(&page).await.status, 404);
        }
        if change == "rename" {
            let screen = admin.open(&page).await.screen();
            screen.assert_shows("Renamed");
            screen.assert_hides(&slow.uri());
        }
    }
}
