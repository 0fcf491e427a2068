//! The real HTTP client against misbehaving servers: rows S2, S3, S6, S7, S16–S18, R1–R4 and R16 of the threat model.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use codehost_oauth::Integration;
use codehost_oauth::error::{Error, TransportError};
use codehost_oauth::provider::ApiRequest;
use codehost_oauth::testing::FakeGitLab;
use codehost_oauth::transport::{HttpClient, Network, Resolve, Transport};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::{ServerConfig, sign};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{
    IntegrationSetup, RawServer, at_bitbucket, at_gitlab, bitbucket, free_address, get, gitlab, http, log_in,
    transports,
};

const CAP: usize = 1024;
const QUICK: Duration = Duration::from_millis(500);

/// The error code of this request. The public message is the same for every code.
async fn refused(http: &dyn Transport, url: &str) -> &'static str {
    let error = get(http, url, CAP).await.unwrap_err();
    assert_eq!(error.advice().public_message, TransportError::Unreachable.advice().public_message);
    let text = format!("{error} {error:?} {}", error.advice().hint);
    assert!(!text.contains("127.0.0.1") && !text.contains("http://"), "{text}");
    error.code()
}

fn at_gitlab_with(gitlab: &FakeGitLab, http: &Arc<dyn Transport>) -> Integration {
    IntegrationSetup::new("gitlab", gitlab.base_url()).build_with(Arc::clone(http))
}

fn any_network() -> HttpClient {
    HttpClient::builder(Network::any()).build().unwrap()
}

#[tokio::test]
async fn redirects_are_never_followed() {
    for http in transports(Duration::from_secs(15)) {
        follows_no_redirect(&*http).await;
    }
}

async fn follows_no_redirect(http: &dyn Transport) {
    for status in [301, 302, 303, 307, 308] {
        let second = RawServer::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        let first = MockServer::start().await;
        for location in [second.url(), format!("{}elsewhere", first.uri()), "/elsewhere".to_owned()] {
            first.reset().await;
            let response = ResponseTemplate::new(status).insert_header("Location", location.as_str());
            Mock::given(method("POST")).and(path("/token")).respond_with(response).expect(1).mount(&first).await;
            let request = http::Request::post(format!("{}/token", first.uri())).body(b"client_secret=x".to_vec());
            let response = http.send(request.unwrap(), CAP).await.unwrap();
            assert_eq!(response.status(), status);
            assert_eq!(first.received_requests().await.unwrap().len(), 1);
            first.verify().await;
        }
        assert_eq!((second.connections(), second.received()), (0, 0));
    }
}

#[tokio::test]
async fn a_redirected_login_fails_and_sends_nothing_to_the_target() {
    for http in transports(Duration::from_secs(15)) {
        refuses_a_redirected_login(&http).await;
    }
}

async fn refuses_a_redirected_login(http: &Arc<dyn Transport>) {
    for status in [301, 302, 303, 307, 308] {
        let second = RawServer::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        for step in ["/oauth/token", "/api/v4/user"] {
            let gitlab = gitlab().await;
            let location = format!("{}?code=abc", second.url());
            gitlab.respond_next(step, status, &[("Location", &location)], "");
            let error = log_in(&at_gitlab_with(&gitlab, http), |url| gitlab.authorize(url, "alice")).await.unwrap_err();
            assert_eq!(error.code(), "redirect");
            assert!(!format!("{error} {error:?}").contains("code=abc"));
            assert_eq!(gitlab.count(step), 1);
        }
        assert_eq!((second.connections(), second.received()), (0, 0));
    }
}

/// The paused clock advances only while all tasks wait, so the load of the machine does not matter.
#[tokio::test(start_paused = true)]
async fn a_request_ends_in_time_wherever_the_server_stalls() {
    for http in transports(QUICK) {
        ends_in_time(&*http).await;
    }
}

