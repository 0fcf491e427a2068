//! Who becomes an administrator: row N5 of the threat model. Changes while a form is being checked: row N4.

use std::time::Duration;

use super::Program;
use super::pages::HttpBrowser;

#[tokio::test]
async fn the_first_user_is_not_an_administrator() {
    let program = Program::demo(None).await;
    // Setup mode: only the form for the one-time token is open to everybody.
    let mut other = HttpBrowser::of(&program);
    other.open("/").await.assert_text("Setup mode.");
    for path in ["/org/main/integrations", "/org/main/integrations/new", "/org/main/people", "/organizations"] {
        assert_eq!(other.get(path).await.status, 403, "{path}");
    }
    let token = other.open("/setup").await.token();
    for path in ["/org/main/integrations/new", "/org/main/people", "/organizations"] {
        assert_eq!(other.post(path, &[("csrf_token", &token), ("name", "x")]).await.status, 403, "{path}");
    }

    // Bob logs in first, before the user with the token.
    let mut admin = HttpBrowser::of(&program);
    let id = admin.add(&program, "main", "gitlab", "GitLab").await;
    other.log_in(&id, "bob").await.assert_text("Welcome. You have an account here now.");
    assert_eq!(other.get("/org/main/integrations").await.status, 403);
    admin.log_in(&id, "alice").await.assert_text("you are the administrator from now on");
    assert_eq!(other.get("/org/main/integrations").await.status, 403);

    // Only an administrator can make another administrator.
    let people = admin.open("/org/main/people").await;
    let key = people.body.split_once("name=\"key\" value=\"").unwrap().1.split('"').next().unwrap().to_owned();
    let token = other.open("/account").await.token();
    let refused = other.post("/org/main/people", &[("csrf_token", &token), ("key", &key)]).await;
    assert_eq!(refused.status, 403);
    admin.submit("/org/main/people", "/org/main/people", &[("key", &key)]).await.assert_text("(administrator)");
    assert_eq!(other.get("/org/main/integrations").await.status, 200);
}

#[tokio::test]
async fn an_organization_without_administrators_cannot_be_taken_over() {
    let program = Program::demo(None).await;
    let mut admin = HttpBrowser::of(&program);
    let id = admin.add(&program, "main", "gitlab", "GitLab").await;
    admin.log_in(&id, "alice").await;
    // The only integration is deleted, and with it the account that the administrator logs in with.
    let delete = format!("/org/main/integrations/{id}/delete");
    admin.submit(&delete, &delete, &[]).await.assert_text("is deleted");
    let id = admin.add(&program, "main", "gitlab", "Another").await;
    let mut other = HttpBrowser::of(&program);
    other.open("/").await.assert_text("Setup mode.");
    other.log_in(&id, "bob").await.assert_text("Welcome. You have an account here now.");
    assert_eq!(other.get("/org/main/integrations").await.status, 403);
    // The token was used and is refused.
    other
        .submit("/setup", "/setup", &[("token", &program.token)])
        .await
        .assert_text("The token has already been used.");
    // The administrator's session still has the right, and could give it to an account that can log in.
    admin.open("/org/main/people").await.assert_text("Make administrator");
    admin.submit("/account", "/logout", &[]).await;
    assert_eq!(admin.get("/org/main/integrations").await.status, 403);
    admin.log_in(&id, "alice").await.assert_text("Welcome. You have an account here now.");
    assert_eq!(admin.get("/org/main/integrations").await.status, 403);
}

/// Check and save, while the integration is changed or deleted, and while the administrator logs out.
#[tokio::test]
async fn a_change_during_a_check_is_not_overwritten() {
    for act in ["check", "save"] {
        for change in ["move", "delete", "log out"] {
            let program = Program::demo(None).await;
            let mut admin = HttpBrowser::of(&program);
            let id = admin.add(&program, "main", "gitlab", "GitLab").await;
            admin.log_in(&id, "alice").await;
            let edit = format!("/org/main/integrations/{id}/edit");

            // A slow code host.
            let slow = wiremock::MockServer::start().await;
            let response = wiremock::ResponseTemplate::new(503).set_delay(Duration::from_millis(1500));
            wiremock::Mock::given(wiremock::matchers::any()).respond_with(response).mount(&slow).await;
            let token = admin.open(&edit).await.token();
            let url = slow.uri();
            let body = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs([
                    ("csrf_token", token.as_str()),
                    ("base_url", &url),
                    ("access", "sign-in"),
                    ("client_id", "id"),
                    ("client_secret", "canary-slow-secret"),
                    ("act", act),
                ])
                .finish();
            let checking = admin.post_in_background(&edit, body);
            while slow.received_requests().await.unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let expected = match change {
                "move" => {
                    let moved =
                        [("base_url", &*url), ("access", "sign-in"), ("client_id", "new"), ("act", "save-anyway")];
                    let secret = [("client_secret", "canary-other-secret")];
                    admin.submit(&edit, &edit, &[moved.as_slice(), &secret].concat()).await.assert_text("is saved");
                    409
                }
                "delete" => {
                    let delete = format!("/org/main/integrations/{id}/delete");
                    admin.submit(&delete, &delete, &[]).await.assert_text("is deleted");
                    409
                }
                _ => {
                    admin.submit("/account", "/logout", &[]).await;
                    403
                }
            };
            assert_eq!(checking.await.unwrap(), Some(expected), "{act} {change}");
            if change == "delete" {
                assert_eq!(admin.get(&format!("/login/{id}")).await.status, 404);
            }
        }
    }
}
