//! The only file that names reqwest.

use std::error::Error as StdError;
use std::fmt;
use std::future::{self, Future};
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderValue};
use reqwest::dns::{Addrs, Name, Resolving};
use tokio::sync::Semaphore;

use super::bulkhead;
use super::resolve::{Lookups, Resolve, System};
use super::{Sending, Transport};
use crate::error::{ConfigError, TransportError};
use crate::network::Network;

/// The hardened HTTP client, one for all integrations of a host. Cloning it is cheap and shares its connections.
///
/// HTTPS only unless the [`Network`] says otherwise; no redirects, retries, proxies from the environment, cookies,
/// `Referer` or decompression; HTTP/1.1. Names are resolved once, every address is checked against the network policy,
/// and the checked addresses are the ones dialled.
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
    client: reqwest::Client,
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

    // Not `async`: URL and request would be in the future, which is moved twice, and not only what becomes of them.
    fn exchange(&self, url: url::Url, request: http::Request<Vec<u8>>, max_body: usize) -> Sending<'_> {
        let dispatched = self.dispatch(url, request);
        Box::pin(async move {
            let exchange = pin!(self.receive(dispatched?, max_body));
            match self.timeout {
                Some(limit) => tokio::time::timeout(limit, exchange).await.unwrap_or(Err(TransportError::TimedOut)),
                None => exchange.await,
            }
        })
    }

    /// The request as reqwest takes it, and nothing sent yet: that begins when the result is polled.
    fn dispatch(
        &self,
        url: url::Url,
        mut request: http::Request<Vec<u8>>,
    ) -> Result<impl Future<Output = reqwest::Result<reqwest::Response>> + Send + use<>, TransportError> {
        self.check(&url)?;
        let mut outgoing = reqwest::Request::new(request.method().clone(), url);
        *outgoing.headers_mut() = mem::take(request.headers_mut());
        outgoing.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if !request.body().is_empty() {
            *outgoing.body_mut() = Some(mem::take(request.body_mut()).into());
        }
        Ok(self.connections.client.execute(outgoing))
    }

    async fn receive(
        &self,
        dispatched: impl Future<Output = reqwest::Result<reqwest::Response>> + Send,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let _slot = bulkhead::slot(&self.shared.in_flight).await?;
        let mut response = dispatched.await.map_err(classify)?;
        if response.remote_addr().is_some_and(|peer| !self.shared.network.permits(peer.ip())) {
            return Err(TransportError::AddressNotAllowed);
        }
        if response.headers().get_all(CONTENT_ENCODING).iter().any(|encoding| encoding != "identity") {
            return Err(TransportError::Encoded);
        }
        let too_large = TransportError::TooLarge { limit: max_body };
        let announced = match response.content_length() {
            Some(length) => {
                usize::try_from(length).ok().filter(|length| *length <= max_body).ok_or(too_large.clone())?
            }
            None => 0,
        };
        // Room for what is announced, up to a size that costs nothing if it never comes.
        let mut body = Vec::with_capacity(announced.min(MAX_ROOM));
        while let Some(chunk) = response.chunk().await.map_err(classify)? {
            if chunk.len() > max_body.saturating_sub(body.len()) {
                return Err(too_large);
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = http::Response::new(body);
        *answer.status_mut() = response.status();
        *answer.headers_mut() = mem::take(response.headers_mut());
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
            Ok(url) => self.exchange(url, request, max_body),
            Err(_) => Box::pin(future::ready(Err(TransportError::Protocol))),
        }
    }

    fn send_to<'a, 'u, 'b>(&'a self, url: &'u url::Url, request: http::Request<Vec<u8>>, max_body: usize) -> Sending<'b>
    where
        'a: 'b,
        'u: 'b,
        Self: 'b,
    {
        self.exchange(url.clone(), request, max_body)
    }

    fn prepare(&self, url: &url::Url, requests: usize) {
        if !self.connections.prepared.is_due(&url[..url::Position::BeforePath]) || self.check(url).is_err() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        for _ in 0..requests.min(MAX_PREPARED) {
            let mut request = reqwest::Request::new(http::Method::HEAD, url.clone());
            // The connection speaks HTTP/1.1, so that the request cannot be sent, which is found out when there is one. It
            // goes to those that wait for use.
            *request.version_mut() = http::Version::HTTP_2;
            let connecting = self.connections.client.execute(request);
            runtime.spawn(async move { drop(connecting.await) });
        }
    }
}