async fn ends_in_time(http: &dyn Transport) {
    let silent = RawServer::silent().await;
    let trickle = |head: &'static str| {
        RawServer::start(move |mut stream| async move {
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(b"a").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
    };
    let slow_status = trickle("").await;
    let slow_head = trickle("HTTP/1.1 200 OK\r\nX-Endless: ").await;
    let slow_body = trickle("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n").await;
    let no_body = RawServer::start(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    })
    .await;
    // Endless interim responses: each is progress, and the final response never comes.
    let interim = RawServer::start(|mut stream| async move {
        while stream.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    for (name, server) in [
        ("silent", &silent),
        ("status", &slow_status),
        ("head", &slow_head),
        ("body", &slow_body),
        ("no body", &no_body),
        ("interim", &interim),
    ] {
        let begun = tokio::time::Instant::now();
        let code = refused(http, &server.url()).await;
        // "aaa" in place of a status line is no HTTP, and may be noticed first.
        assert!(code == "timed_out" || (name == "status" && code == "not_http"), "{name}: {code}");
        assert!(begun.elapsed() <= QUICK + Duration::from_millis(100), "{name}: {:?}", begun.elapsed());
    }
}

/// The default, if an app sets none.
#[tokio::test(start_paused = true)]
async fn the_deadline_is_fifteen_seconds() {
    let silent = RawServer::silent().await;
    let http = http();
    let begun = tokio::time::Instant::now();
    assert_eq!(refused(&http, &silent.url()).await, "timed_out");
    assert!((14.0..=16.0).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_slow_response_within_the_deadline_is_accepted() {
    let slow = RawServer::start(|mut stream| async move {
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" {
            let _ = stream.write_all(&[*byte]).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    for timeout in [Some(Duration::from_secs(15)), None] {
        let response = get(&http().with_timeout(timeout), &slow.url(), CAP).await.unwrap();
        assert_eq!(response.body(), b"{}");
    }
}

#[tokio::test]
async fn bodies_longer_than_the_cap_are_refused() {
    for http in transports(Duration::from_secs(15)) {
        refuses_long_bodies(&*http).await;
    }
}

async fn refuses_long_bodies(http: &dyn Transport) {
    let with_length = |length: usize| {
        RawServer::responding(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}", "a".repeat(length)))
    };
    let chunked = |length: usize| {
        let body = "a".repeat(length);
        RawServer::responding(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
        ))
    };
    let until_close = |length: usize| RawServer::responding(format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(length)));
    for length in [1, CAP - 1, CAP] {
        for server in [with_length(length).await, chunked(length).await, until_close(length).await] {
            assert_eq!(get(http, &server.url(), CAP).await.unwrap().body().len(), length);
        }
    }
    for server in [with_length(0).await, until_close(0).await] {
        assert!(get(http, &server.url(), CAP).await.unwrap().body().is_empty());
    }
    for length in [CAP + 1, 10 * CAP, 1 << 20] {
        for server in [with_length(length).await, chunked(length).await, until_close(length).await] {
            let error = get(http, &server.url(), CAP).await.unwrap_err();
            assert_eq!(error, TransportError::TooLarge { limit: CAP });
            assert_eq!(error.code(), "too_large");
        }
    }
    // The announced body is not waited for: that would end as `timed_out`.
    for (length, code) in [(u64::MAX, "not_http"), (1 << 40, "too_large")] {
        let server = RawServer::start(move |mut stream| async move {
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes()).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
        })
        .await;
        assert_eq!(refused(http, &server.url()).await, code);
    }
}

#[tokio::test]
async fn an_endless_body_is_not_read_to_its_end() {
    for http in transports(Duration::from_secs(15)) {
        leaves_an_endless_body(&*http).await;
    }
}

async fn leaves_an_endless_body(http: &dyn Transport) {
    let (ended, mut end) = tokio::sync::mpsc::unbounded_channel();
    let endless = RawServer::start(move |mut stream| {
        let (ended, mut sent) = (ended.clone(), 0);
        async move {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
            while stream.write_all(chunk.as_bytes()).await.is_ok() {
                sent += chunk.len();
            }
            ended.send(sent).unwrap();
        }
    })
    .await;
    let error = get(http, &endless.url(), 256 * 1024).await.unwrap_err();
    assert_eq!(error, TransportError::TooLarge { limit: 256 * 1024 });
    // The server cannot write any more: the connection was closed.
    let sent = tokio::time::timeout(Duration::from_secs(60), end.recv()).await.expect("the connection is still open");
    // The cap, and the bytes in the buffers of two sockets.
    assert!(sent.is_some_and(|sent| sent < 32 << 20), "{sent:?}");
}

#[tokio::test]
async fn responses_of_the_platforms_have_their_caps() {
    let page = |kib: usize| format!("{{\"x\":\"{}\"}}", "a".repeat(kib * 1024));
    let json = [("Content-Type", "application/json")];
    for (step, kib) in [("/oauth/token", 257), ("/api/v4/user", 513)] {
        let gitlab = gitlab().await;
        gitlab.respond_next(step, 200, &json, page(kib));
        let error = log_in(&at_gitlab(&gitlab), |url| gitlab.authorize(url, "alice")).await.unwrap_err();
        assert_eq!(error.code(), "too_large");
    }
    // A body within the cap is read.
    let gitlab = gitlab().await;
    let user = format!(r#"{{"id":2,"username":"alice","state":"active","x":"{}"}}"#, "a".repeat(511 * 1024));
    gitlab.respond_next("/api/v4/user", 200, &json, user);
    log_in(&at_gitlab(&gitlab), |url| gitlab.authorize(url, "alice")).await.unwrap();
}

#[tokio::test]
async fn encoded_bodies_are_refused_and_never_requested() {
    for http in transports(Duration::from_secs(15)) {
        refuses_encoded_bodies(&http).await;
    }
}

async fn refuses_encoded_bodies(http: &Arc<dyn Transport>) {
    let server = |encoding: &str| {
        RawServer::responding(format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: 2\r\n\r\n{{}}"
        ))
    };
    for encoding in ["gzip", "br", "zstd", "deflate", "compress", "x-gzip", "GZIP", "gzip, gzip", "identity, gzip"] {
        assert_eq!(refused(http, &server(encoding).await.url()).await, "encoded", "{encoding}");
    }
    let twice = "HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(refused(http, &RawServer::responding(twice).await.url()).await, "encoded");
    for encoding in ["identity", "Identity", "IDENTITY", " identity ", "", "identity, identity", ", identity"] {
        get(http, &server(encoding).await.url(), CAP).await.unwrap();
    }

    // A header of a provider outside this crate is replaced.
    let server = MockServer::start().await;
    let request = http::Request::get(server.uri()).header("accept-encoding", "gzip").body(Vec::new()).unwrap();
    http.send(request, CAP).await.unwrap();
    let received = server.received_requests().await.unwrap();
    let sent: Vec<_> = received[0].headers.get_all("accept-encoding").iter().collect();
    assert_eq!(sent, ["identity"]);

    let gitlab = gitlab().await;
    log_in(&at_gitlab_with(&gitlab, http), |url| gitlab.authorize(url, "alice")).await.unwrap();
    for request in gitlab.requests() {
        assert_eq!(request.header("accept-encoding"), Some("identity"));
        assert!(request.header("user-agent").unwrap().starts_with("codehost-oauth/"));
        for absent in ["referer", "cookie", "origin"] {
            assert_eq!(request.header(absent), None);
        }
    }
}

/// The variables must be set before the process starts, so the client is in a child process.
#[tokio::test]
async fn proxies_of_the_environment_are_not_used() {
    let proxy = RawServer::responding("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy").await;
    let server = RawServer::responding("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nserver").await;
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "transport::requests::a_request_in_a_child_process_ignores_proxies", "--nocapture"]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        child.env(name, proxy.url());
    }
    child.env("NO_PROXY", "").env("no_proxy", "").env_remove("REQUEST_METHOD");
    let output = child.env("CHILD_URL", server.url()).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((proxy.connections(), server.connections()), (0, 2));
}

/// The test above runs this one again in a child process whose environment names proxies.
#[tokio::test]
async fn a_request_in_a_child_process_ignores_proxies() {
    let server = RawServer::responding("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nserver").await;
    let url = std::env::var("CHILD_URL").unwrap_or_else(|_| server.url());
    for url in [url.clone(), url.replace("127.0.0.1", "localhost")] {
        assert_eq!(get(&http(), &url, CAP).await.unwrap().body(), b"server");
    }
}

#[tokio::test]
async fn literal_addresses_are_checked() {
    let server = RawServer::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let port = server.address.port();
    let public = HttpClient::builder(Network::public_only()).build().unwrap();
    let intranet = Network::public_and(["10.0.0.0/8".parse().unwrap()]);
    let intranet = HttpClient::builder(intranet.danger_allow_http()).build().unwrap();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.0.0.2",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "192.168.0.1",
        "169.254.1.1",
        "[fe80::1]",
        "[fd00::1]",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        for scheme in ["https", "http"] {
            for http in [&public, &intranet] {
                let code = refused(http, &format!("{scheme}://{host}:{port}/")).await;
                assert_eq!(code, "address_not_allowed", "{scheme}://{host}");
            }
        }
    }
    assert_eq!((server.connections(), server.received()), (0, 0));
}

