//! Browsers and sessions for tests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{AppSession, RequestHead, SessionSource};
use crate::error::AppError;
use crate::values::integration_id::IntegrationId;

#[derive(Clone, Default)]
pub(super) struct MemorySessions(pub(super) Arc<Mutex<HashMap<String, String>>>);

/// What the session cookie of a real browser would be. Put it into the extensions of its requests.
#[derive(Clone)]
pub(super) struct SessionBrowser(Arc<Mutex<String>>);

/// A browser, with the user who is logged in.
#[cfg(feature = "testing")]
#[derive(Clone, Default)]
pub(super) struct Browser {
    pub(super) user: Option<&'static str>,
    session: SessionBrowser,
    cookies: Vec<(String, String)>,
}

#[cfg(feature = "testing")]
impl Browser {
    pub(super) fn of(user: &'static str) -> Self {
        Self { user: Some(user), ..Self::default() }
    }

    pub(super) fn request(&self, path: &str) -> http::request::Builder {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = http::Request::get(path).header(http::header::COOKIE, cookies.join("; "));
        let request = request.extension(self.session.clone());
        self.user.into_iter().fold(request, |request, user| request.header("x-user", user))
    }

    pub(super) fn set_cookies(&mut self, response: &axum::response::Response) {
        for cookie in response.headers().get_all(http::header::SET_COOKIE) {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            if !rest.contains("Max-Age=0") {
                self.cookies.push((name.to_owned(), rest.split(';').next().unwrap().to_owned()));
            }
        }
    }
}

impl Default for SessionBrowser {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(random_id())))
    }
}

impl SessionSource for MemorySessions {
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
