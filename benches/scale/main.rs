//! Memory and speed of one process with 1, 1,000 and 100,000 integrations; 100,000 pending logins in cookies;
//! 10,000 connections of a `TokenKeeper` on each store. See docs/performance.md. With `million`: a million connections,
//! 10,000 integrations, 20 nodes, and 1,000 login pages a second. See docs/scale.md.
//!
//!     cargo bench -p codehost-oauth-benches --bench scale                writes docs/images/scale.svg too
//!     cargo bench -p codehost-oauth-benches --bench scale -- --quick     a hundredth of it, without the image
//!     cargo bench -p codehost-oauth-benches --bench scale -- million     the part with a million connections: ten minutes
//!
//! The stores of servers need PostgreSQL and Redis, which `scripts/test` installs. Each runs on loopback with
//! its own port and folder, and ends with the bench.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::future_not_send,
    reason = "a bench stops at what it did not expect; its futures stay on one thread"
)]

mod integrations;
mod keeper;
mod million;
mod pending;
#[path = "../../tests/it/support/port.rs"]
mod port;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/it/keeper/servers.rs"]
mod servers;
#[path = "../support/mod.rs"]
mod support;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::measure::Core;
use support::plot::svg;

/// The module that `servers` imports from in the tests.
mod scenario {
    pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
}

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == million::NODE) {
        return million::work(&args[1..]);
    }
    if args.iter().any(|arg| arg == "million") {
        return million::measure(&million::MILLION);
    }
    let quick = args.iter().any(|arg| arg == "--quick");
    // On one core, except the keeper: its stores are other processes.
    let panel = std::thread::spawn(move || {
        Core::First.pin();
        let panel = integrations::measure(quick);
        pending::measure(quick);
        panel
    });
    let mut panels = vec![panel.join().unwrap()];
    panels.push(keeper::measure(quick));
    if quick {
        million::measure(&million::QUICK);
    } else {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/images/scale.svg");
        std::fs::write(path, svg(&panels)).unwrap();
        println!("\nThe curves are in docs/images/scale.svg.");
    }
}

/// The bytes that are allocated since the region began.
fn allocated(region: &Region<'_, System>) -> f64 {
    let change = region.change();
    change.bytes_allocated as f64 - change.bytes_deallocated as f64
}
