//! One slow or dead code host among many: row O1 of the threat model.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use codehost_oauth::error::{Error, TransportError};
use codehost_oauth::transport::{HttpClient, Transport};
use codehost_oauth::{AccessToken, Integration, IntegrationBuilder, Origin};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::stub::{self, Answer, json};
use crate::support::{Raw, get, network};
use crate::watch::{self, Watched as _};

const USER: &str = r#"{"id":42,"username":"jane","state":"active"}"#;

/// Answers after a while, or fails; counts what reaches it.
#[derive(Clone, Debug)]
struct Slow {
    takes: Duration,
    dead: bool,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
}

impl Slow {
    fn new(takes: Duration, dead: bool) -> Self {
        Self { takes, dead, now: Arc::default(), most: Arc::default(), asked: Arc::default() }
    }
}

#[async_trait::async_trait]
impl Transport for Slow {
    async fn send(&self, request: http::Request<Vec<u8>>, _: usize) -> Answer {
        watch::sent(&request);
        self.asked.fetch_add(1, Ordering::SeqCst);
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(self.takes).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        if self.dead { Err(TransportError::TimedOut) } else { json(200, USER) }
    }
}

fn builder(id: usize) -> IntegrationBuilder {
    stub::builder("gitlab", &format!("https://git{id}.example.com"), "canary-secret")
        .id(format!("t{id}").parse().unwrap())
}

fn over(id: usize, transport: impl Transport + 'static) -> Integration {
    builder(id).transport(transport).build().unwrap()
}

async fn ask(integration: &Integration) -> Result<(), Error> {
    let origin = Origin::new(integration.id().clone(), integration.provider().base_url().clone());
    integration.user(&AccessToken::new("canary-token".to_owned(), &origin).unwrap()).await.watched().map(drop)
}

fn code(outcome: &Result<(), Error>) -> &'static str {
    outcome.as_ref().map_or_else(|error| error.code(), |()| "ok")
}

#[tokio::test(start_paused = true)]
async fn an_integration_has_four_requests_under_way_and_no_more() {
    let slow = Slow::new(Duration::from_secs(1), false);
    let integration = over(1, slow.clone());
    let begun = Instant::now();
    let outcomes = join_all((0..12).map(|_| ask(&integration))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!((slow.most.load(Ordering::SeqCst), begun.elapsed().as_secs()), (4, 3));

    let wide = Slow::new(Duration::from_secs(1), false);
    let integration = builder(2).transport(wide.clone()).max_in_flight(12).build().unwrap();
    join_all((0..12).map(|_| ask(&integration))).await;
    assert_eq!(wide.most.load(Ordering::SeqCst), 12);
    // None at all would be of no use to anybody.
    let integration = builder(3).transport(wide.clone()).max_in_flight(0).build().unwrap();
    ask(&integration).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_room_in_five_seconds_is_told_so_and_sends_nothing() {
    let slow = Slow::new(Duration::from_secs(15), false);
    let integration = over(1, slow.clone());
    let begun = Instant::now();
    let waiting = join_all((0..40).map(|_| async {
        let outcome = ask(&integration).await;
        (code(&outcome), begun.elapsed().as_secs())
    }));
    let outcomes = waiting.await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == ("ok", 15)).count(), 4);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == ("busy", 5)).count(), 36);
    assert_eq!(slow.asked.load(Ordering::SeqCst), 4);
    // To be busy is no failure of the code host.
    assert_eq!(code(&ask(&integration).await), "ok");
}

#[tokio::test(start_paused = true)]
async fn after_five_failures_a_code_host_is_left_alone_for_half_a_minute() {
    let dead = Slow::new(Duration::from_millis(10), true);
    let integration = over(1, dead.clone());
    for _ in 0..5 {
        assert_eq!(code(&ask(&integration).await), "timed_out");
    }
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(code(&ask(&integration).await), "timed_out", "the same cause, without a question");
    }
    assert_eq!((dead.asked.load(Ordering::SeqCst), begun.elapsed()), (5, Duration::ZERO));
    tokio::time::advance(Duration::from_secs(29)).await;
    assert_eq!(code(&ask(&integration).await), "timed_out");
    assert_eq!(dead.asked.load(Ordering::SeqCst), 5);
    // Then one of many finds out, and the others still wait. The half minute is over when it is.
    for (probes, pause) in [(6, 1), (7, 31), (8, 31)] {
        tokio::time::advance(Duration::from_secs(pause)).await;
        join_all((0..20).map(|_| ask(&integration))).await;
        assert_eq!(dead.asked.load(Ordering::SeqCst), probes);
    }
}

