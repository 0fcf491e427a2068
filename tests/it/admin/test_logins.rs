//! Test logins: from the button to the report.

use codehost_oauth::settings::{IntegrationSecrets, StoredIntegration};
use codehost_oauth::testing::gitlab::{FakeGroup, FakeUser};
use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use codehost_oauth::{AccountKey, Group, LoginPolicy};
use http::StatusCode;

use crate::admin::app::{ACME, ANNA, App, Browser, GUS, OLGA, PUBLIC_URL, Shown};
use crate::admin::detail::at_gitlab;
use crate::admin::screen::Screen;

fn page(stored: &StoredIntegration) -> String {
    format!("{ACME}/{}", stored.id)
}

/// The callback of a login that a button of this page began.
fn path(callback: &str) -> String {
    callback.strip_prefix(PUBLIC_URL).unwrap().to_owned()
}

/// Presses the button, logs in as this user, and shows the report.
async fn test_as(browser: &mut Browser, gitlab: &FakeGitLab, stored: &StoredIntegration, user: &str) -> Screen {
    let callback = begin(browser, gitlab, stored, user).await;
    finish(browser, stored, &callback).await
}

async fn begin(browser: &mut Browser, gitlab: &FakeGitLab, stored: &StoredIntegration, user: &str) -> String {
    let screen = browser.open(&page(stored)).await;
    let button = match stored.proposed {
        Some(_) => "Confirm with a test login",
        None => "Test login",
    };
    let shown = browser.press(&screen, button).await;
    assert_eq!(shown.status, StatusCode::SEE_OTHER);
    assert_eq!(shown.headers["referrer-policy"], "same-origin");
    path(&gitlab.authorize(shown.location().unwrap(), user).unwrap())
}

async fn finish(browser: &mut Browser, stored: &StoredIntegration, callback: &str) -> Screen {
    let shown: Shown = browser.get(callback).await;
    assert!(shown.headers.get("x-logged-in").is_none(), "nobody is logged in");
    let report = format!("{}/test", page(stored));
    assert_eq!(shown.location(), Some(report.as_str()));
    browser.open(&report).await
}

#[tokio::test]
async fn the_report_says_what_the_app_gets() {
    for app in [App::start(), App::in_cookie()] {
        let gitlab = FakeGitLab::builder().start().await.unwrap();
        let stored = at_gitlab(&app, &gitlab, LoginPolicy::everyone()).await;
        let mut browser = app.browser(ANNA).await;
        let screen = browser.open(&format!("{}/test", page(&stored))).await;
        screen.assert_shows("There is no report in this browser.");
        let screen = test_as(&mut browser, &gitlab, &stored, "alice").await;
        assert_eq!(screen.all("h2")[0], "The integration accepts this user");
        screen.assert_shows("This app may have more rules, such as an invitation.");
        screen.assert_shows(gitlab.base_url());
        screen.assert_shows("Name Alice Åström User name alice");
        screen.assert_shows(&format!("Account key gitlab:{}:2", stored.id));
        screen.assert_shows("Two-factor authentication no");
        screen.assert_shows("No address is trusted.");
        screen.assert_shows("alice@example.com: primary, confirmed by GitLab, from a self-managed server");
        screen.assert_shows("Requested read_api read_user");
        screen.assert_shows("Granted read");
        screen.assert_hides("Missing");
        screen.assert_shows("Refresh token yes");
        screen.assert_shows("After the test revoked");
        screen.assert_hides("New base URL");
        assert_eq!(
            (screen.link("Integrations"), screen.link("Our GitLab")),
            (Some(ACME), Some(page(&stored).as_str()))
        );
        let report = format!("{}/test", page(&stored));
        assert_eq!(browser.open(&page(&stored)).await.link("Last report"), Some(report.as_str()));
        // Still the same user, and nothing was written.
        assert_eq!(browser.open(ACME).await.status, StatusCode::OK);
        assert_eq!(app.of_acme().await, [stored]);
    }
}