/// Every name here resolves to a loopback address, if at all.
#[tokio::test]
async fn names_are_refused_by_their_addresses() {
    let server = RawServer::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let url = format!("http://localhost:{}/", server.address.port());

    // Refused by the name alone.
    let public = HttpClient::builder(Network::public_only().danger_allow_http()).build().unwrap();
    assert_eq!(refused(&public, &url).await, "name_not_allowed");
    // An allow list without loopback does not allow the name either.
    let intranet = Network::public_and(["10.0.0.0/8".parse().unwrap()]).danger_allow_http();
    let intranet = HttpClient::builder(intranet).build().unwrap();
    assert_eq!(refused(&intranet, &url).await, "name_not_allowed");
    assert_eq!(server.connections(), 0);

    get(&http(), &url, CAP).await.unwrap();
    let loopback = Network::public_and(["127.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]).danger_allow_http();
    get(&HttpClient::builder(loopback).build().unwrap(), &url, CAP).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn metadata_addresses_are_refused_under_every_policy() {
    let any = HttpClient::builder(Network::any().danger_allow_http()).timeout(Some(QUICK)).build().unwrap();
    let allowed = Network::public_and(["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()]).danger_allow_http();
    let allowed = HttpClient::builder(allowed).timeout(Some(QUICK)).build().unwrap();
    for host in [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "169.254.43518",
        "[::ffff:169.254.169.254]",
        "[::169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::]",
        "169.254.170.2",
        "169.254.170.23",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "[fd00:ec2::254]",
        "[fd00:ec2::23]",
        "[fd20:ce::254]",
        "metadata.google.internal",
        "METADATA.google.internal",
        "x.metadata.google.internal",
    ] {
        for http in [&any, &allowed] {
            for scheme in ["http", "https"] {
                let code = if host.ends_with("internal") { "name_not_allowed" } else { "address_not_allowed" };
                assert_eq!(refused(http, &format!("{scheme}://{host}/")).await, code, "{host}");
            }
        }
    }
    // For a resolver, a final dot does not change the name.
    let code = refused(&any, "http://metadata.google.internal./").await;
    assert_eq!(code, "name_not_allowed");
}

#[tokio::test]
async fn plain_http_is_refused_unless_allowed() {
    let server = RawServer::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let loopback = ["127.0.0.0/8".parse().unwrap()];
    for network in [Network::any(), Network::public_and(loopback)] {
        let http = HttpClient::builder(network).build().unwrap();
        assert_eq!(refused(&http, &server.url()).await, "plain_http");
    }
    assert_eq!(server.connections(), 0);
    // Only for loopback addresses.
    for url in
        ["http://1.1.1.1/", "http://git.example.com/", "http://localhost.example.com/", "http://127.example.com/"]
    {
        assert_eq!(refused(&http(), url).await, "plain_http", "{url}");
    }
}

#[tokio::test]
async fn a_closed_port_and_an_unknown_name_have_different_errors() {
    let url = format!("http://{}/", free_address());
    assert_eq!(refused(&http(), &url).await, "unreachable");
    assert_eq!(refused(&any_network(), &url.replace("http:", "https:")).await, "unreachable");
    assert_eq!(refused(&any_network(), "https://nonexistent.invalid/").await, "name_not_found");
    // Words of TLS errors in a URL do not change the code.
    for word in ["tls", "ssl", "certificate", "handshake"] {
        assert_eq!(refused(&http(), &format!("{url}{word}")).await, "unreachable");
    }
    assert_eq!(refused(&any_network(), "https://tls.nonexistent.invalid/").await, "name_not_found");
}

/// An authority that is not trusted by default, and servers with its certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        // OpenSSL finds issuers by name, and takes a certificate with its issuer's name for a self-signed one.
        params.distinguished_name.push(DnType::CommonName, format!("{:?}", &key.public_key_raw()[1..9]));
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server with a certificate of this authority; it responds with `{}`.
    async fn serve(&self, params: CertificateParams) -> String {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        serve_tls(certificate, key).await
    }
}

pub(crate) async fn serve_tls(certificate: rcgen::Certificate, key: KeyPair) -> String {
    serve_chain(&[&certificate], key).await
}

async fn serve_chain(chain: &[&rcgen::Certificate], key: KeyPair) -> String {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let chain = chain.iter().map(|certificate| certificate.der().clone()).collect();
    let config = config.with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
                let _ = stream.shutdown().await;
            });
        }
    });
    format!("https://localhost:{port}/")
}

