//! The pauses after failed refreshes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::connection::ConnectionId;
use crate::error::Error;

/// The pauses of one integration: one for each connection, and one for all of them. Bounded by [`MAX_PAUSES`].
#[derive(Default)]
pub(super) struct Pauses {
    connections: HashMap<ConnectionId, Pause>,
    all: Option<Pause>,
    /// The connection of the last outage, if nothing has succeeded since.
    last_outage: Option<ConnectionId>,
}

/// How long a connection must still wait, and why.
pub(super) struct Waiting {
    pub(super) after: Duration,
    pub(super) cause: Option<Arc<Error>>,
}

struct Pause {
    until: Instant,
    step: Duration,
    cause: Option<Arc<Error>>,
}

impl Pauses {
    /// The pause of a connection: its own or that of all connections, whichever ends later.
    pub(super) fn waiting(&self, connection: &ConnectionId) -> Option<Waiting> {
        let now = Instant::now();
        let both = [self.all.as_ref(), self.connections.get(connection)];
        let last = both.into_iter().flatten().filter(|pause| pause.until > now).max_by_key(|pause| pause.until)?;
        Some(Waiting { after: last.until.saturating_duration_since(now), cause: last.cause.clone() })
    }

    /// Pauses a connection after a failure: 30 s, doubling up to 15 minutes, or longer if the code host asks for it.
    pub(super) fn pause(
        &mut self,
        connection: &ConnectionId,
        retry_after: Option<Duration>,
        cause: &Arc<Error>,
    ) -> Duration {
        let now = Instant::now();
        let pause = Pause::next(self.connections.get(connection), now, retry_after, cause);
        let after = pause.until.saturating_duration_since(now);
        if self.connections.len() >= MAX_PAUSES && !self.connections.contains_key(connection) {
            self.connections.retain(|_, pause| pause.until > now);
        }
        if self.connections.len() < MAX_PAUSES || self.connections.contains_key(connection) {
            self.connections.insert(connection.clone(), pause);
            after
        } else {
            // So many failures have a common cause.
            self.pause_all(retry_after, cause)
        }
    }

    /// Notes an outage, and returns whether it is of the whole code host: another connection had one too, and nothing has
    /// succeeded in between. The code host may always fail for one user.
    pub(super) fn note_outage(&mut self, connection: &ConnectionId) -> bool {
        let last = self.last_outage.replace(connection.clone());
        last.is_some_and(|last| last != *connection)
    }

    /// Pauses all connections, with the same steps. Failures during the pause do not count as another step.
    pub(super) fn pause_all(&mut self, retry_after: Option<Duration>, cause: &Arc<Error>) -> Duration {
        let now = Instant::now();
        let pause = match &mut self.all {
            Some(active) if active.until > now => {
                let until = now.checked_add(retry_after.unwrap_or_default().min(MAX_PAUSE)).unwrap_or(now);
                active.until = active.until.max(until);
                active
            }
            other => {
                let next = Pause::next(other.as_ref(), now, retry_after, cause);
                other.insert(next)
            }
        };
        pause.until.saturating_duration_since(now)
    }

    /// Pauses all connections for this long, regardless of earlier steps. `false` if they were paused already.
    pub(super) fn pause_all_for(&mut self, after: Duration, cause: &Arc<Error>) -> bool {
        let now = Instant::now();
        if self.all.as_ref().is_some_and(|pause| pause.until > now) {
            return false;
        }
        let until = now.checked_add(after).unwrap_or(now);
        self.all = Some(Pause { until, step: FIRST_PAUSE, cause: Some(Arc::clone(cause)) });
        true
    }

    /// Ends the pause of a connection.
    pub(super) fn resume(&mut self, connection: &ConnectionId) {
        self.connections.remove(connection);
    }

    /// Called after a success: the next pause begins with the first step again. A pause of all connections that still
    /// runs does not end.
    pub(super) fn succeeded(&mut self, connection: &ConnectionId) {
        self.resume(connection);
        self.last_outage = None;
        let now = Instant::now();
        self.all.take_if(|pause| pause.until <= now);
    }

    /// Whether there is a pause, or one that ended so recently that the next one is longer.
    pub(super) fn is_any(&self) -> bool {
        let now = Instant::now();
        let mut pauses = self.connections.values().chain(&self.all);
        pauses.any(|pause| !pause.is_expired(now))
    }
}

impl Pause {
    fn next(last: Option<&Self>, now: Instant, retry_after: Option<Duration>, cause: &Arc<Error>) -> Self {
        let step = match last {
            Some(last) if !last.is_expired(now) => last.step.saturating_mul(2).min(MAX_PAUSE),
            _ => FIRST_PAUSE,
        };
        let after = retry_after.unwrap_or_default().max(step).min(MAX_PAUSE);
        Self { until: now.checked_add(after).unwrap_or(now), step, cause: Some(Arc::clone(cause)) }
    }

    /// Whether it ended so long ago that the next pause begins with the first step: longer ago than it lasted.
    fn is_expired(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.until) > self.step
    }
}

const MAX_PAUSES: usize = 1000;
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const MAX_PAUSE: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test data")]
mod tests {
    use super::*;
    use crate::error::TransportError;

    fn connection(n: usize) -> ConnectionId {
        format!("gitlab:demo:{n}").parse().unwrap()
    }

    fn cause() -> Arc<Error> {
        Arc::new(TransportError::TimedOut.into())
    }

    #[tokio::test(start_paused = true)]
    async fn above_the_limit_of_pauses_all_connections_are_paused() {
        let mut pauses = Pauses::default();
        for n in 0..MAX_PAUSES {
            pauses.pause(&connection(n), None, &cause());
        }
        assert!(pauses.waiting(&connection(20_000)).is_none());
        for n in MAX_PAUSES..20_000 {
            pauses.pause(&connection(n), None, &cause());
        }
        assert_eq!(pauses.connections.len(), MAX_PAUSES);
        let waiting = pauses.waiting(&connection(20_000)).unwrap();
        assert_eq!(waiting.after, FIRST_PAUSE, "all failed at the same time");
        tokio::time::advance(MAX_PAUSE * 2).await;
        assert!(!pauses.is_any());
        pauses.pause(&connection(20_000), None, &cause());
        assert_eq!(pauses.connections.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_of_all_doubles_or_is_as_long_as_the_code_host_asks() {
        let mut pauses = Pauses::default();
        for seconds in [30, 60, 120, 240, 480, 900, 900] {
            let after = pauses.pause_all(None, &cause());
            assert_eq!(after.as_secs(), seconds);
            assert_eq!(
                pauses.pause_all(None, &cause()).as_secs(),
                seconds,
                "a failure during the pause does not make it longer"
            );
            tokio::time::advance(after).await;
            assert!(pauses.waiting(&connection(1)).is_none());
        }
        pauses.succeeded(&connection(1));
        assert_eq!(pauses.pause_all(Some(Duration::from_secs(3600)), &cause()), MAX_PAUSE);
        pauses.succeeded(&connection(1));
        assert!(pauses.waiting(&connection(1)).is_some(), "a success does not end a running pause of all connections");
    }
}
