//! How many checks and changes the administrators of one owner can make: each sends requests to a server of their choice.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The checks and changes of each owner. Each draft has an id of its own, so the limits of the HTTP client, which are for an id,
/// do not count those of one owner together.
#[derive(Clone, Default)]
pub(super) struct Attempts(Arc<Mutex<HashMap<Option<String>, OfOwner>>>);

#[derive(Default)]
struct OfOwner {
    /// How many run now.
    running: usize,
    /// When those of the last minute began, the oldest first.
    begun: VecDeque<Instant>,
}

/// Why a check or change does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooMany {
    AtOnce,
    InAMinute,
}

/// A check or change that runs until this is dropped.
pub(super) struct Attempt {
    attempts: Attempts,
    owner: Option<String>,
}

impl Attempts {
    pub(super) fn begin(&self, owner: Option<&str>) -> Result<Attempt, TooMany> {
        let mut owners = self.lock();
        // Owners who have not done anything for a minute are forgotten.
        owners.retain(|_, of_owner| of_owner.is_needed());
        let owner = owner.map(str::to_owned);
        let of_owner = owners.entry(owner.clone()).or_default();
        if of_owner.running >= MAX_AT_ONCE {
            return Err(TooMany::AtOnce);
        }
        if of_owner.begun.len() >= MAX_IN_A_MINUTE {
            return Err(TooMany::InAMinute);
        }
        of_owner.running = of_owner.running.saturating_add(1);
        of_owner.begun.push_back(Instant::now());
        Ok(Attempt { attempts: self.clone(), owner })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<String>, OfOwner>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfOwner {
    fn is_needed(&mut self) -> bool {
        while self.begun.front().is_some_and(|begun| begun.elapsed() >= MINUTE) {
            self.begun.pop_front();
        }
        self.running > 0 || !self.begun.is_empty()
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(of_owner) = self.attempts.lock().get_mut(&self.owner) {
            of_owner.running = of_owner.running.saturating_sub(1);
        }
    }
}

impl TooMany {
    /// What happened, and what to do.
    pub(super) fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::AtOnce => {
                ("Four checks are running already.", "Wait until one of them has ended, then press the button again.")
            }
            Self::InAMinute => {
                ("There were 60 checks and changes within a minute.", "Wait a minute, then press the button again.")
            }
        }
    }
}

const MAX_AT_ONCE: usize = 4;
const MAX_IN_A_MINUTE: usize = 60;
const MINUTE: Duration = Duration::from_secs(60);
