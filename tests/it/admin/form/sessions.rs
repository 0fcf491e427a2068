//! The form outlives the session that it was opened in.

use codehost_oauth::testing::FakeApplication;
use http::StatusCode;

use crate::admin::app::{ACME, ANNA, App};
use crate::admin::form::{Filled, callback_url, edit_path, filled, filled_in};
use crate::admin::screen::Screen;

/// Signed out in another tab, the session gone, the right gone: what was typed stays, and works after a login.
#[tokio::test]
async fn what_was_typed_survives_the_end_of_the_session() {
    for (end, status, says) in [
        ("sign-out", StatusCode::UNAUTHORIZED, "You are not logged in any more."),
        ("lost", StatusCode::UNAUTHORIZED, "You are not logged in any more."),
        ("as/mia", StatusCode::FORBIDDEN, "You do not have access to these integrations."),
    ] {
        let Filled { app, mut anna, screen, gitlab: _gitlab } = filled().await;
        match end {
            "lost" => anna.cookies.clear(),
            path => drop(anna.get(&format!("/{path}")).await),
        }
        let again = anna.press(&screen, "Create integration").await.screen();
        assert_eq!(again.status, status, "{end}");
        again.assert_shows(says);
        assert_eq!(again.link("Log in in another tab"), Some("/sign-in"));
        assert_eq!(again.focused(), Some("ch-notice"));
        assert_eq!(callback_url(&again, "gitlab"), callback_url(&screen, "gitlab"));
        assert_eq!(again.value("client_id"), "the-id");
        assert_eq!(again.value("client_secret"), "");
        assert!(again.description("client_secret").contains("The secret is kept."));
        assert!(app.of_acme().await.is_empty());
        // The other tab.
        anna.sign_in(ANNA).await;
        let saved = anna.press(&again, "Create integration").await;
        assert_eq!(saved.status, StatusCode::SEE_OTHER, "{end}: {}", saved.body);
        assert_eq!(app.of_acme().await.len(), 1);
    }
}

#[tokio::test]
async fn a_changed_csrf_token_needs_one_more_press() {
    for app in [App::start(), App::in_cookie()] {
        let Filled { app, mut anna, screen, gitlab: _gitlab } = filled_in(app).await;
        anna.cookies.clear();
        anna.sign_in(ANNA).await;
        let again = anna.press(&screen, "Create integration").await.screen();
        assert_eq!(again.status, StatusCode::FORBIDDEN);
        again.assert_shows("Press the button once more.");
        assert_eq!(again.value("client_id"), "the-id");
        assert!(app.of_acme().await.is_empty());
        let saved = anna.press(&again, "Create integration").await;
        assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    }
}

/// Pages have no secrets, and a cookie holds about 1,300 bytes.
#[tokio::test]
async fn a_secret_that_is_too_long_for_a_cookie_is_said_at_its_field() {
    let long = format!("canary-{}", "x".repeat(2_500));
    for (app, is_kept) in [(App::in_cookie(), false), (App::start(), true)] {
        let Filled { app, mut anna, mut screen, gitlab } = filled_in(app).await;
        let callback = callback_url(&screen, "gitlab");
        gitlab.add_application(FakeApplication::new("long-id", &long, &callback, "read_user read_api"));
        screen.set("client_id", "long-id");
        screen.set("client_secret", &long);
        let mut checked = anna.press(&screen, "Check").await.screen();
        checked.assert_shows("Everything that can be checked without a login is correct");
        assert_eq!(checked.is_invalid("client_secret"), !is_kept);
        let description = checked.description("client_secret");
        assert_eq!(description.contains("The secret is kept."), is_kept, "{description}");
        assert_eq!(description.contains("It is too long to be kept in this browser"), !is_kept, "{description}");
        if !is_kept {
            assert_eq!(checked.focused(), Some("client_secret"));
            // What is in the way is named also if the other fields are not looked at yet.
            let mut guide = anna.open(&format!("{ACME}/new")).await;
            guide.set("client_certificate", &"canary-certificate ".repeat(150));
            let guide = anna.press(&guide, "Show setup link").await.screen();
            assert!(guide.is_invalid("client_certificate") && guide.is_open("client_certificate"));
            checked.set("client_secret", &long);
        }
        let created = anna.press(&checked, "Create integration").await;
        assert_eq!(created.status, StatusCode::SEE_OTHER, "{}", created.body);

        // A page between the form and the decision would lose it.
        let mut screen = anna.open(&edit_path(&app).await).await;
        screen.set("base_url", &gitlab.base_url().replace("127.0.0.1", "localhost"));
        screen.set("client_secret", &long);
        let shown = anna.press(&screen, "Save changes").await.screen();
        assert_eq!(shown.shows("Move to another server?"), is_kept);
        assert_eq!(shown.shows("keep logins in sessions instead of cookies"), !is_kept);
    }
}

