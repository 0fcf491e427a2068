//! Connections that are opened before their requests exist: Bitbucket's API has another host name than its token endpoint.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use codehost_oauth::error::TransportError;
use codehost_oauth::testing::FakeBitbucket;
use codehost_oauth::transport::{HttpClient, Network, Transport};
use codehost_oauth::{Integration, Login};
use http::Uri;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

use crate::support::{IntegrationSetup, RawServer, bitbucket, get, http, log_in};

/// The token response is delayed until both connections to the API are open, so a login that opens them later never ends.
#[tokio::test]
async fn connections_to_the_api_are_opened_while_the_code_is_exchanged() {
    let proxied = ProxiedBitbucket::start().await;
    let integration = proxied.integration(http());

    let login = proxied.log_in(&integration).await;
    assert_eq!(login.user.username.as_deref(), Some("jane"));
    assert_eq!(proxied.sent_before.get(), Some(&0), "nothing is sent on them before there is a token");
    assert_eq!((proxied.site.connections(), proxied.api.connections()), (1, 2));

    // The connections are reused.
    proxied.log_in(&integration).await;
    assert_eq!((proxied.site.connections(), proxied.api.connections()), (1, 2));
}

#[tokio::test]
async fn a_prepared_connection_is_used_and_carries_no_bytes_before() {
    let server = RawServer::responding("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
    let http = http();
    http.preconnect(&server.url().parse().unwrap(), 1);
    while server.connections() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((server.connections(), server.received()), (1, 0));
    assert_eq!(get(&http, &server.url(), 10).await.unwrap().body(), b"{}");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn no_connection_is_prepared_to_a_forbidden_address() {
    let server = RawServer::silent().await;
    let uri: Uri = server.url().parse().unwrap();
    for refused in [Network::public_only(), Network::any()] {
        HttpClient::builder(refused).build().unwrap().preconnect(&uri, 2);
    }
    // A permitted one comes last, and is the only one.
    http().preconnect(&uri, 1);
    while server.connections() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((server.connections(), server.received()), (1, 0));
}

/// Without a runtime no connection can be opened; that must not panic.
#[test]
fn preconnect_outside_a_runtime_does_nothing() {
    http().preconnect(&"http://127.0.0.1:1/".parse().unwrap(), 1);
}

#[tokio::test]
async fn an_open_breaker_prevents_preconnect() {
    let proxied = ProxiedBitbucket::start().await;
    let dead = FailingHttp::default();
    let integration = proxied.integration(dead.clone());
    for _ in 0..5 {
        assert_eq!(proxied.try_log_in(&integration).await.unwrap_err().code(), "timed_out");
    }
    assert_eq!(dead.0.load(Ordering::SeqCst), 5);
    proxied.try_log_in(&integration).await.unwrap_err();
    assert_eq!(dead.0.load(Ordering::SeqCst), 5);
}

/// Bitbucket with a proxy in front of each of its two host names.
struct ProxiedBitbucket {
    fake: FakeBitbucket,
    site: Proxy,
    api: Proxy,
    /// Bytes that the API had received when the token response was forwarded.
    sent_before: Arc<OnceLock<usize>>,
}

impl ProxiedBitbucket {
    async fn start() -> Self {
        let fake = bitbucket().await;
        let address = fake.base_url().strip_prefix("http://").unwrap().to_owned();
        let api = Proxy::start(&address, None).await;
        let sent_before = Arc::default();
        let gate = Gate { connections: api.connections.subscribe(), sent: Arc::clone(&api.sent) };
        let site = Proxy::start(&address, Some((gate, Arc::clone(&sent_before)))).await;
        Self { fake, site, api, sent_before }
    }

    fn integration(&self, http: impl Transport + 'static) -> Integration {
        let (site, api) = (self.site.url.clone(), self.api.url.clone());
        IntegrationSetup::new("bitbucket-cloud", "https://bitbucket.org").build_with(TwoHosts { http, site, api })
    }

    async fn try_log_in(&self, integration: &Integration) -> Result<Login, codehost_oauth::error::Error> {
        let at_fake = |url: &str| url.replacen("https://bitbucket.org", self.fake.base_url(), 1);
        log_in(integration, |url| self.fake.authorize(&at_fake(url), "jane")).await
    }

    async fn log_in(&self, integration: &Integration) -> Login {
        self.try_log_in(integration).await.unwrap()
    }
}

/// Sends requests for Bitbucket's two host names to the two proxies.
#[derive(Debug)]
struct TwoHosts<T> {
    http: T,
    site: Url,
    api: Url,
}

impl<T> TwoHosts<T> {
    fn proxy_uri(&self, uri: &Uri) -> Uri {
        let mut uri_at_proxy = if uri.host() == Some("api.bitbucket.org") { &self.api } else { &self.site }.clone();
        uri_at_proxy.set_path(uri.path());
        uri_at_proxy.set_query(uri.query());
        uri_at_proxy.as_str().parse().unwrap()
    }
}

#[async_trait]
impl<T: Transport> Transport for TwoHosts<T> {
    async fn send(
        &self,
        mut request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        *request.uri_mut() = self.proxy_uri(request.uri());
        self.http.send(request, max_body).await
    }

    fn preconnect(&self, uri: &Uri, requests: usize) {
        self.http.preconnect(&self.proxy_uri(uri), requests);
    }
}

/// Counts prepared connections and fails every request.
#[derive(Clone, Debug, Default)]
struct FailingHttp(Arc<AtomicUsize>);

#[async_trait]
impl Transport for FailingHttp {
    async fn send(&self, _: http::Request<Vec<u8>>, _: usize) -> Result<http::Response<Vec<u8>>, TransportError> {
        Err(TransportError::TimedOut)
    }

    fn preconnect(&self, _: &Uri, _: usize) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// The site forwards no response before the API has two connections.
#[derive(Clone)]
struct Gate {
    connections: watch::Receiver<usize>,
    sent: Arc<AtomicUsize>,
}

struct Proxy {
    url: Url,
    connections: watch::Sender<usize>,
    /// Bytes from the client.
    sent: Arc<AtomicUsize>,
}

impl Proxy {
    async fn start(to: &str, gate: Option<(Gate, Arc<OnceLock<usize>>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (connections, sent, to) = (watch::Sender::new(0), Arc::<AtomicUsize>::default(), to.to_owned());
        let proxy = Self { url, connections: connections.clone(), sent: Arc::clone(&sent) };
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                connections.send_modify(|count| *count += 1);
                let server = TcpStream::connect(&to).await.unwrap();
                let (from_client, mut to_client) = client.into_split();
                let (mut from_server, to_server) = server.into_split();
                tokio::spawn(forward(from_client, to_server, Arc::clone(&sent)));
                let gate = gate.clone();
                tokio::spawn(async move {
                    let mut buffer = vec![0; 65536];
                    while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
                        if let Some((gate, sent_before)) = &gate {
                            gate.connections.clone().wait_for(|count| *count >= 2).await.unwrap();
                            sent_before.get_or_init(|| gate.sent.load(Ordering::SeqCst));
                        }
                        to_client.write_all(&buffer[..count]).await.unwrap();
                    }
                });
            }
        });
        proxy
    }

    fn connections(&self) -> usize {
        *self.connections.borrow()
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: tokio::net::tcp::OwnedWriteHalf, sent: Arc<AtomicUsize>) {
    let mut buffer = vec![0; 65536];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        sent.fetch_add(count, Ordering::SeqCst);
        to.write_all(&buffer[..count]).await.unwrap();
    }
}
