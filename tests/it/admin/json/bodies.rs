//! What a request may contain.

use http::{Request, StatusCode};
use serde_json::json;

use crate::admin::app::{ACME, ANNA, App};
use crate::admin::json::{Client, json_of};
use crate::admin::list::create;

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
