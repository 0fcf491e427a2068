//! The slots and the circuit breaker of each integration.

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
/// An [`HttpClient`](super::HttpClient) and its clones share one value, so the requests of an integration are counted together
/// even if it is built again. A [`Transport`](super::Transport) of your own can store one and return it in
/// [`Transport::limits`](super::Transport::limits). Without it, each `Integration` value counts only its own requests.
///
/// It stores little, and only for integrations that have requests under way or whose last requests failed.
///
/// ```
/// use codehost_oauth::transport::{HttpClient, Network, Transport};
///
/// let http = HttpClient::builder(Network::public_only()).build()?;
/// assert!(http.limits().is_some());
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct RequestLimits(Arc<Mutex<Entries>>);

impl RequestLimits {
    /// The limits of one integration, which may have `max_in_flight` requests under way.
    pub(super) fn of(&self, id: &IntegrationId, max_in_flight: usize) -> Arc<Limits> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.by_id.get_mut(id) {
            entry.resize(max_in_flight);
            return Arc::clone(&entry.limits);
        }
        if entries.by_id.len() >= entries.clean_up_length {
            entries.by_id.retain(|_, entry| entry.is_needed());
            entries.clean_up_length = entries.by_id.len().saturating_mul(2).max(MIN_CLEAN_UP_LENGTH);
        }
        let limits = Arc::new(Limits { slots: Semaphore::new(max_in_flight), breaker: Mutex::default() });
        entries.by_id.insert(id.clone(), Entry { limits: Arc::clone(&limits), max_in_flight });
        limits
    }
}

#[derive(Debug)]
struct Entries {
    by_id: HashMap<IntegrationId, Entry>,
    /// The number of entries at which unused ones are removed.
    clean_up_length: usize,
}

impl Default for Entries {
    fn default() -> Self {
        Self { by_id: HashMap::new(), clean_up_length: MIN_CLEAN_UP_LENGTH }
    }
}

#[derive(Debug)]
struct Entry {
    limits: Arc<Limits>,
    max_in_flight: usize,
}

impl Entry {
    /// Applies a changed setting. To reduce the number it removes free slots now, and the others in later calls.
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

/// The slots and the circuit breaker of one integration.
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

/// A circuit breaker. After [`MAX_FAILURES`] transient failures in a row it is open for [`PAUSE`]: requests fail at once with
/// the last error, and nothing is sent. Then one request is sent to find out whether the code host responds again.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    /// Whether at least one of the failures cannot have been caused by a request that a stranger chose.
    is_certain: bool,
    /// The base URL and the time of the last failure. Another base URL is another code host.
    last: Option<(BaseUrl, Instant)>,
    /// If it is open: the error that requests get, and until when.
    open: Option<(TransportError, Instant)>,
}

/// What is left to do when an outcome was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    Done,
    /// There were too many failures, and all may have been caused by what was sent. Send a probe, and call
    /// [`Breaker::record_probe`].
    ProbeNeeded,
}

impl Breaker {
    pub(super) fn admit(&mut self, base_url: &BaseUrl) -> Result<(), TransportError> {
        if !self.is_for(base_url) {
            return Ok(());
        }
        let Some((error, until)) = &mut self.open else { return Ok(()) };
        let now = Instant::now();
        if now < *until {
            return Err(error.clone());
        }
        // This request tests the code host, and the others fail for another pause. Its failure alone proves nothing: a stranger
        // may have caused it.
        *until = now.checked_add(PAUSE).unwrap_or(now);
        self.is_certain = false;
        Ok(())
    }

    pub(super) fn is_open(&self, base_url: &BaseUrl) -> bool {
        self.is_for(base_url) && self.open.is_some()
    }

