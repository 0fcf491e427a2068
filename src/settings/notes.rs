//! Collects what happens at logins, so that no login waits for its note.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::health::HealthNote;
use super::store::IntegrationStore;
use crate::observe;
use crate::values::integration_id::IntegrationId;

pub(super) struct Notes(Arc<Inner>);

struct Inner {
    store: Arc<dyn IntegrationStore>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// The last login and the last failure of each integration.
    notes: HashMap<(IntegrationId, bool), HealthNote>,
    /// Whether a task will write them.
    has_task: bool,
}

impl Notes {
    pub(super) fn new(store: Arc<dyn IntegrationStore>) -> Self {
        Self(Arc::new(Inner { store, waiting: Mutex::default() }))
    }

    /// Returns at once. Call it in a Tokio runtime.
    pub(super) fn add(&self, id: &IntegrationId, failure: Option<&str>) {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.notes.insert((id.clone(), failure.is_some()), HealthNote::now(id, failure));
        if !std::mem::replace(&mut waiting.has_task, true) {
            let inner = Arc::clone(&self.0);
            observe::spawn(async move {
                tokio::time::sleep(WRITE_AFTER).await;
                inner.write().await;
            });
        }
    }

    pub(super) async fn write(&self) {
        self.0.write().await;
    }
}

impl Inner {
    /// A note that cannot be written is lost: the next login makes another one.
    async fn write(&self) {
        let notes: Vec<_> = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.has_task = false;
            waiting.notes.drain().map(|(_, note)| note).collect()
        };
        if !notes.is_empty() {
            if let Err(error) = self.store.note(&notes).await {
                observe::error(&error.to_string());
            }
        }
    }
}

const WRITE_AFTER: Duration = Duration::from_millis(500);
