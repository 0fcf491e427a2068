//! The page of one integration, and its small changes.

use std::time::Duration;

use codehost_oauth::admin::Refusal;
use codehost_oauth::seal::KeyRing;
use codehost_oauth::settings::{
    IntegrationSecrets, IntegrationSettings, IntegrationStore as _, IntegrationWrite, Integrations, MemoryIntegrations,
    StoredIntegration,
};
use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use codehost_oauth::transport::Network;
use codehost_oauth::{Access, FindIntegration as _, Group, IntegrationId, LoginPolicy};
use http::StatusCode;

use crate::admin::app::{ACME, ANNA, App, OLGA, PUBLIC_URL};
use crate::admin::list::{create, other_app};
use crate::support::free_address;

const SECRET: &str = "canary-detail-secret";

/// An integration of "acme" with this policy at a fake GitLab that knows it.
pub(super) async fn at_gitlab(app: &App, gitlab: &FakeGitLab, policy: LoginPolicy) -> StoredIntegration {
    at_gitlab_of(&app.integrations, gitlab, policy).await
}

async fn at_gitlab_of(integrations: &Integrations, gitlab: &FakeGitLab, policy: LoginPolicy) -> StoredIntegration {
    let id = IntegrationId::random().unwrap();
    let callback = format!("{PUBLIC_URL}/oauth/callback/gitlab/{id}");
    gitlab.add_application(FakeApplication::new("app-id", SECRET, &callback, "read_user read_api"));
    let mut settings = IntegrationSettings::new("gitlab", gitlab.base_url(), Access::Read)
        .named("Our GitLab")
        .with_client_id("app-id");
    settings.policy = policy;
    let secrets = IntegrationSecrets::new(SECRET);
    integrations.by("Anna Admin").create(&id, Some("acme"), settings, &secrets).await.unwrap()
}

fn page(stored: &StoredIntegration) -> String {
    format!("{ACME}/{}", stored.id)
}

