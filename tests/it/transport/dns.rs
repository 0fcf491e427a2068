//! Name servers that return forbidden addresses, stall or change their responses: rows S2, S3, S12 and S20 of the threat model.

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

use crate::support::{RawServer, get};
use crate::transport::hostile::full;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";

/// Gives scripted responses, one after the other; repeats the last one.
#[derive(Clone)]
struct ScriptedResolver(Arc<Mutex<VecDeque<io::Result<Vec<IpAddr>>>>>, Arc<AtomicUsize>);

impl ScriptedResolver {
    fn new<const N: usize>(responses: [&[&str]; N]) -> Self {
        let addresses = |list: &[&str]| Ok(list.iter().map(|text| text.parse().unwrap()).collect());
        Self(Arc::new(Mutex::new(responses.into_iter().map(addresses).collect())), Arc::default())
    }

    fn failing(kind: io::ErrorKind) -> Self {
        Self(Arc::new(Mutex::new([Err(kind.into())].into())), Arc::default())
    }

    fn lookups(&self) -> usize {
        self.1.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for ScriptedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScriptedResolver")
    }
}

#[async_trait::async_trait]
impl Resolve for ScriptedResolver {
    async fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        let mut responses = self.0.lock().unwrap();
        match responses.pop_front().unwrap() {
            Ok(addresses) => {
                if responses.is_empty() {
                    responses.push_back(Ok(addresses.clone()));
                }
                Ok(addresses)
            }
            Err(error) => {
                responses.push_back(Err(error.kind().into()));
                Err(error)
            }
        }
    }
}

/// Never resolves names with `stuck`, panics for `panic.test`, and returns 127.0.0.1 otherwise.
#[derive(Clone, Debug, Default)]
struct StuckResolver {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

#[async_trait::async_trait]
impl Resolve for StuckResolver {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        if name.ends_with("panic.test") {
            panic!("a resolver of the app panics");
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

/// Two servers at one port, at a permitted and at a forbidden address, with the number of their connections.
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
async fn a_rebound_name_is_refused_at_its_next_connection() {
    let (port, [permitted, forbidden]) = two_servers().await;
    let network = || Network::public_and(["127.0.0.2".parse().unwrap()]).danger_allow_http();
    let url = format!("http://git.example.com:{port}/");
    let reached = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);

    let resolver = ScriptedResolver::new([&["127.0.0.2"], &["127.0.0.1"], &["127.0.0.2"]]);
    let http = client(network(), resolver.clone());
    let outcomes = [get(&http, &url, 64).await, get(&http, &url, 64).await, get(&http, &url, 64).await];
    assert_eq!(outcomes.map(code), ["ok", "address_not_allowed", "ok"]);
    // One look-up for each connection: there is no second look-up between check and connect.
    assert_eq!((resolver.lookups(), reached(&permitted), reached(&forbidden)), (3, 2, 0));

