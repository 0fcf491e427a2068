//! The fuzz targets: each function takes any bytes and panics if a property does not hold. `fuzz/` runs them under libFuzzer;
//! `fuzz_smoke` runs them as property tests, which need no libFuzzer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use codehost_oauth::bitbucket_cloud::BitbucketCloud;
use codehost_oauth::gitlab::GitLab;
use codehost_oauth::seal::{KeyRing, SealContext};
use codehost_oauth::testing::{ScriptedTransport, verify};
use codehost_oauth::transport::Network;
use codehost_oauth::{
    Access, AccessToken, BaseUrl, Callback, CallbackUrl, ClientCredentials, EmailTrust, Integration, IntegrationConfig,
    OAuthProvider, PendingLogins, RefreshToken, ReturnTo, TokenBinding, User,
};

/// All of them, by the names of their binaries.
pub(crate) const ALL: [(&str, Target); 10] = [
    ("base_url", base_url),
    ("bitbucket_emails", bitbucket_emails),
    ("bitbucket_user", bitbucket_user),
    ("callback_query", callback_query),
    ("error_response", error_response),
    ("gitlab_user", gitlab_user),
    ("ip_classify", ip_classify),
    ("return_to", return_to),
    ("sealed", sealed),
    ("token_response", token_response),
];

pub(crate) type Target = fn(&[u8]);

/// An accepted base URL is canonical, parses to itself, and has all its endpoints at its own origin.
pub(crate) fn base_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for network in [Network::public_only(), Network::any(), Network::public_only().allow_loopback_http()] {
        let Ok(base) = BaseUrl::parse(text, &network) else { continue };
        let again = BaseUrl::parse(base.as_str(), &network).expect("canonical");
        assert_eq!(base, again);
        let url: url::Url = base.as_str().parse().expect("a URL");
        assert!(
            url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none()
        );
        for segment in ["oauth", "..", "//evil.test", "\t", "%2e%2e", text] {
            let endpoint = base.page(&["a", segment, "b"]);
            assert_eq!(endpoint.origin(), url.origin());
            assert!(endpoint.path().starts_with(base.path()));
        }
        match url.host() {
            Some(url::Host::Ipv4(v4)) => assert!(network.permits(v4.into())),
            Some(url::Host::Ipv6(v6)) => assert!(network.permits(v6.into())),
            _ => {}
        }
    }
}

/// A query without the right state is refused, and no error repeats a long text.
pub(crate) fn callback_query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let config = IntegrationConfig {
        id: "demo".parse().expect("an id"),
        name: "GitLab".to_owned(),
        public_url: "https://packages.example.com".parse().expect("a public URL"),
        client_id: "id".to_owned(),
        client_secret: "CLIENT-SECRET".to_owned(),
        access: Access::SignIn,
    };
    let provider = Arc::new(GitLab::new(git()).expect("GitLab"));
    let integration = Integration::builder(provider, ScriptedTransport::new(), config).build().expect("an integration");
    let pending = integration.begin_login(None).expect("random bytes").pending;
    let stored = serde_json::to_value(&pending).expect("JSON");
    let state = stored["state"].as_str().expect("a state");
    for (query, right) in [(text.to_owned(), false), (format!("state={state}&{text}"), true)] {
        let Ok(uri) = format!("/oauth/callback/gitlab/demo?{query}").parse() else { continue };
        match Callback::from_uri(&uri) {
            Err(error) => assert!(format!("{error} {error:?}").len() < 400),
            Ok(callback) => {
                let mut session: PendingLogins =
                    serde_json::from_value(serde_json::Value::Array(vec![stored.clone()])).expect("a session");
                match session.take(&callback) {
                    Err(error) => assert!(!right && matches!(error.code(), "state_missing" | "state_unknown")),
                    Ok(pending) => {
                        assert!(right && session.is_empty());
                        if let Err(error) = verify(&integration, pending, callback, SystemTime::now()) {
                            assert!(format!("{error}").len() < 400);
                        }
                    }
                }
            }
        }
    }
}

