use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use crate::error::ConfigError;

/// Where this crate may connect to: the egress policy of one host.
///
/// A base URL is typed in by an administrator, so the server calls addresses that somebody else chose. This one value
/// decides which of them are reached. [`BaseUrl::parse`](crate::BaseUrl::parse) asks it when the form is filled in,
/// and [`HttpClient`](crate::transport::HttpClient) asks it again for every address that a name resolves to, right
/// before it connects to exactly that address.
///
/// Cloud metadata addresses (169.254.169.254 and its relatives) are refused under every policy.
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
/// let intranet = Network::allow_list(["10.0.0.0/8".parse::<Cidr>()?]);
/// assert!(intranet.permits("10.0.0.5".parse()?));
/// assert!(!intranet.permits("192.168.0.1".parse()?));
/// assert!(!Network::any().permits("169.254.169.254".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Network {
    reach: Reach,
    plain_http: PlainHttp,
}

#[derive(Clone, Debug)]
enum Reach {
    PublicOnly,
    AllowList(Arc<[Cidr]>),
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PlainHttp {
    Refused,
    Loopback,
    Allowed,
}

impl Network {
    /// Globally routable addresses only. Right wherever a tenant types in the base URL.
    pub fn public_only() -> Self {
        Self::new(Reach::PublicOnly)
    }

    /// Globally routable addresses and, besides them, the listed networks: the intranet that holds the code host.
    pub fn allow_list(networks: impl IntoIterator<Item = Cidr>) -> Self {
        Self::new(Reach::AllowList(networks.into_iter().collect()))
    }

    /// Every address except cloud metadata. Right where only the operator of the host chooses base URLs.
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
        let plain_http = match self.plain_http {
            PlainHttp::Allowed => PlainHttp::Allowed,
            PlainHttp::Refused | PlainHttp::Loopback => PlainHttp::Loopback,
        };
        Self { plain_http, ..self }
    }

    /// Allows plain HTTP to every address that the policy permits: client secrets and tokens then cross the network
    /// readable by anybody on the way. Only for an isolated network whose code host has no TLS.
    #[must_use]
    pub fn danger_allow_http(self) -> Self {
        Self { plain_http: PlainHttp::Allowed, ..self }
    }

    /// Whether a connection to `address` is allowed.
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if is_metadata(address) {
            return false;
        }
        if self.plain_http == PlainHttp::Loopback && address.is_loopback() {
            return true;
        }
        match &self.reach {
            Reach::PublicOnly => is_public(address),
            Reach::AllowList(nets) => is_public(address) || nets.iter().any(|net| net.contains(address)),
            Reach::Any => true,
        }
    }

    /// Whether a host name may be looked up at all. The addresses that it resolves to are the wall; this refuses early,
    /// with a better message, names that can only be local.
    pub(crate) fn permits_name(&self, name: &str) -> bool {
        // To a resolver it is the same name with a dot at its end.
        let name = name.strip_suffix('.').unwrap_or(name);
        let is_or_below =
            |suffix: &str| name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if METADATA_NAMES.iter().any(|suffix| is_or_below(suffix)) {
            return false;
        }
        match &self.reach {
            Reach::AllowList(_) | Reach::Any => true,
            Reach::PublicOnly if is_or_below("localhost") => self.plain_http == PlainHttp::Loopback,
            Reach::PublicOnly => name.contains('.') && !LOCAL_SUFFIXES.iter().any(|suffix| is_or_below(suffix)),
        }
    }

    /// Whether plain HTTP may be spoken to this host of a URL.
    pub(crate) fn permits_http(&self, host: &url::Host<&str>) -> bool {
        match self.plain_http {
            PlainHttp::Refused => false,
            PlainHttp::Allowed => true,
            PlainHttp::Loopback => is_loopback_host(host),
        }
    }

    fn new(reach: Reach) -> Self {
        Self { reach, plain_http: PlainHttp::Refused }
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
        text.parse::<ipnet::IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(ipnet::IpNet::from))
            .map(Self)
            .map_err(|_| ConfigError::Cidr)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `localhost`, 127.0.0.0/8 or ::1.
pub(crate) fn is_loopback_host(host: &url::Host<&str>) -> bool {
    match host {
        url::Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        url::Host::Ipv4(v4) => v4.is_loopback(),
        url::Host::Ipv6(v6) => v6.is_loopback(),
    }
}

/// Names that hand out a machine's cloud credentials.
const METADATA_NAMES: [&str; 2] = ["metadata.google.internal", "metadata.goog"];

/// Special-use and by custom private suffixes (RFC 6762, RFC 8375, ICANN's `.internal`, Kubernetes).
const LOCAL_SUFFIXES: [&str; 4] = ["local", "internal", "svc", "home.arpa"];

const METADATA_V4: [Ipv4Addr; 6] = [
    Ipv4Addr::new(169, 254, 169, 254), // AWS, Azure, Google, OpenStack
    Ipv4Addr::new(169, 254, 170, 2),   // AWS ECS task credentials
    Ipv4Addr::new(169, 254, 170, 23),  // AWS EKS pod identity
    Ipv4Addr::new(168, 63, 129, 16),   // Azure WireServer, a public address
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle
];

const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), // AWS
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),  // AWS EKS pod identity
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),  // Google
];

/// IPv4 blocks that are not globally routable, and multicast.
const SPECIAL_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Blocks inside 2000::/3 that are not globally routable or that wrap an IPv4 address.
const SPECIAL_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // Teredo, ORCHID, benchmarking
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

const GLOBAL_UNICAST_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !SPECIAL_V4.iter().any(|net| in_v4(v4, *net)) && !METADATA_V4.contains(&v4),
        IpAddr::V6(v6) => in_v6(v6, GLOBAL_UNICAST_V6) && !SPECIAL_V6.iter().any(|net| in_v6(v6, *net)),
    }
}

/// Metadata addresses in every spelling that a translator on the way could turn back into IPv4.
fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => METADATA_V4.contains(&v4),
        IpAddr::V6(v6) => METADATA_V6.contains(&v6) || embedded_v4(v6).iter().any(|v4| METADATA_V4.contains(v4)),
    }
}

/// The IPv4 addresses that an IPv6 address may stand for: the last 32 bits (mapped, compatible, NAT64, ISATAP), the 32
/// bits behind 2002 (6to4), and the last 32 bits inverted (Teredo).
fn embedded_v4(v6: Ipv6Addr) -> [Ipv4Addr; 3] {
    let [_, a, b, _, _, _, y, z] = v6.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
    [join(y, z), join(a, b), join(!y, !z)]
}

fn in_v4(address: Ipv4Addr, (net, prefix): (Ipv4Addr, u32)) -> bool {
    let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix)).unwrap_or(0);
    address.to_bits() & mask == net.to_bits()
}

fn in_v6(address: Ipv6Addr, (net, prefix): (Ipv6Addr, u32)) -> bool {
    let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix)).unwrap_or(0);
    address.to_bits() & mask == net.to_bits()
}
