//! Which refreshes are under way in this process, how many may be, and who must wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::binding::Binding;
use super::client::Client;
use super::connection::ConnectionId;
use super::error::KeeperError;
use super::outcome::Outcome;
use super::pauses::{Pauses, Waiting};
use super::shared_result::SharedResult;
use crate::values::integration_id::IntegrationId;

/// How a refresh ended.
type RefreshResult = SharedResult<Result<Outcome, KeeperError>>;

/// What somebody gets who wants a refresh.
pub(super) enum Admission {
    /// It is under way, perhaps since now.
    Flight(RefreshResult),
    /// The last one failed a short time ago, or the whole integration must wait.
    Paused(Waiting),
    /// Too many are under way.
    Full,
}

/// Bounded for each integration; of integrations there are as many as have failed of late.
pub(super) struct Flights {
    state: Mutex<State>,
    limit: usize,
}

#[derive(Default)]
struct State {
    running: HashMap<(ConnectionId, Binding), RefreshResult>,
    groups: HashMap<IntegrationId, HashMap<Binding, Group>>,
    swept_at: Option<Instant>,
}

/// An integration as it is set at the moment.
struct Group {
    /// Lets so many refreshes through at a time.
    permits: Arc<Semaphore>,
    flights: usize,
    pauses: Pauses,
    client: Arc<Client>,
}

impl Flights {
    pub(super) fn new(limit: usize) -> Self {
        Self { state: Mutex::default(), limit }
    }

    /// Joins the refresh that is under way, or begins one by `start`. Who holds a valid token does not queue.
    pub(super) fn enter(
        self: &Arc<Self>,
        connection: &ConnectionId,
        binding: Binding,
        valid: bool,
        start: impl FnOnce(RefreshGuard),
    ) -> Admission {
        let mut state = self.lock();
        let key = (connection.clone(), binding);
        if let Some(shared) = state.running.get(&key) {
            return Admission::Flight(shared.clone());
        }
        let group = state.group(connection.integration(), binding, self.limit);
        if let Some(waiting) = group.pauses.waiting(connection) {
            return Admission::Paused(waiting);
        }
        let most = if valid { self.limit } else { MAX_FLIGHTS };
        if group.flights >= most {
            return Admission::Full;
        }
        group.flights = group.flights.saturating_add(1);
        let (permits, client) = (Arc::clone(&group.permits), Arc::clone(&group.client));
        let shared = RefreshResult::new();
        state.running.insert(key, shared.clone());
        drop(state);
        let (flights, connection) = (Arc::clone(self), connection.clone());
        let result = shared.clone();
        start(RefreshGuard { flights, connection, binding, permits, client, result, left: false });
        Admission::Flight(shared)
    }

    /// What is known about who must wait at this integration.
    pub(super) fn pauses<T>(
        &self,
        integration: &IntegrationId,
        binding: Binding,
        work: impl FnOnce(&mut Pauses) -> T,
    ) -> T {
        work(&mut self.lock().group(integration, binding, self.limit).pauses)
    }

    /// Ends the waiting of a connection after a new login, whatever the settings are.
    pub(super) fn resume(&self, connection: &ConnectionId) {
        if let Some(groups) = self.lock().groups.get_mut(connection.integration()) {
            groups.values_mut().for_each(|group| group.pauses.resume(connection));
        }
    }

