//! Keeps one code host's trouble from everybody else's logins.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use url::Url;

use super::limits::{Learnt, Limits, RequestLimits};
use super::{Sending, Transport};
use crate::error::TransportError;
use crate::token::Origin;

/// The transport of one integration: a bounded number of requests at once, and none for a while to a code host that
/// does not answer. Both are kept by the integration's id in the shared client, so that a tenant that saves its settings
/// again gets no more of them, and one that names somebody else's code host as its own can use up no slots but its own.
#[derive(Debug)]
pub(crate) struct Bulkhead {
    inner: Arc<dyn Transport>,
    limits: RequestLimits,
    origin: Origin,
    max_in_flight: usize,
}

impl Bulkhead {
    /// A transport that shares no limits gets some for this integration alone.
    pub(crate) fn new(inner: Arc<dyn Transport>, origin: Origin, max_in_flight: usize) -> Self {
        let limits = inner.limits().cloned().unwrap_or_default();
        Self { inner, limits, origin, max_in_flight: max_in_flight.clamp(1, Semaphore::MAX_PERMITS) }
    }

    /// The same without the breaker's word: whoever asks for a check wants to know how things are now.
    pub(crate) fn checking(&self) -> impl Transport + '_ {
        Checking(self)
    }

    fn admit<'a>(&'a self, is_repeatable: bool, request: Sending<'a>) -> Sending<'a> {
        Box::pin(async move {
            let limits = self.limits();
            limits.breaker().admit(self.origin.base_url())?;
            self.attempt(&limits, is_repeatable, request).await
        })
    }

    /// Lets a request out when there is room for it. It is not polled before, so nothing of it is sent.
    async fn attempt(
        &self,
        limits: &Limits,
        is_repeatable: bool,
        request: Sending<'_>,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let _slot = slot(limits.slots()).await?;
        let response = request.await;
        let base_url = self.origin.base_url();
        let learnt = limits.breaker().learn(base_url, response.as_ref().err(), is_repeatable);
        if let (Learnt::Doubtful, Err(error)) = (learnt, &response) {
            // Somebody who has no account can have codes sent that nobody gave, and a firewall in front of the code host may
            // cut such requests off. What is sent now holds nothing of theirs.
            let alive = tokio::time::timeout(MAX_WAIT, self.inner.send(self.is_anybody_there(), MAX_PROBE)).await;
            let dead = alive.map_or(true, |alive| alive.is_err_and(|error| error.is_transient()));
            limits.breaker().decide(base_url, error, dead);
        }
        response
    }

    fn is_anybody_there(&self) -> http::Request<Vec<u8>> {
        let mut request = http::Request::new(Vec::new());
        *request.method_mut() = http::Method::HEAD;
        *request.uri_mut() = self.origin.base_url().as_str().parse().unwrap_or_default();
        request
    }

    fn limits(&self) -> Arc<Limits> {
        self.limits.of(self.origin.integration(), self.max_in_flight)
    }
}

impl Transport for Bulkhead {
    fn send<'a, 'b>(&'a self, request: http::Request<Vec<u8>>, max_body: usize) -> Sending<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        self.admit(is_repeatable(request.method()), self.inner.send(request, max_body))
    }

    fn send_to<'a, 'u, 'b>(&'a self, url: &'u Url, request: http::Request<Vec<u8>>, max_body: usize) -> Sending<'b>
    where
        'a: 'b,
        'u: 'b,
        Self: 'b,
    {
        self.admit(is_repeatable(request.method()), self.inner.send_to(url, request, max_body))
    }

    fn prepare(&self, url: &Url, requests: usize) {
        let is_resting = self.limits().breaker().is_open(self.origin.base_url());
        if !is_resting {
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
        let is_repeatable = is_repeatable(request.method());
        let request = self.0.inner.send(request, max_body);
        Box::pin(async move { self.0.attempt(&self.0.limits(), is_repeatable, request).await })
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

/// Whether a request may be sent again if nothing came back: it changes nothing at the server.
pub(super) fn is_repeatable(method: &http::Method) -> bool {
    method == http::Method::GET || method == http::Method::HEAD
}

/// Requests of one integration at once, unless it is built otherwise.
pub(crate) const MAX_IN_FLIGHT: usize = 4;
const MAX_WAIT: Duration = Duration::from_secs(5);
const MAX_PROBE: usize = 64 * 1024;
