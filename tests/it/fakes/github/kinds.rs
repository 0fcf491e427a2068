use codehost_oauth::testing::github::ServerKind;

use super::*;
use crate::fakes::get;

#[tokio::test]
async fn github_com_and_ghe_com_have_another_host_for_the_api() {
    for kind in [ServerKind::GitHubCom, ServerKind::GheCom] {
        let fake = builder().kind(kind).start().await.unwrap();
        assert_ne!(fake.base_url(), fake.api_url());
        let token = access(&fake, "janedoe", "").await;
        assert_eq!(api(&fake, "/user", &token).await.status, 200);
        assert_eq!(api(&fake, "/api/v3/user", &token).await.status, 404);
        for path in ["/user", "/api/v3/user"] {
            let site = client().get(format!("{}{path}", fake.base_url())).bearer_auth(&token).header("User-Agent", "t");
            let site = send(site).await;
            assert_eq!((site.status, site.header("content-type")), (404, "text/html; charset=utf-8"));
        }
        assert_eq!(get(&page(&fake, &REQUEST).replace(fake.base_url(), fake.api_url())).await.status, 403);
        let meta = api(&fake, "/meta", "").await;
        assert_eq!(members(&meta.body), ["verifiable_password_authentication", "hooks", "web", "api", "domains"]);
        assert!(!meta.headers.contains_key("x-github-enterprise-version"));
    }
}

#[tokio::test]
async fn an_enterprise_server_has_the_api_below_the_site() {
    let fake = builder().kind(ServerKind::EnterpriseServer).start().await.unwrap();
    assert_eq!(fake.api_url(), format!("{}/api/v3", fake.base_url()));
    let meta = api(&fake, "/meta", "").await;
    let expected = r#"{"verifiable_password_authentication":true,"packages":["192.0.2.1"],"domains":{"website":["*.example.com"]},"installed_version":"3.19.0"}"#;
    assert_eq!((meta.status, meta.body.as_str()), (200, expected));
    assert_eq!(meta.header("x-github-enterprise-version"), "3.19.0");
    assert!(!meta.headers.contains_key("x-ratelimit-limit"));
    let root = access(&fake, "root", "user:email").await;
    let user = api(&fake, "/user", &root).await.json();
    assert_eq!((&user["site_admin"], &user["ldap_dn"]), (&true.into(), &"cn=root,dc=example,dc=com".into()));
    let bad = api(&fake, "/user", "gho_0").await;
    assert_eq!(members(&bad.body), ["message", "documentation_url"]);
    assert_eq!(bad.text("documentation_url"), "https://docs.github.com/enterprise-server@3.19/rest");
    assert!(!bad.headers.contains_key("x-github-enterprise-version"));
    assert_eq!(get(&format!("{}/user", fake.base_url())).await.status, 404);

    let fake = builder().kind(ServerKind::EnterpriseServer).all_emails_verified(true).start().await.unwrap();
    let una = access(&fake, "una", "user:email").await;
    assert!(!api(&fake, "/user/emails", &una).await.body.contains("\"verified\":false"));
}

#[tokio::test]
async fn private_mode_needs_credentials() {
    let builder = builder().kind(ServerKind::EnterpriseServer).version("2.12.4").private_mode(true);
    let fake = builder.start().await.unwrap();
    let meta = api(&fake, "/meta", "").await;
    let expected = r#"{"message":"Must authenticate to access this API.","documentation_url":"https://developer.github.com/enterprise/2.12/v3"}"#;
    assert_eq!((meta.status, meta.body.as_str()), (401, expected));
    let token = access(&fake, "janedoe", "").await;
    assert_eq!(api(&fake, "/meta", &token).await.text("installed_version"), "2.12.4");
}

#[tokio::test]
async fn meta_checks_the_credentials_of_oauth_apps() {
    let fake = start().await;
    let meta = |id, secret| {
        let request = client().get(format!("{}/meta", fake.api_url())).header("User-Agent", "test");
        send(request.basic_auth(id, Some(secret)))
    };
    assert_eq!(meta(ID, SECRET).await.status, 200);
    assert_refused(&meta(ID, "wrong").await, 401, "Bad credentials");
    assert_refused(&meta("nobody", SECRET).await, 401, "Bad credentials");
    assert_refused(&meta(APP_ID, APP_SECRET).await, 401, "Bad credentials");
}

#[tokio::test]
async fn maintenance_stops_site_and_api() {
    let fake = builder().kind(ServerKind::EnterpriseServer).start().await.unwrap();
    fake.set_maintenance(true);
    let response = api(&fake, "/meta", "").await;
    assert_eq!(
        (response.status, members(&response.body)),
        (503, vec!["code".into(), "message".into(), "documentation_url".into()])
    );
    let site = get(&page(&fake, &REQUEST)).await;
    assert_eq!((site.status, site.header("content-type")), (503, "text/html; charset=utf-8"));
    fake.set_maintenance(false);
    assert_eq!(api(&fake, "/meta", "").await.status, 200);
}

#[tokio::test]
async fn a_proxy_can_remove_the_headers() {
    let fake = builder().kind(ServerKind::EnterpriseServer).strip_headers(true).start().await.unwrap();
    let response = api(&fake, "/meta", "").await;
    assert!(!response.headers.keys().any(|name| name.as_str().starts_with("x-github")));
}

#[tokio::test]
async fn debug_output_has_no_secret() {
    let builder = builder();
    let text = format!("{builder:?}");
    assert!(text.starts_with("FakeGitHubBuilder") && text.contains(APP_ID) && !text.contains("canary"), "{text}");
    let fake = builder.start().await.unwrap();
    assert_eq!(format!("{fake:?}"), format!("FakeGitHub({}, {})", fake.base_url(), fake.api_url()));
}
