mod address;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::sync::Arc;

pub use self::address::{AddressClass, RefusedAddress};
use self::address::{embedded_v4, is_metadata, is_public, is_well_known_nat64, tunnelled};
use crate::error::ConfigError;

/// Where this crate may connect to: the egress policy of the app.
///
/// A base URL is typed in by an administrator, so the server calls addresses that somebody else chose. This value
/// decides which of them may be reached. [`BaseUrl::parse`](crate::BaseUrl::parse) asks it when the form is filled in,
/// and [`HttpClient`](crate::transport::HttpClient) asks it again for every address that a name resolves to, right
/// before it connects to exactly that address.
///
/// Cloud metadata addresses (such as 169.254.169.254) are refused under every policy, and so is what
/// [`deny`](Self::deny) names.
///
/// Source: the IANA special-purpose address registries; OWASP's SSRF prevention cheat sheet, case 2.
///
/// ```
/// use codehost_oauth::transport::{Cidr, Network};
///
/// let tenants = Network::public_only();
/// assert!(tenants.permits("1.1.1.1".parse()?));
/// assert!(!tenants.permits("10.0.0.5".parse()?));
///
/// let intranet = Network::public_and(["10.0.0.0/8".parse::<Cidr>()?]);
/// assert!(intranet.permits("10.0.0.5".parse()?));
/// assert!(!intranet.permits("192.168.0.1".parse()?));
/// assert!(!Network::any().permits("169.254.169.254".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Network {
    reach: Reach,
    /// Loopback addresses, also by plain HTTP.
    allows_loopback: bool,
    /// Plain HTTP to every permitted address.
    allows_http: bool,
    denied: Arc<[Cidr]>,
    nat64: Arc<[Cidr]>,
    /// Names whose addresses may be private, in lower case and without a dot at the end.
    names: Arc<[String]>,
}

#[derive(Clone, Debug)]
enum Reach {
    PublicOnly,
    AllowList(Arc<[Cidr]>),
    Any,
}

impl Network {
    /// Globally routable addresses only. Use it wherever a tenant types in the base URL.
    pub fn public_only() -> Self {
        Self::new(Reach::PublicOnly)
    }

