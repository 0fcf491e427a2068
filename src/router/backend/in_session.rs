//! Pending logins in the app's own session.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};

use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard};

use super::{KEPT_FOR, StoredLogin};
#[cfg(feature = "admin")]
use super::{MAX_KEPT, MAX_KEPT_LENGTH};
use crate::error::Error;
use crate::login::{Callback, MAX_LOGIN_AGE, PendingLogin, PendingLogins, ReturnTo};
use crate::router::callback_runs::{CallbackRuns, RunLogin, StateId};
use crate::router::{AppSession, Failure, FailureCause};
use crate::util::time::unix_now;
use crate::values::secret::Secret;

/// A session is read, changed and written as a whole. In this process, only one request of a session does so at a time, and it
/// reads the session again first. Between processes, the later write wins.
pub(in crate::router) struct InSession {
    hasher: RandomState,
    locks: Box<[Mutex<()>]>,
}

impl Default for InSession {
    fn default() -> Self {
        Self { hasher: RandomState::new(), locks: (0..64).map(|_| Mutex::new(())).collect() }
    }
}

impl InSession {
    pub(super) async fn finished_logins(&self, session: &dyn AppSession) -> Result<Vec<StateId>, Failure> {
        Ok(Stored::read(session).await?.finished.iter().map(|login| login.state).collect())
    }

    pub(super) async fn csrf(&self, session: &dyn AppSession) -> Result<Option<Secret>, Failure> {
        Ok(Stored::read(session).await?.csrf.and_then(Secret::parse_random))
    }

    pub(super) async fn new_csrf(&self, session: &dyn AppSession) -> Result<Secret, Failure> {
        let _lock = self.lock(session).await;
        let mut stored = Stored::read_anew(session).await?;
        if let Some(token) = stored.csrf.clone().and_then(Secret::parse_random) {
            return Ok(token);
        }
        let [token] = Secret::random().map_err(Error::from)?;
        stored.csrf = Some(token.expose().to_owned());
        stored.write(session).await?;
        Ok(token)
    }

    pub(super) async fn insert(&self, session: &dyn AppSession, pending: PendingLogin) -> Result<(), Failure> {
        let _lock = self.lock(session).await;
        let mut stored = Stored::read_anew(session).await?;
        stored.pending.insert(pending);
        stored.write(session).await
    }

    pub(super) async fn find(&self, session: &dyn AppSession, callback: &Callback) -> Result<StoredLogin, Failure> {
        let mut stored = Stored::read(session).await?;
        if let (Some(id), Ok(login)) = (session.id(), stored.pending.take(callback)) {
            return Ok(StoredLogin::Pending { login: Box::new(login), binding: Secret::unchecked(id) });
        }
        let state = callback.state().map(StateId::of);
        let done = stored.finished.into_iter().find(|one| Some(one.state) == state && one.finished_at > oldest());
        Ok(done.map_or(StoredLogin::Nothing, |one| StoredLogin::Finished { return_to: one.return_to }))
    }

    pub(super) async fn mark_used(&self, session: &dyn AppSession, state: StateId) -> Result<(), Failure> {
        let _lock = self.lock(session).await;
        let mut stored = Stored::read_anew(session).await?;
        // The login was in a session. If that is gone, the user has logged out, and it must not be created again.
        if session.id().is_none() {
            return Err(FailureCause::LoggedOut.into());
        }
        stored.pending.remove_if(|pending| StateId::of(pending.state()) == state);
        stored.write(session).await
    }

    pub(super) async fn finish(
        &self,
        session: &dyn AppSession,
        login: &RunLogin,
        callback_runs: &CallbackRuns,
    ) -> Result<(), Failure> {
        let _lock = self.lock(session).await;
        let mut stored = Stored::read_anew(session).await?;
        push(
            &mut stored.finished,
            Finished { state: login.state, return_to: login.return_to.clone(), finished_at: unix_now() },
        );
        if !login.is_login() {
            return stored.write(session).await;
        }
        stored.csrf = None;
        stored.pending.drop_logins();
        if let Some(id) = session.id() {
            push(&mut stored.renewed_ids, callback_runs.mark_session_renewed(&id));
        }
        session.renew().await.map_err(FailureCause::Session)?;
        stored.write(session).await
    }

    /// Ends what [`CallbackRuns`] remembers of this session and of the ids that it had before.
    pub(super) async fn forget_runs(
        &self,
        session: &dyn AppSession,
        callback_runs: &CallbackRuns,
    ) -> Result<(), Failure> {
        let stored = Stored::read(session).await?;
        stored.finished.iter().for_each(|one| callback_runs.response_received(one.state));
        stored.renewed_ids.iter().for_each(|id| callback_runs.unmark_session_renewed(*id));
        Ok(())
    }

