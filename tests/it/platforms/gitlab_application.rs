//! The OAuth application of a GitLab created by its API, and logins with it.

use codehost_oauth::check::Verdict;
use codehost_oauth::gitlab::GitLab;
use codehost_oauth::setup::{AppOwner, SetupRequest};
use codehost_oauth::testing::{FakeApplication, FakeGitLab, ScriptedTransport, gitlab};
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{Access, AccessToken, BaseUrl, LoginOptions, OAuthProvider as _, Platform, TokenBinding};

use crate::secrets::leak_check::{self, LeakChecked as _};
use crate::support::canned_http;

fn request(owner: AppOwner) -> SetupRequest {
    let app = "http://127.0.0.1:9000".parse().unwrap();
    SetupRequest::new(app, "demo".parse().unwrap(), "Depot", Access::SignIn).unwrap().owner(owner)
}

fn group(path: &str) -> AppOwner {
    AppOwner::Group(path.to_owned())
}

#[tokio::test]
async fn an_application_is_created_checked_and_used() {
    let callback = "http://127.0.0.1:9000/oauth/callback/gitlab/demo";
    let setup = FakeApplication::new("setup-id", "canary-right", callback, "api read_user");
    let mut alice = gitlab::FakeUser::alice();
    alice.groups = vec![gitlab::FakeGroup::new(10, "acme/tools", 50), gitlab::FakeGroup::new(11, "other", 40)];
    let fake = FakeGitLab::builder().application(setup).user(alice).start().await.unwrap();
    let network = Network::public_only().allow_loopback_http();
    let gitlab = GitLab::new(BaseUrl::parse(fake.base_url(), &network).unwrap()).unwrap();
    let http = HttpClient::builder(network).build().unwrap();
    let admin = canned_http::live("gitlab", fake.base_url(), "canary-right").credentials("setup-id", "canary-right");
    let admin = admin.access(Access::Write).build().unwrap();
    for (user, owner, code) in [
        ("root", AppOwner::Instance, "ok"),
        ("alice", AppOwner::Instance, "forbidden"),
        ("alice", AppOwner::User, "ok"),
        ("alice", group("/acme/tools/"), "ok"),
        ("alice", group("other"), "forbidden"),
        ("alice", group("nowhere"), "api_not_found"),
    ] {
        let login = canned_http::log_in(&admin, |url| fake.authorize(url, user).unwrap()).await.unwrap();
        let outcome = gitlab.create_application(&http, &login.tokens.access_token, &request(owner.clone())).await;
        let client = match outcome.leak_checked() {
            Ok(client) => client,
            Err(error) => {
                assert_eq!(error.code(), code, "{user} {owner:?}");
                continue;
            }
        };
        assert_eq!(code, "ok", "{user} {owner:?}");
        let secret = client.expose_for(gitlab.base_url()).unwrap().to_owned();
        leak_check::learn("client secret", &secret);
        let integration = canned_http::live("gitlab", fake.base_url(), "canary-right").access(Access::SignIn);
        let integration = integration.credentials(client.client_id(), &secret).build().unwrap();
        assert_eq!(integration.check().await.verdict(), Verdict::AllRight);
        let login = canned_http::log_in(&integration, |url| fake.authorize(url, "alice").unwrap()).await.unwrap();
        assert_eq!(login.user.username.as_deref(), Some("alice"));
    }
}

#[tokio::test]
async fn each_refusal_says_what_to_do() {
    let gitlab = GitLab::new(BaseUrl::parse("https://git.example.com", &Network::public_only()).unwrap()).unwrap();
    let binding = TokenBinding::new("demo".parse().unwrap(), gitlab.base_url().clone());
    let token = AccessToken::new("canary-admin-token".to_owned(), &binding).unwrap();
    for (status, body, code) in [
        (201, r#"{"application_id":"id","secret":"canary-new-secret"}"#, "ok"),
        (201, r#"{"application_id":"id"}"#, "malformed"),
        (201, r#"{"application_id":"","secret":"x"}"#, "client_id"),
        (404, r#"{"error":"404 Not Found"}"#, "code_host_too_old"),
        (404, r#"{"message":"404 Group Not Found"}"#, "api_not_found"),
        (401, r#"{"message":"401 Unauthorized"}"#, "token_rejected"),
        (403, r#"{"message":"403 Forbidden"}"#, "forbidden"),
        (403, r#"{"error":"insufficient_scope","scope":"api"}"#, "scope_missing"),
        (503, "", "code_host_down"),
    ] {
        let http = ScriptedTransport::new();
        http.respond("/api/v4/groups/acme/applications", status, &[("content-type", "application/json")], body);
        let outcome = gitlab.create_application(&http, &token, &request(group("acme"))).await.leak_checked();
        assert_eq!(outcome.map_or_else(|error| error.code(), |_| "ok"), code, "{body}");
    }
    // The token of another code host is not sent.
    let http = ScriptedTransport::new();
    let other = BaseUrl::parse("https://other.example.com", &Network::public_only()).unwrap();
    let token = AccessToken::new("canary-admin-token".to_owned(), &TokenBinding::new("demo".parse().unwrap(), other));
    let outcome = gitlab.create_application(&http, &token.unwrap(), &request(AppOwner::User)).await.leak_checked();
    assert_eq!(outcome.unwrap_err().code(), "other_binding");
    assert!(http.requests().is_empty());
}

/// Only GitHub knows the wishes for the login page, and only GitLab the sign-on of a group. All others ignore them.
#[test]
fn wishes_for_the_login_page_reach_the_platforms_that_know_them() {
    let query = |provider: std::sync::Arc<dyn codehost_oauth::OAuthProvider>| {
        let config = codehost_oauth::IntegrationConfig {
            id: "demo".parse().unwrap(),
            name: "Demo".to_owned(),
            public_url: "https://packages.example.com".parse().unwrap(),
            client_id: "id".to_owned(),
            client_secret: "canary-wishes".to_owned(),
            access: Access::SignIn,
        };
        let integration =
            codehost_oauth::Integration::builder(provider, ScriptedTransport::new(), config).build().unwrap();
        let mut options = LoginOptions::default();
        options.login_hint = Some("jane & co".to_owned());
        options.select_account = true;
        options.return_to = Some("/projects".parse().unwrap());
        let start = integration.begin_login_with(options).unwrap();
        assert_eq!(start.pending.return_to().unwrap().as_str(), "/projects");
        let url = url::Url::parse(start.redirect_to.as_str()).unwrap();
        url.query_pairs().into_owned().collect::<std::collections::HashMap<_, _>>()
    };
    for platform in Platform::all() {
        let base_url = platform.services().first().map_or("https://git.example.com", |service| service.base_url);
        let provider = platform.provider(BaseUrl::parse(base_url, &Network::public_only()).unwrap()).unwrap();
        let query = query(provider);
        let wishes = (query.get("login").map(String::as_str), query.get("prompt").map(String::as_str));
        let known = if platform.id() == "github" { (Some("jane & co"), Some("select_account")) } else { (None, None) };
        assert_eq!(wishes, known, "{platform}");
        assert!(!query.contains_key("root_namespace_id"));
    }
    let query = query(std::sync::Arc::new(GitLab::dot_com().with_sign_on_group(42).with_issuer("https://gitlab.com")));
    assert_eq!(query["root_namespace_id"], "42");
}
