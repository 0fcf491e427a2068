//! Servers that try to use up time and memory: rows R1–R5, R16 and S18 of the threat model.

use std::sync::Arc;
use std::time::{Duration, Instant};

use codehost_oauth::transport::{HttpClient, Network, Transport};
use futures_util::future::join_all;
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::support::{RawServer, get, http, reqwest_transport, transports};

const CAP: usize = 256 * 1024;
const DEADLINE: Duration = Duration::from_secs(2);

/// Sends this and then nothing more, without closing the connection.
async fn stalls_after(head: impl Into<Vec<u8>>) -> RawServer {
    let head: Arc<[u8]> = head.into().into();
    RawServer::start(move |mut stream| {
        let head = Arc::clone(&head);
        async move {
            let _ = stream.write_all(&head).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    })
    .await
}

/// Sends `head`, and then `tail` repeatedly until the connection is closed, with a pause after each.
async fn endless(head: &'static str, tail: impl Into<Vec<u8>>, pause: Duration) -> RawServer {
    let tail: Arc<[u8]> = tail.into().into();
    RawServer::start(move |mut stream| {
        let tail = Arc::clone(&tail);
        async move {
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(&tail).await.is_ok() {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
        }
    })
    .await
}

/// A listener whose queue is full and that accepts nothing: connecting to it does not end.
pub(crate) async fn full() -> (TcpListener, Vec<TcpStream>, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        queue.push(stream);
        assert!(queue.len() < 64, "the queue has no end");
    }
    (listener, queue, format!("http://{address}/"))
}

/// A TLS server that completes the handshake, reads the request, sends this and then nothing more. Bytes before the request
/// would not be a response and would fail in another way.
async fn tls_stalls_after(head: &'static [u8]) -> (HttpClient, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let http = HttpClient::builder(Network::any()).root_certificates(&certificate.pem()).build().unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key);
    let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let Ok(1..) = stream.read_buf(&mut request).await else { return };
                }
                let _ = stream.write_all(head).await;
                let _ = stream.flush().await;
                tokio::time::sleep(Duration::from_secs(60)).await;
            });
        }
    });
    (http, url)
}