    /// Globally routable addresses and, besides them, these networks: the intranet that holds the code host.
    ///
    /// ```
    /// # use codehost_oauth::transport::Network;
    /// let intranet = Network::public_and(["10.20.0.0/16".parse()?]);
    /// assert!(intranet.permits("10.20.30.40".parse()?) && intranet.permits("1.1.1.1".parse()?));
    /// assert!(!intranet.permits("10.21.0.1".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn public_and(networks: impl IntoIterator<Item = Cidr>) -> Self {
        Self::new(Reach::AllowList(networks.into_iter().collect()))
    }

    /// Every address except cloud metadata. For apps whose operator chooses all base URLs.
    pub fn any() -> Self {
        Self::new(Reach::Any)
    }

    /// Also allows loopback addresses (127.0.0.0/8, ::1, `localhost`), and plain HTTP to them and to nothing else.
    /// For development and tests.
    ///
    /// ```
    /// # use codehost_oauth::{transport::Network, BaseUrl};
    /// let dev = Network::public_only().allow_loopback_http();
    /// assert!(BaseUrl::parse("http://127.0.0.1:3000/gitlab", &dev).is_ok());
    /// assert!(BaseUrl::parse("http://git.example.com", &dev).is_err());
    /// ```
    #[must_use]
    pub fn allow_loopback_http(self) -> Self {
        Self { allows_loopback: true, ..self }
    }

    /// Allows plain HTTP to every address that the policy permits: client secrets and tokens then cross the network
    /// readable by everyone on the way. Only for an isolated network whose code host has no TLS.
    #[must_use]
    pub fn danger_allow_http(self) -> Self {
        Self { allows_http: true, ..self }
    }

    /// Networks that are never reached, whatever else is allowed: such as the operator's own servers at public addresses.
    /// An address that leads to one of them by NAT64 or another spelling is not reached either.
    ///
    /// ```
    /// # use codehost_oauth::transport::Network;
    /// let network = Network::public_only().deny(["198.41.0.0/24".parse()?, "10.0.0.0/8".parse()?]);
    /// assert!(!network.permits("198.41.0.4".parse()?));
    /// assert!(!network.permits("64:ff9b::c629:4".parse()?));
    /// assert!(network.permits("198.41.1.4".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn deny(mut self, networks: impl IntoIterator<Item = Cidr>) -> Self {
        self.denied = self.denied.iter().copied().chain(networks).collect();
        self
    }

    /// Allows the code host with this name to have any address, also a private one that changes: every address but those of
    /// cloud metadata and those that are [denied](Self::deny). No other name and no address in a URL is allowed by it, also no
    /// name below this one.
    ///
    /// ```
    /// # use codehost_oauth::{transport::Network, BaseUrl};
    /// let network = Network::public_only().allow_name("git.corp")?;
    /// assert!(BaseUrl::parse("https://git.corp", &network).is_ok());
    /// assert!(BaseUrl::parse("https://other.corp", &network).is_err());
    /// assert!(BaseUrl::parse("https://10.0.0.5", &network).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::AllowedName`] unless it is a host name.
    pub fn allow_name(mut self, name: &str) -> Result<Self, ConfigError> {
        let name = match url::Host::parse(without_dot(name)) {
            Ok(url::Host::Domain(name)) if is_host_name(&name) => name,
            _ => return Err(ConfigError::AllowedName),
        };
        self.names = self.names.iter().cloned().chain([name]).collect();
        Ok(self)
    }

    /// Another prefix of the operator's NAT64, besides `64:ff9b::/96`: its addresses are judged by the IPv4 address in them.
    ///
    /// ```
    /// # use codehost_oauth::transport::Network;
    /// let network = Network::public_only().nat64("2001:db8:64::/96".parse()?)?;
    /// assert!(network.permits("2001:db8:64::101:101".parse()?), "1.1.1.1");
    /// assert!(!network.permits("2001:db8:64::a00:1".parse()?), "10.0.0.1");
    /// assert!(network.nat64("2001:db8::/80".parse()?).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::Cidr`] unless it is an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits (RFC 6052 section 2.2).
    pub fn nat64(mut self, prefix: Cidr) -> Result<Self, ConfigError> {
        let is_prefix = prefix.0.addr().is_ipv6() && matches!(prefix.0.prefix_len(), 32 | 40 | 48 | 56 | 64 | 96);
        if !is_prefix {
            return Err(ConfigError::Cidr);
        }
        self.nat64 = self.nat64.iter().copied().chain([prefix]).collect();
        Ok(self)
    }

    /// Whether a connection to `address` is allowed.
    ///
    /// An address behind NAT64 (`64:ff9b::/96`, and what [`nat64`](Self::nat64) names) is judged by its IPv4 address. No
    /// code host uses another IPv6 spelling of an IPv4 address (mapped, 6to4, …), so none of them counts as public.
    #[must_use]
    pub fn permits(&self, address: IpAddr) -> bool {
        if is_metadata(address) || self.is_denied(address) {
            return false;
        }
        if self.allows_loopback && address.to_canonical().is_loopback() {
            return true;
        }
        // A NAT64 sends packets on to the IPv4 address inside, so only that one counts.
        let address = self.translated(address).map_or(address, IpAddr::V4);
        match &self.reach {
            Reach::PublicOnly => is_public(address),
            Reach::AllowList(nets) => is_public(address) || nets.iter().any(|net| net.contains(address)),
            Reach::Any => true,
        }
    }

    /// The address with its kind, for the operator who must know why it is refused, and for a
    /// [`Transport`](crate::transport::Transport) of your own that refuses it.
    ///
    /// ```
    /// # use codehost_oauth::transport::Network;
    /// let refused = Network::public_only().refused("64:ff9b::a00:1".parse()?);
    /// assert_eq!(refused.to_string(), "64:ff9b::a00:1 is a private address");
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn refused(&self, address: IpAddr) -> RefusedAddress {
        let class = if is_metadata(address) {
            AddressClass::Metadata
        } else if self.is_denied(address) {
            AddressClass::Denied
        } else {
            AddressClass::of(self.translated(address).map_or(address.to_canonical(), IpAddr::V4))
        };
        RefusedAddress::new(address, class)
    }

    /// An address that leads to a denied IPv4 address is denied too.
    fn is_denied(&self, address: IpAddr) -> bool {
        let is_denied = |address| self.denied.iter().any(|net| net.contains(address));
        let behind = self.translated(address).or_else(|| match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => tunnelled(v6),
        });
        is_denied(address) || behind.is_some_and(|v4| is_denied(v4.into()))
    }

    /// The IPv4 address that a NAT64 sends on to.
    fn translated(&self, address: IpAddr) -> Option<Ipv4Addr> {
        let IpAddr::V6(v6) = address else { return None };
        let [last, at_64, at_56, at_48, at_40, at_32, ..] = embedded_v4(v6);
        if is_well_known_nat64(v6) {
            return Some(last);
        }
        self.nat64.iter().find(|prefix| prefix.contains(address)).map(|prefix| match prefix.0.prefix_len() {
            32 => at_32,
            40 => at_40,
            48 => at_48,
            56 => at_56,
            64 => at_64,
            _ => last,
        })
    }

    /// The policy for the addresses of a host name.
    pub(crate) fn of_name(&self, name: &str) -> Self {
        let reach = if self.allows_name(name) { Reach::Any } else { self.reach.clone() };
        Self { reach, ..self.clone() }
    }

    fn allows_name(&self, name: &str) -> bool {
        self.names.iter().any(|allowed| allowed.eq_ignore_ascii_case(without_dot(name)))
    }

    /// Whether a host name may be looked up. The check of its addresses decides; this one refuses local names early, with a
    /// better message.
    pub(crate) fn permits_name(&self, name: &str) -> bool {
        let name = without_dot(name);
        let is_or_below = |suffix: &str| {
            let split = name.len().checked_sub(suffix.len()).and_then(|at| name.split_at_checked(at));
            split
                .is_some_and(|(rest, end)| end.eq_ignore_ascii_case(suffix) && (rest.is_empty() || rest.ends_with('.')))
        };
        if METADATA_NAMES.iter().any(|suffix| is_or_below(suffix)) {
            return false;
        }
        // A proxy would look it up as itself.
        if is_or_below("localhost") {
            return self.of_name(name).permits(Ipv4Addr::LOCALHOST.into());
        }
        match &self.reach {
            Reach::AllowList(_) | Reach::Any => true,
            Reach::PublicOnly if self.allows_name(name) => true,
            Reach::PublicOnly => name.contains('.') && !LOCAL_SUFFIXES.iter().any(|suffix| is_or_below(suffix)),
        }
    }

    /// Whether plain HTTP may be spoken to this host of a URL.
    pub(crate) fn permits_http(&self, host: &url::Host<&str>) -> bool {
        self.allows_http || (self.allows_loopback && is_loopback_host(host))
    }

    fn new(reach: Reach) -> Self {
        Self {
            reach,
            allows_loopback: false,
            allows_http: false,
            denied: Arc::default(),
            nat64: Arc::default(),
            names: Arc::default(),
        }
    }
}

