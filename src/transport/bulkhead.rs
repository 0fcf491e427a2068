//! Limits the requests of each integration, so that a code host that fails does not slow down the logins at other code hosts.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Uri;
use http::uri::PathAndQuery;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::limits::{Limits, Recorded, RequestLimits};
use super::{ConnectionReport, Transport};
use crate::error::TransportError;
use crate::values::token::TokenBinding;

/// The transport of one integration: a limited number of requests at the same time, and a circuit breaker, which sends none
/// for a while to a code host that does not respond. Both are stored under the integration's id in the shared client. So a
/// tenant that saves its settings again gets no additional slots, and a tenant that enters the code host of another tenant
/// can use up only its own slots.
#[derive(Debug)]
pub(crate) struct Bulkhead {
    inner: Arc<dyn Transport>,
    limits: RequestLimits,
    binding: TokenBinding,
    max_in_flight: usize,
}

impl Bulkhead {
    /// If `inner` has no shared limits, this value gets its own.
    pub(crate) fn new(inner: Arc<dyn Transport>, binding: TokenBinding, max_in_flight: usize) -> Self {
        let limits = inner.limits().cloned().unwrap_or_default();
        Self { inner, limits, binding, max_in_flight: max_in_flight.clamp(1, Semaphore::MAX_PERMITS) }
    }

    /// The same transport, which an open breaker does not stop, because a check must report the current state. Outcomes are recorded
    /// anyway.
    pub(crate) fn past_breaker(&self) -> impl Transport + '_ {
        PastBreaker(self)
    }

    /// The same transport for calls of the app. A user may have chosen what they ask for, and some of them are slow. So if they
    /// fail, the breaker opens only if the start page fails too.
    pub(crate) fn for_app(&self) -> impl Transport + '_ {
        ForApp(self)
    }

    async fn send_unless_open(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
        is_trusted: bool,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let limits = self.limits();
        limits.breaker().admit(self.binding.base_url())?;
        self.attempt(&limits, request, max_body, is_trusted).await
    }

    /// Waits for a slot, sends a request, and records its outcome. `is_trusted` means that no stranger has chosen what is sent.
    async fn attempt(
        &self,
        limits: &Limits,
        request: http::Request<Vec<u8>>,
        max_body: usize,
        is_trusted: bool,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let _slot = slot(limits.slots()).await?;
        let uri = request.uri().clone();
        let response = (*self.inner).send(request, max_body).await;
        let base_url = self.binding.base_url();
        let recorded = limits.breaker().record(base_url, response.as_ref().err(), is_trusted);
        if let (Recorded::ProbeNeeded, Err(error)) = (recorded, &response) {
            // Anybody can make this app send an invalid code, and a firewall may drop such requests. So the breaker opens only
            // if a request without such content fails too.
            let probe =
                tokio::time::timeout(PROBE_TIMEOUT, (*self.inner).send(probe_request(uri), MAX_PROBE_BODY)).await;
            let is_down = probe.map_or(true, |probe| probe.is_err_and(|error| error.advice().is_transient));
            limits.breaker().record_probe(base_url, error, is_down);
        }
        response
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
        let is_trusted = has_no_code(&request);
        self.send_unless_open(request, max_body, is_trusted).await
    }

    fn preconnect(&self, uri: &Uri, requests: usize) {
        let is_open = self.limits().breaker().is_open(self.binding.base_url());
        if !is_open {
            (*self.inner).preconnect(uri, requests);
        }
    }

    async fn inspect(&self, uri: &Uri) -> Option<ConnectionReport> {
        let limits = self.limits();
        let _slot = slot(limits.slots()).await.ok()?;
        (*self.inner).inspect(uri).await
    }
}

#[derive(Debug)]
struct PastBreaker<'a>(&'a Bulkhead);

#[async_trait]
impl Transport for PastBreaker<'_> {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let is_trusted = has_no_code(&request);
        self.0.attempt(&self.0.limits(), request, max_body, is_trusted).await
    }
}

#[derive(Debug)]
struct ForApp<'a>(&'a Bulkhead);

#[async_trait]
impl Transport for ForApp<'_> {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        self.0.send_unless_open(request, max_body, false).await
    }
}

/// Only a `POST` can contain the code of a callback, which a stranger may have chosen.
fn has_no_code(request: &http::Request<Vec<u8>>) -> bool {
    is_repeatable(request.method())
}

/// A request for the start page of the server that has not responded. Any response shows that it is there.
fn probe_request(failed: Uri) -> http::Request<Vec<u8>> {
    let mut parts = failed.into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static("/"));
    let mut request = http::Request::new(Vec::new());
    *request.method_mut() = http::Method::HEAD;
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    request
}

/// Waits up to [`MAX_WAIT`] for a free slot. A timer is made only if no slot is free now.
pub(super) async fn slot(slots: &Semaphore) -> Result<SemaphorePermit<'_>, TransportError> {
    if let Ok(slot) = slots.try_acquire() {
        return Ok(slot);
    }
    match tokio::time::timeout(MAX_WAIT, slots.acquire()).await {
        Ok(Ok(slot)) => Ok(slot),
        _ => Err(TransportError::Busy),
    }
}

/// Whether a request may be sent again if no response came: its method changes nothing at the server.
pub(super) fn is_repeatable(method: &http::Method) -> bool {
    method == http::Method::GET || method == http::Method::HEAD
}

/// How many requests of one integration may be under way at the same time, unless set.
pub(crate) const MAX_IN_FLIGHT_OF_INTEGRATION: usize = 32;
/// How long a request waits for a slot.
const MAX_WAIT: Duration = Duration::from_secs(5);
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest response to a probe, in bytes.
const MAX_PROBE_BODY: usize = 64 * 1024;
