//! Whether the code host accepts an integration's client: one request for all refreshes that need to know.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::{Error, TokenError};

/// The last check.
#[derive(Default)]
pub(super) struct ClientCheck(Mutex<Option<Checked>>);

struct Checked {
    started_at: Instant,
    ended_at: Instant,
    result: Result<bool, Arc<Error>>,
}

impl ClientCheck {
    /// Call it directly after a refusal. Sends `check`, or takes the result of another refresh's check.
    ///
    /// That the client is accepted says something about a refusal only if the check started after it. Every other
    /// result keeps the tokens, so all callers that wait for the check use it; that the client is rejected is used for
    /// a minute.
    pub(super) async fn is_accepted(
        &self,
        check: impl Future<Output = Result<bool, Error>>,
    ) -> Result<bool, Arc<Error>> {
        let refused_at = Instant::now();
        let mut last = self.0.lock().await;
        if let Some(last) = last.as_ref().filter(|last| last.is_usable(refused_at)) {
            return last.result.clone();
        }
        let started_at = Instant::now();
        let result = check.await.map_err(Arc::new);
        *last = Some(Checked { started_at, ended_at: Instant::now(), result: result.clone() });
        result
    }
}

impl Checked {
    fn is_usable(&self, refused_at: Instant) -> bool {
        match &self.result {
            Ok(true) => self.started_at >= refused_at,
            Err(error) if is_client_rejected(error) => self.ended_at.elapsed() < REJECTION_VALID_FOR,
            Ok(false) | Err(_) => self.ended_at >= refused_at,
        }
    }
}

pub(super) fn is_client_rejected(error: &Error) -> bool {
    matches!(error, Error::Token { cause: TokenError::ClientRejected { .. }, .. })
}

/// No request is sent for this long after the client was rejected.
pub(super) const REJECTION_VALID_FOR: Duration = Duration::from_secs(60);
