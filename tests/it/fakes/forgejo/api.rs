use codehost_oauth::testing::forgejo::FakeUser;

use super::*;

#[tokio::test]
async fn a_user_has_all_members_in_the_servers_order() {
    let fake = start().await;
    let base = fake.base_url();
    let (jane, _) = log_in(&fake, "jane", "read:user").await;
    let body = format!(
        r#"{{"id":7,"login":"jane","login_name":"","source_id":0,"full_name":"Jane Doe","email":"jane@example.com","avatar_url":"{base}/avatars/7","html_url":"{base}/jane","language":"en-US","is_admin":false,"last_login":"2026-11-20T08:00:00Z","created":"2024-01-02T03:04:05Z","restricted":false,"active":true,"prohibit_login":false,"location":"","pronouns":"","website":"","description":"","visibility":"public","followers_count":0,"following_count":0,"starred_repos_count":0,"username":"jane"}}"#
    );
    let response = api(&fake, "/user", &jane).await;
    assert_eq!((response.status, response.body.trim_end()), (200, body.as_str()));
    let by_token = client().get(format!("{base}/api/v1/user")).header("Authorization", format!("token {jane}"));
    assert_eq!(send(by_token).await.body, response.body);
    let emails = concat!(
        r#"[{"email":"jane@example.com","verified":true,"primary":true,"user_id":0,"username":""},"#,
        r#"{"email":"jane.work@example.com","verified":true,"primary":false,"user_id":0,"username":""},"#,
        r#"{"email":"jane.pending@example.com","verified":false,"primary":false,"user_id":0,"username":""}]"#,
    );
    assert_eq!(api(&fake, "/user/emails", &jane).await.body.trim_end(), emails);

    let gitea = forgejo().gitea().start().await.unwrap();
    let (jane, _) = log_in(&gitea, "jane", "read:user").await;
    let expected = body.replace(base, gitea.base_url()).replace(r#""pronouns":"","#, "");
    assert_eq!(api(&gitea, "/user", &jane).await.body.trim_end(), expected);
}

#[tokio::test]
async fn users_of_every_kind_are_there() {
    let fake = start().await;
    fake.add_user(FakeUser::new(50, "gina", "Gina", "gina@example.com"));
    for (name, member, value) in [
        ("root", "is_admin", true.into()),
        ("grace", "restricted", true.into()),
        ("heidi", "visibility", "private".into()),
        ("heidi", "email", "heidi@example.com".into()),
        ("heidi", "full_name", "Heidi <Hidden>".into()),
        ("ivan", "email", "".into()),
        ("gina", "id", serde_json::json!(50)),
    ] {
        let (access, _) = log_in(&fake, name, "read:user").await;
        assert_eq!(api(&fake, "/user", &access).await.json()[member], value, "{name}");
    }
    let (bob, _) = log_in(&fake, "bob", "read:user").await;
    assert_eq!(api(&fake, "/user/emails", &bob).await.json()[0]["verified"], false);
    let (ivan, _) = log_in(&fake, "ivan", "read:user").await;
    assert_eq!(api(&fake, "/user/emails", &ivan).await.body, "[]\n");
    fake.rename("bob", "robert");
    assert_eq!(api(&fake, "/user", &bob).await.text("login"), "robert");
}

#[tokio::test]
async fn accounts_are_refused_before_their_scopes() {
    let fake = start().await;
    let base = fake.base_url();
    let prohibited = "This account is prohibited from signing in, please contact your site administrator.";
    let password = format!("You must change your password. Change it at: {base}//user/settings/change_password");
    let factor = format!(
        "This Forgejo instance requires two-factor authentication. Enable it at: {base}/user/settings/security"
    );
    for (name, message) in
        [("dave", "This account is not activated."), ("carol", prohibited), ("erin", &password), ("frank", &factor)]
    {
        let (access, refresh_token) = log_in(&fake, name, "read:repository").await;
        for call in ["/user", "/user/emails", "/version"] {
            let response = api(&fake, call, &access).await;
            assert_message(&response, 403, message);
            assert!(response.json().get("url").is_none());
        }
        // The token endpoint does not look at the account.
        assert_eq!(token(&fake, &refresh(&refresh_token)).await.status, 200);
    }
    let (frank, _) = log_in(&fake, "frank", "read:user").await;
    let german = client().get(format!("{base}/api/v1/user")).bearer_auth(&frank).header("Accept-Language", "de-DE");
    let german = send(german).await.text("message");
    assert!(german.starts_with("Diese") && german.ends_with("user/settings/security"), "{german}");
    let (jane, _) = log_in(&fake, "jane", "read:user").await;
    fake.block("jane");
    assert_message(&api(&fake, "/user", &jane).await, 403, prohibited);

    let fake = forgejo().email_confirmation(false).start().await.unwrap();
    let (dave, _) = log_in(&fake, "dave", "read:user").await;
    assert_message(&api(&fake, "/user", &dave).await, 403, prohibited);
    for lenient in [forgejo().version("12.0.4+gitea-1.22.0"), forgejo().gitea().version("1.26.0")] {
        let fake = lenient.start().await.unwrap();
        let (frank, _) = log_in(&fake, "frank", "read:user").await;
        assert_eq!(api(&fake, "/user", &frank).await.status, 200);
    }
}

#[tokio::test]
async fn one_text_stands_for_every_token_that_is_not_valid() {
    let unknown = "user does not exist [uid: 0, name: ]";
    for builder in [forgejo(), forgejo().gitea()] {
        let fake = builder.start().await.unwrap();
        let (access, refresh_token) = log_in(&fake, "jane", "read:user").await;
        assert_message(&api(&fake, "/user", &refresh_token).await, 401, unknown);
        let damaged = format!("{access}AAAA");
        assert_message(&api(&fake, "/user", &damaged).await, 401, unknown);
        fake.expire_all_tokens();
        let expired = api(&fake, "/user", &access).await;
        assert_message(&expired, 401, unknown);
        assert_eq!(expired.text("url"), format!("{}/api/swagger", fake.base_url()));
        assert_eq!(fake.token_rights(&access), None);
        let renewed = token(&fake, &refresh(&refresh_token)).await.text("access_token");
        assert_eq!(api(&fake, "/user", &renewed).await.status, 200);
        fake.revoke_all();
        assert_message(&api(&fake, "/user", &renewed).await, 401, unknown);
        assert_message(&api(&fake, "/version", &renewed).await, 401, unknown);
        let url = format!("{}/api/v1/user", fake.base_url());
        for url in [url.clone(), format!("{url}?access_token={access}"), format!("{url}?token={access}")] {
            assert_message(&get(&url).await, 401, "token is required");
        }
    }
    let (fake, gitea) = (start().await, forgejo().gitea().start().await.unwrap());
    assert_message(&api(&fake, "/user", "no-jwt").await, 401, "access token does not exist [sha: no-jwt]");
    assert_message(&api(&gitea, "/user", "no-jwt").await, 401, unknown);
}

#[tokio::test]
async fn a_forgejo_16_names_the_cause_and_repeats_the_token() {
    let fake = forgejo().version("16.0.0+gitea-1.22.0").start().await.unwrap();
    let (access, _) = log_in(&fake, "jane", "read:user").await;
    fake.expire_all_tokens();
    let expired = api(&fake, "/user", &access).await.text("message");
    let (access, _) = log_in(&fake, "jane", "read:user").await;
    fake.revoke_all();
    let revoked = api(&fake, "/user", &access).await.text("message");
    assert!(expired.contains("\ntoken has invalid claims: token is expired\n"), "{expired}");
    assert!(revoked.contains("\noauth2 grant not found or revoked\n"), "{revoked}");
    assert_eq!((revoked.lines().count(), revoked.matches(&access).count()), (5, 2));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let fake = start().await;
    let (jane, _) = log_in(&fake, "jane", "read:user").await;
    let response = api(&fake, "/nothing", &jane).await;
    let swagger = format!("{}/api/swagger", fake.base_url());
    let body = format!("{{\"message\":\"The target couldn't be found.\",\"url\":\"{swagger}\",\"errors\":[]}}\n");
    assert_eq!((response.status, response.body.as_str()), (404, body.as_str()));
    let german = client().get(format!("{}/api/v1/nothing", fake.base_url())).header("Accept-Language", "de");
    assert_eq!(send(german).await.text("message"), "Das Ziel konnte nicht gefunden werden.");
    let outside = fake.base_url().replace("/forgejo", "/api/v1/user");
    assert_eq!(get_with_token(&outside, &jane).await.status, 404);
}

#[tokio::test]
async fn a_bot_check_responds_with_html() {
    for status in [200, 401, 403] {
        let fake = forgejo().bot_check(status).start().await.unwrap();
        let code = code(&fake, "jane");
        let calls =
            [token(&fake, &exchange(&code)).await, api(&fake, "/user", "x").await, api(&fake, "/version", "x").await];
        for response in calls {
            assert_eq!((response.status, response.header("content-type")), (status, "text/html; charset=utf-8"));
            assert!(response.body.starts_with("<!DOCTYPE html>"));
        }
        // A browser passes.
        assert!(get(&page(&fake, &REQUEST)).await.body.contains("<select"));
        fake.set_bot_check(None);
        assert_eq!(token(&fake, &exchange(&code)).await.status, 200);
    }
}
