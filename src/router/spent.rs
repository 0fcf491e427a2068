use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::secret::Secret;

/// The states that this process has seen come back. A session store hands the same session to two requests at once,
/// and a cookie can be copied; the second callback ends here. Across nodes, that a code works once is what is left.
#[derive(Default)]
pub(super) struct Spent {
    /// Keyed at random, so nobody can find states that collide.
    hasher: RandomState,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    states: HashSet<u64>,
    order: VecDeque<(Instant, u64)>,
}

impl Spent {
    /// Whether this is the first time.
    pub(super) fn spend(&self, state: &Secret) -> bool {
        let hash = self.hasher.hash_one(state.expose());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((at, old)) = seen.order.front().copied() {
            if at.elapsed() < LIFETIME && seen.order.len() < MAX_SEEN {
                break;
            }
            seen.order.pop_front();
            seen.states.remove(&old);
        }
        let first = seen.states.insert(hash);
        if first {
            seen.order.push_back((Instant::now(), hash));
        }
        first
    }
}

/// Longer than a pending login lives, and than clocks may differ.
const LIFETIME: Duration = Duration::from_secs(700);
const MAX_SEEN: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_spent_once() {
        let spent = Spent::default();
        let [a, b] = Secret::random().unwrap();
        assert!(spent.spend(&a) && spent.spend(&b));
        assert!(!spent.spend(&a) && !spent.spend(&b));
    }

    #[test]
    fn memory_is_bounded() {
        let spent = Spent::default();
        for number in 0..=MAX_SEEN {
            spent.spend(&Secret::untrusted(number.to_string()));
        }
        let seen = spent.seen.lock().unwrap();
        assert_eq!((seen.states.len(), seen.order.len()), (MAX_SEEN, MAX_SEEN));
    }
}
