//! What is wrong is at its field, and nothing that was typed is lost.

use http::StatusCode;

use crate::admin::form::{Filled, SECRET, filled, stored};

#[tokio::test]
async fn an_error_is_at_its_field_in_the_summary_and_has_the_focus() {
    let Filled { app, mut anna, gitlab, mut screen } = filled().await;
    screen.set("base_url", "git.example");
    screen.set("client_id", "");
    screen.set("timeout", "90");
    screen.set("name", "שלום GitLab");
    screen.set("groups", "acme/tools\nacme/more");
    let mut screen = anna.press(&screen, "Create integration").await.screen();
    assert_eq!(screen.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(screen.focused(), Some("base_url"));
    let summary = screen.role("alert");
    for (field, label) in [("base_url", "Base URL: "), ("timeout", "Time-out: ")] {
        assert!(screen.is_invalid(field) && screen.is_open(field), "{field}");
        assert!(summary.contains(label), "{summary}");
        assert!(screen.link_starting(label).is_some_and(|href| href == format!("#{field}")), "{summary}");
        assert!(!screen.description(field).is_empty());
    }
    assert!(screen.description("timeout").contains("from 1 to 60"));
    assert!(!screen.is_invalid("name"));
    // Nothing that was typed is lost, and the secret is not in the page.
    assert_eq!(screen.value("base_url"), "git.example");
    assert_eq!(screen.value("timeout"), "90");
    assert_eq!(screen.value("name"), "שלום GitLab");
    assert_eq!(screen.value("groups"), "acme/tools\nacme/more");
    assert_eq!(screen.value("client_secret"), "");
    assert!(screen.description("client_secret").contains("The secret is kept. Leave the field empty to use it."));
    assert!(app.of_acme().await.is_empty());
    assert!(gitlab.requests().is_empty(), "nothing was sent");

    screen.set("base_url", gitlab.base_url());
    screen.set("timeout", "");
    let mut screen = anna.press(&screen, "Create integration").await.screen();
    // In the platform's words.
    assert_eq!(screen.focused(), Some("client_id"));
    assert!(screen.role("alert").contains("The Application ID is empty."), "{}", screen.role("alert"));
    assert!(!screen.role("alert").contains("Application ID:"), "the label is said once");
    screen.set("client_id", "the-id");
    screen.set("who", "everybody");
    let saved = anna.press(&screen, "Create integration").await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "the secret that was kept is used: {}", saved.body);
    assert_eq!(app.of_acme().await[0].settings.name, "שלום GitLab");
}

/// What the script asks for while the form is filled in: errors of what is typed, not of what is still empty.
#[tokio::test]
async fn the_script_gets_the_errors_of_what_was_typed() {
    let Filled { mut anna, mut screen, .. } = filled().await;
    screen.set("base_url", "git.example");
    screen.set("client_id", "");
    screen.set("name", "a\u{202e}b");
    screen.set("who", "members");
    screen.set("groups", "../..");
    screen.set("timeout", "90");
    let (action, fields) = screen.submission("Show setup link");
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    let shown = anna.send(http::Request::post(&action).header("x-fragment", "1"), body).await.screen();
    assert_eq!(shown.attributes("data-ch-field"), ["base_url", "timeout", "groups"]);
    let said = shown.attributes("data-ch-said");
    assert!(said.iter().zip(["Base URL: ", "Time-out: ", "Groups: "]).all(|(said, label)| said.starts_with(label)));
    assert_eq!(said.len(), 3, "{said:?}");
    shown.assert_shows("appear here when the fields with errors are correct");

    // With a valid base URL, the name is read.
    screen.set("base_url", "https://git.example.com");
    screen.set("groups", "acme");
    screen.set("timeout", "");
    let (action, fields) = screen.submission("Show setup link");
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    let shown = anna.send(http::Request::post(&action).header("x-fragment", "1"), body).await.screen();
    assert_eq!(shown.attributes("data-ch-field"), ["name"]);
}

#[tokio::test]
async fn a_wrong_secret_is_found_by_the_check_and_can_be_corrected() {
    let Filled { app, mut anna, gitlab, mut screen } = filled().await;
    screen.set("client_secret", "canary-wrong-secret");
    for button in ["Check", "Create integration"] {
        let wrong = anna.press(&screen, button).await.screen();
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(wrong.focused(), Some("client_secret"));
        assert!(wrong.is_invalid("client_secret"));
        assert!(wrong.role("status").contains("Something is wrong: logins would fail."));
        assert!(!wrong.buttons().contains(&"Save anyway".to_owned()));
    }
    screen.set("client_secret", SECRET);
    let checked = anna.press(&screen, "Check").await.screen();
    assert_eq!((checked.status, checked.focused()), (StatusCode::OK, Some("ch-report")));
    assert!(checked.role("status").contains("Everything that can be checked without a login is correct."));
    assert!(app.of_acme().await.is_empty());
    // The secret of the check is used.
    assert_eq!(anna.press(&checked, "Create integration").await.status, StatusCode::SEE_OTHER);
    assert!(gitlab.requests().iter().any(|request| request.path.ends_with("/oauth/token")));
}

