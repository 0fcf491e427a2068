//! Changes that lead to another server or OAuth application.

use codehost_oauth::EmailTrust;
use codehost_oauth::admin::Refusal;
use codehost_oauth::settings::{IntegrationSecrets, IntegrationsError};
use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use http::StatusCode;

use crate::admin::app::{ACME, ANNA, OLGA, PUBLIC_URL};
use crate::admin::form::{Filled, SECRET, edit_path, stored};

#[tokio::test]
async fn a_changed_base_url_is_a_move_with_a_decision_first() {
    let Filled { app, mut anna, mut screen, gitlab: _gitlab } = stored().await;
    let one = app.of_acme().await.remove(0);
    app.world.facts().accounts.insert(one.id.clone(), 3);
    let other = FakeGitLab::builder().start().await.unwrap();
    let callback = format!("{PUBLIC_URL}/oauth/callback/gitlab/{}", one.id);
    other.add_application(FakeApplication::new("other-id", SECRET, &callback, "read_user read_api"));
    screen.set("base_url", other.base_url());
    screen.set("client_id", "other-id");

    // The stored secret is not sent to another server.
    let mut asked = anna.press(&screen, "Save changes").await.screen();
    assert_eq!(asked.focused(), Some("client_secret"));
    asked.assert_shows("Enter the secret again.");
    assert!(other.requests().is_empty());
    asked.set("client_secret", SECRET);
    let decision = anna.press(&asked, "Save changes").await.screen();
    decision.assert_shows("Move to another server?");
    decision.assert_shows("3 accounts use this integration.");
    decision.assert_shows(&format!("Base URL {} {}", one.settings.base_url, other.base_url()));
    decision.assert_shows("Application ID the-id other-id");
    decision.assert_shows("All accounts and connections of this integration are forgotten.");
    assert_eq!(app.of_acme().await[0], one, "nothing is saved");
    assert!(app.world.facts().told.is_empty());

    let back = anna.press(&decision, "Back to the form").await.screen();
    assert_eq!((back.value("base_url"), back.value("client_id")), (other.base_url().to_owned(), "other-id".to_owned()));
    assert!(!back.is_invalid("client_secret"));

    let moved = anna.press(&decision, "Move to another server").await;
    assert_eq!(moved.location(), Some(&*format!("{ACME}/{}?saved=changed", one.id)), "{}", moved.body);
    let now = app.of_acme().await.remove(0);
    assert_eq!((now.settings.base_url.as_str(), now.settings.client_id.as_str()), (other.base_url(), "other-id"));
    let name = &one.settings.name;
    let told = ["before", "after"].map(|moment| format!("{moment} Moved(NewServer) {name} → {name} by anna"));
    assert_eq!(app.world.facts().told, told);
}

/// The operator has set them for one server. A tenant must not take them along to a server of their own choice.
#[tokio::test]
async fn a_tenants_move_ends_what_the_operator_has_set() {
    let Filled { app, mut anna, gitlab, .. } = stored().await;
    let one = app.of_acme().await.remove(0);
    let mut settings = one.settings.clone();
    settings.api_url = Some(gitlab.base_url().to_owned());
    settings.email_trust = EmailTrust::WithoutVerification;
    app.integrations.by("Olga Operator").save(&one, settings, None).await.unwrap();
    let base_url = gitlab.base_url().replace("127.0.0.1", "localhost");
    for button in ["Confirm with a test login", "Move to another server"] {
        let mut screen = anna.open(&edit_path(&app).await).await;
        screen.set("base_url", &base_url);
        screen.set("client_secret", SECRET);
        let decision = anna.press(&screen, "Save changes").await.screen();
        let done = anna.press(&decision, button).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
        let now = app.of_acme().await.remove(0);
        let settings = now.proposed.as_ref().map_or(&now.settings, |proposal| &proposal.settings);
        assert_eq!((settings.base_url.as_str(), &settings.api_url), (base_url.as_str(), &None));
        assert_eq!(settings.email_trust, EmailTrust::Platform);
        // What is in use changes with the move only.
        assert_eq!(now.settings.api_url.is_some(), button != "Move to another server");
    }
}

