//! Sessions for tests: a browser is what the cookie of a real one would be.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{AppSession, RequestHead, Sessions};
use crate::error::AppError;
use crate::values::integration_id::IntegrationId;

#[derive(Clone, Default)]
pub(super) struct MemorySessions(pub(super) Arc<Mutex<HashMap<String, String>>>);

/// A browser with the id of its session. Put it into the extensions of its requests.
#[derive(Clone)]
pub(super) struct SessionBrowser(Arc<Mutex<String>>);

impl Default for SessionBrowser {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(random_id())))
    }
}

impl Sessions for MemorySessions {
    fn session(&self, request: &RequestHead) -> Option<Arc<dyn AppSession>> {
        Some(Arc::new(MemorySession(self.clone(), request.extensions.get::<SessionBrowser>()?.clone())))
    }

    fn layer(&self) -> &'static str {
        "the layer of this test"
    }
}

struct MemorySession(MemorySessions, SessionBrowser);

impl MemorySession {
    fn known_id(&self) -> String {
        self.1.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl AppSession for MemorySession {
    fn id(&self) -> Option<String> {
        let id = self.known_id();
        self.0.0.lock().unwrap().contains_key(&id).then_some(id)
    }

    async fn load(&self) -> Result<Option<String>, AppError> {
        Ok(self.0.0.lock().unwrap().get(&self.known_id()).cloned())
    }

    async fn store(&self, value: String) -> Result<(), AppError> {
        self.0.0.lock().unwrap().insert(self.known_id(), value);
        Ok(())
    }

    async fn renew(&self) -> Result<(), AppError> {
        let value = self.0.0.lock().unwrap().remove(&self.known_id()).unwrap_or_default();
        *self.1.0.lock().unwrap() = random_id();
        self.store(value).await
    }

    async fn end(&self) -> Result<(), AppError> {
        self.0.0.lock().unwrap().remove(&self.known_id());
        Ok(())
    }
}

fn random_id() -> String {
    IntegrationId::random().unwrap().to_string()
}
