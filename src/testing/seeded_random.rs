use std::marker::PhantomData;

use crate::util::random::seeded;

/// Makes the crate's random numbers on this thread depend on a seed until it is dropped, for tests that must be
/// repeatable. All values that are made with it can be guessed, so use it only in tests.
///
/// ```
/// use codehost_oauth::IntegrationId;
/// use codehost_oauth::testing::SeededRandom;
///
/// let ids = [7, 7, 8].map(|seed| {
///     let _seeded = SeededRandom::on_this_thread(seed);
///     IntegrationId::random().unwrap()
/// });
/// assert_eq!(ids[0], ids[1]);
/// assert_ne!(ids[0], ids[2]);
/// assert_ne!(IntegrationId::random().unwrap(), IntegrationId::random().unwrap());
/// ```
#[derive(Debug)]
#[must_use = "the seed has no effect after this is dropped"]
pub struct SeededRandom {
    previous: Option<u64>,
    /// It must be dropped on the thread that it was made on.
    _not_send: PhantomData<*const ()>,
}

impl SeededRandom {
    /// Uses this seed from now on.
    pub fn on_this_thread(seed: u64) -> Self {
        Self { previous: seeded::replace(Some(seed)), _not_send: PhantomData }
    }
}

impl Drop for SeededRandom {
    fn drop(&mut self) {
        seeded::replace(self.previous);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IntegrationId;

    #[test]
    fn other_threads_use_the_systems_random_numbers() {
        let _seeded = SeededRandom::on_this_thread(7);
        let on_other_thread = || std::thread::spawn(|| IntegrationId::random().unwrap()).join().unwrap();
        let [one, other] = [on_other_thread(), on_other_thread()];
        assert_ne!(one, other);
        assert_ne!(IntegrationId::random().unwrap(), one);
    }

    #[test]
    fn the_outer_seed_continues_when_the_inner_one_ends() {
        let outer = SeededRandom::on_this_thread(1);
        let first = IntegrationId::random().unwrap();
        drop(outer);
        let _outer = SeededRandom::on_this_thread(1);
        drop(SeededRandom::on_this_thread(2));
        assert_eq!(IntegrationId::random().unwrap(), first);
    }
}
