use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use codehost_oauth::error::ConfigError;
use codehost_oauth::transport::{Cidr, Network};
use codehost_oauth::{BaseUrl, error::BaseUrlError};
use proptest::prelude::*;

use crate::values::parsing::rows;

const ADDRESSES: &str = include_str!("../../fixtures/values/addresses.tsv");

fn everything() -> Network {
    Network::public_and(["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()])
}

/// S1, S4, S5, S17: every range with its edges and neighbours, every spelling, under each policy.
#[test]
fn every_address_of_the_table_has_its_result_under_every_policy() {
    let policies = [Network::public_only(), everything(), Network::any()];
    let mut wrong = Vec::new();
    let mut count = 0;
    for row in rows(ADDRESSES) {
        let [text, results @ .., note] = row.as_slice() else { panic!("{row:?}") };
        assert_eq!(results.len(), policies.len(), "{row:?}");
        let address: IpAddr = text.parse().unwrap();
        for (policy, result) in policies.iter().zip(results) {
            let expected = match *result {
                "yes" => true,
                "no" => false,
                other => panic!("{other} in {row:?}"),
            };
            if policy.permits(address) != expected {
                wrong.push(format!("{text} ({note}): expected {result} under {policy:?}"));
            }
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(count, 479, "the table has changed: update this count");
}

/// A base URL is refused if its address would be refused, or if its spelling is not canonical.
#[test]
fn a_base_url_accepts_the_same_addresses_as_the_policy() {
    let policies = [Network::public_only(), everything(), Network::any()];
    for row in rows(ADDRESSES) {
        let address: IpAddr = row[0].parse().unwrap();
        let mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
        let host = match address {
            IpAddr::V4(v4) => v4.to_string(),
            // `Ipv6Addr` prints some addresses with dots, which a URL does not.
            IpAddr::V6(v6) => url_spelling(v6),
        };
        for (policy, result) in policies.iter().zip(&row[1..4]) {
            let parsed = BaseUrl::parse(&format!("https://{host}"), policy);
            let as_expected = match &parsed {
                Ok(base) => !mapped && *result == "yes" && base.authority() == host,
                Err(BaseUrlError::HostSpelling { .. }) => mapped,
                Err(error) => *error == BaseUrlError::AddressNotAllowed && *result == "no",
            };
            assert!(as_expected, "{host} under {policy:?}: {parsed:?}");
        }
    }
}

fn url_spelling(v6: Ipv6Addr) -> String {
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, _, _] if v6.to_bits() > 0xffff => {
            let [.., high, low] = v6.segments();
            format!("[::{high:x}:{low:x}]")
        }
        [0, 0, 0, 0, 0, 0xffff, high, low] => format!("[::ffff:{high:x}:{low:x}]"),
        _ => format!("[{v6}]"),
    }
}

/// S17: the listed networks with their edges are permitted, their neighbours and metadata addresses inside them are not.
#[test]
fn listed_networks_are_added_and_nothing_else() {
    let list = Network::public_and(["10.20.0.0/16", "fd00:ec2::/32", "169.254.0.0/16", "192.168.7.7"].map(cidr));
    let permits = |text: &str| list.permits(text.parse().unwrap());
    for inside in ["10.20.0.0", "10.20.255.255", "fd00:ec2::1", "169.254.1.1", "192.168.7.7", "1.1.1.1", "2a00::1"] {
        assert!(permits(inside), "{inside}");
    }
    for outside in ["10.19.255.255", "10.21.0.0", "fd00:ec1::1", "192.168.7.6", "192.168.7.8", "127.0.0.1", "::1"] {
        assert!(!permits(outside), "{outside}");
    }
    for metadata in ["169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23"] {
        assert!(!permits(metadata), "{metadata}");
    }
}

/// A translator forwards such an address to its IPv4 address, so a permitted prefix permits nothing by itself.
#[test]
fn a_nat64_address_is_checked_by_its_ipv4_address() {
    let permits = |network: &Network, text: &str| network.permits(text.parse().unwrap());
    let list = Network::public_and(["10.20.0.0/16", "64:ff9b::/96", "fd64::/96"].map(cidr));
    let list = list.nat64(cidr("fd64::/96")).unwrap();
    for prefix in ["64:ff9b::", "fd64::"] {
        for inside in ["10.20.0.1", "1.1.1.1"] {
            assert!(permits(&list, &format!("{prefix}{inside}")), "{prefix}{inside}");
        }
        for outside in ["10.0.0.1", "10.21.0.1", "192.168.0.1", "127.0.0.1", "169.254.169.254", "169.254.169.252"] {
            assert!(!permits(&list, &format!("{prefix}{outside}")), "{prefix}{outside}");
        }
    }
    // This machine's loopback is not the translator's.
    let dev = Network::public_only().allow_loopback_http();
    assert!(!permits(&dev, "64:ff9b::127.0.0.1"));
    assert!(permits(&dev, "64:ff9b::1.1.1.1"));

    // The position of the IPv4 address depends on the prefix (RFC 6052 section 2.4).
    for (prefix, of_public, of_private) in [
        ("2001:db8::/32", "2001:db8:101:101::", "2001:db8:a00:1::"),
        ("2001:db8:100::/40", "2001:db8:101:101:1::", "2001:db8:10a:0:1::"),
        ("2001:db8:122::/48", "2001:db8:122:101:1:100::", "2001:db8:122:a00:0:100::"),
        ("2001:db8:122:300::/56", "2001:db8:122:301:1:101::", "2001:db8:122:30a:0:1::"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:1:101:100::", "2001:db8:122:344:a:0:100::"),
        ("2001:db8:122:344::/96", "2001:db8:122:344::101:101", "2001:db8:122:344::a00:1"),
    ] {
        let network = Network::public_only().nat64(cidr(prefix)).unwrap();
        assert!(permits(&network, of_public), "{prefix} {of_public}");
        assert!(!permits(&network, of_private), "{prefix} {of_private}");
        assert!(!permits(&Network::public_only(), of_public), "{prefix} is not named");
    }
    for prefix in ["10.0.0.0/8", "2001:db8::/33", "2001:db8::/72", "::/0", "2001:db8::/128"] {
        assert!(matches!(Network::any().nat64(cidr(prefix)), Err(ConfigError::Cidr)), "{prefix}");
    }
}

#[test]
fn denied_networks_are_refused_under_every_policy() {
    let nets = ["10.0.0.0/8", "198.41.0.0/24", "2606:4700::/32", "127.0.0.1"].map(cidr);
    for network in [
        Network::any(),
        everything(),
        Network::public_only().allow_loopback_http(),
        Network::any().danger_allow_http().nat64(cidr("fd64::/96")).unwrap(),
    ] {
        let network = network.deny([nets[0]]).deny(nets[1..].iter().copied());
        for denied in [
            "10.0.0.1",
            "198.41.0.4",
            "2606:4700:4700::1111",
            "127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::198.41.0.4",
            "fd64::10.0.0.1",
            "2002:a00:1::1",
            "::10.0.0.1",
        ] {
            let without_nat64 = denied.starts_with("fd64") && network.permits("fd64::10.0.0.2".parse().unwrap());
            assert!(!network.permits(denied.parse().unwrap()) || without_nat64, "{denied} {network:?}");
        }
        for others in ["198.41.1.4", "2607:4700::1", "1.1.1.1", "64:ff9b::1.1.1.1"] {
            assert!(network.permits(others.parse().unwrap()), "{others} {network:?}");
        }
        assert_eq!(BaseUrl::parse("https://10.0.0.1", &network), Err(BaseUrlError::AddressNotAllowed));
    }
}

#[test]
fn allow_loopback_http_permits_only_loopback() {
    let dev = Network::public_only().allow_loopback_http();
    let permits = |text: &str| dev.permits(text.parse().unwrap());
    for address in ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "1.1.1.1"] {
        assert!(permits(address), "{address}");
    }
    for address in ["0.0.0.0", "::", "10.0.0.1", "126.255.255.255.".trim_end_matches('.'), "::2", "fe80::1"] {
        assert_eq!(permits(address), address.starts_with("126"), "{address}");
    }
    assert!(!Network::public_only().danger_allow_http().permits("127.0.0.1".parse().unwrap()));
}

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

#[test]
fn malformed_ranges_are_refused() {
    for text in [
        "",
        " ",
        "x",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0/8",
        "10.0.0.0/",
        "/8",
        "10.0.0.0/8 ",
        " 10.0.0.0/8",
        "10.0.0.0/8,11.0.0.0/8",
        "::/129",
        "fd00::%eth0/8",
        "0177.0.0.1",
        "127.1",
        "0x7f.0.0.1",
        "[::1]",
        "gitlab.example.com",
        "10.0.0.0-10.0.0.9",
        "10.*",
        "١٠.0.0.0/8",
        "10.0.0.0/٨",
    ] {
        assert!(matches!(text.parse::<Cidr>(), Err(ConfigError::Cidr)), "{text:?}");
    }
    // An address that is written as an IPv4-mapped one is compared as IPv4, so its range must be IPv4 too.
    assert_eq!(cidr("::ffff:10.0.0.5"), cidr("10.0.0.5/32"));
    assert_eq!((cidr("10.0.0.5").to_string(), cidr("fd00::/8").to_string()), ("10.0.0.5/32".into(), "fd00::/8".into()));
    assert!(matches!("::ffff:10.0.0.0/104".parse::<Cidr>(), Err(ConfigError::Cidr)));
    assert!(cidr("10.0.0.0/8").contains("::ffff:10.0.0.5".parse().unwrap()));
}

/// Random addresses, most of them near an edge of a special range.
fn address() -> impl Strategy<Value = IpAddr> {
    let edges: Vec<IpAddr> = rows(ADDRESSES).map(|row| row[0].parse().unwrap()).collect();
    let near = (prop::sample::select(edges), -2_i32..=2).prop_map(|(edge, step)| match edge {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().wrapping_add_signed(step)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().wrapping_add_signed(step.into())).into(),
    });
    let in_global_unicast = any::<u128>().prop_map(|bits| Ipv6Addr::from_bits((bits >> 3) | (1 << 125)));
    prop_oneof![
        near,
        any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
        any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
        in_global_unicast.prop_map(IpAddr::from),
    ]
}

/// A second implementation of the rule: the registries octet by octet, without masks.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => match v4.octets() {
            [0 | 10 | 127 | 224..=255, ..] => false,
            [100, b, ..] => !(64..128).contains(&b),
            [169, 254, ..] | [192, 168, ..] => false,
            [172, b, ..] => !(16..32).contains(&b),
            [192, 0, 0 | 2, _] | [192, 88, 99, _] => false,
            [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => false,
            [168, 63, 129, 16] => false,
            _ => true,
        },
        IpAddr::V6(v6) => match v6.segments() {
            [0x2001, 0..0x200 | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..0x1000, ..] => false,
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                is_public(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)).into())
            }
            [_, _, _, _, 0 | 0x200, 0x5efe, ..] => false,
            [0x2000..0x4000, ..] => true,
            _ => false,
        },
    }
}

