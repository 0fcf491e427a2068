//! Changes of a stored integration.

use codehost_oauth::LoginPolicy;
use codehost_oauth::admin::Refusal;
use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use http::StatusCode;
use serde_json::{Value, json};

use crate::admin::app::{ANNA, App, PUBLIC_URL};
use crate::admin::detail::at_gitlab;
use crate::admin::json::{Client, SECRET};

#[tokio::test]
async fn an_integration_is_changed_with_its_version() {
    let app = App::start();
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let stored = at_gitlab(&app, &gitlab, LoginPolicy::everyone()).await;
    let mut client = Client::start(&app, ANNA).await;
    let path = format!("/integrations/{}", stored.id);
    let (_, mut read) = client.get(&path).await;
    read["draft"]["timeout"] = json!("20");
    let body = json!({ "draft": read["draft"] });
    let (status, error) = client.send("PUT", &path, &body).await;
    assert_eq!((status, &error["error"]), (StatusCode::PRECONDITION_REQUIRED, &json!("version_required")));
    for tag in ["*", "1", "W/\"1\"", "\"1\", \"2\""] {
        let request = client.request("PUT", &path).header("content-type", "application/json").header("if-match", tag);
        assert_eq!(client.browser.send(request, body.to_string()).await.status, StatusCode::BAD_REQUEST, "{tag}");
    }
    let request = client.request("PUT", &path).header("content-type", "application/json").header("if-match", "\"1\"");
    let shown = client.browser.send(request, body.to_string()).await;
    assert_eq!((shown.status, &shown.headers["etag"]), (StatusCode::OK, &"\"2\"".parse().unwrap()), "{}", shown.body);
    assert_eq!(app.of_acme().await[0].settings.timeout_seconds, Some(20));

    // Stale, in each request that writes.
    let with_version = |mut body: Value, version: i64| {
        body["version"] = json!(version);
        body
    };
    let writes = [
        ("PUT", "", body.clone()),
        ("POST", "/move", body.clone()),
        ("POST", "/propose", body.clone()),
        ("POST", "/rename", json!({ "name": "New" })),
        ("POST", "/secret", json!({ "client_secret": SECRET })),
        ("POST", "/disable", json!({})),
        ("POST", "/enable", json!({})),
        ("DELETE", "", json!({})),
    ];
    for (method, part, body) in writes {
        let body = with_version(body, 1);
        let (status, error) = client.send(method, &format!("{path}{part}"), &body).await;
        assert_eq!((status, &error["error"]), (StatusCode::CONFLICT, &json!("stale")), "{method} {part}");
        assert_eq!((&error["stored"]["version"], &error["stored"]["draft"]["timeout"]), (&json!(2), &json!("20")));
    }

    let (_, renamed) = client.send("POST", &format!("{path}/rename"), &json!({ "name": "New", "version": 2 })).await;
    assert_eq!((&renamed["name"], &renamed["version"]), (&json!("New"), &json!(3)));
    let (_, disabled) = client.send("POST", &format!("{path}/disable"), &json!({ "version": 3 })).await;
    assert_eq!(disabled["is_disabled"], true);
    let (_, enabled) = client.send("POST", &format!("{path}/enable"), &json!({ "version": 4 })).await;
    assert_eq!(enabled["is_disabled"], false);
    let wrong = json!({ "client_secret": "canary-json-other", "version": 5 });
    assert_eq!(client.send("POST", &format!("{path}/secret"), &wrong).await.1["error"], "check_failed");
    let right = json!({ "client_secret": "canary-detail-secret", "version": 5 });
    let (status, rotated) = client.send("POST", &format!("{path}/secret"), &right).await;
    assert_eq!((status, &rotated["version"]), (StatusCode::OK, &json!(6)), "{rotated}");
    let (_, health) = client.get(&format!("{path}/health")).await;
    assert_eq!(health, json!({ "accounts": null, "last_login": null, "last_failure": null }));

    app.world.facts().refusal = Some(Refusal::new("The last one.", "Add another one."));
    let (status, error) = client.send("DELETE", &path, &json!({ "version": 6 })).await;
    assert_eq!(
        (status, &error["error"], &error["message"]),
        (StatusCode::CONFLICT, &json!("refused"), &json!("The last one."))
    );
    app.world.facts().refusal = None;
    let request = client.request("DELETE", &path).header("if-match", "\"6\"");
    assert_eq!(client.browser.send(request, String::new()).await.status, StatusCode::OK);
    assert_eq!(client.get(&path).await.0, StatusCode::NOT_FOUND);
    let told = app.world.facts().told.clone();
    let kinds: Vec<_> = told.iter().filter_map(|told| told.strip_prefix("after ")?.split(' ').next()).collect();
    assert_eq!(kinds, ["Edited", "Edited", "Disabled", "Enabled", "Edited", "Deleted"]);
    assert_eq!(told[2], "before Edited Our GitLab → New by anna");
}

