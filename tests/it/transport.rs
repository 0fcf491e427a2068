//! The real HTTP client against servers that misbehave: rows S2, S3, S6, S7, S16–S18, R1–R4 and R16 of the threat model.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use codehost_oauth::custom::Reply;
use codehost_oauth::error::{Error, TransportError};
use codehost_oauth::transport::{HttpClient, Network, Resolve, Transport as _};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{Raw, at_bitbucket, at_gitlab, bitbucket, free_address, get, gitlab, http, log_in};

const CAP: usize = 1024;
const QUICK: Duration = Duration::from_millis(500);

/// The code of the error that this request ends with. Whatever it is, strangers are told the same.
async fn refused(http: &HttpClient, url: &str) -> &'static str {
    let error = get(http, url, CAP).await.unwrap_err();
    assert_eq!(error.public_message(), TransportError::Refused.public_message());
    let shown = format!("{error} {error:?} {}", error.hint());
    assert!(!shown.contains("127.0.0.1") && !shown.contains("http://"), "{shown}");
    error.code()
}

fn anywhere() -> HttpClient {
    HttpClient::builder(Network::any()).build().unwrap()
}

#[tokio::test]
async fn redirects_are_answers_and_never_followed() {
    for status in [301, 302, 303, 307, 308] {
        let second = Raw::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        let first = MockServer::start().await;
        for location in [second.url(), format!("{}elsewhere", first.uri()), "/elsewhere".to_owned()] {
            first.reset().await;
            let answer = ResponseTemplate::new(status).insert_header("Location", location.as_str());
            Mock::given(method("POST")).and(path("/token")).respond_with(answer).expect(1).mount(&first).await;
            let request = http::Request::post(format!("{}/token", first.uri())).body(b"client_secret=x".to_vec());
            let answer = http().send(request.unwrap(), CAP).await.unwrap();
            assert_eq!(answer.status(), status);
            assert_eq!(first.received_requests().await.unwrap().len(), 1);
            first.verify().await;
        }
        assert_eq!((second.connections(), second.received()), (0, 0));
    }
}

#[tokio::test]
async fn a_redirected_login_stops_and_sends_nothing_on() {
    for status in [301, 302, 303, 307, 308] {
        let second = Raw::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        for step in ["/oauth/token", "/api/v4/user"] {
            let gitlab = gitlab().await;
            let location = format!("{}?code=abc", second.url());
            gitlab.respond_next(step, status, &[("Location", &location)], "");
            let error = log_in(&at_gitlab(&gitlab), |url| gitlab.authorize(url, "alice")).await.unwrap_err();
            assert_eq!(error.code(), "redirect");
            assert!(!format!("{error} {error:?}").contains("code=abc"));
            assert_eq!(gitlab.count(step), 1);
        }
        assert_eq!((second.connections(), second.received()), (0, 0));
    }
}

