//! In the app's own session, from any tower-sessions layer.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard};
use tower_sessions_core::Session;

use super::{Done, Found, token};
use crate::error::Error;
use crate::login::{Callback, LIFE, PendingLogin, PendingLogins, ReturnTo};
use crate::router::flights::{Flights, StateId};
use crate::router::{Failure, FailureCause, RequestHead};
use crate::secret::Secret;

/// A session is read, changed and written back as a whole. In this process, one request of a session does so at a time, and
/// reads it anew; between processes the later one wins.
pub(in crate::router) struct SessionKeep {
    hasher: RandomState,
    locks: Box<[Mutex<()>]>,
}

/// The app's own session, if there is one in the request.
pub(in crate::router) fn app_session(request: &RequestHead) -> Option<&Session> {
    request.extensions.get()
}

impl Default for SessionKeep {
    fn default() -> Self {
        Self { hasher: RandomState::new(), locks: (0..64).map(|_| Mutex::new(())).collect() }
    }
}

impl SessionKeep {
    pub(super) async fn csrf(&self, request: &RequestHead, flights: &Flights) -> Result<Option<Secret>, Failure> {
        let stored = Stored::read(needed(request)?).await?;
        // Whoever has the session of a finished login has seen the response.
        stored.finished.iter().for_each(|one| flights.confirm(one.state));
        Ok(stored.csrf.and_then(token))
    }

    pub(super) async fn new_csrf(&self, request: &RequestHead) -> Result<Secret, Failure> {
        let session = needed(request)?;
        let _lock = self.lock(session).await;
        let mut stored = Stored::read_anew(session).await?;
        if let Some(token) = stored.csrf.clone().and_then(token) {
            return Ok(token);
        }
        let [token] = Secret::random().map_err(Error::from)?;
        stored.csrf = Some(token.expose().to_owned());
        stored.write(session).await?;
        Ok(token)
    }

    pub(super) async fn insert(&self, request: &RequestHead, pending: PendingLogin) -> Result<(), Failure> {
        let session = needed(request)?;
        let _lock = self.lock(session).await;
        let mut stored = Stored::read_anew(session).await?;
        stored.pending.insert(pending);
        stored.write(session).await
    }

    pub(super) async fn find(&self, request: &RequestHead, callback: &Callback) -> Result<Found, Failure> {
        let session = needed(request)?;
        let mut stored = Stored::read(session).await?;
        if let (Some(id), Ok(login)) = (session.id(), stored.pending.take(callback)) {
            return Ok(Found::Pending { login: Box::new(login), binding: Secret::untrusted(id.to_string()) });
        }
        let state = callback.state().map(StateId::of);
        let done = stored.finished.into_iter().find(|one| Some(one.state) == state && one.at > old());
        Ok(done.map_or(Found::Nothing, |one| Found::Finished { return_to: one.return_to }))
    }

    pub(super) async fn spend(&self, session: Option<&Session>, state: StateId) -> Result<(), Failure> {
        let session = session.ok_or(FailureCause::NoSessionLayer)?;
        let _lock = self.lock(session).await;
        let mut stored = Stored::read_anew(session).await?;
        stored.pending.remove(|pending| StateId::of(pending.state()) == state);
        stored.write(session).await
    }

    pub(super) async fn finish(
        &self,
        request: &RequestHead,
        done: &Done<'_>,
        flights: &Flights,
    ) -> Result<(), Failure> {
        let session = needed(request)?;
        let _lock = self.lock(session).await;
        let mut stored = Stored::read_anew(session).await?;
        push(&mut stored.finished, Finished { state: done.state, return_to: done.return_to.cloned(), at: now() });
        if !done.is_login {
            return stored.write(session).await;
        }
        stored.csrf = None;
        stored.pending.drop_logins();
        if let Some(id) = session.id() {
            push(&mut stored.before, flights.renewed(&id.to_string()));
        }
        session.cycle_id().await.map_err(store_failed)?;
        stored.write(session).await
    }

    /// What was under way for the session that now ends, or for those that it was before, ends with it.
    pub(super) async fn before_end(&self, request: &RequestHead, flights: &Flights) -> Result<(), Failure> {
        let stored = Stored::read(needed(request)?).await?;
        stored.finished.iter().for_each(|one| flights.confirm(one.state));
        stored.before.iter().for_each(|id| flights.ended(*id));
        Ok(())
    }

    async fn lock(&self, session: &Session) -> Option<MutexGuard<'_, ()>> {
        let number = self.hasher.hash_one(session.id()?.0);
        let count = u64::try_from(self.locks.len()).ok()?;
        let lock = self.locks.get(usize::try_from(number.checked_rem(count)?).ok()?)?;
        Some(lock.lock().await)
    }
}

/// Whether the session that the browser has sent is still in the store.
pub(in crate::router) async fn is_there(request: &RequestHead) -> Result<bool, Failure> {
    let Some(session) = app_session(request) else {
        return Ok(false);
    };
    Stored::read_anew(session).await?;
    Ok(session.id().is_some())
}

const KEY: &str = "codehost-oauth";

/// What is kept in the session.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Stored {
    csrf: Option<String>,
    pending: PendingLogins,
    finished: VecDeque<Finished>,
    /// What [`Flights`] calls the ids that the session had before.
    before: VecDeque<u64>,
}

#[derive(Serialize, Deserialize)]
struct Finished {
    state: StateId,
    return_to: Option<ReturnTo>,
    /// Seconds since 1970.
    at: u64,
}

impl Stored {
    /// What cannot be read is nothing: the login starts again.
    async fn read(session: &Session) -> Result<Self, Failure> {
        let value = session.get_value(KEY).await.map_err(store_failed)?.unwrap_or_default();
        Ok(serde_json::from_value(value).unwrap_or_default())
    }

    /// The same from the store itself. Another request of this browser may have changed it meanwhile.
    async fn read_anew(session: &Session) -> Result<Self, Failure> {
        if session.id().is_some() {
            session.load().await.map_err(store_failed)?;
        }
        Self::read(session).await
    }

    async fn write(&self, session: &Session) -> Result<(), Failure> {
        session.insert(KEY, self).await.map_err(store_failed)?;
        // The layer would store it too, but only after the response.
        session.save().await.map_err(store_failed)
    }
}

fn needed(request: &RequestHead) -> Result<&Session, Failure> {
    app_session(request).ok_or_else(|| FailureCause::NoSessionLayer.into())
}

pub(super) fn store_failed(error: tower_sessions_core::session::Error) -> Failure {
    FailureCause::Session(error.into()).into()
}

fn push<T>(list: &mut VecDeque<T>, item: T) {
    while list.len() >= MAX_REMEMBERED {
        list.pop_front();
    }
    list.push_back(item);
}

const MAX_REMEMBERED: usize = 8;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What finished before is forgotten.
fn old() -> u64 {
    now().saturating_sub(LIFE.as_secs())
}