#[tokio::test(start_paused = true)]
async fn one_answer_of_any_kind_closes_the_breaker() {
    let script = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&script);
    let integration = over(
        1,
        stub::Stub::new(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
            4 | 10 => json(503, "{}"),
            5..=9 | 11..=15 => Err(TransportError::Refused),
            16 => Err(TransportError::TlsUntrusted),
            0..=3 | 17.. => Err(TransportError::Interrupted),
        }),
    );
    let mut codes = Vec::new();
    for _ in 0..10 {
        codes.push(code(&ask(&integration).await));
    }
    // Four failures, an answer, five failures: only then.
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
    // Somebody is there, if not the right one.
    assert_eq!(code(&ask(&integration).await), "tls_untrusted");
    assert_eq!(code(&ask(&integration).await), "interrupted");
}

/// Whoever has mended something wants to see it.
#[tokio::test(start_paused = true)]
async fn a_check_asks_in_spite_of_the_breaker_and_closes_it() {
    let broken = Arc::new(AtomicUsize::new(1));
    let state = Arc::clone(&broken);
    let stub = stub::Stub::new(move |_| match state.load(Ordering::SeqCst) {
        1 => Err(TransportError::Refused),
        _ => json(200, USER),
    });
    let integration = over(1, stub.clone());
    for _ in 0..6 {
        assert_eq!(code(&ask(&integration).await), "unreachable");
    }
    let asked = stub.urls().len();
    broken.store(0, Ordering::SeqCst);
    assert_eq!(code(&ask(&integration).await), "unreachable");
    assert_eq!(stub.urls().len(), asked);
    integration.check().await;
    assert!(stub.urls().len() > asked);
    assert_eq!(code(&ask(&integration).await), "ok");
}

