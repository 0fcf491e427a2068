//! The same as JSON.

use std::time::Duration;

use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use codehost_oauth::{LoginPolicy, admin::Refusal};
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::admin::app::{ACME, ANNA, App, Browser, OLGA, PUBLIC_URL, Shown};
use crate::admin::detail::at_gitlab;
use crate::admin::list::create;

const SECRET: &str = "canary-json-secret";

/// A front end.
pub(super) struct Client {
    browser: Browser,
    token: String,
}

impl Client {
    pub(super) async fn start(app: &App, user: &str) -> Self {
        let mut browser = app.browser(user).await;
        let start = json_of(&browser.get(&format!("{ACME}/api/v1")).await);
        let token = start["csrf_token"].as_str().unwrap().to_owned();
        Self { browser, token }
    }

    async fn get(&mut self, path: &str) -> (StatusCode, Value) {
        let shown = self.browser.get(&format!("{ACME}/api/v1{path}")).await;
        (shown.status, json_of(&shown))
    }

    pub(super) async fn send(&mut self, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.request(method, path).header("content-type", "application/json; charset=utf-8");
        let shown = self.browser.send(request, body.to_string()).await;
        (shown.status, json_of(&shown))
    }

    fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(format!("{ACME}/api/v1{path}")).header("x-csrf-token", &self.token)
    }
}

fn json_of(shown: &Shown) -> Value {
    assert_eq!(shown.headers["content-type"], "application/json", "{}", shown.body);
    assert_eq!(shown.headers["cache-control"], "no-store");
    assert!(!shown.body.contains("canary-"), "a secret came out: {}", shown.body);
    serde_json::from_str(&shown.body).unwrap()
}

#[tokio::test]
async fn a_front_end_adds_an_integration() {
    let app = App::start();
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let mut client = Client::start(&app, ANNA).await;
    let (_, start) = client.get("").await;
    assert_eq!(start["me"], json!({ "user_id": "anna", "name": "Anna Admin", "is_operator": false }));
    assert_eq!((&start["owner"], &start["access"]["preset"]), (&json!("acme"), &json!("read")));
    let platforms = start["platforms"].as_array().unwrap();
    let platform = platforms.iter().find(|one| one["id"] == "gitlab").unwrap();
    assert_eq!(platform["labels"], json!({ "client_id": "Application ID", "client_secret": "Secret" }));
    assert_eq!(platform["services"][0]["base_url"], "https://gitlab.com");

    let mut draft = json!({ "platform": "gitlab", "base_url": gitlab.base_url(), "access": "read" });
    let (status, guide) = client.send("POST", "/draft", &json!({ "draft": draft })).await;
    assert_eq!(status, StatusCode::OK, "{guide}");
    let (id, signature) = (guide["id"].as_str().unwrap(), guide["signature"].as_str().unwrap());
    let callback = format!("{PUBLIC_URL}/oauth/callback/gitlab/{id}");
    assert_eq!(guide["guide"]["callback_url"], json!(callback));
    assert!(guide["name"].as_str().unwrap().starts_with("GitLab (127.0.0.1"));
    assert_eq!(guide["errors"][0]["field"], "client_id");
    assert!(guide["links"][0]["address"]["url"].as_str().unwrap().starts_with(gitlab.base_url()));
    // The same id again.
    let body = json!({ "draft": draft, "id": id, "signature": signature });
    assert_eq!(client.send("POST", "/draft", &body).await.1["guide"]["callback_url"], json!(callback));

    gitlab.add_application(FakeApplication::new("app-id", SECRET, &callback, "read_user read_api"));
    draft["client_id"] = json!("app-id");
    let mut body = json!({ "draft": draft, "id": id, "signature": signature });
    let (status, error) = client.send("POST", "/integrations", &body).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!((&error["error"], &error["fields"][0]["field"]), (&json!("fields"), &json!("client_secret")));
    body["client_secret"] = json!("canary-json-wrong");
    let (status, error) = client.send("POST", "/integrations", &body).await;
    assert_eq!((status, &error["error"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("check_failed")));
    assert_eq!(error["report"]["verdict"], "wrong");
    body["client_secret"] = json!(SECRET);
    let (status, checked) = client.send("POST", "/check", &body).await;
    assert_eq!((status, &checked["verdict"], &checked["move"]), (StatusCode::OK, &json!("all_right"), &Value::Null));
    // The secret of the check is kept for this browser.
    body.as_object_mut().unwrap().remove("client_secret");
    let request = client.request("POST", "/integrations").header("content-type", "application/json");
    let shown = client.browser.send(request, body.to_string()).await;
    assert_eq!(shown.status, StatusCode::CREATED, "{}", shown.body);
    assert_eq!(shown.location(), Some(format!("{ACME}/api/v1/integrations/{id}").as_str()));
    assert_eq!(shown.headers["etag"], "\"1\"");
    let created = json_of(&shown);
    assert_eq!(created["login_link"]["url"], json!(format!("{PUBLIC_URL}/login/{id}")));
    assert_eq!((&created["problem"], &created["health"]["accounts"]), (&Value::Null, &Value::Null));
    assert_eq!(created["draft"]["client_id"], "app-id");

    let name = created["name"].as_str().unwrap();
    let told = ["before", "after"].map(|moment| format!("{moment} Created {{ others: 0 }} - → {name} by anna"));
    assert_eq!(app.world.facts().told, told);

    let (_, list) = client.get("/integrations").await;
    assert_eq!(list, json!({ "integrations": [created] }));
    // An id works once.
    let (status, error) = client.send("POST", "/integrations", &body).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "the kept secret is used up: {error}");
    body["client_secret"] = json!(SECRET);
    let (status, error) = client.send("POST", "/integrations", &body).await;
    assert_eq!((status, &error["error"]), (StatusCode::CONFLICT, &json!("id_taken")));
}

