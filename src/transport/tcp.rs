//! Opens TCP connections, to addresses that were checked before.

use std::error::Error as StdError;
use std::future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::error::TransportError;
use crate::values::network::Network;

/// Connects to the port in `uri`: to the first of the `addresses` that accepts the connection, or to the address in `uri` if
/// there are none. They share the time.
///
/// Defence in depth: the address of the server is checked again, before a byte is sent.
pub(super) async fn connect(
    uri: &Uri,
    addresses: Vec<IpAddr>,
    network: &Network,
    timeout: Duration,
) -> Result<TokioIo<TcpStream>, TransportError> {
    let mut connector = HttpConnector::new_with_resolver(Resolved(addresses));
    // TLS, if there is any, is a layer above.
    connector.enforce_http(false);
    connector.set_nodelay(true);
    // It is divided among the addresses of a name, so that one that does not respond leaves time for the next.
    connector.set_connect_timeout(Some(timeout));
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_keepalive_interval(Some(KEEPALIVE));
    connector.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    connector.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT));

    // `poll_ready` is not needed: the connector is always ready.
    let connection = connector.call(uri.clone()).await.map_err(|error| cause(&error))?;
    match connection.inner().peer_addr().map(|peer| peer.ip()) {
        Ok(address) if network.permits(address) => Ok(connection),
        Ok(address) => Err(TransportError::AddressRefused(network.refused(address))),
        Err(_) => Err(TransportError::Unreachable),
    }
}

/// A resolver for one name, whose addresses are already known.
#[derive(Clone)]
struct Resolved(Vec<IpAddr>);

impl Service<Name> for Resolved {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = future::Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        let addresses: Vec<_> = self.0.iter().map(|address| SocketAddr::new(*address, 0)).collect();
        future::ready(Ok(addresses.into_iter()))
    }
}

/// Why there is no TCP connection.
fn cause(error: &(dyn StdError + 'static)) -> TransportError {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if current.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::TimedOut) {
            return TransportError::TimedOut;
        }
        cause = current.source();
    }
    TransportError::Unreachable
}

/// TCP keep-alive: the idle time before the first probe, and the time between two probes.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// TCP keep-alive: after this number of probes without a response, the connection is closed.
const KEEPALIVE_RETRIES: u32 = 3;
/// How long sent data may remain without an acknowledgement, on systems that have this option.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    /// Row S3, defence in depth: the peer's address is checked after the addresses of the name.
    #[tokio::test]
    async fn no_byte_is_sent_to_a_peer_that_is_not_allowed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let uri: Uri = format!("https://localhost:{}/", address.port()).parse().unwrap();
        for (network, expected) in [(Network::any(), None), (Network::public_only(), Some("address_not_allowed"))] {
            let connected = connect(&uri, vec![address.ip()], &network, Duration::from_secs(1)).await;
            assert_eq!(connected.err().map(|error| error.code()), expected);
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut sent = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut sent).await.unwrap();
            assert!(sent.is_empty());
        }
    }
}
