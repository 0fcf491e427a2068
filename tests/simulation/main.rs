//! Runs the token keeper on several nodes through schedules that a seed chooses: stores and code hosts that fail in every way,
//! crashes, clocks that differ, administrators and users who act at any moment. Time is tokio's paused time, so hours take
//! milliseconds. The invariants are in `invariants.rs` and `operations.rs`.
//!
//! - `SIM_SEED=n` runs the schedule of one seed, and prints every event.
//! - `SIM_SCHEDULES=n` sets how many schedules are run, and `SIM_FIRST=n` the first seed.
//! - `SIM_ALL=1` goes on after a violation, and lists the kinds of violations with their first seeds.
//! - `SIM_WEAKNESS=lease`, `compare-and-swap`, `re-read` or `probe` removes this protection.
//!
//! `scripts/simulate` builds it with optimization.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops at what it did not expect; clippy.toml reaches the test functions, not their helpers"
)]

mod code_host;
mod invariants;
mod node;
mod operations;
mod rng;
mod schedule;
mod settings;
mod store;
mod world;

use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::schedule::run;
use crate::settings::Weakness;

#[test]
fn no_schedule_breaks_an_invariant() {
    if let Some(seed) = number("SIM_SEED") {
        return assert_invariants_hold(seed);
    }
    let first = number("SIM_FIRST").unwrap_or(0);
    let count = number("SIM_SCHEDULES").unwrap_or(SCHEDULES);
    let begun = Instant::now();
    if number("SIM_ALL").is_some() {
        return list_violations(first..first + count);
    }
    if let Some(seed) = first_violation(first..first + count, weakness()) {
        assert_invariants_hold(seed);
        panic!("seed {seed} broke an invariant once, but not when it was repeated");
    }
    println!("{count} schedules in {:?}", begun.elapsed());
}

#[test]
fn a_seed_is_the_same_schedule_every_time() {
    for seed in (0..50).map(|n| n * 397) {
        let [first, second] = [(); 2].map(|()| run(seed, None, true).log);
        for (number, (one, other)) in first.iter().zip(&second).enumerate() {
            assert_eq!(one, other, "seed {seed}, line {number}");
        }
        assert_eq!(first.len(), second.len(), "seed {seed}");
    }
}

/// Removes one protection, and asserts that this breaks the expected invariant.
fn assert_violation_found(weakness: Weakness, expected: &str) {
    let seed = first_violation(0..10_000, Some(weakness)).unwrap_or_else(|| panic!("{weakness:?} is not found"));
    let violation = run(seed, Some(weakness), false).violation.unwrap();
    assert!(violation.contains(expected), "seed {seed}: {violation}");
    println!("{weakness:?}: seed {seed}: {violation}");
}

#[test]
fn without_the_lease_a_token_is_used_twice() {
    assert_violation_found(Weakness::Lease, "two refreshes with one token");
}

#[test]
fn without_the_compare_and_swap_a_newer_pair_is_overwritten() {
    assert_violation_found(Weakness::CompareAndSwap, "is stored over the newer pair");
}

#[test]
fn without_the_second_read_with_the_lease_a_connection_is_lost() {
    assert_violation_found(Weakness::ReRead, "is lost");
}

#[test]
fn without_the_probe_of_the_client_a_living_connection_is_marked_dead() {
    assert_violation_found(Weakness::Probe, "and its refresh token is alive");
}

/// Runs the schedule of one seed with a log, and panics with its end if an invariant is broken.
fn assert_invariants_hold(seed: u64) {
    let report = run(seed, weakness(), true);
    if number("SIM_SEED").is_some() {
        report.log.iter().for_each(|line| println!("{line}"));
    }
    if let Some(violation) = report.violation {
        let last = report.log.len().saturating_sub(LAST_EVENTS);
        panic!("seed {seed}: {violation}\nThe last events:\n{}", report.log[last..].join("\n"));
    }
}

/// Prints every kind of violation of these seeds, with the first seeds.
fn list_violations(seeds: Range<u64>) {
    let mut kinds = std::collections::BTreeMap::<String, Vec<u64>>::new();
    for seed in seeds {
        if let Some(violation) = run(seed, weakness(), false).violation {
            let kind = violation.split(|c: char| c.is_ascii_digit()).collect::<Vec<_>>().join("N").replace("NN", "N");
            kinds.entry(kind).or_default().push(seed);
        }
    }
    for (kind, seeds) in kinds {
        println!("{:>6}  {kind}  {:?}", seeds.len(), &seeds[..seeds.len().min(5)]);
    }
}

/// Runs all seeds on all processors. Returns the smallest seed that breaks an invariant.
fn first_violation(seeds: Range<u64>, weakness: Option<Weakness>) -> Option<u64> {
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new(None::<u64>);
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        let found = || found.lock().unwrap_or_else(PoisonError::into_inner);
        if seed >= seeds.end || found().is_some_and(|found| found < seed) {
            return;
        }
        if run(seed, weakness, false).violation.is_some() {
            let mut found = found();
            *found = Some(found.map_or(seed, |other| other.min(seed)));
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(work)));
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is not a number")))
}

/// The protection that `SIM_WEAKNESS` removes.
fn weakness() -> Option<Weakness> {
    Some(match std::env::var("SIM_WEAKNESS").ok()?.as_str() {
        "lease" => Weakness::Lease,
        "compare-and-swap" => Weakness::CompareAndSwap,
        "re-read" => Weakness::ReRead,
        "probe" => Weakness::Probe,
        other => panic!("{other} is not a protection"),
    })
}

/// The default of `SIM_SCHEDULES`. It is small, because without optimization a schedule takes 50 ms.
const SCHEDULES: u64 = 500;
const LAST_EVENTS: usize = 60;
