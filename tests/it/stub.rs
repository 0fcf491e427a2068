//! A transport that answers from a function, and integrations to try it with.

use std::fmt;
use std::sync::{Arc, Mutex};

use crate::watch::{self, Watched as _};
use codehost_oauth::error::TransportError;
use codehost_oauth::transport::{HttpClient, Network, Transport};
use codehost_oauth::{
    Access, AccessToken, BaseUrl, Callback, Integration, IntegrationBuilder, Login, Origin, PendingLogins, Platform,
    RefreshToken, TokenSet,
};

pub(crate) type Answer = Result<http::Response<Vec<u8>>, TransportError>;
type React = dyn Fn(&http::Request<Vec<u8>>) -> Answer + Send + Sync;

/// Answers every request from a function and keeps it.
#[derive(Clone)]
pub(crate) struct Stub {
    react: Arc<React>,
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl Stub {
    pub(crate) fn new(react: impl Fn(&http::Request<Vec<u8>>) -> Answer + Send + Sync + 'static) -> Self {
        Self { react: Arc::new(react), seen: Arc::default() }
    }

    /// `METHOD URL` of each request, in order.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(url, _)| url.clone()).collect()
    }

    /// The body of the last request.
    pub(crate) fn last_body(&self) -> String {
        self.seen.lock().unwrap().last().map(|(_, body)| body.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Stub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stub")
    }
}

#[async_trait::async_trait]
impl Transport for Stub {
    async fn send(&self, request: http::Request<Vec<u8>>, _: usize) -> Answer {
        watch::sent(&request);
        let line = format!("{} {}", request.method(), request.uri());
        let body = String::from_utf8_lossy(request.body()).into_owned();
        self.seen.lock().unwrap().push((line, body));
        (self.react)(&request)
    }
}

pub(crate) fn json(status: u16, body: &str) -> Answer {
    answer(status, &[("content-type", "application/json; charset=utf-8")], body)
}

pub(crate) fn html(status: u16) -> Answer {
    answer(status, &[("content-type", "text/html")], "<!DOCTYPE html><title>Something</title>")
}

pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Ok(response.body(body.as_bytes().to_vec()).unwrap())
}

/// An integration that talks to a fake over a socket.
pub(crate) fn live(platform: &str, base_url: &str, secret: &str) -> IntegrationBuilder {
    builder(platform, base_url, secret).transport(client())
}

/// An integration that reaches nothing. A client is not made for nothing: it reads the system's certificates.
pub(crate) fn builder(platform: &str, base_url: &str, secret: &str) -> IntegrationBuilder {
    let base_url = BaseUrl::parse(base_url, &network()).unwrap();
    let provider = Platform::find(platform).unwrap().at(base_url).unwrap();
    Integration::builder(provider)
        .id("demo".parse().unwrap())
        .name("Demo")
        .host("http://127.0.0.1:9000".parse().unwrap())
        .client("my-id", secret)
        .access(Access::Read)
        .transport(Stub::new(|_| Err(TransportError::Refused)))
}

pub(crate) fn network() -> Network {
    watch::on();
    Network::public_only().allow_loopback_http()
}

pub(crate) fn client() -> HttpClient {
    HttpClient::builder(network()).build().unwrap()
}

/// Tokens of an integration that [`builder`] made.
pub(crate) fn tokens(integration: &Integration, refresh: bool) -> TokenSet {
    let origin = Origin::new(integration.id().clone(), integration.provider().base_url().clone());
    let mut tokens = TokenSet::new(AccessToken::new("canary-access-secret".to_owned(), &origin).unwrap());
    tokens.refresh_token = refresh.then(|| RefreshToken::new("canary-refresh-secret".to_owned(), &origin).unwrap());
    tokens
}

/// A whole login, in which `person` turns the authorization URL into the callback.
pub(crate) async fn log_in(
    integration: &Integration,
    person: impl FnOnce(&str) -> String,
) -> Result<Login, codehost_oauth::error::Error> {
    let start = integration.begin_login(None).watched()?;
    let mut session = PendingLogins::default();
    session.insert(start.pending);
    let uri = person(start.redirect_to.as_str()).parse().unwrap();
    let callback = Callback::from_uri(&uri).watched()?;
    let pending = session.take(&callback)?;
    integration.finish_login(pending, callback).await.watched()
}
