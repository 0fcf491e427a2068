//! Passes all requests and responses of the fakes to a test, so that it can search logs for secrets.

use std::fmt;
use std::sync::{PoisonError, RwLock};

use super::journal::RecordedRequest;
use super::wire::FakeResponse;

/// A message that passes through a fake. Every secret that is sent is in one of these.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Traffic<'a> {
    /// A request that a fake or a [`ScriptedTransport`](super::ScriptedTransport) has received.
    Request(&'a RecordedRequest),
    /// A response that is about to be sent.
    Response(&'a http::Response<Vec<u8>>),
    /// The callback URL that `authorize` or `deny` of a fake returns.
    Callback(&'a str),
}

/// From now on, calls `listener` for each message of all fakes and scripted transports of this process.
///
/// For tests of a whole app: collect the codes, tokens and secrets that were sent, and assert that the logs contain
/// none.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// use codehost_oauth::{testing::{ScriptedTransport, Traffic, on_traffic}, transport::Transport};
///
/// static REQUESTS: AtomicUsize = AtomicUsize::new(0);
/// on_traffic(|traffic| {
///     if let Traffic::Request(request) = traffic {
///         assert!(request.header("authorization").is_some_and(|value| value == "Bearer t0ken"));
///         REQUESTS.fetch_add(1, Ordering::SeqCst);
///     }
/// });
/// let request = http::Request::get("https://git.example.com/user").header("authorization", "Bearer t0ken");
/// let _ = ScriptedTransport::new().send(request.body(Vec::new())?, 1024).await;
/// assert_eq!(REQUESTS.load(Ordering::SeqCst), 1);
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
pub fn on_traffic(listener: impl Fn(Traffic<'_>) + Send + Sync + 'static) {
    LISTENERS.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(listener));
}

pub(super) fn show(traffic: Traffic<'_>) {
    for listener in LISTENERS.read().unwrap_or_else(PoisonError::into_inner).iter() {
        listener(traffic);
    }
}

/// Shows a callback URL before it is returned.
pub(super) fn shown_callback<E>(callback: Result<String, E>) -> Result<String, E> {
    callback.inspect(|url| show(Traffic::Callback(url)))
}

/// Shows a response before it is sent.
pub(super) fn shown_response(response: FakeResponse) -> FakeResponse {
    show(Traffic::Response(&response));
    response
}

/// Shows the variant only: its content has secrets.
impl fmt::Debug for Traffic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request(_) => "Request",
            Self::Response(_) => "Response",
            Self::Callback(_) => "Callback",
        })
    }
}

static LISTENERS: RwLock<Vec<Box<Listener>>> = RwLock::new(Vec::new());

type Listener = dyn Fn(Traffic<'_>) + Send + Sync;
