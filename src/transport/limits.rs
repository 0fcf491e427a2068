//! What is remembered of each integration between its requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::error::TransportError;
use crate::values::base_url::BaseUrl;
use crate::values::integration_id::IntegrationId;

/// The slots and the circuit breakers of integrations, by id: how many requests of one integration are under way, and whether
/// its code host has failed five times in a row.
///
/// [`HttpClient`](super::HttpClient) has one for all integrations that use it or a clone of it, so what an integration uses
/// up is counted together also if it is built anew. A [`Transport`](super::Transport) of your own keeps one and returns it by
/// [`Transport::limits`](super::Transport::limits); without, each `Integration` value counts for itself.
///
/// What is kept is little, and only for integrations that have requests under way or whose last requests failed.
///
/// ```
/// use codehost_oauth::transport::{HttpClient, Network, Transport};
///
/// let http = HttpClient::builder(Network::public_only()).build()?;
/// assert!(http.limits().is_some());
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct RequestLimits(Arc<Mutex<Known>>);

impl RequestLimits {
    /// Those of one integration, which may have so many requests under way.
    pub(super) fn of(&self, id: &IntegrationId, max_in_flight: usize) -> Arc<Limits> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = known.by_id.get_mut(id) {
            entry.resize(max_in_flight);
            return Arc::clone(&entry.limits);
        }
        if known.by_id.len() >= known.sweep_at {
            known.by_id.retain(|_, entry| entry.is_needed());
            known.sweep_at = known.by_id.len().saturating_mul(2).max(MIN_SWEEP);
        }
        let limits = Arc::new(Limits { slots: Semaphore::new(max_in_flight), breaker: Mutex::default() });
        known.by_id.insert(id.clone(), Entry { limits: Arc::clone(&limits), max_in_flight });
        limits
    }
}

#[derive(Debug)]
struct Known {
    by_id: HashMap<IntegrationId, Entry>,
    /// At how many entries those that nobody needs are forgotten.
    sweep_at: usize,
}

impl Default for Known {
    fn default() -> Self {
        Self { by_id: HashMap::new(), sweep_at: MIN_SWEEP }
    }
}

#[derive(Debug)]
struct Entry {
    limits: Arc<Limits>,
    max_in_flight: usize,
}

impl Entry {
    /// Follows a changed setting; what is taken away is what is free, and the rest when it is asked for again.
    fn resize(&mut self, max_in_flight: usize) {
        let slots = &self.limits.slots;
        if max_in_flight > self.max_in_flight {
            slots.add_permits(max_in_flight.saturating_sub(self.max_in_flight));
            self.max_in_flight = max_in_flight;
        } else if max_in_flight < self.max_in_flight {
            let taken = slots.forget_permits(self.max_in_flight.saturating_sub(max_in_flight));
            self.max_in_flight = self.max_in_flight.saturating_sub(taken);
        }
    }

    fn is_needed(&self) -> bool {
        Arc::strong_count(&self.limits) > 1 || self.limits.breaker().is_recent()
    }
}

/// Those of one integration.
#[derive(Debug)]
pub(super) struct Limits {
    slots: Semaphore,
    breaker: Mutex<Breaker>,
}

impl Limits {
    pub(super) fn slots(&self) -> &Semaphore {
        &self.slots
    }

    pub(super) fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// After [`MAX_FAILURES`] transient failures in a row the last one is given again at once, without a request, for
/// [`PAUSE`]. Then one request finds out whether the code host is back.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    /// Whether one of them cannot have been caused by what a stranger had us send.
    is_certain: bool,
    /// Where, and when last: another base URL is another code host.
    last: Option<(BaseUrl, Instant)>,
    /// What is repeated until when, once there were too many failures.
    open: Option<(TransportError, Instant)>,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learnt {
    /// It is noted.
    Noted,
    /// There were too many failures, and all may have been caused by what was sent: see [`Breaker::decide`].
    Doubtful,
}

impl Breaker {
    pub(super) fn admit(&mut self, base_url: &BaseUrl) -> Result<(), TransportError> {
        if !self.is_about(base_url) {
            return Ok(());
        }
        let Some((error, until)) = &mut self.open else { return Ok(()) };
        let now = Instant::now();
        if now < *until {
            return Err(error.clone());
        }
        // This request is the one that finds out; the others wait for another pause, whatever becomes of it.
        *until = now.checked_add(PAUSE).unwrap_or(now);
        self.is_certain = false;
        Ok(())
    }

