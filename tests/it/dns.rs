//! Name servers that lie, stall or change their minds: rows S2, S3, S12 and S20 of the threat model.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use codehost_oauth::error::TransportError;
use codehost_oauth::transport::{HttpClient, Network, Resolve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::hostile::full;
use crate::support::{Raw, get};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";

/// Gives the answers that a test has written down, one after the other; the last one stays.
#[derive(Clone)]
struct Scripted(Arc<Mutex<VecDeque<io::Result<Vec<IpAddr>>>>>, Arc<AtomicUsize>);

impl Scripted {
    fn new<const N: usize>(answers: [&[&str]; N]) -> Self {
        let addresses = |list: &[&str]| Ok(list.iter().map(|text| text.parse().unwrap()).collect());
        Self(Arc::new(Mutex::new(answers.into_iter().map(addresses).collect())), Arc::default())
    }

    fn failing(kind: io::ErrorKind) -> Self {
        Self(Arc::new(Mutex::new([Err(kind.into())].into())), Arc::default())
    }

    fn asked(&self) -> usize {
        self.1.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

#[async_trait::async_trait]
impl Resolve for Scripted {
    async fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.0.lock().unwrap();
        match answers.pop_front().unwrap() {
            Ok(addresses) => {
                if answers.is_empty() {
                    answers.push_back(Ok(addresses.clone()));
                }
                Ok(addresses)
            }
            Err(error) => {
                answers.push_back(Err(error.kind().into()));
                Err(error)
            }
        }
    }
}

/// Never answers names below `stuck.test`, panics for `panic.test`, and says 127.0.0.1 otherwise.
#[derive(Clone, Debug, Default)]
struct Stuck {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

#[async_trait::async_trait]
impl Resolve for Stuck {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        if name.ends_with("panic.test") {
            panic!("a resolver of the host's own");
        }
        if name.contains("stuck") {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        Ok(vec![IpAddr::from([127, 0, 0, 1])])
    }
}

fn client(network: Network, resolver: impl Resolve + 'static) -> HttpClient {
    HttpClient::builder(network).resolver(resolver).build().unwrap()
}

fn code(outcome: Result<http::Response<Vec<u8>>, TransportError>) -> &'static str {
    outcome.map(|_| "ok").unwrap_or_else(|error| error.code())
}

/// Two servers at one port, at a permitted and at a forbidden address, and how often each was reached.
async fn two_servers() -> (u16, [Arc<AtomicUsize>; 2]) {
    let permitted = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = permitted.local_addr().unwrap().port();
    let forbidden = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
    let counters = [permitted, forbidden].map(|listener| {
        let counter = Arc::new(AtomicUsize::new(0));
        let reached = Arc::clone(&counter);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                reached.fetch_add(1, Ordering::SeqCst);
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(OK.as_bytes()).await;
            }
        });
        counter
    });
    (port, counters)
}

#[tokio::test]
async fn a_name_that_is_rebound_is_refused_at_its_next_connection() {
    let (port, [permitted, forbidden]) = two_servers().await;
    let network = || Network::allow_list(["127.0.0.2".parse().unwrap()]).danger_allow_http();
    let url = format!("http://git.example.com:{port}/");
    let reached = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);

    let resolver = Scripted::new([&["127.0.0.2"], &["127.0.0.1"], &["127.0.0.2"]]);
    let http = client(network(), resolver.clone());
    let outcomes = [get(&http, &url, 64).await, get(&http, &url, 64).await, get(&http, &url, 64).await];
    assert_eq!(outcomes.map(code), ["ok", "address_not_allowed", "ok"]);
    // Asked once for each connection, never once to check and once more to connect.
    assert_eq!((resolver.asked(), reached(&permitted), reached(&forbidden)), (3, 2, 0));

    // A mix is refused as a whole, in any order: nothing is connected to, not even what is permitted.
    for mix in [&["127.0.0.2", "127.0.0.1"][..], &["127.0.0.1", "127.0.0.2"], &["127.0.0.2", "::ffff:127.0.0.1"]] {
        let http = client(network(), Scripted::new([mix]));
        assert_eq!(code(get(&http, &url, 64).await), "address_not_allowed", "{mix:?}");
    }
    assert_eq!((reached(&permitted), reached(&forbidden)), (2, 0));
}