#[tokio::test]
async fn nobody_chooses_an_id() {
    let app = App::start();
    let mut client = Client::start(&app, ANNA).await;
    let mut globex = app.browser(OLGA).await;
    let of_globex = json_of(&globex.get("/org/globex/integrations/api/v1").await);
    let draft = json!({ "platform": "gitlab", "base_url": "https://git.example.com", "access": "read" });
    let request = Request::post("/org/globex/integrations/api/v1/draft").header("content-type", "application/json");
    let request = request.header("x-csrf-token", of_globex["csrf_token"].as_str().unwrap());
    let other = json_of(&globex.send(request, json!({ "draft": draft }).to_string()).await);
    for (id, signature) in [("chosen", "AQAA"), (other["id"].as_str().unwrap(), other["signature"].as_str().unwrap())] {
        let body = json!({ "draft": draft, "id": id, "signature": signature });
        for path in ["/draft", "/check", "/integrations"] {
            assert_eq!(client.send("POST", path, &body).await.0, StatusCode::NOT_FOUND, "{path}");
        }
    }
    let (status, error) = client.send("POST", "/integrations", &json!({ "draft": draft })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(error["message"], "The member `id` is missing.");
}

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
async fn a_test_login_of_a_front_end() {
    let app = App::start();
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let stored = at_gitlab(&app, &gitlab, LoginPolicy::everyone()).await;
    let mut client = Client::start(&app, ANNA).await;
    let (path, page) = (format!("/integrations/{}/test", stored.id), format!("{ACME}/{}/test", stored.id));
    let (status, error) = client.get(&path).await;
    assert_eq!((status, &error["error"]), (StatusCode::NOT_FOUND, &json!("no_report")));
    for (return_to, expected) in [("/settings/logins", "/settings/logins"), ("https://evil.test/", page.as_str())] {
        let fields = [("csrf_token", client.token.as_str()), ("return_to", return_to)];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let begun = client.browser.post(&page, &fields).await;
        let callback = gitlab.authorize(begun.location().unwrap(), "alice").unwrap();
        let shown = client.browser.get(callback.strip_prefix(PUBLIC_URL).unwrap()).await;
        assert_eq!(shown.location(), Some(expected));
    }
    let (status, report) = client.get(&path).await;
    assert_eq!((status, &report["may_log_in"], &report["proof"]), (StatusCode::OK, &json!(true), &Value::Null));
    assert_eq!(report["report"]["user"]["username"], "alice");
    assert_eq!(report["base_url"], json!(gitlab.base_url()));
}

#[tokio::test]
async fn bodies_are_read_strictly() {
    let app = App::start();
    let stored = create(&app.integrations, "https://git.example.com", "Our GitLab").await;
    let mut client = Client::start(&app, ANNA).await;
    let path = format!("/integrations/{}/rename", stored.id);
    let rename = json!({ "name": "New", "version": 1 }).to_string();
    let send = |kind: &'static str, token: Option<String>, body: String| {
        let mut request = Request::post(format!("{ACME}/api/v1{path}")).header("content-type", kind);
        if let Some(token) = token {
            request = request.header("x-csrf-token", token);
        }
        (request, body)
    };
    let token = Some(client.token.clone());
    let cases = [
        (send("application/json", None, rename.clone()), 403, "csrf", ""),
        (send("application/json", Some("wrong".to_owned()), rename.clone()), 403, "csrf", ""),
        (send("text/plain", token.clone(), rename.clone()), 415, "content_type", ""),
        (
            send("application/x-www-form-urlencoded", token.clone(), "name=New&version=1".to_owned()),
            415,
            "content_type",
            "",
        ),
        (send("application/json", token.clone(), "{".to_owned()), 400, "json", "The body is not valid JSON (line 1"),
        (send("application/json", token.clone(), String::new()), 400, "json", "The member `name` is missing."),
        (
            send("application/json", token.clone(), r#"{"name":"New","version":1,"x":2}"#.to_owned()),
            400,
            "json",
            "The member `x` is unknown",
        ),
        (
            send("application/json", token.clone(), r#"{"name":"a","name":"b"}"#.to_owned()),
            400,
            "json",
            "The member `name` is there twice",
        ),
        // The value could be a secret: it is not repeated.
        (
            send("application/json", token.clone(), r#"{"name":"New","version":"canary-in-version"}"#.to_owned()),
            400,
            "json",
            "A value has the wrong type (line 1",
        ),
        (send("application/json", token.clone(), "x".repeat(300 * 1024)), 413, "too_long", ""),
    ];
    for ((request, body), status, code, message) in cases {
        let shown = client.browser.send(request, body).await;
        let error = json_of(&shown);
        assert_eq!((shown.status.as_u16(), &error["error"]), (status, &json!(code)), "{error}");
        assert!(error["message"].as_str().unwrap().starts_with(message), "{error}");
        assert!(error["hint"].is_string() && error["fields"].is_array());
    }
    assert_eq!(app.of_acme().await, std::slice::from_ref(&stored));
    let draft = json!({ "draft": { "platform": "gitlab", "secret": "canary-unknown-member" } });
    let (status, error) = client.send("POST", "/draft", &draft).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(error["message"].as_str().unwrap().starts_with("The member `secret` is unknown"), "{error}");
    let put = json!({ "draft": {}, "id": "other", "version": 1 });
    let (status, error) = client.send("PUT", &format!("/integrations/{}", stored.id), &put).await;
    assert_eq!((status, &error["message"]), (StatusCode::BAD_REQUEST, &json!("This request has no member `id`.")));
    assert_eq!(client.get("/unknown").await.1["error"], "not_found");
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
