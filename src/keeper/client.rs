//! Whether the code host accepts an integration's client at the moment: one question for all who need to know.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::{Error, TokenError};

/// What was found out last.
#[derive(Default)]
pub(super) struct Client(Mutex<Option<Found>>);

struct Found {
    asked_at: Instant,
    told_at: Instant,
    found: Result<bool, Arc<Error>>,
}

impl Client {
    /// Asks, or takes what somebody else has found out. That the client is accepted proves something about a refusal only
    /// if it was asked after the refusal; everything else is on the safe side, and serves all who wait for it, and for a
    /// minute those who come later.
    pub(super) async fn is_accepted(&self, ask: impl Future<Output = Result<bool, Error>>) -> Result<bool, Arc<Error>> {
        let refused_at = Instant::now();
        let mut last = self.0.lock().await;
        if let Some(last) = last.as_ref().filter(|last| last.serves(refused_at)) {
            return last.found.clone();
        }
        let asked_at = Instant::now();
        let found = ask.await.map_err(Arc::new);
        *last = Some(Found { asked_at, told_at: Instant::now(), found: found.clone() });
        found
    }
}

impl Found {
    fn serves(&self, refused_at: Instant) -> bool {
        match &self.found {
            Ok(true) => self.asked_at >= refused_at,
            Err(error) if is_rejected(error) => self.told_at.elapsed() < REJECTION_SERVES,
            Ok(false) | Err(_) => self.told_at >= refused_at,
        }
    }
}

/// Whether the code host says that it does not accept the client.
pub(super) fn is_rejected(error: &Error) -> bool {
    matches!(error, Error::Token { cause: TokenError::ClientRejected { .. }, .. })
}

/// For so long nobody asks again after the client was rejected.
pub(super) const REJECTION_SERVES: Duration = Duration::from_secs(60);
