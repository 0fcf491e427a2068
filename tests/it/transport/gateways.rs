//! Code hosts behind a web server that demands a client certificate or a header, and connections for which only some
//! authorities are trusted.

use codehost_oauth::error::{ConfigError, Error};
use codehost_oauth::testing::FakeGitLab;
use codehost_oauth::transport::{ClientCertificate, FixedHeaders, HttpClient, Network};
use codehost_oauth::{BaseUrl, Integration, Login};
use rcgen::{ExtendedKeyUsagePurpose, date_time_ymd};

use crate::support::network_programs::{Authority, Certificate, Program};
use crate::support::{IntegrationSetup, RawServer, get, gitlab, http, log_in, network};

fn trusting(authority: &Authority) -> HttpClient {
    HttpClient::builder(network()).root_certificates(&authority.pem()).build().unwrap()
}

fn client_certificate(certificate: &Certificate) -> ClientCertificate {
    ClientCertificate::from_pem(&certificate.pem, &certificate.key).unwrap()
}

fn for_clients(authority: &Authority) -> Certificate {
    authority.sign("app", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth])
}

fn at(program: &Program, http: HttpClient) -> Integration {
    IntegrationSetup::new("gitlab", &base_url(program)).build_with(http)
}

/// The path is that of the fake.
fn base_url(program: &Program) -> String {
    format!("https://localhost:{}/gitlab", program.port)
}

async fn code_of_login(integration: &Integration, gitlab: &FakeGitLab) -> &'static str {
    match log_in_behind(integration, gitlab).await {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

/// A login in which the browser reaches the code host directly.
async fn log_in_behind(integration: &Integration, gitlab: &FakeGitLab) -> Result<Login, Error> {
    let base_url = integration.provider().base_url().as_str().to_owned();
    log_in(integration, |url| gitlab.authorize(&url.replace(&base_url, gitlab.base_url()), "alice")).await
}

#[tokio::test]
async fn a_code_host_can_demand_a_client_certificate() {
    let gitlab = gitlab().await;
    let port = url::Url::parse(gitlab.base_url()).unwrap().port().unwrap();
    let (servers, clients, others) = (Authority::new(), Authority::named("Clients"), Authority::named("Others"));
    let server = Certificate { clients: Some(clients.pem()), ..servers.server() };
    let verify = "ssl_verify_client on; ssl_client_certificate clients.pem;";
    let nginx = Program::nginx_gateway(port, &server, verify).await;
    let http = trusting(&servers);

    assert_eq!(code_of_login(&at(&nginx, http.clone()), &gitlab).await, "client_certificate");
    let wrong = http.with_client_certificate(client_certificate(&for_clients(&others))).unwrap();
    assert_eq!(code_of_login(&at(&nginx, wrong), &gitlab).await, "client_certificate");

    let right = http.with_client_certificate(client_certificate(&for_clients(&clients))).unwrap();
    let integration = at(&nginx, right);
    let login = log_in_behind(&integration, &gitlab).await.unwrap();
    integration.refresh(login.tokens.refresh_token.as_ref().unwrap()).await.unwrap();
    let report = integration.check().await;
    assert!(report.finding("credentials").is_some(), "{report}");
    let certificate = report.connection().unwrap().certificate.as_ref().unwrap();
    assert_eq!(certificate.subject, "CN=Test server");
    assert_eq!(certificate.issuer, "CN=Test authority");
    assert!(certificate.names.contains(&"localhost".to_owned()));
    assert!(certificate.not_after.ends_with(" GMT"), "{}", certificate.not_after);
}

/// A server that ends the handshake, as those do that demand the certificate in TLS itself.
#[tokio::test]
async fn a_server_that_refuses_in_the_handshake_is_understood() {
    use std::sync::Arc;
    use tokio_rustls::rustls::crypto::aws_lc_rs;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_rustls::rustls::server::WebPkiClientVerifier;
    use tokio_rustls::rustls::{RootCertStore, ServerConfig, version};

    let (servers, clients, others) = (Authority::new(), Authority::named("Clients"), Authority::named("Others"));
    for versions in [[&version::TLS12], [&version::TLS13]] {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(clients.pem().as_bytes()).unwrap()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
        let server = servers.server();
        let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions).unwrap();
        let config = config.with_client_cert_verifier(verifier).with_single_cert(
            vec![CertificateDer::from_pem_slice(server.pem.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(server.key.as_bytes()).unwrap(),
        );
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config.unwrap()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Err((_, mut stream)) = acceptor.accept(stream).into_fallible().await {
                    // A connection that is closed with unread bytes is reset, and the client does not get the alert.
                    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                }
            }
        });
        let http = trusting(&servers);
        let wrong = http.with_client_certificate(client_certificate(&for_clients(&others))).unwrap();
        for http in [http, wrong] {
            let code = get(&http, &url, 1024).await.unwrap_err().code();
            assert_eq!(code, "client_certificate", "{versions:?} {http:?}");
        }
    }
}