    /// Waits until nothing is under way.
    pub(super) async fn finish(&self) {
        loop {
            let next = self.lock().running.values().next().cloned();
            let Some(shared) = next else { return };
            shared.wait().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What was known of an integration's other settings is dropped with the first use of the new ones.
    fn group(&mut self, integration: &IntegrationId, binding: Binding, limit: usize) -> &mut Group {
        if self.groups.len() >= MANY && self.swept_at.is_none_or(|at| at.elapsed() >= SWEEP) {
            self.groups.retain(|_, groups| groups.values().any(Group::is_needed));
            self.swept_at = Some(Instant::now());
        }
        let groups = self.groups.entry(integration.clone()).or_default();
        if !groups.contains_key(&binding) {
            groups.retain(|_, group| group.flights > 0);
        }
        groups.entry(binding).or_insert_with(|| Group {
            permits: Arc::new(Semaphore::new(limit)),
            flights: 0,
            pauses: Pauses::default(),
            client: Arc::default(),
        })
    }
}

impl Group {
    fn is_needed(&self) -> bool {
        self.flights > 0 || self.pauses.is_any()
    }
}

/// The right to refresh a connection in this process. Ends with [`end`](Self::end), or when it is dropped.
pub(super) struct RefreshGuard {
    flights: Arc<Flights>,
    pub(super) connection: ConnectionId,
    pub(super) binding: Binding,
    pub(super) permits: Arc<Semaphore>,
    pub(super) client: Arc<Client>,
    result: RefreshResult,
    left: bool,
}

impl RefreshGuard {
    /// Tells everybody who waits. Nobody can join any more by then: whoever comes later reads the store, and must not
    /// be told what was true before they came.
    pub(super) fn end(mut self, result: Result<Outcome, KeeperError>) {
        self.leave();
        self.result.set(result);
    }

    fn leave(&mut self) {
        if std::mem::replace(&mut self.left, true) {
            return;
        }
        let mut state = self.flights.lock();
        state.running.remove(&(self.connection.clone(), self.binding));
        let integration = self.connection.integration();
        let Some(groups) = state.groups.get_mut(integration) else {
            return;
        };
        if let Some(group) = groups.get_mut(&self.binding) {
            group.flights = group.flights.saturating_sub(1);
            if !group.is_needed() {
                groups.remove(&self.binding);
            }
        }
        if groups.is_empty() {
            state.groups.remove(integration);
        }
    }
}

impl Drop for RefreshGuard {
    fn drop(&mut self) {
        self.leave();
        self.result.set(Err(KeeperError::Interrupted));
    }
}

/// Refreshes of one integration that run or wait for their turn.
const MAX_FLIGHTS: usize = 1024;
/// Above so many, integrations at which nobody refreshes and nobody waits are forgotten from time to time.
const MANY: usize = 1000;
const SWEEP: Duration = Duration::from_secs(30);

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test data")]
mod tests {
    use super::*;

    fn connection(n: usize) -> ConnectionId {
        format!("gitlab:demo:{n}").parse().unwrap()
    }

    const HERE: Binding = Binding::test(1);

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_given_back() {
        let flights = Arc::new(Flights::new(4));
        let mut takeoffs = Vec::new();
        let mut refused = 0;
        for n in 0..5000 {
            match flights.enter(&connection(n), HERE, false, |guard| takeoffs.push(guard)) {
                Admission::Flight(_) => {}
                Admission::Full => refused += 1,
                Admission::Paused { .. } => unreachable!(),
            }
        }
        assert_eq!((takeoffs.len(), refused), (MAX_FLIGHTS, 5000 - MAX_FLIGHTS));
        // Joining needs no room.
        assert!(matches!(flights.enter(&connection(0), HERE, false, |_| unreachable!()), Admission::Flight(_)));

        let waiting = tokio::spawn({
            let flights = Arc::clone(&flights);
            async move { flights.finish().await }
        });
        for guard in takeoffs {
            tokio::task::yield_now().await;
            assert!(!waiting.is_finished());
            guard.end(Err(KeeperError::Interrupted));
        }
        waiting.await.unwrap();
        let state = flights.lock();
        assert!(state.running.is_empty() && state.groups.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn other_settings_are_another_refresh_and_other_pauses() {
        let flights = Arc::new(Flights::new(4));
        let mut takeoffs = Vec::new();
        let there = Binding::test(2);
        let cause: Arc<crate::error::Error> = Arc::new(crate::error::TransportError::TimedOut.into());
        flights.enter(&connection(1), HERE, false, |guard| takeoffs.push(guard));
        flights.pauses(connection(1).integration(), HERE, |pauses| pauses.pause_all(None, &cause));
        assert!(matches!(flights.enter(&connection(2), HERE, false, |_| unreachable!()), Admission::Paused(_)));
        for n in [1, 2] {
            let entry = flights.enter(&connection(n), there, false, |guard| takeoffs.push(guard));
            assert!(matches!(entry, Admission::Flight(_)));
        }
        assert_eq!(takeoffs.len(), 3);
    }

    /// Integrations that nobody uses any more are not kept for ever.
    #[tokio::test(start_paused = true)]
    async fn integrations_that_failed_long_ago_are_forgotten() {
        let flights = Arc::new(Flights::new(4));
        let cause: Arc<crate::error::Error> = Arc::new(crate::error::TransportError::TimedOut.into());
        for n in 0..MANY {
            flights.pauses(&format!("i-{n}").parse().unwrap(), HERE, |pauses| pauses.pause_all(None, &cause));
        }
        tokio::time::advance(Duration::from_secs(3600)).await;
        flights.pauses(&"one-more".parse().unwrap(), HERE, |pauses| pauses.pause_all(None, &cause));
        assert_eq!(flights.lock().groups.len(), 1);
    }
}
