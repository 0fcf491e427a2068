//! Whole logins, side by side: this crate, the floor, and the plain `oauth2` crate. See docs/performance.md.
//!
//!     cargo bench --bench login                       everything
//!     cargo bench --bench login -- --quick            a smoke test: do all ways still log in?
//!     cargo bench --bench login -- --instructions     what valgrind counts, and nothing else
//!
//! Every figure comes from a process of its own, and the ways take turns.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a bench stops at what it did not expect"
)]

mod support;

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::logins::{Client, KINDS, Kind, WAYS, Way};
use support::measure::{Core, cpu, has_valgrind, instructions, median, peak_memory};
use support::server::{Place, Server, serve};
use support::table::{Table, grouped};

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench").peekable();
    match args.next().as_deref() {
        Some("serve") => serve(args),
        Some("run") => Run::from_args(&mut args).run(),
        Some("--quick") => Plan { rounds: 1, logins: 20, at_once: 64, legs: 3 }.all(),
        Some("--instructions") => count_instructions(),
        _ => {
            Plan { rounds: 31, logins: 500, at_once: 3200, legs: 10 }.all();
            count_instructions();
        }
    }
}

/// How much of everything.
struct Plan {
    rounds: usize,
    logins: usize,
    at_once: usize,
    legs: usize,
}

impl Plan {
    fn all(&self) {
        for tls in [false, true] {
            let scheme = if tls { "HTTPS" } else { "HTTP" };
            // Only one of the two works at any time. On a core of its own each would be woken from sleep for every leg, and
            // that takes longer than a login.
            let server = Server::start(tls, Duration::ZERO, Core::First);
            self.one_by_one(&server.place, &format!("{scheme}, one login after the other"));
            let server = Server::start(tls, Duration::ZERO, Core::Last);
            self.at_once(&server.place, &format!("{scheme}, 64 logins at once"));
        }
        self.legs();
    }

    fn one_by_one(&self, place: &Place, title: &str) {
        let columns = ["", "CPU, µs", "of floor", "wall, µs", "requests", "new connections"];
        let table = Table::new(title, &columns);
        for kind in KINDS {
            let rounds = self.rounds(|way| Run { logins: self.logins, ..Run::new(way, kind, place) });
            for way in WAYS {
                table.row(&[
                    format!("{} {}", kind.name(), way.name()),
                    format!("{:.1}", rounds.median(way, |run| run.cpu)),
                    format!("{:.3}", rounds.of_floor(way, |run| run.cpu)),
                    format!("{:.1}", rounds.median(way, |run| run.wall)),
                    format!("{:.2}", rounds.median(way, |run| run.requests)),
                    format!("{:.2}", rounds.median(way, |run| run.connections)),
                ]);
            }
        }
    }

    fn at_once(&self, place: &Place, title: &str) {
        let columns = ["", "logins/s", "of floor", "CPU, µs", "of floor", "peak memory, MiB", "new connections"];
        let table = Table::new(title, &columns);
        for kind in KINDS {
            let rounds = self.rounds(|way| Run { logins: self.at_once, at_once: 64, ..Run::new(way, kind, place) });
            for way in WAYS {
                table.row(&[
                    format!("{} {}", kind.name(), way.name()),
                    format!("{:.0}", rounds.median(way, |run| 1e6 / run.wall)),
                    format!("{:.3}", rounds.of_floor(way, |run| 1e6 / run.wall)),
                    format!("{:.1}", rounds.median(way, |run| run.cpu)),
                    format!("{:.3}", rounds.of_floor(way, |run| run.cpu)),
                    format!("{:.1}", rounds.median(way, |run| run.memory / 1024.0)),
                    format!("{:.2}", rounds.median(way, |run| run.connections)),
                ]);
            }
        }
    }

    /// Time in units of an injected latency: 20 ms for a request, twice that for a new TLS connection.
    fn legs(&self) {
        let delay = Duration::from_millis(20);
        let servers = [false, true].map(|tls| Server::start(tls, delay, Core::Last));
        let table = Table::new("Legs per login at 20 ms", &["", "warm", "cold TLS"]);
        for kind in KINDS {
            for way in WAYS {
                let legs = |place: &Place, cold| {
                    let run = Run { logins: self.legs, cold, ..Run::new(way, kind, place) };
                    let wall = run.start().wall;
                    wall / place.leg()
                };
                table.row(&[
                    format!("{} {}", kind.name(), way.name()),
                    format!("{:.2}", legs(&servers[0].place, false)),
                    format!("{:.2}", legs(&servers[1].place, true)),
                ]);
            }
        }
    }

    /// The ways take turns, another one first in each round.
    fn rounds<'a>(&self, run: impl Fn(Way) -> Run<'a>) -> Rounds {
        let round = |first: usize| {
            let mut figures = [Figures::default(); WAYS.len()];
            for turn in 0..WAYS.len() {
                let way = (first + turn) % WAYS.len();
                figures[way] = run(WAYS[way]).start();
            }
            figures
        };
        Rounds((0..self.rounds).map(round).collect())
    }
}

/// The figures of each way, in the order of [`WAYS`].
struct Rounds(Vec<[Figures; WAYS.len()]>);

