//! The same as JSON.

mod bodies;
mod changes;

use codehost_oauth::LoginPolicy;
use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::admin::app::{ACME, ANNA, App, Browser, OLGA, PUBLIC_URL, Shown};
use crate::admin::detail::at_gitlab;

pub(super) const SECRET: &str = "canary-json-secret";

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
