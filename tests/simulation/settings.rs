//! The settings that a seed chooses before its schedule begins.

use std::time::Duration;

use crate::rng::Rng;

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) nodes: usize,
    pub(crate) connections: usize,
    /// The integrations; connection `n` belongs to number `n % tenants.len()`.
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) lease: Duration,
    pub(crate) patience: Duration,
    pub(crate) fresh_for: Duration,
    pub(crate) in_flight: usize,
    pub(crate) verify_identity: Option<bool>,
    /// The lifetime of an access token.
    pub(crate) lifetime: Duration,
    pub(crate) steps: usize,
    pub(crate) store: StoreFaults,
    pub(crate) host: HostFaults,
    pub(crate) events: Events,
    pub(crate) weakness: Option<Weakness>,
}

#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    pub(crate) id: &'static str,
    pub(crate) is_gitlab: bool,
    /// Its possible base URLs; an administrator changes between them.
    pub(crate) base_urls: Vec<&'static str>,
    /// Whether a refresh gives a new refresh token and ends the old one.
    pub(crate) rotates: bool,
}

/// How many of a thousand calls of the store fail, by kind.
#[derive(Debug)]
pub(crate) struct StoreFaults {
    pub(crate) error: u64,
    pub(crate) lost_response: u64,
    pub(crate) slow: u64,
    /// It takes effect after the caller has timed out.
    pub(crate) late: u64,
}

/// How many of a thousand requests fail, by kind.
#[derive(Debug)]
pub(crate) struct HostFaults {
    pub(crate) slow: u64,
    pub(crate) unreachable: u64,
    pub(crate) lost_response: u64,
    pub(crate) status: u64,
    pub(crate) malformed: u64,
    /// A good response whose optional members are odd.
    pub(crate) odd: u64,
    /// A token that is seconds old is not known yet.
    pub(crate) replica: u64,
}

/// The weight of each event.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) ask: u64,
    pub(crate) call: u64,
    pub(crate) drop_caller: u64,
    pub(crate) crash: u64,
    pub(crate) cut_off: u64,
    pub(crate) fail_over: u64,
    pub(crate) lock_out: u64,
    pub(crate) outage: u64,
    pub(crate) revoke: u64,
    pub(crate) secret: u64,
    pub(crate) move_away: u64,
    pub(crate) log_in: u64,
    pub(crate) disconnect: u64,
    pub(crate) clock: u64,
}

/// A removed protection, to show that the simulation finds its absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weakness {
    /// Every node gets every lease.
    Lease,
    /// Every write succeeds, whatever is stored.
    CompareAndSwap,
    /// With the lease, a node uses the record that it has read before. The write that marks a refresh would refuse that, so it
    /// does not compare either.
    ReRead,
    /// A code host always accepts the client of a probe.
    Probe,
}

impl Settings {
    pub(crate) fn new(seed: u64, weakness: Option<Weakness>) -> Self {
        let rng = &mut Rng::new(seed);
        let connections = match rng.below(10) {
            0..6 => rng.within(1..=3),
            6..9 => rng.within(4..=8),
            _ => rng.within(9..=50),
        };
        // Each kind of fault is in a part of the schedules only: frequent faults would hide rare ones.
        let rare = |rng: &mut Rng, most: u64| if rng.per_mille(350) { rng.within(1..=most) } else { 0 };
        Self {
            nodes: rng.within(2..=5) as usize,
            connections: connections as usize,
            tenants: tenants(rng),
            lease: Duration::from_secs(*rng.pick(&[20, 30, 45, 45])),
            patience: rng.seconds(1..=20),
            fresh_for: if rng.per_mille(200) { rng.seconds(1..=60) } else { Duration::ZERO },
            in_flight: rng.within(1..=4) as usize,
            verify_identity: *rng.pick(&[None, None, Some(true), Some(false)]),
            lifetime: Duration::from_secs(*rng.pick(&[300, 900, 7200])),
            steps: rng.within(10..=40) as usize,
            store: StoreFaults {
                error: rare(rng, 300),
                lost_response: rare(rng, 300),
                slow: rare(rng, 300),
                late: rare(rng, 100),
            },
            host: HostFaults {
                slow: rare(rng, 500),
                unreachable: rare(rng, 300),
                lost_response: rare(rng, 150),
                status: rare(rng, 300),
                malformed: rare(rng, 100),
                odd: rare(rng, 500),
                replica: rare(rng, 500),
            },
            events: Events {
                ask: 30,
                call: 5,
                drop_caller: rare(rng, 5),
                crash: rare(rng, 10),
                cut_off: rare(rng, 10),
                fail_over: rare(rng, 10),
                lock_out: rare(rng, 10),
                outage: rare(rng, 10),
                revoke: rare(rng, 10),
                secret: rare(rng, 10),
                move_away: rare(rng, 10),
                log_in: rare(rng, 10),
                disconnect: rare(rng, 5),
                clock: rare(rng, 5),
            },
            weakness,
        }
    }
}

fn tenants(rng: &mut Rng) -> Vec<Tenant> {
    let bitbucket = |id, rotates| Tenant { id, is_gitlab: false, base_urls: vec!["https://bitbucket.org"], rotates };
    let gitlab = |id, base_urls, rotates| Tenant { id, is_gitlab: true, base_urls, rotates };
    let [first, second] = [0; 2].map(|_| rng.per_mille(900));
    let one = if rng.per_mille(500) {
        gitlab("one", vec!["https://git.example.com", "https://code.example.com"], first)
    } else {
        bitbucket("one", first)
    };
    let two = match rng.below(6) {
        // At the same code host, as another application.
        0 => gitlab("two", vec!["https://git.example.com"], second),
        1 => bitbucket("two", second),
        _ => return vec![one],
    };
    vec![one, two]
}
