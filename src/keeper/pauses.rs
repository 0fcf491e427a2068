//! Who must wait after a failure, and for how long.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::connection::ConnectionId;
use crate::error::Error;

/// The pauses of one integration: of each connection, and of all of them. Bounded by [`MAX_PAUSES`].
#[derive(Default)]
pub(super) struct Pauses {
    connections: HashMap<ConnectionId, Pause>,
    all: Option<Pause>,
}

/// How long somebody must still wait, and why.
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
    /// Whether a connection must wait, for itself or with all others.
    pub(super) fn waiting(&self, connection: &ConnectionId) -> Option<Waiting> {
        let now = Instant::now();
        let both = [self.all.as_ref(), self.connections.get(connection)];
        let last = both.into_iter().flatten().filter(|pause| pause.until > now).max_by_key(|pause| pause.until)?;
        Some(Waiting { after: last.until.saturating_duration_since(now), cause: last.cause.clone() })
    }

    /// Makes a connection wait after a failure: 30 s, doubling to 15 minutes, or what the code host asked for.
    pub(super) fn pause(&mut self, connection: &ConnectionId, asked: Option<Duration>, cause: &Arc<Error>) -> Duration {
        let now = Instant::now();
        let pause = Pause::next(self.connections.get(connection), now, asked, cause);
        let after = pause.until.saturating_duration_since(now);
        if self.connections.len() >= MAX_PAUSES && !self.connections.contains_key(connection) {
            self.connections.retain(|_, pause| pause.until > now);
        }
        if self.connections.len() < MAX_PAUSES || self.connections.contains_key(connection) {
            self.connections.insert(connection.clone(), pause);
            after
        } else {
            // Where so many fail, it is not for something of their own.
            self.pause_all(asked, cause)
        }
    }

    /// Makes all connections wait, in the same steps. Failures of one moment are one step.
    pub(super) fn pause_all(&mut self, asked: Option<Duration>, cause: &Arc<Error>) -> Duration {
        let now = Instant::now();
        let pause = match &mut self.all {
            Some(active) if active.until > now => {
                let until = now.checked_add(asked.unwrap_or_default().min(MAX_PAUSE)).unwrap_or(now);
                active.until = active.until.max(until);
                active
            }
            other => {
                let next = Pause::next(other.as_ref(), now, asked, cause);
                other.insert(next)
            }
        };
        pause.until.saturating_duration_since(now)
    }

    /// Makes all connections wait for so long, whatever was before. `false` if they did so already.
    pub(super) fn hold_all(&mut self, after: Duration, cause: &Arc<Error>) -> bool {
        let now = Instant::now();
        if self.all.as_ref().is_some_and(|pause| pause.until > now) {
            return false;
        }
        let until = now.checked_add(after).unwrap_or(now);
        self.all = Some(Pause { until, step: FIRST_PAUSE, cause: Some(Arc::clone(cause)) });
        true
    }

    /// Ends the waiting of a connection.
    pub(super) fn resume(&mut self, connection: &ConnectionId) {
        self.connections.remove(connection);
    }

    /// After a success: the next failure of all begins with the first step again. A pause that others have asked for
    /// meanwhile stands.
    pub(super) fn succeeded(&mut self, connection: &ConnectionId) {
        self.resume(connection);
        let now = Instant::now();
        self.all.take_if(|pause| pause.until <= now);
    }

    /// Whether anybody waits.
    pub(super) fn is_any(&self) -> bool {
        let now = Instant::now();
        let mut pauses = self.connections.values().chain(&self.all);
        pauses.any(|pause| !pause.is_forgotten(now))
    }
}

impl Pause {
    /// 30 s, doubling to 15 minutes, or what the code host asked for.
    fn next(last: Option<&Self>, now: Instant, asked: Option<Duration>, cause: &Arc<Error>) -> Self {
        let step = match last {
            Some(last) if !last.is_forgotten(now) => last.step.saturating_mul(2).min(MAX_PAUSE),
            _ => FIRST_PAUSE,
        };
        let after = asked.unwrap_or_default().max(step).min(MAX_PAUSE);
        Self { until: now.checked_add(after).unwrap_or(now), step, cause: Some(Arc::clone(cause)) }
    }

    /// It ended longer ago than it lasted.
    fn is_forgotten(&self, now: Instant) -> bool {
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
    async fn memory_is_bounded_and_beyond_it_all_wait() {
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
        assert_eq!(waiting.after, FIRST_PAUSE, "all failed in one moment");
        tokio::time::advance(MAX_PAUSE * 2).await;
        assert!(!pauses.is_any());
        pauses.pause(&connection(20_000), None, &cause());
        assert_eq!(pauses.connections.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn all_wait_in_steps_or_as_long_as_they_are_asked_to() {
        let mut pauses = Pauses::default();
        for seconds in [30, 60, 120, 240, 480, 900, 900] {
            let after = pauses.pause_all(None, &cause());
            assert_eq!(after.as_secs(), seconds);
            assert_eq!(pauses.pause_all(None, &cause()).as_secs(), seconds, "the same moment is no further step");
            tokio::time::advance(after).await;
            assert!(pauses.waiting(&connection(1)).is_none());
        }
        pauses.succeeded(&connection(1));
        assert_eq!(pauses.pause_all(Some(Duration::from_secs(3600)), &cause()), MAX_PAUSE);
        pauses.succeeded(&connection(1));
        assert!(pauses.waiting(&connection(1)).is_some(), "a success ends no pause that was asked for");
    }
}