#[tokio::test]
async fn public_names_with_private_answers_are_refused() {
    let server = Raw::saying(OK).await;
    let port = server.address.port();
    for answer in [
        &["127.0.0.1"][..],
        &["1.1.1.1", "127.0.0.1"],
        &["127.0.0.1", "1.1.1.1"],
        &["1.1.1.1", "10.0.0.1"],
        &["2606:4700:4700::1111", "::1"],
        &["1.1.1.1", "169.254.169.254"],
        &["::ffff:127.0.0.1"],
        &["::127.0.0.1"],
        &["64:ff9b::7f00:1"],
        &["0.0.0.0"],
        &["::"],
        &["fe80::1"],
        &["168.63.129.16"],
    ] {
        for scheme in ["https", "http"] {
            let http = client(Network::public_only().danger_allow_http(), Scripted::new([answer]));
            let url = format!("{scheme}://127.0.0.1.nip.io:{port}/");
            assert_eq!(code(get(&http, &url, 64).await), "address_not_allowed", "{answer:?}");
        }
    }
    // Development on this machine does not open other names to plain HTTP, whatever they resolve to.
    let dev = client(Network::public_only().allow_loopback_http(), Scripted::new([&["127.0.0.1"]]));
    assert_eq!(code(get(&dev, &format!("http://git.example.com:{port}/"), 64).await), "plain_http");
    // And `localhost` is no other machine.
    for url in
        [format!("http://localhost:{port}/"), format!("https://localhost:{port}/"), "https://localhost.:9/".to_owned()]
    {
        let dev = client(Network::public_only().allow_loopback_http(), Scripted::new([&["1.1.1.1"]]));
        assert_eq!(code(get(&dev, &url, 64).await), "address_not_allowed", "{url}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_server_that_fails_is_no_way_around_the_check() {
    use io::ErrorKind::{ConnectionRefused, NotFound, Other, PermissionDenied, TimedOut};
    for kind in [NotFound, Other, TimedOut, PermissionDenied, ConnectionRefused] {
        let http = client(Network::any(), Scripted::failing(kind));
        assert_eq!(code(get(&http, "https://git.example.com/", 64).await), "name_not_found", "{kind:?}");
    }
    let http = client(Network::any(), Scripted::new([&[]]));
    assert_eq!(code(get(&http, "https://git.example.com/", 64).await), "name_not_found");
    let http = client(Network::any(), Stuck::default());
    assert_eq!(code(get(&http, "https://git.panic.test/", 64).await), "name_not_found");
}

#[tokio::test]
async fn literal_addresses_never_reach_the_resolver() {
    let server = Raw::saying(OK).await;
    let resolver = Scripted::new([&["1.1.1.1"]]);
    let http = client(Network::public_only().allow_loopback_http(), resolver.clone());
    assert_eq!(code(get(&http, &server.url(), 64).await), "ok");
    let http = client(Network::public_only(), resolver.clone());
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "[::1]", "10.0.0.5", "[::ffff:10.0.0.5]"] {
        assert_eq!(code(get(&http, &format!("https://{host}/"), 64).await), "address_not_allowed", "{host}");
    }
    assert_eq!((resolver.asked(), server.connections()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_lookup_ends_after_five_seconds() {
    let http = client(Network::any(), Stuck::default());
    let begun = tokio::time::Instant::now();
    assert_eq!(code(get(&http, "https://git.stuck.test/", 64).await), "name_lookup_timed_out");
    assert!((5.0..5.1).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());
}

/// A name server may name thousands of strangers' machines; a request knocks at eight of them.
#[tokio::test]
async fn no_more_than_eight_addresses_of_a_name_are_dialled() {
    for (place, expected) in [(8, "ok"), (9, "unreachable")] {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 8, place), 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            assert!(socket.read(&mut [0; 1024]).await.unwrap() > 0);
            socket.write_all(OK.as_bytes()).await.unwrap();
            socket.shutdown().await.unwrap();
            let _ = socket.read_to_end(&mut Vec::new()).await;
        });
        let addresses: Vec<_> = (1..=20).map(|n| format!("127.0.8.{n}")).collect();
        let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
        let network = Network::allow_list(["127.0.0.0/8".parse().unwrap()]).danger_allow_http();
        let http = client(network, Scripted::new([addresses.as_slice()]));
        assert_eq!(code(get(&http, &format!("http://git.example.com:{port}/"), 64).await), expected);
        serving.abort();
    }
}

/// Time is left for the next address where the first one is silent.
#[tokio::test]
async fn a_silent_address_is_not_the_last_one_tried() {
    let (silent, _queue, _) = full().await;
    let port = silent.local_addr().unwrap().port();
    let second = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = second.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        stream.write_all(OK.as_bytes()).await.unwrap();
    });
    let network = Network::allow_list(["127.0.0.0/8".parse().unwrap()]).danger_allow_http();
    let both = Scripted::new([&["127.0.0.1", "127.0.0.2"]]);
    let http = HttpClient::builder(network).resolver(both).connect_timeout(Duration::from_secs(6)).build().unwrap();
    assert_eq!(code(get(&http, &format!("http://git.example.com:{port}/"), 64).await), "ok");
    server.await.unwrap();
}

