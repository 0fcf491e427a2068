//! Whole logins, side by side: this crate, the floor, and the plain `oauth2` crate. See docs/performance.md.
//!
//!     cargo bench -p codehost-oauth-benches --bench login                       everything
//!     cargo bench -p codehost-oauth-benches --bench login -- --quick            a smoke test: all ways still log in
//!     cargo bench -p codehost-oauth-benches --bench login -- --instructions     only the instructions, by valgrind
//!     cargo bench -p codehost-oauth-benches --bench login -- --round-trips      only the round trips
//!
//! Every figure comes from its own process, each way has its own program, and the ways alternate.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a bench stops at what it did not expect"
)]

#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use support::logins::{KINDS, Kind, OTHER_KINDS, WAYS, Way};
use support::measure::{Core, has_valgrind, instructions, median, quantile};
use support::server::{Endpoints, Server, serve};
use support::table::{Table, grouped};
use support::worker::{Figures, Programs, Run};

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench").peekable();
    match args.next().as_deref() {
        Some("serve") => serve(args),
        Some("--quick") => {
            println!("A smoke test: the figures are not valid.");
            Plan { rounds: 1, logins: 20, at_once: 64, round_trips: 3 }.all(&Programs::build());
        }
        Some("--round-trips") => PLAN.round_trips(&Programs::build()),
        Some("--instructions") => count_instructions(&Programs::build()),
        _ => {
            let programs = Programs::build();
            PLAN.all(&programs);
            count_instructions(&programs);
        }
    }
}

const PLAN: Plan = Plan { rounds: 36, logins: 500, at_once: 3200, round_trips: 30 };

/// The numbers of rounds and logins.
struct Plan {
    rounds: usize,
    logins: usize,
    at_once: usize,
    round_trips: usize,
}

impl Plan {
    fn all(&self, programs: &Programs) {
        for tls in [false, true] {
            let scheme = if tls { "HTTPS" } else { "HTTP" };
            // Client and server share a core, because only one of them works at any time. On separate cores each would be woken
            // from sleep for every round trip, and that takes longer than a login.
            let server = Server::start(tls, Duration::ZERO, Core::First);
            self.one_by_one(programs, &server.endpoints, &format!("{scheme}, one login after the other"));
            let server = Server::start(tls, Duration::ZERO, Core::Last);
            self.at_once(programs, &server.endpoints, &format!("{scheme}, 64 logins at once"));
        }
        self.round_trips(programs);
    }

    fn one_by_one(&self, programs: &Programs, endpoints: &Endpoints, title: &str) {
        let columns = ["", "CPU, µs", "of floor", "wall, µs", "requests", "new connections"];
        let table = Table::new(title, &columns);
        for kind in KINDS {
            let rounds = self.rounds(programs, &Run { logins: self.logins, ..Run::new(kind, endpoints) });
            for way in WAYS {
                table.row(&[
                    format!("{} {}", kind.name(), way.name()),
                    format!("{:.1}", rounds.median(way, |run| run.cpu)),
                    rounds.of_floor(way, |run| run.cpu),
                    format!("{:.1}", rounds.median(way, |run| run.wall)),
                    format!("{:.2}", rounds.median(way, |run| run.requests)),
                    format!("{:.2}", rounds.median(way, |run| run.connections)),
                ]);
            }
        }
    }

    fn at_once(&self, programs: &Programs, endpoints: &Endpoints, title: &str) {
        let columns = ["", "logins/s", "of floor", "CPU, µs", "of floor", "peak memory, MiB", "new connections"];
        let table = Table::new(title, &columns);
        for kind in KINDS {
            let rounds = self.rounds(programs, &Run { logins: self.at_once, at_once: 64, ..Run::new(kind, endpoints) });
            for way in WAYS {
                table.row(&[
                    format!("{} {}", kind.name(), way.name()),
                    format!("{:.0}", rounds.median(way, |run| 1e6 / run.wall)),
                    rounds.of_floor(way, |run| 1e6 / run.wall),
                    format!("{:.1}", rounds.median(way, |run| run.cpu)),
                    rounds.of_floor(way, |run| run.cpu),
                    format!("{:.1}", rounds.median(way, |run| run.memory / 1024.0)),
                    format!("{:.2}", rounds.median(way, |run| run.connections)),
                ]);
            }
        }
    }