/// An accepted path stays at the app, for the URL parser that browsers use.
pub(crate) fn return_to(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let base: url::Url = "https://packages.example.com/app/login".parse().expect("a URL");
    for text in [text.to_owned(), format!("/{text}")] {
        if let Ok(path) = text.parse::<ReturnTo>() {
            let target = base.join(path.as_str()).expect("a URL");
            assert_eq!(target.origin(), base.origin());
            assert_eq!(path.as_str(), text);
        }
    }
}

pub(crate) fn token_response(data: &[u8]) {
    for provider in providers() {
        let http = ScriptedTransport::new();
        http.otherwise(200, &[("content-type", "application/json")], data);
        let base = provider.base_url().clone();
        let client = ClientCredentials::new(&base, "id", "CLIENT-SECRET").expect("credentials");
        let token = RefreshToken::new("REFRESH-SECRET".to_owned(), &binding(&base)).expect("a token");
        match block_on(provider.refresh(&http, &client, &token, &callback_url())) {
            Ok(tokens) => {
                assert!(tokens.expires_in.is_none_or(|time| time <= Duration::from_secs(10 * 366 * 86_400)));
                assert!(tokens.expires_in.is_none() || tokens.expires_at().is_some());
                let token = tokens.access_token.expose_for(&base).expect("its own");
                assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
            }
            Err(error) => ensure_no_secret(&format!("{error} {error:?} {}", error.advice().hint)),
        }
    }
}

pub(crate) fn error_response(data: &[u8]) {
    let (first, body) = data.split_first().unwrap_or((&0, &[]));
    let status =
        [400, 401, 403, 404, 409, 410, 418, 422, 429, 500, 502, 503, 200, 201, 204, 302][usize::from(first % 16)];
    let media = ["application/json", "text/html", "text/plain", ""][usize::from(first / 16 % 4)];
    for provider in providers() {
        let http = ScriptedTransport::new();
        http.otherwise(status, &[("content-type", media), ("retry-after", "99999999999")], body);
        let base = provider.base_url().clone();
        let client = ClientCredentials::new(&base, "id", "CLIENT-SECRET").expect("credentials");
        let refresh = RefreshToken::new("REFRESH-SECRET".to_owned(), &binding(&base)).expect("a token");
        let access = AccessToken::new("ACCESS-SECRET".to_owned(), &binding(&base)).expect("a token");
        let refreshed = block_on(provider.refresh(&http, &client, &refresh, &callback_url())).err();
        let looked_up = block_on(provider.user(&http, &access)).err();
        if !(200..300).contains(&status) {
            assert!(refreshed.is_some() && looked_up.is_some());
        }
        for error in refreshed.into_iter().chain(looked_up) {
            ensure_no_secret(&format!("{error} {error:?} {} {}", error.advice().hint, error.advice().public_message));
            assert!(error.advice().retry_after.is_none_or(|time| time <= Duration::from_secs(900)));
        }
    }
}

pub(crate) fn gitlab_user(data: &[u8]) {
    let provider = GitLab::new(git()).expect("GitLab");
    let http = ScriptedTransport::new();
    http.json("/api/v4/user", data);
    if let Ok(user) = block_on(provider.user(&http, &access(provider.base_url()))) {
        let id: i64 = user.key.subject().parse().expect("a number");
        assert!(id > 0 && user.trusted_email(EmailTrust::Platform).is_none());
        ensure_addresses(&user);
        ensure_stable_key(&user.key.to_string());
    }
}