impl Connections {
    fn new(shared: &Shared, certificates: Vec<Vec<u8>>) -> Result<Self, ConfigError> {
        Ok(Self { client: build(shared, &certificates)?, certificates, prepared: Prepared::default() })
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

    /// How long connecting may take, TLS included: 5 seconds unless set.
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
    /// text holds none, or something that is none.
    ///
    /// # Panics
    ///
    /// With the feature `rustls-no-provider` only: if the host has not installed a crypto provider.
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
/// Of the addresses of a name. They are dialled until one answers, and a name server may name thousands of strangers.
const MAX_DIALLED: usize = 8;
const MAX_ROOM: usize = 16 * 1024;
/// Origins, and connections to one.
const MAX_PREPARED: usize = 8;
/// The pool keeps connections for 90 seconds, code hosts not always.
const WARM: Duration = Duration::from_secs(60);
const MAX_IN_FLIGHT: usize = 64;
const HAS_TLS: bool = cfg!(any(feature = "rustls", feature = "rustls-no-provider", feature = "native-tls"));

#[allow(clippy::disallowed_methods, reason = "the one place that builds a client")]
fn build(shared: &Shared, certificates: &[Vec<u8>]) -> Result<reqwest::Client, ConfigError> {
    let guard = Guard { network: shared.network.clone(), lookups: shared.lookups.clone() };
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        // Without the limit each request would be copied, only to find out that it may not be sent again.
        .retry(reqwest::retry::never().max_retries_per_request(0))
        .referer(false)
        // Proxy variables of the environment are honoured unless this is called, and a proxy skips the resolver.
        .no_proxy()
        .http1_only()
        .connect_timeout(shared.connect_timeout)
        .user_agent(shared.user_agent.clone())
        .dns_resolver(guard);
    match add_certificates(builder, certificates)?.build() {
        Ok(client) => Ok(client),
        // What is in the PEM texts is read only here, and the error does not say whether it is to blame.
        Err(_) if !certificates.is_empty() && build(shared, &[]).is_ok() => Err(ConfigError::Certificates),
        Err(_) => Err(ConfigError::HttpClient),
    }
}

#[cfg(any(feature = "rustls", feature = "rustls-no-provider", feature = "native-tls"))]
fn add_certificates(
    builder: reqwest::ClientBuilder,
    bundles: &[Vec<u8>],
) -> Result<reqwest::ClientBuilder, ConfigError> {
    let mut builder = builder.tls_version_min(reqwest::tls::Version::TLS_1_2);
    for pem in bundles {
        let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|_| ConfigError::Certificates)?;
        if certificates.is_empty() {
            return Err(ConfigError::Certificates);
        }
        builder = builder.tls_certs_merge(certificates);
    }
    Ok(builder)
}

#[cfg(not(any(feature = "rustls", feature = "rustls-no-provider", feature = "native-tls")))]
fn add_certificates(
    builder: reqwest::ClientBuilder,
    bundles: &[Vec<u8>],
) -> Result<reqwest::ClientBuilder, ConfigError> {
    if bundles.is_empty() { Ok(builder) } else { Err(ConfigError::Certificates) }
}

/// Resolves a name once and lets nothing through that the policy refuses.
struct Guard {
    network: Network,
    lookups: Lookups,
}

impl reqwest::dns::Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let network = self.network.clone();
        let lookups = self.lookups.clone();
        Box::pin(async move {
            let addresses = lookups.lookup(name.as_str()).await?;
            if !permits_all(&network, name.as_str(), &addresses) {
                return Err(TransportError::AddressNotAllowed.into());
            }
            Ok(Box::new(addresses.into_iter().take(MAX_DIALLED).map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}

/// One refused address refuses all: whoever answers with a mix is trying something. And `localhost`, to which plain HTTP
/// may be spoken, is no other machine, whatever a name server says (RFC 6761 section 6.3).
fn permits_all(network: &Network, name: &str, addresses: &[IpAddr]) -> bool {
    let local = crate::network::is_localhost(name);
    addresses.iter().all(|ip| network.permits(*ip) && (!local || ip.is_loopback()))
}

/// The cause, and nothing of the text.
fn classify(error: reqwest::Error) -> TransportError {
    // A URL may hold the words that are looked for below: `https://tls.example.com`.
    let error = error.without_url();
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
    let mut io_kind = None;
    let mut tls = None;
    while let Some(current) = cause {
        if let Some(ours) = current.downcast_ref::<TransportError>() {
            return ours.clone();
        }
        // The TLS libraries' errors have no common type; they all name the certificate where it is to blame.
        let text = current.to_string().to_ascii_lowercase();
        if text.contains("certificate") || text.contains("self-signed") || text.contains("self signed") {
            tls = Some(TransportError::TlsUntrusted);
        } else if tls.is_none() && (text.contains("tls") || text.contains("ssl") || text.contains("handshake")) {
            tls = Some(TransportError::Tls);
        }
        cause = match current.downcast_ref::<std::io::Error>() {
            Some(io) => {
                io_kind = Some(io.kind());
                // Its `source` is that of the error inside, which is often an I/O error again.
                io.get_ref().map(|inner| inner as &(dyn StdError + 'static))
            }
            None => current.source(),
        };
    }
    if error.is_timeout() || io_kind == Some(std::io::ErrorKind::TimedOut) {
        return TransportError::TimedOut;
    }
    if error.is_connect() {
        return match (tls, io_kind) {
            (Some(tls), _) => tls,
            // Something that is not TLS answered the handshake.
            (None, Some(std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof)) => TransportError::Tls,
            _ => TransportError::Refused,
        };
    }
    match io_kind {
        Some(_) => TransportError::Interrupted,
        None if error.is_body() || error.is_decode() => TransportError::Interrupted,
        None => not_http(&error),
    }
}

fn not_http(error: &reqwest::Error) -> TransportError {
    let mut cause = error.source();
    while let Some(current) = cause {
        let text = current.to_string();
        // hyper's words for what a server sent; it has no other way to ask.
        if text.ends_with("parsed") || text.contains("invalid HTTP") || text.contains("message head is too large") {
            return TransportError::Protocol;
        }
        cause = current.source();
    }
    TransportError::Interrupted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows S3 of the threat model, and what no test can make the system's resolver answer.
    #[test]
    fn one_refused_address_refuses_the_name() {
        let public = Network::public_only();
        let loopback = Network::any().allow_loopback_http();
        for (network, name, answer, expected) in [
            (&public, "git.example.com", ["1.1.1.1", "2606:4700:4700::1111"], true),
            (&public, "git.example.com", ["1.1.1.1", "10.0.0.1"], false),
            (&public, "git.example.com", ["127.0.0.1", "1.1.1.1"], false),
            (&public, "git.example.com", ["1.1.1.1", "::ffff:1.1.1.1"], false),
            (&loopback, "git.example.com", ["1.1.1.1", "10.0.0.1"], true),
            (&loopback, "git.example.com", ["1.1.1.1", "169.254.169.254"], false),
            (&loopback, "localhost", ["127.0.0.1", "::1"], true),
            (&loopback, "localhost", ["127.0.0.1", "1.1.1.1"], false),
            (&loopback, "a.localhost", ["10.0.0.1", "10.0.0.1"], false),
        ] {
            let addresses = answer.map(|address| address.parse().unwrap());
            assert_eq!(permits_all(network, name, &addresses), expected, "{name} {answer:?}");
        }
    }
}
