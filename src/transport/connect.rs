//! Opens new connections: which addresses are tried, what is checked before a byte is sent, and what an error means.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::meter::{Meter, Metered};
use super::origin::{Origin, Target};
use super::proxy::Proxied;
use super::report::{ConnectionReport, ReportedAddress};
use super::resolve::Lookups;
use super::socket::Socket;
use super::{tcp, tls};
use crate::error::{ProxyError, TransportError};
use crate::values::network::{Network, is_localhost, without_dot};

/// Opens connections that the network policy allows, within a time limit.
pub(super) struct Connector {
    pub(super) network: Network,
    pub(super) lookups: Lookups,
    pub(super) tls: tls::Layer,
    pub(super) proxy: Option<Proxied>,
    pub(super) timeout: Duration,
}

/// A new connection, with the counters of the bytes that the server sends: `http` above TLS, `wire` below it.
pub(super) struct Stream {
    pub(super) io: Metered<Socket>,
    pub(super) http: Meter,
    pub(super) wire: Meter,
}

impl Connector {
    /// Connects to an origin, if the network policy allows it. Every connection of the client is opened here.
    pub(super) async fn connect(&self, origin: &Origin) -> Result<Stream, TransportError> {
        let until = self.deadline();
        let wire = Meter::default();
        let socket = self.socket(origin, until, &wire).await?;
        let tls = self.tls.connect(socket, origin.uri()?);
        let stream = timeout_at(until, tls).await.unwrap_or(Err(TransportError::TimedOut))?;
        let http = Meter::default();
        Ok(Stream { io: Metered::new(stream, http.clone()), http, wire })
    }

    /// What the operator can know about connections to an origin. It opens one, and sends nothing on it.
    pub(super) async fn inspect(&self, origin: &Origin) -> ConnectionReport {
        let until = self.deadline();
        let proxy = self.proxy_for(origin);
        let addresses = match origin.check(&self.network) {
            Ok(Target::Name(name)) if proxy.is_none_or(Proxied::needs_addresses) => {
                let network = self.network.of_name(&name);
                let found = timeout_at(until, self.lookups.lookup(without_dot(&name))).await;
                let found = found.ok().and_then(Result::ok).unwrap_or_default();
                found.into_iter().take(MAX_ADDRESSES).map(|address| reported(&network, address)).collect()
            }
            Ok(Target::Address(address)) => vec![reported(&self.network, address)],
            Err(TransportError::AddressRefused(refused)) => vec![reported(&self.network, refused.address())],
            Ok(Target::Name(_)) | Err(_) => Vec::new(),
        };
        let certificate = async {
            if !origin.is_https() {
                return None;
            }
            let socket = self.socket(origin, until, &Meter::default()).await.ok()?;
            self.tls.inspect(socket, origin.uri().ok()?).await
        };
        let certificate = timeout_at(until, certificate).await.ok().flatten();
        ConnectionReport { proxy: proxy.map(|proxy| proxy.proxy().to_string()), addresses, certificate }
    }

    /// A connection below TLS: direct, or through the proxy. `wire` counts the bytes that the server sends.
    async fn socket(&self, origin: &Origin, until: Instant, wire: &Meter) -> Result<Socket, TransportError> {
        let uri = origin.uri()?;
        let target = origin.check(&self.network)?;
        wire.allow(MAX_HANDSHAKE);
        let proxy = self.proxy_for(origin);
        let network = match &target {
            Target::Name(name) => self.network.of_name(name),
            Target::Address(_) => self.network.clone(),
        };
        let addresses = match target {
            Target::Name(name) if proxy.is_none_or(Proxied::needs_addresses) => {
                timeout_at(until, self.addresses(&name, &network))
                    .await
                    .unwrap_or(Err(TransportError::NameLookupTimedOut))?
            }
            Target::Name(_) | Target::Address(_) => Vec::new(),
        };
        match proxy {
            None => {
                let time = until.saturating_duration_since(Instant::now());
                let tcp = timeout_at(until, tcp::connect(&uri, addresses, &network, time)).await;
                let tcp = tcp.unwrap_or(Err(TransportError::TimedOut))?;
                Ok(Box::new(Metered::new(tcp, wire.clone())))
            }
            Some(proxy) => {
                let tunnel = proxy.tunnel(origin, &addresses, until, wire);
                timeout_at(until, tunnel).await.unwrap_or(Err(ProxyError::TimedOut.into()))
            }
        }
    }

    /// The proxy for a code host. A proxy on another machine is not used for a loopback address, which would be the proxy's
    /// machine; and plain HTTP, which the policy may allow there, would cross the network.
    fn proxy_for(&self, origin: &Origin) -> Option<&Proxied> {
        let uri = origin.uri().ok()?;
        self.proxy.as_ref().filter(|proxy| proxy.is_for(&uri) && (proxy.is_loopback() || !origin.is_loopback()))
    }

    /// Resolves a name once. If the policy refuses one of its addresses, all of them are refused.
    async fn addresses(&self, name: &str, network: &Network) -> Result<Vec<IpAddr>, TransportError> {
        let name = without_dot(name);
        let mut addresses = self.lookups.lookup(name).await?;
        if let Some(refused) = first_refused(network, name, &addresses) {
            return Err(TransportError::AddressRefused(network.refused(refused)));
        }
        addresses.truncate(MAX_ADDRESSES);
        Ok(addresses)
    }

    #[cfg(test)]
    pub(super) fn direct(network: Network, lookups: Lookups, timeout: Duration) -> Self {
        let tls = tls::Layer::new(&[], None, &tls::Reloads::default()).unwrap();
        Self { network, lookups, tls, proxy: None, timeout }
    }

    fn deadline(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.timeout).unwrap_or(now)
    }
}

fn reported(network: &Network, address: IpAddr) -> ReportedAddress {
    ReportedAddress { address, class: network.refused(address).class(), is_allowed: network.permits(address) }
}

/// The first refused address. One is enough to refuse the name: a mix of allowed and refused addresses is probably an attack.
/// `localhost` must be this machine (RFC 6761 section 6.3), whatever a name server says, because plain HTTP to it is allowed.
fn first_refused(network: &Network, name: &str, addresses: &[IpAddr]) -> Option<IpAddr> {
    let local = is_localhost(name);
    addresses.iter().copied().find(|ip| !network.permits(*ip) || (local && !ip.is_loopback()))
}

/// Bytes that a server and a proxy may send before the first request: mostly certificates.
const MAX_HANDSHAKE: usize = 256 * 1024;
/// How many addresses of a name are tried, until one accepts the connection. A name server could send thousands, and so make
/// this app connect to servers of strangers.
const MAX_ADDRESSES: usize = 8;

#[cfg(test)]
mod tests {
    use std::future;
    use std::io;
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
            let connector = Connector::direct(Network::any(), Lookups::new(Arc::new(Stuck)), timeout);
            let error =
                connector.connect(&Origin::of(&"https://git.example.com/".parse().unwrap()).unwrap()).await.err();
            assert_eq!(error, Some(TransportError::NameLookupTimedOut));
        }
    }
}
