//! Kept connections, and servers that close them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use codehost_oauth::transport::Transport as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{CLIENT_ID, CLIENT_SECRET, IntegrationSetup, get, gitlab, http, log_in};

/// When a server closes a kept connection.
#[derive(Clone, Copy, Debug)]
enum Closes {
    /// This long after a response, even if a request arrives.
    After(Duration),
    /// When the next request arrives.
    AtTheNext,
    /// When the next request arrives, with a reset.
    WithReset,
}

/// A proxy that forwards one request for each connection to `to`. Returns its address and the number of connections.
async fn closing(to: String, closes: Closes) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            let to = to.clone();
            tokio::spawn(async move {
                let Some(request) = message(&mut client).await else { return };
                let mut server = TcpStream::connect(to).await.unwrap();
                server.write_all(&request).await.unwrap();
                let response = message(&mut server).await.unwrap();
                let _ = client.write_all(&response).await;
                match closes {
                    Closes::After(time) => tokio::time::sleep(time).await,
                    Closes::AtTheNext => drop(message(&mut client).await),
                    Closes::WithReset => {
                        drop(message(&mut client).await);
                        client.set_zero_linger().unwrap();
                    }
                }
            });
        }
    });
    (address, connections)
}

/// One request or response with `Content-Length`.
async fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(bytes);
            }
        }
        let mut more = [0; 4096];
        match stream.read(&mut more).await {
            Ok(count @ 1..) => bytes.extend_from_slice(&more[..count]),
            _ => return None,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_login_is_lost_to_a_server_that_closes_early() {
    let after = [1, 2, 3, 4, 5].map(|millis| Closes::After(Duration::from_millis(millis)));
    for closes in after.into_iter().chain([Closes::After(Duration::ZERO), Closes::AtTheNext, Closes::WithReset]) {
        let fake = gitlab().await;
        let base_url = fake.base_url().to_owned();
        let fake_address = base_url.trim_start_matches("http://").split('/').next().unwrap().to_owned();
        let (address, _) = closing(fake_address.clone(), closes).await;
        let proxy_url = base_url.replace(&fake_address, &address);
        let mut setup = IntegrationSetup::new("gitlab", &proxy_url);
        setup.client = (CLIENT_ID, CLIENT_SECRET);
        let integration = setup.build();
        for count in 0..40 {
            let authorize = |url: &str| fake.authorize(&url.replace(&address, &fake_address), "alice");
            let login = log_in(&integration, authorize).await;
            assert!(login.is_ok(), "{closes:?}: login {count}: {:?}", login.err());
        }
        // Each code was sent once.
        assert_eq!(fake.count("/oauth/token"), 40, "{closes:?}");
    }
}

/// After the first byte of a response, the request is not repeated.
#[tokio::test]
async fn a_get_is_repeated_once_and_only_before_the_first_byte() {
    for (second, expected, requests) in [(&b""[..], "interrupted", 3), (b"H", "interrupted", 2)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let requests_seen = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests_seen);
        tokio::spawn(async move {
            let mut first = true;
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                if message(&mut stream).await.is_some() {
                    counter.fetch_add(1, Ordering::SeqCst);
                }
                if first {
                    first = false;
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
                    if message(&mut stream).await.is_some() {
                        counter.fetch_add(1, Ordering::SeqCst);
                    }
                    let _ = stream.write_all(second).await;
                }
            }
        });
        let http = http();
        get(&http, &url, 64).await.unwrap();
        assert_eq!(get(&http, &url, 64).await.unwrap_err().code(), expected);
        assert_eq!(requests_seen.load(Ordering::SeqCst), requests);
    }
}

/// A code must not be lost to a closed connection. A `GET` can be repeated, so it is sent on a connection that is idle for some
/// seconds.
#[tokio::test]
async fn a_post_is_not_sent_on_an_idle_connection() {
    let fake = gitlab().await;
    let http = http();
    let url = format!("{}/oauth/token", fake.base_url());
    let post = || http::Request::post(&url).body(Vec::new()).unwrap();
    http.send(post(), 1024).await.unwrap();
    http.send(post(), 1024).await.unwrap();
    assert_eq!(fake.connections(), 1, "a connection is reused at once");
    tokio::time::sleep(Duration::from_millis(1200)).await;
    http.send(post(), 1024).await.unwrap();
    assert_eq!(fake.connections(), 2);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    get(&http, &url, 1024).await.unwrap();
    assert_eq!(fake.connections(), 2);
    tokio::time::sleep(Duration::from_millis(4200)).await;
    get(&http, &url, 1024).await.unwrap();
    assert_eq!(fake.connections(), 3, "a connection is idle for at most a few seconds");
}
