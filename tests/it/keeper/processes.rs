//! Many processes on one store, some of which are killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use codehost_oauth::error::TransportError;
use codehost_oauth::keeper::{LoginReason, TokenKeeper};
use codehost_oauth::testing::{FakeClock, Fault, FaultyStore, Outcome};
use codehost_oauth::transport::{HttpClient, Network, Transport};

use super::scenario::{Result, Results, Scenario, integration_over, ring};
use super::servers::{Server, open};
use crate::secrets::leak_check::LeakChecked as _;

const PROCESSES: usize = 8;
const TASKS: usize = 32;
/// Seconds between two rounds: every access token has expired by then.
const ROUND: u64 = 8000;

#[tokio::test(flavor = "multi_thread")]
async fn processes_on_sqlite_make_one_refresh_per_round() -> Result {
    race(Server::sqlite()?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_on_postgres_make_one_refresh_per_round() -> Result {
    race(Server::postgres().await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_on_redis_make_one_refresh_per_round() -> Result {
    race(Server::redis().await?).await
}

async fn race(server: Server) -> Result {
    let rounds = std::env::var("CODEHOST_OAUTH_TEST_ROUNDS").ok().map_or(Ok(20), |text| text.parse())?;
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    scenario.keeper(open(&server.url).await?).import(&scenario.connection, tokens).await.leak_checked()?;
    scenario.gitlab.set_latency(Duration::from_millis(300));
    let mut nodes = (0..PROCESSES).map(|_| Node::start(&server, &scenario, "")).collect::<Result<Vec<_>>>()?;
    let mut slowest = Duration::ZERO;
    for round in 1..=rounds {
        let begun = Instant::now();
        nodes.iter_mut().try_for_each(|node| node.begin(u64::try_from(round).unwrap() * ROUND))?;
        let responses = Results::default();
        for node in &mut nodes {
            responses.push(node.response()?.expect("the process runs"));
        }
        slowest = slowest.max(begun.elapsed());
        // Each process prints the result of all its tasks.
        assert!(responses.assert_all_equal(PROCESSES).starts_with("token "), "{responses:?}");
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
    // The platform has used up the token, and no node has the new one.
    ("after request", true),
    ("before 4", true),
    ("after 4", false),
    ("before 5", false),
    ("after 5", false),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_on_sqlite_loses_no_tokens_silently() -> Result {
    killed(Server::sqlite()?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_on_postgres_loses_no_tokens_silently() -> Result {
    killed(Server::postgres().await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_on_redis_loses_no_tokens_silently() -> Result {
    killed(Server::redis().await?).await
}

async fn killed(server: Server) -> Result {
    for (point, is_lost) in POINTS {
        let mut scenario = Scenario::start().await?;
        let tokens = scenario.log_in().await?;
        let survivor = scenario.builder(open(&server.url).await?).lease(LEASE).build();
        survivor.import(&scenario.connection, tokens).await.leak_checked()?;
        let mut victim = Node::start(&server, &scenario, point)?;
        victim.begin(ROUND)?;
        assert_eq!(victim.response()?, None, "{point}: the process should have been killed");
        scenario.clock.advance(Duration::from_secs(ROUND));
        let outcome = survivor.ask(&scenario.connection).await.leak_checked()?;
        match outcome {
            Outcome::Renewed(token) | Outcome::RenewedElsewhere(token) | Outcome::StillValid(token) if !is_lost => {
                assert!(scenario.integration.user(&token).await.leak_checked().is_ok(), "{point}");
                scenario.assert_refreshes(1);
            }
            Outcome::NeedsLogin(LoginReason::ResponseLost) if is_lost => {}
            other => panic!("{point}: {other:?}"),
        }
    }
    Ok(())
}

const LEASE: Duration = Duration::from_secs(1);

/// Another process: this test binary again, running [`child`].
struct Node {
    process: Child,
    commands: ChildStdin,
    responses: BufReader<ChildStdout>,
}

impl Node {
    fn start(server: &Server, scenario: &Scenario, kill_at: &str) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--exact", "--nocapture", "keeper::processes::child"])
            .env("KEEPER_STORE", &server.url)
            .env("KEEPER_BASE_URL", scenario.gitlab.base_url())
            .env("KEEPER_CONNECTION", scenario.connection.as_str())
            .env("KEEPER_KILL_AT", kill_at)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let commands = process.stdin.take().expect("piped");
        let responses = BufReader::new(process.stdout.take().expect("piped"));
        let mut node = Self { process, commands, responses };
        assert_eq!(node.response()?.as_deref(), Some("ready"));
        Ok(node)
    }

    fn begin(&mut self, ahead: u64) -> Result {
        writeln!(self.commands, "{ahead}")?;
        Ok(self.commands.flush()?)
    }

    /// The next line of the child; `None` if it was killed.
    fn response(&mut self) -> Result<Option<String>> {
        loop {
            let mut line = String::new();
            if self.responses.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            if let Some((_, response)) = line.trim().split_once("child: ") {
                return Ok(Some(response.to_owned()));
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
    // The child process of the tests above. Without the variables it does nothing.
    let Ok(store) = std::env::var("KEEPER_STORE") else { return Ok(()) };
    let kill_at = std::env::var("KEEPER_KILL_AT")?;
    let clock = FakeClock::default();
    let store = FaultyStore::new(open(&store).await?);
    // The fail points count the calls of one task.
    let tasks = if kill_at.is_empty() { TASKS } else { 1 };
    let kill = Arc::new(kill_this_process);
    match kill_at.split_once(' ').map(|(when, call)| (when, call.parse())) {
        Some(("before", Ok(call))) => store.fail(call, Fault::Before(kill)),
        Some(("after", Ok(call))) => store.fail(call, Fault::After(kill)),
        _ => {}
    }
    let http = HttpClient::builder(Network::public_only().allow_loopback_http()).build()?;
    let killing = KillingHttp { http, kill_at, requests: AtomicUsize::new(0) };
    let integration = Arc::new(integration_over(killing, &std::env::var("KEEPER_BASE_URL")?, "demo")?);
    let connection = std::env::var("KEEPER_CONNECTION")?.parse()?;
    let keeper = TokenKeeper::builder(store, ring(), Arc::clone(&integration)).clock(clock.clone());
    let keeper = keeper.lease(if tasks == 1 { LEASE } else { Duration::from_secs(45) });
    let keeper = keeper.build();
    println!("child: ready");

    let mut set_to = 0;
    for line in std::io::stdin().lines() {
        let ahead: u64 = line?.parse()?;
        clock.advance(Duration::from_secs(ahead - set_to));
        set_to = ahead;
        let responses = Results::default();
        let requests_of_tasks = (0..tasks).map(|_| async {
            // On a busy machine a store call can time out; an app would ask again.
            let mut tries = 0;
            responses.push(loop {
                match keeper.access_token(&connection).await.leak_checked() {
                    Ok(token) => {
                        break format!("token {}", token.expose_for(integration.provider().base_url()).unwrap());
                    }
                    Err(error) if error.advice().is_transient && tries < 20 => {
                        eprintln!("{error:?}");
                        tries += 1;
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    Err(error) => break format!("{error:?}"),
                }
            });
        });
        futures_util::future::join_all(requests_of_tasks).await;
        println!("child: {}", responses.assert_all_equal(tasks));
    }
    Ok(())
}

/// Kills this process around a request.
#[derive(Debug)]
struct KillingHttp {
    http: HttpClient,
    kill_at: String,
    requests: AtomicUsize,
}

#[async_trait::async_trait]
impl Transport for KillingHttp {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> std::result::Result<http::Response<Vec<u8>>, TransportError> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        if self.kill_at == "before request" {
            kill_this_process();
        }
        let response = self.http.send(request, max_body).await;
        if self.kill_at == "after request" {
            kill_this_process();
        }
        response
    }
}

/// With the signal that cannot be caught.
fn kill_this_process() {
    let _ = Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
    std::process::abort();
}