/// The same texts that an administrator can paste wrongly.
#[test]
fn each_mistake_with_a_client_certificate_is_named() {
    let authority = Authority::new();
    let (own, other) = (for_clients(&authority), for_clients(&authority));
    let expired = authority.sign("app", |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let broken = own.pem.replace("MII", "MIJ");
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMIIB\n-----END RSA PRIVATE KEY-----\n";
    for (certificate, key, expected) in [
        ("", &*own.key, ConfigError::NoClientCertificate),
        (&own.key, &own.key, ConfigError::NoClientCertificate),
        (&broken, &own.key, ConfigError::InvalidClientCertificate),
        (&expired.pem, &expired.key, ConfigError::ClientCertificateExpired),
        (&own.pem, "", ConfigError::ClientKey),
        (&own.pem, &own.pem, ConfigError::ClientKey),
        (&own.pem, encrypted, ConfigError::ClientKeyEncrypted),
        (&own.pem, legacy, ConfigError::ClientKeyEncrypted),
        (&own.pem, &other.key, ConfigError::ClientKeyMismatch),
    ] {
        let error = ClientCertificate::from_pem(certificate, key).unwrap_err();
        assert_eq!(error, expected);
    }
    let text = format!("{:?}", client_certificate(&own));
    assert_eq!(text, "ClientCertificate { .. }");
}

/// Certificate and key are from `openssl req -x509` and `openssl pkcs8 -topk8 -v2 aes-256-cbc`.
#[test]
fn a_key_can_have_a_password() {
    let certificate = include_str!("../../fixtures/client_certificate/certificate.pem");
    let key = include_str!("../../fixtures/client_certificate/encrypted.key");
    ClientCertificate::from_encrypted_pem(certificate, key, "correct-horse").unwrap();
    // One file with both.
    let both = format!("{certificate}{key}");
    ClientCertificate::from_encrypted_pem(&both, &both, "correct-horse").unwrap();
    let other = for_clients(&Authority::new());
    for (certificate, key, password, expected) in [
        (certificate, key, "wrong", ConfigError::ClientKeyPassword),
        (certificate, key, "", ConfigError::ClientKeyPassword),
        (&other.pem, key, "correct-horse", ConfigError::ClientKeyMismatch),
        (certificate, &other.key, "correct-horse", ConfigError::ClientKey),
        (certificate, "", "correct-horse", ConfigError::ClientKey),
    ] {
        let error = ClientCertificate::from_encrypted_pem(certificate, key, password).unwrap_err();
        assert_eq!(error, expected);
    }
    assert_eq!(ClientCertificate::from_pem(certificate, key).unwrap_err(), ConfigError::ClientKeyEncrypted);
}

/// The file says how much memory and time its password costs. Without a limit, these end the process, panic, or take minutes.
#[test]
fn the_cost_of_a_password_is_limited() {
    let certificate = include_str!("../../fixtures/client_certificate/certificate.pem");
    for key in [
        include_str!("../../fixtures/client_certificate/scrypt_cost_0.key"),
        include_str!("../../fixtures/client_certificate/scrypt_cost_2_20.key"),
        include_str!("../../fixtures/client_certificate/scrypt_cost_2_46.key"),
        include_str!("../../fixtures/client_certificate/scrypt_block_size_60000.key"),
        include_str!("../../fixtures/client_certificate/scrypt_parallelization_60000.key"),
        include_str!("../../fixtures/client_certificate/pbkdf2_100_million_rounds.key"),
    ] {
        let error = ClientCertificate::from_encrypted_pem(certificate, key, "correct-horse").unwrap_err();
        assert_eq!(error, ConfigError::ClientKey, "{key}");
    }
}

#[tokio::test]
async fn an_access_gateway_can_demand_headers() {
    let gitlab = gitlab().await;
    let port = url::Url::parse(gitlab.base_url()).unwrap().port().unwrap();
    let servers = Authority::new();
    let gate = r#"if ($http_cf_access_client_secret != "s3cr3t-of-the-gate") { return 403; }"#;
    let nginx = Program::nginx_gateway(port, &servers.server(), gate).await;
    let http = trusting(&servers);
    assert_eq!(code_of_login(&at(&nginx, http.clone()), &gitlab).await, "html");

    let own = BaseUrl::parse(&base_url(&nginx), &network()).unwrap();
    let headers = [("CF-Access-Client-Id", "app.access"), ("CF-Access-Client-Secret", "s3cr3t-of-the-gate")];
    let with_headers = http.with_headers(FixedHeaders::new(&own, headers).unwrap());
    let integration = at(&nginx, with_headers.clone());
    let login = log_in_behind(&integration, &gitlab).await.unwrap();
    integration.refresh(login.tokens.refresh_token.as_ref().unwrap()).await.unwrap();
    assert!(integration.check().await.finding("credentials").is_some());
    assert!(!format!("{with_headers:?} {integration:?}").contains("s3cr3t-of-the-gate"));

    // Another origin gets none of it, also at another port of the same machine.
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let other = RawServer::start(move |mut stream| {
        let sender = sender.clone();
        async move {
            use tokio::io::AsyncWriteExt as _;
            sender.send(()).unwrap();
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    })
    .await;
    let before = other.received();
    get(&with_headers, &other.url(), 1024).await.unwrap();
    seen.recv().await.unwrap();
    let with = other.received() - before;
    get(&http, &other.url(), 1024).await.unwrap();
    assert_eq!(with, other.received() - before - with, "the requests with and without headers are equally long");
}

/// Both are sent, as the operator wrote them.
#[tokio::test]
async fn a_header_can_have_two_values() {
    let server = RawServer::start(|mut stream| async move {
        use tokio::io::AsyncWriteExt as _;
        let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    })
    .await;
    let base_url = BaseUrl::parse(&server.url(), &network()).unwrap();
    get(&http(), &server.url(), 1024).await.unwrap();
    let without = server.received();
    let headers = FixedHeaders::new(&base_url, [("X-Gate", "one"), ("x-gate", "two")]).unwrap();
    get(&http().with_headers(headers), &server.url(), 1024).await.unwrap();
    let added = server.received() - without - without;
    assert_eq!(added, "x-gate: one\r\nx-gate: two\r\n".len());
}

#[test]
fn headers_that_belong_to_the_request_are_refused() {
    let base_url = BaseUrl::parse("https://git.example.com", &Network::public_only()).unwrap();
    for (name, value, code) in [
        ("Authorization", "Bearer x", "header_reserved"),
        ("host", "other.example.com", "header_reserved"),
        ("Content-Length", "0", "header_reserved"),
        ("Transfer-Encoding", "chunked", "header_reserved"),
        ("Content-Type", "text/plain", "header_reserved"),
        ("Accept-Encoding", "gzip", "header_reserved"),
        ("User-Agent", "x", "header_reserved"),
        ("X-A", "a\r\nX-B: b", "header_value"),
        ("X A", "a", "header_name"),
        ("", "a", "header_name"),
    ] {
        let error = FixedHeaders::new(&base_url, [(name, value)]).unwrap_err();
        assert_eq!(error.code(), code, "{name}");
        assert!(!error.to_string().contains("Bearer x"));
    }
    let reserved = FixedHeaders::new(&base_url, [("Authorization", "Bearer x")]).unwrap_err();
    assert_eq!(reserved.to_string(), "the app sets the header authorization itself");
    // A line that was split wrongly has the secret in its name.
    for name in ["X-Secret = s3cr3t-value", "X-Secret:s3cr3t-value", "s3cr3t value"] {
        let error = FixedHeaders::new(&base_url, [("X-A", "a"), (name, "x")]).unwrap_err();
        assert_eq!(error.to_string(), "the name of header number 2 is not valid in HTTP");
        assert!(!format!("{error:?}").contains("s3cr3t"));
    }
    assert!(FixedHeaders::new(&base_url, [("Proxy-Authorization", "Bearer x"), ("Cookie", "a=b")]).is_ok());
}

/// Only the integration with the certificate trusts it; the app's client never does.
#[tokio::test]
async fn a_name_can_be_allowed_to_be_private() {
    let code_host = RawServer::responding("HTTP/1.1 204 No Content\r\n\r\n").await;
    let port = code_host.address.port();
    #[derive(Debug)]
    struct Loopback;
    #[async_trait::async_trait]
    impl codehost_oauth::transport::Resolve for Loopback {
        async fn lookup(&self, _: &str) -> std::io::Result<Vec<std::net::IpAddr>> {
            Ok(vec![[127, 0, 0, 1].into()])
        }
    }
    let network = Network::public_only().danger_allow_http().allow_name("Git.Corp").unwrap();
    let http = HttpClient::builder(network.clone()).resolver(Loopback).build().unwrap();
    for (host, code) in [
        ("git.corp", None),
        ("GIT.CORP", None),
        ("git.corp.", None),
        ("x.git.corp", Some("name_not_allowed")),
        ("agit.corp", Some("name_not_allowed")),
        ("corp", Some("name_not_allowed")),
        ("git.example.com", Some("address_not_allowed")),
        ("127.0.0.1", Some("address_not_allowed")),
    ] {
        let response = get(&http, &format!("http://{host}:{port}/"), 1024).await;
        assert_eq!(response.map_err(|error| error.code()).err(), code, "{host}");
    }
    let denied = network.deny(["127.0.0.0/8".parse().unwrap()]);
    let http = HttpClient::builder(denied).resolver(Loopback).build().unwrap();
    assert_eq!(get(&http, &format!("http://git.corp:{port}/"), 1024).await.unwrap_err().code(), "address_not_allowed");

    for name in ["", "10.0.0.5", "[::1]", "git.corp:443", "https://git.corp", "*.corp", "git corp"] {
        assert_eq!(Network::public_only().allow_name(name).unwrap_err().code(), "allowed_name", "{name}");
    }
    assert!(
        !Network::public_only().allow_name("metadata.google.internal").unwrap().permits([169, 254, 169, 254].into())
    );
}
