//! The origin of a request: scheme, host and port (RFC 6454).

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};

use super::tls::HAS_TLS;
use crate::error::TransportError;
use crate::values::network::{Network, is_this_machine};

/// Scheme and authority of a request's URI.
#[derive(Clone, Debug, Eq)]
pub(super) struct Origin {
    scheme: Scheme,
    authority: Authority,
}

/// Compared as text, because base URLs have lower-case names. `Authority` ignores case, letter by letter, which is slower.
impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.authority.as_str() == other.authority.as_str()
    }
}

impl Hash for Origin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.authority.as_str().hash(state);
    }
}

impl Origin {
    pub(super) fn of(uri: &Uri) -> Result<Self, TransportError> {
        match (uri.scheme(), uri.authority()) {
            // The `Host` header would contain the user name and password.
            (Some(scheme), Some(authority)) if !authority.as_str().contains('@') => {
                Ok(Self { scheme: scheme.clone(), authority: authority.clone() })
            }
            _ => Err(TransportError::Protocol),
        }
    }

    /// What to connect to, if the network policy allows it. An address in the URI is checked here, because it is not resolved;
    /// a name is checked again when its addresses are known.
    pub(super) fn check(&self, network: &Network) -> Result<Target, TransportError> {
        let text = self.authority.host();
        let host = url::Host::parse(text).map_err(|_| TransportError::Protocol)?;
        let (target, borrowed) = match &host {
            url::Host::Ipv4(v4) => (Target::Address((*v4).into()), url::Host::Ipv4(*v4)),
            url::Host::Ipv6(v6) => (Target::Address((*v6).into()), url::Host::Ipv6(*v6)),
            url::Host::Domain(name) => (Target::Name(name.clone()), url::Host::Domain(name.as_str())),
        };
        match &target {
            Target::Address(address) if !network.permits(*address) => {
                return Err(TransportError::AddressRefused(network.refused(*address)));
            }
            Target::Name(name) if !network.permits_name(name) => return Err(TransportError::NameNotAllowed),
            _ => {}
        }
        // Other spellings of an address (`127.1`, `0x7f.1`) could be checked as one host and connected to as another.
        if !host.to_string().eq_ignore_ascii_case(text) {
            return Err(TransportError::Protocol);
        }
        match self.scheme.as_str() {
            "http" if !network.permits_http(&borrowed) => Err(TransportError::PlainHttp),
            "https" if !HAS_TLS => Err(TransportError::NoTls),
            "http" | "https" => Ok(target),
            _ => Err(TransportError::Protocol),
        }
    }

    pub(super) fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Whether it is this machine: `localhost` or a loopback address.
    pub(super) fn is_loopback(&self) -> bool {
        url::Host::parse(self.authority.host()).is_ok_and(|host| is_this_machine(&host))
    }

    /// The origin as a URI, for the layers that connect.
    pub(super) fn uri(&self) -> Result<Uri, TransportError> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        Uri::from_parts(parts).map_err(|_| TransportError::Protocol)
    }

    /// The host as in the URI, so with brackets if it is an IPv6 address, and the port.
    pub(super) fn host_and_port(&self) -> (&str, u16) {
        let default = if self.scheme == Scheme::HTTP { 80 } else { 443 };
        (self.authority.host(), self.authority.port_u16().unwrap_or(default))
    }

    pub(super) fn host_header(&self) -> Result<HeaderValue, TransportError> {
        HeaderValue::from_str(self.authority.as_str()).map_err(|_| TransportError::Protocol)
    }
}

/// What to connect to.
pub(super) enum Target {
    /// A name, which must be resolved first.
    Name(String),
    /// An address that the policy allows.
    Address(IpAddr),
}
