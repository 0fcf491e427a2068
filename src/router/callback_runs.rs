//! The callbacks that this process handles: each is exchanged once, also if it is repeated, and goes on if its request is
//! dropped.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::Failure;
use super::operation::Operation;
use crate::integration::Integration;
use crate::login::{Login, MAX_LOGIN_AGE, ReturnTo, TestLogin};
use crate::values::secret::Secret;

/// The beginning of a state's digest: names the state where the state itself must not be readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct StateId(u64);

impl StateId {
    pub(super) fn of(state: &Secret) -> Self {
        Self(first(&Sha256::digest(state.expose())))
    }

    /// Reads the text in the name of a cookie.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(u64::from_be_bytes(bytes.try_into().ok()?)))
    }
}

impl fmt::Display for StateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0.to_be_bytes()))
    }
}

/// One callback, from its arrival until the app has the login. Repetitions of the same request share it.
pub(super) struct CallbackRun {
    pub(super) login: RunLogin,
    /// Digest of the callback's path and query: only who has the code can repeat it.
    request_digest: [u8; 32],
    binding: Mutex<Option<Secret>>,
    result: Mutex<Option<Result<Finished, Failure>>>,
    has_ended: watch::Sender<bool>,
    is_cancelled: AtomicBool,
    is_reported: AtomicBool,
}

/// What came of a callback.
pub(super) enum Finished {
    /// A login or a connection.
    Login(Box<Login>),
    Test(Box<TestLogin>),
}

impl Finished {
    fn duplicate(&self) -> Self {
        match self {
            Self::Login(login) => Self::Login(Box::new(login.duplicate())),
            Self::Test(test) => Self::Test(test.clone()),
        }
    }
}

/// The login, connection or test that a callback is to finish.
pub(super) struct RunLogin {
    pub(super) state: StateId,
    /// `FinishLogin`, `FinishConnect` or `FinishTest`.
    pub(super) operation: Operation,
    pub(super) integration_id: String,
    /// The integration when the callback arrived; `None` if it could not be found.
    pub(super) integration: Option<Integration>,
    /// The user whose account is connected, or who tests; `None` for a login.
    pub(super) user_id: Option<String>,
    pub(super) return_to: Option<ReturnTo>,
    /// The session that the browser had, if it had one.
    pub(super) session: Option<String>,
}

impl RunLogin {
    /// `false` for a connection and a test.
    pub(super) fn is_login(&self) -> bool {
        self.operation == Operation::FinishLogin
    }
}

impl CallbackRun {
    /// Waits for the end, and returns the outcome: a success for each repetition of the callback, a failure only once. `None`
    /// if there is nothing left to return.
    pub(super) async fn outcome(&self) -> Option<Result<Finished, Failure>> {
        let mut ends = self.has_ended.subscribe();
        // Cannot fail: the sender is in `self`.
        let _ = ends.wait_for(|ended| *ended).await;
        let mut result = lock(&self.result);
        match result.take()? {
            Ok(finished) => {
                let copy = finished.duplicate();
                *result = Some(Ok(finished));
                Some(Ok(copy))
            }
            Err(failure) => Some(Err(failure)),
        }
    }

    /// Stores the outcome. The waiting requests are woken when the [`CallbackRunGuard`] is dropped.
    pub(super) fn end(&self, outcome: Result<Finished, Failure>) {
        *lock(&self.result) = Some(outcome);
    }

    /// Deletes the result, so that a repetition gets nothing.
    pub(super) fn forget(&self) {
        lock(&self.binding).take();
        lock(&self.result).take();
    }

    /// `true` for the first caller only: each login is reported to the app's integrations once.
    pub(super) fn report_once(&self) -> bool {
        !self.is_reported.swap(true, Ordering::AcqRel)
    }

    /// Whether the browser has logged out meanwhile.
    pub(super) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Acquire)
    }
}

/// Ends a run when it is dropped, also if its task panics.
pub(super) struct CallbackRunGuard(pub(super) Arc<CallbackRun>);

impl Drop for CallbackRunGuard {
    fn drop(&mut self) {
        self.0.has_ended.send_replace(true);
    }
}

#[derive(Default)]
pub(super) struct CallbackRuns(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    callback_runs: Recent<Arc<CallbackRun>>,
    /// Sessions whose id was changed by a login.
    renewed: Recent<()>,
    begun: Recent<()>,
    /// States of browsers that logged out before their callback arrived.
    cancelled: Recent<()>,
}

impl CallbackRuns {
    /// Begins a run, unless one has begun for this state.
    pub(super) fn begin(&self, login: RunLogin, binding: Secret, request: &str) -> Option<Arc<CallbackRun>> {
        let state = login.state;
        let mut seen = self.seen();
        let run = Arc::new(CallbackRun {
            login,
            request_digest: Sha256::digest(request).into(),
            binding: Mutex::new(Some(binding)),
            result: Mutex::new(None),
            has_ended: watch::Sender::new(false),
            is_cancelled: AtomicBool::new(seen.cancelled.get(state.0).is_some()),
            is_reported: AtomicBool::new(false),
        });
        seen.callback_runs.insert(state.0, Arc::clone(&run), USED_STATE_TTL).then_some(run)
    }

    /// The run of a callback that the same browser repeats. `holds` says whether the request has what binds the login to
    /// its browser.
    pub(super) fn find_repeated(
        &self,
        state: StateId,
        request: &str,
        holds: impl Fn(&str) -> bool,
    ) -> Option<Arc<CallbackRun>> {
        let run = self.seen().callback_runs.get(state.0).cloned()?;
        let same = run.request_digest == <[u8; 32]>::from(Sha256::digest(request))
            && lock(&run.binding).as_ref().is_some_and(|binding| holds(binding.expose()));
        same.then_some(run)
    }

