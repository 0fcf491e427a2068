//! Shared by several subjects: integrations at the fakes, and servers whose responses a test chooses.

pub(crate) mod canned_http;
pub(crate) mod doorkeeper;
pub(crate) mod fixture;
pub(crate) mod network_programs;
pub(crate) mod port;
pub(crate) mod programs;
pub(crate) mod schema;
pub(crate) mod scripted;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::secrets::leak_check::{self, LeakChecked as _};
use codehost_oauth::error::{Error, TransportError};
use codehost_oauth::interop::ReqwestTransport;
use codehost_oauth::testing::{FakeApplication, FakeBitbucket, FakeGitLab};
use codehost_oauth::transport::{HttpClient, Network, Transport};
use codehost_oauth::{
    Access, BaseUrl, Callback, Integration, IntegrationConfig, Login, PendingLogin, PendingLogins, Platform,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

pub(crate) const PUBLIC_URL: &str = "http://127.0.0.1:9000";
pub(crate) const CLIENT_ID: &str = "demo-client";
pub(crate) const CLIENT_SECRET: &str = "canary-demo-secret";

pub(crate) fn network() -> Network {
    leak_check::start();
    Network::public_only().allow_loopback_http()
}

pub(crate) fn http() -> HttpClient {
    HttpClient::builder(network()).build().unwrap()
}

/// Both transports of the crate, for what both promise.
pub(crate) fn transports(timeout: Duration) -> [Arc<dyn Transport>; 2] {
    [Arc::new(http().with_timeout(Some(timeout))), Arc::new(reqwest_transport().with_timeout(timeout))]
}

/// An app's own client with the right settings.
pub(crate) fn reqwest_transport() -> ReqwestTransport {
    leak_check::start();
    ReqwestTransport::new(reqwest_builder().build().unwrap()).unwrap()
}

/// No proxy, because the tests may run where the environment names one, and no certificates of the system, which take long to
/// read.
pub(crate) fn reqwest_builder() -> reqwest::ClientBuilder {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    client.no_gzip().no_brotli().no_deflate().no_zstd().no_proxy().tls_certs_only([])
}

/// An address that no server listens on. It is kept until the tests end, so that no other test is given its port; a
/// program that sets `SO_REUSEADDR`, as tokio does, can still listen there.
pub(crate) fn free_address() -> SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    std::mem::forget(socket);
    address
}

/// The callback URL of an integration of the app at [`PUBLIC_URL`].
pub(crate) fn callback_url(platform: &str, id: &str) -> String {
    format!("{PUBLIC_URL}/oauth/callback/{platform}/{id}")
}

pub(crate) fn application(platform: &str, id: &str, scopes: &str) -> FakeApplication {
    FakeApplication::new(CLIENT_ID, CLIENT_SECRET, &callback_url(platform, id), scopes)
}

/// A GitLab with the application of the integration `demo`.
pub(crate) async fn gitlab() -> FakeGitLab {
    FakeGitLab::builder().application(application("gitlab", "demo", "read_user read_api api")).start().await.unwrap()
}

/// A Bitbucket with the application of the integration `demo`.
pub(crate) async fn bitbucket() -> FakeBitbucket {
    let scopes = "account email team repository pullrequest webhook pullrequest:write";
    FakeBitbucket::builder().application(application("bitbucket-cloud", "demo", scopes)).start().await.unwrap()
}

/// The settings of an integration that differ between tests; by default [`PUBLIC_URL`] and `Access::SignIn`.
pub(crate) struct IntegrationSetup<'a> {
    pub(crate) platform: &'a str,
    pub(crate) base_url: &'a str,
    pub(crate) id: &'a str,
    pub(crate) client: (&'a str, &'a str),
    pub(crate) access: Access,
}

impl<'a> IntegrationSetup<'a> {
    pub(crate) fn new(platform: &'a str, base_url: &'a str) -> Self {
        Self { platform, base_url, id: "demo", client: (CLIENT_ID, CLIENT_SECRET), access: Access::SignIn }
    }

    pub(crate) fn build(self) -> Integration {
        self.build_with(http())
    }

    pub(crate) fn build_with(self, transport: impl Transport + 'static) -> Integration {
        let base_url = BaseUrl::parse(self.base_url, &network()).unwrap();
        Integration::builder(
            Platform::find(self.platform).unwrap().provider(base_url).unwrap(),
            transport,
            IntegrationConfig {
                id: self.id.parse().unwrap(),
                name: "Demo".to_owned(),
                public_url: PUBLIC_URL.parse().unwrap(),
                client_id: self.client.0.to_owned(),
                client_secret: self.client.1.to_owned(),
                access: self.access,
            },
        )
        .build()
        .unwrap()
    }
}

