//! What passes through the fakes, for a test that looks for secrets where none may be.

use std::fmt;
use std::sync::{PoisonError, RwLock};

use super::journal::RecordedRequest;
use super::wire::FakeResponse;

/// What a [`witness`] is shown. Every secret that passes is in one of them.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Seen<'a> {
    /// A request that a fake has received, or a [`ScriptedTransport`](super::ScriptedTransport).
    Request(&'a RecordedRequest),
    /// An answer that is about to be given.
    Answer(&'a http::Response<Vec<u8>>),
    /// The callback URL of somebody who was at a fake's authorization page by one call.
    Callback(&'a str),
}

/// Shows `witness` all that passes through the fakes and scripted transports of this process from now on.
///
/// For tests of a whole host: collect the codes, tokens and secrets that were sent, and assert that no log holds one.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// use codehost_oauth::{testing::{ScriptedTransport, Seen, witness}, transport::Transport};
///
/// static REQUESTS: AtomicUsize = AtomicUsize::new(0);
/// witness(|seen| {
///     if let Seen::Request(request) = seen {
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
pub fn witness(witness: impl Fn(Seen<'_>) + Send + Sync + 'static) {
    WITNESSES.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(witness));
}

pub(super) fn show(seen: Seen<'_>) {
    for witness in WITNESSES.read().unwrap_or_else(PoisonError::into_inner).iter() {
        witness(seen);
    }
}

/// The callback URL of one who pressed a button, on its way out.
pub(super) fn shown_callback<E>(callback: Result<String, E>) -> Result<String, E> {
    callback.inspect(|url| show(Seen::Callback(url)))
}

/// The answer to a request, on its way out.
pub(super) fn shown_answer(answer: FakeResponse) -> FakeResponse {
    show(Seen::Answer(&answer));
    answer
}

/// Which it is only: what it holds is full of secrets.
impl fmt::Debug for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request(_) => "Request",
            Self::Answer(_) => "Answer",
            Self::Callback(_) => "Callback",
        })
    }
}

static WITNESSES: RwLock<Vec<Box<Witness>>> = RwLock::new(Vec::new());

type Witness = dyn Fn(Seen<'_>) + Send + Sync;