#[tokio::test]
async fn a_move_is_asked_for_by_name() {
    let app = App::start();
    let old = FakeGitLab::builder().start().await.unwrap();
    let new = FakeGitLab::builder().start().await.unwrap();
    let stored = at_gitlab(&app, &old, LoginPolicy::everyone()).await;
    app.world.facts().accounts.insert(stored.id.clone(), 4);
    let callback = format!("{PUBLIC_URL}/oauth/callback/gitlab/{}", stored.id);
    new.add_application(FakeApplication::new("app-id", SECRET, &callback, "read_user read_api"));
    let mut client = Client::start(&app, ANNA).await;
    let path = format!("/integrations/{}", stored.id);
    let (_, mut read) = client.get(&path).await;
    read["draft"]["base_url"] = json!(new.base_url());
    let mut body = json!({ "draft": read["draft"], "version": 1 });
    // The old secret is never sent to the new server.
    let (_, error) = client.send("PUT", &path, &body).await;
    assert_eq!(error["fields"][0]["code"], "secret_of_other_url", "{error}");
    body["client_secret"] = json!(SECRET);
    let (status, error) = client.send("PUT", &path, &body).await;
    assert_eq!((status, &error["error"]), (StatusCode::CONFLICT, &json!("is_move")));
    assert_eq!((&error["move"], &error["accounts"]), (&json!("new_server"), &json!(4)));

    let (status, proposed) = client.send("POST", &format!("{path}/propose"), &body).await;
    assert_eq!((status, &proposed["proposed"]["base_url"]), (StatusCode::OK, &json!(new.base_url())), "{proposed}");
    assert_eq!(proposed["draft"]["base_url"], json!(old.base_url()));
    assert!(!app.world.facts().told.concat().contains("Moved"));
    app.world.facts().told.clear();
    body["version"] = json!(2);
    body.as_object_mut().unwrap().remove("client_secret");
    let (_, error) = client.send("POST", &format!("{path}/move"), &body).await;
    assert_eq!(error["fields"][0]["code"], "secret_of_other_url", "the secret is used up");
    body["client_secret"] = json!(SECRET);
    let (status, moved) = client.send("POST", &format!("{path}/move"), &body).await;
    assert_eq!((status, &moved["draft"]["base_url"]), (StatusCode::OK, &json!(new.base_url())), "{moved}");
    assert_eq!(app.world.facts().told[0], "before Moved(NewServer) Our GitLab → Our GitLab by anna");
}

#[tokio::test]
async fn a_right_that_ends_before_the_write_ends_it() {
    let app = App::start();
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let stored = at_gitlab(&app, &gitlab, LoginPolicy::everyone()).await;
    let mut client = Client::start(&app, ANNA).await;
    let path = format!("/integrations/{}", stored.id);
    let (_, mut read) = client.get(&path).await;
    read["draft"]["timeout"] = json!("20");
    app.world.facts().dismissed.push(ANNA.to_owned());
    let save = json!({ "draft": read["draft"], "version": 1 });
    let secret = json!({ "client_secret": "canary-detail-secret", "version": 1 });
    let version = json!({ "version": 1 });
    let rename = json!({ "name": "Mine", "version": 1 });
    let writes = [
        ("PUT", "", &save),
        ("POST", "/secret", &secret),
        ("POST", "/rename", &rename),
        ("POST", "/disable", &version),
        ("DELETE", "", &version),
    ];
    for (method, part, body) in writes {
        let (status, error) = client.send(method, &format!("{path}{part}"), body).await;
        assert_eq!((status, &error["error"]), (StatusCode::CONFLICT, &json!("refused")), "{method} {part}: {error}");
        assert!(error["message"].as_str().unwrap().starts_with("You may not manage these integrations any more."));
    }
    assert_eq!(app.of_acme().await, [stored]);
}
