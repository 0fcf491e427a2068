//! Rows T1–T6 of the threat model: what is secret is in the form and the `Authorization` header of the requests that
//! need it, and nowhere else, whatever happens.

use std::sync::Mutex;

use async_trait::async_trait;
use codehost_oauth::error::{Error, TransportError};
use codehost_oauth::testing::{FakeApplication, FakeBitbucket, FakeGitLab, RecordedRequest};
use codehost_oauth::transport::{HttpClient, Transport};
use codehost_oauth::{Callback, ClientCredentials, Integration, Login, PendingLogins, TokenSet};

use crate::support::{CLIENT_ID, Wanted, callback, callback_url, http, stored};
use crate::watch::{self, Watched as _};

const CLIENT_SECRET: &str = "canary-client-secret-5e1f";
/// What a hostile answer holds wherever it can.
const MARKER: &str = "canary-of-a-hostile-answer";

/// The secrets of one scenario.
#[derive(Clone)]
struct Canary {
    scenario: String,
    secrets: Vec<(&'static str, String)>,
}

impl Canary {
    fn new(scenario: String) -> Self {
        let secrets = vec![("client secret", CLIENT_SECRET.to_owned()), ("marker", MARKER.to_owned())];
        Self { scenario, secrets }
    }

    fn hatch(&mut self, what: &'static str, secret: &str) {
        watch::learn(what, secret);
        self.secrets.push((what, secret.to_owned()));
    }
}

/// Both fakes, to run a scenario at either.
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
        let mut wanted = match self {
            Self::GitLab(fake) => Wanted::new("gitlab", fake.base_url()),
            Self::Bitbucket(fake) => Wanted::new("bitbucket-cloud", fake.base_url()),
        };
        wanted.client = (CLIENT_ID, CLIENT_SECRET);
        wanted.over(transport)
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

fn shown_tokens(canary: &mut Canary, tokens: &TokenSet, integration: &Integration) {
    let base_url = integration.provider().base_url();
    canary.hatch("access token", tokens.access_token.expose_for(base_url).unwrap());
    canary.hatch("refresh token", tokens.refresh_token.as_ref().unwrap().expose_for(base_url).unwrap());
    watch::shown("a token set", tokens);
    watch::shown("an access token", &tokens.access_token);
    watch::shown("a refresh token", &tokens.refresh_token);
    watch::shown("a copy", &tokens.access_token.duplicate());
}

/// A whole login; `meddle` is called when the secrets of its callback are known, and before it comes back.
async fn scenario(
    canary: &mut Canary,
    fake: &Fake,
    integration: &Integration,
    meddle: impl FnOnce(&Canary, String) -> String,
) -> Result<Login, Error> {
    let start = integration.begin_login(Some("/projects".parse().unwrap())).watched().unwrap();
    canary.hatch("state", &stored(&start.pending, "state"));
    canary.hatch("verifier", &stored(&start.pending, "verifier"));
    watch::shown("a login start", &start);
    watch::shown("a pending login", &start.pending);
    watch::shown("an integration", integration);
    let uri = fake.authorize(start.redirect_to.as_str());
    let parsed = url::Url::parse(&uri).unwrap();
    let code = parsed.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    canary.hatch("code", &code);

    let uri = meddle(canary, uri);
    let mut session = PendingLogins::default();
    session.insert(start.pending);
    watch::shown("a session", &session);
    let outcome = match callback(&uri) {
        Err(error) => Err(error),
        Ok(callback) => {
            watch::shown("a callback", &callback);
            match session.take(&callback) {
                Err(error) => Err(error.into()),
                Ok(pending) => integration.finish_login(pending, callback).await.watched(),
            }
        }
    };
    match &outcome {
        Err(error) => watch::told(error),
        Ok(login) => {
            shown_tokens(canary, &login.tokens, integration);
            watch::shown("a login", login);
            watch::shown("a user", &login.user);
        }
    }
    outcome
}

#[tokio::test]
async fn a_good_login_and_refresh_show_nothing() {
    for platform in Fake::PLATFORMS {
        let fake = Fake::start(platform).await;
        let integration = fake.integration(http());
        let mut canary = Canary::new(format!("login at {platform}"));
        let login = scenario(&mut canary, &fake, &integration, |_, uri| uri).await.unwrap();
        let old = login.tokens.refresh_token.unwrap();
        let new = integration.refresh(&old).await.watched().unwrap();
        shown_tokens(&mut canary, &new, &integration);
        let user = integration.user(&new.access_token).await.watched().unwrap();
        watch::shown("a user", &user);
        let again = integration.refresh(&old).await.watched().unwrap_err();
        watch::told(&again);

        let base_url = integration.provider().base_url();
        let client = ClientCredentials::new(base_url, CLIENT_ID, CLIENT_SECRET).unwrap();
        watch::shown("credentials", &client);
        watch::shown("a builder", &Integration::builder(integration.provider().clone()).client("x", CLIENT_SECRET));
        watch::shown("a login link", &integration.login_link());
        watch::shown("an expectation", &integration.expected());
        watch::shown("a provider", integration.provider());
        watch::shown("an HTTP client", &http());
    }
}

#[tokio::test]
async fn a_verified_grant_shows_nothing() {
    let fake = Fake::start("gitlab").await;
    let integration = fake.integration(http());
    let mut canary = Canary::new("grant".to_owned());
    let start = integration.begin_login(None).watched().unwrap();
    canary.hatch("verifier", &stored(&start.pending, "verifier"));
    canary.hatch("state", &stored(&start.pending, "state"));
    let uri = fake.authorize(start.redirect_to.as_str());
    canary.hatch("code", uri.split("code=").nth(1).unwrap().split('&').next().unwrap());
    let callback = callback(&uri).unwrap();
    let grant =
        start.pending.verify(callback, &integration.expected(), std::time::SystemTime::now()).watched().unwrap();
    watch::shown("a grant", &grant);
}

/// A callback that somebody has meddled with.
#[tokio::test]
async fn refused_callbacks_show_nothing() {
    type Meddle = fn(String) -> String;
    let meddlers: [Meddle; 12] = [
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
        for (number, meddle) in meddlers.iter().enumerate() {
            let fake = Fake::start(platform).await;
            let integration = fake.integration(http());
            let mut canary = Canary::new(format!("callback {number} at {platform}"));
            scenario(&mut canary, &fake, &integration, |_, uri| meddle(uri)).await.unwrap_err();
            assert!(fake.requests().is_empty());
        }
    }
    let mut canary = Canary::new("callback alone".to_owned());
    canary.hatch("code", MARKER);
    for query in [format!("code={MARKER}"), format!("error={MARKER}&error_description={MARKER}&iss={MARKER}")] {
        let callback = Callback::from_uri(&format!("/x?{query}").parse().unwrap()).watched().unwrap();
        watch::shown("a callback", &callback);
    }
}

/// A code host that repeats everything that it was told, in every place of an answer.
#[tokio::test]
async fn hostile_answers_show_nothing() {
    let (log, _guard) = crate::observe::watch();
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
                    let mut canary = Canary::new(format!("{status} of {step} with {shape}"));
                    let outcome = scenario(&mut canary, &fake, &integration, |canary, uri| {
                        let all: Vec<&str> = canary.secrets.iter().map(|(_, secret)| secret.as_str()).collect();
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
                    // A login is one without addresses, and a look-up that is answered 401 is repeated.
                    let is_repeated = status == 401 && !step.contains("token");
                    assert!(outcome.is_err() || is_repeated || step.ends_with("emails"), "{}", canary.scenario);
                }
            }
        }
    }
}