pub(crate) fn bitbucket_user(data: &[u8]) {
    let provider = BitbucketCloud::cloud();
    let http = ScriptedTransport::new();
    http.json("/2.0/user", data).json("/2.0/user/emails", r#"{"values":[]}"#);
    if let Ok(user) = block_on(provider.user(&http, &access(provider.base_url()))) {
        assert_eq!(user.key.subject().len(), 36);
        assert!(user.trusted_email(EmailTrust::WithoutVerification).is_none());
        ensure_stable_key(&user.key.to_string());
    }
}

pub(crate) fn bitbucket_emails(data: &[u8]) {
    let provider = BitbucketCloud::cloud();
    let http = ScriptedTransport::new();
    http.json("/2.0/user", r#"{"uuid":"{11111111-2222-3333-4444-555555555555}","type":"user"}"#);
    http.otherwise(200, &[("content-type", "application/json")], data);
    if let Ok(user) = block_on(provider.user(&http, &access(provider.base_url()))) {
        assert!(http.requests().len() <= 11);
        ensure_addresses(&user);
    }
}

/// The policy agrees with a second implementation of the registries, which uses another crate's masks.
pub(crate) fn ip_classify(data: &[u8]) {
    const REFUSED: [&str; 19] = [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
        "168.63.129.16/32",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    ];
    let address: IpAddr = match data {
        [a, b, c, d] => Ipv4Addr::new(*a, *b, *c, *d).into(),
        _ => match <[u8; 16]>::try_from(data) {
            Ok(octets) => Ipv6Addr::from(octets).into(),
            Err(_) => return,
        },
    };
    let unicast: ipnet::IpNet = "2000::/3".parse().expect("a range");
    let refused = |net: &&str| net.parse::<ipnet::IpNet>().expect("a range").contains(&address);
    let public = !REFUSED.iter().any(&refused) && (address.is_ipv4() || unicast.contains(&address));
    // The policy also refuses IPv6 addresses that may contain a metadata address, and ISATAP.
    if Network::public_only().permits(address) {
        assert!(public, "{address}");
    } else if address.is_ipv4() {
        assert!(!public, "{address}");
    }
    assert!(Network::any().permits(address) || !Network::public_only().permits(address), "{address}");
}

/// The ring opens only what it has sealed, and only if no bit of it was changed.
pub(crate) fn sealed(data: &[u8]) {
    let ring = KeyRing::new([(1, [7; 32].as_slice())]).expect("a ring");
    let here = SealContext { purpose: "fuzz", integration: "demo", connection: "" };
    assert!(ring.open(&here, data).is_err());
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(PendingLogins::open(text, &ring, SystemTime::now()).is_err());
    }
    let mut sealed = ring.seal(&here, data).expect("sealed");
    assert_eq!(ring.open(&here, &sealed).expect("opened").as_slice(), data);
    assert!(ring.open(&SealContext { connection: "x", ..here }, &sealed).is_err());
    let at =
        data.iter().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte))) % sealed.len();
    sealed[at] ^= 1 << (at % 8);
    assert!(ring.open(&here, &sealed).is_err());
}

fn providers() -> [Arc<dyn OAuthProvider>; 2] {
    [Arc::new(GitLab::new(git()).expect("GitLab")), Arc::new(BitbucketCloud::cloud())]
}

fn git() -> BaseUrl {
    BaseUrl::parse("https://git.example.com", &Network::public_only()).expect("a base URL")
}

fn callback_url() -> CallbackUrl {
    CallbackUrl::at(&"https://packages.example.com".parse().expect("a URL"), "/callback").expect("a path")
}

fn binding(base: &BaseUrl) -> TokenBinding {
    TokenBinding::new("demo".parse().expect("an id"), base.clone())
}

fn access(base: &BaseUrl) -> AccessToken {
    AccessToken::new("ACCESS-SECRET".to_owned(), &binding(base)).expect("a token")
}

fn ensure_no_secret(text: &str) {
    for secret in ["CLIENT-SECRET", "REFRESH-SECRET", "ACCESS-SECRET"] {
        assert!(!text.contains(secret));
    }
    assert!(text.len() < 8192 && !text.contains(['\r', '\u{1b}', '\0']), "{text:?}");
}

/// Each entry is one address, and a trusted one is ASCII: other letters can look like ASCII letters.
fn ensure_addresses(user: &User) {
    for email in &user.emails {
        let (local, domain) = email.address().split_once('@').expect("an address");
        assert!(email.address().len() <= 254 && !local.is_empty() && domain.is_ascii() && !domain.contains('@'));
        assert!(!email.address().contains(|c: char| c.is_control() || c.is_whitespace()));
    }
    let trusted = user.trusted_email(EmailTrust::WithoutVerification);
    assert!(trusted.is_none_or(str::is_ascii));
}

/// Lower-case ASCII without a space, so that no collation makes two keys equal.
fn ensure_stable_key(key: &str) {
    assert!(key.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()), "{key}");
}

fn block_on<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(work)
}