    /// Records the outcome of a request. `is_trusted`: no part of the request comes from an unauthenticated browser, such as the
    /// code of a callback.
    pub(super) fn record(&mut self, base_url: &BaseUrl, error: Option<&TransportError>, is_trusted: bool) -> Recorded {
        match error {
            // The app's own limit says nothing about the code host.
            Some(TransportError::Busy) => Recorded::Done,
            Some(error) if error.advice().is_transient => self.fail(base_url, error, is_trusted),
            // Every other outcome is no outage.
            Some(_) | None => {
                *self = Self::default();
                Recorded::Done
            }
        }
    }

    /// Records whether the code host was down for the probe too.
    pub(super) fn record_probe(&mut self, base_url: &BaseUrl, error: &TransportError, is_down: bool) {
        if is_down {
            self.is_certain = true;
            self.open(base_url, error);
        } else {
            *self = Self::default();
        }
    }

    fn fail(&mut self, base_url: &BaseUrl, error: &TransportError, is_trusted: bool) -> Recorded {
        if !self.is_for(base_url) {
            *self = Self::default();
        }
        self.last = Some((base_url.clone(), Instant::now()));
        self.failures = self.failures.saturating_add(1);
        // Without a connection, the code host received nothing of the request.
        let is_sent = matches!(error, TransportError::TimedOut | TransportError::Interrupted);
        self.is_certain |= is_trusted || !is_sent;
        if self.failures < MAX_FAILURES {
            return Recorded::Done;
        }
        if self.is_certain {
            self.open(base_url, error);
            return Recorded::Done;
        }
        // So that requests that fail during the probe do not send one too.
        self.failures = 0;
        Recorded::ProbeNeeded
    }

    fn open(&mut self, base_url: &BaseUrl, error: &TransportError) {
        let now = Instant::now();
        self.failures = MAX_FAILURES;
        self.last = Some((base_url.clone(), now));
        self.open = Some((error.clone(), now.checked_add(PAUSE).unwrap_or(now)));
    }

    fn is_for(&self, base_url: &BaseUrl) -> bool {
        self.last.as_ref().is_some_and(|(last, _)| last == base_url)
    }

    fn is_recent(&self) -> bool {
        self.last.as_ref().is_some_and(|(_, at)| at.elapsed() < FAILURE_TTL)
    }
}

const MAX_FAILURES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(30);
/// How long the failures of an unused integration are kept.
const FAILURE_TTL: Duration = Duration::from_secs(10 * 60);
const MIN_CLEAN_UP_LENGTH: usize = 256;

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
    async fn unused_entries_are_removed() {
        let limits = RequestLimits::default();
        let length = || limits.0.lock().unwrap().by_id.len();
        let held = limits.of(&id(0), 1);
        limits.of(&id(1), 1).breaker().record(&base_url(), Some(&TransportError::Unreachable), true);
        for count in 2..10_000 {
            drop(limits.of(&id(count), 1));
        }
        assert!(length() <= MIN_CLEAN_UP_LENGTH, "{}", length());
        assert!(Arc::ptr_eq(&held, &limits.of(&id(0), 1)));
        assert_eq!(limits.of(&id(1), 1).breaker().failures, 1);

        tokio::time::advance(FAILURE_TTL).await;
        for count in 2..1000 {
            drop(limits.of(&id(count), 1));
        }
        assert_eq!(limits.of(&id(1), 1).breaker().failures, 0);
    }

    #[tokio::test]
    async fn a_changed_number_of_slots_applies_at_once() {
        let limits = RequestLimits::default();
        let one = limits.of(&id(0), 1);
        let under_way = one.slots().try_acquire().unwrap();
        assert!(one.slots().try_acquire().is_err());
        assert_eq!(limits.of(&id(0), 3).slots().available_permits(), 2);
        assert_eq!(limits.of(&id(0), 1).slots().available_permits(), 0);
        drop(under_way);
        assert_eq!(limits.of(&id(0), 1).slots().available_permits(), 1);
        let _under_way = [one.slots().try_acquire().unwrap()];
        // Requests under way are not cancelled.
        assert_eq!(limits.of(&id(0), 1).slots().available_permits(), 0);
    }
}