/// S20. The look-ups of one tenant never end; each has a name of its own, and each request was given up long ago.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_hundred_stuck_lookups_do_not_stop_another_tenant() {
    // However short it is, a name of one's own is no suffix that registries sell names below.
    let sites = ["stuck.example.test", "stuck.evl.io", "stuck.x7.test", "stuck.example.co.uk"];
    futures_util::future::join_all(sites.map(stuck_lookups_do_not_stop_another_tenant)).await;
}

async fn stuck_lookups_do_not_stop_another_tenant(site: &'static str) {
    let server = Raw::saying(OK).await;
    let resolver = Stuck::default();
    let network = Network::allow_list(["127.0.0.1".parse().unwrap()]).danger_allow_http();
    let http = HttpClient::builder(network).resolver(resolver.clone()).max_in_flight(10_000).build().unwrap();
    let attack: Vec<_> = (0..600)
        .map(|count| {
            let http = http.with_timeout(Some(Duration::from_secs(60)));
            // `stuck1.evl.io`, `stuck2.evl.io`: the site is what they have in common.
            let name = site.replacen("stuck", &format!("git.stuck{count}"), 1);
            tokio::spawn(async move { code(get(&http, &format!("https://{name}/"), 64).await) })
        })
        .collect();
    while resolver.now.load(Ordering::SeqCst) < 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    // Without a place for its look-up each would give up after five seconds, however often it is tried: the attack never ends.
    // On a busy machine one alone can be late.
    let url = format!("http://git.example.com:{}/", server.address.port());
    let mut codes = Vec::new();
    while codes.last() != Some(&"ok") && codes.len() < 12 {
        codes.push(code(get(&http, &url, 64).await));
    }
    assert_eq!(codes.last(), Some(&"ok"), "{codes:?}");
    assert_eq!(resolver.now.load(Ordering::SeqCst), 4, "the attack was over before the test was");
    for attempt in attack {
        assert_eq!(attempt.await.unwrap(), "name_lookup_timed_out");
    }
    // Those that were begun still hold their places, and no others were.
    assert_eq!((resolver.now.load(Ordering::SeqCst), resolver.most.load(Ordering::SeqCst)), (4, 4));
    assert_eq!(code(get(&http, &url, 64).await), "ok");
}
