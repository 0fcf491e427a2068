//! The HTTP client: hyper, with limits on time and size and with checks of addresses.

mod builder;

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Uri;
use http::header::{ACCEPT_ENCODING, HOST, HeaderValue, USER_AGENT};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use tokio::sync::Semaphore;

pub use self::builder::HttpClientBuilder;
use super::bulkhead::{self, is_repeatable};
use super::connect::Connector;
use super::fixed_headers::FixedHeaders;
use super::origin::Origin;
use super::pool::{Connection, Outgoing, Pool};
use super::proxy::{Proxied, Proxy};
use super::report::ConnectionReport;
use super::request::DEFAULT_USER_AGENT;
use super::resolve::Lookups;
use super::tls::{self, ClientCertificate, Layer, Reloads};
use super::{RequestLimits, Transport, is_encoded};
use crate::error::{ConfigError, TransportError};
use crate::values::network::Network;

/// The hardened HTTP client, one for all integrations of an app. Cloning it is cheap and shares its connections.
///
/// HTTPS only unless the [`Network`] says otherwise; no redirects, proxies from the environment, cookies, `Referer` or
/// decompression; HTTP/1.1. A name is resolved once, every address is checked against the network policy, and only the checked
/// addresses are connected to; a [`Proxy`] may look up names instead.
///
/// A `GET` is sent a second time, on a new connection, if the server closes a reused connection before a byte of the response
/// has come. Every other request, such as a `POST`, is sent once, on a connection that is new or was used a moment ago.
///
/// ```
/// use codehost_oauth::transport::{HttpClient, Network};
/// use std::time::Duration;
///
/// let http = HttpClient::builder(Network::public_only()).build()?;
/// let slow_host = http.with_timeout(Some(Duration::from_secs(60)));
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct HttpClient {
    connections: Arc<Connections>,
    shared: Arc<Shared>,
    timeout: Option<Duration>,
}

/// Shared by all clones, also those with another time-out.
struct Connections {
    pool: Arc<Pool>,
    settings: ConnectionSettings,
    headers: Vec<FixedHeaders>,
}

/// What connections need that not every client of an app has.
#[derive(Clone, Default)]
struct ConnectionSettings {
    /// PEM texts that are trusted in addition to the system's certificate authorities.
    certificates: Vec<Vec<u8>>,
    client_certificate: Option<ClientCertificate>,
    proxy: Option<Proxy>,
}

/// Also shared by clients with other settings of their connections.
struct Shared {
    network: Network,
    connect_timeout: Duration,
    /// `None`: the default, which each request of this crate has already.
    user_agent: Option<HeaderValue>,
    lookups: Lookups,
    in_flight: Semaphore,
    limits: RequestLimits,
    reloads: Reloads,
}

impl HttpClient {
    /// A client that connects where `network` allows.
    pub fn builder(network: Network) -> HttpClientBuilder {
        HttpClientBuilder::new(network)
    }

    /// The network policy of this client. Parse base URLs with it.
    ///
    /// ```
    /// use codehost_oauth::BaseUrl;
    /// use codehost_oauth::transport::{HttpClient, Network};
    ///
    /// let http = HttpClient::builder(Network::public_only()).build()?;
    /// assert!(BaseUrl::parse("https://git.example.com", http.network()).is_ok());
    /// assert!(BaseUrl::parse("https://10.0.0.5", http.network()).is_err());
    /// # Ok::<(), codehost_oauth::error::ConfigError>(())
    /// ```
    pub fn network(&self) -> &Network {
        &self.shared.network
    }

    /// The same client with another time limit for a whole request, from the name look-up to the last byte: for one
    /// integration, whose administrator may choose it. The limit is at most 60 seconds, or this client's own limit if that is
    /// longer; `None` sets this maximum, also if the client has no limit itself.
    ///
    /// ```
    /// use codehost_oauth::transport::{HttpClient, Network};
    /// use std::time::Duration;
    ///
    /// let http = HttpClient::builder(Network::public_only()).build()?;
    /// let text = format!("{:?}", http.with_timeout(Some(Duration::from_secs(3600))));
    /// assert!(text.contains("timeout: Some(60s)"));
    /// # Ok::<(), codehost_oauth::error::ConfigError>(())
    /// ```
    #[must_use]
    pub fn with_timeout(&self, timeout: Option<Duration>) -> Self {
        let most = self.timeout.unwrap_or_default().max(MAX_TIMEOUT);
        Self { timeout: Some(timeout.map_or(most, |timeout| timeout.min(most))), ..self.clone() }
    }

