//! The refreshes that run in this process: at most one for each connection, with a limit and pauses for each
//! integration.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::client_check::ClientCheck;
use super::connection::ConnectionId;
use super::error::KeeperError;
use super::outcome::Outcome;
use super::pauses::{Pauses, Waiting};
use super::settings_digest::SettingsDigest;
use super::shared_result::SharedResult;
use crate::values::integration_id::IntegrationId;

type RefreshResult = SharedResult<Result<Outcome, KeeperError>>;

/// The response to a caller that needs a refresh.
pub(super) enum Admission {
    /// It is running: an earlier one, or one that was just started.
    Running(RefreshResult),
    /// The last one failed a short time ago, or the whole integration is paused.
    Paused(Waiting),
    /// Too many refreshes of the integration are running.
    Full,
}

/// Bounded for each integration. Integrations without a running refresh or a pause are removed.
pub(super) struct RunningRefreshes {
    state: Mutex<State>,
    limit: usize,
}

#[derive(Default)]
struct State {
    running: HashMap<(ConnectionId, SettingsDigest), RefreshResult>,
    integrations: HashMap<IntegrationId, HashMap<SettingsDigest, IntegrationState>>,
    cleaned_at: Option<Instant>,
}

/// What is known about an integration with certain settings.
struct IntegrationState {
    /// Limits the refreshes that use the network at the same time.
    permits: Arc<Semaphore>,
    /// The number of refreshes that run or wait for a permit.
    running: usize,
    pauses: Pauses,
    client_check: Arc<ClientCheck>,
}

impl RunningRefreshes {
    pub(super) fn new(limit: usize) -> Self {
        Self { state: Mutex::default(), limit }
    }

    /// Joins the running refresh, or calls `start` for a new one. A caller with a valid token does not wait for a
    /// permit: it gets [`Admission::Full`] instead.
    pub(super) fn join_or_start(
        self: &Arc<Self>,
        connection: &ConnectionId,
        settings: SettingsDigest,
        has_valid_token: bool,
        start: impl FnOnce(RefreshGuard),
    ) -> Admission {
        let mut state = self.lock();
        let key = (connection.clone(), settings);
        if let Some(result) = state.running.get(&key) {
            return Admission::Running(result.clone());
        }
        let integration = state.integration(connection.integration(), settings, self.limit);
        if let Some(waiting) = integration.pauses.waiting(connection) {
            return Admission::Paused(waiting);
        }
        let limit = if has_valid_token { self.limit } else { MAX_REFRESHES };
        if integration.running >= limit {
            return Admission::Full;
        }
        integration.running = integration.running.saturating_add(1);
        let (permits, client_check) = (Arc::clone(&integration.permits), Arc::clone(&integration.client_check));
        let result = RefreshResult::new();
        state.running.insert(key, result.clone());
        drop(state);
        let (refreshes, connection) = (Arc::clone(self), connection.clone());
        let shared = result.clone();
        start(RefreshGuard { refreshes, connection, settings, permits, client_check, result, removed: false });
        Admission::Running(shared)
    }

    /// Calls `use_pauses` with the pauses of this integration.
    pub(super) fn with_pauses<T>(
        &self,
        integration: &IntegrationId,
        settings: SettingsDigest,
        use_pauses: impl FnOnce(&mut Pauses) -> T,
    ) -> T {
        use_pauses(&mut self.lock().integration(integration, settings, self.limit).pauses)
    }

    /// Ends the pause of a connection after a new login, for all settings of its integration.
    pub(super) fn resume(&self, connection: &ConnectionId) {
        if let Some(states) = self.lock().integrations.get_mut(connection.integration()) {
            states.values_mut().for_each(|state| state.pauses.resume(connection));
        }
    }