    /// The browser has received the response: repetitions get nothing from now on.
    pub(super) fn response_received(&self, state: StateId) {
        let run = self.seen().callback_runs.get(state.0).cloned();
        if let Some(run) = run.filter(|run| *run.has_ended.borrow()) {
            run.forget();
        }
    }

    /// The browser logs out. Its callback may have come without being a run yet.
    pub(super) fn cancel(&self, state: StateId) {
        let mut seen = self.seen();
        match seen.callback_runs.get(state.0) {
            Some(run) => run.is_cancelled.store(true, Ordering::Release),
            None => _ = seen.cancelled.insert(state.0, (), USED_STATE_TTL),
        }
    }

    /// A session gets another id. Pass the returned number to [`unmark_session_renewed`](Self::unmark_session_renewed).
    pub(super) fn mark_session_renewed(&self, session: &str) -> u64 {
        let id = first(&Sha256::digest(session));
        self.seen().renewed.insert(id, (), RENEWED_SESSION_TTL);
        id
    }

    pub(super) fn is_renewed(&self, session: &str) -> bool {
        self.seen().renewed.get(first(&Sha256::digest(session))).is_some()
    }

    pub(super) fn unmark_session_renewed(&self, renewed: u64) {
        self.seen().renewed.remove(renewed);
    }

    pub(super) fn note_login_begun(&self, state: StateId) {
        self.seen().begun.insert(state.0, (), MAX_LOGIN_AGE);
    }

    pub(super) fn was_login_begun(&self, state: StateId) -> bool {
        self.seen().begun.get(state.0).is_some()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.0)
    }
}

/// For how long a callback can be repeated after it has ended in a login.
pub(super) const REPEAT_WINDOW: Duration = Duration::from_secs(30);
/// The lifetime of a pending login, and 100 seconds for clocks that differ.
const USED_STATE_TTL: Duration = Duration::from_secs(3700);
/// Longer than a login takes.
const RENEWED_SESSION_TTL: Duration = Duration::from_secs(300);
const MAX_SEEN: usize = 1 << 16;

/// Values of the last time, limited in number. Old ones are removed, the oldest first, when another one is added.
struct Recent<T> {
    values: HashMap<u64, T>,
    order: VecDeque<(Instant, u64)>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { values: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T> Recent<T> {
    /// Adds a value. `false` if there is one with this id.
    fn insert(&mut self, id: u64, value: T, life: Duration) -> bool {
        while let Some((at, old)) = self.order.front().copied() {
            if at.elapsed() < life && self.order.len() < MAX_SEEN {
                break;
            }
            self.order.pop_front();
            self.values.remove(&old);
        }
        if self.values.contains_key(&id) {
            return false;
        }
        self.values.insert(id, value);
        self.order.push_back((Instant::now(), id));
        true
    }

    fn get(&self, id: u64) -> Option<&T> {
        self.values.get(&id)
    }

    fn remove(&mut self, id: u64) {
        self.values.remove(&id);
    }
}

fn first(digest: &[u8]) -> u64 {
    digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(callback_runs: &CallbackRuns, state: StateId, binding: &str) -> Option<Arc<CallbackRun>> {
        let integration_id = String::new();
        let login = RunLogin {
            state,
            operation: Operation::FinishLogin,
            integration_id,
            integration: None,
            user_id: None,
            return_to: None,
            session: None,
        };
        callback_runs.begin(login, Secret::unchecked(binding.to_owned()), "code=x")
    }

    #[test]
    fn a_state_is_used_once() {
        let callback_runs = CallbackRuns::default();
        for state in Secret::random::<2>().unwrap() {
            let state = StateId::of(&state);
            assert!(begin(&callback_runs, state, "browser").is_some());
            assert!(begin(&callback_runs, state, "browser").is_none());
        }
    }

    #[test]
    fn only_the_same_browser_with_the_same_code_joins() {
        let callback_runs = CallbackRuns::default();
        let state = StateId(7);
        let run = begin(&callback_runs, state, "browser").unwrap();
        let joins = |state, query, holder: &str| {
            callback_runs.find_repeated(state, query, |binding| binding == holder).is_some()
        };
        assert!(joins(state, "code=x", "browser"));
        assert!(!joins(state, "code=y", "browser"));
        assert!(!joins(state, "code=x", "other"));
        assert!(!joins(StateId(8), "code=x", "browser"));
        // Not before it has ended.
        callback_runs.response_received(state);
        assert!(joins(state, "code=x", "browser"));
        drop(CallbackRunGuard(run));
        callback_runs.response_received(state);
        assert!(!joins(state, "code=x", "browser"));
    }

    #[test]
    fn a_state_in_the_name_of_a_cookie_is_read_back() {
        for state in [StateId(0), StateId(1), StateId(u64::MAX)] {
            assert_eq!(StateId::parse(&state.to_string()), Some(state));
            assert_eq!(state.to_string().len(), 11);
        }
        for other in ["", "A", "AAAAAAAAAAAA", "AAAAAAAAAA=", "ÄAAAAAAAAA"] {
            assert_eq!(StateId::parse(other), None, "{other}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut recent = Recent::default();
        for number in 0..=u64::try_from(MAX_SEEN).unwrap() {
            assert!(recent.insert(number, (), MAX_LOGIN_AGE));
        }
        assert_eq!((recent.values.len(), recent.order.len()), (MAX_SEEN, MAX_SEEN));
        assert!(recent.get(0).is_none());
    }
}
