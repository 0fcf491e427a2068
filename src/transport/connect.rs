//! Opens new connections: which addresses are tried, what is checked before a byte is sent, and what an error means.

use std::error::Error as StdError;
use std::future::{self, Future};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use super::meter::{Meter, Metered};
use super::origin::{Origin, Target};
use super::resolve::Lookups;
use super::tls::{self, Tls};
use crate::error::{ConfigError, TransportError};
use crate::values::network::Network;

/// Opens connections that the network policy allows, within a time limit.
pub(super) struct Connector {
    network: Network,
    lookups: Lookups,
    tls: tls::Layer,
    timeout: Duration,
}

/// A new connection, with the counters of the bytes that the server sends: `http` above TLS, `wire` below it.
pub(super) struct Stream {
    pub(super) io: Metered<<Tls<Tcp> as Service<Uri>>::Response>,
    pub(super) http: Meter,
    pub(super) wire: Meter,
}

impl Connector {
    /// `certificates` are PEM texts.
    pub(super) fn new(
        network: &Network,
        lookups: &Lookups,
        timeout: Duration,
        certificates: &[Vec<u8>],
    ) -> Result<Self, ConfigError> {
        let tls = tls::Layer::new(certificates)?;
        Ok(Self { network: network.clone(), lookups: lookups.clone(), tls, timeout })
    }

    /// Connects to an origin, if the network policy allows it. Every connection of the client is opened here.
    pub(super) async fn connect(&self, origin: &Origin) -> Result<Stream, TransportError> {
        let target = origin.check(&self.network)?;
        let now = Instant::now();
        let until = now.checked_add(self.timeout).unwrap_or(now);
        let addresses = match target {
            Target::Name(name) => {
                timeout_at(until, self.addresses(&name)).await.unwrap_or(Err(TransportError::NameLookupTimedOut))?
            }
            // hyper connects to an address in the URI without the resolver, so the list stays empty.
            Target::Address(_) => Vec::new(),
        };
        let wire = Meter::default();
        wire.allow(MAX_HANDSHAKE);
        let tcp = Tcp::new(addresses, &self.network, self.timeout, wire.clone());
        // `poll_ready` is not needed: all layers are always ready.
        let connecting = self.tls.over(tcp).call(origin.uri()?);
        let connected = timeout_at(until, connecting).await.map_err(|_| TransportError::TimedOut)?;
        let http = Meter::default();
        Ok(Stream { io: Metered::new(connected.map_err(tls_error)?, http.clone()), http, wire })
    }

    /// Resolves a name once. If the policy refuses one of its addresses, all of them are refused.
    async fn addresses(&self, name: &str) -> Result<Vec<SocketAddr>, TransportError> {
        // With a trailing dot it is the same name.
        let name = name.strip_suffix('.').unwrap_or(name);
        let addresses = self.lookups.lookup(name).await?;
        if let Some(refused) = first_refused(&self.network, name, &addresses) {
            return Err(TransportError::AddressRefused(self.network.refused(refused)));
        }
        Ok(addresses.into_iter().take(MAX_ADDRESSES).map(|ip| SocketAddr::new(ip, 0)).collect())
    }
}

type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, TransportError>> + Send>>;

/// Opens TCP connections to addresses that are already resolved. TLS, if there is any, is a layer above.
#[derive(Clone)]
pub(super) struct Tcp {
    connector: HttpConnector<Addresses>,
    network: Network,
    wire: Meter,
}

impl Tcp {
    fn new(addresses: Vec<SocketAddr>, network: &Network, timeout: Duration, wire: Meter) -> Self {
        let mut connector = HttpConnector::new_with_resolver(Addresses(addresses));
        // The TLS layer above handles `https`.
        connector.enforce_http(false);
        connector.set_nodelay(true);
        // It is divided among the addresses of a name, so that one that does not respond leaves time for the next.
        connector.set_connect_timeout(Some(timeout));
        connector.set_keepalive(Some(KEEPALIVE));
        connector.set_keepalive_interval(Some(KEEPALIVE));
        connector.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        connector.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT));
        Self { connector, network: network.clone(), wire }
    }
}

impl Service<Uri> for Tcp {
    type Response = Metered<TokioIo<TcpStream>>;
    type Error = TransportError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, network, wire) = (self.connector.call(uri), self.network.clone(), self.wire.clone());
        Box::pin(async move {
            let connection = connecting.await.map_err(|error| tcp_error(&error))?;
            // Defence in depth: the address was checked before connecting.
            match connection.inner().peer_addr().map(|peer| peer.ip()) {
                Ok(address) if network.permits(address) => Ok(Metered::new(connection, wire)),
                Ok(address) => Err(TransportError::AddressRefused(network.refused(address))),
                Err(_) => Err(TransportError::Unreachable),
            }
        })
    }
}

/// A resolver for one name whose addresses are already known.
#[derive(Clone)]
struct Addresses(Vec<SocketAddr>);

impl Service<Name> for Addresses {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = TransportError;
    type Future = future::Ready<Result<Self::Response, TransportError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        future::ready(Ok(std::mem::take(&mut self.0).into_iter()))
    }
}