pub(crate) fn certificate_for(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
}

#[tokio::test]
async fn an_authority_is_trusted_by_the_one_integration_that_brings_it() {
    let ours = Authority::new();
    let theirs = Authority::new();
    let url = ours.serve(certificate_for(&["localhost", "127.0.0.1"])).await;

    let strict = any_network();
    assert_eq!(refused(&strict, &url).await, "tls_missing_intermediate");
    let trusting = strict.with_root_certificates(&ours.pem()).unwrap();
    assert_eq!(get(&trusting, &url, CAP).await.unwrap().body(), b"{}");
    get(&trusting, &url.replace("localhost", "127.0.0.1"), CAP).await.unwrap();
    // Neither the original client nor one with another authority trusts it.
    assert_eq!(refused(&strict, &url).await, "tls_missing_intermediate");
    let other = strict.with_root_certificates(&theirs.pem()).unwrap();
    assert_eq!(refused(&other, &url).await, "tls_missing_intermediate");
    let bundle = format!("{}\n{}", theirs.pem(), ours.pem());
    get(&strict.with_root_certificates(&bundle).unwrap(), &url, CAP).await.unwrap();
    let for_all = HttpClient::builder(Network::any()).root_certificates(&ours.pem()).build().unwrap();
    get(&for_all, &url, CAP).await.unwrap();
    // The authority of one integration is added to those of the client.
    let both = for_all.with_root_certificates(&theirs.pem()).unwrap();
    get(&both, &url, CAP).await.unwrap();
    get(&both.with_timeout(None).with_root_certificates(&theirs.pem()).unwrap(), &url, CAP).await.unwrap();
    // The network policy still holds.
    let public = HttpClient::builder(Network::public_only()).build().unwrap().with_root_certificates(&ours.pem());
    assert_eq!(refused(&public.unwrap(), &url).await, "name_not_allowed");
}

