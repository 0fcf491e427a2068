//! Requests that no page of the app sends: each has its own error, as a page and as JSON.

use axum::body::{Body, Bytes, to_bytes};
use codehost_oauth::settings::{IntegrationStore as _, IntegrationWrite, MemoryIntegrations};
use codehost_oauth::transport::Network;
use codehost_oauth::{Access, LoginPolicy};
use http::header::{ALLOW, CONTENT_TYPE, COOKIE};
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::admin::app::{ACME, ANNA, App, Browser, MIA, OLGA, Shown};
use crate::admin::detail::at_gitlab;
use crate::admin::list::{create, other_app};

fn json_of(shown: &Shown) -> Value {
    assert_eq!(shown.headers[CONTENT_TYPE], "application/json", "{}", shown.body);
    serde_json::from_str(&shown.body).unwrap()
}

/// The CSRF token for JSON.
async fn token(browser: &mut Browser) -> String {
    let start = json_of(&browser.get(&format!("{ACME}/api/v1")).await);
    start["csrf_token"].as_str().unwrap().to_owned()
}

fn encoded(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

#[tokio::test]
async fn a_body_that_is_too_long_and_a_field_twice_are_two_errors() {
    let app = App::start();
    let stored = create(&app.integrations, "https://git.example.com", "Our GitLab").await;
    let mut anna = app.browser(ANNA).await;
    let token = token(&mut anna).await;
    let twice = encoded(&[("csrf_token", &token), ("version", "1"), ("version", "1"), ("name", "New")]);
    for path in ["new".to_owned(), format!("{}/edit", stored.id), format!("{}/rename", stored.id)] {
        let post = || Request::post(format!("{ACME}/{path}")).header("sec-fetch-site", "same-origin");
        let shown = anna.send(post(), "x".repeat(300 * 1024)).await.screen();
        assert_eq!(shown.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
        shown.assert_shows("The request is longer than 256 KiB.");
        let shown = anna.send(post(), twice.clone()).await.screen();
        assert_eq!(shown.status, StatusCode::BAD_REQUEST, "{path}");
        shown.assert_shows("The form has the field `version` twice.");
    }
    let request = Request::post(format!("{ACME}/api/v1/draft")).header("x-csrf-token", &token);
    let shown = anna.send(request.header(CONTENT_TYPE, "application/json"), "x".repeat(300 * 1024)).await;
    assert_eq!((shown.status.as_u16(), &json_of(&shown)["error"]), (413, &json!("too_long")));
    assert_eq!(app.of_acme().await, [stored]);
}

/// The connection breaks while the body is sent.
#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_of_its_own() {
    let app = App::start();
    let mut anna = app.browser(ANNA).await;
    let token = token(&mut anna).await;
    let cookies: Vec<_> = anna.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    for (path, kind) in [("new", "application/x-www-form-urlencoded"), ("api/v1/draft", "application/json")] {
        let parts = [Ok(Bytes::from("csrf_token=")), Err(std::io::Error::other("the connection broke"))];
        let request = Request::post(format!("{ACME}/{path}")).header(CONTENT_TYPE, kind);
        let request = request.header(COOKIE, cookies.join("; ")).header("x-csrf-token", &token);
        let body = Body::from_stream(futures_util::stream::iter(parts));
        let response = app.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path}");
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.contains("The request broke off before its end."), "{body}");
        assert_eq!(body.contains(r#""error":"body""#), path != "new", "{body}");
    }
}

#[tokio::test]
async fn another_method_is_refused_with_those_that_are_allowed() {
    let app = App::start();
    let stored = create(&app.integrations, "https://git.example.com", "Our GitLab").await;
    let mut anna = app.browser(ANNA).await;
    for (method, path, allowed) in [
        (Method::DELETE, "", "GET,HEAD"),
        (Method::PUT, "/new", "GET,HEAD,POST"),
        (Method::GET, "/ID/disable", "POST"),
        (Method::POST, "/assets/admin.js", "GET,HEAD"),
        (Method::GET, "/api/v1/draft", "POST"),
        (Method::PATCH, "/api/v1/integrations/ID", "GET,HEAD,PUT,DELETE"),
    ] {
        let uri = format!("{ACME}{}", path.replace("ID", stored.id.as_str()));
        let shown = anna.send(Request::builder().method(&method).uri(&uri), String::new()).await;
        assert_eq!(shown.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        assert_eq!(shown.headers[ALLOW], allowed, "{method} {path}");
        assert_eq!(shown.headers["cache-control"], "no-store");
        let message = "This page does not have the method of the request.";
        if path.starts_with("/api") {
            let error = json_of(&shown);
            assert_eq!((&error["error"], &error["message"]), (&json!("method_not_allowed"), &json!(message)));
        } else {
            assert_eq!(shown.screen().all("h1"), [message]);
        }
    }
    assert_eq!(app.of_acme().await, [stored]);
}

#[tokio::test]
async fn a_front_end_learns_where_to_log_in() {
    let app = App::start();
    let mut mia = app.browser(MIA).await;
    let refused = json_of(&mia.get(&format!("{ACME}/api/v1")).await);
    assert_eq!((&refused["error"], &refused["login_path"]), (&json!("no_access"), &json!("/log-in")));
    mia.cookies.clear();
    let refused = json_of(&mia.get(&format!("{ACME}/api/v1")).await);
    assert_eq!((&refused["error"], &refused["login_path"]), (&json!("logged_out"), &json!("/log-in")));
}

/// Only operators set the API URL, and only they see it.
#[tokio::test]
async fn a_stale_edit_shows_an_operator_the_api_url() {
    let app = App::start();
    let stored = create(&app.integrations, "https://git.example.com", "Our GitLab").await;
    let mut settings = stored.settings.clone();
    settings.api_url = Some("https://inside.example.net".to_owned());
    app.integrations.by("Olga Operator").save(&stored, settings, None).await.unwrap();
    for (user, api_url) in [(OLGA, "https://inside.example.net"), (ANNA, "")] {
        let mut browser = app.browser(user).await;
        let token = token(&mut browser).await;
        let request = Request::post(format!("{ACME}/api/v1/integrations/{}/rename", stored.id));
        let request = request.header("x-csrf-token", token).header(CONTENT_TYPE, "application/json");
        let shown = browser.send(request, json!({ "name": "New", "version": 1 }).to_string()).await;
        assert_eq!(shown.status, StatusCode::CONFLICT);
        assert_eq!(json_of(&shown)["stored"]["draft"]["api_url"], api_url, "{user}");
    }
}

/// Which key is lost, what was changed, and what another version has written, are three causes with three remedies.
#[tokio::test]
async fn a_secret_that_cannot_be_decrypted_has_its_cause() {
    let store = MemoryIntegrations::default();
    let app = App::with_store(store.clone(), Access::SignIn, true);
    let mut anna = app.browser(ANNA).await;
    let token = token(&mut anna).await;
    for (key, sealed, code, message) in [
        ((2, 9), None, "seal_unknown_key", "The app no longer has the key that encrypted the secret."),
        ((1, 9), None, "seal_rejected", "The stored secret cannot be decrypted."),
        (
            (1, 7),
            Some(vec![9]),
            "seal_malformed",
            "The stored secret does not have the format of this version of the app.",
        ),
    ] {
        let other = other_app(&store, key, Network::public_only());
        let stored = create(&other, "https://git.example.com", "Our GitLab").await;
        let version = match sealed {
            Some(sealed_secrets) => {
                let mut changed = stored.clone();
                (changed.version, changed.sealed_secrets) = (2, sealed_secrets);
                store.write(&IntegrationWrite::Replace(Box::new(changed)), &()).await.unwrap();
                2
            }
            None => 1,
        };
        let page = format!("{ACME}/{}", stored.id);
        for path in [ACME.to_owned(), page.clone(), format!("{page}/edit"), format!("{page}/test")] {
            anna.open(&path).await.assert_shows(message);
        }
        assert_eq!(anna.open(&page).await.attributes("data-code"), [code]);
        let one = json_of(&anna.get(&format!("{ACME}/api/v1/integrations/{}", stored.id)).await);
        assert_eq!((&one["problem"]["code"], &one["problem"]["message"]), (&json!(code), &json!(message)));
        // A test login needs the secret, a new name does not.
        let fields = [("csrf_token".to_owned(), token.clone())];
        let refused = anna.post(&format!("{page}/test"), &fields).await.screen();
        assert_eq!((refused.status, refused.all("h1")), (StatusCode::CONFLICT, vec![message.to_owned()]));
        refused.assert_shows("Enter the secret again");
        let request = Request::post(format!("{ACME}/api/v1/integrations/{}/rename", stored.id));
        let request = request.header("x-csrf-token", &token).header(CONTENT_TYPE, "application/json");
        let shown = anna.send(request, json!({ "name": "New", "version": version }).to_string()).await;
        assert_eq!((shown.status, &json_of(&shown)["name"]), (StatusCode::OK, &json!("New")));
        app.integrations.by("jane").delete(&app.of_acme().await.remove(0)).await.unwrap();
    }
}

/// In the words of the screen where the administrator looks for it.
#[tokio::test]
async fn a_message_about_a_credential_has_the_platforms_label() {
    let app = App::start();
    let gitlab = codehost_oauth::testing::FakeGitLab::builder().start().await.unwrap();
    let stored = at_gitlab(&app, &gitlab, LoginPolicy::everyone()).await;
    let mut anna = app.browser(ANNA).await;
    let token = token(&mut anna).await;
    let long = "x".repeat(5000);
    let url = gitlab.base_url().replace("127.0.0.1", "localhost");
    for (client_id, client_secret, field, says) in [
        ("", "canary-x", "client_id", "The Application ID is empty."),
        (long.as_str(), "canary-x", "client_id", "The Application ID is longer than "),
        ("a\tb", "canary-x", "client_id", "The Application ID contains a character that is not allowed."),
        ("app-id", "canary\tx", "client_secret", "The Secret contains a character that is not allowed."),
        ("other-id", "canary-x", "client_id", "The Application ID has changed too."),
    ] {
        let draft = json!({ "platform": "gitlab", "base_url": url, "access": "read", "client_id": client_id });
        let body = json!({ "draft": draft, "client_secret": client_secret, "version": 1 });
        let request = Request::post(format!("{ACME}/api/v1/integrations/{}/propose", stored.id));
        let request = request.header("x-csrf-token", &token).header(CONTENT_TYPE, "application/json");
        let error = json_of(&anna.send(request, body.to_string()).await);
        let errors = error["fields"].as_array().unwrap();
        let error = errors.iter().find(|error| error["field"] == field).unwrap();
        assert!(error["message"].as_str().unwrap().starts_with(says), "{error}");
        let label = if field == "client_id" { "Application ID" } else { "Secret" };
        assert!(error["hint"].as_str().unwrap().contains(label), "{error}");
    }
}
