//! One slow or dead code host among many: row O1 of the threat model.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use codehost_oauth::error::{Error, TransportError};
use codehost_oauth::transport::{HttpClient, Transport};
use codehost_oauth::{AccessToken, Integration, TokenBinding};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::secrets::leak_check::{self, LeakChecked as _};
use crate::support::canned_http::{self, Outcome, json};
use crate::support::{RawServer, get, network};

const USER: &str = r#"{"id":42,"username":"jane","state":"active"}"#;

/// Responds or fails after a delay; counts the requests.
#[derive(Clone, Debug)]
struct DelayedHttp {
    delay: Duration,
    dead: bool,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl DelayedHttp {
    fn new(delay: Duration, dead: bool) -> Self {
        Self { delay, dead, now: Arc::default(), most: Arc::default(), requests: Arc::default() }
    }
}

#[async_trait::async_trait]
impl Transport for DelayedHttp {
    async fn send(&self, request: http::Request<Vec<u8>>, _: usize) -> Outcome {
        leak_check::request(&request);
        self.requests.fetch_add(1, Ordering::SeqCst);
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(self.delay).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        if self.dead { Err(TransportError::TimedOut) } else { json(200, USER) }
    }
}

fn builder(id: usize) -> canned_http::TestIntegration {
    canned_http::builder("gitlab", &format!("https://git{id}.example.com"), "canary-secret")
        .id(format!("t{id}").parse().unwrap())
}

fn integration_with(id: usize, transport: impl Transport + 'static) -> Integration {
    builder(id).transport(transport).build().unwrap()
}

async fn ask(integration: &Integration) -> Result<(), Error> {
    let binding = TokenBinding::new(integration.id().clone(), integration.provider().base_url().clone());
    integration.user(&AccessToken::new("canary-token".to_owned(), &binding).unwrap()).await.leak_checked().map(drop)
}

fn code(outcome: &Result<(), Error>) -> &'static str {
    outcome.as_ref().map_or_else(|error| error.code(), |()| "ok")
}

#[tokio::test(start_paused = true)]
async fn an_integration_has_at_most_32_requests_in_flight() {
    let slow = DelayedHttp::new(Duration::from_secs(1), false);
    let integration = integration_with(1, slow.clone());
    let begun = Instant::now();
    let outcomes = join_all((0..96).map(|_| ask(&integration))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!((slow.most.load(Ordering::SeqCst), begun.elapsed().as_secs()), (32, 3));

    let wide = DelayedHttp::new(Duration::from_secs(1), false);
    let integration = builder(2).transport(wide.clone()).max_in_flight(48).build().unwrap();
    join_all((0..48).map(|_| ask(&integration))).await;
    assert_eq!(wide.most.load(Ordering::SeqCst), 48);
    // A limit of 0 counts as 1.
    let integration = builder(3).transport(wide.clone()).max_in_flight(0).build().unwrap();
    ask(&integration).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_slot_for_five_seconds_is_busy() {
    let slow = DelayedHttp::new(Duration::from_secs(15), false);
    let integration = integration_with(1, slow.clone());
    let begun = Instant::now();
    let waiting = join_all((0..68).map(|_| async {
        let outcome = ask(&integration).await;
        (code(&outcome), begun.elapsed().as_secs())
    }));
    let outcomes = waiting.await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == ("ok", 15)).count(), 32);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == ("busy", 5)).count(), 36);
    assert_eq!(slow.requests.load(Ordering::SeqCst), 32);
    // `busy` does not count as a failure of the code host.
    assert_eq!(code(&ask(&integration).await), "ok");
}

#[tokio::test(start_paused = true)]
async fn after_five_failures_the_breaker_is_open_for_thirty_seconds() {
    let dead = DelayedHttp::new(Duration::from_millis(10), true);
    let integration = integration_with(1, dead.clone());
    for _ in 0..5 {
        assert_eq!(code(&ask(&integration).await), "timed_out");
    }
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(code(&ask(&integration).await), "timed_out", "the same cause, without a request");
    }
    assert_eq!((dead.requests.load(Ordering::SeqCst), begun.elapsed()), (5, Duration::ZERO));
    tokio::time::advance(Duration::from_secs(29)).await;
    assert_eq!(code(&ask(&integration).await), "timed_out");
    assert_eq!(dead.requests.load(Ordering::SeqCst), 5);
    // After 30 seconds one request is sent as a probe; the others fail at once. The breaker is then open for 30 seconds again.
    for (probes, pause) in [(6, 1), (7, 31), (8, 31)] {
        tokio::time::advance(Duration::from_secs(pause)).await;
        join_all((0..20).map(|_| ask(&integration))).await;
        assert_eq!(dead.requests.load(Ordering::SeqCst), probes);
    }
}