/// Another site cannot fill in the form for an administrator, nor keep a secret in the browser.
#[tokio::test]
async fn a_form_of_another_site_is_not_shown() {
    let Filled { mut anna, screen, .. } = filled().await;
    let (action, fields) = screen.submission("Create integration");
    // The other site does not know it.
    let mut fields: Vec<_> = fields.into_iter().filter(|(name, _)| name != "csrf_token").collect();
    fields.push(("csrf_token".to_owned(), "guessed".to_owned()));
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    for site in ["cross-site", "same-site", "none"] {
        let request = http::Request::post(&action).header("sec-fetch-site", site);
        let shown = anna.send(request, body.clone()).await;
        assert_eq!(shown.status, StatusCode::FORBIDDEN);
        assert!(!shown.body.contains("the-id"), "{site}: {}", shown.body);
    }
}

/// The right ends while the check runs, or before the write.
#[tokio::test]
async fn a_right_that_has_ended_saves_nothing() {
    let Filled { app, mut anna, screen, gitlab: _gitlab } = filled().await;
    app.world.facts().dismissed.push(ANNA.to_owned());
    let refused = anna.press(&screen, "Create integration").await.screen();
    assert_eq!(refused.status, StatusCode::CONFLICT);
    refused.assert_shows("Nothing was saved.");
    assert_eq!(refused.value("client_id"), "the-id");
    assert!(app.of_acme().await.is_empty());
}

/// More than a cookie holds: it is saved, and asked for again where it could not be kept.
#[tokio::test]
async fn what_does_not_fit_into_a_cookie_can_be_saved() {
    let Filled { app, mut anna, mut screen, gitlab } = filled_in(App::in_cookie()).await;
    screen.set("headers", &format!("X-Gateway: {}", "gateway-".repeat(450)));
    screen.set("base_url", "git.example");
    let mut wrong = anna.press(&screen, "Create integration").await.screen();
    assert_eq!(wrong.focused(), Some("base_url"));
    assert!(wrong.description("headers").contains("It is too long to be kept in this browser"));
    assert!(wrong.description("client_secret").contains("another secret is too long"));
    wrong.set("base_url", gitlab.base_url());
    let wrong = anna.press(&wrong, "Create integration").await.screen();
    assert_eq!(wrong.focused(), Some("client_secret"), "it is asked for again");
    assert_eq!(
        anna.press(&screen_with(screen, gitlab.base_url()), "Create integration").await.status,
        StatusCode::SEE_OTHER
    );
    let edit = anna.open(&edit_path(&app).await).await;
    assert!(edit.description("headers").contains("Headers are kept. Leave the field empty to use them."));
    assert!(edit.is_open("headers"));

    // Removed again.
    let mut edit = edit;
    edit.tick("remove_headers", true);
    assert_eq!(anna.press(&edit, "Save changes").await.status, StatusCode::SEE_OTHER);
    let edit = anna.open(&edit_path(&app).await).await;
    assert!(!edit.description("headers").contains("kept"));
}

fn screen_with(mut screen: Screen, base_url: &str) -> Screen {
    screen.set("base_url", base_url);
    screen
}
