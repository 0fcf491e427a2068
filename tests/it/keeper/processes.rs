//! Many processes on one store, some of which are killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use codehost_oauth::error::TransportError;
use codehost_oauth::keeper::{LoginReason, Outcome, TokenKeeper};
use codehost_oauth::testing::{Fault, FaultyStore};
use codehost_oauth::transport::{HttpClient, Network, Transport};

use super::scenario::{Collected, Result, Scenario, TestClock, integration_over, ring};
use super::servers::{Server, open};
use crate::watch::Watched as _;

const PROCESSES: usize = 8;
const TASKS: usize = 32;
/// Until the next round every access token has ended.
const ROUND: i64 = 8000;

#[tokio::test(flavor = "multi_thread")]
async fn processes_on_sqlite_refresh_once_a_round() -> Result {
    race(Server::sqlite()?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_on_postgres_refresh_once_a_round() -> Result {
    race(Server::postgres().await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_on_redis_refresh_once_a_round() -> Result {
    race(Server::redis().await?).await
}

async fn race(server: Server) -> Result {
    let rounds = std::env::var("CODEHOST_OAUTH_TEST_ROUNDS").ok().map_or(Ok(20), |text| text.parse())?;
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    scenario.keeper(open(&server.url).await?).import(&scenario.connection, tokens).await.watched()?;
    scenario.gitlab.set_latency(Duration::from_millis(300));
    let mut nodes = (0..PROCESSES).map(|_| Node::start(&server, &scenario, "")).collect::<Result<Vec<_>>>()?;
    let mut slowest = Duration::ZERO;
    for round in 1..=rounds {
        let begun = Instant::now();
        nodes.iter_mut().try_for_each(|node| node.begin(i64::try_from(round).unwrap() * ROUND))?;
        let answers = Collected::default();
        for node in &mut nodes {
            answers.push(node.answer()?.expect("the process lives"));
        }
        slowest = slowest.max(begun.elapsed());
        // Each process says what all its tasks have got.
        assert!(answers.unanimous(PROCESSES).starts_with("token "), "{answers:?}");
        scenario.assert_refreshes(round);
    }
    println!("{}: {rounds} rounds of {PROCESSES} x {TASKS}, slowest {slowest:?}", server.url);
    Ok(())
}

/// The fail points of a refresh, in their order: each call of the store and the request, before and after.
const POINTS: [(&str, bool); 14] = [
    ("before 0", false),
    ("after 0", false),
    ("before 1", false),
    ("after 1", false),
    ("before 2", false),
    ("after 2", false),
    ("before 3", false),
    ("after 3", false),
    ("before request", false),
    // The platform has spent the token, and nobody has the new one.
    ("after request", true),
    ("before 4", true),
    ("after 4", false),
    ("before 5", false),
    ("after 5", false),
];

#[tokio::test(flavor = "multi_thread")]
async fn killed_on_sqlite_nothing_is_lost_silently() -> Result {
    killed(Server::sqlite()?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_on_postgres_nothing_is_lost_silently() -> Result {
    killed(Server::postgres().await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_on_redis_nothing_is_lost_silently() -> Result {
    killed(Server::redis().await?).await
}

async fn killed(server: Server) -> Result {
    for (point, spent) in POINTS {
        let mut scenario = Scenario::start().await?;
        let tokens = scenario.log_in().await?;
        let survivor = scenario.builder(open(&server.url).await?).lease(LEASE).build();
        survivor.import(&scenario.connection, tokens).await.watched()?;
        let mut victim = Node::start(&server, &scenario, point)?;
        victim.begin(ROUND)?;
        assert_eq!(victim.answer()?, None, "{point}: the process should have been killed");
        scenario.clock.advance(ROUND);
        let outcome = survivor.ask(&scenario.connection).await.watched()?;
        match outcome {
            Outcome::Renewed(token) | Outcome::RenewedElsewhere(token) | Outcome::StillValid(token) if !spent => {
                assert!(scenario.integration.user(&token).await.watched().is_ok(), "{point}");
                scenario.assert_refreshes(1);
            }
            Outcome::NeedsLogin(LoginReason::AnswerLost) if spent => {}
            other => panic!("{point}: {other:?}"),
        }
    }
    Ok(())
}

const LEASE: Duration = Duration::from_secs(1);

/// Another process: this test binary again, running [`child`].
struct Node {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Node {
    fn start(server: &Server, scenario: &Scenario, die: &str) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--exact", "--nocapture", "keeper::processes::child"])
            .env("KEEPER_STORE", &server.url)
            .env("KEEPER_BASE_URL", scenario.gitlab.base_url())
            .env("KEEPER_CONNECTION", scenario.connection.as_str())
            .env("KEEPER_DIE", die)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = process.stdin.take().expect("piped");
        let answers = BufReader::new(process.stdout.take().expect("piped"));
        let mut node = Self { process, orders, answers };
        assert_eq!(node.answer()?.as_deref(), Some("ready"));
        Ok(node)
    }

    fn begin(&mut self, ahead: i64) -> Result {
        writeln!(self.orders, "{ahead}")?;
        Ok(self.orders.flush()?)
    }

    /// What the child says; `None` if it was killed.
    fn answer(&mut self) -> Result<Option<String>> {
        loop {
            let mut line = String::new();
            if self.answers.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            if let Some((_, answer)) = line.trim().split_once("child: ") {
                return Ok(Some(answer.to_owned()));
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() -> Result {
    // The other process of the tests above; as one of many tests it has nothing to do.
    let Ok(store) = std::env::var("KEEPER_STORE") else { return Ok(()) };
    let die = std::env::var("KEEPER_DIE")?;
    let clock = TestClock::default();
    let store = FaultyStore::new(open(&store).await?);
    // The calls of one task are counted.
    let tasks = if die.is_empty() { TASKS } else { 1 };
    let doom = Arc::new(kill_this_process);
    match die.split_once(' ').map(|(when, call)| (when, call.parse())) {
        Some(("before", Ok(call))) => store.fail(call, Fault::Before(doom)),
        Some(("after", Ok(call))) => store.fail(call, Fault::After(doom)),
        _ => {}
    }
    let http = HttpClient::builder(Network::public_only().allow_loopback_http()).build()?;
    let doomed = Doomed { http, die, requests: AtomicUsize::new(0) };
    let integration = Arc::new(integration_over(doomed, &std::env::var("KEEPER_BASE_URL")?, "demo")?);
    let connection = std::env::var("KEEPER_CONNECTION")?.parse()?;
    let keeper = TokenKeeper::builder(store, ring(), Arc::clone(&integration)).clock(clock.clone());
    let keeper = keeper.lease(if tasks == 1 { LEASE } else { Duration::from_secs(45) });
    let keeper = keeper.build();
    println!("child: ready");

    let mut set_to = 0;
    for line in std::io::stdin().lines() {
        let ahead: i64 = line?.parse()?;
        clock.advance(ahead - set_to);
        set_to = ahead;
        let answers = Collected::default();
        let asked = (0..tasks).map(|_| async {
            // On a busy machine a store or a turn can take too long; a host asks again then.
            let mut tries = 0;
            answers.push(loop {
                match keeper.access_token(&connection).await.watched() {
                    Ok(token) => {
                        break format!("token {}", token.expose_for(integration.provider().base_url()).unwrap());
                    }
                    Err(error) if error.is_transient() && tries < 20 => {
                        eprintln!("{error:?}");
                        tries += 1;
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    Err(error) => break format!("{error:?}"),
                }
            });
        });
        futures_util::future::join_all(asked).await;
        println!("child: {}", answers.unanimous(tasks));
    }
    Ok(())
}

/// Kills this process around a request.
#[derive(Debug)]
struct Doomed {
    http: HttpClient,
    die: String,
    requests: AtomicUsize,
}

#[async_trait::async_trait]
impl Transport for Doomed {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> std::result::Result<http::Response<Vec<u8>>, TransportError> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        if self.die == "before request" {
            kill_this_process();
        }
        let answer = self.http.send(request, max_body).await;
        if self.die == "after request" {
            kill_this_process();
        }
        answer
    }
}

/// By the signal that nobody can catch.
fn kill_this_process() {
    let _ = Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
    std::process::abort();
}