/// Remembers how requests look to somebody who logs them, and which headers say that they must not be.
#[derive(Debug)]
struct Watching {
    inner: HttpClient,
    seen: Mutex<Vec<String>>,
}

#[async_trait]
impl Transport for Watching {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let shown = format!("{} {} {:?}", request.method(), request.uri(), request.headers());
        self.seen.lock().unwrap().push(shown);
        for value in request.headers().get_all(http::header::AUTHORIZATION) {
            assert!(value.is_sensitive(), "a header that holds a secret does not say so");
        }
        self.inner.send(request, max_body).await
    }
}

#[tokio::test]
async fn headers_with_secrets_hide_themselves() {
    for platform in Fake::PLATFORMS {
        let fake = Fake::start(platform).await;
        let watching = std::sync::Arc::new(Watching { inner: http(), seen: Mutex::default() });
        let integration = fake.integration(std::sync::Arc::clone(&watching));
        let mut canary = Canary::new(format!("headers at {platform}"));
        let login = scenario(&mut canary, &fake, &integration, |_, uri| uri).await.unwrap();
        let refresh = login.tokens.refresh_token.unwrap();
        integration.refresh(&refresh).await.watched().unwrap();
        // `Basic` is an encoding and hides nothing.
        for request in fake.requests().iter().filter_map(|request| request.header("authorization")) {
            canary.hatch("authorization", request.split(' ').nth(1).unwrap());
        }
        let seen = watching.seen.lock().unwrap().clone();
        assert_eq!(seen.len(), fake.requests().len());
        for shown in seen {
            watch::text("a request as it is logged", &shown);
        }
    }
}
