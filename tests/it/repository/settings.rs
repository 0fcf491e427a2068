//! Settings of the builders, each with its effect.

use std::time::{Duration, Instant};

use codehost_oauth::testing::{FakeApplication, FakeBitbucket};
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{Access, EmailTrust, LoginPolicy, Scopes, gitlab::GitLab};
use codehost_oauth::{BaseUrl, OAuthProvider as _};
use http::HeaderValue;

use crate::support;
use crate::support::canned_http::{self, CannedHttp};

const BOT: &str = r#"{"id":42,"username":"robot","state":"active","bot":true,"email":"robot@example.com",
    "confirmed_at":"2020-01-01T00:00:00Z"}"#;

/// A GitLab whose user endpoint responds with `user`.
fn gitlab(user: &'static str) -> canned_http::TestIntegration {
    let http = CannedHttp::new(move |request| match request.uri().path() {
        "/oauth/token" => canned_http::json(200, r#"{"access_token":"canary-settings-token","token_type":"Bearer"}"#),
        _ => canned_http::json(200, user),
    });
    canned_http::builder("gitlab", "https://git.example.com", "canary-settings-secret").transport(http)
}

fn authorize(url: &str) -> String {
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
async fn bots_log_in_if_the_app_allows_bots() {
    let refused = canned_http::log_in(&gitlab(BOT).build().unwrap(), authorize).await.unwrap_err();
    assert_eq!(refused.code(), "account_not_a_person");
    let login =
        canned_http::log_in(&gitlab(BOT).policy(LoginPolicy::everyone().allow_bots()).build().unwrap(), authorize)
            .await
            .unwrap();
    assert_eq!(login.user.username.as_deref(), Some("robot"));
    // A blocked bot is refused nevertheless.
    let blocked = r#"{"id":42,"username":"robot","state":"blocked","bot":true}"#;
    assert!(
        canned_http::log_in(&gitlab(blocked).policy(LoginPolicy::everyone().allow_bots()).build().unwrap(), authorize)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn the_email_trust_setting_decides_which_addresses_are_trusted() {
    const CONFIRMED: &str = r#"{"id":42,"username":"jane","state":"active","email":"jane@example.com",
        "confirmed_at":"2020-01-01T00:00:00Z"}"#;
    const UNCONFIRMED: &str =
        r#"{"id":42,"username":"jane","state":"active","email":"jane@example.com","confirmed_at":null}"#;
    const UNKNOWN: &str = r#"{"id":42,"username":"jane","state":"active","email":"jane@example.com"}"#;
    for (user, trust, trusted) in [
        (CONFIRMED, EmailTrust::Platform, false),
        (CONFIRMED, EmailTrust::ThisInstance, true),
        (CONFIRMED, EmailTrust::WithoutVerification, true),
        (UNCONFIRMED, EmailTrust::Platform, false),
        (UNCONFIRMED, EmailTrust::ThisInstance, false),
        (UNCONFIRMED, EmailTrust::WithoutVerification, true),
        (UNKNOWN, EmailTrust::Platform, false),
        (UNKNOWN, EmailTrust::ThisInstance, false),
        (UNKNOWN, EmailTrust::WithoutVerification, true),
    ] {
        let login = canned_http::log_in(&gitlab(user).email_trust(trust).build().unwrap(), authorize).await.unwrap();
        let found = login.trusted_email();
        assert_eq!(found, trusted.then_some("jane@example.com"), "{trust:?} of {user}");
        // The code says whether the user or the app has to act.
        let expected = match trusted {
            true => "",
            false if user == CONFIRMED => "email_not_trusted",
            false if user == UNKNOWN => "email_evidence_unknown",
            false => "no_trusted_email",
        };
        let code = login.require_trusted_email().err().map(|error| error.code());
        assert_eq!(code.unwrap_or_default(), expected, "{trust:?} of {user}");
    }
}

#[test]
fn an_integration_without_scopes_is_refused() {
    let nothing = Access::Custom(Scopes::default());
    assert_eq!(gitlab(BOT).access(nothing).build().unwrap_err().code(), "no_scopes");
}

#[tokio::test]
async fn user_agent_and_connect_timeout_are_used() {
    let server = wiremock::MockServer::start().await;
    let agent = HeaderValue::from_static("packages.example.com");
    let client = HttpClient::builder(canned_http::network()).user_agent(agent.clone()).build().unwrap();
    support::get(&client, &server.uri(), 1024).await.unwrap();
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].headers.get("user-agent"), Some(&agent));

    // A server that never responds.
    let silent = support::RawServer::silent().await;
    // There is no other time-out, so the connect time-out must include the TLS handshake.
    let client = HttpClient::builder(Network::any()).connect_timeout(Duration::from_millis(300)).timeout(None);
    let error = support::get(&client.build().unwrap(), &silent.https_url(), 1024).await.unwrap_err();
    assert_eq!(error.code(), "timed_out");
}

#[tokio::test]
async fn the_issuer_can_be_set() {
    let base_url = BaseUrl::parse("https://git.example.com", &Network::public_only()).unwrap();
    let provider = GitLab::new(base_url).unwrap();
    assert_eq!(provider.issuers(), ["https://git.example.com"]);
    assert_eq!(provider.with_issuer("https://login.example.com").issuers(), ["https://login.example.com"]);
}

#[tokio::test]
async fn a_fake_bitbucket_has_the_settings_of_its_builder() {
    let address = support::free_address();
    let callback = "http://127.0.0.1:9000/oauth/callback/bitbucket-cloud/demo";
    let application = FakeApplication::new("my-id", "canary-settings-secret", callback, "account email");
    let builder = FakeBitbucket::builder().listen(address).latency(Duration::from_millis(30));
    let builder = builder.application(application).token_lifetime(Some(Duration::from_secs(60)));
    let bitbucket = builder.start().await.unwrap();
    assert_eq!(bitbucket.base_url(), format!("http://{address}"));
    let integration = canned_http::live("bitbucket-cloud", bitbucket.base_url(), "canary-settings-secret");
    let integration = integration.access(Access::SignIn).build().unwrap();
    let begun = Instant::now();
    let login = canned_http::log_in(&integration, |url| bitbucket.authorize(url, "jane").unwrap()).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(60), "two round trips of 30 ms");
    assert_eq!(login.tokens.expires_in, Some(Duration::from_secs(60)));
    bitbucket.advance(Duration::from_secs(61));
    let error = integration.user(&login.tokens.access_token).await.unwrap_err();
    assert_eq!(error.code(), "token_expired");
    bitbucket.stop().await;
    assert!(std::net::TcpListener::bind(address).is_ok(), "its port is free again");
}
