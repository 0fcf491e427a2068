//! Rows T1–T6 of the threat model: during logins and refreshes, good or failed, a secret is in the form or the `Authorization` header
//! of the requests that need it, and nowhere else.

use std::sync::Mutex;

use async_trait::async_trait;
use codehost_oauth::error::{Error, TransportError};
use codehost_oauth::testing::{FakeApplication, FakeBitbucket, FakeGitLab, RecordedRequest, verify};
use codehost_oauth::transport::{HttpClient, Transport};
use codehost_oauth::{
    Access, Callback, ClientCredentials, Integration, IntegrationConfig, Login, PendingLogins, TokenSet,
};

use crate::secrets::leak_check::{self, LeakChecked as _};
use crate::support::{CLIENT_ID, IntegrationSetup, callback, callback_url, http, stored};

const CLIENT_SECRET: &str = "canary-client-secret-5e1f";
/// Text in every member of a hostile response.
const MARKER: &str = "canary-of-a-hostile-response";

/// The secrets of one scenario.
#[derive(Clone)]
struct Secrets {
    scenario: String,
    all: Vec<(&'static str, String)>,
}

impl Secrets {
    fn new(scenario: String) -> Self {
        let all = vec![("client secret", CLIENT_SECRET.to_owned()), ("marker", MARKER.to_owned())];
        Self { scenario, all }
    }

