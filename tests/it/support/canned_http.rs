//! A transport whose responses come from a function, and integrations that use it.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::secrets::leak_check::{self, LeakChecked as _};
use codehost_oauth::error::{ConfigError, TransportError};
use codehost_oauth::transport::{HttpClient, Network, Transport};
use codehost_oauth::{
    Access, AccessToken, BaseUrl, Callback, EmailTrust, Group, Integration, IntegrationBuilder, IntegrationConfig,
    IntegrationId, Login, LoginPolicy, OAuthProvider, PendingLogins, Platform, RefreshToken, TokenBinding, TokenSet,
};

pub(crate) type Outcome = Result<http::Response<Vec<u8>>, TransportError>;
type Respond = dyn Fn(&http::Request<Vec<u8>>) -> Outcome + Send + Sync;

/// Takes the response to every request from a function, and records the requests.
#[derive(Clone)]
pub(crate) struct CannedHttp {
    respond: Arc<Respond>,
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl CannedHttp {
    pub(crate) fn new(respond: impl Fn(&http::Request<Vec<u8>>) -> Outcome + Send + Sync + 'static) -> Self {
        Self { respond: Arc::new(respond), requests: Arc::default() }
    }

    /// `METHOD URL` of each request, in order.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(|(url, _)| url.clone()).collect()
    }

    /// The body of the last request.
    pub(crate) fn last_body(&self) -> String {
        self.requests.lock().unwrap().last().map(|(_, body)| body.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for CannedHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CannedHttp")
    }
}

#[async_trait::async_trait]
impl Transport for CannedHttp {
    async fn send(&self, request: http::Request<Vec<u8>>, _: usize) -> Outcome {
        leak_check::request(&request);
        let line = format!("{} {}", request.method(), request.uri());
        let body = String::from_utf8_lossy(request.body()).into_owned();
        self.requests.lock().unwrap().push((line, body));
        (self.respond)(&request)
    }
}

pub(crate) fn json(status: u16, body: &str) -> Outcome {
    response(status, &[("content-type", "application/json; charset=utf-8")], body)
}

pub(crate) fn html(status: u16) -> Outcome {
    response(status, &[("content-type", "text/html")], "<!DOCTYPE html><title>Something</title>")
}

pub(crate) fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Outcome {
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Ok(response.body(body.as_bytes().to_vec()).unwrap())
}

/// An integration that talks to a fake over a socket.
pub(crate) fn live(platform: &str, base_url: &str, secret: &str) -> TestIntegration {
    builder(platform, base_url, secret).transport(client())
}

/// An integration that connects to no server. It has no `HttpClient`, because building one reads the system's certificates.
pub(crate) fn builder(platform: &str, base_url: &str, secret: &str) -> TestIntegration {
    let base_url = BaseUrl::parse(base_url, &network()).unwrap();
    TestIntegration {
        provider: Platform::find(platform).unwrap().provider(base_url).unwrap(),
        http: Arc::new(CannedHttp::new(|_| Err(TransportError::Unreachable))),
        config: IntegrationConfig {
            id: "demo".parse().unwrap(),
            name: "Demo".to_owned(),
            public_url: "http://127.0.0.1:9000".parse().unwrap(),
            client_id: "my-id".to_owned(),
            client_secret: secret.to_owned(),
            access: Access::Read,
        },
        settings: Vec::new(),
    }
}

/// The settings of an integration, each of which a test can change.
pub(crate) struct TestIntegration {
    provider: Arc<dyn OAuthProvider>,
    http: Arc<dyn Transport>,
    config: IntegrationConfig,
    settings: Vec<Setting>,
}

type Setting = Box<dyn FnOnce(IntegrationBuilder) -> IntegrationBuilder + Send>;

impl TestIntegration {
    pub(crate) fn transport(self, http: impl Transport + 'static) -> Self {
        Self { http: Arc::new(http), ..self }
    }

    pub(crate) fn id(mut self, id: IntegrationId) -> Self {
        self.config.id = id;
        self
    }

    pub(crate) fn credentials(mut self, client_id: &str, client_secret: &str) -> Self {
        self.config.client_id = client_id.to_owned();
        self.config.client_secret = client_secret.to_owned();
        self
    }

    pub(crate) fn access(mut self, access: Access) -> Self {
        self.config.access = access;
        self
    }

    pub(crate) fn max_in_flight(self, limit: usize) -> Self {
        self.with(move |builder| builder.max_in_flight(limit))
    }

    pub(crate) fn login_deadline(self, deadline: Duration) -> Self {
        self.with(move |builder| builder.login_deadline(deadline))
    }

    pub(crate) fn email_trust(self, trust: EmailTrust) -> Self {
        self.with(move |builder| builder.email_trust(trust))
    }

    pub(crate) fn require_group(self, group: Group) -> Self {
        self.policy(LoginPolicy::members_of([group]))
    }

    pub(crate) fn policy(self, policy: LoginPolicy) -> Self {
        self.with(move |builder| builder.policy(policy))
    }

    fn with(mut self, setting: impl FnOnce(IntegrationBuilder) -> IntegrationBuilder + Send + 'static) -> Self {
        self.settings.push(Box::new(setting));
        self
    }

    pub(crate) fn build(self) -> Result<Integration, ConfigError> {
        let builder = Integration::builder(self.provider, self.http, self.config);
        self.settings.into_iter().fold(builder, |builder, setting| setting(builder)).build()
    }
}

pub(crate) fn network() -> Network {
    leak_check::start();
    Network::public_only().allow_loopback_http()
}

pub(crate) fn client() -> HttpClient {
    HttpClient::builder(network()).build().unwrap()
}

/// Tokens of an integration that [`builder`] made.
pub(crate) fn tokens(integration: &Integration, refresh: bool) -> TokenSet {
    let binding = TokenBinding::new(integration.id().clone(), integration.provider().base_url().clone());
    let mut tokens = TokenSet::new(AccessToken::new("canary-access-secret".to_owned(), &binding).unwrap());
    tokens.refresh_token = refresh.then(|| RefreshToken::new("canary-refresh-secret".to_owned(), &binding).unwrap());
    tokens
}

/// A whole login, in which `authorize` turns the authorization URL into the callback URL.
pub(crate) async fn log_in(
    integration: &Integration,
    authorize: impl FnOnce(&str) -> String,
) -> Result<Login, codehost_oauth::error::Error> {
    let start = integration.begin_login(None).leak_checked()?;
    let mut session = PendingLogins::default();
    session.insert(start.pending);
    let uri = authorize(start.redirect_to.as_str()).parse().unwrap();
    let callback = Callback::from_uri(&uri).leak_checked()?;
    let pending = session.take(&callback)?;
    integration.finish_login(pending, callback).await.leak_checked()
}
