use codehost_oauth::error::BaseUrlError;
use codehost_oauth::transport::Network;
use codehost_oauth::{BaseUrl, PublicUrl};
use proptest::prelude::*;
use url::Url;

use crate::values::parsing::rows;

const BASE_URLS: &str = include_str!("../../fixtures/values/base_urls.tsv");

fn policy(name: &str) -> Network {
    let intranet = || ["10.0.0.0/8".parse().unwrap()];
    match name {
        "public" => Network::public_only(),
        "list" => Network::public_and(intranet()),
        "any" => Network::any(),
        "dev" => Network::public_only().allow_loopback_http(),
        "publichttp" => Network::public_only().danger_allow_http(),
        "anyhttp" => Network::any().danger_allow_http(),
        _ => panic!("{name}"),
    }
}

/// Reads the escapes of the table.
pub(crate) fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                let kind = rest.chars().next().unwrap();
                rest = &rest[1..];
                let mut hex = |digits: usize| {
                    let code = u32::from_str_radix(&rest[..digits], 16).unwrap();
                    rest = &rest[digits..];
                    char::from_u32(code).unwrap()
                };
                out.push(match kind {
                    't' => '\t',
                    'n' => '\n',
                    'r' => '\r',
                    '0' => '\0',
                    'x' => hex(2),
                    'u' => hex(4),
                    '\\' => '\\',
                    other => panic!("\\{other} in {text}"),
                });
            }
            '{' if rest.split('}').next().unwrap().contains('*') => {
                let (inside, behind) = rest.split_once('}').unwrap();
                let (part, times) = inside.split_once('*').unwrap();
                out.push_str(&part.repeat(times.parse().unwrap()));
                rest = behind;
            }
            _ => out.push(c),
        }
    }
    out
}