/// Resolves every name to this machine.
#[derive(Debug)]
struct LoopbackResolver;

#[async_trait::async_trait]
impl Resolve for LoopbackResolver {
    async fn lookup(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(vec![IpAddr::from([127, 0, 0, 1])])
    }
}

/// A tenant's authority signs a certificate for Bitbucket, and a name server resolves Bitbucket's name to the tenant's server.
#[tokio::test]
async fn a_tenants_authority_is_trusted_for_that_tenant_only() {
    let hostile = Authority::new();
    let url = hostile.serve(certificate_for(&["api.bitbucket.org", "bitbucket.org"])).await;
    let shared = HttpClient::builder(Network::any()).resolver(LoopbackResolver).build().unwrap();
    let tenant = shared.with_root_certificates(&hostile.pem()).unwrap();
    let other = shared.with_root_certificates(&Authority::new().pem()).unwrap();
    for name in ["api.bitbucket.org", "bitbucket.org"] {
        let url = url.replace("localhost", name);
        assert_eq!(get(&tenant, &url, CAP).await.unwrap().body(), b"{}");
        // Refused by the others, although a connection to the name is open.
        for http in [&shared, &other] {
            assert_eq!(refused(http, &url).await, "tls_missing_intermediate", "{name}");
        }
    }
}

#[tokio::test]
async fn a_wrong_certificate_of_a_trusted_authority_is_refused() {
    let authority = Authority::new();
    let http = any_network().with_root_certificates(&authority.pem()).unwrap();

    let wrong_name = authority.serve(certificate_for(&["git.example.com"])).await;
    assert_eq!(refused(&http, &wrong_name).await, "tls_wrong_name");
    let mut expired = certificate_for(&["localhost"]);
    expired.not_before = rcgen::date_time_ymd(2019, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    assert_eq!(refused(&http, &authority.serve(expired).await).await, "tls_expired");
    let mut early = certificate_for(&["localhost"]);
    early.not_before = rcgen::date_time_ymd(2090, 1, 1);
    early.not_after = rcgen::date_time_ymd(2091, 1, 1);
    assert_eq!(refused(&http, &authority.serve(early).await).await, "tls_not_yet_valid");
    let mut common_name = certificate_for(&[]);
    common_name.distinguished_name.push(DnType::CommonName, "git.example.com");
    // OpenSSL uses the common name if there is no other name.
    let expected = if cfg!(feature = "native-tls") { "tls_wrong_name" } else { "tls_common_name_only" };
    assert_eq!(refused(&http, &authority.serve(common_name).await).await, expected);
    let key = KeyPair::generate().unwrap();
    let self_signed = certificate_for(&["localhost"]).self_signed(&key).unwrap();
    assert_eq!(refused(&http, &serve_tls(self_signed, key).await).await, "tls_untrusted");
}

#[tokio::test]
async fn a_missing_intermediate_certificate_has_its_error() {
    let root = Authority::new();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "an intermediate authority");
    let intermediate = CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &root.0).unwrap();
    let http = any_network().with_root_certificates(&root.pem()).unwrap();
    for is_whole in [true, false] {
        let key = KeyPair::generate().unwrap();
        let certificate = certificate_for(&["localhost"]).signed_by(&key, &intermediate).unwrap();
        if is_whole {
            let url = serve_chain(&[&certificate, intermediate.as_ref()], key).await;
            get(&http, &url, CAP).await.unwrap();
        } else {
            let url = serve_chain(&[&certificate], key).await;
            let error = get(&http, &url, CAP).await.unwrap_err();
            assert_eq!(error.code(), "tls_missing_intermediate");
            assert!(error.advice().hint.contains("fullchain.pem"), "{}", error.advice().hint);
        }
    }
}

