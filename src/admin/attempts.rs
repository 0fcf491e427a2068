//! How many checks and changes administrators can make: checks send requests to a server of their choice.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The checks and changes of each administrator, and of all administrators of an owner together. Each draft has an id of its own,
/// so the limits of the HTTP client, which are for an id, do not count them together.
#[derive(Clone, Default)]
pub(super) struct Attempts(Arc<Mutex<HashMap<Who, Counts>>>);

/// Whose are counted.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Who {
    owner: Option<String>,
    /// `None` for all administrators of the owner together.
    user_id: Option<String>,
}

#[derive(Default)]
struct Counts {
    /// How many checks run now.
    running: usize,
    /// When those of the last minute began, the oldest first.
    begun: VecDeque<Instant>,
}

/// Why a check or change does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooMany {
    AtOnce,
    InAMinute,
    AtOnceOfOwner,
    InAMinuteOfOwner,
}

/// A check that runs until this is dropped.
pub(super) struct Attempt {
    attempts: Attempts,
    whose: [Who; 2],
}

impl Attempts {
    /// Begins a check, with the change after it.
    pub(super) fn begin(&self, owner: Option<&str>, user_id: &str) -> Result<Attempt, TooMany> {
        let whose = Who::both(owner, user_id);
        let mut all = self.lock();
        let [own, of_owner] = whose.each_ref().map(|who| all.get(who).map_or(0, |counts| counts.running));
        if own >= MAX_AT_ONCE {
            return Err(TooMany::AtOnce);
        }
        if of_owner >= MAX_AT_ONCE_OF_OWNER {
            return Err(TooMany::AtOnceOfOwner);
        }
        add(&mut all, &whose)?;
        for who in &whose {
            let counts = all.entry(who.clone()).or_default();
            counts.running = counts.running.saturating_add(1);
        }
        Ok(Attempt { attempts: self.clone(), whose })
    }

    /// Counts a change that sends nothing to a code host.
    pub(super) fn count(&self, owner: Option<&str>, user_id: &str) -> Result<(), TooMany> {
        add(&mut self.lock(), &Who::both(owner, user_id))
    }

    /// Those who have not done anything for a minute are forgotten.
    fn lock(&self) -> MutexGuard<'_, HashMap<Who, Counts>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, counts| counts.is_needed());
        all
    }
}

/// What is refused counts for nobody.
fn add(all: &mut HashMap<Who, Counts>, whose: &[Who; 2]) -> Result<(), TooMany> {
    let [own, of_owner] = whose.each_ref().map(|who| all.get(who).map_or(0, |counts| counts.begun.len()));
    if own >= MAX_IN_A_MINUTE {
        return Err(TooMany::InAMinute);
    }
    if of_owner >= MAX_IN_A_MINUTE_OF_OWNER {
        return Err(TooMany::InAMinuteOfOwner);
    }
    for who in whose {
        all.entry(who.clone()).or_default().begun.push_back(Instant::now());
    }
    Ok(())
}

impl Who {
    /// The administrator, and all of the owner.
    fn both(owner: Option<&str>, user_id: &str) -> [Self; 2] {
        [Some(user_id), None]
            .map(|user_id| Self { owner: owner.map(str::to_owned), user_id: user_id.map(str::to_owned) })
    }
}

impl Counts {
    fn is_needed(&mut self) -> bool {
        while self.begun.front().is_some_and(|begun| begun.elapsed() >= MINUTE) {
            self.begun.pop_front();
        }
        self.running > 0 || !self.begun.is_empty()
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut all = self.attempts.lock();
        for who in &self.whose {
            if let Some(counts) = all.get_mut(who) {
                counts.running = counts.running.saturating_sub(1);
            }
        }
    }
}

impl TooMany {
    /// What happened, and what to do.
    pub(super) fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::AtOnce => ("Four of your checks are running already.", WAIT_FOR_ONE),
            Self::InAMinute => ("You have made 60 checks and changes within a minute.", WAIT_A_MINUTE),
            Self::AtOnceOfOwner => ("16 checks of all administrators together are running already.", WAIT_FOR_ONE),
            Self::InAMinuteOfOwner => {
                ("All administrators together have made 240 checks and changes within a minute.", WAIT_A_MINUTE)
            }
        }
    }
}

const WAIT_FOR_ONE: &str = "Wait until one of them has ended, then press the button again.";
const WAIT_A_MINUTE: &str = "Wait a minute, then press the button again.";

const MAX_AT_ONCE: usize = 4;
const MAX_IN_A_MINUTE: usize = 60;
/// So that one administrator cannot use up what the others need.
const MAX_AT_ONCE_OF_OWNER: usize = 16;
const MAX_IN_A_MINUTE_OF_OWNER: usize = 240;
const MINUTE: Duration = Duration::from_secs(60);