    /// A client that trusts the certificates in `pem` in addition to those that this client trusts. Use it for one
    /// integration: it has its own connections, so a certificate authority of one tenant is not trusted for the code host of
    /// another. `pem` contains certificates of authorities, or a self-signed certificate of the code host, which is then
    /// trusted for the names and dates in it.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoCertificate`] if `pem` contains none, [`ConfigError::InvalidCertificate`], or
    /// [`ConfigError::CertificatesNotSupported`].
    pub fn with_root_certificates(&self, pem: &str) -> Result<Self, ConfigError> {
        self.with_connections(|settings| settings.certificates.push(pem.as_bytes().to_vec()))
    }

    /// A client that shows this certificate to servers that demand one (mutual TLS). Use it for one integration: it has its
    /// own connections.
    ///
    /// # Errors
    ///
    /// [`ConfigError::HttpClient`] if the TLS library refuses the certificate.
    pub fn with_client_certificate(&self, certificate: ClientCertificate) -> Result<Self, ConfigError> {
        self.with_connections(|settings| settings.client_certificate = Some(certificate))
    }

    /// A client that uses another proxy than this one, or with `None` no proxy. Use it for one integration: it has its own
    /// connections. A tenant must never choose a proxy, because it would make the app connect to any address.
    ///
    /// ```
    /// use codehost_oauth::transport::{HttpClient, Network, Proxy};
    ///
    /// let proxy = Proxy::parse("http://proxy.example.com:3128")?;
    /// let http = HttpClient::builder(Network::public_only()).proxy(proxy).build()?;
    /// let direct = http.with_proxy(None)?;
    /// assert!(direct.with_root_certificates("no certificate").is_err());
    /// # Ok::<(), codehost_oauth::error::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`with_root_certificates`](Self::with_root_certificates), for the certificates of an `https` proxy.
    pub fn with_proxy(&self, proxy: Option<Proxy>) -> Result<Self, ConfigError> {
        self.with_connections(|settings| settings.proxy = proxy)
    }

    /// A client that sends these headers too, with each request to the origin that they are for. Use it for one integration.
    #[must_use]
    pub fn with_headers(&self, headers: FixedHeaders) -> Self {
        let Connections { pool, settings, headers: earlier } = &*self.connections;
        let headers = earlier.iter().cloned().chain([headers]).collect();
        let connections = Connections { pool: Arc::clone(pool), settings: settings.clone(), headers };
        Self { connections: Arc::new(connections), ..self.clone() }
    }

    /// Reads the system's certificate authorities again before the next connection, also for all clients that were made from
    /// this one. Without it, they are read again after a minute.
    pub fn reload_certificates(&self) {
        self.shared.reloads.add();
    }

    fn with_connections(&self, change: impl FnOnce(&mut ConnectionSettings)) -> Result<Self, ConfigError> {
        let mut settings = self.connections.settings.clone();
        change(&mut settings);
        let headers = self.connections.headers.clone();
        let connections = Connections { headers, ..Connections::new(&self.shared, settings)? };
        Ok(Self { connections: Arc::new(connections), ..self.clone() })
    }

    async fn exchange(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let origin = Origin::of(request.uri())?;
        let mut request = self.outgoing(&origin, request)?;
        let _slot = bulkhead::slot(&self.shared.in_flight).await?;
        let pool = &self.connections.pool;
        let mut connection = pool.connection(&origin, request.method()).await?;
        loop {
            // The server may have closed an idle connection meanwhile.
            let copy = (connection.was_idle() && is_repeatable(request.method())).then(|| request.clone());
            let mut error = match connection.send(request, max_body).await {
                Ok(response) => {
                    let response = read_to_end(response, &connection, max_body).await?;
                    pool.add(&origin, connection);
                    return Ok(response);
                }
                Err(error) => error,
            };
            match (error.take_message(), copy) {
                // Nothing was sent.
                (Some(unsent), _) if connection.was_idle() => {
                    pool.note_early_close(&origin);
                    request = unsent;
                    connection = pool.connection(&origin, request.method()).await?;
                }
                // It was sent, but it is a request that may be sent twice.
                (None, Some(copy)) if !connection.has_response() => {
                    pool.note_early_close(&origin);
                    request = copy;
                    connection = pool.connect(&origin).await?;
                }
                _ => return Err(cause(error.error(), &connection, max_body)),
            }
        }
    }

