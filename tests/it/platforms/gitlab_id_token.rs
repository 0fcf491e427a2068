//! Logins at a GitLab by the ID token, in one round trip.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use codehost_oauth::error::Error;
use codehost_oauth::gitlab::GitLab;
use codehost_oauth::setup::SetupRequest;
use codehost_oauth::testing::{FakeApplication, FakeGitLab, ScriptedTransport};
use codehost_oauth::transport::Network;
use codehost_oauth::{
    Access, AccessToken, BaseUrl, Callback, EmailEvidence, EmailTrust, Integration, IntegrationConfig, Login,
    LoginPolicy, OAuthProvider as _, TokenBinding, UserState,
};
use serde_json::{Value, json};

use crate::secrets::leak_check::LeakChecked as _;
use crate::support::RoundTrips;

fn config(base: &str) -> IntegrationConfig {
    IntegrationConfig {
        id: "demo".parse().unwrap(),
        name: "GitLab".to_owned(),
        public_url: base.parse().unwrap(),
        client_id: "my-id".to_owned(),
        client_secret: "canary-right".to_owned(),
        access: Access::SignIn,
    }
}

#[tokio::test]
async fn a_login_takes_one_round_trip() {
    let callback = "http://127.0.0.1:9000/oauth/callback/gitlab/demo";
    let app = FakeApplication::new("my-id", "canary-right", callback, "read_user openid email");
    let fake = FakeGitLab::builder().application(app).start().await.unwrap();
    let network = Network::public_only().allow_loopback_http();
    let gitlab = GitLab::new(BaseUrl::parse(fake.base_url(), &network).unwrap()).unwrap().with_id_token();
    assert_eq!(gitlab.required_scopes(&Access::Read).to_string(), "read_api read_user openid email");
    // The guide has the boxes for all that logins ask for, and an application by API has them too.
    let request =
        SetupRequest::new("http://127.0.0.1:9000".parse().unwrap(), "demo".parse().unwrap(), "Depot", Access::SignIn);
    let request = request.unwrap();
    let guide = gitlab.setup_guide(&request);
    let boxes = guide.scopes.iter().filter(|scope| scope.requested).map(|scope| scope.description.scope.as_str());
    assert_eq!(boxes.collect::<Vec<_>>(), ["read_user", "openid", "email"]);
    let http = ScriptedTransport::new();
    let binding = TokenBinding::new("demo".parse().unwrap(), gitlab.base_url().clone());
    let token = AccessToken::new("canary-right".to_owned(), &binding).unwrap();
    assert!(gitlab.create_application(&http, &token, &request).await.leak_checked().is_err());
    let body: Value = serde_json::from_slice(&http.requests()[0].body).unwrap();
    assert_eq!(body["scopes"], "read_user openid email");
    let trips = RoundTrips::new();
    let build = |policy: LoginPolicy| {
        Integration::builder(std::sync::Arc::new(gitlab.clone()), trips.clone(), config("http://127.0.0.1:9000"))
            .email_trust(EmailTrust::ThisInstance)
            .policy(policy)
            .build()
            .unwrap()
    };
    let log_in = async |integration: &Integration, user: &str| {
        let start = integration.begin_login(None).unwrap();
        let callback = fake.authorize(start.redirect_to.as_str(), user).unwrap();
        integration.finish_login(start.pending, Callback::parse(&callback).unwrap()).await.leak_checked()
    };
    let integration = build(LoginPolicy::everyone());
    let login = log_in(&integration, "alice").await.unwrap();
    assert_eq!(trips.take(), 1);
    assert_eq!((login.user.key.to_string().as_str(), login.user.state), ("gitlab:demo:2", UserState::Unknown));
    assert_eq!(login.trusted_email(), Some("alice@example.com"));
    assert_eq!((login.user.username.as_deref(), login.user.two_factor), (None, None));
    // The look-up has the same key, and more.
    let user = integration.user(&login.tokens.access_token).await.leak_checked().unwrap();
    assert_eq!((user.key == login.user.key, user.username.as_deref()), (true, Some("alice")));
    assert!(integration.refresh(login.tokens.refresh_token.as_ref().unwrap()).await.leak_checked().is_ok());
    // What the ID token does not say is a no.
    let error = log_in(&build(LoginPolicy::everyone().require_two_factor()), "alice").await.unwrap_err();
    assert_eq!(error.code(), "two_factor_unknown");
}

