use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

/// The result of a task, for all callers that wait for it. They are woken in the order in which they came, so that a
/// seed of the simulation always gives the same schedule.
pub(super) struct SharedResult<T>(Arc<State<T>>);

struct State<T> {
    result: OnceLock<T>,
    ended: Notify,
}

impl<T: Send + Sync> SharedResult<T> {
    pub(super) fn new() -> Self {
        Self(Arc::new(State { result: OnceLock::new(), ended: Notify::new() }))
    }

    /// Wakes all callers. Only the first result counts.
    pub(super) fn set(&self, result: T) {
        let _ = self.0.result.set(result);
        self.0.ended.notify_waiters();
    }

    pub(super) async fn wait(&self) -> &T {
        loop {
            // Registered before the check, so that a result that comes between the two is not missed.
            let ended = self.0.ended.notified();
            if let Some(result) = self.0.result.get() {
                return result;
            }
            ended.await;
        }
    }
}

impl<T> Clone for SharedResult<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
