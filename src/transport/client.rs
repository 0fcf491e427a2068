//! The HTTP client: hyper's, with what this crate owes about time, size and addresses.

use std::error::Error as StdError;
use std::fmt;
use std::future::{self, Future};
use std::io;
use std::mem;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderValue, USER_AGENT};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;

use super::bulkhead;
use super::connect::Connector;
use super::resolve::{Lookups, Resolve, System};
use super::tls::HAS_TLS;
use super::{Sending, Transport};
use crate::error::{ConfigError, TransportError};
use crate::network::Network;

/// The hardened HTTP client, one for all integrations of a host. Cloning it is cheap and shares its connections.
///
/// HTTPS only unless the [`Network`] says otherwise; no redirects, retries, proxies from the environment, cookies,
/// `Referer` or decompression; HTTP/1.1. Names are resolved once, every address is checked against the network policy,
/// and the checked addresses are the ones dialled.
///
/// Connections that [`Transport::prepare`] opens early are each logged by `hyper_util` at `WARN` ("Connection is HTTP/1, but
/// request requires HTTP/2"), which means nothing.
///
/// ```
/// use codehost_oauth::transport::{HttpClient, Network};
/// use std::time::Duration;
///
/// let http = HttpClient::builder(Network::public_only()).build()?;
/// let patient = http.with_timeout(Some(Duration::from_secs(60)));
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct HttpClient {
    connections: Arc<Connections>,
    shared: Arc<Shared>,
    timeout: Option<Duration>,
}

/// What clients with other time-outs have in common.
struct Connections {
    pool: legacy::Client<Connector, Full<Bytes>>,
    /// What is trusted besides the system's authorities.
    certificates: Vec<Vec<u8>>,
    prepared: Prepared,
}

/// What clients with other certificates have in common too.
struct Shared {
    network: Network,
    connect_timeout: Duration,
    user_agent: HeaderValue,
    lookups: Lookups,
    in_flight: Semaphore,
}

impl HttpClient {
    /// A client that connects where `network` allows.
    pub fn builder(network: Network) -> HttpClientBuilder {
        HttpClientBuilder {
            network,
            connect_timeout: CONNECT_TIMEOUT,
            timeout: Some(TOTAL_TIMEOUT),
            user_agent: HeaderValue::from_static(concat!("codehost-oauth/", env!("CARGO_PKG_VERSION"))),
            certificates: Vec::new(),
            resolver: Arc::new(System),
            max_in_flight: MAX_IN_FLIGHT,
        }
    }

    /// The same client with another time for a whole request, from look-up to the last byte; `None` is no limit.
    #[must_use]
    pub fn with_timeout(&self, timeout: Option<Duration>) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// A client that also trusts the authorities in `pem`, besides those that this one trusts, for one integration: it
    /// has its own connections, so an authority that one tenant brings vouches for nobody else's code host.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Certificates`] if `pem` holds no certificate, or something that is none.
    pub fn with_root_certificates(&self, pem: &str) -> Result<Self, ConfigError> {
        let certificates = self.connections.certificates.iter().cloned().chain([pem.as_bytes().to_vec()]).collect();
        let connections = Arc::new(Connections::new(&self.shared, certificates)?);
        Ok(Self { connections, shared: Arc::clone(&self.shared), timeout: self.timeout })
    }