    /// Waits until no refresh runs.
    pub(super) async fn finish(&self) {
        loop {
            let next = self.lock().running.values().next().cloned();
            let Some(result) = next else { return };
            result.wait().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The state for these settings. States of earlier settings without a running refresh are removed.
    fn integration(&mut self, id: &IntegrationId, settings: SettingsDigest, limit: usize) -> &mut IntegrationState {
        if self.integrations.len() >= CLEAN_UP_FROM
            && self.cleaned_at.is_none_or(|at| at.elapsed() >= CLEAN_UP_INTERVAL)
        {
            self.integrations.retain(|_, states| states.values().any(IntegrationState::is_needed));
            self.cleaned_at = Some(Instant::now());
        }
        let states = self.integrations.entry(id.clone()).or_default();
        if !states.contains_key(&settings) {
            states.retain(|_, state| state.running > 0);
        }
        states.entry(settings).or_insert_with(|| IntegrationState {
            permits: Arc::new(Semaphore::new(limit)),
            running: 0,
            pauses: Pauses::default(),
            client_check: Arc::default(),
        })
    }
}

impl IntegrationState {
    fn is_needed(&self) -> bool {
        self.running > 0 || self.pauses.is_any()
    }
}

/// The right to refresh a connection in this process. Ends with [`end`](Self::end), or when it is dropped.
pub(super) struct RefreshGuard {
    refreshes: Arc<RunningRefreshes>,
    pub(super) connection: ConnectionId,
    pub(super) settings: SettingsDigest,
    pub(super) permits: Arc<Semaphore>,
    pub(super) client_check: Arc<ClientCheck>,
    result: RefreshResult,
    removed: bool,
}

impl RefreshGuard {
    /// Gives the result to all callers that wait. The refresh is removed first: a later caller must read the store, and
    /// not get a result that is older than its call.
    pub(super) fn end(mut self, result: Result<Outcome, KeeperError>) {
        self.remove();
        self.result.set(result);
    }

    fn remove(&mut self) {
        if std::mem::replace(&mut self.removed, true) {
            return;
        }
        let mut state = self.refreshes.lock();
        state.running.remove(&(self.connection.clone(), self.settings));
        let id = self.connection.integration();
        let Some(states) = state.integrations.get_mut(id) else {
            return;
        };
        if let Some(integration) = states.get_mut(&self.settings) {
            integration.running = integration.running.saturating_sub(1);
            if !integration.is_needed() {
                states.remove(&self.settings);
            }
        }
        if states.is_empty() {
            state.integrations.remove(id);
        }
    }
}

impl Drop for RefreshGuard {
    fn drop(&mut self) {
        self.remove();
        self.result.set(Err(KeeperError::Interrupted));
    }
}

/// The refreshes of one integration that run or wait for a permit.
const MAX_REFRESHES: usize = 1024;
/// From this number of integrations on, those without a running refresh or a pause are removed from time to time.
const CLEAN_UP_FROM: usize = 1000;
const CLEAN_UP_INTERVAL: Duration = Duration::from_secs(30);

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test data")]
mod tests {
    use super::*;

    fn connection(n: usize) -> ConnectionId {
        format!("gitlab:demo:{n}").parse().unwrap()
    }

    const SETTINGS: SettingsDigest = SettingsDigest::of_number(1);

    #[tokio::test(start_paused = true)]
    async fn the_number_of_refreshes_is_limited_and_their_state_is_removed() {
        let refreshes = Arc::new(RunningRefreshes::new(4));
        let mut guards = Vec::new();
        let mut refused = 0;
        for n in 0..5000 {
            match refreshes.join_or_start(&connection(n), SETTINGS, false, |guard| guards.push(guard)) {
                Admission::Running(_) => {}
                Admission::Full => refused += 1,
                Admission::Paused { .. } => unreachable!(),
            }
        }
        assert_eq!((guards.len(), refused), (MAX_REFRESHES, 5000 - MAX_REFRESHES));
        // Joining a running refresh does not count.
        assert!(matches!(
            refreshes.join_or_start(&connection(0), SETTINGS, false, |_| unreachable!()),
            Admission::Running(_)
        ));

        let waiting = tokio::spawn({
            let refreshes = Arc::clone(&refreshes);
            async move { refreshes.finish().await }
        });
        for guard in guards {
            tokio::task::yield_now().await;
            assert!(!waiting.is_finished());
            guard.end(Err(KeeperError::Interrupted));
        }
        waiting.await.unwrap();
        let state = refreshes.lock();
        assert!(state.running.is_empty() && state.integrations.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn changed_settings_have_their_own_refreshes_and_pauses() {
        let refreshes = Arc::new(RunningRefreshes::new(4));
        let mut guards = Vec::new();
        let other_settings = SettingsDigest::of_number(2);
        let cause: Arc<crate::error::Error> = Arc::new(crate::error::TransportError::TimedOut.into());
        refreshes.join_or_start(&connection(1), SETTINGS, false, |guard| guards.push(guard));
        refreshes.with_pauses(connection(1).integration(), SETTINGS, |pauses| pauses.pause_all(None, &cause));
        assert!(matches!(
            refreshes.join_or_start(&connection(2), SETTINGS, false, |_| unreachable!()),
            Admission::Paused(_)
        ));
        for n in [1, 2] {
            let admission = refreshes.join_or_start(&connection(n), other_settings, false, |guard| guards.push(guard));
            assert!(matches!(admission, Admission::Running(_)));
        }
        assert_eq!(guards.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn integrations_that_failed_long_ago_are_removed() {
        let refreshes = Arc::new(RunningRefreshes::new(4));
        let cause: Arc<crate::error::Error> = Arc::new(crate::error::TransportError::TimedOut.into());
        for n in 0..CLEAN_UP_FROM {
            refreshes
                .with_pauses(&format!("i-{n}").parse().unwrap(), SETTINGS, |pauses| pauses.pause_all(None, &cause));
        }
        tokio::time::advance(Duration::from_secs(3600)).await;
        refreshes.with_pauses(&"one-more".parse().unwrap(), SETTINGS, |pauses| pauses.pause_all(None, &cause));
        assert_eq!(refreshes.lock().integrations.len(), 1);
    }
}