    /// Time in units of an injected latency: 20 ms for a request, twice that for a new TLS connection.
    fn round_trips(&self, programs: &Programs) {
        let delay = Duration::from_millis(20);
        let servers = [false, true].map(|tls| Server::start(tls, delay, Core::Last));
        let table = Table::new("Round trips per login at 20 ms", &["", "warm", "cold TLS"]);
        for kind in KINDS {
            for way in WAYS {
                let round_trips = |endpoints: &Endpoints, cold| {
                    let run = Run { logins: self.round_trips, cold, ..Run::new(kind, endpoints) };
                    run.start(programs.of(way)).wall / endpoints.round_trip()
                };
                table.row(&[
                    format!("{} {}", kind.name(), way.name()),
                    format!("{:.2}", round_trips(&servers[0].endpoints, false)),
                    format!("{:.2}", round_trips(&servers[1].endpoints, true)),
                ]);
            }
        }
        for kind in OTHER_KINDS {
            let round_trips = |endpoints: &Endpoints, cold| {
                let run = Run { logins: self.round_trips, cold, ..Run::new(kind, endpoints) };
                run.start(programs.of(Way::Ours)).wall / endpoints.round_trip()
            };
            table.row(&[
                format!("{} {}", kind.name(), Way::Ours.name()),
                format!("{:.2}", round_trips(&servers[0].endpoints, false)),
                format!("{:.2}", round_trips(&servers[1].endpoints, true)),
            ]);
        }
    }

    /// The ways alternate, in all possible orders.
    fn rounds(&self, programs: &Programs, run: &Run<'_>) -> Rounds {
        let round = |round: usize| {
            let mut figures = [Figures::default(); WAYS.len()];
            for way in ORDERS[round % ORDERS.len()] {
                figures[way as usize] = run.start(programs.of(way));
            }
            figures
        };
        Rounds((0..self.rounds).map(round).collect())
    }
}

const ORDERS: [[Way; WAYS.len()]; 6] = {
    use Way::{Floor, Oauth2, Ours};
    [
        [Floor, Ours, Oauth2],
        [Ours, Oauth2, Floor],
        [Oauth2, Floor, Ours],
        [Floor, Oauth2, Ours],
        [Oauth2, Ours, Floor],
        [Ours, Floor, Oauth2],
    ]
};

/// The figures of each way, in the order of [`WAYS`].
struct Rounds(Vec<[Figures; WAYS.len()]>);

impl Rounds {
    fn median(&self, way: Way, figure: impl Fn(&Figures) -> f64) -> f64 {
        median(self.0.iter().map(|round| figure(&round[way as usize])).collect())
    }

    /// The median of the ratios within each round, so that a temporarily slow machine does not count; and the quartiles.
    fn of_floor(&self, way: Way, figure: impl Fn(&Figures) -> f64) -> String {
        let ratio = |round: &[Figures; WAYS.len()]| figure(&round[way as usize]) / figure(&round[Way::Floor as usize]);
        let ratios: Vec<f64> = self.0.iter().map(ratio).collect();
        let [low, middle, high] = [0.25, 0.5, 0.75].map(|part| quantile(ratios.clone(), part));
        format!("{middle:.3} ({low:.3} to {high:.3})")
    }
}

/// Instructions of one login: the difference between many and few logins, without start and warm-up.
fn count_instructions(programs: &Programs) {
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
                let endpoints = &servers[at].endpoints;
                let count =
                    |logins| instructions(programs.of(way), &Run { logins, ..Run::new(kind, endpoints) }.args());
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
    let table = Table::new("Instructions per request, this crate", &["", "HTTP", "of GitLab", "HTTPS", "of GitLab"]);
    let mut gitlab = [0.0; 2];
    for kind in KINDS.into_iter().chain(OTHER_KINDS) {
        let counted = [0, 1].map(|at| {
            let endpoints = &servers[at].endpoints;
            let count =
                |logins| instructions(programs.of(Way::Ours), &Run { logins, ..Run::new(kind, endpoints) }.args());
            (count(220) - count(20)) / 200.0 / kind.requests()
        });
        if kind == Kind::GitLab {
            gitlab = counted;
        }
        table.row(&[
            kind.name().to_owned(),
            grouped(counted[0]),
            format!("{:.3}", counted[0] / gitlab[0]),
            grouped(counted[1]),
            format!("{:.3}", counted[1] / gitlab[1]),
        ]);
    }
}