const METADATA: [&str; 17] = [
    "169.254.169.254",
    "169.254.169.252",
    "169.254.169.250",
    "169.254.170.2",
    "169.254.170.23",
    "169.254.42.42",
    "169.254.0.23",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fd00:42::42",
    "fd00:a9fe:a9fe::1",
    "fd00:100::100:200",
    "::a9fe:a9fe",
];

/// Whether the bytes of a metadata address are anywhere in the address: a wider rule than the crate's.
fn could_be_metadata(address: IpAddr) -> bool {
    let bytes = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let with_and_without_reserved_octet = |all: Vec<u8>| {
        let inverted: Vec<u8> = all.iter().map(|byte| !byte).collect();
        let skipped = all.iter().enumerate().filter(|(at, _)| *at != 8).map(|(_, byte)| *byte).collect();
        [inverted, skipped, all]
    };
    let spellings = with_and_without_reserved_octet(bytes(address));
    METADATA.iter().any(|text| {
        let metadata = bytes(text.parse().unwrap());
        spellings.iter().any(|all| all.windows(metadata.len()).any(|window| window == metadata))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn the_policy_agrees_with_a_second_implementation(address in address()) {
        prop_assume!(!could_be_metadata(address));
        prop_assert_eq!(Network::public_only().permits(address), is_public(address));
        prop_assert!(Network::any().permits(address));
        prop_assert!(everything().permits(address));
    }

    #[test]
    fn every_permitted_address_is_public_in_the_second_implementation(address in address()) {
        prop_assert!(!Network::public_only().permits(address) || is_public(address));
    }

    #[test]
    fn every_policy_permits_all_public_addresses(address in address()) {
        if Network::public_only().permits(address) {
            prop_assert!(Network::any().permits(address));
            prop_assert!(Network::public_and([]).permits(address));
            prop_assert!(Network::public_only().allow_loopback_http().permits(address));
        }
        prop_assert_eq!(Network::public_only().permits(address), Network::public_and([]).permits(address));
    }

    #[test]
    fn a_range_contains_the_same_addresses_as_in_ipnet(net in address(), len in 0_u8..=128, address in address()) {
        let len = if net.is_ipv4() { len % 33 } else { len };
        let (Ok(ours), Ok(theirs)) = (format!("{net}/{len}").parse::<Cidr>(), ipnet::IpNet::new(net, len)) else {
            return Ok(());
        };
        prop_assert_eq!(ours.contains(address), theirs.contains(&address.to_canonical()));
        prop_assert!(ours.contains(net.to_canonical()) || net.to_canonical() != net);
    }

    #[test]
    fn no_text_makes_a_range_panic(text in ".{0,60}") {
        let _ = text.parse::<Cidr>();
    }
}