#[tokio::test]
async fn a_request_ends_in_time_wherever_the_server_stalls() {
    let silent = Raw::silent().await;
    let trickle = |head: &'static str| {
        Raw::start(move |mut stream| async move {
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(b"a").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
    };
    let slow_status = trickle("").await;
    let slow_head = trickle("HTTP/1.1 200 OK\r\nX-Endless: ").await;
    let slow_body = trickle("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n").await;
    let no_body = Raw::start(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    })
    .await;
    // Interim answers without an end: each is progress, and none is the answer.
    let interim = Raw::start(|mut stream| async move {
        while stream.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let patient = http();
    let hasty = patient.with_timeout(Some(QUICK));
    for (name, server) in [
        ("silent", &silent),
        ("status", &slow_status),
        ("head", &slow_head),
        ("body", &slow_body),
        ("no body", &no_body),
        ("interim", &interim),
    ] {
        let begun = Instant::now();
        let code = refused(&hasty, &server.url()).await;
        // "aaa" in place of a status line is no HTTP, and may be noticed first.
        assert!(code == "timed_out" || (name == "status" && code == "not_http"), "{name}: {code}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{name}: {:?}", begun.elapsed());
    }
}

/// Unless a host sets another one. The clock runs by itself.
#[tokio::test(start_paused = true)]
async fn the_deadline_is_fifteen_seconds() {
    let silent = Raw::silent().await;
    let http = http();
    let begun = tokio::time::Instant::now();
    assert_eq!(refused(&http, &silent.url()).await, "timed_out");
    assert!((14.0..=16.0).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_slow_answer_is_fine_within_the_time() {
    let slow = Raw::start(|mut stream| async move {
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" {
            let _ = stream.write_all(&[*byte]).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    for timeout in [Some(Duration::from_secs(15)), None] {
        let answer = get(&http().with_timeout(timeout), &slow.url(), CAP).await.unwrap();
        assert_eq!(answer.body(), b"{}");
    }
}

#[tokio::test]
async fn bodies_are_cut_off_at_the_cap() {
    let announced = |length: usize| {
        Raw::saying(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}", "a".repeat(length)))
    };
    let chunked = |length: usize| {
        let body = "a".repeat(length);
        Raw::saying(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"))
    };
    let closed = |length: usize| Raw::saying(format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(length)));
    for length in [0, 1, CAP - 1, CAP] {
        // A chunk of no bytes would be the last one.
        for server in [announced(length).await, chunked(length.max(1)).await, closed(length).await] {
            let answer = get(&http(), &server.url(), CAP).await.unwrap();
            assert!(answer.body().len() == length.max(1) || answer.body().len() == length);
        }
    }
    for length in [CAP + 1, 10 * CAP, 1 << 20] {
        for server in [announced(length).await, chunked(length).await, closed(length).await] {
            let error = get(&http(), &server.url(), CAP).await.unwrap_err();
            assert_eq!(error, TransportError::TooLarge { limit: CAP });
            assert_eq!(error.code(), "too_large");
        }
    }
    // What is announced is not waited for.
    let boast = Raw::start(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n").await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    })
    .await;
    let begun = Instant::now();
    refused(&http(), &boast.url()).await;
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn an_endless_body_is_not_read_to_its_end() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let endless = Raw::start(move |mut stream| {
        let sent = Arc::clone(&counter);
        async move {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
            while stream.write_all(chunk.as_bytes()).await.is_ok() {
                sent.fetch_add(chunk.len(), Ordering::SeqCst);
            }
        }
    })
    .await;
    let error = get(&http(), &endless.url(), 256 * 1024).await.unwrap_err();
    assert_eq!(error, TransportError::TooLarge { limit: 256 * 1024 });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let after = sent.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(sent.load(Ordering::SeqCst), after, "the connection is still open");
    // The cap, and what fits into the buffers of two sockets.
    assert!(after < 32 << 20, "{after}");
}

#[tokio::test]
async fn the_platforms_answers_have_caps_of_their_own() {
    let page = |kib: usize| format!("{{\"x\":\"{}\"}}", "a".repeat(kib * 1024));
    let json = [("Content-Type", "application/json")];
    for (step, kib) in [("/oauth/token", 257), ("/api/v4/user", 513)] {
        let gitlab = gitlab().await;
        gitlab.respond_next(step, 200, &json, page(kib));
        let error = log_in(&at_gitlab(&gitlab), |url| gitlab.authorize(url, "alice")).await.unwrap_err();
        assert_eq!(error.code(), "too_large");
    }
    // What is not larger is read.
    let gitlab = gitlab().await;
    let user = format!(r#"{{"id":2,"username":"alice","state":"active","x":"{}"}}"#, "a".repeat(511 * 1024));
    gitlab.respond_next("/api/v4/user", 200, &json, user);
    log_in(&at_gitlab(&gitlab), |url| gitlab.authorize(url, "alice")).await.unwrap();
}

#[tokio::test]
async fn encoded_bodies_are_refused_and_none_was_asked_for() {
    let server = |encoding: &str| {
        Raw::saying(format!("HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: 2\r\n\r\n{{}}"))
    };
    for encoding in ["gzip", "br", "zstd", "deflate", "compress", "x-gzip", "GZIP", "gzip, gzip", "identity, gzip"] {
        assert_eq!(refused(&http(), &server(encoding).await.url()).await, "encoded", "{encoding}");
    }
    let twice = "HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(refused(&http(), &Raw::saying(twice).await.url()).await, "encoded");
    for encoding in ["identity", "Identity", "IDENTITY", " identity ", "", "identity, identity", ", identity"] {
        get(&http(), &server(encoding).await.url(), CAP).await.unwrap();
    }

    // Nor if a provider outside this crate asks for one.
    let asked = MockServer::start().await;
    let request = http::Request::get(asked.uri()).header("accept-encoding", "gzip").body(Vec::new()).unwrap();
    http().send(request, CAP).await.unwrap();
    let received = asked.received_requests().await.unwrap();
    let sent: Vec<_> = received[0].headers.get_all("accept-encoding").iter().collect();
    assert_eq!(sent, ["identity"]);

    let gitlab = gitlab().await;
    log_in(&at_gitlab(&gitlab), |url| gitlab.authorize(url, "alice")).await.unwrap();
    for request in gitlab.requests() {
        assert_eq!(request.header("accept-encoding"), Some("identity"));
        assert!(request.header("user-agent").unwrap().starts_with("codehost-oauth/"));
        for absent in ["referer", "cookie", "origin"] {
            assert_eq!(request.header(absent), None);
        }
    }
}

/// The variables must be set before a client is made, so a process of its own makes it.
#[tokio::test]
async fn proxies_of_the_environment_are_not_used() {
    let proxy = Raw::saying("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy").await;
    let server = Raw::saying("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nserver").await;
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "transport::a_request_goes_straight_to_its_server", "--nocapture"]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        child.env(name, proxy.url());
    }
    child.env("NO_PROXY", "").env("no_proxy", "").env_remove("REQUEST_METHOD");
    let output = child.env("CHILD_URL", server.url()).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((proxy.connections(), server.connections()), (0, 2));
}

/// The test above runs it once more, as a process whose environment names proxies.
#[tokio::test]
async fn a_request_goes_straight_to_its_server() {
    let server = Raw::saying("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nserver").await;
    let url = std::env::var("CHILD_URL").unwrap_or_else(|_| server.url());
    for url in [url.clone(), url.replace("127.0.0.1", "localhost")] {
        assert_eq!(get(&http(), &url, CAP).await.unwrap().body(), b"server");
    }
}

#[tokio::test]
async fn literal_addresses_are_checked_though_no_resolver_sees_them() {
    let server = Raw::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let port = server.address.port();
    let public = HttpClient::builder(Network::public_only()).build().unwrap();
    let intranet = Network::allow_list(["10.0.0.0/8".parse().unwrap()]);
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
async fn names_are_refused_by_what_they_resolve_to() {
    let server = Raw::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let url = format!("http://localhost:{}/", server.address.port());

    // By its name alone.
    let public = HttpClient::builder(Network::public_only().danger_allow_http()).build().unwrap();
    assert_eq!(refused(&public, &url).await, "address_not_allowed");
    // Names are looked up here, and the answer is refused.
    let intranet = Network::allow_list(["10.0.0.0/8".parse().unwrap()]).danger_allow_http();
    let intranet = HttpClient::builder(intranet).build().unwrap();
    assert_eq!(refused(&intranet, &url).await, "address_not_allowed");
    assert_eq!(server.connections(), 0);

    get(&http(), &url, CAP).await.unwrap();
    let loopback = Network::allow_list(["127.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]).danger_allow_http();
    get(&HttpClient::builder(loopback).build().unwrap(), &url, CAP).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn metadata_is_out_of_reach_under_every_policy() {
    let any = HttpClient::builder(Network::any().danger_allow_http()).timeout(Some(QUICK)).build().unwrap();
    let allowed = Network::allow_list(["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()]).danger_allow_http();
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
                assert_eq!(refused(http, &format!("{scheme}://{host}/")).await, "address_not_allowed", "{host}");
            }
        }
    }
    // A dot at the end is the same name to a resolver.
    let code = refused(&any, "http://metadata.google.internal./").await;
    assert_eq!(code, "address_not_allowed");
}

#[tokio::test]
async fn plain_http_is_refused_unless_asked_for() {
    let server = Raw::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let loopback = ["127.0.0.0/8".parse().unwrap()];
    for network in [Network::any(), Network::allow_list(loopback)] {
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
async fn nobody_there_and_no_such_name_are_told_apart() {
    let url = format!("http://{}/", free_address());
    assert_eq!(refused(&http(), &url).await, "unreachable");
    assert_eq!(refused(&anywhere(), &url.replace("http:", "https:")).await, "unreachable");
    assert_eq!(refused(&anywhere(), "https://nonexistent.invalid/").await, "name_not_found");
    // The words that tell TLS errors apart may stand in an address.
    for word in ["tls", "ssl", "certificate", "handshake"] {
        assert_eq!(refused(&http(), &format!("{url}{word}")).await, "unreachable");
    }
    assert_eq!(refused(&anywhere(), "https://tls.nonexistent.invalid/").await, "name_not_found");
}

/// Certificates of an authority that nobody trusts, and a server that shows one of them.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        // OpenSSL finds issuers by their names, and takes a certificate that bears its issuer's for a self-signed one.
        params.distinguished_name.push(DnType::CommonName, format!("{:?}", &key.public_key_raw()[1..9]));
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server with a certificate of this authority; answers with `{}`.
    async fn serve(&self, params: CertificateParams) -> String {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        serve_tls(certificate, key).await
    }
}

async fn serve_tls(certificate: rcgen::Certificate, key: KeyPair) -> String {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
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

fn certificate_for(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
}

#[tokio::test]
async fn an_authority_is_trusted_by_the_one_integration_that_brings_it() {
    let ours = Authority::new();
    let theirs = Authority::new();
    let url = ours.serve(certificate_for(&["localhost", "127.0.0.1"])).await;

    let strict = anywhere();
    assert_eq!(refused(&strict, &url).await, "tls_untrusted");
    let trusting = strict.with_root_certificates(&ours.pem()).unwrap();
    assert_eq!(get(&trusting, &url, CAP).await.unwrap().body(), b"{}");
    get(&trusting, &url.replace("localhost", "127.0.0.1"), CAP).await.unwrap();
    // Neither the client that it was made from nor one with another authority has learnt anything.
    assert_eq!(refused(&strict, &url).await, "tls_untrusted");
    let other = strict.with_root_certificates(&theirs.pem()).unwrap();
    assert_eq!(refused(&other, &url).await, "tls_untrusted");
    let bundle = format!("{}\n{}", theirs.pem(), ours.pem());
    get(&strict.with_root_certificates(&bundle).unwrap(), &url, CAP).await.unwrap();
    let for_all = HttpClient::builder(Network::any()).root_certificates(&ours.pem()).build().unwrap();
    get(&for_all, &url, CAP).await.unwrap();
    // One integration's authority comes to those of everybody, and takes none of them away.
    let both = for_all.with_root_certificates(&theirs.pem()).unwrap();
    get(&both, &url, CAP).await.unwrap();
    get(&both.with_timeout(None).with_root_certificates(&theirs.pem()).unwrap(), &url, CAP).await.unwrap();
    // The network policy still holds.
    let public = HttpClient::builder(Network::public_only()).build().unwrap().with_root_certificates(&ours.pem());
    assert_eq!(refused(&public.unwrap(), &url).await, "address_not_allowed");
}

/// Sends every name to this machine.
#[derive(Debug)]
struct Here;

#[async_trait::async_trait]
impl Resolve for Here {
    async fn lookup(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(vec![IpAddr::from([127, 0, 0, 1])])
    }
}

/// A tenant's authority that signs for Bitbucket, and a name server that sends Bitbucket's name to the tenant's server.
#[tokio::test]
async fn what_a_tenants_authority_signs_for_others_is_believed_by_that_tenant_only() {
    let evil = Authority::new();
    let url = evil.serve(certificate_for(&["api.bitbucket.org", "bitbucket.org"])).await;
    let shared = HttpClient::builder(Network::any()).resolver(Here).build().unwrap();
    let tenant = shared.with_root_certificates(&evil.pem()).unwrap();
    let other = shared.with_root_certificates(&Authority::new().pem()).unwrap();
    for name in ["api.bitbucket.org", "bitbucket.org"] {
        let url = url.replace("localhost", name);
        assert_eq!(get(&tenant, &url, CAP).await.unwrap().body(), b"{}");
        // After that too, though the name is known and a connection is open.
        for http in [&shared, &other] {
            assert_eq!(refused(http, &url).await, "tls_untrusted", "{name}");
        }
    }
}

#[tokio::test]
async fn a_trusted_authority_does_not_excuse_a_wrong_certificate() {
    let authority = Authority::new();
    let http = anywhere().with_root_certificates(&authority.pem()).unwrap();

    let wrong_name = authority.serve(certificate_for(&["git.example.com"])).await;
    assert_eq!(refused(&http, &wrong_name).await, "tls_untrusted");
    let mut expired = certificate_for(&["localhost"]);
    expired.not_before = rcgen::date_time_ymd(2019, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    assert_eq!(refused(&http, &authority.serve(expired).await).await, "tls_untrusted");
    let mut early = certificate_for(&["localhost"]);
    early.not_before = rcgen::date_time_ymd(2090, 1, 1);
    early.not_after = rcgen::date_time_ymd(2091, 1, 1);
    assert_eq!(refused(&http, &authority.serve(early).await).await, "tls_untrusted");
    let key = KeyPair::generate().unwrap();
    let self_signed = certificate_for(&["localhost"]).self_signed(&key).unwrap();
    assert_eq!(refused(&http, &serve_tls(self_signed, key).await).await, "tls_untrusted");
}

#[test]
fn what_is_no_certificate_is_no_certificate() {
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let key = KeyPair::generate().unwrap().serialize_pem();
    for pem in ["", " ", "MARKER", &key, garbage, "-----BEGIN CERTIFICATE-----\nMARKER"] {
        for result in [
            anywhere().with_root_certificates(pem).map(drop),
            HttpClient::builder(Network::any()).root_certificates(pem).build().map(drop),
        ] {
            let error = result.unwrap_err();
            // Whoever pasted it must act, not whoever runs the host.
            assert_eq!(error.code(), "certificates", "{pem}");
            assert!(!format!("{error} {error:?}").contains("MARKER"));
        }
    }
}

#[tokio::test]
async fn a_port_without_tls_is_not_an_untrusted_certificate() {
    let http = anywhere().with_timeout(Some(Duration::from_secs(5)));
    let plain = Raw::saying("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(refused(&http, &plain.https_url()).await, "tls_failed");
    // Alert "protocol version": the server speaks something older.
    let old = Raw::saying(&b"\x15\x03\x01\x00\x02\x02\x46"[..]).await;
    assert_eq!(refused(&http, &old.https_url()).await, "tls_failed");
    let alert = Raw::saying(&b"\x15\x03\x03\x00\x02\x02\x28"[..]).await;
    assert_eq!(refused(&http, &alert.https_url()).await, "tls_failed");
    let closed = Raw::saying("").await;
    assert_eq!(refused(&http, &closed.https_url()).await, "tls_failed");
    let ssh = Raw::saying("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n").await;
    assert_eq!(refused(&http, &ssh.https_url()).await, "tls_failed");

    // One that resets the connection in the middle of the handshake.
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

/// Names that are none are not looked for at a code host.
#[tokio::test]
async fn a_name_that_cannot_be_is_not_found() {
    let label = "a".repeat(64);
    for name in ["a..b".to_owned(), format!("{label}.example.com")] {
        assert_eq!(refused(&anywhere(), &format!("https://{name}/")).await, "name_not_found", "{name}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_told_apart() {
    for answer in [
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
        assert_eq!(refused(&http(), &Raw::saying(answer).await.url()).await, "not_http", "{answer}");
    }
    for answer in [&b"\x15\x03\x01\x00\x02\x02\x46"[..], &[0; 100], &[0xFF; 100], b"\x16\x03\x01", b"\r\n\r\n\r\n"] {
        let code = refused(&http(), &Raw::saying(answer).await.url()).await;
        assert!(matches!(code, "not_http" | "interrupted"), "{answer:?}: {code}");
    }
    assert_eq!(refused(&http(), &Raw::saying("").await.url()).await, "interrupted");
}

#[tokio::test]
async fn a_flood_of_headers_is_refused() {
    let answer = |count: usize| {
        let headers: String = (0..count).map(|i| format!("X-{i}: a\r\n")).collect();
        Raw::saying(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{headers}\r\n"))
    };
    get(&http(), &answer(50).await.url(), CAP).await.unwrap();
    for count in [101, 1000] {
        assert_eq!(refused(&http(), &answer(count).await.url()).await, "not_http");
    }
    let long = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\nContent-Length: 0\r\n\r\n", "a".repeat(1 << 20));
    assert_eq!(refused(&http(), &Raw::saying(long).await.url()).await, "not_http");
}

/// Only a whole answer is one.
#[tokio::test]
async fn a_connection_cut_anywhere_gives_an_error() {
    let body = r#"{"access_token":"abcdefgh","token_type":"Bearer","expires_in":7200}"#;
    let announced = format!(
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
    // Ends with the connection, so that only the JSON can tell.
    let closed = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{body}");
    let http = http();
    for answer in [announced, chunked, closed] {
        for at in 0..=answer.len() {
            let server = Raw::saying(&answer.as_bytes()[..at]).await;
            let request = http::Request::get(server.url()).body(Vec::new()).unwrap();
            let read = Reply::fetch(&http, request, CAP).await.and_then(|reply| reply.json::<serde_json::Value>());
            // Nothing of a chunked body is missing if its last line break is.
            let whole = at == answer.len() || (answer.contains("chunked") && at >= answer.len() - 2);
            match read {
                Ok(_) => assert!(whole, "cut at {at} of {answer}"),
                Err(error) => {
                    assert!(at < answer.len(), "{error}");
                    assert!(matches!(error.code(), "interrupted" | "not_http" | "malformed" | "not_json"), "{error}");
                    assert!(matches!(error, Error::Transport(_) | Error::Answer { .. }));
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
        // The user and the addresses are asked for at once.
        assert_eq!(bitbucket.connections(), 2);
    }
}

/// Whoever brings requests of their own may bring any URL.
#[tokio::test]
async fn what_is_no_url_of_a_server_is_refused_unsent() {
    let open = HttpClient::builder(Network::any().danger_allow_http().allow_loopback_http()).build().unwrap();
    for uri in ["/path/only", "*", "ftp://127.0.0.1/x", "git.example.com:443"] {
        let request = http::Request::get(uri).body(Vec::new()).unwrap();
        assert_eq!(open.send(request, CAP).await.unwrap_err(), TransportError::Protocol, "{uri}");
    }
    // The wider permission stays, in whatever order they are given.
    let server = Raw::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert!(get(&open, &server.url(), CAP).await.is_ok());
    assert!(
        codehost_oauth::BaseUrl::parse(
            "http://git.example.com",
            &Network::any().danger_allow_http().allow_loopback_http()
        )
        .is_ok()
    );
}
