//! Settings and secrets as they are stored.

use codehost_oauth::check::Verdict;
use codehost_oauth::settings::{AppConfig, Field, IntegrationSecrets, IntegrationSettings, OperatorSettings};
use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use codehost_oauth::transport::HttpClient;
use codehost_oauth::{BaseUrl, IntegrationId, LoginPolicy};

use super::{app, keys, secrets, settings};
use crate::support::{PUBLIC_URL, http, network};

fn id() -> IntegrationId {
    "demo".parse().unwrap()
}

/// Apps have stored this; every later version must read it.
#[test]
fn version_1_is_read() {
    let json = r#"{"version":1,"platform":"gitlab","base_url":"https://git.example.com","name":"Our GitLab",
        "access":"scopes:read_user openid","client_id":"app-id","root_certificates":"PEM","timeout_seconds":30,
        "email_trust":"this-instance","policy":{"groups":[{"path":"acme","at_least":"developer","with_subgroups":true},
        {"id":"42"}],"email_domains":["acme.example"],"require_two_factor":true,"refuse_external":true,"allow_bots":true},
        "former_base_urls":["https://old.example.com"]}"#;
    let settings: IntegrationSettings = serde_json::from_str(json).unwrap();
    let written: serde_json::Value = serde_json::to_value(&settings).unwrap();
    assert_eq!(written, serde_json::from_str::<serde_json::Value>(json).unwrap());
    assert_eq!(settings.policy.groups().len(), 2);

    let least = r#"{"version":1,"platform":"gitlab","base_url":"https://git.example.com","name":"Our GitLab",
        "access":"sign-in","client_id":"app-id"}"#;
    assert_eq!(serde_json::from_str::<IntegrationSettings>(least).unwrap(), super::settings());
}

#[test]
fn another_version_is_refused() {
    for version in ["0", "2", "255", "\"1\"", "null"] {
        let json =
            serde_json::to_string(&settings()).unwrap().replace("\"version\":1", &format!("\"version\":{version}"));
        assert!(serde_json::from_str::<IntegrationSettings>(&json).is_err(), "{version}");
    }
}

#[test]
fn a_policy_that_was_changed_by_hand_is_checked() {
    for json in [
        r#"{"groups":[{"path":"../admin"}]}"#,
        r#"{"groups":[{"path":"a","id":"1"}]}"#,
        r#"{"groups":[{}]}"#,
        r#"{"email_domains":[]}"#,
        r#"{"email_domains":["not a domain"]}"#,
        r#"{"requires_two_factor":true}"#,
    ] {
        assert!(serde_json::from_str::<LoginPolicy>(json).is_err(), "{json}");
    }
    // An empty list would let nobody in; it is refused when the integration is built.
    let mut settings = settings();
    settings.policy = serde_json::from_str(r#"{"groups":[]}"#).unwrap();
    let errors = settings.build(&id(), &secrets(), &app()).unwrap_err();
    assert_eq!(errors.of(Field::Groups).unwrap().code, "group_count");
}

#[test]
fn secrets_open_only_for_their_integration_and_base_url() {
    let sealed = secrets().seal(&keys(), &id(), "https://git.example.com").unwrap();
    assert!(IntegrationSecrets::open(&keys(), &id(), "https://git.example.com", &sealed).is_ok());
    for (id, base_url) in [("demo", "https://evil.example"), ("other", "https://git.example.com")] {
        let opened = IntegrationSecrets::open(&keys(), &id.parse().unwrap(), base_url, &sealed);
        assert_eq!(opened.unwrap_err().code(), "seal_rejected", "{id} {base_url}");
    }
    assert!(!sealed.windows(6).any(|part| part == b"canary"));
    assert_eq!(format!("{:?}", secrets()), "IntegrationSecrets([redacted])");
}

/// Each is at its field, and in the platform's own words.
#[test]
fn all_that_is_wrong_is_reported_at_once() {
    let mut settings = settings();
    settings.client_id = "a b".to_owned();
    settings.root_certificates = Some("no certificate".to_owned());
    settings.timeout_seconds = Some(0);
    let secrets = IntegrationSecrets::new("").client_certificate("no certificate").headers("Authorization: x");
    let errors = settings.build(&id(), &secrets, &app()).unwrap_err();
    let found: Vec<_> = errors.iter().map(|error| (error.field, error.label.as_str())).collect();
    assert_eq!(
        found,
        [
            (Field::ClientId, "Application ID"),
            (Field::ClientSecret, "Secret"),
            (Field::RootCertificates, "Certificate authority"),
            (Field::ClientCertificate, "Client certificate"),
            (Field::Headers, "Headers"),
            (Field::Timeout, "Time-out"),
        ]
    );
}

#[test]
fn a_setting_of_another_platform_is_reported_at_its_field() {
    let mut settings = settings();
    settings.base_url = "https://github.com".to_owned();
    let errors = settings.build(&id(), &secrets(), &app()).unwrap_err();
    assert_eq!(errors.of(Field::BaseUrl).unwrap().code, "base_url_other_platform");
}

/// What only the operator may set: here, where the app reaches the code host.
struct Reached(String);

impl OperatorSettings for Reached {
    fn http(&self, base_url: &BaseUrl, http: HttpClient) -> Result<HttpClient, codehost_oauth::error::ConfigError> {
        assert_eq!(base_url.as_str(), "https://git.example.com");
        Ok(http)
    }

    fn api_url(&self, base_url: &BaseUrl) -> Option<BaseUrl> {
        (base_url.as_str() == "https://git.example.com").then(|| BaseUrl::parse(&self.0, &network()).unwrap())
    }
}

#[tokio::test]
async fn the_operator_says_where_a_code_host_is_reached() {
    let callback = format!("{PUBLIC_URL}/oauth/callback/gitlab/demo");
    let application = FakeApplication::new("app-id", "canary-settings-client-secret", &callback, "read_user");
    let fake = FakeGitLab::builder().application(application).start().await.unwrap();
    let app =
        AppConfig::new(PUBLIC_URL.parse().unwrap(), http()).operator_settings(Reached(fake.base_url().to_owned()));
    let integration = settings().build(&id(), &secrets(), &app).unwrap();
    let report = integration.check().await;
    assert_eq!(report.verdict(), Verdict::AllRight, "{report}");
    assert!(integration.begin_login(None).unwrap().redirect_to.as_str().starts_with("https://git.example.com/"));
}

/// A tenant cannot store what fills the database.
#[test]
fn texts_and_domains_have_a_limit() {
    let mut settings = settings();
    settings.root_certificates = Some("x".repeat(32 * 1024 + 1));
    let domains: Vec<String> = (0..101).map(|n| format!("{n}.example.com")).collect();
    settings.policy = LoginPolicy::everyone().email_domains(domains.iter().map(String::as_str)).unwrap();
    let secrets = secrets().client_certificate(&"x".repeat(32 * 1024 + 1)).headers(&"X: y\n".repeat(2_000));
    let errors = settings.build(&id(), &secrets, &app()).unwrap_err();
    assert_eq!(errors.of(Field::EmailDomains).unwrap().code, "email_domain_count");
    for field in [Field::RootCertificates, Field::ClientCertificate, Field::Headers] {
        assert_eq!(errors.of(field).unwrap().code, "text_too_long", "{field}");
    }
    assert!(!errors.to_string().contains("xxx"));
}