    // Not `async`: the request would be in the future, which is moved twice, and not only what becomes of it.
    fn exchange(&self, url: &url::Url, request: http::Request<Vec<u8>>, max_body: usize) -> Sending<'_> {
        let dispatched = self.dispatch(url, request);
        Box::pin(async move {
            let exchange = pin!(self.receive(dispatched?, max_body));
            match self.timeout {
                Some(limit) => tokio::time::timeout(limit, exchange).await.unwrap_or(Err(TransportError::TimedOut)),
                None => exchange.await,
            }
        })
    }

    /// The request as hyper takes it, and nothing sent yet: that begins when the result is polled.
    fn dispatch(
        &self,
        url: &url::Url,
        request: http::Request<Vec<u8>>,
    ) -> Result<impl Future<Output = Result<http::Response<Incoming>, legacy::Error>> + Send + use<>, TransportError>
    {
        self.check(url)?;
        let (head, body) = request.into_parts();
        let mut outgoing = http::Request::new(Full::new(body.into()));
        *outgoing.method_mut() = head.method;
        *outgoing.uri_mut() = uri(url)?;
        let headers = outgoing.headers_mut();
        *headers = head.headers;
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if !headers.contains_key(USER_AGENT) {
            headers.append(USER_AGENT, self.shared.user_agent.clone());
        }
        Ok(self.connections.pool.request(outgoing))
    }

    async fn receive(
        &self,
        dispatched: impl Future<Output = Result<http::Response<Incoming>, legacy::Error>> + Send,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let _slot = bulkhead::slot(&self.shared.in_flight).await?;
        let (head, mut incoming) = dispatched.await.map_err(|error| cause(&error))?.into_parts();
        if head.headers.get_all(CONTENT_ENCODING).iter().any(|encoding| !is_identity(encoding)) {
            return Err(TransportError::Encoded);
        }
        let too_large = TransportError::TooLarge { limit: max_body };
        let announced = match incoming.size_hint().exact() {
            Some(length) => {
                usize::try_from(length).ok().filter(|length| *length <= max_body).ok_or(too_large.clone())?
            }
            None => 0,
        };
        // Room for what is announced, up to a size that costs nothing if it never comes.
        let mut body = Vec::with_capacity(announced.min(MAX_ROOM));
        while let Some(frame) = incoming.frame().await {
            // What is no data are trailers, which nobody reads.
            let Ok(chunk) = frame.map_err(|error| cause(&error))?.into_data() else { continue };
            if chunk.len() > max_body.saturating_sub(body.len()) {
                return Err(too_large);
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = http::Response::new(body);
        *answer.status_mut() = head.status;
        *answer.headers_mut() = head.headers;
        Ok(answer)
    }

    /// Literal addresses never reach a resolver, so they are checked here.
    fn check(&self, url: &url::Url) -> Result<(), TransportError> {
        let network = &self.shared.network;
        let host = url.host().ok_or(TransportError::Protocol)?;
        let permitted = match host {
            url::Host::Ipv4(v4) => network.permits(v4.into()),
            url::Host::Ipv6(v6) => network.permits(v6.into()),
            url::Host::Domain(name) => network.permits_name(name),
        };
        if !permitted {
            return Err(TransportError::AddressNotAllowed);
        }
        match url.scheme() {
            "http" if !network.permits_http(&host) => Err(TransportError::PlainHttp),
            "https" if !HAS_TLS => Err(TransportError::NoTls),
            "http" | "https" => Ok(()),
            _ => Err(TransportError::Protocol),
        }
    }
}

impl Transport for HttpClient {
    fn send<'a, 'b>(&'a self, request: http::Request<Vec<u8>>, max_body: usize) -> Sending<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        match url::Url::parse(&request.uri().to_string()) {
            Ok(url) => self.exchange(&url, request, max_body),
            Err(_) => Box::pin(future::ready(Err(TransportError::Protocol))),
        }
    }

    fn send_to<'a, 'u, 'b>(&'a self, url: &'u url::Url, request: http::Request<Vec<u8>>, max_body: usize) -> Sending<'b>
    where
        'a: 'b,
        'u: 'b,
        Self: 'b,
    {
        self.exchange(url, request, max_body)
    }

    fn prepare(&self, url: &url::Url, requests: usize) {
        if !self.connections.prepared.is_due(&url[..url::Position::BeforePath]) || self.check(url).is_err() {
            return;
        }
        let (Ok(runtime), Ok(uri)) = (tokio::runtime::Handle::try_current(), uri(url)) else { return };
        for _ in 0..requests.min(MAX_PREPARED) {
            let mut request = http::Request::new(Full::default());
            *request.method_mut() = http::Method::HEAD;
            *request.uri_mut() = uri.clone();
            // The connection speaks HTTP/1.1, so that the request cannot be sent, which is found out when there is one. It
            // goes to those that wait for use.
            *request.version_mut() = http::Version::HTTP_2;
            let connecting = self.connections.pool.request(request);
            runtime.spawn(async move { drop(connecting.await) });
        }
    }
}

impl Connections {
    fn new(shared: &Shared, certificates: Vec<Vec<u8>>) -> Result<Self, ConfigError> {
        let connector = Connector::new(&shared.network, &shared.lookups, shared.connect_timeout, &certificates)?;
        // There is no proxy, redirect, cookie, `Referer`, compression or cache in it that would have to be turned off. A
        // request is given to another connection only if no byte of it was written: what is sent is sent once.
        #[allow(clippy::disallowed_methods, reason = "the one place that builds a client")]
        let pool = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Ok(Self { pool, certificates, prepared: Prepared::default() })
    }
}

