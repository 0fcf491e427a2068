//! Changes of a stored integration.

use codehost_oauth::seal::KeyRing;
use codehost_oauth::settings::{IntegrationSecrets, IntegrationSettings, Integrations, MemoryIntegrations};
use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use codehost_oauth::{Access, EmailTrust, Group, LoginPolicy};
use http::StatusCode;

use crate::admin::app::{ACME, ANNA, App, OLGA, PUBLIC_URL};
use crate::admin::form::{Filled, SECRET, edit_path, stored};

#[tokio::test]
async fn an_edit_changes_what_was_typed_and_keeps_the_secret() {
    let Filled { app, mut anna, screen, gitlab: _gitlab } = stored().await;
    let mut screen = screen;
    screen.assert_shows("Cannot be changed: it is part of the callback URL.");
    assert!(!screen.fields().contains(&"signature"));
    assert_eq!(screen.value("client_id"), "the-id");
    assert!(screen.description("client_secret").contains("The secret is kept."));
    screen.set("name", "A new name");
    screen.set("who", "members");
    screen.set("groups", "acme/tools\n42");
    screen.tick("with_subgroups", true);
    screen.set("least_role", "developer");
    screen.tick("two_factor", true);
    screen.set("email_domains", "example.com");
    let saved = anna.press(&screen, "Save changes").await;
    let id = app.of_acme().await[0].id.clone();
    assert_eq!(saved.location(), Some(&*format!("{ACME}/{id}?saved=changed")), "{}", saved.body);
    let screen = anna.open(&edit_path(&app).await).await;
    for (field, value) in [
        ("name", "A new name"),
        ("who", "members"),
        ("groups", "acme/tools\n42"),
        ("least_role", "developer"),
        ("email_domains", "example.com"),
    ] {
        assert_eq!(screen.value(field), value);
    }
    assert!(screen.is_ticked("with_subgroups") && screen.is_ticked("two_factor") && !screen.is_ticked("allow_bots"));
    assert!(screen.is_open("two_factor"), "what is set is not hidden");
    assert_eq!(app.of_acme().await[0].version, 2);
}

/// The form has one role for all groups. A change of something else must not let in members with a lower role.
#[tokio::test]
async fn each_group_keeps_its_role_until_the_role_is_changed() {
    let Filled { app, mut anna, gitlab: _gitlab, .. } = stored().await;
    let one = app.of_acme().await.remove(0);
    let group = |path| Group::path(path).unwrap();
    let groups = [group("acme").at_least("developer"), group("ops").at_least("owner").with_subgroups()];
    let mut settings = one.settings.clone();
    settings.policy = LoginPolicy::members_of(groups.clone());
    app.integrations.by("jane").save(&one, settings, None).await.unwrap();

    let mut screen = anna.open(&edit_path(&app).await).await;
    screen.set("name", "A new name");
    screen.tick("two_factor", true);
    assert_eq!(anna.press(&screen, "Save changes").await.status, StatusCode::SEE_OTHER);
    let policy = app.of_acme().await.remove(0).settings.policy;
    assert_eq!(policy, LoginPolicy::members_of(groups.clone()).require_two_factor());

    let mut screen = anna.open(&edit_path(&app).await).await;
    screen.set("groups", "ops\ntools");
    assert_eq!(anna.press(&screen, "Save changes").await.status, StatusCode::SEE_OTHER);
    let policy = app.of_acme().await.remove(0).settings.policy;
    assert_eq!(policy.groups(), [groups[1].clone(), group("tools").at_least("developer")]);

    let mut screen = anna.open(&edit_path(&app).await).await;
    assert_eq!(screen.value("least_role"), "owner");
    screen.set("least_role", "maintainer");
    assert_eq!(anna.press(&screen, "Save changes").await.status, StatusCode::SEE_OTHER);
    let policy = app.of_acme().await.remove(0).settings.policy;
    assert!(policy.groups().iter().all(|group| group.least_role() == Some("maintainer")), "{policy:?}");
}

/// A tenant's server must not vouch for the e-mail addresses of other people because its own administrator says so.
#[tokio::test]
async fn only_an_operator_chooses_which_addresses_to_trust() {
    let Filled { app, mut anna, screen: annas, gitlab: _gitlab } = stored().await;
    assert!(!annas.fields().contains(&"email_trust"));
    let (action, mut fields) = annas.submission("Save changes");
    fields.push(("email_trust".to_owned(), "without-verification".to_owned()));
    assert_eq!(anna.post(&action, &fields).await.status, StatusCode::SEE_OTHER);
    assert_eq!(app.of_acme().await[0].settings.email_trust, EmailTrust::Platform);

    let mut olga = app.browser(OLGA).await;
    let mut screen = olga.open(&edit_path(&app).await).await;
    screen.set("email_trust", "this-instance");
    assert_eq!(olga.press(&screen, "Save changes").await.status, StatusCode::SEE_OTHER);
    assert_eq!(app.of_acme().await[0].settings.email_trust, EmailTrust::ThisInstance);
    // Another change by the tenant keeps it.
    let mut screen = anna.open(&edit_path(&app).await).await;
    screen.set("name", "A new name");
    assert_eq!(anna.press(&screen, "Save changes").await.status, StatusCode::SEE_OTHER);
    assert_eq!(app.of_acme().await[0].settings.email_trust, EmailTrust::ThisInstance);
}

