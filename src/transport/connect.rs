//! New connections: who is dialled, what is checked before a byte is sent, and what it means if there is none.

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
use super::place::{Place, Target};
use super::resolve::Lookups;
use super::tls::{self, Tls};
use crate::error::{ConfigError, TransportError};
use crate::values::network::Network;

/// Opens connections where the network policy allows, within a time.
pub(super) struct Connector {
    network: Network,
    lookups: Lookups,
    tls: tls::Layer,
    timeout: Duration,
}

/// A new connection with the counters of what comes: above TLS, and below it.
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

    /// Connects where a request leads, if the policy allows: the one place at which it is asked.
    pub(super) async fn connect(&self, place: &Place) -> Result<Stream, TransportError> {
        let target = place.check(&self.network)?;
        let now = Instant::now();
        let until = now.checked_add(self.timeout).unwrap_or(now);
        let addresses = match target {
            Target::Name(name) => {
                timeout_at(until, self.addresses(&name)).await.unwrap_or(Err(TransportError::NameLookupTimedOut))?
            }
            // No resolver sees it.
            Target::Address(_) => Vec::new(),
        };
        let wire = Meter::default();
        wire.allow(MAX_HANDSHAKE);
        let tcp = Tcp::new(addresses, &self.network, self.timeout, wire.clone());
        // All of the layers are ready at any time.
        let connecting = self.tls.over(tcp).call(place.uri()?);
        let connected = timeout_at(until, connecting).await.map_err(|_| TransportError::TimedOut)?;
        let http = Meter::default();
        Ok(Stream { io: Metered::new(connected.map_err(no_tls)?, http.clone()), http, wire })
    }

    /// Resolves a name once and lets nothing through that the policy refuses.
    async fn addresses(&self, name: &str) -> Result<Vec<SocketAddr>, TransportError> {
        // With a dot at its end it is the same name.
        let name = name.strip_suffix('.').unwrap_or(name);
        let addresses = self.lookups.lookup(name).await?;
        if let Some(refused) = first_refused(&self.network, name, &addresses) {
            return Err(TransportError::AddressRefused(self.network.refused(refused)));
        }
        Ok(addresses.into_iter().take(MAX_DIALLED).map(|ip| SocketAddr::new(ip, 0)).collect())
    }
}

type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, TransportError>> + Send>>;

/// Connections without TLS, or below it, to addresses that were looked up already.
#[derive(Clone)]
pub(super) struct Tcp {
    dial: HttpConnector<Addresses>,
    network: Network,
    wire: Meter,
}

impl Tcp {
    fn new(addresses: Vec<SocketAddr>, network: &Network, timeout: Duration, wire: Meter) -> Self {
        let mut dial = HttpConnector::new_with_resolver(Addresses(addresses));
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
        Self { dial, network: network.clone(), wire }
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
        let (dialling, network, wire) = (self.dial.call(uri), self.network.clone(), self.wire.clone());
        Box::pin(async move {
            let connection = dialling.await.map_err(|error| no_connection(&error))?;
            // Defence in depth: the names' and the literal addresses were checked before.
            match connection.inner().peer_addr().map(|peer| peer.ip()) {
                Ok(address) if network.permits(address) => Ok(Metered::new(connection, wire)),
                Ok(address) => Err(TransportError::AddressRefused(network.refused(address))),
                Err(_) => Err(TransportError::Refused),
            }
        })
    }
}

/// What a name was resolved to.
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

/// The first address that refuses all: whoever answers with a mix is trying something. And `localhost`, to which plain HTTP
/// may be spoken, is no other machine, whatever a name server says (RFC 6761 section 6.3).
fn first_refused(network: &Network, name: &str, addresses: &[IpAddr]) -> Option<IpAddr> {
    let local = crate::values::network::is_localhost(name);
    addresses.iter().copied().find(|ip| !network.permits(*ip) || (local && !ip.is_loopback()))
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

/// Bytes that a server may send before the first request: its certificates and little else.
const MAX_HANDSHAKE: usize = 256 * 1024;
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
    use std::sync::Arc;

    use super::*;

    /// Rows S3 of the threat model, and what no test can make the system's resolver answer.
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

    /// Row S3 again: defence in depth, behind the check of what a name resolves to.
    #[tokio::test]
    async fn a_peer_that_is_not_allowed_is_left_before_a_byte_is_sent() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let uri: Uri = format!("https://localhost:{}/", address.port()).parse().unwrap();
        let tcp = |network| Tcp::new(vec![address], &network, Duration::from_secs(1), unlimited());

        assert!(tcp(Network::any()).call(uri.clone()).await.is_ok());
        let refused = tls::Layer::new(&[]).unwrap().over(tcp(Network::public_only())).call(uri).await.map_err(no_tls);
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

    /// A look-up that takes all of the time is not a server that is silent.
    #[tokio::test(start_paused = true)]
    async fn a_lookup_without_end_is_its_own_cause() {
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
                connector.connect(&Place::of(&"https://git.example.com/".parse().unwrap()).unwrap()).await.err();
            assert_eq!(error, Some(TransportError::NameLookupTimedOut));
        }
    }
}
