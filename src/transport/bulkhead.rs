//! Keeps one code host's trouble from everybody else's logins.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Uri;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Transport;
use super::limits::{Learnt, Limits, RequestLimits};
use crate::error::TransportError;
use crate::values::token::TokenBinding;

/// The transport of one integration: a bounded number of requests at once, and none for a while to a code host that
/// does not answer. Both are kept by the integration's id in the shared client, so that a tenant that saves its settings
/// again gets no more of them, and one that names somebody else's code host as its own can use up no slots but its own.
#[derive(Debug)]
pub(crate) struct Bulkhead {
    inner: Arc<dyn Transport>,
    limits: RequestLimits,
    binding: TokenBinding,
    max_in_flight: usize,
}

impl Bulkhead {
    /// A transport that shares no limits gets some for this integration alone.
    pub(crate) fn new(inner: Arc<dyn Transport>, binding: TokenBinding, max_in_flight: usize) -> Self {
        let limits = inner.limits().cloned().unwrap_or_default();
        Self { inner, limits, binding, max_in_flight: max_in_flight.clamp(1, Semaphore::MAX_PERMITS) }
    }

    /// The same without the breaker's word: whoever asks for a check wants to know how things are now.
    pub(crate) fn checking(&self) -> impl Transport + '_ {
        Checking(self)
    }

    /// Sends a request when there is room for it.
    async fn attempt(
        &self,
        limits: &Limits,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let _slot = slot(limits.slots()).await?;
        let is_repeatable = is_repeatable(request.method());
        let response = (*self.inner).send(request, max_body).await;
        let base_url = self.binding.base_url();
        let learnt = limits.breaker().learn(base_url, response.as_ref().err(), is_repeatable);
        if let (Learnt::Doubtful, Err(error)) = (learnt, &response) {
            // Somebody who has no account can have codes sent that nobody gave, and a firewall in front of the code host may
            // cut such requests off. What is sent now holds nothing of theirs.
            let alive = tokio::time::timeout(MAX_WAIT, (*self.inner).send(self.is_anybody_there(), MAX_PROBE)).await;
            let dead = alive.map_or(true, |alive| alive.is_err_and(|error| error.advice().is_transient));
            limits.breaker().decide(base_url, error, dead);
        }
        response
    }

    fn is_anybody_there(&self) -> http::Request<Vec<u8>> {
        let mut request = http::Request::new(Vec::new());
        *request.method_mut() = http::Method::HEAD;
        *request.uri_mut() = self.binding.base_url().endpoint(&[]);
        request
    }

    fn limits(&self) -> Arc<Limits> {
        self.limits.of(self.binding.integration(), self.max_in_flight)
    }
}

#[async_trait]
impl Transport for Bulkhead {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let limits = self.limits();
        limits.breaker().admit(self.binding.base_url())?;
        self.attempt(&limits, request, max_body).await
    }

    fn preconnect(&self, uri: &Uri, requests: usize) {
        let is_resting = self.limits().breaker().is_open(self.binding.base_url());
        if !is_resting {
            (*self.inner).preconnect(uri, requests);
        }
    }
}

#[derive(Debug)]
struct Checking<'a>(&'a Bulkhead);

#[async_trait]
impl Transport for Checking<'_> {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        self.0.attempt(&self.0.limits(), request, max_body).await
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
pub(crate) const MAX_IN_FLIGHT: usize = 32;
const MAX_WAIT: Duration = Duration::from_secs(5);
const MAX_PROBE: usize = 64 * 1024;