#[tokio::test]
async fn an_outage_can_be_saved_anyway() {
    let Filled { app, mut anna, gitlab, screen } = filled().await;
    gitlab.stop().await;
    let unknown = anna.press(&screen, "Create integration").await.screen();
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(unknown.role("status").contains("could not find out"), "{}", unknown.role("status"));
    assert!(unknown.is_invalid("base_url"));
    unknown.assert_hides("127.0.0.1:1");
    let saved = anna.press(&unknown, "Save anyway").await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER);
    assert_eq!(app.of_acme().await.len(), 1);
}

#[tokio::test]
async fn members_of_no_group_are_nobody() {
    let Filled { app, mut anna, mut screen, gitlab: _gitlab } = filled().await;
    screen.set("who", "members");
    let again = anna.press(&screen, "Create integration").await.screen();
    assert_eq!(again.focused(), Some("groups"));
    assert!(again.description("groups").contains("No group or workspace is entered."));
    assert!(app.of_acme().await.is_empty());
}

/// A form that no browser sends.
#[tokio::test]
async fn odd_bodies_are_errors() {
    let Filled { app, mut anna, screen, gitlab: _gitlab } = filled().await;
    let (action, fields) = screen.submission("Create integration");
    for (name, value) in [
        ("name", "\u{0}"),
        ("name", &"x".repeat(5_000)),
        ("base_url", "javascript:alert(1)"),
        ("base_url", &"https://x.example/".repeat(500)),
        ("access", "scopes:"),
        ("access", "root"),
        ("client_id", "\u{202e}id\r\nx"),
        ("client_secret", "\u{7f}"),
        ("groups", "../.."),
        ("platform", "<script>"),
        ("headers", "Host: evil.example"),
        ("client_certificate", "-----BEGIN NONSENSE-----"),
        ("root_certificates", "nonsense"),
        ("timeout", "99999999999999999999"),
    ] {
        let mut changed: Vec<_> = fields.iter().filter(|(known, _)| known != name && known != "who").cloned().collect();
        changed.push((name.to_owned(), value.to_owned()));
        changed.push(("who".to_owned(), if name == "groups" { "members" } else { "everybody" }.to_owned()));
        let shown = anna.post(&action, &changed).await;
        assert_eq!(shown.status, StatusCode::UNPROCESSABLE_ENTITY, "{name}={value:?}: {}", shown.body);
        assert!(!shown.body.contains("<script>"));
        assert!(app.of_acme().await.is_empty());
    }
    let shown = anna.send(http::Request::post(&action), "\u{fffd}%ff%00&=&&".to_owned()).await;
    assert_eq!(shown.status, StatusCode::FORBIDDEN);
}

/// A form is navigated by its headings, labels and legends.
#[tokio::test]
async fn a_screen_reader_finds_everything() {
    let Filled { screen, .. } = filled().await;
    let Filled { screen: edit, .. } = stored().await;
    for screen in [&screen, &edit] {
        assert_eq!(screen.all("h1").len(), 1);
        let steps: Vec<_> = screen.all("h2");
        assert_eq!(steps[0], "1 Which code host");
        assert_eq!(steps[1..3], ["2 Create the application there", "3 Paste ID and secret"]);
        assert!(steps.last().unwrap().starts_with("4 Check and"));
        for name in screen.fields() {
            let hidden = ["csrf_token", "version", "platform", "id", "signature"];
            if !hidden.contains(&name) || (name == "platform" && !screen.fields().contains(&"version")) {
                assert!(!screen.label(name).is_empty(), "{name}");
            }
        }
        assert!(screen.attributes("tabindex").iter().all(|index| *index == "-1"));
        for attribute in ["style", "onclick"] {
            assert!(screen.attributes(attribute).is_empty());
        }
        let classes = screen.attributes("class").into_iter().flat_map(str::split_whitespace);
        assert_eq!(classes.filter(|class| !class.starts_with("ch-")).collect::<Vec<_>>(), [""; 0]);
    }
}
