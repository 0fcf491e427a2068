//! What an operator sees of an operation: whose, which, how it ended and how long it took.

use std::future::Future;

use crate::error::Error;
use crate::host::IntegrationId;
use crate::provider::Platform;

/// Runs `work` in the span `codehost_oauth` with the fields `integration`, `platform`, `operation`, `outcome` (`ok` or the
/// error's code) and `duration_ms`. Nothing that a peer sent is in it.
#[cfg(feature = "tracing")]
pub(crate) async fn observed<T>(
    integration: &IntegrationId,
    platform: Platform,
    operation: &'static str,
    work: impl Future<Output = Result<T, Error>> + Send,
) -> Result<T, Error> {
    use tracing::Instrument as _;
    use tracing::field::Empty;

    let span = tracing::info_span!(
        "codehost_oauth",
        %integration,
        platform = platform.id(),
        operation,
        outcome = Empty,
        duration_ms = Empty,
    );
    let started = std::time::Instant::now();
    let result = work.instrument(span.clone()).await;
    span.record("outcome", result.as_ref().map_or_else(Error::code, |_| "ok"));
    span.record("duration_ms", u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
    result
}

#[cfg(not(feature = "tracing"))]
pub(crate) async fn observed<T>(
    _: &IntegrationId,
    _: Platform,
    _: &'static str,
    work: impl Future<Output = Result<T, Error>> + Send,
) -> Result<T, Error> {
    work.await
}
