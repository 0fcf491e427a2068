//! Logins, checks and refreshes through proxies, and what a failure of a proxy is called. Row S7 of the threat model: the proxies
//! of the environment are not used.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use codehost_oauth::Integration;
use codehost_oauth::check::{Level, Verdict};
use codehost_oauth::error::{Audience, ProxyError, TransportError};
use codehost_oauth::testing::FakeGitLab;
use codehost_oauth::transport::{HttpClient, HttpClientBuilder, Network, Proxy, Resolve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::network_programs::{Authority, Program};
use crate::support::{IntegrationSetup, RawServer, free_address, get, gitlab, log_in, network};

/// Knows the names of a test only, and no `localhost`.
#[derive(Debug)]
struct Names(&'static [(&'static str, &'static str)]);

#[async_trait::async_trait]
impl Resolve for Names {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = self.0.iter().filter(|(known, _)| *known == name);
        Ok(found.map(|(_, address)| address.parse().unwrap()).collect())
    }
}

/// A client that finds no name by itself, so that a name in a base URL is looked up by the proxy.
fn without_names(network: Network) -> HttpClientBuilder {
    HttpClient::builder(network).resolver(Names(&[]))
}

/// Logs in, checks and refreshes.
async fn use_all(integration: &Integration, gitlab: &FakeGitLab) {
    // The browser reaches the code host directly.
    let authorize = |url: &str| gitlab.authorize(&url.replace("localhost", "127.0.0.1"), "alice");
    let login = log_in(integration, authorize).await.unwrap();
    let report = integration.check().await;
    assert_eq!(report.verdict(), Verdict::AllRight, "{report}");
    let refreshed = integration.refresh(login.tokens.refresh_token.as_ref().unwrap()).await.unwrap();
    integration.user(&refreshed.access_token).await.unwrap();
}

#[tokio::test]
async fn everything_works_through_each_kind_of_proxy() {
    let gitlab = gitlab().await;
    // The app does not find `localhost`, so only the proxy can.
    let base_url = gitlab.base_url().replace("127.0.0.1", "localhost");
    let authority = Authority::new();
    let http = Program::tinyproxy(None).await;
    let with_password = Program::tinyproxy(Some(("app", "s3cr3t"))).await;
    let squid = Program::squid().await;
    let https = Program::nginx_in_front_of(http.port, &authority.server()).await;
    let socks = Program::microsocks(None).await;
    let socks_with_password = Program::microsocks(Some(("app", "p@ss:word"))).await;
    let url = |scheme: &str, program: &Program| format!("{scheme}://127.0.0.1:{}", program.port);
    let proxies = [
        url("http", &http),
        format!("http://app:s3cr3t@127.0.0.1:{}", with_password.port),
        url("http", &squid),
        url("https", &https),
        url("socks5h", &socks),
        format!("socks5h://app:p%40ss%3Aword@127.0.0.1:{}", socks_with_password.port),
    ];
    for proxy in proxies {
        let proxy = Proxy::parse(&proxy).unwrap().root_certificates(&authority.pem());
        let client = without_names(network()).proxy(proxy.clone()).build().unwrap();
        let integration = IntegrationSetup::new("gitlab", &base_url).build_with(client);
        use_all(&integration, &gitlab).await;
        let report = integration.check().await;
        assert_eq!(report.connection().unwrap().proxy, Some(proxy.to_string()));
        assert!(report.public().connection().is_none());
        assert!(!format!("{proxy:?} {report}").contains("s3cr3t"));
    }

    // The app looks up the name, and the proxy gets an address. The first one accepts no connection.
    let proxy = Proxy::parse(&url("socks5", &socks)).unwrap();
    let names = Names(&[("localhost", "127.0.0.9"), ("localhost", "127.0.0.1")]);
    let client = HttpClient::builder(network()).resolver(names).proxy(proxy).build().unwrap();
    let integration = IntegrationSetup::new("gitlab", &base_url).build_with(client);
    use_all(&integration, &gitlab).await;
}

/// The code and the finding of a check for a request through a proxy.
async fn failure(client: HttpClient, url: &str) -> TransportError {
    let error = get(&client, url, 1024).await.unwrap_err();
    let advice = error.advice();
    assert_eq!(advice.public_message, TransportError::Unreachable.advice().public_message);
    assert_eq!(advice.audience, Audience::Operator);
    assert!(!format!("{error} {error:?} {}", advice.hint).contains("127.0.0.1"));
    error
}

fn through(proxy: &str) -> HttpClient {
    // Squid waits some seconds for a name server.
    let client = without_names(Network::any().danger_allow_http()).connect_timeout(Duration::from_secs(12));
    client.proxy(Proxy::parse(proxy).unwrap()).build().unwrap()
}

#[tokio::test]
async fn each_failure_of_a_proxy_has_its_own_code() {
    let code_host = RawServer::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let open = code_host.https_url();
    let authority = Authority::new();
    let squid = Program::squid().await;
    let tinyproxy = Program::tinyproxy(Some(("app", "s3cr3t"))).await;
    let microsocks = Program::microsocks(Some(("app", "s3cr3t"))).await;
    let plain_socks = Program::microsocks(None).await;
    let encrypted = Program::nginx_in_front_of(squid.port, &authority.server()).await;
    let (squid, tinyproxy) = (format!("127.0.0.1:{}", squid.port), format!("127.0.0.1:{}", tinyproxy.port));
    let (microsocks, plain_socks) =
        (format!("127.0.0.1:{}", microsocks.port), format!("127.0.0.1:{}", plain_socks.port));
    let (encrypted, nobody) = (format!("127.0.0.1:{}", encrypted.port), free_address().to_string());
    let web_server = RawServer::responding("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await.address;
    let closed = format!("https://{}/", free_address());

    for (proxy, url, expected) in [
        (format!("http://{nobody}"), &*open, ProxyError::Unreachable),
        (format!("socks5h://{nobody}"), &*open, ProxyError::Unreachable),
        ("http://proxy.example:3128".to_owned(), "https://git.example.com/", ProxyError::NameNotFound),
        (format!("https://{encrypted}"), &*open, ProxyError::Certificate),
        (format!("https://{squid}"), &*open, ProxyError::Tls),
        (format!("http://{tinyproxy}"), &*open, ProxyError::CredentialsMissing),
        (format!("http://app:wrong@{tinyproxy}"), &*open, ProxyError::CredentialsRefused),
        (format!("socks5h://{microsocks}"), &*open, ProxyError::CredentialsMissing),
        (format!("socks5h://app:wrong@{microsocks}"), &*open, ProxyError::CredentialsRefused),
        (format!("http://{squid}"), "https://forbidden.example/", ProxyError::Forbidden),
        (format!("http://{squid}"), "https://git.example.com/", ProxyError::CodeHostUnreachable),
        (format!("http://{squid}"), &*closed, ProxyError::CodeHostUnreachable),
        (format!("http://app:s3cr3t@{tinyproxy}"), &*closed, ProxyError::CodeHostUnreachable),
        (format!("socks5h://{plain_socks}"), &*closed, ProxyError::CodeHostUnreachable),
        (format!("http://{plain_socks}"), &*open, ProxyError::Protocol),
        (format!("socks5h://{web_server}"), &*open, ProxyError::Protocol),
    ] {
        assert_eq!(failure(through(&proxy), url).await, TransportError::Proxy(expected), "{proxy} {url}");
    }
    assert_eq!(code_host.connections(), 0);
}

/// The replies that no program gives here: RFC 1928 section 6.
#[tokio::test]
async fn each_reply_of_a_socks_proxy_has_a_meaning() {
    for (reply, expected) in [
        (1, ProxyError::CodeHostUnreachable),
        (2, ProxyError::Forbidden),
        (3, ProxyError::CodeHostUnreachable),
        (4, ProxyError::CodeHostUnreachable),
        (5, ProxyError::CodeHostUnreachable),
        (6, ProxyError::CodeHostUnreachable),
        (7, ProxyError::Protocol),
        (8, ProxyError::CodeHostUnreachable),
        (99, ProxyError::Protocol),
    ] {
        let proxy = RawServer::start(move |mut stream| async move {
            let _ = stream.write_all(&[5, 0]).await;
            let _ = stream.read(&mut [0; 512]).await;
            let _ = stream.write_all(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0]).await;
            let _ = stream.read(&mut [0; 512]).await;
        })
        .await;
        let client = through(&format!("socks5h://{}", proxy.address));
        let error = failure(client, "https://git.example.com/").await;
        assert_eq!(error, TransportError::Proxy(expected), "reply {reply}");
    }
}

#[tokio::test]
async fn each_response_to_connect_has_a_meaning() {
    for (head, expected) in [
        ("403 Forbidden\r\n", ProxyError::Forbidden),
        ("405 Method Not Allowed\r\n", ProxyError::Forbidden),
        ("400 Bad Request\r\n", ProxyError::Protocol),
        ("404 Not Found\r\n", ProxyError::Protocol),
        ("407 Proxy Authentication Required\r\n", ProxyError::CredentialsMissing),
        ("401 Unauthorized\r\n", ProxyError::CredentialsMissing),
        ("500 Unable to connect\r\n", ProxyError::CodeHostUnreachable),
        (
            "502 Bad Gateway\r\nProxy-Status: proxy.example; error=dns_error; rcode=NXDOMAIN\r\n",
            ProxyError::CodeHostNotFound,
        ),
        (
            "502 Bad Gateway\r\nProxy-Status: proxy.example; error=connection_refused\r\n",
            ProxyError::CodeHostUnreachable,
        ),
        ("503 Service Unavailable\r\nX-Squid-Error: ERR_DNS_FAIL 0\r\n", ProxyError::CodeHostNotFound),
        ("504 Gateway Timeout\r\n", ProxyError::CodeHostUnreachable),
        ("302 Found\r\nLocation: https://login.example/\r\n", ProxyError::Protocol),
    ] {
        let proxy = RawServer::responding(format!("HTTP/1.1 {head}Content-Length: 0\r\n\r\n")).await;
        let error = failure(through(&format!("http://{}", proxy.address)), "https://git.example.com/").await;
        assert_eq!(error, TransportError::Proxy(expected), "{head}");
    }
}

/// A proxy that stalls, closes the connection, or sends a head without an end.
#[tokio::test]
async fn a_hostile_proxy_costs_a_request_only() {
    for response in [String::new(), "HTTP/1.1 200".to_owned(), format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(1 << 20))]
    {
        let proxy = RawServer::responding(response).await;
        let error = failure(through(&format!("http://{}", proxy.address)), "https://git.example.com/").await;
        assert_eq!(error, TransportError::Proxy(ProxyError::Protocol));
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_does_not_respond_times_out() {
    let silent = RawServer::silent().await;
    for scheme in ["http", "socks5h"] {
        let error = failure(through(&format!("{scheme}://{}", silent.address)), "https://git.example.com/").await;
        assert_eq!(error, TransportError::Proxy(ProxyError::TimedOut));
        assert!(error.advice().is_transient);
    }
}

/// Where the proxy looks up the name, names and addresses in URLs are checked anyway; where the app does, all of it is.
#[tokio::test]
async fn the_network_policy_holds_for_what_the_app_knows() {
    let proxy = RawServer::responding("HTTP/1.1 200 OK\r\n\r\n").await;
    let tenants =
        || HttpClient::builder(Network::public_only()).resolver(Names(&[("rebound.example.com", "10.0.0.5")]));
    for scheme in ["http", "socks5", "socks5h"] {
        let client = tenants().proxy(Proxy::parse(&format!("{scheme}://{}", proxy.address)).unwrap()).build().unwrap();
        for (url, code) in [
            ("https://10.0.0.5/", "address_not_allowed"),
            ("https://[::1]/", "address_not_allowed"),
            ("https://169.254.169.254/", "address_not_allowed"),
            ("https://metadata.google.internal/", "name_not_allowed"),
            ("https://localhost/", "name_not_allowed"),
            ("https://git.local/", "name_not_allowed"),
        ] {
            assert_eq!(get(&client, url, 1024).await.unwrap_err().code(), code, "{scheme} {url}");
        }
        assert_eq!(get(&client, "http://git.example.com/", 1024).await.unwrap_err().code(), "plain_http");
    }
    let client = tenants().proxy(Proxy::parse(&format!("socks5://{}", proxy.address)).unwrap()).build().unwrap();
    let error = get(&client, "https://rebound.example.com/", 1024).await.unwrap_err();
    assert_eq!(error.operator_note().as_deref(), Some("10.0.0.5 is a private address"));
    assert_eq!(proxy.connections(), 0);
}

/// `localhost` there is another machine, and the policy may allow plain HTTP to this one.
#[tokio::test]
async fn a_proxy_on_another_machine_is_not_used_for_this_one() {
    let proxy = RawServer::responding("HTTP/1.1 200 OK\r\n\r\n").await;
    let code_host = RawServer::responding("HTTP/1.1 204 No Content\r\n\r\n").await;
    // The name of another machine, for all that the app knows.
    let names = || Names(&[("proxy.example", "127.0.0.1"), ("localhost", "127.0.0.1")]);
    let url = format!("http://proxy.example:{}", proxy.address.port());
    let client = |network: Network| {
        HttpClient::builder(network).resolver(names()).proxy(Proxy::parse(&url).unwrap()).build().unwrap()
    };
    for host in ["127.0.0.1", "localhost"] {
        let response = get(&client(network()), &format!("http://{host}:{}/", code_host.address.port()), 1024).await;
        assert_eq!(response.unwrap().status(), 204, "{host}");
    }
    assert_eq!((proxy.connections(), code_host.connections()), (0, 2));

    let intranet = client(Network::public_and(["10.0.0.0/8".parse().unwrap()]));
    for (host, code) in
        [("localhost", "name_not_allowed"), ("app.localhost", "name_not_allowed"), ("127.0.0.1", "address_not_allowed")]
    {
        assert_eq!(get(&intranet, &format!("https://{host}/"), 1024).await.unwrap_err().code(), code, "{host}");
    }
    assert_eq!(proxy.connections(), 0);
}

#[tokio::test]
async fn a_proxy_has_exceptions() {
    let proxy = RawServer::responding("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    let proxy = Proxy::parse(&format!("http://{}", proxy.address)).unwrap();
    let code_host = RawServer::responding("HTTP/1.1 204 No Content\r\n\r\n").await;
    let port = code_host.address.port();
    let names =
        Names(&[("git.corp.example", "127.0.0.1"), ("corp.example", "127.0.0.1"), ("xcorp.example", "127.0.0.1")]);
    let client = HttpClient::builder(Network::any().danger_allow_http()).resolver(names);
    let client = client.proxy(proxy.except("corp.example, 127.0.0.0/8")).build().unwrap();
    for (host, is_direct) in [
        ("git.corp.example", true),
        ("corp.example", true),
        ("127.0.0.1", true),
        ("xcorp.example", false),
        ("[::1]", false),
    ] {
        let response = get(&client, &format!("http://{host}:{port}/"), 1024).await;
        assert_eq!(response.is_ok(), is_direct, "{host}");
    }

    // An integration can have a proxy of its own, or none.
    let url = format!("http://xcorp.example:{port}/");
    assert_eq!(get(&client, &url, 1024).await.unwrap_err().code(), "proxy_forbidden");
    let direct = client.with_proxy(None).unwrap();
    assert!(get(&direct, &url, 1024).await.is_ok());
}

#[test]
fn what_is_no_proxy_is_refused() {
    for url in [
        "",
        "proxy.example:3128",
        "proxy.example",
        "ftp://proxy.example",
        "socks4://proxy.example",
        "http://",
        "http://proxy.example/path",
        "http://proxy.example/?query",
        "http://proxy.example/#fragment",
        "http://proxy.example:99999",
        "http://pro xy.example",
        "socks5://pro%20xy",
    ] {
        assert_eq!(Proxy::parse(url).unwrap_err().code(), "proxy_url", "{url}");
    }
    let long = "x".repeat(256);
    let [two_parts, one_more] = [128, 129].map(|length| format!("socks5://a:{}@proxy.example", "x".repeat(length - 1)));
    assert!(Proxy::parse(&two_parts).is_ok());
    for (url, message) in [
        ("http://:password@proxy.example", "the proxy's user is empty"),
        ("http://a%3Ab:x@proxy.example", "the proxy's user contains a character that is not allowed"),
        ("http://a%0a:x@proxy.example", "the proxy's user contains a character that is not allowed"),
        ("http://%ff:x@proxy.example", "the proxy's user contains a character that is not allowed"),
        (&format!("http://{long}:x@proxy.example"), "the proxy's user is longer than 255 bytes"),
        ("http://a:%0d%0ax@proxy.example", "the proxy's password contains a character that is not allowed"),
        ("http://a:%ff@proxy.example", "the proxy's password contains a character that is not allowed"),
        (&format!("https://a:{long}@proxy.example"), "the proxy's password is longer than 255 bytes"),
        (&one_more, "the user and the password of a SOCKS proxy are longer than 128 bytes together"),
    ] {
        assert_eq!(Proxy::parse(url).unwrap_err().to_string(), message, "{url}");
    }
    // A password is not required.
    assert!(Proxy::parse("http://a@proxy.example").is_ok());
    let proxy = Proxy::parse("socks5h://user:pass@[::1]:1080").unwrap();
    assert_eq!(format!("{proxy} {proxy:?}"), r#"socks5h://[::1]:1080 Proxy("socks5h://[::1]:1080")"#);
}

/// The findings of a check name the proxy to the operator, and say nothing to a tenant.
#[tokio::test]
async fn the_check_tells_the_operator_about_the_proxy() {
    let proxy = format!("http://{}", free_address());
    let client = without_names(Network::public_only()).proxy(Proxy::parse(&proxy).unwrap());
    let client = client.connect_timeout(Duration::from_secs(2)).build().unwrap();
    let integration = IntegrationSetup::new("gitlab", "https://git.example.com").build_with(client);
    let report = integration.check().await;
    let finding = report.finding("proxy_unreachable").unwrap_or_else(|| panic!("{report}"));
    assert_eq!((finding.level, finding.audience), (Level::Unknown, Some(Audience::Operator)));
    assert!(report.to_string().contains(&format!("Proxy: {proxy}")), "{report}");
    let public = format!("{} {}", report.public(), serde_json::to_string(&report.public()).unwrap());
    assert!(!public.contains("roxy"), "{public}");
}