/// S8 to S13, S19, C8: every spelling has exactly one result.
#[test]
fn every_base_url_of_the_table_has_its_result() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for row in rows(BASE_URLS) {
        let [policy_name, input, expected] = row.as_slice() else { panic!("{row:?}") };
        let expected = unescape(expected);
        let got = match BaseUrl::parse(&unescape(input), &policy(policy_name)) {
            Ok(base) => base.as_str().to_owned(),
            Err(error) => error.code().to_owned(),
        };
        if got != expected {
            wrong.push(format!("{policy_name} {input}: expected {expected}, got {got}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(count, 617, "the table has changed: update this count");
}

/// S10, T7: credentials are tied to the base URL, so two spellings of one address must be one value.
#[test]
fn spellings_of_one_url_are_equal() {
    let parse = |text: &str| BaseUrl::parse(text, &Network::public_only()).unwrap();
    let base = parse("https://git.example.com/gitlab");
    for same in ["https://git.example.com/gitlab/", "HTTPS://GIT.Example.com:443/gitlab/"] {
        assert_eq!(parse(same), base, "{same}");
        assert_eq!(parse(same).page(&["oauth"]), base.page(&["oauth"]), "{same}");
        assert_eq!(parse(same).path(), "/gitlab");
        assert!(std::collections::HashSet::from([base.clone()]).contains(&parse(same)), "{same}");
    }
    for other in ["https://git.example.com", "https://git.example.com/GitLab", "https://git.example.com:8443/gitlab"] {
        assert_ne!(parse(other), base, "{other}");
    }
    assert_eq!(parse("https://git.example.com/"), parse("https://git.example.com"));
}

/// C9: a segment with any characters stays one segment.
#[test]
fn hostile_segments_stay_below_the_base() {
    let base = BaseUrl::parse("https://git.example.com/a/b", &Network::public_only()).unwrap();
    for (segments, expected) in [
        (&["oauth", "token"][..], "https://git.example.com/a/b/oauth/token"),
        (&[], "https://git.example.com/a/b"),
        (&["//evil.test"], "https://git.example.com/a/b/%2F%2Fevil.test"),
        (&["\\\\evil.test"], "https://git.example.com/a/b/%5C%5Cevil.test"),
        (&["?x#y"], "https://git.example.com/a/b/%3Fx%23y"),
        (&["%2e%2e"], "https://git.example.com/a/b/%252e%252e"),
        (&["..", "..", "x"], "https://git.example.com/a/b/x"),
        (&["@evil.test"], "https://git.example.com/a/b/@evil.test"),
        (&["x y"], "https://git.example.com/a/b/x%20y"),
        (&["ü"], "https://git.example.com/a/b/%C3%BC"),
    ] {
        assert_eq!(base.page(segments).as_str(), expected);
        assert_eq!(base.endpoint(segments).to_string(), expected);
    }
    for dots in [".\t.", "\t..", "..\n", ".\r.", "\t.", ".\n", "\n..\t", "..\t/..\n/x"] {
        let url = base.page(&[dots, "x"]);
        assert!(url.as_str().starts_with("https://git.example.com/a/b/"), "{dots:?}: {url}");
        assert!(!url.path().contains("/../"), "{dots:?}: {url}");
    }
}

/// C5: the app's public URL has the same rules of spelling.
#[test]
fn public_urls_are_normalized_or_refused() {
    for (text, expected) in [
        ("https://packages.example.com/", "https://packages.example.com"),
        ("https://PACKAGES.example.com:443/app/", "https://packages.example.com/app"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("http://[::1]:9000/", "http://[::1]:9000"),
        ("http://localhost:9000", "http://localhost:9000"),
        ("http://app.localhost", "http://app.localhost"),
        // The app may be in a private network.
        ("https://10.0.0.5", "https://10.0.0.5"),
        ("https://packages.internal", "https://packages.internal"),
        ("https://packages", "https://packages"),
    ] {
        let url: PublicUrl = text.parse().unwrap();
        assert_eq!(url.as_str(), expected);
        assert_eq!(url, expected.parse().unwrap());
    }
    for text in [
        "",
        "packages.example.com",
        "http://packages.example.com",
        "http://10.0.0.5",
        "http://localhost.evil.test",
        "https://u:p@packages.example.com",
        "https://packages.example.com?x",
        "https://packages.example.com/#x",
        "https://packages.example.com/..",
        "https://packages.example.com//",
        "https://packages.example.com.",
        "https://packages.example.com:0",
        "https://packages.example.com:22",
        "https://127.1",
        "https://bücher.example",
        "https://a..b",
        "https://packages.example.com\\@evil.test",
        "ftp://packages.example.com",
        "http://127.1:9000",
        "http://[::ffff:127.0.0.1]",
        "https://*.example.com",
        "https://packages.example.com/%61",
    ] {
        let error = text.parse::<PublicUrl>().unwrap_err();
        assert_eq!(error.code(), "public_url", "{text}");
        assert!(!format!("{error} {error:?}").contains("u:p"), "{error:?}");
    }
}

fn scheme() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["https", "HTTPS", "http", "ftp", "https:", "", "javascript", "https\\", "ht\ttps"])
}

fn host() -> impl Strategy<Value = String> {
    let fixed = [
        "git.example.com",
        "GIT.Example.COM",
        "localhost",
        "127.0.0.1",
        "127.1",
        "[::1]",
        "[2606:4700::1]",
        "bücher.de",
        "①.com",
        "xn--pple-43d.com",
        "git.example.com.",
        "",
        "10.0.0.5",
        "1.1.1.1",
        "evil.test\\",
    ];
    prop_oneof![
        4 => prop::sample::select(fixed.to_vec()).prop_map(str::to_owned),
        2 => "[a-z0-9-]{1,8}(\\.[a-z0-9_-]{1,8}){0,3}",
        1 => "[ -~]{0,12}",
        1 => ".{0,8}",
    ]
}

fn tail() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => "(:[0-9]{0,6})?(/[a-zA-Z0-9._~-]{0,6}){0,4}/?",
        1 => "(:[0-9x]{0,6})?[/\\\\?#.%a-z@\\t]{0,12}",
        1 => ".{0,12}",
    ]
}

fn any_policy() -> impl Strategy<Value = Network> {
    prop::sample::select(vec!["public", "list", "any", "dev", "publichttp", "anyhttp"]).prop_map(policy)
}

fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        "[./\\\\%2eE\\t\\n\\r ?#@:;a]{0,8}",
        ".{0,8}",
        prop::sample::select(vec!["", ".", "..", ".\t.", "//", "%2e%2e", "..%2f", "\\..\\", "https://evil.test/"])
            .prop_map(str::to_owned),
    ]
}