    /// The request in the form that hyper sends.
    fn outgoing(&self, origin: &Origin, request: http::Request<Vec<u8>>) -> Result<Outgoing, TransportError> {
        let mut outgoing = request.map(|body| Full::new(body.into()));
        // The target of a request to a server, not to a proxy, is path and query only (RFC 9112 section 3.2.1).
        let target = outgoing.uri().path_and_query().cloned().ok_or(TransportError::Protocol)?;
        *outgoing.uri_mut() = Uri::from(target);
        let headers = outgoing.headers_mut();
        headers.insert(HOST, origin.host_header()?);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        // An app or a provider that names itself is not overwritten.
        let named = headers.get(USER_AGENT);
        let own = self.shared.user_agent.as_ref().filter(|_| named.is_none_or(|named| named == DEFAULT_USER_AGENT));
        let default = named.is_none().then(|| HeaderValue::from_static(DEFAULT_USER_AGENT));
        if let Some(user_agent) = own.cloned().or(default) {
            headers.insert(USER_AGENT, user_agent);
        }
        for fixed in &self.connections.headers {
            fixed.add_to(headers, origin);
        }
        Ok(outgoing)
    }
}

#[async_trait]
impl Transport for HttpClient {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let exchange = self.exchange(request, max_body);
        match self.timeout {
            Some(limit) => tokio::time::timeout(limit, exchange).await.unwrap_or(Err(TransportError::TimedOut)),
            None => exchange.await,
        }
    }

    fn preconnect(&self, uri: &Uri, requests: usize) {
        if let Ok(origin) = Origin::of(uri) {
            self.connections.pool.preconnect(&origin, requests.min(MAX_PRECONNECTED));
        }
    }

    fn limits(&self) -> Option<&RequestLimits> {
        Some(&self.shared.limits)
    }

    async fn inspect(&self, uri: &Uri) -> Option<ConnectionReport> {
        let origin = Origin::of(uri).ok()?;
        let inspection = async {
            let _slot = bulkhead::slot(&self.shared.in_flight).await.ok()?;
            Some(self.connections.pool.inspect(&origin).await)
        };
        match self.timeout {
            Some(limit) => tokio::time::timeout(limit, inspection).await.ok().flatten(),
            None => inspection.await,
        }
    }
}

impl Connections {
    fn new(shared: &Shared, settings: ConnectionSettings) -> Result<Self, ConfigError> {
        let client_certificate = settings.client_certificate.as_ref();
        let proxy = settings
            .proxy
            .clone()
            .map(|proxy| Proxied::new(proxy, shared.lookups.clone(), &shared.reloads))
            .transpose()?;
        let connector = Connector {
            network: shared.network.clone(),
            lookups: shared.lookups.clone(),
            tls: Layer::new(&settings.certificates, client_certificate, &shared.reloads)?,
            proxy,
            timeout: shared.connect_timeout,
        };
        Ok(Self { pool: Arc::new(Pool::new(connector)), settings, headers: Vec::new() })
    }
}

/// Leaves out the certificates, whose text may contain a key.
impl fmt::Debug for ConnectionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionSettings").field("proxy", &self.proxy).finish_non_exhaustive()
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

/// Reads a response to its end.
async fn read_to_end(
    response: http::Response<Incoming>,
    connection: &Connection,
    max_body: usize,
) -> Result<http::Response<Vec<u8>>, TransportError> {
    let (head, mut incoming) = response.into_parts();
    if is_encoded(&head.headers) {
        return Err(TransportError::Encoded);
    }
    let too_large = TransportError::TooLarge { limit: max_body };
    let announced = match incoming.size_hint().exact() {
        Some(length) => usize::try_from(length).ok().filter(|length| *length <= max_body).ok_or(too_large.clone())?,
        None => 0,
    };
    // The announced length may be false, so only a part of it is allocated in advance.
    let mut body = Vec::with_capacity(announced.min(MAX_CAPACITY));
    while let Some(frame) = incoming.frame().await {
        // Skip trailers.
        let Ok(chunk) = frame.map_err(|error| cause(&error, connection, max_body))?.into_data() else { continue };
        if chunk.len() > max_body.saturating_sub(body.len()) {
            return Err(too_large);
        }
        body.extend_from_slice(&chunk);
    }
    let mut complete = http::Response::new(body);
    *complete.status_mut() = head.status;
    *complete.headers_mut() = head.headers;
    Ok(complete)
}

/// Why there is no complete response. The error's text is not used: it may contain a URL.
fn cause(error: &(dyn StdError + 'static), connection: &Connection, max_body: usize) -> TransportError {
    if connection.is_exceeded() {
        return TransportError::TooLarge { limit: max_body };
    }
    // With TLS 1.3, a server says so after the handshake, in place of a response.
    if let Some(TransportError::ClientCertificate) = tls::find_cause(error) {
        return TransportError::ClientCertificate;
    }
    let mut cause = Some(error);
    while let Some(current) = cause {
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

/// The longest that an administrator can choose.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes that are allocated for a body before it comes.
const MAX_CAPACITY: usize = 16 * 1024;
/// How many connections one call opens in advance.
const MAX_PRECONNECTED: usize = 8;
