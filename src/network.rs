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
    ///
    /// No name honestly resolves to an IPv6 spelling of an IPv4 address (mapped, NAT64, 6to4, …), so none of them is
    /// public, whichever IPv4 address it stands for.
    pub fn permits(&self, address: IpAddr) -> bool {
        if is_metadata(address) {
            return false;
        }
        if self.plain_http == PlainHttp::Loopback && address.to_canonical().is_loopback() {
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
        let name = name.strip_suffix('.').unwrap_or(name);
        let is_or_below = |suffix: &str| {
            let split = name.len().checked_sub(suffix.len()).and_then(|at| name.split_at_checked(at));
            split
                .is_some_and(|(rest, end)| end.eq_ignore_ascii_case(suffix) && (rest.is_empty() || rest.ends_with('.')))
        };
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

/// A name of this machine itself (RFC 6761 section 6.3).
pub(crate) fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// `localhost`, 127.0.0.0/8 or ::1.
pub(crate) fn is_loopback_host(host: &url::Host<&str>) -> bool {
    match host {
        url::Host::Domain(name) => is_localhost(name),
        url::Host::Ipv4(v4) => v4.is_loopback(),
        url::Host::Ipv6(v6) => v6.is_loopback(),
    }
}

/// Names that hand out a machine's cloud credentials.
const METADATA_NAMES: [&str; 2] = ["metadata.google.internal", "metadata.goog"];

/// Special-use and by custom private suffixes (RFC 6762 with its appendix G, RFC 7686, RFC 8375, ICANN's `.internal`,
/// Kubernetes, old resolvers). A hint for the form; the addresses are the wall.
const LOCAL_SUFFIXES: [&str; 11] =
    ["local", "internal", "svc", "home.arpa", "localdomain", "lan", "corp", "home", "intranet", "private", "onion"];

const METADATA_V4: [Ipv4Addr; 8] = [
    Ipv4Addr::new(169, 254, 169, 254), // AWS, Azure, Google, OpenStack
    Ipv4Addr::new(169, 254, 170, 2),   // AWS ECS task credentials
    Ipv4Addr::new(169, 254, 170, 23),  // AWS EKS pod identity
    Ipv4Addr::new(169, 254, 42, 42),   // Scaleway
    Ipv4Addr::new(169, 254, 0, 23),    // Tencent
    Ipv4Addr::new(168, 63, 129, 16),   // Azure WireServer, a public address
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle
];

/// Those that end in 169.254.169.254 (OpenStack, Oracle) are found by [`embedded_v4`].
const METADATA_V6: [Ipv6Addr; 6] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),     // AWS
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),      // AWS EKS pod identity
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),      // Google
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),       // Scaleway
    Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 0x1), // Akamai
    Ipv6Addr::new(0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200), // Alibaba
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
        IpAddr::V6(v6) => {
            in_v6(v6, GLOBAL_UNICAST_V6) && !SPECIAL_V6.iter().any(|net| in_v6(v6, *net)) && !is_isatap(v6)
        }
    }
}

/// Metadata addresses in every spelling that a translator on the way could turn back into IPv4.
fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => METADATA_V4.contains(&v4),
        IpAddr::V6(v6) => METADATA_V6.contains(&v6) || embedded_v4(v6).iter().any(|v4| METADATA_V4.contains(v4)),
    }
}

/// The IPv4 addresses that an IPv6 address may stand for, whatever its prefix, since an operator can choose that.
fn embedded_v4(v6: Ipv6Addr) -> [Ipv4Addr; 8] {
    let [_, _, c, d, e, f, g, h, _, j, k, l, m, n, o, p] = v6.octets();
    [
        Ipv4Addr::new(m, n, o, p),     // mapped, compatible, ISATAP, NAT64 with a prefix of 96 bits
        Ipv4Addr::new(j, k, l, m),     // NAT64 with 64 (RFC 6052 section 2.2: octet 8 is skipped)
        Ipv4Addr::new(h, j, k, l),     // 56
        Ipv4Addr::new(g, h, j, k),     // 48, as 64:ff9b:1::/48 may be used
        Ipv4Addr::new(f, g, h, j),     // 40
        Ipv4Addr::new(e, f, g, h),     // 32; a Teredo server
        Ipv4Addr::new(c, d, e, f),     // 6to4
        Ipv4Addr::new(!m, !n, !o, !p), // a Teredo client
    ]
}

/// An interface id that wraps an IPv4 address behind any prefix (RFC 5214 section 6.1).
fn is_isatap(v6: Ipv6Addr) -> bool {
    matches!(v6.segments(), [_, _, _, _, 0 | 0x200, 0x5efe, _, _])
}

fn in_v4(address: Ipv4Addr, (net, prefix): (Ipv4Addr, u32)) -> bool {
    let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix)).unwrap_or(0);
    address.to_bits() & mask == net.to_bits()
}

fn in_v6(address: Ipv6Addr, (net, prefix): (Ipv6Addr, u32)) -> bool {
    let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix)).unwrap_or(0);
    address.to_bits() & mask == net.to_bits()
}