/// The first refused address. One is enough to refuse the name: a mix of allowed and refused addresses is probably an attack.
/// `localhost` must be this machine (RFC 6761 section 6.3), whatever a name server says, because plain HTTP to it is allowed.
fn first_refused(network: &Network, name: &str, addresses: &[IpAddr]) -> Option<IpAddr> {
    let local = crate::values::network::is_localhost(name);
    addresses.iter().copied().find(|ip| !network.permits(*ip) || (local && !ip.is_loopback()))
}

/// Why there is no TCP connection.
fn tcp_error(error: &(dyn StdError + 'static)) -> TransportError {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if let Some(known) = current.downcast_ref::<TransportError>() {
            return known.clone();
        }
        if current.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::TimedOut) {
            return TransportError::TimedOut;
        }
        cause = current.source();
    }
    TransportError::Unreachable
}

/// Why there is no connection with TLS: an error of TLS, or of the TCP connection below it. The error's text is not used: it
/// may contain a URL.
fn tls_error(error: impl Into<Box<dyn StdError + Send + Sync>>) -> TransportError {
    let error = error.into();
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&*error);
    while let Some(current) = cause {
        if let Some(known) = current.downcast_ref::<TransportError>().cloned().or_else(|| tls::classify(current)) {
            return known;
        }
        cause = match current.downcast_ref::<io::Error>() {
            // `source` would skip the inner error, which is often an I/O error again.
            Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
            None => current.source(),
        };
    }
    // The server does not use TLS, or it ended the handshake.
    TransportError::Tls
}

/// Bytes that a server may send before the first request: mostly its certificates.
const MAX_HANDSHAKE: usize = 256 * 1024;
/// How many addresses of a name are tried, until one accepts the connection. A name server could send thousands, and so make
/// this app connect to servers of strangers.
const MAX_ADDRESSES: usize = 8;
/// TCP keep-alive: the idle time before the first probe, and the time between two probes.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// TCP keep-alive: after this number of probes without a response, the connection is closed.
const KEEPALIVE_RETRIES: u32 = 3;
/// How long sent data may remain without an acknowledgement, on systems that have this option.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Row S3 of the threat model. Tests cannot make the system's resolver return these addresses.
    #[test]
    fn one_refused_address_refuses_the_name() {
        let public = Network::public_only();
        let loopback = Network::any().allow_loopback_http();
        for (network, name, response, refused) in [
            (&public, "git.example.com", ["1.1.1.1", "2606:4700:4700::1111"], None),
            (&public, "git.example.com", ["1.1.1.1", "10.0.0.1"], Some("10.0.0.1")),
            (&public, "git.example.com", ["127.0.0.1", "1.1.1.1"], Some("127.0.0.1")),
            (&public, "git.example.com", ["1.1.1.1", "::ffff:1.1.1.1"], Some("::ffff:1.1.1.1")),
            (&loopback, "git.example.com", ["1.1.1.1", "10.0.0.1"], None),
            (&loopback, "git.example.com", ["1.1.1.1", "169.254.169.254"], Some("169.254.169.254")),
            (&loopback, "localhost", ["127.0.0.1", "::1"], None),
            (&loopback, "localhost", ["127.0.0.1", "1.1.1.1"], Some("1.1.1.1")),
            (&loopback, "a.localhost", ["10.0.0.1", "10.0.0.1"], Some("10.0.0.1")),
        ] {
            let addresses = response.map(|address| address.parse().unwrap());
            let refused = refused.map(|address| address.parse().unwrap());
            assert_eq!(first_refused(network, name, &addresses), refused, "{name} {response:?}");
        }
    }

    /// Row S3 again, defence in depth: the peer's address is checked after the addresses of the name.
    #[tokio::test]
    async fn no_byte_is_sent_to_a_peer_that_is_not_allowed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let uri: Uri = format!("https://localhost:{}/", address.port()).parse().unwrap();
        let tcp = |network| Tcp::new(vec![address], &network, Duration::from_secs(1), unlimited());

        assert!(tcp(Network::any()).call(uri.clone()).await.is_ok());
        let refused =
            tls::Layer::new(&[]).unwrap().over(tcp(Network::public_only())).call(uri).await.map_err(tls_error);
        assert_eq!(refused.err().map(|error| error.code()), Some("address_not_allowed"));
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut sent = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut sent).await.unwrap();
            assert!(sent.is_empty());
        }
    }

    fn unlimited() -> Meter {
        let meter = Meter::default();
        meter.allow(usize::MAX);
        meter
    }

    /// A look-up that uses up the connect time-out is not reported as a server that does not respond.
    #[tokio::test(start_paused = true)]
    async fn a_lookup_that_times_out_has_its_own_error() {
        #[derive(Debug)]
        struct Stuck;
        #[async_trait::async_trait]
        impl super::super::Resolve for Stuck {
            async fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
                future::pending().await
            }
        }
        for timeout in [1, 5, 60].map(Duration::from_secs) {
            let connector = Connector::new(&Network::any(), &Lookups::new(Arc::new(Stuck)), timeout, &[]).unwrap();
            let error =
                connector.connect(&Origin::of(&"https://git.example.com/".parse().unwrap()).unwrap()).await.err();
            assert_eq!(error, Some(TransportError::NameLookupTimedOut));
        }
    }
}