#[tokio::test]
async fn the_first_thing_after_creation_is_a_test_login() {
    let app = App::start();
    let stored = create(&app.integrations, "https://git.example.com", "Our GitLab").await;
    let mut browser = app.browser(ANNA).await;
    let shown = browser.get(&format!("{}?saved=created", page(&stored))).await;
    let policy = shown.headers["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("form-action 'self' https://git.example.com https:;"), "{policy}");
    let screen = shown.screen();
    assert_eq!(screen.all("h1"), ["Our GitLab"]);
    assert_eq!(screen.all("h2"), ["Test login", "Login link", "Activity", "Settings", "Change"]);
    assert!(screen.role("status").starts_with("The integration was created."));
    assert!(screen.role("status").contains("All integrations"));
    assert_eq!(screen.link("All integrations"), Some(ACME));
    screen.assert_hides("Last report");
    screen.assert_hides("GitLab.com");
    assert!(browser.get(&format!("{}?saved=created", page(&stored))).await.body.contains("autofocus>Test login<"));
    screen.assert_shows("Application ID app-id");
    screen.assert_shows("Scopes read_user");
    screen.assert_shows("Accepted users all users of the code host");
    screen.assert_shows("Users log in with this link. This app may have more rules, such as an invitation.");
    let callback = format!("{PUBLIC_URL}/oauth/callback/gitlab/{}", stored.id);
    assert!(screen.attributes("data-ch-copy").contains(&callback.as_str()));
    screen.assert_hides("canary");
    for (saved, notice) in
        [("changed", "The changes were saved."), ("enabled", "The integration is enabled."), ("nonsense", "")]
    {
        let screen = browser.open(&format!("{}?saved={saved}", page(&stored))).await;
        assert!(screen.role("status").contains(notice));
        assert_eq!(screen.role("status").is_empty(), notice.is_empty());
    }
}

#[tokio::test]
async fn only_operators_see_the_api_url() {
    let app = App::start();
    let mut settings = IntegrationSettings::new("gitlab", "https://git.example.com", Access::SignIn)
        .named("Demo")
        .with_client_id("app-id");
    settings.api_url = Some("https://inside.example.net".to_owned());
    let id = IntegrationId::random().unwrap();
    let secrets = IntegrationSecrets::new(SECRET);
    let stored = app.integrations.by("Olga").create(&id, Some("acme"), settings, &secrets).await.unwrap();
    app.browser(OLGA).await.open(&page(&stored)).await.assert_shows("https://inside.example.net");
    app.browser(ANNA).await.open(&page(&stored)).await.assert_hides("inside.example.net");
    let shown = app.browser(ANNA).await.get(&format!("{ACME}/api/v1/integrations/{id}")).await;
    assert!(shown.body.contains(r#""api_url":"""#) && !shown.body.contains("inside.example.net"), "{}", shown.body);
}

#[tokio::test]
async fn an_integration_is_renamed_disabled_and_enabled() {
    let app = App::start();
    let stored = create(&app.integrations, "https://git.example.com", "Our GitLab").await;
    let mut browser = app.browser(ANNA).await;
    let mut screen = browser.open(&page(&stored)).await;
    assert_eq!(screen.label("name"), "Name");
    screen.set("name", "  \u{5d2}\u{5d9}\u{5d8} <b> ");
    let shown = browser.press(&screen, "Save name").await;
    assert_eq!(shown.location(), Some(format!("{}?saved=changed", page(&stored)).as_str()));
    let renamed = app.of_acme().await.remove(0);
    assert_eq!((renamed.settings.name.as_str(), renamed.version), ("\u{5d2}\u{5d9}\u{5d8} <b>", 2));
    assert_eq!(renamed.changed.by, "Anna Admin");

    let mut screen = browser.open(&page(&stored)).await;
    screen.set("name", " ");
    let screen = browser.press(&screen, "Save name").await.screen();
    assert_eq!(screen.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(screen.is_invalid("name") && screen.is_open("name"));
    assert_eq!((screen.focused(), screen.value("name").as_str()), (Some("name"), " "));
    assert_eq!(app.of_acme().await[0].version, 2);

    let screen = browser.open(&page(&stored)).await;
    let shown = browser.press(&screen, "Disable").await;
    assert_eq!(shown.location(), Some(format!("{}?saved=disabled", page(&stored)).as_str()));
    assert!(app.integrations.find(&stored.id).await.unwrap().is_none());
    let screen = browser.open(&page(&stored)).await;
    screen.assert_shows("Disabled. Nobody can log in with it.");
    assert_eq!(browser.press(&screen, "Enable").await.status, StatusCode::SEE_OTHER);
    assert!(app.integrations.find(&stored.id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_stale_page_changes_nothing_and_shows_what_is_stored() {
    let app = App::start();
    let stored = create(&app.integrations, "https://git.example.com", "Our GitLab").await;
    let mut browser = app.browser(ANNA).await;
    let screen = browser.open(&page(&stored)).await;
    let deletion = browser.open(&format!("{}/delete", page(&stored))).await;
    let secret = browser.open(&format!("{}/secret", page(&stored))).await;
    let mut settings = stored.settings.clone();
    settings.name = "Renamed by Olga".to_owned();
    app.integrations.by("Olga Operator").save(&stored, settings, None).await.unwrap();

    for (screen, button) in [(&screen, "Disable"), (&screen, "Save name"), (&deletion, "Delete integration")] {
        let shown = browser.press(screen, button).await.screen();
        assert_eq!(shown.status, StatusCode::CONFLICT, "{button}");
        assert!(shown.role("alert").starts_with("Nothing was saved"), "{button}");
        assert!(shown.role("alert").contains("Changed by Olga Operator"));
        assert_eq!(shown.all("h1"), ["Renamed by Olga"]);
    }
    let mut secret = secret;
    secret.set("client_secret", "canary-newer-secret");
    let shown = browser.press(&secret, "Check and save").await.screen();
    assert_eq!((shown.status, shown.all("h1")), (StatusCode::CONFLICT, vec!["Renamed by Olga".to_owned()]));
    let now = app.of_acme().await.remove(0);
    assert_eq!((now.version, now.is_disabled), (2, false));

    // The page that shows what is stored has its version.
    assert_eq!(browser.press(&shown, "Disable").await.status, StatusCode::SEE_OTHER);
    let now = app.of_acme().await.remove(0);
    app.integrations.by("jane").delete(&now).await.unwrap();
    let shown = browser.press(&screen, "Disable").await.screen();
    assert_eq!(shown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn deleting_tells_the_count_and_the_app() {
    let app = App::start();
    let stored = create(&app.integrations, "https://git.example.com", "Our GitLab").await;
    app.world.facts().accounts.insert(stored.id.clone(), 2);
    let mut browser = app.browser(ANNA).await;
    let path = format!("{}/delete", page(&stored));
    let screen = browser.open(&path).await;
    assert_eq!(screen.all("h1"), ["Delete Our GitLab?"]);
    screen.assert_shows("2 accounts use this integration.");
    assert_eq!(screen.link("Cancel"), Some(page(&stored).as_str()));

    let refusal = Refusal::new("Nobody could manage \"acme\" any more.", "Make another user administrator first.");
    app.world.facts().refusal = Some(refusal);
    let shown = browser.press(&screen, "Delete integration").await.screen();
    assert_eq!(shown.status, StatusCode::CONFLICT);
    shown.assert_shows("Nobody could manage \"acme\" any more.");
    shown.assert_shows("Make another user administrator first.");
    assert_eq!(app.of_acme().await.len(), 1);

    app.world.facts().refusal = None;
    app.world.facts().told.clear();
    let shown = browser.press(&screen, "Delete integration").await;
    let location = shown.location().unwrap().to_owned();
    assert!(browser.open(&location).await.role("status").contains("The integration was deleted."));
    assert!(app.of_acme().await.is_empty());
    assert_eq!(
        app.world.facts().told,
        ["before Deleted Our GitLab → - by anna", "after Deleted Our GitLab → - by anna"]
    );
    assert_eq!(browser.open(&page(&stored)).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_new_secret_is_checked_before_it_is_saved() {
    let app = App::start();
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    // No form can show groups with different roles.
    let groups = [Group::path("acme").unwrap().at_least("owner"), Group::path("tools").unwrap()];
    let policy = LoginPolicy::members_of(groups);
    let stored = at_gitlab(&app, &gitlab, policy.clone()).await;
    let mut browser = app.browser(ANNA).await;
    let path = format!("{}/secret", page(&stored));
    let mut screen = browser.open(&path).await;
    assert_eq!((screen.label("client_secret").as_str(), screen.focused()), ("Secret", Some("client_secret")));

    let empty = browser.press(&screen, "Check and save").await.screen();
    assert_eq!(empty.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(empty.is_invalid("client_secret"));
    assert!(empty.description("client_secret").contains("The Secret is empty."));

    screen.set("client_secret", "canary-wrong-secret");
    let wrong = browser.press(&screen, "Check and save").await.screen();
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    wrong.assert_shows("Secret");
    wrong.assert_hides("The secret is kept");
    assert!(!wrong.buttons().contains(&"Save anyway".to_owned()));
    assert_eq!(wrong.value("client_secret"), "");
    assert_eq!(app.of_acme().await[0].version, 1);
    // A wrong secret is not kept, so an empty field is an error again.
    let again = browser.press(&wrong, "Check and save").await.screen();
    assert!(again.description("client_secret").contains("The Secret is empty."));

    screen.set("client_secret", SECRET);
    let shown = browser.press(&screen, "Check and save").await;
    assert_eq!(shown.location(), Some(format!("{}?saved=secret", page(&stored)).as_str()));
    let saved = app.of_acme().await.remove(0);
    assert_eq!((saved.version, &saved.settings), (2, &stored.settings));
    assert_eq!(saved.settings.policy, policy);
    assert_ne!(saved.sealed_secrets, stored.sealed_secrets);
}

#[tokio::test]
async fn a_secret_that_cannot_be_checked_can_be_saved_anyway() {
    let app = App::start();
    let stored = create(&app.integrations, &format!("http://{}", free_address()), "Down").await;
    let mut browser = app.browser(ANNA).await;
    let mut screen = browser.open(&format!("{}/secret", page(&stored))).await;
    screen.set("client_secret", "canary-unchecked-secret");
    let shown = browser.press(&screen, "Check and save").await.screen();
    assert_eq!(shown.status, StatusCode::UNPROCESSABLE_ENTITY);
    shown.assert_shows("The secret is kept. Leave the field empty to use it.");
    assert_eq!(app.of_acme().await[0].version, 1);
    let saved = browser.press(&shown, "Save anyway").await;
    assert_eq!(saved.location(), Some(format!("{}?saved=changed", page(&stored)).as_str()));
    let now = app.of_acme().await.remove(0);
    assert_eq!(now.version, 2);
    assert_ne!(now.sealed_secrets, stored.sealed_secrets);
}

#[tokio::test]
async fn a_new_secret_repairs_an_integration_whose_key_is_lost() {
    let store = MemoryIntegrations::default();
    let app = App::with_store(store.clone(), Access::SignIn, true);
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let network = Network::public_only().allow_loopback_http();
    let stored = at_gitlab_of(&other_app(&store, (2, 9), network), &gitlab, LoginPolicy::everyone()).await;
    assert!(app.integrations.find(&stored.id).await.is_err());
    let mut browser = app.browser(ANNA).await;
    let mut screen = browser.open(&format!("{}/secret", page(&stored))).await;
    screen.set("client_secret", SECRET);
    assert_eq!(browser.press(&screen, "Check and save").await.status, StatusCode::SEE_OTHER);
    assert!(app.integrations.find(&stored.id).await.unwrap().is_some());
}

/// A rename keeps it, under the new name. All else says that it ends.
#[tokio::test]
async fn a_proposal_is_not_dropped_silently() {
    let app = App::start();
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let stored = at_gitlab(&app, &gitlab, LoginPolicy::everyone()).await;
    let mut settings = stored.settings.clone();
    settings.base_url = "https://code.example.com".to_owned();
    let secrets = IntegrationSecrets::new(SECRET);
    let proposed = app.integrations.by("Anna Admin").propose(&stored, settings, &secrets).await.unwrap();
    let mut browser = app.browser(ANNA).await;
    let mut screen = browser.open(&page(&stored)).await;
    screen.set("name", "Renamed");
    let shown = browser.press(&screen, "Save name").await;
    assert_eq!(shown.location(), Some(format!("{}?saved=changed", page(&stored)).as_str()));
    let renamed = app.of_acme().await.remove(0);
    let (before, now) = (proposed.proposed.unwrap(), renamed.proposed.clone().unwrap());
    assert_eq!([&renamed.settings.name, &now.settings.name], ["Renamed", "Renamed"]);
    assert_eq!((&now.sealed_secrets, &now.proposed), (&before.sealed_secrets, &before.proposed));
    assert!(app.integrations.build_proposed(&renamed).is_ok());

    let warning = "A new base URL is proposed, and not confirmed yet: https://code.example.com.";
    browser.open(&format!("{}/edit", page(&stored))).await.assert_shows(warning);
    let mut secret = browser.open(&format!("{}/secret", page(&stored))).await;
    secret.assert_shows(warning);
    secret.set("client_secret", SECRET);
    let location = browser.press(&secret, "Check and save").await.location().unwrap().to_owned();
    let screen = browser.open(&location).await;
    assert!(screen.role("status").contains("The proposed base URL was dropped."), "{}", screen.text());
    assert_eq!(app.of_acme().await[0].proposed, None);
    browser.open(&format!("{}/edit", page(&stored))).await.assert_hides(warning);
}

#[tokio::test]
async fn a_proposal_is_shown_as_long_as_it_is_valid() {
    let store = MemoryIntegrations::default();
    let app = App::with_store(store.clone(), Access::SignIn, true);
    let stored = create(&app.integrations, "https://git.example.com", "Our GitLab").await;
    let mut settings = stored.settings.clone();
    settings.base_url = "https://code.example.com".to_owned();
    let secrets = IntegrationSecrets::new(SECRET);
    app.integrations.by("Anna Admin").propose(&stored, settings, &secrets).await.unwrap();
    let mut browser = app.browser(ANNA).await;
    let shown = browser.get(&page(&stored)).await;
    let policy = shown.headers["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("https://code.example.com"), "{policy}");
    let screen = shown.screen();
    assert_eq!(screen.all("h2")[0], "New base URL, not in use yet");
    screen.assert_shows("https://git.example.com → https://code.example.com");
    screen.assert_shows("Proposed by Anna Admin");
    screen.assert_shows("Valid until");
    assert!(screen.buttons().contains(&"Confirm with a test login".to_owned()));
    assert!(!screen.buttons().contains(&"Test login".to_owned()));

    // An hour and a second later.
    let mut old = app.of_acme().await.remove(0);
    old.version += 1;
    old.proposed.as_mut().unwrap().proposed.at -= Duration::from_secs(3601);
    store.write(&IntegrationWrite::Replace(Box::new(old)), &()).await.unwrap();
    let screen = browser.open(&page(&stored)).await;
    screen.assert_shows("The new base URL cannot be tried. The new base URL was not confirmed within an hour.");
    assert_eq!(screen.attributes("data-code"), ["proposal_expired"]);
    screen.assert_hides("Valid until");
    assert!(!screen.buttons().contains(&"Confirm with a test login".to_owned()));

    // The key with which its secret was encrypted is gone.
    let mut lost = app.of_acme().await.remove(0);
    lost.version += 1;
    let proposal = lost.proposed.as_mut().unwrap();
    proposal.proposed.at += Duration::from_secs(3601);
    let other = KeyRing::new([(2, [9; 32].as_slice())]).unwrap();
    proposal.sealed_secrets = secrets.seal(&other, &lost.id, "https://code.example.com").unwrap();
    store.write(&IntegrationWrite::Replace(Box::new(lost)), &()).await.unwrap();
    let screen = browser.open(&page(&stored)).await;
    screen.assert_shows("The new base URL cannot be tried. The app no longer has the key that encrypted the secret.");
    assert_eq!(screen.attributes("data-code"), ["seal_unknown_key"]);
}