/// Not who confirms it: a tenant could ask an operator to press the button.
#[tokio::test]
async fn a_proposal_says_whether_an_operator_has_made_it() {
    for (user, is_operator) in [(ANNA, false), (OLGA, true)] {
        let Filled { app, gitlab, .. } = stored().await;
        let mut browser = app.browser(user).await;
        let mut screen = browser.open(&edit_path(&app).await).await;
        screen.set("base_url", &gitlab.base_url().replace("127.0.0.1", "localhost"));
        screen.set("client_secret", SECRET);
        let decision = browser.press(&screen, "Save changes").await.screen();
        let done = browser.press(&decision, "Confirm with a test login").await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
        let now = app.of_acme().await.remove(0);
        // The next write keeps it.
        let now = app.integrations.by("Anna Admin").disable(&now).await.unwrap();
        assert_eq!(now.proposed.unwrap().is_by_operator(), is_operator);
    }
}

/// The tokens belong to the old OAuth application.
#[tokio::test]
async fn another_application_at_another_url_is_not_the_same_server() {
    let Filled { app, mut anna, mut screen, gitlab } = stored().await;
    let one = app.of_acme().await.remove(0);
    screen.set("base_url", &gitlab.base_url().replace("127.0.0.1", "localhost"));
    screen.set("client_id", "other-id");
    screen.set("client_secret", SECRET);
    let callback = format!("{PUBLIC_URL}/oauth/callback/gitlab/{}", one.id);
    gitlab.add_application(FakeApplication::new("other-id", SECRET, &callback, "read_user read_api"));
    let decision = anna.press(&screen, "Save changes").await.screen();
    decision.assert_shows("It is another server");
    assert!(!decision.buttons().contains(&"Confirm with a test login".to_owned()));

    let mut other = one.settings.clone();
    other.client_id = "other-id".to_owned();
    let secrets = IntegrationSecrets::new(SECRET);
    let refused = app.integrations.by("Anna Admin").propose(&one, other, &secrets).await.unwrap_err();
    let IntegrationsError::Fields(errors) = refused else { panic!("{refused}") };
    let codes: Vec<_> = errors.iter().map(|error| error.code).collect();
    assert_eq!(codes, ["base_url_same", "client_id_changed"]);
}

#[tokio::test]
async fn the_same_server_under_a_new_name_is_proposed() {
    let Filled { app, mut anna, mut screen, gitlab } = stored().await;
    let one = app.of_acme().await.remove(0);
    screen.set("base_url", &gitlab.base_url().replace("127.0.0.1", "localhost"));
    screen.set("client_secret", SECRET);
    let decision = anna.press(&screen, "Save changes").await.screen();
    decision.assert_shows("This app does not know how many accounts use this integration.");
    let proposed = anna.press(&decision, "Confirm with a test login").await;
    assert_eq!(proposed.location(), Some(&*format!("{ACME}/{}", one.id)), "{}", proposed.body);
    let now = app.of_acme().await.remove(0);
    assert_eq!(now.settings, one.settings, "users log in as before");
    assert!(now.proposed.unwrap().settings.base_url.contains("localhost"));
    let name = &one.settings.name;
    assert_eq!(app.world.facts().told[0], format!("before Edited {name} → {name} by anna"), "nothing is forgotten");
}

#[tokio::test]
async fn another_application_keeps_the_accounts() {
    let Filled { app, mut anna, mut screen, gitlab } = stored().await;
    let one = app.of_acme().await.remove(0);
    app.world.facts().accounts.insert(one.id.clone(), 1);
    let callback = format!("{PUBLIC_URL}/oauth/callback/gitlab/{}", one.id);
    gitlab.add_application(FakeApplication::new("other-id", "canary-other-secret", &callback, "read_user read_api"));
    screen.set("client_id", "other-id");
    screen.set("client_secret", "canary-other-secret");
    let decision = anna.press(&screen, "Save changes").await.screen();
    decision.assert_shows("Use another OAuth application?");
    decision.assert_shows("1 account uses this integration.");
    decision.assert_shows("Users and their accounts stay. Their connections end");
    assert!(!decision.buttons().contains(&"Confirm with a test login".to_owned()));
    app.world.facts().refusal = Some(Refusal::new("Nobody could log in.", "Make another user administrator first."));
    let refused = anna.press(&decision, "Use the other application").await.screen();
    assert_eq!(refused.status, StatusCode::CONFLICT);
    refused.assert_shows("Nobody could log in. Make another user administrator first.");
    assert_eq!(refused.value("client_id"), "other-id");
    assert_eq!(app.of_acme().await[0], one);
    app.world.facts().refusal = None;
    assert_eq!(anna.press(&decision, "Use the other application").await.status, StatusCode::SEE_OTHER);
    assert!(app.world.facts().told.last().unwrap().starts_with("after Moved(NewApplication)"));
}