/// Logs in with an ID token whose claims are changed; without one if the change says so.
async fn with_claims(change: impl Fn(&mut Value) -> bool) -> Result<Login, Error> {
    let http = ScriptedTransport::new();
    let base_url = BaseUrl::parse("https://git.example.com", &Network::public_only()).unwrap();
    let gitlab = std::sync::Arc::new(GitLab::new(base_url).unwrap().with_id_token());
    let integration =
        Integration::builder(gitlab, http.clone(), config("https://packages.example.com")).build().unwrap();
    let start = integration.begin_login(None).unwrap();
    let url = url::Url::parse(start.redirect_to.as_str()).unwrap();
    let parameter = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut claims = json!({"iss": "https://git.example.com", "sub": "42", "aud": "my-id", "exp": now + 120, "iat": now,
        "nonce": parameter("nonce"), "email": "jane@example.com", "email_verified": true});
    let has_token = change(&mut claims);
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let token = format!("{}.{}.{}", part("{\"alg\":\"RS256\"}"), part(&claims.to_string()), part("signature"));
    let token = if has_token { format!(r#","id_token":"{token}""#) } else { String::new() };
    http.json("/oauth/token", format!(r#"{{"access_token":"canary-access","token_type":"Bearer"{token}}}"#));
    http.json("/api/v4/user", r#"{"id":43,"username":"jane","state":"active"}"#);
    let callback = Callback::from_parameters([("code", "canary-code"), ("state", &parameter("state"))]).unwrap();
    integration.finish_login(start.pending, callback).await.leak_checked()
}

#[tokio::test]
async fn every_claim_must_fit_the_login() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let login = with_claims(|_| true).await.unwrap();
    assert_eq!((login.user.key.subject(), login.user.emails[0].evidence), ("42", EmailEvidence::Confirmed));
    for (claim, value, fits) in [
        ("iss", json!("https://git.example.com/"), true),
        ("iss", json!("https://evil.example.com"), false),
        ("iss", Value::Null, false),
        ("aud", json!(["my-id"]), true),
        ("aud", json!(["my-id", "other"]), false),
        ("aud", json!("other"), false),
        ("aud", Value::Null, false),
        ("nonce", json!("another"), false),
        ("nonce", Value::Null, false),
        ("exp", json!(now - 20), true),
        ("exp", json!(now - 60), false),
        ("exp", json!("soon"), false),
        ("iat", json!(now + 20), true),
        ("iat", json!(now + 60), false),
        ("sub", json!("0"), false),
        ("sub", json!("jane"), false),
        ("sub", json!(42), false),
        ("email_verified", json!("yes"), true),
        ("email", json!("a@b@c"), true),
    ] {
        let changed = |claims: &mut Value| {
            claims[claim] = value.clone();
            true
        };
        let advice = with_claims(changed).await.err().map(|error| error.advice());
        assert_eq!(advice.as_ref().map(|advice| advice.code), (!fits).then_some("id_token"), "{claim} {value}");
        let hint = match claim {
            "iss" => "Set the code host's own URL as the issuer.",
            "exp" | "iat" => "Synchronize the clocks of the code host and of the app's nodes.",
            _ => "Switch the ID token off: the code host's ID tokens cannot be used.",
        };
        assert!(advice.is_none_or(|advice| advice.hint == hint), "{claim} {value}");
    }
    // A GitLab without OpenID Connect: the user is looked up.
    assert_eq!(with_claims(|_| false).await.unwrap().user.key.subject(), "43");
}