/// Both versions are shown, and either can be used.
#[tokio::test]
async fn a_stale_edit_shows_both_versions() {
    let Filled { app, mut anna, screen: mut mine, gitlab: _gitlab } = stored().await;
    let mut olga = app.browser(OLGA).await;
    let mut hers = olga.open(&edit_path(&app).await).await;
    hers.set("name", "Olga's name");
    assert_eq!(olga.press(&hers, "Save changes").await.status, StatusCode::SEE_OTHER);

    mine.set("name", "Anna's name");
    mine.set("timeout", "9");
    mine.set("client_secret", SECRET);
    let both = anna.press(&mine, "Save changes").await.screen();
    assert_eq!(both.status, StatusCode::CONFLICT);
    both.assert_shows("Changed by Olga Operator,");
    let rows: Vec<_> = both.all("tr").into_iter().skip(1).collect();
    assert_eq!(rows, ["Name Anna's name Olga's name", "Time-out 9"]);
    assert_eq!(app.of_acme().await[0].settings.name, "Olga's name");

    // Start over.
    let over = both.link("Start over with what is stored now").unwrap().to_owned();
    assert_eq!(anna.open(&over).await.value("name"), "Olga's name");
    // Or continue.
    let form = anna.press(&both, "Continue with your version").await.screen();
    assert_eq!(
        (form.status, form.value("name"), form.value("timeout")),
        (StatusCode::OK, "Anna's name".to_owned(), "9".to_owned())
    );
    assert_eq!(app.of_acme().await[0].settings.name, "Olga's name", "not saved yet");
    assert_eq!(anna.press(&form, "Save changes").await.status, StatusCode::SEE_OTHER);
    let now = app.of_acme().await.remove(0);
    assert_eq!((now.settings.name.as_str(), now.version), ("Anna's name", 3));
}

#[tokio::test]
async fn what_was_typed_for_a_deleted_integration_is_shown() {
    let Filled { app, mut anna, mut screen, gitlab: _gitlab } = stored().await;
    let one = app.of_acme().await.remove(0);
    app.integrations.by("jane").delete(&one).await.unwrap();
    screen.set("name", "Anna's name");
    let gone = anna.press(&screen, "Save changes").await.screen();
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    gone.assert_shows("Name Anna's name");
    assert!(app.of_acme().await.is_empty());
}

#[tokio::test]
async fn only_operators_see_and_set_the_api_url() {
    let Filled { app, mut anna, screen, gitlab } = stored().await;
    assert!(!screen.fields().contains(&"api_url"));
    let mut olga = app.browser(OLGA).await;
    let mut hers = olga.open(&edit_path(&app).await).await;
    assert_eq!(hers.label("api_url"), "API URL");
    hers.set("api_url", gitlab.base_url());
    hers.set("client_secret", SECRET);
    assert_eq!(olga.press(&hers, "Save changes").await.status, StatusCode::SEE_OTHER);
    // A tenant neither sees it, nor changes it with a field of their own making.
    let screen = anna.open(&edit_path(&app).await).await;
    let (action, mut fields) = screen.submission("Save changes");
    assert!(fields.iter().all(|(name, _)| name != "api_url"));
    fields.push(("api_url".to_owned(), "http://127.0.0.1:1".to_owned()));
    assert_eq!(anna.post(&action, &fields).await.status, StatusCode::SEE_OTHER);
    assert_eq!(app.of_acme().await[0].settings.api_url.as_deref(), Some(gitlab.base_url()));
}

/// Sealed with a key that the app has no more.
#[tokio::test]
async fn a_secret_that_cannot_be_read_is_asked_for() {
    let store = MemoryIntegrations::default();
    let app = App::with_store(store.clone(), Access::SignIn, true);
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let lost = KeyRing::new([(2, [9; 32].as_slice())]).unwrap();
    let before = Integrations::new(store, app.integrations.config().clone(), lost);
    let name = "شركة ".repeat(20);
    let settings = IntegrationSettings::new("gitlab", gitlab.base_url(), Access::SignIn)
        .named(name.trim())
        .with_client_id("the-id");
    let secrets = IntegrationSecrets::new(SECRET);
    let one = before.by("Anna").create(&"demo".parse().unwrap(), Some("acme"), settings, &secrets).await.unwrap();

    let mut anna = app.browser(ANNA).await;
    let mut screen = anna.open(&edit_path(&app).await).await;
    assert_eq!(screen.all("bdi"), [name.trim()], "its direction is its own");
    assert!(
        screen.description("client_secret").contains("Enter the secret again,"),
        "{}",
        screen.description("client_secret")
    );
    screen.set("name", "Acme");
    let mut empty = anna.press(&screen, "Save changes").await.screen();
    assert_eq!(empty.focused(), Some("client_secret"));
    let callback = format!("{PUBLIC_URL}/oauth/callback/gitlab/{}", one.id);
    gitlab.add_application(FakeApplication::new("the-id", SECRET, &callback, "read_user"));
    empty.set("client_secret", SECRET);
    assert_eq!(anna.press(&empty, "Save changes").await.status, StatusCode::SEE_OTHER);
    assert_eq!(app.of_acme().await[0].settings.name, "Acme");
}
