//! Callbacks that this process has seen: each is exchanged once, whoever repeats it, and goes on if its request is dropped.

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
use crate::integration::Integration;
use crate::login::{LIFE, Login, ReturnTo};
use crate::secret::Secret;

/// What a state is called where it must not be readable: the beginning of its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct StateId(u64);

impl StateId {
    pub(super) fn of(state: &Secret) -> Self {
        Self(first(&Sha256::digest(state.expose())))
    }

    /// Of its text in the name of a cookie.
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

/// One login on its way from the callback to the app.
pub(super) struct Flight {
    pub(super) state: StateId,
    /// What it was begun with; none if it could not be found.
    pub(super) integration: Option<Arc<Integration>>,
    /// Whose account is connected; none for a login.
    pub(super) user_id: Option<String>,
    pub(super) return_to: Option<ReturnTo>,
    /// The session that the browser had, if it had one.
    pub(super) session: Option<String>,
    /// Of the callback's path and query: whoever repeats it has the code too.
    whole: [u8; 32],
    binding: Mutex<Option<Secret>>,
    landed: Mutex<Option<Result<Login, Failure>>>,
    is_landed: watch::Sender<bool>,
    is_cancelled: AtomicBool,
}

/// What begins a flight.
pub(super) struct Takeoff {
    pub(super) state: StateId,
    pub(super) integration: Option<Arc<Integration>>,
    pub(super) user_id: Option<String>,
    pub(super) return_to: Option<ReturnTo>,
    pub(super) session: Option<String>,
    pub(super) binding: Secret,
}

impl Flight {
    /// How it ended, when it has: a login for each repetition of the callback, a failure for the first that asks. `None`
    /// if all of it has been given out.
    pub(super) async fn outcome(&self) -> Option<Result<Login, Failure>> {
        let mut ends = self.is_landed.subscribe();
        // The sender is in `self`.
        let _ = ends.wait_for(|landed| *landed).await;
        let mut landed = lock(&self.landed);
        match landed.take()? {
            Ok(login) => {
                let copy = login.duplicate();
                *landed = Some(Ok(login));
                Some(Ok(copy))
            }
            Err(failure) => Some(Err(failure)),
        }
    }

    /// Keeps how it ended. Those who wait are told when the [`Landing`] is dropped.
    pub(super) fn land(&self, outcome: Result<Login, Failure>) {
        *lock(&self.landed) = Some(outcome);
    }

    /// Wipes what a repetition would be given.
    pub(super) fn forget(&self) {
        lock(&self.binding).take();
        lock(&self.landed).take();
    }

    /// Whether the browser has logged out meanwhile.
    pub(super) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Acquire)
    }
}

/// Lands a flight whatever becomes of its task.
pub(super) struct Landing(pub(super) Arc<Flight>);

impl Drop for Landing {
    fn drop(&mut self) {
        self.0.is_landed.send_replace(true);
    }
}

#[derive(Default)]
pub(super) struct Flights(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    flights: Recent<Arc<Flight>>,
    /// Sessions that have another id since a login has finished.
    renewed: Recent<()>,
    begun: Recent<()>,
}

impl Flights {
    /// Begins a flight, unless one has begun for this state.
    pub(super) fn take_off(&self, takeoff: Takeoff, whole: &str) -> Option<Arc<Flight>> {
        let Takeoff { state, integration, user_id, return_to, session, binding } = takeoff;
        let flight = Arc::new(Flight {
            state,
            integration,
            user_id,
            return_to,
            session,
            whole: Sha256::digest(whole).into(),
            binding: Mutex::new(Some(binding)),
            landed: Mutex::new(None),
            is_landed: watch::Sender::new(false),
            is_cancelled: AtomicBool::new(false),
        });
        self.seen().flights.insert(state.0, Arc::clone(&flight), REMEMBERED).then_some(flight)
    }

