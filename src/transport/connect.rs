//! New connections: who is dialled, what is checked before a byte is sent, and what it means if there is none.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Extensions, Uri};
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::{Connection as _, HttpConnector, HttpInfo};
use tower_service::Service;

use super::resolve::Lookups;
use super::tls::{self, Tls};
use crate::error::{ConfigError, TransportError};
use crate::network::Network;

/// Opens connections where the network policy allows, within a time. The pool clones it for each request.
#[derive(Clone)]
pub(super) struct Connector(Arc<Inner>);

struct Inner {
    layers: Layers,
    network: Network,
    timeout: Duration,
}

type Layers = Tls<HttpConnector<Guard>>;

impl Connector {
    /// `certificates` are PEM texts.
    pub(super) fn new(
        network: &Network,
        lookups: &Lookups,
        timeout: Duration,
        certificates: &[Vec<u8>],
    ) -> Result<Self, ConfigError> {
        let mut tcp = HttpConnector::new_with_resolver(Guard { network: network.clone(), lookups: lookups.clone() });
        // `https` is for the layer above.
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Shared by a name's addresses, so that one that is silent leaves time for the next.
        tcp.set_connect_timeout(Some(timeout));
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE));
        tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        let layers = tls::over(tcp, certificates)?;
        Ok(Self(Arc::new(Inner { layers, network: network.clone(), timeout })))
    }
}

impl Service<Uri> for Connector {
    type Response = <Layers as Service<Uri>>::Response;
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, TransportError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            // All of the layers are ready at any time.
            let connecting = inner.layers.clone().call(uri);
            let connection = match tokio::time::timeout(inner.timeout, connecting).await {
                Ok(connected) => connected.map_err(cause)?,
                Err(_) => return Err(TransportError::TimedOut),
            };
            // A second wall, behind the resolver's guard and the check of literal addresses.
            let mut extras = Extensions::new();
            connection.connected().get_extras(&mut extras);
            match extras.get::<HttpInfo>() {
                Some(info) if !inner.network.permits(info.remote_addr().ip()) => Err(TransportError::AddressNotAllowed),
                _ => Ok(connection),
            }
        })
    }
}

/// Resolves a name once and lets nothing through that the policy refuses. Literal addresses do not get here.
#[derive(Clone)]
pub(super) struct Guard {
    network: Network,
    lookups: Lookups,
}

impl Service<Name> for Guard {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, TransportError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { network, lookups } = self.clone();
        Box::pin(async move {
            let addresses = lookups.lookup(name.as_str()).await?;
            if !permits_all(&network, name.as_str(), &addresses) {
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

/// Why there is no connection; nothing of the text, which may hold a URL.
fn cause(error: impl Into<Box<dyn StdError + Send + Sync>>) -> TransportError {
    let error = error.into();
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&*error);
    let mut io_kind = None;
    while let Some(current) = cause {
        if let Some(known) = current.downcast_ref::<TransportError>().cloned().or_else(|| tls::verdict(current)) {
            return known;
        }
        cause = match current.downcast_ref::<io::Error>() {
            Some(io) => {
                io_kind = Some(io.kind());
                // Its `source` is that of the error inside, which is often an I/O error again.
                io.get_ref().map(|inner| inner as &(dyn StdError + 'static))
            }
            None => current.source(),
        };
    }
    match io_kind {
        Some(io::ErrorKind::TimedOut) => TransportError::TimedOut,
        // Something that is not TLS answered the handshake.
        Some(io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => TransportError::Tls,
        _ => TransportError::Refused,
    }
}

/// Of the addresses of a name. They are dialled until one answers, and a name server may name thousands of strangers.
const MAX_DIALLED: usize = 8;
/// An idle connection is asked about after so long, and given up after so many questions.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_RETRIES: u32 = 3;

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