/// R3, S18: wherever a server stops, the request ends at its deadline. The paused clock advances only while all tasks wait, so
/// the load of the machine does not matter.
#[tokio::test(start_paused = true)]
async fn a_stall_in_any_phase_ends_at_the_deadline() {
    let slowly = Duration::from_millis(50);
    let (_listener, _queue, connecting) = full().await;
    let plain: [(&str, RawServer); 14] = [
        ("before the response", stalls_after("").await),
        ("in the version", stalls_after("HTT").await),
        ("in the status", stalls_after("HTTP/1.1 2").await),
        ("in the reason", stalls_after("HTTP/1.1 200 O").await),
        ("in a header's name", stalls_after("HTTP/1.1 200 OK\r\nX").await),
        ("in a header's value", stalls_after("HTTP/1.1 200 OK\r\nX: a").await),
        ("before the body", stalls_after("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await),
        ("in the body", stalls_after("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd").await),
        ("in a chunk's size", stalls_after("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5").await),
        ("in a chunk", stalls_after("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab").await),
        ("in the trailers", stalls_after("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y").await),
        ("before a close", stalls_after("HTTP/1.1 200 OK\r\n\r\nabc").await),
        ("after an interim response", stalls_after("HTTP/1.1 100 Continue\r\n\r\n").await),
        ("a byte at a time", endless("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", "a", slowly).await),
    ];
    // Each interim response is progress, and the final response never comes.
    let interim = endless("", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", slowly).await;
    let before_tls = stalls_after("").await;
    // The head of a record whose rest never comes, and a whole ServerHello of TLS 1.2 with nothing behind it.
    let in_record = stalls_after(&b"\x16\x03\x03\x00\x7a\x02\x00"[..]).await;
    let after_hello = stalls_after(server_hello([3, 3])).await;
    let (tls, after_handshake) = tls_stalls_after(b"").await;
    let (tls_2, in_tls_body) = tls_stalls_after(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab").await;
    let any = HttpClient::builder(Network::any()).build().unwrap();

    let mut cases: Vec<(&str, Arc<dyn Transport>, String)> = Vec::new();
    for http in transports(DEADLINE) {
        cases.extend(plain.iter().map(|(phase, server)| (*phase, Arc::clone(&http), server.url())));
        cases.extend([
            ("while connecting", Arc::clone(&http), connecting.clone()),
            ("in interim responses", http, interim.url()),
        ]);
    }
    let for_tls: [Arc<dyn Transport>; 2] =
        [Arc::new(any.with_timeout(Some(DEADLINE))), Arc::new(reqwest_transport().with_timeout(DEADLINE))];
    for http in for_tls {
        cases.extend([
            ("before the handshake", Arc::clone(&http), before_tls.https_url()),
            ("in a record", Arc::clone(&http), in_record.https_url()),
            ("in the handshake", http, after_hello.https_url()),
        ]);
    }
    for (phase, http, url) in
        [("after the handshake", tls, after_handshake), ("in a body over TLS", tls_2, in_tls_body)]
    {
        cases.push((phase, Arc::new(http.with_timeout(Some(DEADLINE))), url));
    }
    let outcomes = join_all(cases.iter().map(|(phase, http, url)| async move {
        let begun = tokio::time::Instant::now();
        let error = get(&**http, url, CAP).await.expect_err(phase);
        (*phase, error.code(), begun.elapsed())
    }));
    for (phase, code, took) in outcomes.await {
        assert_eq!(code, "timed_out", "{phase}");
        assert!((DEADLINE..DEADLINE + Duration::from_millis(100)).contains(&took), "{phase}: {took:?}");
    }
}

/// A ServerHello of this version, with a cipher suite that the version has.
fn server_hello(version: [u8; 2]) -> Vec<u8> {
    let mut hello = vec![2, 0, 0, 38];
    hello.extend(version);
    hello.extend([0x5A; 32]);
    hello.extend([0, 0xC0, 0x2F, 0]);
    let mut record = vec![0x16, version[0], version[1], 0, u8::try_from(hello.len()).unwrap()];
    record.extend(hello);
    record
}

/// The client must send the alert `protocol_version` (RFC 8446 section 6), and another alert for TLS 1.2.
#[tokio::test]
async fn tls_older_than_1_2_is_refused() {
    const PROTOCOL_VERSION: [u8; 4] = [0, 2, 2, 70];
    let http = HttpClient::builder(Network::any()).timeout(Some(Duration::from_secs(60))).build().unwrap();
    for (version, name, refused) in
        [([3, 3], "1.2", false), ([3, 2], "1.1", true), ([3, 1], "1.0", true), ([3, 0], "SSL 3", true)]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut hello = [0; 4096];
            assert!(socket.read(&mut hello).await.unwrap() > 0, "the ClientHello");
            socket.write_all(&server_hello(version)).await.unwrap();
            socket.shutdown().await.unwrap();
            let mut response = Vec::new();
            let _ = socket.read_to_end(&mut response).await;
            response
        });
        let error = get(&http, &url, CAP).await.unwrap_err();
        assert_eq!(error.code(), "tls_failed", "{name}");
        let response = serving.await.unwrap();
        // An alert and nothing else: the request was not sent.
        assert_eq!(response.get(3..) == Some(&PROTOCOL_VERSION), refused, "{name}: {response:?}");
        assert!(response.len() <= 7, "{name}: {response:?}");
    }
}

/// 64 KiB that decode to two gigabytes: a frame of run-length blocks (RFC 8878 section 3.1.1.2.2).
fn zstd_bomb() -> Vec<u8> {
    let mut bomb = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x58];
    let of_128_kib: u32 = (0x20000 << 3) | (1 << 1);
    for _ in 0..16_384 {
        bomb.extend(&of_128_kib.to_le_bytes()[..3]);
        bomb.push(b'a');
    }
    bomb
}

