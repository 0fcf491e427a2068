use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderValue;
use tokio::sync::Semaphore;

use super::super::RequestLimits;
use super::super::proxy::Proxy;
use super::super::resolve::{Lookups, Resolve, System};
use super::super::tls::Reloads;
use super::{ConnectionSettings, Connections, HttpClient, Shared};
use crate::error::ConfigError;
#[cfg(doc)]
use crate::error::TransportError;
use crate::values::network::Network;

/// Builds an [`HttpClient`].
#[derive(Debug)]
pub struct HttpClientBuilder {
    network: Network,
    connect_timeout: Duration,
    timeout: Option<Duration>,
    user_agent: Option<HeaderValue>,
    connections: ConnectionSettings,
    resolver: Arc<dyn Resolve>,
    max_in_flight: usize,
}

impl HttpClientBuilder {
    pub(super) fn new(network: Network) -> Self {
        Self {
            network,
            connect_timeout: CONNECT_TIMEOUT,
            timeout: Some(TOTAL_TIMEOUT),
            user_agent: None,
            connections: ConnectionSettings::default(),
            resolver: Arc::new(System),
            max_in_flight: MAX_IN_FLIGHT_OF_CLIENT,
        }
    }

    /// How long a whole request may take, from the name look-up to the last byte: 15 seconds unless set. `None` means no
    /// limit. For a time that a tenant chooses, use [`HttpClient::with_timeout`].
    #[must_use]
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long connecting may take, including the name look-up and TLS: 5 seconds unless set.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The `User-Agent`. It shows the administrators of a code host which app sends the requests.
    #[must_use]
    pub fn user_agent(mut self, user_agent: HeaderValue) -> Self {
        self.user_agent = Some(user_agent);
        self
    }

    /// Also trusts the certificate authorities in `pem`, for every integration that uses this client. For one integration see
    /// [`HttpClient::with_root_certificates`].
    #[must_use]
    pub fn root_certificates(mut self, pem: &str) -> Self {
        self.connections.certificates.push(pem.as_bytes().to_vec());
        self
    }

    /// Connects to code hosts through this proxy. For one integration see [`HttpClient::with_proxy`].
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.connections.proxy = Some(proxy);
        self
    }

    /// Looks up names with `resolver` instead of the operating system's. Its addresses are checked in the same way.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolve + 'static) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// How many requests may be under way at once, over all integrations: 512 unless set. One integration has at most
    /// [32 of them](crate::IntegrationBuilder::max_in_flight), so only sixteen code hosts that stall at the same time can use
    /// up all. A request that cannot start within five seconds fails with [`TransportError::Busy`].
    #[must_use]
    pub fn max_in_flight(mut self, limit: usize) -> Self {
        self.max_in_flight = limit;
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoCertificate`] or [`ConfigError::InvalidCertificate`] if a PEM text has none or an invalid one;
    /// [`ConfigError::HttpClient`] if the TLS library cannot start; [`ConfigError::CryptoProvider`], with the feature
    /// `rustls-no-provider` only, if the app has not installed one.
    ///
    /// A system without certificate authorities, such as a slim container image, is no error here: integrations can bring
    /// their own. Without any, a connection fails with [`TransportError::NoAuthorities`].
    pub fn build(self) -> Result<HttpClient, ConfigError> {
        let shared = Shared {
            network: self.network,
            connect_timeout: self.connect_timeout,
            user_agent: self.user_agent,
            lookups: Lookups::new(self.resolver),
            in_flight: Semaphore::new(self.max_in_flight.clamp(1, Semaphore::MAX_PERMITS)),
            limits: RequestLimits::default(),
            reloads: Reloads::default(),
        };
        let connections = Arc::new(Connections::new(&shared, self.connections)?);
        Ok(HttpClient { connections, shared: Arc::new(shared), timeout: self.timeout })
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);
const MAX_IN_FLIGHT_OF_CLIENT: usize = 512;
