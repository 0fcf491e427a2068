//! What several subjects share: integrations at the fakes, and servers that say what a test wants.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::watch::{self, Watched as _};
use codehost_oauth::error::{Error, TransportError};
use codehost_oauth::testing::{FakeApplication, FakeBitbucket, FakeGitLab};
use codehost_oauth::transport::{HttpClient, Network, Transport};
use codehost_oauth::{Access, BaseUrl, Callback, Integration, Login, PendingLogin, PendingLogins, Platform};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

pub(crate) const HOST: &str = "http://127.0.0.1:9000";
pub(crate) const CLIENT_ID: &str = "demo-client";
pub(crate) const CLIENT_SECRET: &str = "canary-demo-secret";

pub(crate) fn network() -> Network {
    watch::on();
    Network::public_only().allow_loopback_http()
}

pub(crate) fn http() -> HttpClient {
    HttpClient::builder(network()).build().unwrap()
}

/// An address at which nobody listens. It is kept until the tests end, so that no other test is given its port; a
/// program that sets `SO_REUSEADDR`, as tokio does, can still listen there.
pub(crate) fn free_address() -> SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    std::mem::forget(socket);
    address
}

/// The callback URL of an integration of [`HOST`].
pub(crate) fn callback_url(platform: &str, id: &str) -> String {
    format!("{HOST}/oauth/callback/{platform}/{id}")
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

/// An integration with what differs between tests; the rest is [`HOST`] and `Access::SignIn`.
pub(crate) struct Wanted<'a> {
    pub(crate) platform: &'a str,
    pub(crate) base_url: &'a str,
    pub(crate) id: &'a str,
    pub(crate) client: (&'a str, &'a str),
    pub(crate) access: Access,
}

impl<'a> Wanted<'a> {
    pub(crate) fn new(platform: &'a str, base_url: &'a str) -> Self {
        Self { platform, base_url, id: "demo", client: (CLIENT_ID, CLIENT_SECRET), access: Access::SignIn }
    }

    pub(crate) fn build(self) -> Integration {
        self.over(http())
    }

    pub(crate) fn over(self, transport: impl Transport + 'static) -> Integration {
        let base_url = BaseUrl::parse(self.base_url, &network()).unwrap();
        Integration::builder(Platform::find(self.platform).unwrap().at(base_url).unwrap())
            .id(self.id.parse().unwrap())
            .name("Demo")
            .host(HOST.parse().unwrap())
            .client(self.client.0, self.client.1)
            .access(self.access)
            .transport(transport)
            .build()
            .unwrap()
    }
}

pub(crate) fn at_gitlab(gitlab: &FakeGitLab) -> Integration {
    Wanted::new("gitlab", gitlab.base_url()).build()
}

pub(crate) fn at_bitbucket(bitbucket: &FakeBitbucket) -> Integration {
    Wanted::new("bitbucket-cloud", bitbucket.base_url()).build()
}

/// A login by somebody who does at the authorization page what `person` says.
pub(crate) async fn log_in<E: std::fmt::Debug>(
    integration: &Integration,
    person: impl FnOnce(&str) -> Result<String, E>,
) -> Result<Login, Error> {
    let start = integration.begin_login(None).watched()?;
    let mut session = PendingLogins::default();
    session.insert(start.pending);
    let callback = callback(&person(start.redirect_to.as_str()).unwrap())?;
    let pending = session.take(&callback)?;
    integration.finish_login(pending, callback).await.watched()
}

/// The callback of a whole URL or of a path with its query.
pub(crate) fn callback(url: &str) -> Result<Callback, Error> {
    Callback::from_uri(&url.parse().unwrap()).watched().map_err(Error::from)
}

/// A member of a pending login as it is stored: the only way to see what it holds.
pub(crate) fn stored(pending: &PendingLogin, member: &str) -> String {
    let text = serde_json::to_value(pending).unwrap()[member].as_str().unwrap().to_owned();
    match member {
        "state" => watch::learn("state", &text),
        "verifier" => watch::learn("verifier", &text),
        _ => {}
    }
    text
}

/// Counts round trips that wait for each other, without a clock: a request is one more than those that were complete when it
/// was begun.
#[derive(Clone, Debug)]
pub(crate) struct RoundTrips(HttpClient, Arc<AtomicUsize>);

impl RoundTrips {
    pub(crate) fn new() -> Self {
        Self(http(), Arc::default())
    }

    /// How many so far, from now on from the beginning.
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
        let this = self.1.load(Ordering::SeqCst) + 1;
        let response = self.0.send(request, max_body).await;
        self.1.fetch_max(this, Ordering::SeqCst);
        response
    }
}

/// A server on a raw socket that counts what reaches it.
pub(crate) struct Raw {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    received: Arc<AtomicUsize>,
}

/// A connection to a [`Raw`] server, whose request was read.
pub(crate) type Connection = TcpStream;

impl Raw {
    /// Reads each request and then does what `answer` says.
    pub(crate) async fn start<F, A>(answer: A) -> Self
    where
        A: Fn(Connection) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let raw =
            Self { address: listener.local_addr().unwrap(), connections: Arc::default(), received: Arc::default() };
        let (connections, received, answer) =
            (Arc::clone(&raw.connections), Arc::clone(&raw.received), Arc::new(answer));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                let (received, answer) = (Arc::clone(&received), Arc::clone(&answer));
                tokio::spawn(async move {
                    let mut buffer = vec![0; 65536];
                    let Ok(count) = stream.read(&mut buffer).await else { return };
                    received.fetch_add(count, Ordering::SeqCst);
                    answer(stream).await;
                });
            }
        });
        raw
    }

    /// Answers every request with these bytes and closes.
    pub(crate) async fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Self::start(move |mut stream| {
            let answer = Arc::clone(&answer);
            async move {
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            }
        })
        .await
    }

    /// Takes requests and never answers.
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

/// `GET url`, of whose answer at most `max_body` bytes are read.
pub(crate) async fn get(
    http: &dyn Transport,
    url: &str,
    max_body: usize,
) -> Result<http::Response<Vec<u8>>, TransportError> {
    http.send(http::Request::get(url).body(Vec::new()).unwrap(), max_body).await.watched()
}
