//! Settings of the builders, each seen to do what it says.

use std::time::{Duration, Instant};

use codehost_oauth::testing::{FakeApplication, FakeBitbucket};
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{Access, EmailTrust, Scopes, gitlab::GitLab};
use codehost_oauth::{BaseUrl, OAuthProvider as _};
use http::HeaderValue;

use crate::stub::{self, Stub};
use crate::support;

const BOT: &str = r#"{"id":42,"username":"robot","state":"active","bot":true,"email":"robot@example.com",
    "confirmed_at":"2020-01-01T00:00:00Z"}"#;

/// A GitLab that logs in whoever `user` is.
fn gitlab(user: &'static str) -> codehost_oauth::IntegrationBuilder {
    let http = Stub::new(move |request| match request.uri().path() {
        "/oauth/token" => stub::json(200, r#"{"access_token":"canary-settings-token","token_type":"Bearer"}"#),
        _ => stub::json(200, user),
    });
    stub::builder("gitlab", "https://git.example.com", "canary-settings-secret").transport(http)
}

fn agrees(url: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    let [mut state, mut callback] = [String::new(), String::new()];
    for (name, value) in url.query_pairs() {
        match &*name {
            "state" => state = value.into_owned(),
            "redirect_uri" => callback = value.into_owned(),
            _ => {}
        }
    }
    format!("{callback}?code=canary-settings-code&state={state}")
}

#[tokio::test]
async fn bots_log_in_where_the_host_lets_them() {
    let refused = stub::log_in(&gitlab(BOT).build().unwrap(), agrees).await.unwrap_err();
    assert_eq!(refused.code(), "account_not_a_person");
    let login = stub::log_in(&gitlab(BOT).allow_bots().build().unwrap(), agrees).await.unwrap();
    assert_eq!(login.user.username.as_deref(), Some("robot"));
    // Only being no person is forgiven.
    let blocked = r#"{"id":42,"username":"robot","state":"blocked","bot":true}"#;
    assert!(stub::log_in(&gitlab(blocked).allow_bots().build().unwrap(), agrees).await.is_err());
}

#[tokio::test]
async fn an_address_is_trusted_as_far_as_the_host_trusts_the_code_host() {
    const PERSON: &str = r#"{"id":42,"username":"jane","state":"active","email":"jane@example.com",
        "confirmed_at":"2020-01-01T00:00:00Z"}"#;
    const UNCONFIRMED: &str = r#"{"id":42,"username":"jane","state":"active","email":"jane@example.com"}"#;
    for (user, trust, trusted) in [
        (PERSON, EmailTrust::Vendor, false),
        (PERSON, EmailTrust::ThisInstance, true),
        (PERSON, EmailTrust::WithoutVerification, true),
        (UNCONFIRMED, EmailTrust::Vendor, false),
        (UNCONFIRMED, EmailTrust::ThisInstance, false),
        (UNCONFIRMED, EmailTrust::WithoutVerification, true),
    ] {
        let login = stub::log_in(&gitlab(user).email_trust(trust).build().unwrap(), agrees).await.unwrap();
        let found = login.trusted_email();
        assert_eq!(found, trusted.then_some("jane@example.com"), "{trust:?} of {user}");
        // Whether the person or the host has to do something.
        let expected = match trusted {
            true => "",
            false if user == PERSON => "email_not_trusted",
            false => "no_trusted_email",
        };
        let code = login.require_trusted_email().err().map(|error| error.code());
        assert_eq!(code.unwrap_or_default(), expected, "{trust:?} of {user}");
    }
}

#[test]
fn an_integration_asks_for_some_scope() {
    let nothing = Access::Custom(Scopes::default());
    assert_eq!(gitlab(BOT).access(nothing).build().unwrap_err().code(), "no_scopes");
}

#[tokio::test]
async fn a_client_says_who_it_is_and_how_long_it_waits() {
    let server = wiremock::MockServer::start().await;
    let agent = HeaderValue::from_static("packages.example.com");
    let client = HttpClient::builder(stub::network()).user_agent(agent.clone()).build().unwrap();
    support::get(&client, &server.uri(), 1024).await.unwrap();
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].headers.get("user-agent"), Some(&agent));

    // An address that nothing answers at: the queue of a listener that never accepts is full.
    let silent = support::Raw::silent().await;
    // There is no other time-out, and after a minute the server closes: the handshake counts.
    let client = HttpClient::builder(Network::any()).connect_timeout(Duration::from_millis(300)).timeout(None);
    let error = support::get(&client.build().unwrap(), &silent.https_url(), 1024).await.unwrap_err();
    assert_eq!(error.code(), "timed_out");
}

#[tokio::test]
async fn an_issuer_can_be_named() {
    let base_url = BaseUrl::parse("https://git.example.com", &Network::public_only()).unwrap();
    let provider = GitLab::new(base_url).unwrap();
    assert_eq!(provider.issuer(), "https://git.example.com");
    assert_eq!(provider.with_issuer("https://login.example.com").issuer(), "https://login.example.com");
}

#[tokio::test]
async fn a_fake_bitbucket_is_as_it_was_built() {
    let address = support::free_address();
    let callback = "http://127.0.0.1:9000/oauth/callback/bitbucket-cloud/demo";
    let application = FakeApplication::new("my-id", "canary-settings-secret", callback, "account email");
    let builder = FakeBitbucket::builder().listen(address).latency(Duration::from_millis(30));
    let builder = builder.application(application).token_lifetime(Some(Duration::from_secs(60)));
    let bitbucket = builder.start().await.unwrap();
    assert_eq!(bitbucket.base_url(), format!("http://{address}"));
    let integration = stub::live("bitbucket-cloud", bitbucket.base_url(), "canary-settings-secret");
    let integration = integration.access(Access::SignIn).build().unwrap();
    let begun = Instant::now();
    let login = stub::log_in(&integration, |url| bitbucket.authorize(url, "jane").unwrap()).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(60), "two legs of 30 ms");
    assert_eq!(login.tokens.expires_in, Some(Duration::from_secs(60)));
    bitbucket.advance(Duration::from_secs(61));
    let error = integration.user(&login.tokens.access_token).await.unwrap_err();
    assert_eq!(error.code(), "token_expired");
    bitbucket.stop().await;
    assert!(std::net::TcpListener::bind(address).is_ok(), "its port is free again");
}