impl Rounds {
    fn median(&self, way: Way, figure: impl Fn(&Figures) -> f64) -> f64 {
        median(self.0.iter().map(|round| figure(&round[way as usize])).collect())
    }

    /// The median of what is compared within a round, so that a machine that is slow for a while does not count.
    fn of_floor(&self, way: Way, figure: impl Fn(&Figures) -> f64) -> f64 {
        let floor = Way::Floor as usize;
        median(self.0.iter().map(|round| figure(&round[way as usize]) / figure(&round[floor])).collect())
    }
}

/// Instructions of one login: the difference between many and few, so that neither start nor warm-up counts.
fn count_instructions() {
    if !has_valgrind() {
        println!("\nvalgrind is not installed: instructions are not counted.");
        return;
    }
    let table = Table::new("Instructions per login", &["", "HTTP", "of floor", "HTTPS", "of floor"]);
    let servers = [false, true].map(|tls| Server::start(tls, Duration::ZERO, Core::Last));
    for kind in KINDS {
        let mut floor = [0.0; 2];
        for way in WAYS {
            let counted = [0, 1].map(|at| {
                let place = &servers[at].place;
                let count = |logins| instructions(&Run { logins, ..Run::new(way, kind, place) }.args());
                (count(220) - count(20)) / 200.0
            });
            if way == Way::Floor {
                floor = counted;
            }
            table.row(&[
                format!("{} {}", kind.name(), way.name()),
                grouped(counted[0]),
                format!("{:.3}", counted[0] / floor[0]),
                grouped(counted[1]),
                format!("{:.3}", counted[1] / floor[1]),
            ]);
        }
    }
}

/// Logins in a process of their own.
struct Run<'a> {
    way: Way,
    kind: Kind,
    place: std::borrow::Cow<'a, Place>,
    logins: usize,
    at_once: usize,
    /// A new client for each login.
    cold: bool,
}

/// Per login, but for the memory.
#[derive(Clone, Copy, Default)]
struct Figures {
    cpu: f64,
    wall: f64,
    connections: f64,
    requests: f64,
    memory: f64,
}

impl<'a> Run<'a> {
    fn new(way: Way, kind: Kind, place: &'a Place) -> Self {
        let place = std::borrow::Cow::Borrowed(place);
        Self { way, kind, place, logins: 1, at_once: 1, cold: false }
    }

    fn args(&self) -> Vec<String> {
        let mut args = vec!["run".to_owned(), self.way.name().to_owned(), self.kind.name().to_owned()];
        args.extend([self.logins.to_string(), self.at_once.to_string()]);
        args.push(self.cold.to_string());
        args.extend(self.place.args());
        args
    }

    fn from_args(args: &mut impl Iterator<Item = String>) -> Run<'static> {
        let mut next = || args.next().unwrap();
        let (way, kind) = (Way::find(&next()), Kind::find(&next()));
        let (logins, at_once) = (next().parse().unwrap(), next().parse().unwrap());
        let cold = next().parse().unwrap();
        let place = std::borrow::Cow::Owned(Place::from_args(args));
        Run { way, kind, place, logins, at_once, cold }
    }

    fn start(&self) -> Figures {
        let output = Command::new(std::env::current_exe().unwrap()).args(self.args()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let values: Vec<f64> = text.split_whitespace().map(|value| value.parse().unwrap()).collect();
        let [cpu, wall, connections, requests, memory] = values[..] else { unreachable!("{text}") };
        Figures { cpu, wall, connections, requests, memory }
    }

    fn run(&self) {
        Core::First.take();
        let place = &self.place;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let figures = runtime
            .block_on(async { if self.cold { self.cold_logins(place).await } else { self.warm_logins(place).await } });
        let [cpu, wall, connections, requests] = figures.map(|total| total / self.logins as f64);
        println!("{cpu} {wall} {connections} {requests} {}", peak_memory());
    }

    async fn warm_logins(&self, place: &Place) -> [f64; 4] {
        let client = Arc::new(Client::new(self.way, self.kind, place));
        for _ in 0..2 {
            at_once(&client, self.at_once.max(5), self.at_once).await;
        }
        measured(place, at_once(&client, self.logins, self.at_once)).await
    }

    /// Each login with a new client; making the client is not counted.
    async fn cold_logins(&self, place: &Place) -> [f64; 4] {
        let mut total = [0.0; 4];
        for _ in 0..self.logins {
            let client = Client::new(self.way, self.kind, place);
            let figures = measured(place, client.login()).await;
            total.iter_mut().zip(figures).for_each(|(total, one)| *total += one);
        }
        total
    }
}

/// This many logins, so many of them at any time.
async fn at_once(client: &Arc<Client>, logins: usize, at_once: usize) {
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

async fn measured(place: &Place, work: impl Future<Output = ()>) -> [f64; 4] {
    let (connections, requests) = place.counts();
    let (cpu_before, wall_before) = (cpu(), Instant::now());
    work.await;
    let (wall_after, cpu_after) = (wall_before.elapsed(), cpu());
    let (connections_after, requests_after) = place.counts();
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let count = |before: u64, after: u64| (after - before) as f64;
    let cpu = micros(cpu_after - cpu_before);
    [cpu, micros(wall_after), count(connections, connections_after), count(requests, requests_after)]
}