/// The origins that connections were opened for in advance, and when they were used last.
#[derive(Default)]
struct Prepared(Mutex<Vec<(Box<str>, Instant)>>);

impl Prepared {
    /// Whether there is most likely no open connection any more. Whoever asks is taken to use the origin next.
    fn is_due(&self, origin: &str) -> bool {
        let (mut used, now) = (self.0.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        if let Some((_, last)) = used.iter_mut().find(|(known, _)| **known == *origin) {
            return now.saturating_duration_since(mem::replace(last, now)) >= WARM;
        }
        if used.len() >= MAX_PREPARED {
            used.clear();
        }
        used.push((origin.into(), now));
        true
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("network", &self.shared.network)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Makes an [`HttpClient`].
#[derive(Debug)]
pub struct HttpClientBuilder {
    network: Network,
    connect_timeout: Duration,
    timeout: Option<Duration>,
    user_agent: HeaderValue,
    certificates: Vec<Vec<u8>>,
    resolver: Arc<dyn Resolve>,
    max_in_flight: usize,
}

impl HttpClientBuilder {
    /// How long a whole request may take, from look-up to the last byte: 15 seconds unless set; `None` is no limit.
    #[must_use]
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long connecting may take, look-up and TLS included: 5 seconds unless set.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The `User-Agent`, so that an administrator of a code host knows whose requests these are.
    #[must_use]
    pub fn user_agent(mut self, user_agent: HeaderValue) -> Self {
        self.user_agent = user_agent;
        self
    }

    /// Also trusts the authorities in `pem`, for every integration that uses this client. For one integration see
    /// [`HttpClient::with_root_certificates`].
    #[must_use]
    pub fn root_certificates(mut self, pem: &str) -> Self {
        self.certificates.push(pem.as_bytes().to_vec());
        self
    }

    /// Looks up names with `resolver` instead of the operating system's. Its answers are checked in the same way.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolve + 'static) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// How many requests may be under way at once, over all integrations: 64 unless set. One integration has at most
    /// [four of them](crate::IntegrationBuilder::max_in_flight), so this is room for sixteen code hosts that stall at
    /// the same time. A request that finds no room within five seconds ends with [`TransportError::Busy`].
    #[must_use]
    pub fn max_in_flight(mut self, limit: usize) -> Self {
        self.max_in_flight = limit;
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    ///
    /// [`ConfigError::HttpClient`] if the system has no trusted certificates; [`ConfigError::Certificates`] if a PEM
    /// text holds none, or something that is none; [`ConfigError::CryptoProvider`], with the feature `rustls-no-provider`
    /// only, if the host has not installed one.
    pub fn build(self) -> Result<HttpClient, ConfigError> {
        let shared = Shared {
            network: self.network,
            connect_timeout: self.connect_timeout,
            user_agent: self.user_agent,
            lookups: Lookups::new(self.resolver),
            in_flight: Semaphore::new(self.max_in_flight.clamp(1, Semaphore::MAX_PERMITS)),
        };
        let connections = Arc::new(Connections::new(&shared, self.certificates)?);
        Ok(HttpClient { connections, shared: Arc::new(shared), timeout: self.timeout })
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);
const MAX_ROOM: usize = 16 * 1024;
/// Origins, and connections to one.
const MAX_PREPARED: usize = 8;
/// How long a connection waits for its next use.
const IDLE: Duration = Duration::from_secs(90);
/// Code hosts do not always keep them for as long.
const WARM: Duration = Duration::from_secs(60);
const MAX_IN_FLIGHT: usize = 64;

/// Whether a `Content-Encoding` says that nothing was encoded. Some proxies spell that out (RFC 9110 section 8.4).
fn is_identity(encoding: &HeaderValue) -> bool {
    let mut parts = encoding.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    parts.all(|part| part.is_empty() || part.eq_ignore_ascii_case(b"identity"))
}

fn uri(url: &url::Url) -> Result<http::Uri, TransportError> {
    url.as_str().parse().map_err(|_| TransportError::Protocol)
}

/// Why there is no complete answer; nothing of the text, which may hold a URL.
fn cause(error: &(dyn StdError + 'static)) -> TransportError {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if let Some(no_connection) = current.downcast_ref::<TransportError>() {
            return no_connection.clone();
        }
        if current.downcast_ref().is_some_and(hyper::Error::is_parse) {
            return TransportError::Protocol;
        }
        if current.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::TimedOut) {
            return TransportError::TimedOut;
        }
        cause = current.source();
    }
    TransportError::Interrupted
}
