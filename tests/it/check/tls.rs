//! The check against ports with and without TLS.

use std::net::Ipv4Addr;
use std::sync::Arc;

use codehost_oauth::check::{CheckReport, Level};
use codehost_oauth::transport::HttpClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::support::canned_http;

const DISCOVERY: &str = r#"{"scopes_supported":["read_user","read_api"]}"#;
const TOKEN: &str = r#"{"error":"invalid_grant"}"#;

/// A server that responds to the check as GitLab does, with a self-signed certificate. Returns its port and certificate.
async fn self_signed() -> (u16, String) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut request = vec![0; 8192];
                let length = stream.read(&mut request).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&request[..length]).into_owned();
                let (status, body) = if text.contains("/oauth/token") { (400, TOKEN) } else { (200, DISCOVERY) };
                let response = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                     Connection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(response.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (port, cert.pem())
}

/// A web server without TLS.
async fn plain() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 8192];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
            });
        }
    });
    port
}

async fn check(base_url: &str, pem: Option<&str>) -> CheckReport {
    let mut http: HttpClient = canned_http::client();
    if let Some(pem) = pem {
        http = http.with_root_certificates(pem).unwrap();
    }
    canned_http::builder("gitlab", base_url, "canary-secret").transport(http).build().unwrap().check().await
}

#[tokio::test]
async fn every_mistake_with_tls_has_its_own_finding() {
    let (tls, pem) = self_signed().await;
    let plain = plain().await;
    let (https, http) = (format!("https://127.0.0.1:{tls}"), format!("http://127.0.0.1:{tls}"));

    let report = check(&https, Some(&pem)).await;
    assert_eq!(report.finding("tls").unwrap().level, Level::Ok, "{report}");
    assert_eq!(report.finding("credentials").unwrap().level, Level::Ok);

    let untrusted = check(&https, None).await;
    let finding = untrusted.finding("tls_untrusted").unwrap();
    assert_eq!(finding.level, Level::Problem);
    assert!(finding.fix.as_deref().unwrap().contains("PEM"));

    for pem in [Some(pem.as_str()), None] {
        let report = check(&http, pem).await;
        let finding = report.finding("http_on_tls_port").unwrap_or_else(|| panic!("{report}"));
        assert_eq!(finding.fix.as_deref(), Some(format!("Enter {https} as the base URL.").as_str()));
    }

    let report = check(&format!("https://127.0.0.1:{plain}"), None).await;
    let finding = report.finding("tls_failed").unwrap_or_else(|| panic!("{report}"));
    assert_eq!(finding.level, Level::Problem);
    let report = check(&format!("http://127.0.0.1:{plain}"), None).await;
    assert_eq!(report.finding("not_this_platform").unwrap().level, Level::Problem, "{report}");
}
