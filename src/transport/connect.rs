//! New connections: who is dialled, what is checked before a byte is sent, and what it means if there is none.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::resolve::Lookups;
use super::tls::{self, Tls};
use crate::error::{ConfigError, TransportError};
use crate::network::Network;

/// Opens connections where the network policy allows, within a time. The pool clones it for each request.
#[derive(Clone)]
pub(super) struct Connector(Arc<Inner>);

struct Inner {
    tls: Tls<Tcp>,
    timeout: Duration,
}

impl Connector {
    /// `certificates` are PEM texts.
    pub(super) fn new(
        network: &Network,
        lookups: &Lookups,
        timeout: Duration,
        certificates: &[Vec<u8>],
    ) -> Result<Self, ConfigError> {
        let guard = Guard { network: network.clone(), lookups: lookups.clone() };
        let tls = tls::over(Tcp::new(network, guard, timeout), certificates)?;
        Ok(Self(Arc::new(Inner { tls, timeout })))
    }
}

impl Service<Uri> for Connector {
    type Response = <Tls<Tcp> as Service<Uri>>::Response;
    type Error = TransportError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            // All of the layers are ready at any time.
            let connecting = inner.tls.clone().call(uri);
            match tokio::time::timeout(inner.timeout, connecting).await {
                Ok(connected) => connected.map_err(no_tls),
                Err(_) => Err(TransportError::TimedOut),
            }
        })
    }
}

type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, TransportError>> + Send>>;

/// Connections without TLS, or below it.
#[derive(Clone)]
pub(super) struct Tcp {
    dial: HttpConnector<Guard>,
    network: Network,
}

impl Tcp {
    fn new(network: &Network, guard: Guard, timeout: Duration) -> Self {
        let mut dial = HttpConnector::new_with_resolver(guard);
        // `https` is for the layer above.
        dial.enforce_http(false);
        dial.set_nodelay(true);
        // Shared by a name's addresses, so that one that is silent leaves time for the next.
        dial.set_connect_timeout(Some(timeout));
        dial.set_keepalive(Some(KEEPALIVE));
        dial.set_keepalive_interval(Some(KEEPALIVE));
        dial.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        dial.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        Self { dial, network: network.clone() }
    }
}

impl Service<Uri> for Tcp {
    type Response = TokioIo<TcpStream>;
    type Error = TransportError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (dialling, network) = (self.dial.call(uri), self.network.clone());
        Box::pin(async move {
            let connection = dialling.await.map_err(|error| no_connection(&error))?;
            // A second wall, behind the guard and the check of literal addresses.
            match connection.inner().peer_addr() {
                Ok(peer) if network.permits(peer.ip()) => Ok(connection),
                Ok(_) => Err(TransportError::AddressNotAllowed),
                Err(_) => Err(TransportError::Refused),
            }
        })
    }
}

/// Resolves a name once and lets nothing through that the policy refuses. Literal addresses do not get here.
#[derive(Clone)]
struct Guard {
    network: Network,
    lookups: Lookups,
}

impl Service<Name> for Guard {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = TransportError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { network, lookups } = self.clone();
        Box::pin(async move {
            // With a dot at its end it is the same name.
            let name = name.as_str().strip_suffix('.').unwrap_or(name.as_str());
            let addresses = lookups.lookup(name).await?;
            if !permits_all(&network, name, &addresses) {
                return Err(TransportError::AddressNotAllowed);
            }
            let dialled = addresses.into_iter().take(MAX_DIALLED).map(|ip| SocketAddr::new(ip, 0));
            Ok(dialled.collect::<Vec<_>>().into_iter())
        })
    }
}

/// One refused address refuses all: whoever answers with a mix is trying something. And `localhost`, to which plain HTTP
/// may be spoken, is no other machine, whatever a name server says (RFC 6761 section 6.3).
fn permits_all(network: &Network, name: &str, addresses: &[IpAddr]) -> bool {
    let local = crate::network::is_localhost(name);
    addresses.iter().all(|ip| network.permits(*ip) && (!local || ip.is_loopback()))
}

/// Why nobody could be dialled.
fn no_connection(error: &(dyn StdError + 'static)) -> TransportError {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if let Some(guard) = current.downcast_ref::<TransportError>() {
            return guard.clone();
        }
        if current.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::TimedOut) {
            return TransportError::TimedOut;
        }
        cause = current.source();
    }
    TransportError::Refused
}

/// Why there is no TLS over a connection, unless it is that there is none. Nothing of the text, which may hold a URL.
fn no_tls(error: impl Into<Box<dyn StdError + Send + Sync>>) -> TransportError {
    let error = error.into();
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&*error);
    while let Some(current) = cause {
        if let Some(known) = current.downcast_ref::<TransportError>().cloned().or_else(|| tls::verdict(current)) {
            return known;
        }
        cause = match current.downcast_ref::<io::Error>() {
            // Its `source` is that of the error inside, which is often an I/O error again.
            Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
            None => current.source(),
        };
    }
    // Something that is not TLS answered the handshake, or ended it.
    TransportError::Tls
}

/// Of the addresses of a name. They are dialled until one answers, and a name server may name thousands of strangers.
const MAX_DIALLED: usize = 8;
/// An idle connection is asked about after so long, and given up after so many questions.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_RETRIES: u32 = 3;
/// How long what was sent may lack the other side's word that it came, where the system can be told.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

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
    /// Row S3 again: the wall behind the guard, which no name gets past if the guard does its part.
    #[tokio::test]
    async fn a_peer_that_is_not_allowed_is_left_before_a_byte_is_sent() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        let lookups = Lookups::new(Arc::new(super::super::resolve::System));
        let asleep = || Guard { network: Network::any(), lookups: lookups.clone() };
        let second = Duration::from_secs(1);

        let mut tcp = Tcp::new(&Network::any(), asleep(), second);
        assert!(tcp.call(uri.parse().unwrap()).await.is_ok());
        let tcp = Tcp::new(&Network::public_only(), asleep(), second);
        let tls = tls::over(tcp, &[]).unwrap();
        let mut connector = Connector(Arc::new(Inner { tls, timeout: second }));
        let refused = connector.call(uri.parse().unwrap()).await;
        assert_eq!(refused.err(), Some(TransportError::AddressNotAllowed));
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut sent = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut sent).await.unwrap();
            assert!(sent.is_empty());
        }
    }
}
