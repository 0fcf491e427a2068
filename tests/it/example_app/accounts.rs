//! The accounts of users at code hosts: logins, connections, and what ends with them.

use codehost_oauth::testing::FakeGitLab;

use super::client::{HttpBrowser, Page};
use super::{INTEGRATIONS, Program};

#[tokio::test]
async fn users_of_every_platform_log_in_and_are_asked_live() {
    let program = Program::demo(None).await;
    let (mut admin, _) = HttpBrowser::administrator(&program).await;
    for (platform, user, subject, name) in [
        ("gitlab", "bob", "3", "bob"),
        ("bitbucket-cloud", "jane", "11111111-2222-3333-4444-555555555555", "jane"),
        ("github", "janedoe", "12345678", "janedoe"),
        ("forgejo", "jane", "7", "jane"),
        ("bitbucket-data-center", "jdoe", "42", "jdoe"),
    ] {
        let id = admin.add(&program, "main", platform, platform).await;
        let link = admin.invite("main", "Invite a member").await;
        let mut browser = HttpBrowser::of(&program);
        let callback = {
            let screen = browser.open(&link).await.screen();
            let button = format!("Log in with {platform}");
            assert!(screen.buttons().contains(&button), "{:?}", screen.buttons());
            browser.authorize(&link, &button, Some(user)).await
        };
        let account = browser.open(&callback).await;
        account.assert_text("Member of main");
        assert!(
            account.body.contains(&format!("{platform}:{id}:")) && account.body.contains(subject),
            "{}",
            account.body
        );
        let live = browser.submit("/account", "Who am I there?").await;
        live.assert_text("The code host says now:");
        assert!(live.screen().role("status").contains(&format!("now: {name}, ")), "{}", live.screen().role("status"));
    }
}

#[tokio::test]
async fn accounts_are_connected_and_disconnected() {
    let program = Program::demo(None).await;
    let (mut admin, gitlab) = HttpBrowser::administrator(&program).await;
    let bitbucket = admin.add(&program, "main", "bitbucket-cloud", "Bitbucket").await;
    let link = admin.invite("main", "Invite a member").await;
    let mut jane = HttpBrowser::of(&program);
    let callback = jane.authorize(&link, "Log in with Bitbucket", Some("jane")).await;
    jane.open(&callback).await.assert_text("Member of main");

    // An account of another user is refused, and an equal e-mail address connects nothing.
    let taken = admin.authorize("/account", "Connect Bitbucket", Some("jane")).await;
    admin.open(&taken).await.assert_text("the account is connected to another user");
    admin.open("/account").await.assert_text("This is your only account here");
    let free = admin.authorize("/account", "Connect Bitbucket", Some("many")).await;
    admin.open(&free).await.assert_text("The account is connected.");
    let page = admin.open(&format!("{INTEGRATIONS}/{bitbucket}/delete")).await;
    page.assert_text("2 accounts");

    // Disconnecting revokes the tokens there: the code host does not know the user any more, and the account cannot log in.
    let key = format!("bitbucket-cloud:{bitbucket}:22222222-2222-3333-4444-555555555555");
    let screen = admin.open("/account").await.screen();
    let (action, mut fields) = screen.submission("Disconnect");
    fields.iter_mut().find(|(name, _)| name == "key").unwrap().1 = key;
    let done = admin.post(&action, &fields).await;
    admin.open(done.location()).await.assert_text("The account is disconnected");
    fields.iter_mut().find(|(name, _)| name == "key").unwrap().1 = format!("gitlab:{gitlab}:2");
    let only = admin.post(&action, &fields).await;
    admin.open(only.location()).await.assert_text("cannot be disconnected");
    let mut other = HttpBrowser::of(&program);
    other.log_in(&bitbucket, "many").await.assert_text("Only users who were invited have one.");
    admin.submit("/account", "Who am I there?").await.assert_text("The code host says now:");
    assert_eq!(admin.submit("/account", "Log out").await.screen().all("h1"), ["Log in to Main"]);
    assert_eq!(admin.get("/account").await.location(), "/login");
    assert!(admin.log_in(&gitlab, "alice").await.screen().shows("Administrator of main"));
}

#[tokio::test]
async fn disconnecting_revokes_the_tokens_at_the_code_host() {
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let program = Program::demo(None).await;
    let (mut admin, _) = HttpBrowser::administrator(&program).await;
    let id = admin.add_gitlab(&gitlab, "Second", "canary-second-secret").await;
    let connect = admin.authorize("/account", "Connect Second", Some("bob")).await;
    admin.open(&connect).await.assert_text("The account is connected.");
    let screen = admin.open("/account").await.screen();
    let (action, mut fields) = screen.submission("Disconnect");
    fields.iter_mut().find(|(name, _)| name == "key").unwrap().1 = format!("gitlab:{id}:3");
    assert_eq!(gitlab.count("/oauth/revoke"), 0);
    let done = admin.post(&action, &fields).await;
    admin.open(done.location()).await.assert_text("The account is disconnected, and its tokens were revoked.");
    assert!(gitlab.count("/oauth/revoke") > 0);
    // Nothing is left that could be sent there again.
    let asked = gitlab.requests().len();
    assert_eq!(admin.post(&action, &fields).await.status, 404);
    assert_eq!(gitlab.requests().len(), asked);
}

#[tokio::test]
async fn removing_a_user_revokes_their_tokens_at_the_code_host() {
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let program = Program::demo(None).await;
    let (mut admin, _) = HttpBrowser::administrator(&program).await;
    admin.add_gitlab(&gitlab, "Second", "canary-removal-secret").await;
    let [mut bob, mut root] = [HttpBrowser::of(&program), HttpBrowser::of(&program)];
    for (browser, username) in [(&mut bob, "bob"), (&mut root, "root")] {
        let link = admin.invite("main", "Invite a member").await;
        let callback = browser.authorize(&link, "Log in with Second", Some(username)).await;
        browser.open(&callback).await.assert_text("Member of main");
    }
    assert_eq!(gitlab.count("/oauth/revoke"), 0);
    remove(&mut admin, "Bob Unconfirmed").await.assert_text("The user is removed. ");
    assert!(gitlab.count("/oauth/revoke") > 0);
    assert_eq!(bob.get("/account").await.location(), "/login");

    gitlab.stop().await;
    let told = "The user is removed, but a code host did not revoke the access of this app.";
    remove(&mut admin, "Administrator").await.assert_text(told);
    assert_eq!(root.get("/account").await.location(), "/login");
}

/// Removes the user with this name from the first organization.
async fn remove(admin: &mut HttpBrowser, name: &str) -> Page {
    let people = admin.open("/org/main/people").await.screen();
    let (action, mut fields) = people.submission("Remove");
    let label = format!("Remove: {name}");
    let mut labels = people.attributes("aria-label").into_iter().filter(|label| label.starts_with("Remove: "));
    let position = labels.position(|shown| shown == label).unwrap();
    let mut values = people.attributes("value").into_iter().filter(|value| value.starts_with("remove "));
    values.nth(position).unwrap().clone_into(&mut fields.last_mut().unwrap().1);
    admin.post(&action, &fields).await
}