/// The same for gzip: one block with the fixed code, in which each 13 bits repeat the last byte 258 times.
fn gzip_bomb() -> Vec<u8> {
    let mut bomb = vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3];
    let (mut pending, mut count) = (0_u32, 0);
    let mut push = |bits: u32, length: u32, bomb: &mut Vec<u8>| {
        pending |= bits << count;
        count += length;
        while count >= 8 {
            bomb.push(pending as u8);
            pending >>= 8;
            count -= 8;
        }
    };
    push(0b011, 3, &mut bomb);
    // The literal `a` is 0x30 + 97; codes stand with their highest bit first.
    push((0x30_u32 + 97).reverse_bits() >> 24, 8, &mut bomb);
    for _ in 0..40_000 {
        // Length 258 is code 285, of eight bits; distance 1 is code 0, of five.
        push(0b1100_0101_u32.reverse_bits() >> 24, 8, &mut bomb);
        push(0, 5, &mut bomb);
    }
    bomb
}

fn with_head(headers: &str, body: Vec<u8>) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.into_bytes(), body].concat()
}

/// R1, R2, R4: the memory of the process stays flat for every response. The servers are in this process, the client in a child
/// process.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_flat_under_bombs_and_endless_responses() {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = [format!("{:x}\r\n", 1 << 16).into_bytes(), vec![b'a'; 1 << 16], b"\r\n".to_vec()].concat();
    let tiny_chunks = "1\r\na\r\n".repeat(4096);
    let extension = format!("1;{}\r\na\r\n", "x".repeat(1 << 14));
    let servers = [
        ("encoded", RawServer::responding(with_head("Content-Encoding: gzip\r\n", gzip_bomb())).await),
        ("encoded", RawServer::responding(with_head("Content-Encoding: gzip, gzip\r\n", gzip_bomb())).await),
        ("encoded", RawServer::responding(with_head("Content-Encoding: zstd\r\n", zstd_bomb())).await),
        ("encoded", RawServer::responding(with_head("Content-Encoding: br\r\n", zstd_bomb())).await),
        ("encoded", RawServer::responding(with_head("Content-Encoding: deflate\r\n", gzip_bomb())).await),
        // Without a content encoding they are just small bodies.
        ("ok", RawServer::responding(with_head("", gzip_bomb())).await),
        ("ok", RawServer::responding(with_head("", zstd_bomb())).await),
        ("too_large", endless(CHUNKED, chunk, Duration::ZERO).await),
        // One byte in six belongs to the body: it may end by the deadline or by the cap.
        ("any", endless(CHUNKED, tiny_chunks, Duration::ZERO).await),
        ("too_large", endless("HTTP/1.1 200 OK\r\n\r\n", vec![b'a'; 1 << 16], Duration::ZERO).await),
        ("too_large", stalls_after("HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n").await),
        ("any", endless(CHUNKED, extension, Duration::ZERO).await),
        ("not_http", endless("HTTP/1.1 200 OK\r\n", "X-Header: value\r\n".repeat(512), Duration::ZERO).await),
        ("not_http", endless("HTTP/1.1 200 OK\r\nX-Long: ", vec![b'a'; 1 << 16], Duration::ZERO).await),
        ("not_http", endless("HTTP/1.1 200 ", vec![b'a'; 1 << 16], Duration::ZERO).await),
        ("too_large", endless("", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(64), Duration::ZERO).await),
        (
            "any",
            endless(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
                "X: y\r\n".repeat(512),
                Duration::ZERO,
            )
            .await,
        ),
    ];
    let ok = RawServer::responding(with_head("", b"{}".to_vec())).await;
    let list: Vec<String> = servers.iter().map(|(code, server)| format!("{code} {}", server.url())).collect();
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "transport::hostile::memory_of_each_response_in_a_child_process", "--nocapture"]);
    child.env("CHILD_WARM_UP", ok.url()).env("CHILD_URLS", list.join("\n"));
    let output = child.output().await.unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(stdout.matches("KiB more").count(), servers.len(), "{stdout}");
}

