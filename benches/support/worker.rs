//! Runs logins of one way in its own process. Each way is its own program, so that code and memory are those of an app that logs
//! in this way.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::logins::{Kind, Login, WAYS, Way};
use super::measure::{Core, cpu, peak_memory};
use super::server::Endpoints;

/// The programs that log in, one for each way, in the order of [`WAYS`].
pub struct Programs([PathBuf; WAYS.len()]);

impl Programs {
    /// Builds them with the `cargo` that runs this bench.
    pub fn build() -> Self {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["bench", "--quiet", "--locked", "--no-run", "--message-format=json"]);
        cargo.args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
        for way in WAYS {
            cargo.args(["--bench", way.program()]);
        }
        let output = cargo.stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "the programs cannot be built");
        let built: Vec<serde_json::Value> =
            output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        Self(WAYS.map(|way| {
            let program = built.iter().find(|artifact| artifact["target"]["name"] == way.program()).unwrap();
            program["executable"].as_str().unwrap().into()
        }))
    }

    pub fn of(&self, way: Way) -> &Path {
        &self.0[way as usize]
    }
}

/// The work of one process.
pub struct Run<'a> {
    pub kind: Kind,
    pub endpoints: Cow<'a, Endpoints>,
    pub logins: usize,
    pub at_once: usize,
    /// A new client for each login.
    pub cold: bool,
}

/// Per login, except the memory.
#[derive(Clone, Copy, Default)]
pub struct Figures {
    pub cpu: f64,
    pub wall: f64,
    pub connections: f64,
    pub requests: f64,
    pub memory: f64,
}

impl<'a> Run<'a> {
    pub fn new(kind: Kind, endpoints: &'a Endpoints) -> Self {
        Self { kind, endpoints: Cow::Borrowed(endpoints), logins: 1, at_once: 1, cold: false }
    }

    pub fn start(&self, program: &Path) -> Figures {
        let output = Command::new(program).args(self.args()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let values: Vec<f64> = text.split_whitespace().map(|value| value.parse().unwrap()).collect();
        let [cpu, wall, connections, requests, memory] = values[..] else { unreachable!("{text}") };
        Figures { cpu, wall, connections, requests, memory }
    }

    pub fn args(&self) -> Vec<String> {
        let numbers = [self.logins.to_string(), self.at_once.to_string(), self.cold.to_string()];
        let mut args = vec!["run".to_owned(), self.kind.name().to_owned()];
        args.extend(numbers);
        args.extend(self.endpoints.args());
        args
    }

    fn from_args(mut args: impl Iterator<Item = String>) -> Run<'static> {
        let mut next = || args.next().unwrap();
        let kind = Kind::find(&next());
        let (logins, at_once, cold) = (next().parse().unwrap(), next().parse().unwrap(), next().parse().unwrap());
        Run { kind, endpoints: Cow::Owned(Endpoints::from_args(&mut args)), logins, at_once, cold }
    }
}

/// The `main` of a way's program.
pub fn work<L: Login>() {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() != Some("run") {
        println!(
            "This is one of the ways that `cargo bench -p codehost-oauth-benches --bench login` compares, and does nothing by itself."
        );
        return;
    }
    let run = Run::from_args(args);
    Core::First.pin();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let figures = runtime.block_on(async { if run.cold { cold::<L>(&run).await } else { warm::<L>(&run).await } });
    let [cpu, wall, connections, requests] = figures.map(|total| total / run.logins as f64);
    println!("{cpu} {wall} {connections} {requests} {}", peak_memory());
}

async fn warm<L: Login>(run: &Run<'_>) -> [f64; 4] {
    let client = Arc::new(L::new(run.kind, &run.endpoints));
    for _ in 0..2 {
        at_once(&client, run.at_once.max(5), run.at_once).await;
    }
    measured(&run.endpoints, at_once(&client, run.logins, run.at_once)).await
}

/// Each login with a new client; building the client is not measured.
async fn cold<L: Login>(run: &Run<'_>) -> [f64; 4] {
    let mut total = [0.0; 4];
    for _ in 0..run.logins {
        let client = L::new(run.kind, &run.endpoints);
        let figures = measured(&run.endpoints, client.login()).await;
        total.iter_mut().zip(figures).for_each(|(total, one)| *total += one);
    }
    total
}

/// Runs this many logins, `at_once` of them at the same time.
async fn at_once<L: Login>(client: &Arc<L>, logins: usize, at_once: usize) {
    if at_once == 1 {
        for _ in 0..logins {
            client.login().await;
        }
        return;
    }
    let tasks: Vec<_> = (0..at_once)
        .map(|_| {
            let client = Arc::clone(client);
            tokio::spawn(async move {
                for _ in 0..logins / at_once {
                    client.login().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn measured(endpoints: &Endpoints, work: impl Future<Output = ()>) -> [f64; 4] {
    let (connections, requests) = endpoints.counts();
    let (cpu_before, wall_before) = (cpu(), Instant::now());
    work.await;
    let (wall_after, cpu_after) = (wall_before.elapsed(), cpu());
    let (connections_after, requests_after) = endpoints.counts();
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let count = |before: u64, after: u64| (after - before) as f64;
    let cpu = micros(cpu_after - cpu_before);
    [cpu, micros(wall_after), count(connections, connections_after), count(requests, requests_after)]
}