/// The wall of one is not the wall of another, even at the same address.
#[tokio::test(start_paused = true)]
async fn a_tenant_that_names_anothers_code_host_uses_up_its_own_room_only() {
    let shared = Slow::new(Duration::from_secs(4), false);
    let [hostile, honest] = ["evil", "honest"].map(|id| {
        let builder = stub::builder("gitlab", "https://git.example.com", "canary-secret").id(id.parse().unwrap());
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

    // Nor does a breaker that one has tripped stop the other.
    let dead = over(1, Slow::new(Duration::ZERO, true));
    for _ in 0..9 {
        ask(&dead).await.unwrap_err();
    }
    assert_eq!(code(&ask(&honest).await), "ok");
}

/// 300 integrations, of which `dead` never answer, each with a flood of requests; the slowest percent of the others.
async fn p99(dead: usize) -> Duration {
    let integrations: Vec<(bool, Integration)> = (0..300)
        .map(|id| {
            let is_dead = id < dead;
            let takes = Duration::from_millis(if is_dead { 15_000 } else { 20 + (id as u64 * 7) % 60 });
            (is_dead, over(id, Slow::new(takes, is_dead)))
        })
        .collect();
    let mut times = Vec::new();
    for _ in 0..5 {
        let round = join_all(integrations.iter().map(|(is_dead, integration)| async move {
            let begun = Instant::now();
            if *is_dead {
                // Nobody waits for them here.
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
async fn a_dead_code_host_among_three_hundred_slows_nobody() {
    let alone = p99(0).await;
    for dead in [1, 10] {
        let ratio = p99(dead).await.div_duration_f64(alone);
        assert!((0.9..=1.1).contains(&ratio), "{dead} dead: p99 is {ratio:.2} times as long");
    }
}

/// The same over sockets and one shared client, whose global room is for sixteen that stall at once.
#[tokio::test]
async fn stalled_sockets_leave_room_for_the_others() {
    let silent = Raw::silent().await;
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{USER}", USER.len());
    let healthy = Raw::saying(answer).await;
    // Nobody's time is over before the test is, however long that takes on a busy machine.
    let http = HttpClient::builder(network()).timeout(None).build().unwrap();
    let at = |raw: &Raw, id: &str| {
        let builder = stub::builder("gitlab", raw.url().trim_end_matches('/'), "canary-secret").id(id.parse().unwrap());
        builder.transport(http.clone()).build().unwrap()
    };
    let dead = Arc::new(at(&silent, "dead"));
    let flood: Vec<_> = (0..100)
        .map(|_| {
            let dead = Arc::clone(&dead);
            tokio::spawn(async move { ask(&dead).await })
        })
        .collect();
    while silent.connections() < 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for id in 0..50 {
        ask(&at(&healthy, &format!("t{id}"))).await.unwrap();
    }
    assert_eq!((silent.connections(), healthy.connections()), (4, 50));
    let under_way = flood.iter().filter(|request| !request.is_finished()).count();
    assert!(under_way >= 4, "the flood was over before the logins");
    flood.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn the_client_as_a_whole_has_a_bound_too() {
    let silent = Raw::silent().await;
    let http = HttpClient::builder(network()).max_in_flight(3).timeout(Some(Duration::from_secs(8))).build().unwrap();
    let url = silent.url();
    let outcomes = join_all((0..10).map(|_| get(&http, &url, 64))).await;
    let codes: Vec<_> = outcomes.into_iter().map(|outcome| outcome.unwrap_err().code()).collect();
    assert_eq!(codes.iter().filter(|code| **code == "timed_out").count(), 3, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == "busy").count(), 7, "{codes:?}");
    assert_eq!(silent.connections(), 3);
    // The room is free again.
    let other = Raw::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    get(&http, &other.url(), 64).await.unwrap();
}

/// Row N2: slots belong to the id, and a save that makes the integration anew gets no more of them.
#[tokio::test]
async fn sixteen_saves_of_one_integration_take_no_more_than_its_four_slots() {
    let silent = Raw::silent().await;
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{USER}", USER.len());
    let healthy = Raw::saying(answer).await;
    let http = HttpClient::builder(network()).build().unwrap();
    let save = |raw: &Raw, id: &str, http: HttpClient| {
        let builder = stub::builder("gitlab", raw.url().trim_end_matches('/'), "canary-secret").id(id.parse().unwrap());
        builder.transport(http).build().unwrap()
    };
    let mut hung = Vec::new();
    for count in 0..16 {
        // Other settings are no other integration either.
        let http = http.with_timeout(Some(Duration::from_secs(30 + count % 3)));
        let saved = Arc::new(save(&silent, "dead", http));
        for _ in 0..8 {
            let saved = Arc::clone(&saved);
            hung.push(tokio::spawn(async move { ask(&saved).await }));
        }
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(silent.connections(), 4);
    // Another organization logs in, and more than once at a time.
    let honest = save(&healthy, "honest", http.clone());
    assert!(join_all((0..20).map(|_| ask(&honest))).await.iter().all(Result::is_ok));
    assert_eq!(silent.connections(), 4);
    hung.iter().for_each(tokio::task::JoinHandle::abort);
}

/// What failed is remembered by the id as well, for the code host at which it failed.
#[tokio::test(start_paused = true)]
async fn a_save_keeps_the_breaker_and_another_base_url_is_another_code_host() {
    let url = format!("http://{}", crate::support::free_address());
    let http = HttpClient::builder(network()).build().unwrap();
    let at = |url: &str| stub::builder("gitlab", url, "canary-secret").transport(http.clone()).build().unwrap();
    for _ in 0..5 {
        assert_eq!(code(&ask(&at(&url)).await), "unreachable");
    }
    let listener = tokio::net::TcpListener::bind(url.trim_start_matches("http://")).await.unwrap();
    assert_eq!(code(&ask(&at(&url)).await), "unreachable");
    assert!(tokio::time::timeout(Duration::from_millis(10), listener.accept()).await.is_err(), "it was not asked");

    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{USER}", USER.len());
    let moved = Raw::saying(answer).await;
    assert_eq!(code(&ask(&at(moved.url().trim_end_matches('/'))).await), "ok");
}

/// Anybody can begin a login and come back with a code that nobody gave. A firewall in front of the code host may cut such a
/// request off or let it hang; that says nothing about the logins of others.
#[tokio::test(start_paused = true)]
async fn made_up_codes_do_not_open_the_breaker() {
    for failure in [TransportError::Interrupted, TransportError::TimedOut] {
        let fails = failure.clone();
        let stub = stub::Stub::new(move |request| match *request.method() {
            http::Method::POST if String::from_utf8_lossy(request.body()).contains("made-up") => Err(fails.clone()),
            http::Method::POST => json(200, r#"{"access_token":"canary-token","token_type":"bearer"}"#),
            _ => json(200, USER),
        });
        let integration = over(1, stub.clone());
        for count in 0..40 {
            let login = log_in(&integration, &format!("made-up-{count}")).await;
            assert_eq!(login.unwrap_err().code(), failure.code());
            // The honest ones in between are not needed for it.
            if count >= 20 {
                continue;
            }
            assert!(stub.urls().iter().filter(|line| line.starts_with("POST")).count() > count, "each is sent");
        }
        log_in(&integration, "honest").await.unwrap();
    }

    // A code host that answers nothing at all is left alone all the same.
    let dead = stub::Stub::new(|_| Err(TransportError::TimedOut));
    let integration = over(1, dead.clone());
    for count in 0..9 {
        log_in(&integration, &format!("made-up-{count}")).await.unwrap_err();
    }
    let urls = dead.urls();
    assert_eq!(urls.iter().filter(|line| line.starts_with("POST")).count(), 5, "{urls:?}");
    assert_eq!(urls.last().map(String::as_str), Some("HEAD https://git1.example.com/"), "{urls:?}");
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