#[tokio::test]
async fn the_report_says_why_a_user_may_not_log_in() {
    let app = App::start();
    let mut member = FakeUser::new(40, "mel", "Mel", "mel@example.com");
    member.groups.push(FakeGroup::new(7, "acme", 30));
    let gitlab = FakeGitLab::builder().user(member).start().await.unwrap();
    let groups = [Group::path("acme").unwrap(), Group::path("tools").unwrap().at_least("owner")];
    let stored = at_gitlab(&app, &gitlab, LoginPolicy::members_of(groups).require_two_factor()).await;
    let mut browser = app.browser(ANNA).await;
    let screen = test_as(&mut browser, &gitlab, &stored, "alice").await;
    assert_eq!(screen.all("h2")[0], "The integration refuses this user");
    screen.assert_hides("more rules");
    screen.assert_shows("acme: not a member");
    screen.assert_shows("tools (at least owner): not a member");
    let screen = test_as(&mut browser, &gitlab, &stored, "mel").await;
    // She is a member, but has no two-factor authentication.
    screen.assert_shows("acme: member, role developer");
    assert_eq!(screen.all("h2")[0], "The integration refuses this user");
    assert_eq!(screen.attributes("data-code"), ["two_factor_required"]);
    screen.assert_shows("What the user can do:");
}

#[tokio::test]
async fn a_denied_login_has_a_report_too() {
    let app = App::start();
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let stored = at_gitlab(&app, &gitlab, LoginPolicy::everyone()).await;
    let mut browser = app.browser(ANNA).await;
    let screen = browser.open(&page(&stored)).await;
    let shown = browser.press(&screen, "Test login").await;
    let callback = path(&gitlab.deny(shown.location().unwrap()).unwrap());
    let screen = finish(&mut browser, &stored, &callback).await;
    assert_eq!(screen.all("h2")[0], "Login failed");
    assert_eq!(screen.attributes("data-code"), ["denied"]);
    assert!(screen.buttons().contains(&"Test again".to_owned()));
}

