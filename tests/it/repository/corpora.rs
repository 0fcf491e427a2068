//! The corpora: untrusted input, one per line with its expected result. Rows C1–C3, F1, F13, F14, F17, R5–R13, I3–I5 and S4 of the
//! threat model.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::SystemTime;

use codehost_oauth::gitlab::GitLab;
use codehost_oauth::testing::{ScriptedTransport, verify};
use codehost_oauth::transport::Network;
use codehost_oauth::{Access, BaseUrl, Callback, EmailTrust, Integration, IntegrationConfig};

use crate::secrets::leak_check::LeakChecked as _;
use crate::support::fixture::text;
use crate::support::scripted::{Scripted, outcome};
use crate::support::stored;

/// The words of each line that is neither empty nor a comment; the last one is everything that is left.
fn lines(name: &str, words: usize) -> Vec<Vec<String>> {
    let text = text(name);
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.splitn(words, ' ').map(str::to_owned).collect()).collect()
}

#[test]
fn every_callback_of_the_corpus_has_its_result() {
    const ISSUER: &str = "https://git.example.com/gitlab";
    let base_url = BaseUrl::parse(ISSUER, &Network::public_only()).unwrap();
    let config = IntegrationConfig {
        id: "demo".parse().unwrap(),
        name: "GitLab".to_owned(),
        public_url: "https://packages.example.com".parse().unwrap(),
        client_id: "id".to_owned(),
        client_secret: "canary-secret".to_owned(),
        access: Access::SignIn,
    };
    let provider = Arc::new(GitLab::new(base_url).unwrap());
    let integration = Integration::builder(provider, ScriptedTransport::new(), config).build().unwrap();
    let now = SystemTime::now();
    let corpus = lines("login/callbacks.txt", 2);
    assert!(corpus.len() >= 200, "{}", corpus.len());
    let mut wrong = Vec::new();
    for line in &corpus {
        let [expected_result, query] = line.as_slice() else { panic!("{line:?}") };
        let query: String = serde_json::from_str(query).unwrap();
        let pending = integration.begin_login(None).leak_checked().unwrap().pending;
        let uri = format!("/oauth/callback/gitlab/demo?{}", query.replace("STATE", &stored(&pending, "state")));
        let found = match Callback::from_uri(&uri.parse().unwrap()).leak_checked() {
            Err(cause) => cause.code(),
            Ok(callback) => {
                verify(&integration, pending, callback, now).leak_checked().err().map_or("ok", |cause| cause.code())
            }
        };
        if found != expected_result {
            wrong.push(format!("{query:.200}: expected {expected_result}, found {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn every_response_of_the_corpus_has_its_result() {
    let corpus = lines("responses/responses.txt", 3);
    // The same response at both platforms counts once.
    let distinct = |what: &str| {
        let of = corpus.iter().filter(|line| line[0].ends_with(what));
        of.map(|line| &line[2]).collect::<HashSet<_>>().len()
    };
    let (tokens, users) = (distinct("-token"), distinct("-user") + distinct("-emails"));
    assert!(tokens >= 200 && users >= 200, "{tokens} token responses, {users} with users");
    let mut wrong = Vec::new();
    for line in &corpus {
        let [what, expected_result, body] = line.as_slice() else { panic!("{line:?}") };
        let body: String = serde_json::from_str(body).unwrap();
        let (platform, what) = what.split_once('-').unwrap();
        let scripted =
            if platform == "gitlab" { Scripted::gitlab("https://git.example.com") } else { Scripted::bitbucket() };
        let (found, error) = match what {
            "token" => {
                let result = scripted.token_json(body.as_str()).refresh().await;
                (outcome(&result).to_owned(), format!("{:?}", result.err()))
            }
            "user" => {
                scripted.user_json(body.as_str()).http.json("/2.0/user/emails", r#"{"values":[]}"#);
                let result = scripted.user().await;
                let subject = result.as_ref().map(|user| format!("ok:{}", user.key.subject()));
                (subject.unwrap_or_else(|cause| cause.code().to_owned()), format!("{:?}", result.err()))
            }
            _ => {
                scripted.user_json(r#"{"uuid":"{11111111-2222-3333-4444-555555555555}","type":"user"}"#);
                scripted.http.json("/2.0/user/emails", body.as_str());
                let result = scripted.user().await;
                let trusted = result.as_ref().map(|user| user.trusted_email(EmailTrust::Platform).unwrap_or("none"));
                (trusted.map_or_else(|cause| cause.code().to_owned(), str::to_owned), format!("{:?}", result.err()))
            }
        };
        // An error describes the fault and does not repeat the response.
        if found != *expected_result || error.len() > 400 {
            wrong.push(format!("{what} {body:.200}: expected {expected_result}, found {found}: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Blocks that the registries call globally reachable and that the crate refuses.
const STRICTER: [&str; 10] = [
    // Relays, translators and anycast services inside blocks that are not reachable. None of them is a code host.
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
                    // "N/A" stands at 6to4, deprecated relays and the like.
                    "False" | "N/A" => assert!(!permitted, "{edge} of {line}"),
                    other => panic!("{other} in {line}"),
                }
            }
        }
    }
    assert_eq!(rows, 27 + 26, "the copied registries have changed: update the table of addresses");
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