    /// Keeps a sealed text, and drops the oldest ones that are too many or too long beside it.
    #[cfg(feature = "admin")]
    pub(super) async fn keep(&self, session: &dyn AppSession, name: &str, text: &str) -> Result<(), Failure> {
        let _lock = self.lock(session).await;
        let mut stored = Stored::read_anew(session).await?;
        stored.kept.retain(|one| one.name != name);
        stored.kept.push_back(KeptText { name: name.to_owned(), text: text.to_owned(), kept_at: unix_now() });
        let length =
            |kept: &VecDeque<KeptText>| kept.iter().fold(0_usize, |sum, one| sum.saturating_add(one.text.len()));
        while stored.kept.len() > MAX_KEPT || length(&stored.kept) > MAX_KEPT_LENGTH {
            stored.kept.pop_front();
        }
        stored.write(session).await
    }

    #[cfg(feature = "admin")]
    pub(super) async fn kept(&self, session: &dyn AppSession, name: &str) -> Result<Option<String>, Failure> {
        let stored = Stored::read(session).await?;
        Ok(stored.kept.into_iter().find(|one| one.name == name).map(|one| one.text))
    }

    #[cfg(feature = "admin")]
    pub(super) async fn forget_kept(&self, session: &dyn AppSession, name: &str) -> Result<(), Failure> {
        let _lock = self.lock(session).await;
        let mut stored = Stored::read_anew(session).await?;
        if !stored.kept.iter().any(|one| one.name == name) {
            return Ok(());
        }
        stored.kept.retain(|one| one.name != name);
        stored.write(session).await
    }

    async fn lock(&self, session: &dyn AppSession) -> Option<MutexGuard<'_, ()>> {
        let number = self.hasher.hash_one(session.id()?);
        let count = u64::try_from(self.locks.len()).ok()?;
        let lock = self.locks.get(usize::try_from(number.checked_rem(count)?).ok()?)?;
        Some(lock.lock().await)
    }
}

/// Whether the session that the browser sent is still in the store.
pub(in crate::router) async fn is_stored(session: &dyn AppSession) -> Result<bool, Failure> {
    // After this, `id` is `None` if the session is gone.
    Stored::read_anew(session).await?;
    Ok(session.id().is_some())
}

/// The routes' part of the session.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Stored {
    csrf: Option<String>,
    pending: PendingLogins,
    finished: VecDeque<Finished>,
    /// The numbers that [`CallbackRuns::mark_session_renewed`] returned for the earlier ids of this session.
    renewed_ids: VecDeque<u64>,
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    kept: VecDeque<KeptText>,
}

/// A sealed text of a form that is not saved yet, the newest at the end.
#[derive(Serialize, Deserialize)]
struct KeptText {
    name: String,
    text: String,
    /// Seconds since 1970.
    kept_at: u64,
}

#[derive(Serialize, Deserialize)]
struct Finished {
    state: StateId,
    return_to: Option<ReturnTo>,
    /// Seconds since 1970.
    finished_at: u64,
}

impl Stored {
    /// A text that cannot be read counts as empty: the user starts the login again.
    async fn read(session: &dyn AppSession) -> Result<Self, Failure> {
        Ok(Self::parse(session.load().await.map_err(FailureCause::Session)?))
    }

    /// The same, read again from the store: another request of this browser may have changed it.
    async fn read_anew(session: &dyn AppSession) -> Result<Self, Failure> {
        Ok(Self::parse(session.reload().await.map_err(FailureCause::Session)?))
    }

    fn parse(text: Option<String>) -> Self {
        let mut stored: Self = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        stored.kept.retain(|one| unix_now() < one.kept_at.saturating_add(KEPT_FOR.as_secs()));
        stored
    }

    async fn write(&self, session: &dyn AppSession) -> Result<(), Failure> {
        let text = serde_json::to_string(self).map_err(|error| FailureCause::Session(error.into()))?;
        session.store(text).await.map_err(|error| FailureCause::Session(error).into())
    }
}

fn push<T>(list: &mut VecDeque<T>, item: T) {
    while list.len() >= MAX_REMEMBERED {
        list.pop_front();
    }
    list.push_back(item);
}

const MAX_REMEMBERED: usize = 8;

/// Logins that finished before this time are ignored.
fn oldest() -> u64 {
    unix_now().saturating_sub(MAX_LOGIN_AGE.as_secs())
}