#[tokio::test(start_paused = true)]
async fn any_response_closes_the_breaker() {
    let script = Arc::new(AtomicUsize::new(0));
    let requests = Arc::clone(&script);
    let integration = integration_with(
        1,
        canned_http::CannedHttp::new(move |_| match requests.fetch_add(1, Ordering::SeqCst) {
            4 | 10 => json(503, "{}"),
            5..=9 | 11..=15 => Err(TransportError::Unreachable),
            16 => Err(TransportError::TlsUntrusted),
            0..=3 | 17.. => Err(TransportError::Interrupted),
        }),
    );
    let mut codes = Vec::new();
    for _ in 0..10 {
        codes.push(code(&ask(&integration).await));
    }
    // Four failures, a response, five failures: the breaker opens only then.
    assert_eq!(codes[3..6], ["interrupted", "code_host_down", "unreachable"]);
    assert_eq!(script.load(Ordering::SeqCst), 10);
    ask(&integration).await.unwrap_err();
    assert_eq!(script.load(Ordering::SeqCst), 10);
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(code(&ask(&integration).await), "code_host_down");
    for _ in 0..5 {
        assert_eq!(code(&ask(&integration).await), "unreachable");
    }
    tokio::time::advance(Duration::from_secs(31)).await;
    // A TLS error shows that a server is there, so it closes the breaker.
    assert_eq!(code(&ask(&integration).await), "tls_untrusted");
    assert_eq!(code(&ask(&integration).await), "interrupted");
}

/// After a fix, an administrator wants to see the result at once.
#[tokio::test(start_paused = true)]
async fn a_check_ignores_the_breaker_and_closes_it() {
    let broken = Arc::new(AtomicUsize::new(1));
    let state = Arc::clone(&broken);
    let canned = canned_http::CannedHttp::new(move |_| match state.load(Ordering::SeqCst) {
        1 => Err(TransportError::Unreachable),
        _ => json(200, USER),
    });
    let integration = integration_with(1, canned.clone());
    for _ in 0..6 {
        assert_eq!(code(&ask(&integration).await), "unreachable");
    }
    let requests = canned.urls().len();
    broken.store(0, Ordering::SeqCst);
    assert_eq!(code(&ask(&integration).await), "unreachable");
    assert_eq!(canned.urls().len(), requests);
    let _ = integration.check().await;
    assert!(canned.urls().len() > requests);
    assert_eq!(code(&ask(&integration).await), "ok");
}

/// Two integrations do not share slots or breakers, even at the same code host.
#[tokio::test(start_paused = true)]
async fn slots_and_breakers_are_not_shared_between_integrations() {
    let shared = DelayedHttp::new(Duration::from_secs(4), false);
    let [hostile, honest] = ["evil", "honest"].map(|id| {
        let builder =
            canned_http::builder("gitlab", "https://git.example.com", "canary-secret").id(id.parse().unwrap());
        builder.transport(shared.clone()).build().unwrap()
    });
    let flood = async { join_all((0..200).map(|_| ask(&hostile))).await };
    let login = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let begun = Instant::now();
        ask(&honest).await.unwrap();
        begun.elapsed()
    };
    let (_, took) = tokio::join!(flood, login);
    assert_eq!(took.as_secs(), 4);

    // The open breaker of one integration does not stop another.
    let dead = integration_with(1, DelayedHttp::new(Duration::ZERO, true));
    for _ in 0..9 {
        ask(&dead).await.unwrap_err();
    }
    assert_eq!(code(&ask(&honest).await), "ok");
}