    /// The flight of a callback that is repeated by the browser that has begun it. `holds` says whether the request comes
    /// with what bound the login to its browser.
    pub(super) fn again(&self, state: StateId, whole: &str, holds: impl Fn(&str) -> bool) -> Option<Arc<Flight>> {
        let flight = self.seen().flights.get(state.0).cloned()?;
        let same = flight.whole == <[u8; 32]>::from(Sha256::digest(whole))
            && lock(&flight.binding).as_ref().is_some_and(|binding| holds(binding.expose()));
        same.then_some(flight)
    }

    /// The browser has seen the response: nothing is given out any more.
    pub(super) fn confirm(&self, state: StateId) {
        let flight = self.seen().flights.get(state.0).cloned();
        if let Some(flight) = flight.filter(|flight| *flight.is_landed.borrow()) {
            flight.forget();
        }
    }

    pub(super) fn cancel(&self, state: StateId) {
        let flight = self.seen().flights.get(state.0).cloned();
        if let Some(flight) = flight {
            flight.is_cancelled.store(true, Ordering::Release);
        }
    }

    /// A session gets another id. The number is what to give to [`ended`](Self::ended).
    pub(super) fn renewed(&self, session: &str) -> u64 {
        let id = first(&Sha256::digest(session));
        self.seen().renewed.insert(id, (), UNDER_WAY);
        id
    }

    pub(super) fn is_renewed(&self, session: &str) -> bool {
        self.seen().renewed.get(first(&Sha256::digest(session))).is_some()
    }

    pub(super) fn ended(&self, renewed: u64) {
        self.seen().renewed.remove(renewed);
    }

    pub(super) fn begun(&self, state: StateId) {
        self.seen().begun.insert(state.0, (), LIFE);
    }

    pub(super) fn has_begun(&self, state: StateId) -> bool {
        self.seen().begun.get(state.0).is_some()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.0)
    }
}

/// For how long a callback can be repeated after it has ended in a login.
pub(super) const REPEATED: Duration = Duration::from_secs(30);
/// Longer than a pending login lives, and than clocks may differ.
const REMEMBERED: Duration = Duration::from_secs(3700);
/// Longer than a login takes.
const UNDER_WAY: Duration = Duration::from_secs(300);
const MAX_SEEN: usize = 1 << 16;

/// Values that are forgotten after a while, and bounded in number, the oldest forgotten first.
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
    /// Whether there was none of this id.
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

    fn takeoff(state: StateId, binding: &str) -> Takeoff {
        let binding = Secret::untrusted(binding.to_owned());
        Takeoff { state, integration: None, user_id: None, return_to: None, session: None, binding }
    }

    #[test]
    fn a_state_is_spent_once() {
        let flights = Flights::default();
        for state in Secret::random::<2>().unwrap() {
            let state = StateId::of(&state);
            assert!(flights.take_off(takeoff(state, "browser"), "code=x").is_some());
            assert!(flights.take_off(takeoff(state, "browser"), "code=x").is_none());
        }
    }

    #[test]
    fn only_the_same_browser_with_the_same_code_joins() {
        let flights = Flights::default();
        let state = StateId(7);
        let flight = flights.take_off(takeoff(state, "browser"), "code=x").unwrap();
        let joins = |state, query, holder: &str| flights.again(state, query, |binding| binding == holder).is_some();
        assert!(joins(state, "code=x", "browser"));
        assert!(!joins(state, "code=y", "browser"));
        assert!(!joins(state, "code=x", "other"));
        assert!(!joins(StateId(8), "code=x", "browser"));
        // Not before it has landed.
        flights.confirm(state);
        assert!(joins(state, "code=x", "browser"));
        drop(Landing(flight));
        flights.confirm(state);
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
            assert!(recent.insert(number, (), LIFE));
        }
        assert_eq!((recent.values.len(), recent.order.len()), (MAX_SEEN, MAX_SEEN));
        assert!(recent.get(0).is_none());
    }
}
