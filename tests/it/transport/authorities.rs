//! The operating system's certificate authorities: none at all, and authorities that are added and removed while an app runs.
#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::time::Duration;

use codehost_oauth::transport::{HttpClient, Network, Proxy};

use crate::support::get;
use crate::support::network_programs::{Authority, Program};

/// Where the child process finds the system's authorities. The variable must be set before a process starts.
const FILE: &str = "SSL_CERT_FILE";
const IS_CHILD: &str = "CODEHOST_OAUTH_TEST_AUTHORITIES";

#[tokio::test]
async fn authorities_are_read_again_without_a_restart() {
    if std::env::var_os(IS_CHILD).is_some() {
        return in_the_child_process(std::env::var_os(FILE).unwrap().into()).await;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("authorities-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "transport::authorities::authorities_are_read_again_without_a_restart", "--nocapture"]);
    child.env(IS_CHILD, "1").env(FILE, folder.join("authorities.pem")).env("SSL_CERT_DIR", folder.join("none"));
    let output = child.output().await.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

async fn in_the_child_process(file: PathBuf) {
    let (own, other) = (Authority::named("Own"), Authority::named("Other"));
    // Started before the clock is paused: it is a real program.
    let nginx = Program::nginx_gateway(9, &own.server(), "return 204;").await;
    let url = format!("https://localhost:{}/", nginx.port);
    let network = || Network::public_only().allow_loopback_http();
    let code = async |http: &HttpClient| match get(http, &url, 1024).await {
        Ok(response) => response.status().as_str().to_owned(),
        Err(error) => error.code().to_owned(),
    };

    // A slim image: the client is built, and an integration can bring its own authority.
    let http = HttpClient::builder(network()).build().unwrap();
    assert_eq!(code(&http).await, "no_authorities");
    let proxy = Proxy::parse(&format!("https://127.0.0.1:{}", nginx.port)).unwrap();
    assert_eq!(code(&http.with_proxy(Some(proxy)).unwrap()).await, "proxy_certificate");
    let of_integration = http.with_root_certificates(&own.pem()).unwrap();
    assert_eq!(code(&of_integration).await, "204");

    // An authority is installed. The old state is used until the app asks, or a minute has passed.
    std::fs::write(&file, own.pem()).unwrap();
    assert_eq!(code(&http).await, "no_authorities");
    http.reload_certificates();
    assert_eq!(code(&http).await, "204");

    // It is replaced. Idle connections are closed after some seconds.
    std::fs::write(&file, other.pem()).unwrap();
    let fresh = HttpClient::builder(network()).build().unwrap();
    assert_eq!(code(&fresh).await, "tls_missing_intermediate");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(30)).await;
    tokio::time::resume();
    assert_eq!(code(&http).await, "204");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    assert_eq!(code(&http).await, "tls_missing_intermediate");
}
