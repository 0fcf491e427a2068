//! The state that all parts of a schedule share: random numbers, time, the running nodes, and past events.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::code_host::CodeHosts;
use crate::invariants::Ledger;
use crate::rng::Rng;
use crate::settings::Settings;
use crate::store::Rows;

pub(crate) struct World {
    pub(crate) settings: Settings,
    started: Instant,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) rng: Rng,
    pub(crate) nodes: Vec<Node>,
    pub(crate) rows: Rows,
    pub(crate) hosts: CodeHosts,
    pub(crate) ledger: Ledger,
    started: Instant,
    /// The log, if it was requested.
    log: Option<Vec<String>>,
    violation: Option<String>,
    calls: u32,
}

/// A process from its start to its crash. Its replacement is another node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) alive: bool,
    /// It crashes after this many more steps at the store and the code host.
    pub(crate) steps_until_crash: Option<u32>,
    /// It cannot reach the store until then.
    pub(crate) cut_off_until: Duration,
    /// How far its clock is ahead of the true one, in milliseconds.
    pub(crate) clock_ahead: i64,
}

pub(crate) type NodeId = usize;

/// The panic that ends a task of a crashed node.
struct Crashed;

impl World {
    pub(crate) fn new(seed: u64, settings: Settings, logging: bool) -> Arc<Self> {
        let state = State {
            rng: Rng::new(seed ^ 0x5eed),
            nodes: Vec::new(),
            rows: Rows::default(),
            hosts: CodeHosts::new(&settings),
            ledger: Ledger::new(settings.connections),
            started: Instant::now(),
            log: logging.then(Vec::new),
            violation: None,
            calls: 0,
        };
        Arc::new(Self { settings, started: Instant::now(), state: Mutex::new(state) })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since the schedule began.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn log(&self, text: impl FnOnce() -> String) {
        self.lock().log(text);
    }

    pub(crate) fn violate(&self, text: impl Into<String>) {
        self.lock().violate(text);
    }

    pub(crate) fn violation(&self) -> Option<String> {
        self.lock().violation.clone()
    }

    pub(crate) fn take_log(&self) -> Vec<String> {
        self.lock().log.take().unwrap_or_default()
    }

    pub(crate) fn is_alive(&self, node: NodeId) -> bool {
        self.lock().nodes[node].alive
    }

    pub(crate) fn crash(&self, node: NodeId) {
        if std::mem::replace(&mut self.lock().nodes[node].alive, false) {
            self.log(|| format!("node {node} crashes"));
        }
    }

    /// A step of a node at the store or the code host. Ends the task if the node crashes here or has crashed before.
    pub(crate) fn step(&self, node: NodeId) {
        let (crashes, endless) = {
            let mut state = self.lock();
            state.calls += 1;
            let endless = state.calls > MOST_CALLS;
            let node = &mut state.nodes[node];
            node.steps_until_crash = node.steps_until_crash.map(|left| left.saturating_sub(1));
            (node.steps_until_crash == Some(0), endless)
        };
        if endless {
            self.violate(format!("more than {MOST_CALLS} calls of store and code host: something does not end"));
            (0..self.lock().nodes.len()).for_each(|node| self.crash(node));
        }
        if crashes {
            self.crash(node);
        }
        if !self.is_alive(node) {
            // No panic hook runs, and tokio ends this one task.
            std::panic::resume_unwind(Box::new(Crashed));
        }
    }
}

impl State {
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn log(&mut self, text: impl FnOnce() -> String) {
        let now = self.now();
        if let Some(log) = &mut self.log {
            log.push(format!("{:>12.3} s  {}", now.as_secs_f64(), text()));
        }
    }

    pub(crate) fn violate(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.log(|| format!("VIOLATION: {text}"));
        self.violation.get_or_insert(text);
    }
}

/// Whether a task ended because its node has crashed. Any other panic is a bug of the test or of the crate.
pub(crate) fn is_crash(panic: &(dyn std::any::Any + Send)) -> bool {
    panic.is::<Crashed>()
}

/// Waits, unless the delay is zero.
pub(crate) async fn pause(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

const MOST_CALLS: u32 = 100_000;