fn origin_of(url: &Url) -> (&str, Option<&str>, Option<u16>) {
    (url.scheme(), url.host_str(), url.port_or_known_default())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn an_accepted_url_parses_to_itself(
        scheme in scheme(), host in host(), tail in tail(), network in any_policy(),
    ) {
        if let Ok(base) = BaseUrl::parse(&format!("{scheme}://{host}{tail}"), &network) {
            let again = BaseUrl::parse(base.as_str(), &network).unwrap();
            prop_assert_eq!(again.as_str(), base.as_str());
            prop_assert_eq!(&again, &base);
            prop_assert!(base.as_str().is_ascii() && !base.as_str().ends_with('/'));
            // A browser and the `http` crate read the same URL.
            let url = Url::parse(base.as_str()).unwrap();
            prop_assert_eq!(url.as_str().trim_end_matches('/'), base.as_str());
            let uri: http::Uri = base.as_str().parse().unwrap();
            prop_assert_eq!(uri.host(), url.host_str());
            prop_assert_eq!(uri.authority().unwrap().as_str(), base.authority());
        }
    }

    #[test]
    fn endpoints_stay_at_the_base(
        host in prop::sample::select(vec!["git.example.com", "git.example.com:8443", "[2606:4700::1]", "1.1.1.1"]),
        path in "(/[a-zA-Z0-9_~-]{1,6}){0,3}/?",
        segments in prop::collection::vec(segment(), 0..5),
    ) {
        let base = BaseUrl::parse(&format!("https://{host}{path}"), &Network::public_only()).unwrap();
        let base_parsed = Url::parse(base.as_str()).unwrap();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let url = base.page(&segments);
        prop_assert_eq!(origin_of(&url), origin_of(&base_parsed));
        prop_assert!(url.path() == base.path() || url.path().starts_with(&format!("{}/", base.path())), "{}", url);
        prop_assert!(url.username().is_empty() && url.password().is_none(), "{}", url);
        prop_assert!(url.query().is_none() && url.fragment().is_none(), "{}", url);
        // Parsing the text again gives the same URL.
        let again = Url::parse(url.as_str()).unwrap();
        prop_assert_eq!(again.as_str(), url.as_str());
    }

    #[test]
    fn errors_never_repeat_user_information_or_a_query(
        scheme in prop::sample::select(vec!["https", "http", "ftp", "HTTPS", "ssh", ""]),
        host in host(),
        tail in tail(),
        place in 0..5,
    ) {
        const SECRET: &str = "Zq7Wx9Kv";
        let text = match place {
            0 => format!("{scheme}://user:{SECRET}@{host}{tail}"),
            1 => format!("{scheme}://{SECRET}@{host}{tail}"),
            2 => format!("{scheme}://{host}/?token={SECRET}{tail}"),
            3 => format!("{scheme}://{host}/#{SECRET}{tail}"),
            _ => format!("{scheme}://u:ü{SECRET}@{host}{tail}"),
        };
        for network in [Network::public_only(), Network::any().danger_allow_http()] {
            let error = match BaseUrl::parse(&text, &network) {
                Ok(base) => return Err(TestCaseError::fail(format!("accepted {base} from {text:?}"))),
                Err(error) => error,
            };
            let text = format!("{error} {error:?} {} {}", error.advice().hint, error.advice().public_message).to_lowercase();
            prop_assert!(!text.contains(&SECRET.to_lowercase()), "{}", text);
        }
    }

    #[test]
    fn no_text_makes_a_url_panic(text in any::<String>(), network in any_policy()) {
        let _ = BaseUrl::parse(&text, &network);
        let _ = text.parse::<PublicUrl>();
    }

    #[test]
    fn an_accepted_url_has_a_permitted_host(
        scheme in scheme(), host in host(), tail in tail(), network in any_policy(),
    ) {
        let text = format!("{scheme}://{host}{tail}");
        if let Ok(base) = BaseUrl::parse(&text, &network) {
            let url = Url::parse(base.as_str()).unwrap();
            match url.host().unwrap() {
                url::Host::Ipv4(v4) => prop_assert!(network.permits(v4.into())),
                url::Host::Ipv6(v6) => prop_assert!(network.permits(v6.into())),
                url::Host::Domain(name) => {
                    prop_assert!(!name.ends_with('.') && name.split('.').all(|label| !label.is_empty()));
                }
            }
            // A browser reads the same host. Whitespace around a pasted URL is not part of it.
            let browser = Url::parse(text.trim()).unwrap();
            prop_assert_eq!(browser.host_str(), url.host_str());
        }
    }
}

/// A message names what is wrong in the entered text, and repeats no part that may be secret.
#[test]
fn error_messages_name_the_fault_and_no_secret() {
    let refused = |text: &str| BaseUrl::parse(text, &Network::public_only()).unwrap_err();
    assert_eq!(refused("https://127.1").to_string(), "a browser reads the URL's host as 127.0.0.1");
    assert_eq!(
        refused("https://\u{430}pple.com").to_string(),
        "the URL contains letters outside ASCII; a browser reads its host name as xn--pple-43d.com"
    );
    assert_eq!(
        refused("https://a:hunter2@x.example").to_string(),
        "the URL contains a user name or password before an @"
    );
    assert_eq!(
        refused("https://a\u{1b}[2Jb").to_string(),
        "the URL contains the character '\\u{1b}', which is not allowed in a base URL"
    );
    assert!(matches!(refused("https://x.example/\tx"), BaseUrlError::Character { found: '\t' }));
}
