//! The form outlives the session that it was opened in.

use codehost_oauth::testing::FakeApplication;
use http::StatusCode;

use crate::admin::app::{ACME, ANNA, App, MIA, PUBLIC_URL};
use crate::admin::form::{Filled, SECRET, callback_url, edit_path, filled, filled_in};
use crate::admin::screen::Screen;

/// Logged out in another tab, the session gone, the right gone: what was typed stays, and works after a login. The secret is typed
/// again: for somebody who is no administrator, nothing is stored.
#[tokio::test]
async fn what_was_typed_survives_the_end_of_the_session() {
    let ends = [
        ("log-out", StatusCode::UNAUTHORIZED, "You are not logged in any more."),
        ("lost", StatusCode::UNAUTHORIZED, "You are not logged in any more."),
        ("as/mia", StatusCode::FORBIDDEN, "You do not have access to these integrations."),
    ];
    for (start, (end, status, says)) in
        [App::start as fn() -> App, App::in_cookie].into_iter().flat_map(|app| ends.map(|end| (app, end)))
    {
        let Filled { app, mut anna, screen, gitlab: _gitlab } = filled_in(start()).await;
        match end {
            "lost" => anna.cookies.clear(),
            path => drop(anna.get(&format!("/{path}")).await),
        }
        let shown = anna.press(&screen, "Create integration").await;
        assert!(shown.headers.get("set-cookie").is_none(), "{end}: nothing is stored");
        let mut again = shown.screen();
        assert_eq!(again.status, status, "{end}");
        again.assert_shows(says);
        again.assert_shows("enter the secret again");
        assert_eq!(again.link("Log in in another tab"), Some("/log-in"));
        assert_eq!(again.focused(), Some("ch-notice"));
        assert_eq!(callback_url(&again, "gitlab"), callback_url(&screen, "gitlab"));
        assert_eq!(again.value("client_id"), "the-id");
        assert_eq!(again.value("client_secret"), "");
        assert!(!again.description("client_secret").contains("kept"));
        assert!(app.of_acme().await.is_empty());
        // The other tab.
        anna.log_in(ANNA).await;
        again.set("client_secret", SECRET);
        let mut saved = anna.press(&again, "Create integration").await;
        if end == "lost" {
            // The new session has another CSRF token. An administrator's secret is kept.
            let older = saved.screen();
            older.assert_shows("Press the button once more.");
            assert!(older.description("client_secret").contains("The secret is kept."));
            saved = anna.press(&older, "Create integration").await;
        }
        assert_eq!(saved.status, StatusCode::SEE_OTHER, "{end}: {}", saved.body);
        assert_eq!(app.of_acme().await.len(), 1);
    }
}

/// What was kept for an administrator stays, and what a stranger sends is not stored, whatever they send.
#[tokio::test]
async fn a_stranger_stores_nothing() {
    for app in [App::start(), App::in_cookie()] {
        let Filled { mut anna, mut screen, .. } = filled_in(app).await;
        screen.set("base_url", "git.example");
        anna.press(&screen, "Create integration").await;
        let mut stranger = anna.clone();
        stranger.cookies.clear();
        let (action, mut fields) = screen.submission("Create integration");
        fields.retain(|(name, _)| name != "headers");
        fields.push(("headers".to_owned(), format!("X-Long: {}", "x".repeat(8000))));
        for fields in [&fields, &fields[..fields.len() - 1]] {
            for user in [None, Some(MIA)] {
                if let Some(user) = user {
                    stranger.log_in(user).await;
                }
                let shown = stranger.post(&action, fields).await;
                assert!(matches!(shown.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN), "{}", shown.status);
                assert!(shown.headers.get("set-cookie").is_none(), "{user:?}");
            }
            stranger.cookies.clear();
        }
        // The kept secret of the administrator is still there after a logged-out request of the same browser.
        anna.get("/log-out").await;
        assert!(anna.press(&screen, "Create integration").await.headers.get("set-cookie").is_none());
        anna.log_in(ANNA).await;
        screen.set("client_secret", "");
        let kept = anna.press(&screen, "Create integration").await.screen();
        assert!(kept.description("client_secret").contains("The secret is kept."));
    }
}

#[tokio::test]
async fn a_changed_csrf_token_needs_one_more_press() {
    for app in [App::start(), App::in_cookie()] {
        let Filled { app, mut anna, screen, gitlab: _gitlab } = filled_in(app).await;
        anna.cookies.clear();
        anna.log_in(ANNA).await;
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

/// Another site cannot fill in the form for an administrator, nor keep a secret in the browser. A browser that says nothing about the
/// site is refused too.
#[tokio::test]
async fn only_a_form_of_this_app_is_shown_again() {
    let Filled { mut anna, screen, .. } = filled().await;
    let (action, fields) = screen.submission("Create integration");
    // The other site does not know it.
    let mut fields: Vec<_> = fields.into_iter().filter(|(name, _)| name != "csrf_token").collect();
    fields.push(("csrf_token".to_owned(), "guessed".to_owned()));
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    for (site, origin, is_shown) in [
        (Some("cross-site"), None, false),
        (Some("same-site"), None, false),
        (Some("none"), None, false),
        (Some("cross-site"), Some(PUBLIC_URL), false),
        (None, Some("https://evil.example"), false),
        (None, Some("null"), false),
        (None, Some("https://packages.example.com:8443"), false),
        (None, None, false),
        // A browser before 2023, or any on plain HTTP.
        (None, Some(PUBLIC_URL), true),
        (Some("same-origin"), None, true),
    ] {
        let mut request = http::Request::post(&action);
        for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
            request = match value {
                Some(value) => request.header(name, value),
                None => request,
            };
        }
        let shown = anna.send(request, body.clone()).await;
        assert_eq!(shown.status, StatusCode::FORBIDDEN);
        assert_eq!(shown.body.contains("the-id"), is_shown, "{site:?} {origin:?}: {}", shown.body);
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
