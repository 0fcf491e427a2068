//! Connections that are opened before their requests can be written: Bitbucket's API is another host than the one that gives
//! tokens.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use codehost_oauth::error::TransportError;
use codehost_oauth::testing::FakeBitbucket;
use codehost_oauth::transport::{HttpClient, Network, Transport};
use codehost_oauth::{Integration, Login};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

use crate::support::{Raw, Wanted, bitbucket, get, http, log_in};

/// The token's answer is held back until both connections to the API are there, so a login that opens them later never ends.
#[tokio::test]
async fn connections_to_the_api_are_opened_while_the_code_is_exchanged() {
    let world = World::start().await;
    let integration = world.integration(http());

    let login = world.log_in(&integration).await;
    assert_eq!(login.user.username.as_deref(), Some("jane"));
    assert_eq!(world.sent_before.get(), Some(&0), "nothing is sent on them before there is a token");
    assert_eq!((world.site.connections(), world.api.connections()), (1, 2));

    // Now that there are connections, none is opened.
    world.log_in(&integration).await;
    assert_eq!((world.site.connections(), world.api.connections()), (1, 2));
}

#[tokio::test]
async fn what_is_prepared_is_used_and_nothing_is_sent_on_it() {
    let raw = Raw::saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
    let http = http();
    http.prepare(&raw.url().parse().unwrap(), 1);
    while raw.connections() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((raw.connections(), raw.received()), (1, 0));
    assert_eq!(get(&http, &raw.url(), 10).await.unwrap().body(), b"{}");
    assert_eq!(raw.connections(), 1);
}

#[tokio::test]
async fn no_connection_is_prepared_where_none_may_go() {
    let raw = Raw::silent().await;
    let url: Url = raw.url().parse().unwrap();
    for refused in [Network::public_only(), Network::any()] {
        HttpClient::builder(refused).build().unwrap().prepare(&url, 2);
    }
    // One that is allowed comes last, and is all that comes.
    http().prepare(&url, 1);
    while raw.connections() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((raw.connections(), raw.received()), (1, 0));
}

/// Without a runtime there is nothing to open them on; that is no reason to panic.
#[test]
fn preparing_outside_a_runtime_does_nothing() {
    http().prepare(&"http://127.0.0.1:1/".parse().unwrap(), 1);
}

#[tokio::test]
async fn a_code_host_that_is_left_alone_is_not_prepared_for() {
    let world = World::start().await;
    let dead = Dead::default();
    let integration = world.integration(dead.clone());
    for _ in 0..5 {
        assert_eq!(world.try_log_in(&integration).await.unwrap_err().code(), "timed_out");
    }
    assert_eq!(dead.0.load(Ordering::SeqCst), 5);
    world.try_log_in(&integration).await.unwrap_err();
    assert_eq!(dead.0.load(Ordering::SeqCst), 5);
}

/// Bitbucket with a proxy in front of each of its two hosts.
struct World {
    fake: FakeBitbucket,
    site: Proxy,
    api: Proxy,
    /// Bytes that the API had got when the token was let go.
    sent_before: Arc<OnceLock<usize>>,
}

impl World {
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
        Wanted::new("bitbucket-cloud", "https://bitbucket.org").over(TwoHosts { http, site, api })
    }

    async fn try_log_in(&self, integration: &Integration) -> Result<Login, codehost_oauth::error::Error> {
        let at_fake = |url: &str| url.replacen("https://bitbucket.org", self.fake.base_url(), 1);
        log_in(integration, |url| self.fake.authorize(&at_fake(url), "jane")).await
    }

    async fn log_in(&self, integration: &Integration) -> Login {
        self.try_log_in(integration).await.unwrap()
    }
}

/// Finds Bitbucket's two hosts at the two proxies.
#[derive(Debug)]
struct TwoHosts<T> {
    http: T,
    site: Url,
    api: Url,
}

impl<T> TwoHosts<T> {
    fn place(&self, url: &Url) -> Url {
        let mut placed = if url.host_str() == Some("api.bitbucket.org") { &self.api } else { &self.site }.clone();
        placed.set_path(url.path());
        placed.set_query(url.query());
        placed
    }
}

#[async_trait]
impl<T: Transport> Transport for TwoHosts<T> {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let url = self.place(&request.uri().to_string().parse().unwrap());
        self.http.send_to(&url, request, max_body).await
    }

    fn prepare(&self, url: &Url, requests: usize) {
        self.http.prepare(&self.place(url), requests);
    }
}

/// Counts what is prepared and answers nothing.
#[derive(Clone, Debug, Default)]
struct Dead(Arc<AtomicUsize>);

#[async_trait]
impl Transport for Dead {
    async fn send(&self, _: http::Request<Vec<u8>>, _: usize) -> Result<http::Response<Vec<u8>>, TransportError> {
        Err(TransportError::TimedOut)
    }

    fn prepare(&self, _: &Url, _: usize) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// What the site waits for before it answers: two connections to the API.
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
