//! The built-in providers pass the suite that every provider is to pass, also behind a pointer.

use std::sync::Arc;

use codehost_oauth::testing::conformance::{Conformance, Violation};
use codehost_oauth::transport::Network;
use codehost_oauth::{BaseUrl, OAuthProvider, bitbucket::BitbucketCloud, gitlab::GitLab};

use crate::fixture;

const BITBUCKET_EMAILS: &str = r#"{"values":[{"email":"a@example.com","is_primary":true,"is_confirmed":true}]}"#;

fn gitlab(url: &str) -> GitLab {
    GitLab::new(BaseUrl::parse(url, &Network::public_only()).unwrap()).unwrap()
}

async fn of_gitlab(provider: &dyn OAuthProvider, sub_path: &str) -> Vec<Violation> {
    let token = fixture::Fixture::load("gitlab/token_success.http", "").body;
    let user = r#"{"id":42,"username":"jane","name":"Jane","state":"active"}"#;
    let suite = Conformance::new(provider, &format!("{sub_path}/oauth/token"), &token);
    suite.api(&format!("{sub_path}/api/v4/user"), user).run().await
}

async fn of_bitbucket(provider: &dyn OAuthProvider) -> Vec<Violation> {
    let token = fixture::text("bitbucket/token_success_old.json");
    Conformance::new(provider, "/site/oauth2/access_token", &token)
        .api("/2.0/user", r#"{"uuid":"{11111111-2222-3333-4444-555555555555}","type":"user"}"#)
        .api("/2.0/user/emails", BITBUCKET_EMAILS)
        .api_origin("https://api.bitbucket.org")
        .run()
        .await
}

#[tokio::test]
async fn gitlab_conforms() {
    assert_eq!(of_gitlab(&gitlab("https://git.example.com"), "").await, []);
}

#[tokio::test]
async fn gitlab_under_a_sub_path_conforms() {
    assert_eq!(of_gitlab(&gitlab("https://git.example.com:8443/a/gitlab"), "/a/gitlab").await, []);
}

#[tokio::test]
async fn gitlab_with_another_url_for_the_server_conforms() {
    let inside = BaseUrl::parse("https://gitlab.svc:8443/inside", &Network::any()).unwrap();
    let provider = gitlab("https://git.example.com/gitlab").with_api_url(inside);
    let token = fixture::Fixture::load("gitlab/token_success.http", "").body;
    let suite = Conformance::new(&provider, "/inside/oauth/token", &token)
        .api("/inside/api/v4/user", r#"{"id":42}"#)
        .api_origin("https://gitlab.svc:8443");
    assert_eq!(suite.run().await, []);
}

#[tokio::test]
async fn bitbucket_cloud_conforms() {
    assert_eq!(of_bitbucket(&BitbucketCloud::new()).await, []);
}

#[tokio::test]
async fn pointers_conform() {
    let shared: Arc<dyn OAuthProvider> = Arc::new(gitlab("https://git.example.com"));
    assert_eq!(of_gitlab(&shared, "").await, []);
    let boxed: Box<dyn OAuthProvider> = Box::new(BitbucketCloud::new());
    assert_eq!(of_bitbucket(&boxed).await, []);
    let twice: Arc<Box<dyn OAuthProvider>> = Arc::new(boxed);
    assert_eq!(of_bitbucket(&twice).await, []);
}

#[tokio::test]
async fn a_wrong_description_of_a_provider_is_found_out() {
    let broken = async |token_path: &str, token: &str, user: &str| -> Vec<&str> {
        let provider = gitlab("https://git.example.com");
        let suite = Conformance::new(&provider, token_path, token).api("/api/v4/user", user);
        suite.run().await.into_iter().map(|violation| violation.check).collect()
    };
    let (token, user) = (r#"{"access_token":"a","token_type":"bearer"}"#, r#"{"id":42}"#);
    assert_eq!(broken("/oauth/token", token, user).await, [""; 0]);
    assert_eq!(broken("/oauth/token", token, r#"{"id":0}"#).await, ["user"]);
    assert_eq!(broken("/oauth/token", r#"{"token_type":"mac"}"#, user).await, ["exchange", "refresh"]);
    assert_eq!(broken("/oauth/tokens", token, user).await, ["exchange", "refresh", "lost_answers"]);
    // The API is not at the base URL, and nobody said so.
    let provider = BitbucketCloud::new();
    let suite = Conformance::new(&provider, "/site/oauth2/access_token", token)
        .api("/2.0/user", r#"{"uuid":"{11111111-2222-3333-4444-555555555555}"}"#)
        .api("/2.0/user/emails", BITBUCKET_EMAILS);
    let found: Vec<_> = suite.run().await.into_iter().map(|violation| violation.to_string()).collect();
    assert_eq!(found, ["user: SentRequest(GET /2.0/user) went to https://api.bitbucket.org"]);
}
