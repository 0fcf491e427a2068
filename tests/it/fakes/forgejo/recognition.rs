use super::*;

const DISCOVERY: &str = "/.well-known/openid-configuration";

async fn anonymous(fake: &FakeForgejo, path: &str) -> ResponseSummary {
    get(&format!("{}{path}", fake.base_url())).await
}

#[tokio::test]
async fn the_version_tells_the_two_servers_apart() {
    let (fake, gitea) = (start().await, forgejo().gitea().start().await.unwrap());
    let version = anonymous(&fake, "/api/v1/version").await;
    assert_eq!((version.status, version.body.as_str()), (200, "{\"version\":\"15.0.3+gitea-1.22.0\"}\n"));
    assert_eq!(anonymous(&fake, "/api/forgejo/v1/version").await.body, version.body);
    assert_eq!(anonymous(&gitea, "/api/v1/version").await.text("version"), "1.27.2");
    assert_eq!(anonymous(&gitea, "/api/forgejo/v1/version").await.status, 404);
    let told = forgejo().version("7.0.16+gitea-1.21.11").sub_path("").start().await.unwrap();
    assert_eq!(anonymous(&told, "/api/v1/version").await.text("version"), "7.0.16+gitea-1.21.11");
}

#[tokio::test]
async fn a_closed_server_hides_its_version() {
    let fake = forgejo().require_sign_in(true).start().await.unwrap();
    for path in ["/api/v1/version", "/api/forgejo/v1/version", "/api/v1/user"] {
        let response = anonymous(&fake, path).await;
        let body = "{\"message\":\"Only signed in user is allowed to call APIs.\"}\n";
        assert_eq!((response.status, response.body.as_str()), (403, body));
    }
    let (jane, _) = log_in(&fake, "jane", "read:user").await;
    assert_eq!(api(&fake, "/version", &jane).await.status, 200);
}

#[tokio::test]
async fn the_discovery_document_names_the_issuer_in_two_ways() {
    for (builder, slash) in [
        (forgejo(), ""),
        (forgejo().version("12.0.0+gitea-1.22.0"), ""),
        (forgejo().version("11.0.15+gitea-1.22.0"), "/"),
        (forgejo().gitea().version("1.25.0"), ""),
        (forgejo().gitea().version("1.24.7"), "/"),
    ] {
        let fake = builder.start().await.unwrap();
        let document = anonymous(&fake, DISCOVERY).await;
        assert_eq!(document.text("issuer"), format!("{}{slash}", fake.base_url()));
        assert_eq!(document.text("token_endpoint"), format!("{}/login/oauth/access_token", fake.base_url()));
        assert!(document.json().get("revocation_endpoint").is_none());
        assert_eq!(document.json()["code_challenge_methods_supported"], serde_json::json!(["plain", "S256"]));
    }
}

#[tokio::test]
async fn without_oauth_newer_servers_have_no_discovery_document() {
    for (builder, status) in [
        (forgejo(), 404),
        (forgejo().version("12.0.4+gitea-1.22.0"), 200),
        (forgejo().gitea(), 404),
        (forgejo().gitea().version("1.24.7"), 200),
    ] {
        let fake = builder.oauth(false).start().await.unwrap();
        assert_eq!(anonymous(&fake, DISCOVERY).await.status, status);
    }
}

#[tokio::test]
async fn a_wrong_root_url_is_in_all_links() {
    let fake = forgejo().root_url("https://git.example.com/").start().await.unwrap();
    assert_eq!(anonymous(&fake, DISCOVERY).await.text("issuer"), "https://git.example.com");
    let (jane, _) = log_in(&fake, "jane", "read:user").await;
    assert_eq!(api(&fake, "/user", &jane).await.text("html_url"), "https://git.example.com/jane");
    assert_eq!(api(&fake, "/nothing", &jane).await.text("url"), "https://git.example.com/api/swagger");
}

#[tokio::test]
async fn introspection_checks_credentials_and_names_the_scopes() {
    let fake = start().await;
    let url = format!("{}/login/oauth/introspect", fake.base_url());
    let ask = |token: &str, id: &str, secret: &str| form(&url, &[("token", token)]).basic_auth(id, Some(secret));
    let (access, refresh_token) = log_in(&fake, "jane", "read:user nonsense").await;
    let live = send(ask(&access, ID, SECRET)).await;
    let body = format!(
        "{{\"active\":true,\"scope\":\"read:user nonsense\",\"username\":\"jane\",\"iss\":\"{}\",\"sub\":\"7\",\"aud\":[\"{ID}\"]}}\n",
        fake.base_url()
    );
    assert_eq!((live.status, live.body), (200, body));
    for (token, id, secret) in [("x", ID, SECRET), (&refresh_token, ID, SECRET), (&access, OTHER, OTHER_SECRET)] {
        assert_eq!(send(ask(token, id, secret)).await.body, "{\"active\":false}\n");
    }
    for (id, secret) in [(ID, "wrong"), (ID, ""), ("nobody", SECRET), ("public", "")] {
        let refused = send(ask(&access, id, secret)).await;
        assert_eq!((refused.status, refused.body.as_str()), (401, "no valid authorization\n"), "{id}");
    }
    assert_eq!(send(form(&url, &[("token", &access), ("client_id", ID), ("client_secret", SECRET)])).await.status, 401);
    fake.revoke_all();
    assert_eq!(send(ask(&access, ID, SECRET)).await.body, "{\"active\":false}\n");

    let old = forgejo().version("8.0.3+gitea-1.22.0").start().await.unwrap();
    let url = format!("{}/login/oauth/introspect", old.base_url());
    let (access, _) = log_in(&old, "jane", "read:user").await;
    let ask = || form(&url, &[("token", &access)]);
    assert_eq!(send(ask().basic_auth(ID, Some(SECRET))).await.status, 401);
    assert_eq!(send(ask().bearer_auth(&access)).await.json()["active"], true);
}

#[tokio::test]
async fn user_info_needs_openid() {
    let fake = start().await;
    let url = format!("{}/login/oauth/userinfo", fake.base_url());
    let (plain, _) = log_in(&fake, "bob", "read:user").await;
    let refused = get_with_token(&url, &plain).await;
    assert_eq!((refused.status, refused.header("content-type")), (401, "text/plain;charset=utf-8"));
    let (openid, _) = log_in(&fake, "jane", "openid groups").await;
    let response = get_with_token(&url, &openid).await;
    let body = format!(
        r#"{{"sub":"7","name":"Jane Doe","preferred_username":"jane","email":"jane@example.com","picture":"{}/avatars/7","groups":["acme","acme:developers","tools","tools:owners"]}}"#,
        fake.base_url()
    );
    assert_eq!(response.body.trim_end(), body);
}

#[tokio::test]
async fn debug_shows_the_address_and_no_secret() {
    let builder = format!("{:?}", forgejo());
    assert!(
        builder.starts_with("FakeForgejoBuilder") && builder.contains(ID) && !builder.contains("canary"),
        "{builder}"
    );
    let fake = start().await;
    assert_eq!(format!("{fake:?}"), format!("FakeForgejo({})", fake.base_url()));
}
