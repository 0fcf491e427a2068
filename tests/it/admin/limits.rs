//! The limit of all administrators of an owner together.

use http::StatusCode;
use serde_json::json;

use crate::admin::app::App;
use crate::admin::json::Client;
use crate::admin::list::create;

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