/// A certificate as of `openssl req -x509`: an authority that is its own and only server.
fn self_signed_authority(names: &[&str], years: (i32, i32)) -> (rcgen::Certificate, KeyPair) {
    let mut params = certificate_for(names);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(years.0, 1, 1), rcgen::date_time_ymd(years.1, 1, 1));
    let key = KeyPair::generate().unwrap();
    params.distinguished_name.push(DnType::CommonName, format!("{:?}", &key.public_key_raw()[1..9]));
    (params.self_signed(&key).unwrap(), key)
}

#[tokio::test]
async fn a_self_signed_certificate_can_be_trusted_for_its_name() {
    let strict = any_network();
    let (certificate, key) = self_signed_authority(&["localhost"], (2020, 2090));
    let pem = certificate.pem();
    let url = serve_tls(certificate, key).await;
    let http = strict.with_root_certificates(&pem).unwrap();
    assert_eq!(get(&http, &url, CAP).await.unwrap().body(), b"{}");
    get(&HttpClient::builder(Network::any()).root_certificates(&pem).build().unwrap(), &url, CAP).await.unwrap();
    // Only for its name, and only by this client.
    assert_eq!(refused(&http, &url.replace("localhost", "127.0.0.1")).await, "tls_wrong_name");
    assert_eq!(refused(&strict, &url).await, "tls_untrusted");

    // Another certificate for the same name is not trusted.
    let (other, key) = self_signed_authority(&["localhost"], (2020, 2090));
    assert_eq!(refused(&http, &serve_tls(other, key).await).await, "tls_untrusted");
    for (years, expected) in [((2019, 2020), "tls_expired"), ((2090, 2091), "tls_not_yet_valid")] {
        let (certificate, key) = self_signed_authority(&["localhost"], years);
        let http = strict.with_root_certificates(&certificate.pem()).unwrap();
        assert_eq!(refused(&http, &serve_tls(certificate, key).await).await, expected);
    }
    // A server with the certificate but without its key is refused.
    let (certificate, _) = self_signed_authority(&["localhost"], (2020, 2090));
    let http = strict.with_root_certificates(&certificate.pem()).unwrap();
    let impostor = ServerWithoutKey::start(certificate).await;
    assert!(matches!(refused(&http, &impostor).await, "tls_certificate" | "tls_failed"));
}

/// A server that shows a certificate whose key it does not have.
#[derive(Debug)]
struct ServerWithoutKey(Arc<sign::CertifiedKey>);

impl ServerWithoutKey {
    async fn start(certificate: rcgen::Certificate) -> String {
        let key = PrivateKeyDer::try_from(KeyPair::generate().unwrap().serialize_der()).unwrap();
        let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
        let pair = sign::CertifiedKey::new(vec![certificate.der().clone()], key);
        let config = ServerConfig::builder().with_no_client_auth();
        let acceptor = TlsAcceptor::from(Arc::new(config.with_cert_resolver(Arc::new(Self(Arc::new(pair))))));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let _ = acceptor.accept(stream).await;
        });
        format!("https://localhost:{port}/")
    }
}

