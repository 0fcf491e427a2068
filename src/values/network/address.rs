//! What kind of address an address is, in every spelling.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address that the network policy refuses, and what kind of address it is. It tells about the network that this app is
/// in, so it is for the operator only: `Display` shows it, `Debug` does not.
///
/// ```
/// use codehost_oauth::error::{Error, TransportError};
/// use codehost_oauth::transport::{AddressClass, HttpClient, Network, Transport};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let http = HttpClient::builder(Network::public_only()).build().unwrap();
/// let request = http::Request::get("https://10.0.0.5/").body(Vec::new()).unwrap();
/// let Err(TransportError::AddressRefused(refused)) = http.send(request, 0).await else { panic!() };
/// assert_eq!(refused.class(), AddressClass::Private);
/// assert_eq!(refused.to_string(), "10.0.0.5 is a private address");
/// assert_eq!(format!("{refused:?}"), "RefusedAddress(Private)");
/// # });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RefusedAddress {
    address: IpAddr,
    class: AddressClass,
}

impl RefusedAddress {
    pub(super) fn new(address: IpAddr, class: AddressClass) -> Self {
        Self { address, class }
    }

    /// The address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// What kind of address it is.
    pub fn class(&self) -> AddressClass {
        self.class
    }
}

impl fmt::Display for RefusedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.address, self.class)
    }
}

impl fmt::Debug for RefusedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefusedAddress({:?})", self.class)
    }
}

/// What kind of address an address is, such as the reason why it is refused.
///
/// ```
/// use codehost_oauth::transport::AddressClass;
///
/// assert_eq!(AddressClass::Private.to_string(), "a private address");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AddressClass {
    /// It gives out the credentials of a machine in a cloud.
    Metadata,
    /// The operator named its network as one that is never reached.
    Denied,
    /// This machine.
    Loopback,
    /// RFC 1918, and unique local addresses of IPv6.
    Private,
    /// RFC 6598: behind a provider's NAT.
    Shared,
    /// One link only.
    LinkLocal,
    /// A group of machines.
    Multicast,
    /// Reserved, for documentation, of a tunnel, or unspecified.
    Special,
    /// A public address. It is refused where the name is `localhost`.
    Public,
}

impl AddressClass {
    pub(super) fn of(address: IpAddr) -> Self {
        let (loopback, multicast) = (address.is_loopback(), address.is_multicast());
        let (private, link_local, shared) = match address {
            IpAddr::V4(v4) => (v4.is_private(), v4.is_link_local(), in_v4(v4, (Ipv4Addr::new(100, 64, 0, 0), 10))),
            IpAddr::V6(v6) => (v6.is_unique_local(), v6.is_unicast_link_local(), false),
        };
        if loopback {
            Self::Loopback
        } else if private {
            Self::Private
        } else if shared {
            Self::Shared
        } else if link_local {
            Self::LinkLocal
        } else if multicast {
            Self::Multicast
        } else if is_public(address) {
            Self::Public
        } else {
            Self::Special
        }
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metadata => "an address of a cloud's metadata service",
            Self::Denied => "in a network that is never reached",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::Shared => "an address behind a provider's NAT",
            Self::LinkLocal => "a link-local address",
            Self::Multicast => "a multicast address",
            Self::Special => "a reserved address",
            Self::Public => "a public address",
        })
    }
}

pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !SPECIAL_V4.iter().any(|net| in_v4(v4, *net)) && !METADATA_V4.contains(&v4),
        IpAddr::V6(v6) => {
            in_v6(v6, GLOBAL_UNICAST_V6) && !SPECIAL_V6.iter().any(|net| in_v6(v6, *net)) && !is_isatap(v6)
        }
    }
}

/// Metadata addresses in every spelling that a translator on the way could turn back into IPv4.
pub(super) fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => METADATA_V4.contains(&v4),
        IpAddr::V6(v6) => METADATA_V6.contains(&v6) || embedded_v4(v6).iter().any(|v4| METADATA_V4.contains(v4)),
    }
}

/// The IPv4 address of an IPv6 address that a tunnel or an old stack sends on to it.
pub(super) fn tunnelled(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let [last, .., six_to_four, _] = embedded_v4(v6);
    if in_v6(v6, TUNNELS_6TO4) {
        return Some(six_to_four);
    }
    (in_v6(v6, COMPATIBLE) || is_isatap(v6)).then_some(last)
}

/// The IPv4 addresses that an IPv6 address may stand for, whatever its prefix, since an operator can choose that.
pub(super) fn embedded_v4(v6: Ipv6Addr) -> [Ipv4Addr; 8] {
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

pub(super) fn is_well_known_nat64(v6: Ipv6Addr) -> bool {
    in_v6(v6, NAT64)
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

const METADATA_V4: [Ipv4Addr; 10] = [
    Ipv4Addr::new(169, 254, 169, 254), // AWS, Azure, Google, OpenStack
    Ipv4Addr::new(169, 254, 169, 252), // Google's for containers
    Ipv4Addr::new(169, 254, 169, 250), // Rancher
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

/// The well-known prefix of NAT64 (RFC 6052 section 2.1).
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);
const TUNNELS_6TO4: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16);
const COMPATIBLE: (Ipv6Addr, u32) = (Ipv6Addr::UNSPECIFIED, 96);

const GLOBAL_UNICAST_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
