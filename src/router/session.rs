//! The parts of the app's session that the routes need.

use std::sync::Arc;

use async_trait::async_trait;
use tower_sessions_core::Session;

use super::RequestHead;
use crate::error::AppError;

/// Finds the app's session in a request. [`TowerSessions`] is for tower-sessions. For another session library, implement this
/// and pass it to [`LoginRoutes::with_sessions`](super::LoginRoutes::with_sessions).
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::{Arc, Mutex};
///
/// use codehost_oauth::error::AppError;
/// use codehost_oauth::router::{AppSession, RequestHead, SessionSource};
///
/// /// All sessions of an app that keeps them in memory; a request has its id in its extensions.
/// #[derive(Clone, Default)]
/// struct InMemory(Arc<Mutex<HashMap<String, String>>>);
///
/// #[derive(Clone)]
/// struct SessionId(String);
///
/// impl SessionSource for InMemory {
///     fn session(&self, request: &RequestHead) -> Option<Arc<dyn AppSession>> {
///         let SessionId(id) = request.extensions.get()?;
///         Some(Arc::new(One { all: self.clone(), id: Mutex::new(id.clone()) }))
///     }
///
///     fn layer(&self) -> &'static str {
///         "the layer of this app that adds SessionId to each request"
///     }
/// }
///
/// struct One {
///     all: InMemory,
///     id: Mutex<String>,
/// }
///
/// #[async_trait::async_trait]
/// impl AppSession for One {
///     fn id(&self) -> Option<String> {
///         let id = self.id.lock().unwrap().clone();
///         self.all.0.lock().unwrap().contains_key(&id).then_some(id)
///     }
///
///     async fn load(&self) -> Result<Option<String>, AppError> {
///         Ok(self.all.0.lock().unwrap().get(&*self.id.lock().unwrap()).cloned())
///     }
///
///     async fn store(&self, value: String) -> Result<(), AppError> {
///         self.all.0.lock().unwrap().insert(self.id.lock().unwrap().clone(), value);
///         Ok(())
///     }
///
///     async fn renew(&self) -> Result<(), AppError> {
///         let (mut all, mut id) = (self.all.0.lock().unwrap(), self.id.lock().unwrap());
///         let value = all.remove(&*id).unwrap_or_default();
///         *id = codehost_oauth::IntegrationId::random()?.to_string(); // and the response sets it as a cookie
///         all.insert(id.clone(), value);
///         Ok(())
///     }
///
///     async fn end(&self) -> Result<(), AppError> {
///         self.all.0.lock().unwrap().remove(&*self.id.lock().unwrap());
///         Ok(())
///     }
/// }
/// # let request = http::Request::new(()).into_parts().0;
/// # assert!(InMemory::default().session(&request).is_none());
/// ```
pub trait SessionSource: Send + Sync + 'static {
    /// The session of a request, stored or not; `None` if the layer that adds it is missing. Then the response has status
    /// 503, and the log says that [`layer`](Self::layer) is missing.
    fn session(&self, request: &RequestHead) -> Option<Arc<dyn AppSession>>;

    /// The name and version of the layer that adds the session to requests, for the error message: "the
    /// `SessionManagerLayer` of tower-sessions 0.15".
    fn layer(&self) -> &'static str;
}

/// The session of one browser. The routes keep one text in it, of at most 16 KiB, beside the app's own values; 12 KiB more while a form
/// of the integrations page is not saved yet.
///
/// # Contract
///
/// - The id cannot be guessed, and its cookie is `HttpOnly` and `SameSite=Lax`: browsers do not send a `Strict` cookie when a
///   code host redirects back.
/// - A session that was ended does not come back when a request that read it before stores something.
#[async_trait]
pub trait AppSession: Send + Sync {
    /// The id, if this request knows that the session is in the store.
    fn id(&self) -> Option<String>;

    /// The stored text. It may be the one that this request has read before.
    ///
    /// Signature: `async fn load(&self) -> Result<Option<String>, AppError>`
    ///
    /// # Errors
    ///
    /// The store's failure.
    async fn load(&self) -> Result<Option<String>, AppError>;

    /// The text that is in the store now: another request of this browser may have changed it. Override it if
    /// [`load`](Self::load) remembers what it has read. Afterwards [`id`](Self::id) is `None` if the session is gone.
    ///
    /// Signature: `async fn reload(&self) -> Result<Option<String>, AppError>`
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    async fn reload(&self) -> Result<Option<String>, AppError> {
        self.load().await
    }

    /// Replaces the text, and begins the session if there is none. The text is in the store when this returns, not only after
    /// the response.
    ///
    /// Signature: `async fn store(&self, value: String) -> Result<(), AppError>`
    ///
    /// # Errors
    ///
    /// The store's failure.
    async fn store(&self, value: String) -> Result<(), AppError>;

    /// Gives the session another id and keeps its content. It is called after a login, so that no one who knew the old id is
    /// logged in too. The text is stored again right afterwards.
    ///
    /// Signature: `async fn renew(&self) -> Result<(), AppError>`
    ///
    /// # Errors
    ///
    /// As [`store`](Self::store).
    async fn renew(&self) -> Result<(), AppError>;

    /// Ends the session and deletes its content.
    ///
    /// Signature: `async fn end(&self) -> Result<(), AppError>`
    ///
    /// # Errors
    ///
    /// As [`store`](Self::store).
    async fn end(&self) -> Result<(), AppError>;
}

/// The sessions of [tower-sessions](https://docs.rs/tower-sessions) 0.15, with any store.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "there is nothing in it")]
pub struct TowerSessions;

impl SessionSource for TowerSessions {
    fn session(&self, request: &RequestHead) -> Option<Arc<dyn AppSession>> {
        let session: &Session = request.extensions.get()?;
        Some(Arc::new(TowerSession(session.clone())))
    }

    fn layer(&self) -> &'static str {
        "the `SessionManagerLayer` of tower-sessions 0.15"
    }
}

struct TowerSession(Session);

#[async_trait]
impl AppSession for TowerSession {
    fn id(&self) -> Option<String> {
        self.0.id().map(|id| id.to_string())
    }

    async fn load(&self) -> Result<Option<String>, AppError> {
        // A value that is not a text counts as none.
        Ok(self.0.get_value(KEY).await?.and_then(|value| value.as_str().map(str::to_owned)))
    }

    async fn reload(&self) -> Result<Option<String>, AppError> {
        if self.0.id().is_some() {
            self.0.load().await?;
        }
        self.load().await
    }

    async fn store(&self, value: String) -> Result<(), AppError> {
        self.0.insert(KEY, value).await?;
        // The layer would store it too, but only after the response.
        Ok(self.0.save().await?)
    }

    async fn renew(&self) -> Result<(), AppError> {
        Ok(self.0.cycle_id().await?)
    }

    async fn end(&self) -> Result<(), AppError> {
        Ok(self.0.flush().await?)
    }
}

const KEY: &str = "codehost-oauth";
