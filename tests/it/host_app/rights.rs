//! Who becomes an administrator: row N5 of the threat model; and what changes while a form is being checked: row N4.

use std::time::Duration;

use super::Program;
use super::walk::Visitor;

#[tokio::test]
async fn nobody_is_an_administrator_by_being_the_first() {
    let program = Program::demo(None).await;
    // Setup mode: whoever reaches it first finds a question for the token, and nothing else.
    let mut stranger = Visitor::of(&program);
    stranger.open("/").await.says("Setup mode.");
    for path in ["/org/main/integrations", "/org/main/integrations/new", "/org/main/people", "/organizations"] {
        assert_eq!(stranger.get(path).await.status, 403, "{path}");
    }
    let token = stranger.open("/setup").await.token();
    for path in ["/org/main/integrations/new", "/org/main/people", "/organizations"] {
        assert_eq!(stranger.post(path, &[("csrf_token", &token), ("name", "x")]).await.status, 403, "{path}");
    }

    // The first to log in, before the one with the token has.
    let mut admin = Visitor::of(&program);
    let id = admin.add(&program, "main", "gitlab", "GitLab").await;
    stranger.log_in(&id, "bob").await.says("Welcome. You have an account here now.");
    assert_eq!(stranger.get("/org/main/integrations").await.status, 403);
    admin.log_in(&id, "alice").await.says("you are the administrator from now on");
    assert_eq!(stranger.get("/org/main/integrations").await.status, 403);

    // Another administrator makes one, and nobody else does.
    let people = admin.open("/org/main/people").await;
    let key = people.body.split_once("name=\"key\" value=\"").unwrap().1.split('"').next().unwrap().to_owned();
    let token = stranger.open("/account").await.token();
    let refused = stranger.post("/org/main/people", &[("csrf_token", &token), ("key", &key)]).await;
    assert_eq!(refused.status, 403);
    admin.submit("/org/main/people", "/org/main/people", &[("key", &key)]).await.says("(administrator)");
    assert_eq!(stranger.get("/org/main/integrations").await.status, 200);
}

#[tokio::test]
async fn an_orphaned_organization_falls_to_nobody() {
    let program = Program::demo(None).await;
    let mut admin = Visitor::of(&program);
    let id = admin.add(&program, "main", "gitlab", "GitLab").await;
    admin.log_in(&id, "alice").await;
    // The only integration goes, and with it the account that the administrator logs in with.
    let delete = format!("/org/main/integrations/{id}/delete");
    admin.submit(&delete, &delete, &[]).await.says("is deleted");
    let id = admin.add(&program, "main", "gitlab", "Another").await;
    let mut stranger = Visitor::of(&program);
    stranger.open("/").await.says("Setup mode.");
    stranger.log_in(&id, "bob").await.says("Welcome. You have an account here now.");
    assert_eq!(stranger.get("/org/main/integrations").await.status, 403);
    // The token has been used: a mark of it in another session gives nothing.
    stranger.submit("/setup", "/setup", &[("token", &program.token)]).await.says("That is not the token");
    // Whoever is logged in still has the right, and gives it to an account that can log in.
    admin.open("/org/main/people").await.says("Make administrator");
    admin.submit("/account", "/logout", &[]).await;
    assert_eq!(admin.get("/org/main/integrations").await.status, 403);
    admin.log_in(&id, "alice").await.says("Welcome. You have an account here now.");
    assert_eq!(admin.get("/org/main/integrations").await.status, 403);
}

/// Each of (check, save) while the integration is moved or deleted, and while its administrator logs out.
#[tokio::test]
async fn what_changes_during_a_check_is_not_overwritten() {
    for act in ["check", "save"] {
        for change in ["move", "delete", "log out"] {
            let program = Program::demo(None).await;
            let mut admin = Visitor::of(&program);
            let id = admin.add(&program, "main", "gitlab", "GitLab").await;
            admin.log_in(&id, "alice").await;
            let edit = format!("/org/main/integrations/{id}/edit");

            // A code host that takes its time.
            let slow = wiremock::MockServer::start().await;
            let answer = wiremock::ResponseTemplate::new(503).set_delay(Duration::from_millis(1500));
            wiremock::Mock::given(wiremock::matchers::any()).respond_with(answer).mount(&slow).await;
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
            let checking = admin.raw_post(&edit, body);
            while slow.received_requests().await.unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let expected = match change {
                "move" => {
                    let moved =
                        [("base_url", &*url), ("access", "sign-in"), ("client_id", "new"), ("act", "save-anyway")];
                    let secret = [("client_secret", "canary-other-secret")];
                    admin.submit(&edit, &edit, &[moved.as_slice(), &secret].concat()).await.says("is saved");
                    409
                }
                "delete" => {
                    let delete = format!("/org/main/integrations/{id}/delete");
                    admin.submit(&delete, &delete, &[]).await.says("is deleted");
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
