//! How many integrations there can be, and how many checks and changes.

use std::time::Duration;

use codehost_oauth::LoginPolicy;
use codehost_oauth::testing::FakeGitLab;
use http::StatusCode;
use serde_json::json;

use crate::admin::app::{ACME, ANNA, App, OLGA};
use crate::admin::detail::at_gitlab;
use crate::admin::json::{Client, SECRET};
use crate::admin::list::create;

#[tokio::test]
async fn an_app_limits_the_number_of_integrations() {
    let app = App::start();
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    at_gitlab(&app, &gitlab, LoginPolicy::everyone()).await;
    app.world.facts().limit = Some(1);
    let mut client = Client::start(&app, ANNA).await;
    let draft = json!({ "platform": "gitlab", "base_url": gitlab.base_url(), "access": "read", "client_id": "app-id" });
    let (_, guide) = client.send("POST", "/draft", &json!({ "draft": draft })).await;
    let body = json!({ "draft": draft, "id": guide["id"], "signature": guide["signature"], "save_anyway": true,
        "client_secret": SECRET });
    let (status, error) = client.send("POST", "/integrations", &body).await;
    assert_eq!((status, &error["error"]), (StatusCode::CONFLICT, &json!("refused")), "{error}");
    assert_eq!(error["message"], "There can be at most 1 integrations.");
    assert_eq!(app.of_acme().await.len(), 1);
    app.world.facts().limit = Some(2);
    assert_eq!(client.send("POST", "/integrations", &body).await.0, StatusCode::CREATED);
}

/// Each draft has an id of its own, and can name another server.
#[tokio::test]
async fn checks_and_changes_are_limited_for_each_administrator() {
    let app = App::start();
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = Client::start(&app, ANNA).await;
        let draft =
            json!({ "platform": "gitlab", "base_url": gitlab.base_url(), "access": "read", "client_id": "app-id" });
        let (_, guide) = client.send("POST", "/draft", &json!({ "draft": draft })).await;
        let body =
            json!({ "draft": draft, "id": guide["id"], "signature": guide["signature"], "client_secret": SECRET });
        clients.push((client, body));
    }
    // Four run until the server has responded.
    gitlab.set_latency(Duration::from_millis(500));
    let checks = clients.iter_mut().map(|(client, body)| client.send("POST", "/check", body));
    let results = futures_util::future::join_all(checks).await;
    let (done, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(|(status, _)| *status == StatusCode::OK);
    assert_eq!((done.len(), refused.len()), (4, 2), "{refused:?}");
    for (status, error) in refused {
        assert_eq!((status, &error["error"]), (StatusCode::TOO_MANY_REQUESTS, &json!("too_many")));
        assert_eq!(error["message"], "Four of your checks are running already.");
    }

    // One after the other, until a minute's are used up.
    gitlab.set_latency(Duration::ZERO);
    let (client, body) = &mut clients[0];
    for number in 5..=60 {
        assert_eq!(client.send("POST", "/check", body).await.0, StatusCode::OK, "{number}");
    }
    let requests = gitlab.requests().len();
    let (status, error) = client.send("POST", "/integrations", body).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(error["message"], "You have made 60 checks and changes within a minute.");
    assert_eq!(gitlab.requests().len(), requests, "nothing is sent");
    let stored = create(&app.integrations, gitlab.base_url(), "Our GitLab").await;
    for (part, body) in [("rename", json!({ "name": "Too many", "version": 1 })), ("disable", json!({ "version": 1 }))]
    {
        let path = format!("/integrations/{}/{part}", stored.id);
        assert_eq!(client.send("POST", &path, &body).await.0, StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(app.of_acme().await, std::slice::from_ref(&stored));
    // A colleague can still check and change, here and in another organization.
    let mut olga = Client::start(&app, OLGA).await;
    let renamed = olga
        .send("POST", &format!("/integrations/{}/rename", stored.id), &json!({ "name": "Free", "version": 1 }))
        .await;
    assert_eq!(renamed.0, StatusCode::OK, "{}", renamed.1);
    let mut olga = app.browser(OLGA).await;
    for page in [ACME, "/org/globex/integrations"] {
        let mut form = olga.open(&format!("{page}/new")).await;
        form.set("platform", "gitlab");
        form.set("base_url", gitlab.base_url());
        form.set("client_id", "app-id");
        form.set("client_secret", SECRET);
        assert_eq!(olga.press(&form, "Check").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }

    // In the form, what was typed is still there.
    let mut anna = app.browser(ANNA).await;
    let mut form = anna.open(&format!("{ACME}/new")).await;
    form.set("platform", "gitlab");
    form.set("base_url", gitlab.base_url());
    form.set("client_id", "app-id");
    form.set("client_secret", SECRET);
    let again = anna.press(&form, "Check").await.screen();
    assert_eq!((again.status, again.value("client_id").as_str()), (StatusCode::TOO_MANY_REQUESTS, "app-id"));
    again.assert_shows("Wait a minute, then press the button again.");
}

#[tokio::test]
async fn all_administrators_of_an_owner_share_a_larger_limit() {
    let app = App::start();
    let stored = create(&app.integrations, "https://git.example.com", "Our GitLab").await;
    let path = format!("/integrations/{}/rename", stored.id);
    let mut version = stored.version;
    for number in 1..=4 {
        let mut client = Client::start(&app, &format!("anna-{number}")).await;
        for _ in 0..60 {
            let (status, body) = client.send("POST", &path, &json!({ "name": "New", "version": version })).await;
            assert_eq!(status, StatusCode::OK, "{version} {body}");
            version += 1;
        }
        let (status, error) = client.send("POST", &path, &json!({ "name": "New", "version": version })).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(error["message"], "You have made 60 checks and changes within a minute.");
    }
    let mut client = Client::start(&app, "anna-5").await;
    let (status, error) = client.send("POST", &path, &json!({ "name": "New", "version": version })).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(error["message"], "All administrators together have made 240 checks and changes within a minute.");
}