/// The 99th percentile of the times of healthy integrations among 300, of which `dead` never respond and get many requests.
async fn p99(dead: usize) -> Duration {
    let integrations: Vec<(bool, Integration)> = (0..300)
        .map(|id| {
            let is_dead = id < dead;
            let delay = Duration::from_millis(if is_dead { 15_000 } else { 20 + (id as u64 * 7) % 60 });
            (is_dead, integration_with(id, DelayedHttp::new(delay, is_dead)))
        })
        .collect();
    let mut times = Vec::new();
    for _ in 0..5 {
        let round = join_all(integrations.iter().map(|(is_dead, integration)| async move {
            let begun = Instant::now();
            if *is_dead {
                // Their results do not matter here.
                let _ =
                    tokio::time::timeout(Duration::from_millis(100), join_all((0..50).map(|_| ask(integration)))).await;
                return None;
            }
            ask(integration).await.unwrap();
            Some(begun.elapsed())
        }));
        times.extend(round.await.into_iter().flatten());
    }
    times.sort();
    times[times.len() * 99 / 100]
}

#[tokio::test(start_paused = true)]
async fn a_dead_code_host_among_three_hundred_slows_no_other() {
    let alone = p99(0).await;
    for dead in [1, 10] {
        let ratio = p99(dead).await.div_duration_f64(alone);
        assert!((0.9..=1.1).contains(&ratio), "{dead} dead: p99 is {ratio:.2} times as long");
    }
}

/// The same over sockets, with one shared client.
#[tokio::test]
async fn stalled_sockets_leave_slots_for_other_integrations() {
    let silent = RawServer::silent().await;
    let response =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{USER}", USER.len());
    let healthy = RawServer::responding(response).await;
    // No timeout, because the test may take long on a busy machine.
    let http = HttpClient::builder(network()).timeout(None).build().unwrap();
    let at = |server: &RawServer, id: &str| {
        let builder =
            canned_http::builder("gitlab", server.url().trim_end_matches('/'), "canary-secret").id(id.parse().unwrap());
        builder.transport(http.clone()).build().unwrap()
    };
    let dead = Arc::new(at(&silent, "dead"));
    let flood: Vec<_> = (0..100)
        .map(|_| {
            let dead = Arc::clone(&dead);
            tokio::spawn(async move { ask(&dead).await })
        })
        .collect();
    while silent.connections() < 32 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for id in 0..50 {
        ask(&at(&healthy, &format!("t{id}"))).await.unwrap();
    }
    assert_eq!((silent.connections(), healthy.connections()), (32, 50));
    let under_way = flood.iter().filter(|request| !request.is_finished()).count();
    assert!(under_way >= 32, "the stalled requests ended before the logins");
    flood.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_client_has_a_limit_of_requests_in_flight() {
    let silent = RawServer::silent().await;
    let http = HttpClient::builder(network()).max_in_flight(3).timeout(Some(Duration::from_secs(8))).build().unwrap();
    let url = silent.url();
    let outcomes = join_all((0..10).map(|_| get(&http, &url, 64))).await;
    let codes: Vec<_> = outcomes.into_iter().map(|outcome| outcome.unwrap_err().code()).collect();
    assert_eq!(codes.iter().filter(|code| **code == "timed_out").count(), 3, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == "busy").count(), 7, "{codes:?}");
    assert_eq!(silent.connections(), 3);
    // The slots are free again.
    let other = RawServer::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    get(&http, &other.url(), 64).await.unwrap();
}