    fn add(&mut self, what: &'static str, secret: &str) {
        leak_check::learn(what, secret);
        self.all.push((what, secret.to_owned()));
    }
}

/// Either fake.
enum Fake {
    GitLab(FakeGitLab),
    Bitbucket(FakeBitbucket),
}

impl Fake {
    const PLATFORMS: [&'static str; 2] = ["gitlab", "bitbucket-cloud"];

    async fn start(platform: &str) -> Self {
        let app = |scopes| FakeApplication::new(CLIENT_ID, CLIENT_SECRET, &callback_url(platform, "demo"), scopes);
        match platform {
            "gitlab" => Self::GitLab(FakeGitLab::builder().application(app("read_user")).start().await.unwrap()),
            _ => Self::Bitbucket(FakeBitbucket::builder().application(app("account email")).start().await.unwrap()),
        }
    }

    fn integration(&self, transport: impl Transport + 'static) -> Integration {
        let mut setup = match self {
            Self::GitLab(fake) => IntegrationSetup::new("gitlab", fake.base_url()),
            Self::Bitbucket(fake) => IntegrationSetup::new("bitbucket-cloud", fake.base_url()),
        };
        setup.client = (CLIENT_ID, CLIENT_SECRET);
        setup.build_with(transport)
    }

    fn authorize(&self, url: &str) -> String {
        match self {
            Self::GitLab(fake) => fake.authorize(url, "alice"),
            Self::Bitbucket(fake) => fake.authorize(url, "jane"),
        }
        .unwrap()
    }

    fn requests(&self) -> Vec<RecordedRequest> {
        match self {
            Self::GitLab(fake) => fake.requests(),
            Self::Bitbucket(fake) => fake.requests(),
        }
    }

    fn respond_next(&self, step: &str, status: u16, headers: &[(&str, &str)], body: &str) {
        match self {
            Self::GitLab(fake) => fake.respond_next(step, status, headers, body),
            Self::Bitbucket(fake) => fake.respond_next(step, status, headers, body),
        }
    }

    /// The endpoints of a login.
    fn steps(platform: &str) -> &'static [&'static str] {
        if platform == "gitlab" {
            &["/oauth/token", "/api/v4/user"]
        } else {
            &["/access_token", "/2.0/user", "/2.0/user/emails"]
        }
    }
}

fn check_tokens(secrets: &mut Secrets, tokens: &TokenSet, integration: &Integration) {
    let base_url = integration.provider().base_url();
    secrets.add("access token", tokens.access_token.expose_for(base_url).unwrap());
    secrets.add("refresh token", tokens.refresh_token.as_ref().unwrap().expose_for(base_url).unwrap());
    leak_check::debug("a token set", tokens);
    leak_check::debug("an access token", &tokens.access_token);
    leak_check::debug("a refresh token", &tokens.refresh_token);
    leak_check::debug("a copy", &tokens.access_token.duplicate());
}

/// A whole login; `change` may change the callback URL, when its secrets are known.
async fn scenario(
    secrets: &mut Secrets,
    fake: &Fake,
    integration: &Integration,
    change: impl FnOnce(&Secrets, String) -> String,
) -> Result<Login, Error> {
    let start = integration.begin_login(Some("/projects".parse().unwrap())).leak_checked().unwrap();
    secrets.add("state", &stored(&start.pending, "state"));
    secrets.add("verifier", &stored(&start.pending, "verifier"));
    leak_check::debug("a login start", &start);
    leak_check::debug("a pending login", &start.pending);
    leak_check::debug("an integration", integration);
    let uri = fake.authorize(start.redirect_to.as_str());
    let parsed = url::Url::parse(&uri).unwrap();
    let code = parsed.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    secrets.add("code", &code);

    let uri = change(secrets, uri);
    let mut session = PendingLogins::default();
    session.insert(start.pending);
    leak_check::debug("a session", &session);
    let outcome = match callback(&uri) {
        Err(error) => Err(error),
        Ok(callback) => {
            leak_check::debug("a callback", &callback);
            match session.take(&callback) {
                Err(error) => Err(error.into()),
                Ok(pending) => integration.finish_login(pending, callback).await.leak_checked(),
            }
        }
    };
    match &outcome {
        Err(error) => leak_check::error(error),
        Ok(login) => {
            check_tokens(secrets, &login.tokens, integration);
            leak_check::debug("a login", login);
            leak_check::debug("a user", &login.user);
        }
    }
    outcome
}

#[tokio::test]
async fn a_good_login_and_refresh_show_no_secret() {
    for platform in Fake::PLATFORMS {
        let fake = Fake::start(platform).await;
        let integration = fake.integration(http());
        let mut secrets = Secrets::new(format!("login at {platform}"));
        let login = scenario(&mut secrets, &fake, &integration, |_, uri| uri).await.unwrap();
        let old = login.tokens.refresh_token.unwrap();
        let new = integration.refresh(&old).await.leak_checked().unwrap();
        check_tokens(&mut secrets, &new, &integration);
        let user = integration.user(&new.access_token).await.leak_checked().unwrap();
        leak_check::debug("a user", &user);
        let again = integration.refresh(&old).await.leak_checked().unwrap_err();
        leak_check::error(&again);

        let base_url = integration.provider().base_url();
        let client = ClientCredentials::new(base_url, CLIENT_ID, CLIENT_SECRET).unwrap();
        leak_check::debug("credentials", &client);
        let config = IntegrationConfig {
            id: "demo".parse().unwrap(),
            name: "Demo".to_owned(),
            public_url: "https://packages.example.com".parse().unwrap(),
            client_id: "x".to_owned(),
            client_secret: CLIENT_SECRET.to_owned(),
            access: Access::SignIn,
        };
        leak_check::debug("a config", &config);
        leak_check::debug("a builder", &Integration::builder(integration.provider().clone(), http(), config));
        leak_check::debug("a login link", &integration.login_link());
        leak_check::debug("a provider", integration.provider());
        leak_check::debug("an HTTP client", &http());
    }
}

#[tokio::test]
async fn debug_of_a_verified_grant_shows_no_secret() {
    let fake = Fake::start("gitlab").await;
    let integration = fake.integration(http());
    let mut secrets = Secrets::new("grant".to_owned());
    let start = integration.begin_login(None).leak_checked().unwrap();
    secrets.add("verifier", &stored(&start.pending, "verifier"));
    secrets.add("state", &stored(&start.pending, "state"));
    let uri = fake.authorize(start.redirect_to.as_str());
    secrets.add("code", uri.split("code=").nth(1).unwrap().split('&').next().unwrap());
    let callback = callback(&uri).unwrap();
    let grant = verify(&integration, start.pending, callback, std::time::SystemTime::now()).leak_checked().unwrap();
    leak_check::debug("a grant", &grant);
}

/// Callbacks that were changed on their way.
#[tokio::test]
async fn refused_callbacks_show_no_secret() {
    type Change = fn(String) -> String;
    let changes: [Change; 12] = [
        |uri| uri.replace("state=", "state=x"),
        |uri| uri.replace("state=", "no="),
        |uri| uri.replace("code=", "no="),
        |uri| format!("{uri}&error={MARKER}"),
        |uri| format!("{uri}&code={MARKER}"),
        |uri| format!("{uri}&state={MARKER}"),
        |uri| format!("{uri}&access_token={MARKER}"),
        |uri| format!("{uri}&iss=https://{MARKER}"),
        |uri| format!("{uri}&{MARKER}=%FF"),
        |uri| uri.replace("code=", &format!("error={MARKER}&error_description={MARKER}&no=")),
        |uri| uri.replace("code=", "code=%20"),
        |uri| uri.replace("/demo?", "/other?"),
    ];
    for platform in Fake::PLATFORMS {
        for (number, change) in changes.iter().enumerate() {
            let fake = Fake::start(platform).await;
            let integration = fake.integration(http());
            let mut secrets = Secrets::new(format!("callback {number} at {platform}"));
            scenario(&mut secrets, &fake, &integration, |_, uri| change(uri)).await.unwrap_err();
            assert!(fake.requests().is_empty());
        }
    }
    let mut secrets = Secrets::new("callback alone".to_owned());
    secrets.add("code", MARKER);
    for query in [format!("code={MARKER}"), format!("error={MARKER}&error_description={MARKER}&iss={MARKER}")] {
        let callback = Callback::from_uri(&format!("/x?{query}").parse().unwrap()).leak_checked().unwrap();
        leak_check::debug("a callback", &callback);
    }
}

/// A code host that repeats every secret that it knows in every place of a response.
#[tokio::test]
async fn hostile_responses_show_no_secret() {
    let (log, _guard) = crate::login::observe::capture_log();
    let http = http();
    for platform in Fake::PLATFORMS {
        for step in Fake::steps(platform) {
            for status in [200, 201, 204, 301, 307, 400, 401, 403, 404, 410, 418, 429, 500, 503] {
                for (media, shape) in [
                    ("application/json", r#"{"error":"$","error_description":"$","message":"$","scope":"$"}"#),
                    ("application/json", r#"{"error":{"message":"$","detail":{"required":["$"],"granted":["$"]}}}"#),
                    ("application/json", r#"{"error":["$"],"message":{"$":"$"},"error_description":7}"#),
                    ("application/json", r#"{"access_token":["$"],"token_type":"bearer","id":"$","values":"$"}"#),
                    ("application/json", r#"{"access_token":"a $","token_type":"bearer","id":1.5,"uuid":"$"}"#),
                    ("application/json", r#"{"access_token":"abcdefgh","token_type":"$","uuid":["$"]}"#),
                    ("application/json", r#"{"access_token":"abcdefgh","token_type":"bearer","scope":"\u0000$"}"#),
                    ("application/json", r#"{"access_token":"abcdefgh","token_type":"bearer","refresh_token":"$ $"}"#),
                    ("application/json", r#"{"$":"#),
                    ("application/json", r#""$""#),
                    ("text/html", "<h1>$</h1>"),
                    ("text/plain; $", "$"),
                ] {
                    let fake = Fake::start(platform).await;
                    let integration = fake.integration(http.clone());
                    let mut secrets = Secrets::new(format!("{status} of {step} with {shape}"));
                    let outcome = scenario(&mut secrets, &fake, &integration, |secrets, uri| {
                        let all: Vec<&str> = secrets.all.iter().map(|(_, secret)| secret.as_str()).collect();
                        let all = all.join("-");
                        let media = media.replace('$', &all);
                        let location = format!("https://evil.test/{all}?code={all}#{all}");
                        let headers = [
                            ("Content-Type", media.as_str()),
                            ("Location", &location),
                            ("WWW-Authenticate", &all),
                            ("X-Request-Id", &all),
                            ("Retry-After", &all),
                            ("Set-Cookie", &all),
                            ("X-OAuth-Scopes", &all),
                        ];
                        fake.respond_next(step, status, &headers, &shape.replace('$', &all));
                        uri
                    })
                    .await;
                    assert!(log.text().contains("operation=\"finish_login\""));
                    log.clear();
                    // A login succeeds without addresses, and a lookup is repeated after 401.
                    let is_repeated = status == 401 && !step.contains("token");
                    assert!(outcome.is_err() || is_repeated || step.ends_with("emails"), "{}", secrets.scenario);
                }
            }
        }
    }
}

/// Records the `Debug` of each request, and asserts that secret headers are marked as sensitive.
#[derive(Debug)]
struct RecordingTransport {
    inner: HttpClient,
    requests: Mutex<Vec<String>>,
}

#[async_trait]
impl Transport for RecordingTransport {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let text = format!("{} {} {:?}", request.method(), request.uri(), request.headers());
        self.requests.lock().unwrap().push(text);
        for value in request.headers().get_all(http::header::AUTHORIZATION) {
            assert!(value.is_sensitive(), "a header with a secret is not marked as sensitive");
        }
        self.inner.send(request, max_body).await
    }
}

#[tokio::test]
async fn headers_with_secrets_are_marked_as_sensitive() {
    for platform in Fake::PLATFORMS {
        let fake = Fake::start(platform).await;
        let recording = std::sync::Arc::new(RecordingTransport { inner: http(), requests: Mutex::default() });
        let integration = fake.integration(std::sync::Arc::clone(&recording));
        let mut secrets = Secrets::new(format!("headers at {platform}"));
        let login = scenario(&mut secrets, &fake, &integration, |_, uri| uri).await.unwrap();
        let refresh = login.tokens.refresh_token.unwrap();
        integration.refresh(&refresh).await.leak_checked().unwrap();
        // `Basic` is an encoding, not encryption.
        for request in fake.requests().iter().filter_map(|request| request.header("authorization")) {
            secrets.add("authorization", request.split(' ').nth(1).unwrap());
        }
        let requests = recording.requests.lock().unwrap().clone();
        assert_eq!(requests.len(), fake.requests().len());
        for text in requests {
            leak_check::text("a request in a log", &text);
        }
    }
}