impl ResolvesServerCert for ServerWithoutKey {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Only the operator sees which address was refused.
#[tokio::test]
async fn refused_addresses_are_named_to_the_operator_only() {
    for (address, class) in [
        ("10.0.0.5", "a private address"),
        ("127.0.0.1", "a loopback address"),
        ("169.254.169.254", "an address of a cloud's metadata service"),
        ("100.64.0.1", "an address behind a provider's NAT"),
        ("169.254.1.1", "a link-local address"),
        ("224.0.0.1", "a multicast address"),
        ("192.0.2.1", "a reserved address"),
        ("198.41.0.4", "in a network that is never reached"),
    ] {
        #[derive(Debug)]
        struct OneAddress(IpAddr);
        #[async_trait::async_trait]
        impl Resolve for OneAddress {
            async fn lookup(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
                Ok(vec![self.0])
            }
        }
        let network = Network::public_only().deny(["198.41.0.0/24".parse().unwrap()]);
        let http = HttpClient::builder(network).resolver(OneAddress(address.parse().unwrap())).build().unwrap();
        for url in ["https://git.example.com/".to_owned(), format!("https://{address}/")] {
            let error = get(&http, &url, CAP).await.unwrap_err();
            assert_eq!(error.code(), "address_not_allowed");
            assert_eq!(error.operator_note(), Some(format!("{address} is {class}")));
            let text = format!("{error} {error:?} {} {}", error.advice().hint, error.advice().public_message);
            assert!(!text.contains(address), "{text}");
            let finding = codehost_oauth::check::Finding::from_error(&error.into());
            assert!(finding.message.contains(address), "{finding:?}");
            let base_url = codehost_oauth::BaseUrl::parse("https://git.example.com", &Network::public_only()).unwrap();
            let mut report = codehost_oauth::check::CheckReport::new("gitlab", "GitLab", &base_url);
            report.push(finding);
            assert!(report.to_string().contains(address) && !report.public().to_string().contains(address));
        }
    }
}

#[test]
fn malformed_pem_is_refused_and_not_echoed() {
    let malformed = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let key = KeyPair::generate().unwrap().serialize_pem();
    for (pem, code) in [
        ("", "no_certificate"),
        (" ", "no_certificate"),
        ("MARKER", "no_certificate"),
        (&*key, "no_certificate"),
        (malformed, "invalid_certificate"),
        ("-----BEGIN CERTIFICATE-----\nMARKER", "invalid_certificate"),
    ] {
        for result in [
            any_network().with_root_certificates(pem).map(drop),
            HttpClient::builder(Network::any()).root_certificates(pem).build().map(drop),
        ] {
            let error = result.unwrap_err();
            // The code is that of the administrator, who entered the text.
            assert_eq!(error.code(), code, "{pem}");
            assert!(!format!("{error} {error:?}").contains("MARKER"));
        }
    }
}

#[tokio::test]
async fn a_port_without_tls_is_tls_failed() {
    let http = any_network().with_timeout(Some(Duration::from_secs(5)));
    let plain = RawServer::responding("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(refused(&http, &plain.https_url()).await, "tls_failed");
    // Alert "protocol version": the server supports older versions only.
    let old = RawServer::responding(&b"\x15\x03\x01\x00\x02\x02\x46"[..]).await;
    assert_eq!(refused(&http, &old.https_url()).await, "tls_failed");
    let alert = RawServer::responding(&b"\x15\x03\x03\x00\x02\x02\x28"[..]).await;
    assert_eq!(refused(&http, &alert.https_url()).await, "tls_failed");
    let empty = RawServer::responding("").await;
    assert_eq!(refused(&http, &empty.https_url()).await, "tls_failed");
    let ssh = RawServer::responding("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n").await;
    assert_eq!(refused(&http, &ssh.https_url()).await, "tls_failed");

    // A server that resets the connection during the handshake.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let resets = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1]).await;
        stream.set_zero_linger().unwrap();
    });
    assert_eq!(refused(&http, &url).await, "tls_failed");
    resets.await.unwrap();
}

#[tokio::test]
async fn an_invalid_name_is_not_found() {
    let label = "a".repeat(64);
    for name in ["a..b".to_owned(), format!("{label}.example.com")] {
        assert_eq!(refused(&any_network(), &format!("https://{name}/")).await, "name_not_found", "{name}");
    }
}

#[tokio::test]
async fn other_protocols_are_not_http() {
    for http in transports(Duration::from_secs(15)) {
        refuses_other_protocols(&*http).await;
    }
}