/// The test above runs this one again in a child process, in which nothing else runs.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn memory_of_each_response_in_a_child_process() {
    let own = RawServer::responding(with_head("Content-Encoding: gzip\r\n", gzip_bomb())).await;
    let warm_up = std::env::var("CHILD_WARM_UP").unwrap_or_else(|_| own.url());
    let urls = std::env::var("CHILD_URLS").unwrap_or_else(|_| format!("encoded {}", own.url()));
    let http = http().with_timeout(Some(Duration::from_secs(6)));
    for _ in 0..5 {
        let _ = get(&http, &warm_up, CAP).await;
    }
    for line in urls.lines() {
        let (expected, url) = line.split_once(' ').unwrap();
        // Resets the peak, so that the next one is that of this response.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = peak();
        let code = get(&http, url, CAP).await.map_or_else(|error| error.code(), |_| "ok");
        let grown = peak().saturating_sub(before);
        println!("{expected}: {grown} KiB more");
        assert!(expected == code || expected == "any", "{url}: expected {expected}, found {code}");
        assert!(grown < 4096, "{expected}: {grown} KiB more");
    }
}

/// The most memory that this process has had, in KiB.
#[cfg(target_os = "linux")]
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// R5: deep or long JSON within the cap takes no long time.
#[tokio::test]
async fn deep_and_long_json_is_read_or_refused_quickly() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    for body in [
        deep("[", "]"),
        format!("{{\"x\":{}}}", deep("[", "]")),
        format!("{{\"id\":{}}}", "9".repeat(200_000)),
        format!("{{\"id\":0.{}1}}", "0".repeat(200_000)),
        format!("{{\"{}\":1}}", "k".repeat(200_000)),
        format!("[{}1]", "1,".repeat(100_000)),
        "[".repeat(250_000),
        "{\"a\":".repeat(50_000),
    ] {
        let _ = read(body, CAP).await;
    }
    // An app may raise the cap: the same for a million levels or digits.
    let million = |text: &str| text.repeat(1_000_000);
    for (body, fine) in [
        (format!("{{\"x\":{}{}}}", million("["), million("]")), true),
        (million("["), false),
        (format!("{{\"id\":{}}}", million("9")), false),
        (format!("{{\"id\":-{}}}", million("9")), false),
        (format!("{{\"id\":1e{}}}", million("9")), false),
        (format!("{{\"x\":\"{}\",\"id\":7}}", million("\\u0041")), true),
    ] {
        assert_eq!(read(body, 16 << 20).await.is_ok(), fine);
    }
}

#[derive(serde::Deserialize)]
struct Number {
    #[allow(dead_code, reason = "only whether it can be read matters")]
    id: Option<u64>,
}

/// Reads a response as a type and as any JSON, and asserts the time.
async fn read(body: String, cap: usize) -> Result<Number, codehost_oauth::error::Error> {
    use codehost_oauth::provider::ApiRequest;
    let server = RawServer::responding(with_head("", body.into_bytes())).await;
    let request = ApiRequest::get(&server.url().parse().unwrap()).max_body(cap);
    let begun = Instant::now();
    let response = request.send(&http()).await.unwrap();
    let _ = response.json::<serde_json::Value>();
    let number = response.json::<Number>();
    // Quadratic time would be many minutes.
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    number
}

/// The request does not fit into the buffers of the sockets.
#[tokio::test]
async fn a_request_to_a_server_that_does_not_read_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1]).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
    let request = http::Request::post(url).body(vec![b'a'; 64 << 20]).unwrap();
    let http = http().with_timeout(Some(Duration::from_secs(1)));
    assert_eq!(http.send(request, CAP).await.unwrap_err().code(), "timed_out");
}