#[tokio::test]
async fn network_causes_are_for_operators() {
    for (user, code) in [(ANNA, "instance_unreachable"), (OLGA, "unreachable")] {
        let app = App::start();
        let gitlab = FakeGitLab::builder().start().await.unwrap();
        let stored = at_gitlab(&app, &gitlab, LoginPolicy::everyone()).await;
        let mut browser = app.browser(user).await;
        let callback = begin(&mut browser, &gitlab, &stored, "alice").await;
        gitlab.stop().await;
        let screen = finish(&mut browser, &stored, &callback).await;
        assert_eq!(screen.all("h2")[0], "Login failed");
        assert_eq!(screen.attributes("data-code"), [code]);
        let json = browser.get(&format!("{ACME}/api/v1/integrations/{}/test", stored.id)).await.body;
        assert!(json.contains(&format!(r#""code":"{code}""#)), "{json}");
    }
}

#[tokio::test]
async fn only_the_administrator_who_tests_sees_the_report() {
    let app = App::start();
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let stored = at_gitlab(&app, &gitlab, LoginPolicy::everyone()).await;
    let mut browser = app.browser(ANNA).await;
    test_as(&mut browser, &gitlab, &stored, "alice").await.assert_shows("alice");
    // Another administrator in the same browser, and the same in another one.
    browser.log_in(OLGA).await;
    let path = format!("{}/test", page(&stored));
    browser.open(&path).await.assert_shows("There is no report in this browser.");
    app.browser(ANNA).await.open(&path).await.assert_shows("There is no report in this browser.");

    // Somebody else has logged in during the test.
    let mut browser = app.browser(ANNA).await;
    let callback = begin(&mut browser, &gitlab, &stored, "alice").await;
    browser.log_in(GUS).await;
    let shown = browser.get(&callback).await;
    assert!(!shown.body.contains("Alice"), "{}", shown.body);
    browser.log_in(ANNA).await;
    browser.open(&path).await.assert_hides("Alice");
}

/// Another name of the same server, and an integration with that proposal of this user.
async fn proposal_by(user: &str, app: &App, gitlab: &FakeGitLab) -> StoredIntegration {
    let old = FakeGitLab::builder().start().await.unwrap();
    let stored = at_gitlab(app, &old, LoginPolicy::everyone()).await;
    let callback = format!("{PUBLIC_URL}/oauth/callback/gitlab/{}", stored.id);
    gitlab.add_application(FakeApplication::new("app-id", "canary-proposed", &callback, "read_user read_api"));
    let mut settings = stored.settings.clone();
    gitlab.base_url().clone_into(&mut settings.base_url);
    let secrets = IntegrationSecrets::new("canary-proposed");
    let editor = app.integrations.by(user);
    let editor = if user == OLGA { editor.operator() } else { editor };
    editor.propose(&stored, settings, &secrets).await.unwrap()
}

/// The app knows Alice's account, under this name.
fn know(app: &App, stored: &StoredIntegration, username: &str) {
    let key = AccountKey::new(stored.id.clone(), "gitlab", "2").to_string();
    app.world.facts().known.insert(key, username.to_owned());
}

#[tokio::test]
async fn a_known_account_proves_that_the_server_is_the_same() {
    let app = App::start();
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let stored = proposal_by(OLGA, &app, &gitlab).await;
    know(&app, &stored, "alice");
    let mut browser = app.browser(OLGA).await;
    browser.open(&page(&stored)).await.assert_shows("the accounts of users stay. Their connections stay too.");
    let screen = test_as(&mut browser, &gitlab, &stored, "alice").await;
    screen.assert_shows("It is the same server: the new base URL is in use. Accounts and connections stay.");
    let now = app.of_acme().await.remove(0);
    assert_eq!(now.settings.base_url, gitlab.base_url());
    assert_eq!(now.settings.former_base_urls, [stored.settings.base_url]);
    assert_eq!((now.version, now.proposed), (3, None));
    let told = app.world.facts().told.clone();
    let expected = |moment| format!("{moment} Moved(SameServer) Our GitLab → Our GitLab by olga");
    assert_eq!(told, ["before", "after"].map(expected));
    // The next test is an ordinary one.
    let screen = test_as(&mut browser, &gitlab, &now_at(&app).await, "alice").await;
    screen.assert_hides("It is the same server");
}

/// The proof is the new server's word. An administrator of one organization could run that server, so the tokens of its users are
/// not sent there.
#[tokio::test]
async fn only_operators_who_propose_and_confirm_keep_the_connections() {
    for (proposer, tester) in [(ANNA, ANNA), (ANNA, OLGA), (OLGA, ANNA)] {
        let app = App::start();
        let gitlab = FakeGitLab::builder().start().await.unwrap();
        let stored = proposal_by(proposer, &app, &gitlab).await;
        know(&app, &stored, "alice");
        let mut browser = app.browser(tester).await;
        let screen = browser.open(&page(&stored)).await;
        screen.assert_shows("the accounts of users stay. Each user connects again with the next login");
        screen.assert_hides("connections stay too");
        let screen = test_as(&mut browser, &gitlab, &stored, "alice").await;
        screen.assert_shows("Accounts stay. Each user connects again with the next login.");
        let now = app.of_acme().await.remove(0);
        assert_eq!(now.settings.base_url, gitlab.base_url());
        assert!(now.settings.former_base_urls.is_empty(), "{proposer} {tester}");
    }
}

async fn now_at(app: &App) -> StoredIntegration {
    app.of_acme().await.remove(0)
}

#[tokio::test]
async fn nothing_else_proves_it() {
    let app = App::start();
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let stored = proposal_by(ANNA, &app, &gitlab).await;
    let mut browser = app.browser(ANNA).await;
    let not_known = "no user of this app has connected this account before, or it belongs to somebody else now";
    // An account that the app does not know; then the same id that belongs to somebody else.
    for username in [None, Some("mallory")] {
        if let Some(username) = username {
            know(&app, &stored, username);
        }
        let screen = test_as(&mut browser, &gitlab, &stored, "alice").await;
        assert!(screen.role("alert").contains(not_known), "{}", screen.text());
        screen.assert_shows("Nothing was changed.");
        screen.assert_shows("Test again with an account that has logged in here before.");
    }
    // A user who may not log in.
    let screen = test_as(&mut browser, &gitlab, &stored, "carol").await;
    assert!(screen.role("alert").contains("the integration refuses this user"), "{}", screen.text());
    // The right ends during the transaction.
    know(&app, &stored, "alice");
    app.world.facts().dismissed.push(ANNA.to_owned());
    let screen = test_as(&mut browser, &gitlab, &stored, "alice").await;
    assert!(screen.role("alert").contains("You may not manage these integrations any more."), "{}", screen.text());
    assert_eq!(app.of_acme().await, std::slice::from_ref(&stored));
    assert!(app.world.facts().told.is_empty());

    // Another administrator saves something during the login.
    app.world.facts().dismissed.clear();
    let callback = begin(&mut browser, &gitlab, &stored, "alice").await;
    let newer = app.integrations.by("Olga Operator").disable(&stored).await.unwrap();
    app.integrations.by("Olga Operator").save(&newer, stored.settings.clone(), None).await.unwrap();
    let screen = finish(&mut browser, &stored, &callback).await;
    screen.assert_hides("It is the same server");
    assert_eq!(now_at(&app).await.settings.base_url, stored.settings.base_url);
}