/// A range of addresses, such as `10.0.0.0/8`, `fd00::/8` or one address.
///
/// ```
/// use codehost_oauth::transport::Cidr;
///
/// let net: Cidr = "10.20.0.0/16".parse()?;
/// assert!(net.contains("10.20.30.40".parse()?));
/// assert_eq!("192.0.2.7".parse::<Cidr>()?.to_string(), "192.0.2.7/32");
/// assert!("10.0.0.0/33".parse::<Cidr>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr(ipnet::IpNet);

impl Cidr {
    /// Whether the range holds `address`. An IPv4-mapped IPv6 address counts as its IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Cidr {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let net = match text.parse::<ipnet::IpNet>() {
            Ok(net) => net,
            Err(_) => text.parse::<IpAddr>().map_err(|_| ConfigError::Cidr)?.to_canonical().into(),
        };
        // A range of IPv4-mapped addresses would match nothing: addresses are compared as IPv4.
        let mapped = net.addr() != net.addr().to_canonical();
        // `10.0.0.5/8` is all of 10/8, which is hardly what was meant.
        let exact = net.addr() == net.network();
        if exact && !mapped { Ok(Self(net)) } else { Err(ConfigError::Cidr) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// With a dot at the end it is the same name.
pub(crate) fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// A name of this machine itself (RFC 6761 section 6.3).
pub(crate) fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// Whether a host is this machine, in any spelling.
#[cfg(feature = "http-client")]
pub(crate) fn is_this_machine(host: &url::Host) -> bool {
    match host {
        url::Host::Domain(name) => is_localhost(without_dot(name)),
        url::Host::Ipv4(v4) => v4.is_loopback(),
        url::Host::Ipv6(v6) => v6.to_canonical().is_loopback(),
    }
}

/// Whether a name can exist in the DNS (RFC 1035 section 2.3.4) and in a certificate; `url` takes more. Host
/// names have no underscores, but some intranets use them.
pub(crate) fn is_host_name(name: &str) -> bool {
    let (mut before, mut label) = (b'.', 0_usize);
    for byte in name.bytes() {
        let allowed = match byte {
            b'.' => before != b'-' && (1..=63).contains(&label),
            b'-' => before != b'.',
            _ => byte.is_ascii_alphanumeric() || byte == b'_',
        };
        if !allowed {
            return false;
        }
        label = if byte == b'.' { 0 } else { label.saturating_add(1) };
        before = byte;
    }
    before != b'-' && (1..=63).contains(&label) && name.len() <= 253
}

/// `localhost`, 127.0.0.0/8 or ::1, and no other spelling of them.
pub(crate) fn is_loopback_host(host: &url::Host<&str>) -> bool {
    match host {
        url::Host::Domain(name) => is_localhost(name),
        url::Host::Ipv4(v4) => v4.is_loopback(),
        url::Host::Ipv6(v6) => v6.is_loopback(),
    }
}

/// Names of servers that give out a machine's cloud credentials.
const METADATA_NAMES: [&str; 5] =
    ["instance-data", "instance-data.ec2.internal", "metadata", "metadata.google.internal", "metadata.goog"];

/// Suffixes of special-use names, and of names that are private by custom (RFC 6762 with its appendix G, RFC 7686, RFC 8375, ICANN's `.internal`,
/// Kubernetes, old resolvers). For a better message only: the addresses are checked in any case.
const LOCAL_SUFFIXES: [&str; 11] =
    ["local", "internal", "svc", "home.arpa", "localdomain", "lan", "corp", "home", "intranet", "private", "onion"];