pub(crate) fn at_gitlab(gitlab: &FakeGitLab) -> Integration {
    IntegrationSetup::new("gitlab", gitlab.base_url()).build()
}

pub(crate) fn at_bitbucket(bitbucket: &FakeBitbucket) -> Integration {
    IntegrationSetup::new("bitbucket-cloud", bitbucket.base_url()).build()
}

/// A whole login, in which `authorize` turns the authorization URL into the callback URL.
pub(crate) async fn log_in<E: std::fmt::Debug>(
    integration: &Integration,
    authorize: impl FnOnce(&str) -> Result<String, E>,
) -> Result<Login, Error> {
    let start = integration.begin_login(None).leak_checked()?;
    let mut session = PendingLogins::default();
    session.insert(start.pending);
    let callback = callback(&authorize(start.redirect_to.as_str()).unwrap())?;
    let pending = session.take(&callback)?;
    integration.finish_login(pending, callback).await.leak_checked()
}

/// The callback of a whole URL or of a path with its query.
pub(crate) fn callback(url: &str) -> Result<Callback, Error> {
    Callback::from_uri(&url.parse().unwrap()).leak_checked().map_err(Error::from)
}

/// A member of a pending login in its stored form, the only form that shows its values.
pub(crate) fn stored(pending: &PendingLogin, member: &str) -> String {
    let text = serde_json::to_value(pending).unwrap()[member].as_str().unwrap().to_owned();
    match member {
        "state" => leak_check::learn("state", &text),
        "verifier" => leak_check::learn("verifier", &text),
        _ => {}
    }
    text
}

/// Counts round trips that wait for each other, without a clock: the number of a request is one more than that of the last
/// request that was complete when it began.
#[derive(Clone, Debug)]
pub(crate) struct RoundTrips(HttpClient, Arc<AtomicUsize>);

impl RoundTrips {
    pub(crate) fn new() -> Self {
        Self(http(), Arc::default())
    }

    /// The number of round trips so far; resets it to zero.
    pub(crate) fn take(&self) -> usize {
        self.1.swap(0, Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl Transport for RoundTrips {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let number = self.1.load(Ordering::SeqCst) + 1;
        let response = self.0.send(request, max_body).await;
        self.1.fetch_max(number, Ordering::SeqCst);
        response
    }
}

/// A server on a raw socket. Counts connections and received bytes.
pub(crate) struct RawServer {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    received: Arc<AtomicUsize>,
}

/// A connection to a [`RawServer`], whose request was read.
pub(crate) type Connection = TcpStream;

impl RawServer {
    /// Reads each request and then calls `respond`.
    pub(crate) async fn start<F, A>(respond: A) -> Self
    where
        A: Fn(Connection) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server =
            Self { address: listener.local_addr().unwrap(), connections: Arc::default(), received: Arc::default() };
        let (connections, received, respond) =
            (Arc::clone(&server.connections), Arc::clone(&server.received), Arc::new(respond));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                let (received, respond) = (Arc::clone(&received), Arc::clone(&respond));
                tokio::spawn(async move {
                    let mut buffer = vec![0; 65536];
                    let Ok(count) = stream.read(&mut buffer).await else { return };
                    received.fetch_add(count, Ordering::SeqCst);
                    respond(stream).await;
                });
            }
        });
        server
    }

    /// Sends these bytes as the response to every request and closes the connection.
    pub(crate) async fn responding(response: impl Into<Vec<u8>>) -> Self {
        let response: Arc<[u8]> = response.into().into();
        Self::start(move |mut stream| {
            let response = Arc::clone(&response);
            async move {
                let _ = stream.write_all(&response).await;
                let _ = stream.shutdown().await;
            }
        })
        .await
    }

    /// Reads requests and never responds.
    pub(crate) async fn silent() -> Self {
        Self::start(|stream| async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            drop(stream);
        })
        .await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn https_url(&self) -> String {
        format!("https://{}/", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn received(&self) -> usize {
        self.received.load(Ordering::SeqCst)
    }
}

/// Sends `GET url` and reads at most `max_body` bytes of the response.
pub(crate) async fn get(
    http: &dyn Transport,
    url: &str,
    max_body: usize,
) -> Result<http::Response<Vec<u8>>, TransportError> {
    http.send(http::Request::get(url).body(Vec::new()).unwrap(), max_body).await.leak_checked()
}
