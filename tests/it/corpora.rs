//! The corpora: what strangers send, a line each with its verdict. Rows C1–C3, F1, F13, F14, F17, R5–R13, I3–I5 and S4 of the
//! threat model.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::SystemTime;

use codehost_oauth::transport::Network;
use codehost_oauth::{BaseUrl, Callback, CallbackUrl, EmailTrust, Expected, Host, IntegrationId, Origin, PendingLogin};

use crate::fixture::text;
use crate::scripted::{Bench, outcome};
use crate::support::stored;
use crate::watch::Watched as _;

/// The words of each line that is neither empty nor a comment; the last one is everything that is left.
fn lines(name: &str, words: usize) -> Vec<Vec<String>> {
    let text = text(name);
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.splitn(words, ' ').map(str::to_owned).collect()).collect()
}

#[test]
fn every_callback_of_the_corpus() {
    const ISSUER: &str = "https://git.example.com/gitlab";
    let id: IntegrationId = "demo".parse().unwrap();
    let host: Host = "https://packages.example.com".parse().unwrap();
    let origin = Origin::new(id.clone(), BaseUrl::parse(ISSUER, &Network::public_only()).unwrap());
    let callback_url = CallbackUrl::new(&host, "gitlab", &id);
    let expected = Expected::new(&origin, &callback_url, ISSUER);
    let now = SystemTime::now();
    let corpus = lines("login/callbacks.txt", 2);
    assert!(corpus.len() >= 200, "{}", corpus.len());
    let mut wrong = Vec::new();
    for line in &corpus {
        let [verdict, query] = line.as_slice() else { panic!("{line:?}") };
        let query: String = serde_json::from_str(query).unwrap();
        let pending = PendingLogin::begin(&expected, None, now).watched().unwrap();
        let uri = format!("/oauth/callback/gitlab/demo?{}", query.replace("STATE", &stored(&pending, "state")));
        let found = match Callback::from_uri(&uri.parse().unwrap()).watched() {
            Err(error) => error.code(),
            Ok(callback) => pending.verify(callback, &expected, now).watched().err().map_or("ok", |error| error.code()),
        };
        if found != verdict {
            wrong.push(format!("{query:.200}: expected {verdict}, found {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn every_answer_of_the_corpus() {
    let corpus = lines("answers/answers.txt", 3);
    // The same answer at both platforms counts once.
    let distinct = |what: &str| {
        let of = corpus.iter().filter(|line| line[0].ends_with(what));
        of.map(|line| &line[2]).collect::<HashSet<_>>().len()
    };
    let (tokens, people) = (distinct("-token"), distinct("-user") + distinct("-emails"));
    assert!(tokens >= 200 && people >= 200, "{tokens} answers with tokens, {people} with people");
    let mut wrong = Vec::new();
    for line in &corpus {
        let [what, verdict, body] = line.as_slice() else { panic!("{line:?}") };
        let body: String = serde_json::from_str(body).unwrap();
        let (platform, what) = what.split_once('-').unwrap();
        let bench = if platform == "gitlab" { Bench::gitlab("https://git.example.com") } else { Bench::bitbucket() };
        let (found, shown) = match what {
            "token" => {
                let result = bench.token_json(body.as_str()).refresh().await;
                (outcome(&result).to_owned(), format!("{:?}", result.err()))
            }
            "user" => {
                bench.user_json(body.as_str()).http.json("/2.0/user/emails", r#"{"values":[]}"#);
                let result = bench.user().await;
                let subject = result.as_ref().map(|user| format!("ok:{}", user.key.subject()));
                (subject.unwrap_or_else(|error| error.code().to_owned()), format!("{:?}", result.err()))
            }
            _ => {
                bench.user_json(r#"{"uuid":"{11111111-2222-3333-4444-555555555555}","type":"user"}"#);
                bench.http.json("/2.0/user/emails", body.as_str());
                let result = bench.user().await;
                let trusted = result.as_ref().map(|user| user.trusted_email(EmailTrust::Vendor).unwrap_or("none"));
                (trusted.map_or_else(|error| error.code().to_owned(), str::to_owned), format!("{:?}", result.err()))
            }
        };
        // An error says what is wrong and repeats nothing of it.
        if found != *verdict || shown.len() > 400 {
            wrong.push(format!("{what} {body:.200}: expected {verdict}, found {found}: {shown}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What the registries call globally reachable and the crate refuses all the same.
const STRICTER: [&str; 10] = [
    // Relays, translators and anycast services, none of which is a code host, inside blocks that are not reachable.
    "192.0.0.9/32",
    "192.0.0.10/32",
    "64:ff9b::/96",
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:1::3/128",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:20::/28",
    "2001:30::/28",
];

/// The registries are copied into the fixtures; a new row there is compared here once the copy is renewed.
#[test]
fn the_table_of_addresses_agrees_with_the_registries() {
    let public = Network::public_only();
    let addresses = text("values/addresses.tsv");
    let addresses = addresses.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let table: HashSet<IpAddr> = addresses.map(|line| line.split('\t').next().unwrap().parse().unwrap()).collect();
    let mut rows = 0;
    for name in ["iana-ipv4-special-registry.csv", "iana-ipv6-special-registry.csv"] {
        let text = text(&format!("values/{name}"));
        let lines = text.lines().filter(|line| !line.starts_with('#')).skip(1);
        for line in lines {
            let (prefix, rest) = line.split_once(',').unwrap();
            let reachable = rest.rsplit(',').next().unwrap();
            let net: ipnet::IpNet = prefix.parse().unwrap();
            rows += 1;
            let edges = [net.network(), last(&net)];
            for address in edges.into_iter().chain(neighbours(edges)) {
                assert!(
                    table.contains(&address),
                    "the table of addresses lacks {address}, beside or at the end of {prefix}"
                );
            }
            let stricter = STRICTER.contains(&prefix);
            for edge in edges {
                let permitted = public.permits(edge);
                match reachable {
                    "True" => assert_eq!(permitted, !stricter, "{edge} of {line}"),
                    // "N/A" is said of 6to4, deprecated relays and the like.
                    "False" | "N/A" => assert!(!permitted, "{edge} of {line}"),
                    other => panic!("{other} in {line}"),
                }
            }
        }
    }
    assert_eq!(rows, 27 + 26, "the copies have changed: was that meant?");
}

/// The addresses just outside a block.
fn neighbours([first, last]: [IpAddr; 2]) -> impl Iterator<Item = IpAddr> {
    let before = match first {
        IpAddr::V4(v4) => v4.to_bits().checked_sub(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(v6) => v6.to_bits().checked_sub(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    };
    let after = match last {
        IpAddr::V4(v4) => v4.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(v6) => v6.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    };
    before.into_iter().chain(after)
}

fn last(net: &ipnet::IpNet) -> IpAddr {
    match net {
        ipnet::IpNet::V4(v4) => Ipv4Addr::from_bits(v4.network().to_bits() | !v4.netmask().to_bits()).into(),
        ipnet::IpNet::V6(v6) => Ipv6Addr::from_bits(v6.network().to_bits() | !v6.netmask().to_bits()).into(),
    }
}
