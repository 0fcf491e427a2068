//! Keeps one code host's trouble from everybody else's logins.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use url::Url;

use super::{Sending, Transport};
use crate::error::TransportError;

/// The transport of one integration: a bounded number of requests at once, and none for a while to a code host that
/// does not answer. It belongs to the integration and not to an address, so a tenant that names somebody else's code
/// host as its own can use up no slots but its own, and it costs a few words of memory for each integration.
///
/// After [`MAX_FAILURES`] transient failures in a row the last one is given again at once, without a request, for
/// [`PAUSE`]. Then one request finds out whether the code host is back.
#[derive(Debug)]
pub(crate) struct Bulkhead {
    inner: Arc<dyn Transport>,
    slots: Semaphore,
    breaker: Mutex<Breaker>,
}

impl Bulkhead {
    pub(crate) fn new(inner: Arc<dyn Transport>, max_in_flight: usize) -> Self {
        let slots = Semaphore::new(max_in_flight.clamp(1, Semaphore::MAX_PERMITS));
        Self { inner, slots, breaker: Mutex::default() }
    }

    /// The same without the breaker's word: whoever asks for a check wants to know how things are now.
    pub(crate) fn checking(&self) -> impl Transport + '_ {
        Checking(self)
    }

    fn admit<'a>(&'a self, request: Sending<'a>) -> Sending<'a> {
        Box::pin(async {
            self.lock().admit()?;
            self.attempt(request).await
        })
    }

    /// Lets a request out when there is room for it. It is not polled before, so nothing of it is sent.
    async fn attempt(&self, request: Sending<'_>) -> Result<http::Response<Vec<u8>>, TransportError> {
        let _slot = slot(&self.slots).await?;
        let answer = request.await;
        self.lock().learn(answer.as_ref().err());
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for Bulkhead {
    fn send<'a, 'b>(&'a self, request: http::Request<Vec<u8>>, max_body: usize) -> Sending<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        self.admit(self.inner.send(request, max_body))
    }

    fn send_to<'a, 'u, 'b>(&'a self, url: &'u Url, request: http::Request<Vec<u8>>, max_body: usize) -> Sending<'b>
    where
        'a: 'b,
        'u: 'b,
        Self: 'b,
    {
        self.admit(self.inner.send_to(url, request, max_body))
    }

    fn prepare(&self, url: &Url, requests: usize) {
        let resting = self.lock().open.is_some();
        if !resting {
            self.inner.prepare(url, requests);
        }
    }
}

#[derive(Debug)]
struct Checking<'a>(&'a Bulkhead);

impl Transport for Checking<'_> {
    fn send<'a, 'b>(&'a self, request: http::Request<Vec<u8>>, max_body: usize) -> Sending<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.0.attempt(self.0.inner.send(request, max_body)))
    }
}

/// Waits a little for a free slot. A timer is made only if there is none.
pub(super) async fn slot(slots: &Semaphore) -> Result<SemaphorePermit<'_>, TransportError> {
    if let Ok(slot) = slots.try_acquire() {
        return Ok(slot);
    }
    match tokio::time::timeout(MAX_WAIT, slots.acquire()).await {
        Ok(Ok(slot)) => Ok(slot),
        _ => Err(TransportError::Busy),
    }
}

/// Requests of one integration at once, unless it is built otherwise.
pub(crate) const MAX_IN_FLIGHT: usize = 4;
const MAX_FAILURES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(30);
const MAX_WAIT: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Breaker {
    failures: u32,
    /// What is repeated until when, once there were too many failures.
    open: Option<(TransportError, Instant)>,
}

impl Breaker {
    fn admit(&mut self) -> Result<(), TransportError> {
        let Some((error, until)) = &mut self.open else { return Ok(()) };
        let now = Instant::now();
        if now < *until {
            return Err(error.clone());
        }
        // This request is the one that finds out; the others wait for another pause, whatever becomes of it.
        *until = now.checked_add(PAUSE).unwrap_or(now);
        Ok(())
    }

    fn learn(&mut self, error: Option<&TransportError>) {
        match error {
            // That was this host's own doing.
            Some(TransportError::Busy) => {}
            Some(error) if error.is_transient() => {
                self.failures = self.failures.saturating_add(1);
                if self.failures >= MAX_FAILURES {
                    let now = Instant::now();
                    self.open = Some((error.clone(), now.checked_add(PAUSE).unwrap_or(now)));
                }
            }
            // Whatever it said, somebody is there.
            Some(_) | None => *self = Self::default(),
        }
    }
}
