//! Ending a user's grant.

use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use codehost_oauth::{Integration, Revocation};

use crate::secrets::leak_check::LeakChecked as _;
use crate::support::canned_http::{self, CannedHttp, json, response};

fn gitlab(http: &CannedHttp) -> Integration {
    canned_http::builder("gitlab", "https://git.example.com/gitlab", "canary-my&secret")
        .transport(http.clone())
        .build()
        .unwrap()
}

#[tokio::test]
async fn gitlab_gets_the_refresh_token_with_its_hint() {
    let http = CannedHttp::new(|_| json(200, "{}"));
    let integration = gitlab(&http);
    let tokens = canned_http::tokens(&integration, true);
    assert_eq!(integration.revoke(&tokens).await.leak_checked().unwrap(), Revocation::Revoked);
    assert_eq!(http.urls(), ["POST https://git.example.com/gitlab/oauth/revoke"]);
    assert_eq!(
        http.last_body(),
        "token=canary-refresh-secret&token_type_hint=refresh_token&client_id=my-id&client_secret=canary-my%26secret"
    );
    let tokens = canned_http::tokens(&integration, false);
    assert_eq!(integration.revoke(&tokens).await.leak_checked().unwrap(), Revocation::Revoked);
    assert!(http.last_body().starts_with("token=canary-access-secret&token_type_hint=access_token&"));
}

#[tokio::test]
async fn every_response_to_a_revocation_has_its_result() {
    type Respond = fn() -> canned_http::Outcome;
    let rows: [(Respond, Result<Revocation, &str>); 7] = [
        (|| response(200, &[], ""), Ok(Revocation::Revoked)),
        (|| json(403, r#"{"error":"unauthorized_client","error_description":"x"}"#), Err("client_rejected")),
        (|| json(400, r#"{"error":"unsupported_token_type"}"#), Err("token_refused")),
        (
            || json(403, r#"{"message":"You cannot perform write operations on a read-only instance"}"#),
            Err("read_only"),
        ),
        (|| canned_http::html(200), Err("html")),
        (|| canned_http::html(503), Err("code_host_down")),
        (|| response(301, &[("location", "https://evil.test/")], ""), Err("redirect")),
    ];
    for (respond, expected) in rows {
        let http = CannedHttp::new(move |_| respond());
        let integration = gitlab(&http);
        let outcome = integration.revoke(&canned_http::tokens(&integration, true)).await.leak_checked();
        assert_eq!(outcome.map_err(|error| error.code()), expected);
        assert_eq!(http.urls().len(), 1);
    }
}

#[tokio::test]
async fn revoking_at_bitbucket_sends_nothing() {
    let http = CannedHttp::new(|_| panic!("a request was sent"));
    let integration = canned_http::builder("bitbucket-cloud", "https://bitbucket.org", "canary-secret");
    let integration = integration.transport(http.clone()).build().unwrap();
    let Revocation::NotSupported { where_to, how, .. } =
        integration.revoke(&canned_http::tokens(&integration, true)).await.leak_checked().unwrap()
    else {
        panic!("Bitbucket has no revocation endpoint");
    };
    assert_eq!(where_to.unwrap().as_str(), "https://bitbucket.org/account/settings/app-authorizations/");
    assert!(how.contains("App authorizations"));
    assert!(http.urls().is_empty());
}

#[tokio::test]
async fn tokens_of_another_integration_are_refused_without_a_request() {
    let http = CannedHttp::new(|_| panic!("a request was sent"));
    let integration = gitlab(&http);
    let other = canned_http::builder("gitlab", "https://other.example.com", "canary-secret").build().unwrap();
    let error = integration.revoke(&canned_http::tokens(&other, true)).await.leak_checked().unwrap_err();
    assert_eq!(error.code(), "other_binding");
    let mut mixed = canned_http::tokens(&integration, false);
    mixed.refresh_token = canned_http::tokens(&other, true).refresh_token;
    assert_eq!(integration.revoke(&mixed).await.leak_checked().unwrap_err().code(), "other_binding");

    // Another integration at the same code host has another client.
    let base_url = integration.provider().base_url().as_str();
    let other = canned_http::builder("gitlab", base_url, "canary-secret").id("other".parse().unwrap()).build().unwrap();
    assert_eq!(
        integration.revoke(&canned_http::tokens(&other, false)).await.leak_checked().unwrap_err().code(),
        "other_binding"
    );
    mixed.refresh_token = canned_http::tokens(&other, true).refresh_token;
    assert_eq!(integration.revoke(&mixed).await.leak_checked().unwrap_err().code(), "other_binding");
    let (token, group) =
        (canned_http::tokens(&other, false).access_token, codehost_oauth::Group::path("acme").unwrap());
    assert_eq!(integration.membership(&token, &group).await.leak_checked().unwrap_err().code(), "other_binding");
    assert_eq!(integration.user(&token).await.leak_checked().unwrap_err().code(), "other_binding");
}

#[tokio::test]
async fn a_revoked_grant_cannot_be_refreshed() {
    let callback = "http://127.0.0.1:9000/oauth/callback/gitlab/demo";
    let app = FakeApplication::new("my-id", "canary-right", callback, "read_api read_user");
    let gitlab = FakeGitLab::builder().application(app).start().await.unwrap();
    let integration = canned_http::live("gitlab", gitlab.base_url(), "canary-right").build().unwrap();
    let login = canned_http::log_in(&integration, |url| gitlab.authorize(url, "alice").unwrap()).await.unwrap();
    // An expired access token could not be used to revoke.
    gitlab.expire_all_tokens();
    assert_eq!(integration.revoke(&login.tokens).await.leak_checked().unwrap(), Revocation::Revoked);
    let refresh = login.tokens.refresh_token.as_ref().unwrap();
    assert_eq!(integration.refresh(refresh).await.leak_checked().unwrap_err().code(), "refresh_rejected");
    // A second revocation is not an error (RFC 7009 section 2.2).
    assert_eq!(integration.revoke(&login.tokens).await.leak_checked().unwrap(), Revocation::Revoked);

    let wrong = canned_http::live("gitlab", gitlab.base_url(), "wrong").build().unwrap();
    assert_eq!(wrong.revoke(&login.tokens).await.leak_checked().unwrap_err().code(), "client_rejected");
}
