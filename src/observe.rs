//! Spans and log events: integration, operation, outcome and duration.

#[cfg(any(feature = "tracing", feature = "seal"))]
use std::fmt::Display;
use std::future::Future;

#[cfg(any(feature = "tracing", feature = "seal"))]
use crate::error::Advice;
#[cfg(feature = "tracing")]
use crate::error::Audience;
use crate::error::Error;
use crate::provider::platform::Platform;
use crate::values::integration_id::IntegrationId;

/// Runs `work` in the span `codehost_oauth` with the fields `integration`, `platform`, `operation`, `outcome` (`ok` or the
/// error's code) and `duration_ms`. It contains no text from a server.
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
        target: TARGET,
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
    if let (Err(error), "finish_login" | "finish_connect" | "finish_test" | "refresh") = (&result, operation) {
        let note = error.operator_note();
        // In the span, so that a collector of traces finds both together.
        span.in_scope(|| failed(operation, Some(integration.as_str()), error, &error.advice(), note.as_deref()));
    }
    result
}

#[cfg(not(feature = "tracing"))]
pub(crate) fn observed<T>(
    _: &IntegrationId,
    _: Platform,
    _: &'static str,
    work: impl Future<Output = Result<T, Error>> + Send,
) -> impl Future<Output = Result<T, Error>> + Send {
    work
}

/// Logs a failed login or refresh once: at `ERROR` if the operator must act, otherwise at `WARN`. `note` is a detail for the
/// operator only.
#[cfg(feature = "tracing")]
pub(crate) fn failed(
    operation: &'static str,
    integration: Option<&str>,
    cause: &dyn Display,
    advice: &Advice,
    note: Option<&str>,
) {
    let (code, audience, hint) = (advice.code, advice.audience, advice.hint.as_ref());
    if audience == Audience::Operator {
        tracing::error!(target: TARGET, integration, operation, code, ?audience, hint, note, "failed: {cause}");
    } else {
        tracing::warn!(target: TARGET, integration, operation, code, ?audience, hint, note, "failed: {cause}");
    }
}

#[cfg(all(feature = "seal", not(feature = "tracing")))]
pub(crate) fn failed(_: &'static str, _: Option<&str>, _: &dyn Display, _: &Advice, _: Option<&str>) {}

/// Logs a warning for the operator.
#[cfg(feature = "axum")]
pub(crate) fn warn(text: &str) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: TARGET, "{text}");
    #[cfg(not(feature = "tracing"))]
    let _ = text;
}

/// Logs a mistake that the operator must fix.
#[cfg(any(feature = "axum", all(feature = "http-client", feature = "seal")))]
pub(crate) fn error(text: &str) {
    #[cfg(feature = "tracing")]
    tracing::error!(target: TARGET, "{text}");
    #[cfg(not(feature = "tracing"))]
    let _ = text;
}

/// Spawns a task in the current span.
#[cfg(any(feature = "axum", all(feature = "http-client", feature = "seal")))]
pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    #[cfg(feature = "tracing")]
    let work = tracing::Instrument::in_current_span(work);
    tokio::spawn(work);
}

#[cfg(feature = "tracing")]
const TARGET: &str = "codehost_oauth";