    pub(super) fn is_open(&self, base_url: &BaseUrl) -> bool {
        self.is_about(base_url) && self.open.is_some()
    }

    /// `is_repeatable`: the request held nothing that a stranger chose, as the code of a callback is.
    pub(super) fn learn(&mut self, base_url: &BaseUrl, error: Option<&TransportError>, is_repeatable: bool) -> Learnt {
        match error {
            // That was this app's own doing.
            Some(TransportError::Busy) => Learnt::Noted,
            Some(error) if error.advice().is_transient => self.fail(base_url, error, is_repeatable),
            // Whatever it said, somebody is there.
            Some(_) | None => {
                *self = Self::default();
                Learnt::Noted
            }
        }
    }

    /// After [`Learnt::Doubtful`]: whether the code host is dead for other requests as well.
    pub(super) fn decide(&mut self, base_url: &BaseUrl, error: &TransportError, is_dead: bool) {
        if is_dead {
            self.is_certain = true;
            self.open(base_url, error);
        } else {
            *self = Self::default();
        }
    }

    fn fail(&mut self, base_url: &BaseUrl, error: &TransportError, is_repeatable: bool) -> Learnt {
        if !self.is_about(base_url) {
            *self = Self::default();
        }
        self.last = Some((base_url.clone(), Instant::now()));
        self.failures = self.failures.saturating_add(1);
        // Without a connection nothing of the request was seen.
        let is_sent = matches!(error, TransportError::TimedOut | TransportError::Interrupted);
        self.is_certain |= is_repeatable || !is_sent;
        if self.failures < MAX_FAILURES {
            return Learnt::Noted;
        }
        if self.is_certain {
            self.open(base_url, error);
            return Learnt::Noted;
        }
        // Whoever else fails meanwhile does not have to look too.
        self.failures = 0;
        Learnt::Doubtful
    }

    fn open(&mut self, base_url: &BaseUrl, error: &TransportError) {
        let now = Instant::now();
        self.failures = MAX_FAILURES;
        self.last = Some((base_url.clone(), now));
        self.open = Some((error.clone(), now.checked_add(PAUSE).unwrap_or(now)));
    }

    fn is_about(&self, base_url: &BaseUrl) -> bool {
        self.last.as_ref().is_some_and(|(last, _)| last == base_url)
    }

    fn is_recent(&self) -> bool {
        self.last.as_ref().is_some_and(|(_, at)| at.elapsed() < REMEMBERED)
    }
}

const MAX_FAILURES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(30);
/// How long failures are remembered of an integration that nobody uses.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);
const MIN_SWEEP: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(count: usize) -> IntegrationId {
        format!("tenant-{count}").parse().unwrap()
    }

    fn base_url() -> BaseUrl {
        BaseUrl::constant("https://git.example.com")
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_needs_is_forgotten() {
        let limits = RequestLimits::default();
        let known = || limits.0.lock().unwrap().by_id.len();
        let held = limits.of(&id(0), 1);
        limits.of(&id(1), 1).breaker().learn(&base_url(), Some(&TransportError::Refused), true);
        for count in 2..10_000 {
            drop(limits.of(&id(count), 1));
        }
        assert!(known() <= MIN_SWEEP, "{}", known());
        assert!(Arc::ptr_eq(&held, &limits.of(&id(0), 1)));
        assert_eq!(limits.of(&id(1), 1).breaker().failures, 1);

        tokio::time::advance(REMEMBERED).await;
        for count in 2..1000 {
            drop(limits.of(&id(count), 1));
        }
        assert_eq!(limits.of(&id(1), 1).breaker().failures, 0);
    }

    #[tokio::test]
    async fn a_changed_number_of_slots_counts_at_once() {
        let limits = RequestLimits::default();
        let one = limits.of(&id(0), 1);
        let under_way = one.slots().try_acquire().unwrap();
        assert!(one.slots().try_acquire().is_err());
        assert_eq!(limits.of(&id(0), 3).slots().available_permits(), 2);
        assert_eq!(limits.of(&id(0), 1).slots().available_permits(), 0);
        drop(under_way);
        assert_eq!(limits.of(&id(0), 1).slots().available_permits(), 1);
        let _under_way = [one.slots().try_acquire().unwrap()];
        // What is under way is let end.
        assert_eq!(limits.of(&id(0), 1).slots().available_permits(), 0);
    }
}
