//! Which refreshes are under way in this process, how many may be, and which connections must wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::connection::ConnectionId;
use super::outcome::Outcome;
use crate::error::{Error, KeeperError};
use crate::host::IntegrationId;

/// How a refresh ended, for everybody who waits for it.
pub(super) type Landing = Option<Result<Outcome, KeeperError>>;

/// What somebody gets who wants a refresh.
pub(super) enum Entry {
    /// It is under way, perhaps since now.
    Flight(watch::Receiver<Landing>),
    /// The last one failed a short time ago.
    Paused { after: Duration, cause: Option<Arc<Error>> },
    /// Too many are under way.
    Full,
}

/// Bounded: flights by the limits below, gates by flights, pauses by their own limit.
pub(super) struct Flights {
    state: Mutex<State>,
    limit: usize,
}

#[derive(Default)]
struct State {
    running: HashMap<ConnectionId, watch::Receiver<Landing>>,
    gates: HashMap<IntegrationId, Gate>,
    pauses: HashMap<ConnectionId, Pause>,
}

/// Lets so many refreshes of one integration through at a time. It lives as long as there are any.
struct Gate {
    permits: Arc<Semaphore>,
    flights: usize,
}

struct Pause {
    until: Instant,
    step: Duration,
    cause: Option<Arc<Error>>,
}

impl Flights {
    pub(super) fn new(limit: usize) -> Self {
        Self { state: Mutex::default(), limit }
    }

    /// Joins the refresh that is under way, or begins one by `start`. Who holds a valid token does not queue.
    pub(super) fn enter(
        self: &Arc<Self>,
        connection: &ConnectionId,
        valid: bool,
        start: impl FnOnce(Takeoff),
    ) -> Entry {
        let mut state = self.lock();
        if let Some(landing) = state.running.get(connection) {
            return Entry::Flight(landing.clone());
        }
        let now = Instant::now();
        if let Some(pause) = state.pauses.get(connection) {
            let after = pause.until.saturating_duration_since(now);
            if !after.is_zero() {
                return Entry::Paused { after, cause: pause.cause.clone() };
            }
        }
        let gate = state
            .gates
            .entry(connection.integration().clone())
            .or_insert_with(|| Gate { permits: Arc::new(Semaphore::new(self.limit)), flights: 0 });
        let most = if valid { self.limit } else { MAX_FLIGHTS };
        if gate.flights >= most {
            return Entry::Full;
        }
        gate.flights = gate.flights.saturating_add(1);
        let permits = Arc::clone(&gate.permits);
        let (sender, landing) = watch::channel(None);
        state.running.insert(connection.clone(), landing.clone());
        drop(state);
        start(Takeoff { flights: Arc::clone(self), connection: connection.clone(), permits, sender, left: false });
        Entry::Flight(landing)
    }

    /// Makes a connection wait after a failure: 30 s, doubling to 15 minutes, or what the code host asked for.
    pub(super) fn pause(
        &self,
        connection: &ConnectionId,
        asked: Option<Duration>,
        cause: Option<Arc<Error>>,
    ) -> Duration {
        let mut state = self.lock();
        let now = Instant::now();
        let forgotten = |pause: &Pause| now.saturating_duration_since(pause.until) > pause.step;
        let step = match state.pauses.get(connection) {
            Some(pause) if !forgotten(pause) => pause.step.saturating_mul(2).min(MAX_PAUSE),
            _ => FIRST_PAUSE,
        };
        let after = asked.unwrap_or_default().max(step).min(MAX_PAUSE);
        if state.pauses.len() >= MAX_PAUSES {
            state.pauses.retain(|_, pause| pause.until > now);
        }
        // Over the limit a pause is short, not long: the connection may ask again at once.
        if state.pauses.len() < MAX_PAUSES {
            let until = now.checked_add(after).unwrap_or(now);
            state.pauses.insert(connection.clone(), Pause { until, step, cause });
        }
        after
    }

    /// Ends the waiting, after a success or a new login.
    pub(super) fn resume(&self, connection: &ConnectionId) {
        self.lock().pauses.remove(connection);
    }

    /// Waits until nothing is under way.
    pub(super) async fn finish(&self) {
        loop {
            let next = self.lock().running.values().next().cloned();
            let Some(mut landing) = next else { return };
            let _ = landing.wait_for(Option::is_some).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to refresh a connection in this process. Ends with [`land`](Self::land), or when it is dropped.
pub(super) struct Takeoff {
    flights: Arc<Flights>,
    pub(super) connection: ConnectionId,
    pub(super) permits: Arc<Semaphore>,
    sender: watch::Sender<Landing>,
    left: bool,
}

impl Takeoff {
    /// Tells everybody who waits. Nobody can join any more by then: whoever comes later reads the store, and must not
    /// be told what was true before they came.
    pub(super) fn land(mut self, result: Result<Outcome, KeeperError>) {
        self.leave();
        self.sender.send_replace(Some(result));
    }

    fn leave(&mut self) {
        if std::mem::replace(&mut self.left, true) {
            return;
        }
        let mut state = self.flights.lock();
        state.running.remove(&self.connection);
        let integration = self.connection.integration();
        if let Some(gate) = state.gates.get_mut(integration) {
            gate.flights = gate.flights.saturating_sub(1);
            if gate.flights == 0 {
                state.gates.remove(integration);
            }
        }
    }
}

impl Drop for Takeoff {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Refreshes of one integration that run or wait for their turn.
const MAX_FLIGHTS: usize = 1024;
const MAX_PAUSES: usize = 10_000;
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const MAX_PAUSE: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test data")]
mod tests {
    use super::*;

    fn connection(n: usize) -> ConnectionId {
        format!("gitlab:demo:{n}").parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_given_back() {
        let flights = Arc::new(Flights::new(4));
        let mut takeoffs = Vec::new();
        let mut refused = 0;
        for n in 0..5000 {
            match flights.enter(&connection(n), false, |takeoff| takeoffs.push(takeoff)) {
                Entry::Flight(_) => {}
                Entry::Full => refused += 1,
                Entry::Paused { .. } => unreachable!(),
            }
        }
        assert_eq!((takeoffs.len(), refused), (MAX_FLIGHTS, 5000 - MAX_FLIGHTS));
        // Joining needs no room.
        assert!(matches!(flights.enter(&connection(0), false, |_| unreachable!()), Entry::Flight(_)));
        for n in 0..20_000 {
            flights.pause(&connection(n), None, None);
        }
        assert_eq!(flights.lock().pauses.len(), MAX_PAUSES);
        tokio::time::advance(MAX_PAUSE).await;
        flights.pause(&connection(0), None, None);
        assert!(flights.lock().pauses.len() <= 1);

        let waiting = tokio::spawn({
            let flights = Arc::clone(&flights);
            async move { flights.finish().await }
        });
        for takeoff in takeoffs {
            tokio::task::yield_now().await;
            assert!(!waiting.is_finished());
            takeoff.land(Err(KeeperError::Interrupted));
        }
        waiting.await.unwrap();
        let state = flights.lock();
        assert!(state.running.is_empty() && state.gates.is_empty());
    }
}
