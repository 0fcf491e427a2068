//! Ending a person's grant.

use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use codehost_oauth::{Integration, Revocation};

use crate::stub::{self, Stub, answer, json};
use crate::watch::Watched as _;

fn gitlab(http: &Stub) -> Integration {
    stub::builder("gitlab", "https://git.example.com/gitlab", "canary-my&secret")
        .transport(http.clone())
        .build()
        .unwrap()
}

#[tokio::test]
async fn gitlab_gets_the_refresh_token_with_its_hint() {
    let http = Stub::new(|_| json(200, "{}"));
    let integration = gitlab(&http);
    let tokens = stub::tokens(&integration, true);
    assert_eq!(integration.revoke(&tokens).await.watched().unwrap(), Revocation::Revoked);
    assert_eq!(http.urls(), ["POST https://git.example.com/gitlab/oauth/revoke"]);
    assert_eq!(
        http.last_body(),
        "token=canary-refresh-secret&token_type_hint=refresh_token&client_id=my-id&client_secret=canary-my%26secret"
    );
    let tokens = stub::tokens(&integration, false);
    assert_eq!(integration.revoke(&tokens).await.watched().unwrap(), Revocation::Revoked);
    assert!(http.last_body().starts_with("token=canary-access-secret&token_type_hint=access_token&"));
}

#[tokio::test]
async fn answers_of_every_kind_are_told_apart() {
    type Reaction = fn() -> stub::Answer;
    let reactions: [(Reaction, Result<Revocation, &str>); 7] = [
        (|| answer(200, &[], ""), Ok(Revocation::Revoked)),
        (|| json(403, r#"{"error":"unauthorized_client","error_description":"x"}"#), Err("client_rejected")),
        (|| json(400, r#"{"error":"unsupported_token_type"}"#), Err("token_refused")),
        (
            || json(403, r#"{"message":"You cannot perform write operations on a read-only instance"}"#),
            Err("read_only"),
        ),
        (|| stub::html(200), Err("html")),
        (|| stub::html(503), Err("code_host_down")),
        (|| answer(301, &[("location", "https://evil.test/")], ""), Err("redirect")),
    ];
    for (reaction, expected) in reactions {
        let http = Stub::new(move |_| reaction());
        let integration = gitlab(&http);
        let outcome = integration.revoke(&stub::tokens(&integration, true)).await.watched();
        assert_eq!(outcome.map_err(|error| error.code()), expected);
        assert_eq!(http.urls().len(), 1);
    }
}

#[tokio::test]
async fn bitbucket_is_sent_nothing() {
    let http = Stub::new(|_| panic!("nothing is to be sent"));
    let integration = stub::builder("bitbucket-cloud", "https://bitbucket.org", "canary-secret");
    let integration = integration.transport(http.clone()).build().unwrap();
    let Revocation::NotSupported { where_to, how, .. } =
        integration.revoke(&stub::tokens(&integration, true)).await.watched().unwrap()
    else {
        panic!("Bitbucket has no revocation endpoint");
    };
    assert_eq!(where_to.unwrap().as_str(), "https://bitbucket.org/account/settings/app-authorizations/");
    assert!(how.contains("App authorizations"));
    assert!(http.urls().is_empty());
}

#[tokio::test]
async fn tokens_of_another_integration_are_refused_before_anything_is_sent() {
    let http = Stub::new(|_| panic!("nothing is to be sent"));
    let integration = gitlab(&http);
    let other = stub::builder("gitlab", "https://other.example.com", "canary-secret").build().unwrap();
    let error = integration.revoke(&stub::tokens(&other, true)).await.watched().unwrap_err();
    assert_eq!(error.code(), "other_instance");
    let mut mixed = stub::tokens(&integration, false);
    mixed.refresh_token = stub::tokens(&other, true).refresh_token;
    assert_eq!(integration.revoke(&mixed).await.watched().unwrap_err().code(), "other_instance");

    // At the same code host it is another integration all the same, with a client of its own.
    let base_url = integration.provider().base_url().as_str();
    let other = stub::builder("gitlab", base_url, "canary-secret").id("other".parse().unwrap()).build().unwrap();
    assert_eq!(integration.revoke(&stub::tokens(&other, false)).await.watched().unwrap_err().code(), "other_instance");
    mixed.refresh_token = stub::tokens(&other, true).refresh_token;
    assert_eq!(integration.revoke(&mixed).await.watched().unwrap_err().code(), "other_instance");
    let (token, group) = (stub::tokens(&other, false).access_token, codehost_oauth::Group::path("acme").unwrap());
    assert_eq!(integration.membership(&token, &group).await.watched().unwrap_err().code(), "other_instance");
    assert_eq!(integration.user(&token).await.watched().unwrap_err().code(), "other_instance");
}

#[tokio::test]
async fn a_revoked_grant_is_dead_at_both_ends() {
    let callback = "http://127.0.0.1:9000/oauth/callback/gitlab/demo";
    let app = FakeApplication::new("my-id", "canary-right", callback, "read_api read_user");
    let gitlab = FakeGitLab::builder().application(app).start().await.unwrap();
    let integration = stub::live("gitlab", gitlab.base_url(), "canary-right").build().unwrap();
    let login = stub::log_in(&integration, |url| gitlab.authorize(url, "alice").unwrap()).await.unwrap();
    // An expired access token would not be a handle any more.
    gitlab.expire_all_tokens();
    assert_eq!(integration.revoke(&login.tokens).await.watched().unwrap(), Revocation::Revoked);
    let refresh = login.tokens.refresh_token.as_ref().unwrap();
    assert_eq!(integration.refresh(refresh).await.watched().unwrap_err().code(), "refresh_rejected");
    // Twice is no error (RFC 7009 section 2.2).
    assert_eq!(integration.revoke(&login.tokens).await.watched().unwrap(), Revocation::Revoked);

    let wrong = stub::live("gitlab", gitlab.base_url(), "wrong").build().unwrap();
    assert_eq!(wrong.revoke(&login.tokens).await.watched().unwrap_err().code(), "client_rejected");
}