async fn refuses_other_protocols(http: &dyn Transport) {
    for response in [
        "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        "220 mail.example.com ESMTP\r\n",
        "-ERR unknown command 'POST'\r\n",
        "<html><body>hello</body></html>",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nNo Colon Here\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab",
    ] {
        assert_eq!(refused(http, &RawServer::responding(response).await.url()).await, "not_http", "{response}");
    }
    for response in [&b"\x15\x03\x01\x00\x02\x02\x46"[..], &[0; 100], &[0xFF; 100], b"\x16\x03\x01", b"\r\n\r\n\r\n"] {
        let code = refused(http, &RawServer::responding(response).await.url()).await;
        assert!(matches!(code, "not_http" | "interrupted"), "{response:?}: {code}");
    }
    assert_eq!(refused(http, &RawServer::responding("").await.url()).await, "interrupted");
}

#[tokio::test]
async fn too_many_or_too_long_headers_are_refused() {
    for http in transports(Duration::from_secs(15)) {
        refuses_too_many_headers(&*http).await;
    }
}

async fn refuses_too_many_headers(http: &dyn Transport) {
    let response = |count: usize| {
        let headers: String = (0..count).map(|i| format!("X-{i}: a\r\n")).collect();
        RawServer::responding(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{headers}\r\n"))
    };
    get(http, &response(50).await.url(), CAP).await.unwrap();
    for count in [101, 1000] {
        assert_eq!(refused(http, &response(count).await.url()).await, "not_http");
    }
    let long = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\nContent-Length: 0\r\n\r\n", "a".repeat(1 << 20));
    assert_eq!(refused(http, &RawServer::responding(long).await.url()).await, "not_http");
}

/// An incomplete response is an error.
#[tokio::test]
async fn a_connection_cut_anywhere_gives_an_error() {
    for http in transports(Duration::from_secs(15)) {
        refuses_a_cut_response(&*http).await;
    }
}

async fn refuses_a_cut_response(http: &dyn Transport) {
    let body = r#"{"access_token":"abcdefgh","token_type":"Bearer","expires_in":7200}"#;
    let with_length = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (first, second) = body.split_at(20);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    );
    // The body ends with the connection, so only the JSON shows that it is incomplete.
    let until_close = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{body}");
    for response in [with_length, chunked, until_close] {
        for at in 0..=response.len() {
            let server = RawServer::responding(&response.as_bytes()[..at]).await;
            let request = ApiRequest::get(&server.url().parse().unwrap()).max_body(CAP);
            let read = request.send(http).await.and_then(|response| response.json::<serde_json::Value>());
            // A chunked body without its last line break is complete.
            let whole = at == response.len() || (response.contains("chunked") && at >= response.len() - 2);
            match read {
                Ok(_) => assert!(whole, "cut at {at} of {response}"),
                Err(error) => {
                    assert!(at < response.len(), "{error}");
                    assert!(matches!(error.code(), "interrupted" | "not_http" | "malformed" | "not_json"), "{error}");
                    assert!(matches!(error, Error::Transport(_) | Error::Response { .. }));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_second_login_opens_no_connection() {
    let gitlab = gitlab().await;
    let integration = at_gitlab(&gitlab);
    for _ in 0..3 {
        log_in(&integration, |url| gitlab.authorize(url, "alice")).await.unwrap();
        assert_eq!(gitlab.connections(), 1);
    }
    let bitbucket = bitbucket().await;
    let integration = at_bitbucket(&bitbucket);
    for _ in 0..3 {
        log_in(&integration, |url| bitbucket.authorize(url, "jane")).await.unwrap();
        // The user and the addresses are requested at the same time.
        assert_eq!(bitbucket.connections(), 2);
    }
}

/// A provider outside this crate may use any URL.
#[tokio::test]
async fn urls_without_an_http_server_are_refused() {
    let open = HttpClient::builder(Network::any().danger_allow_http().allow_loopback_http()).build().unwrap();
    for uri in ["/path/only", "*", "ftp://127.0.0.1/x", "git.example.com:443"] {
        let request = http::Request::get(uri).body(Vec::new()).unwrap();
        assert_eq!(open.send(request, CAP).await.unwrap_err(), TransportError::Protocol, "{uri}");
    }
    // The wider permission holds, in any order of the calls.
    let server = RawServer::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert!(get(&open, &server.url(), CAP).await.is_ok());
    assert!(
        codehost_oauth::BaseUrl::parse(
            "http://git.example.com",
            &Network::any().danger_allow_http().allow_loopback_http()
        )
        .is_ok()
    );
}