    // A mix is refused as a whole, in any order: the permitted address is not connected to either.
    for mix in [&["127.0.0.2", "127.0.0.1"][..], &["127.0.0.1", "127.0.0.2"], &["127.0.0.2", "::ffff:127.0.0.1"]] {
        let http = client(network(), ScriptedResolver::new([mix]));
        assert_eq!(code(get(&http, &url, 64).await), "address_not_allowed", "{mix:?}");
    }
    assert_eq!((reached(&permitted), reached(&forbidden)), (2, 0));
}

#[tokio::test]
async fn names_that_resolve_to_private_addresses_are_refused() {
    let server = RawServer::responding(OK).await;
    let port = server.address.port();
    for response in [
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
            let http = client(Network::public_only().danger_allow_http(), ScriptedResolver::new([response]));
            let url = format!("{scheme}://127.0.0.1.nip.io:{port}/");
            assert_eq!(code(get(&http, &url, 64).await), "address_not_allowed", "{response:?}");
        }
    }
    // `allow_loopback_http` does not allow plain HTTP for other names, whatever they resolve to.
    let dev = client(Network::public_only().allow_loopback_http(), ScriptedResolver::new([&["127.0.0.1"]]));
    assert_eq!(code(get(&dev, &format!("http://git.example.com:{port}/"), 64).await), "plain_http");
    // `localhost` must not resolve to another machine.
    for url in
        [format!("http://localhost:{port}/"), format!("https://localhost:{port}/"), "https://localhost.:9/".to_owned()]
    {
        let dev = client(Network::public_only().allow_loopback_http(), ScriptedResolver::new([&["1.1.1.1"]]));
        assert_eq!(code(get(&dev, &url, 64).await), "address_not_allowed", "{url}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_failing_name_server_is_name_not_found() {
    use io::ErrorKind::{ConnectionRefused, NotFound, Other, PermissionDenied, TimedOut};
    for kind in [NotFound, Other, TimedOut, PermissionDenied, ConnectionRefused] {
        let http = client(Network::any(), ScriptedResolver::failing(kind));
        assert_eq!(code(get(&http, "https://git.example.com/", 64).await), "name_not_found", "{kind:?}");
    }
    let http = client(Network::any(), ScriptedResolver::new([&[]]));
    assert_eq!(code(get(&http, "https://git.example.com/", 64).await), "name_not_found");
    let http = client(Network::any(), StuckResolver::default());
    assert_eq!(code(get(&http, "https://git.panic.test/", 64).await), "name_not_found");
}

#[tokio::test]
async fn literal_addresses_never_reach_the_resolver() {
    let server = RawServer::responding(OK).await;
    let resolver = ScriptedResolver::new([&["1.1.1.1"]]);
    let http = client(Network::public_only().allow_loopback_http(), resolver.clone());
    assert_eq!(code(get(&http, &server.url(), 64).await), "ok");
    let http = client(Network::public_only(), resolver.clone());
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "[::1]", "10.0.0.5", "[::ffff:10.0.0.5]"] {
        assert_eq!(code(get(&http, &format!("https://{host}/"), 64).await), "address_not_allowed", "{host}");
    }
    assert_eq!((resolver.lookups(), server.connections()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_lookup_ends_after_five_seconds() {
    let http = client(Network::any(), StuckResolver::default());
    let begun = tokio::time::Instant::now();
    assert_eq!(code(get(&http, "https://git.stuck.test/", 64).await), "name_lookup_timed_out");
    assert!((5.0..5.1).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());
}

/// A name server could return thousands of foreign addresses; a request tries at most eight.
#[tokio::test]
async fn at_most_eight_addresses_of_a_name_are_tried() {
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
        let network = Network::public_and(["127.0.0.0/8".parse().unwrap()]).danger_allow_http();
        let http = client(network, ScriptedResolver::new([addresses.as_slice()]));
        assert_eq!(code(get(&http, &format!("http://git.example.com:{port}/"), 64).await), expected);
        serving.abort();
    }
}

/// A silent address must not use up the time for the next one.
#[tokio::test]
async fn after_a_silent_address_the_next_one_is_tried() {
    let (silent, _queue, _) = full().await;
    let port = silent.local_addr().unwrap().port();
    let second = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = second.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        stream.write_all(OK.as_bytes()).await.unwrap();
    });
    let network = Network::public_and(["127.0.0.0/8".parse().unwrap()]).danger_allow_http();
    let both = ScriptedResolver::new([&["127.0.0.1", "127.0.0.2"]]);
    let http = HttpClient::builder(network).resolver(both).connect_timeout(Duration::from_secs(6)).build().unwrap();
    assert_eq!(code(get(&http, &format!("http://git.example.com:{port}/"), 64).await), "ok");
    server.await.unwrap();
}

/// S20. The look-ups of one tenant never end; each has another name, and each request has timed out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_hundred_stuck_lookups_do_not_stop_another_tenant() {
    // A short registered name must not be taken for a public suffix.
    let sites = ["stuck.example.test", "stuck.evl.io", "stuck.x7.test", "stuck.example.co.uk"];
    futures_util::future::join_all(sites.map(stuck_lookups_do_not_stop_another_tenant)).await;
}

async fn stuck_lookups_do_not_stop_another_tenant(site: &'static str) {
    let server = RawServer::responding(OK).await;
    let resolver = StuckResolver::default();
    let network = Network::public_and(["127.0.0.1".parse().unwrap()]).danger_allow_http();
    let http = HttpClient::builder(network).resolver(resolver.clone()).max_in_flight(10_000).build().unwrap();
    let attack: Vec<_> = (0..600)
        .map(|count| {
            let http = http.with_timeout(Some(Duration::from_secs(60)));
            // `stuck1.evl.io`, `stuck2.evl.io`: names of one site.
            let name = site.replacen("stuck", &format!("git.stuck{count}"), 1);
            tokio::spawn(async move { code(get(&http, &format!("https://{name}/"), 64).await) })
        })
        .collect();
    while resolver.now.load(Ordering::SeqCst) < 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    // If the attack held all places for look-ups, every try would time out after five seconds. On a busy machine a single try
    // can time out.
    let url = format!("http://git.example.com:{}/", server.address.port());
    let mut codes = Vec::new();
    while codes.last() != Some(&"ok") && codes.len() < 12 {
        codes.push(code(get(&http, &url, 64).await));
    }
    assert_eq!(codes.last(), Some(&"ok"), "{codes:?}");
    assert_eq!(resolver.now.load(Ordering::SeqCst), 4, "the attack ended before the test");
    for attempt in attack {
        assert_eq!(attempt.await.unwrap(), "name_lookup_timed_out");
    }
    // The four look-ups still hold their places, and no other look-up was begun.
    assert_eq!((resolver.now.load(Ordering::SeqCst), resolver.most.load(Ordering::SeqCst)), (4, 4));
    assert_eq!(code(get(&http, &url, 64).await), "ok");
}