/// Row N2: slots belong to the id. A save that builds the integration again gets no new ones.
#[tokio::test]
async fn rebuilding_an_integration_gives_no_more_slots() {
    let silent = RawServer::silent().await;
    let response =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{USER}", USER.len());
    let healthy = RawServer::responding(response).await;
    let http = HttpClient::builder(network()).build().unwrap();
    let save = |server: &RawServer, id: &str, http: HttpClient| {
        let builder =
            canned_http::builder("gitlab", server.url().trim_end_matches('/'), "canary-secret").id(id.parse().unwrap());
        builder.transport(http).build().unwrap()
    };
    let mut stalled = Vec::new();
    for count in 0..16 {
        // Other settings give no new slots either.
        let http = http.with_timeout(Some(Duration::from_secs(30 + count % 3)));
        let saved = Arc::new(save(&silent, "dead", http));
        for _ in 0..8 {
            let saved = Arc::clone(&saved);
            stalled.push(tokio::spawn(async move { ask(&saved).await }));
        }
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(silent.connections(), 32);
    // Another organization logs in, and more than once at a time.
    let honest = save(&healthy, "honest", http.clone());
    assert!(join_all((0..20).map(|_| ask(&honest))).await.iter().all(Result::is_ok));
    assert_eq!(silent.connections(), 32);
    stalled.iter().for_each(tokio::task::JoinHandle::abort);
}

/// The breaker belongs to the id and the base URL.
#[tokio::test(start_paused = true)]
async fn rebuilding_an_integration_keeps_the_breaker_of_its_base_url() {
    let url = format!("http://{}", crate::support::free_address());
    let http = HttpClient::builder(network()).build().unwrap();
    let at = |url: &str| canned_http::builder("gitlab", url, "canary-secret").transport(http.clone()).build().unwrap();
    for _ in 0..5 {
        assert_eq!(code(&ask(&at(&url)).await), "unreachable");
    }
    let listener = tokio::net::TcpListener::bind(url.trim_start_matches("http://")).await.unwrap();
    assert_eq!(code(&ask(&at(&url)).await), "unreachable");
    assert!(tokio::time::timeout(Duration::from_millis(10), listener.accept()).await.is_err(), "no request was sent");

    let response =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{USER}", USER.len());
    let moved = RawServer::responding(response).await;
    assert_eq!(code(&ask(&at(moved.url().trim_end_matches('/'))).await), "ok");
}

/// Anybody can begin a login and send a made-up code. A firewall in front of the code host may cut off such a request or let it
/// hang; that must not affect the logins of others.
#[tokio::test(start_paused = true)]
async fn failures_with_made_up_codes_do_not_open_the_breaker() {
    for failure in [TransportError::Interrupted, TransportError::TimedOut] {
        let fails = failure.clone();
        let canned = canned_http::CannedHttp::new(move |request| match *request.method() {
            http::Method::POST if String::from_utf8_lossy(request.body()).contains("made-up") => Err(fails.clone()),
            http::Method::POST => json(200, r#"{"access_token":"canary-token","token_type":"bearer"}"#),
            _ => json(200, USER),
        });
        let integration = integration_with(1, canned.clone());
        for count in 0..40 {
            let login = log_in(&integration, &format!("made-up-{count}")).await;
            assert_eq!(login.unwrap_err().code(), failure.code());
            // In the second half no honest login is between them.
            if count >= 20 {
                continue;
            }
            assert!(canned.urls().iter().filter(|line| line.starts_with("POST")).count() > count, "each is sent");
        }
        log_in(&integration, "honest").await.unwrap();
    }

    // A code host that does not respond at all opens the breaker nevertheless.
    let dead = canned_http::CannedHttp::new(|_| Err(TransportError::TimedOut));
    let integration = integration_with(1, dead.clone());
    for count in 0..9 {
        log_in(&integration, &format!("made-up-{count}")).await.unwrap_err();
    }
    let urls = dead.urls();
    assert_eq!(urls.iter().filter(|line| line.starts_with("POST")).count(), 5, "{urls:?}");
    assert_eq!(urls.last().map(String::as_str), Some("HEAD https://git1.example.com/"), "{urls:?}");
}

/// The browser's address of a code host may be out of this app's reach.
#[tokio::test(start_paused = true)]
async fn the_probe_goes_to_the_server_that_has_failed() {
    let dead = canned_http::CannedHttp::new(|_| Err(TransportError::TimedOut));
    let url = |text: &str| codehost_oauth::BaseUrl::parse(text, &network()).unwrap();
    let gitlab = codehost_oauth::Platform::find("gitlab").unwrap();
    let provider =
        gitlab.provider_with_api_url(url("https://git.example.com"), url("https://inside.example.com:8443/gitlab"));
    let config = codehost_oauth::IntegrationConfig {
        id: "t1".parse().unwrap(),
        name: "GitLab".to_owned(),
        public_url: "https://packages.example.com".parse().unwrap(),
        client_id: "id".to_owned(),
        client_secret: "canary-secret".to_owned(),
        access: codehost_oauth::Access::SignIn,
    };
    let integration = Integration::builder(provider.unwrap(), dead.clone(), config).build().unwrap();
    for count in 0..9 {
        log_in(&integration, &format!("made-up-{count}")).await.unwrap_err();
    }
    assert_eq!(dead.urls().last().map(String::as_str), Some("HEAD https://inside.example.com:8443/"));
}

async fn log_in(integration: &Integration, code: &str) -> Result<codehost_oauth::Login, Error> {
    crate::support::log_in(integration, |url| {
        let state =
            url::Url::parse(url).unwrap().query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let callback = integration.callback_url().as_str();
        Ok::<_, std::convert::Infallible>(format!("{callback}?code={code}&state={state}"))
    })
    .await
}
