//! The pending logins of each browser, on the server.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use codehost_oauth::error::VerifyError;
use codehost_oauth::{Callback, PendingLogin, PendingLogins};

/// By a random id, which the browser's session has: the pending logins, and when the last one was begun. In an app on
/// several nodes, a table of the database.
#[derive(Default)]
pub(crate) struct PendingTable(Mutex<HashMap<String, (Instant, PendingLogins)>>);

impl PendingTable {
    /// Keeps one more, and forgets the browsers whose logins are too old to finish.
    pub(crate) fn insert(&self, browser: String, pending: PendingLogin) {
        let mut table = self.lock();
        table.retain(|_, (last, _)| last.elapsed() < Duration::from_secs(3600));
        let (last, logins) = table.entry(browser).or_insert_with(|| (Instant::now(), PendingLogins::default()));
        *last = Instant::now();
        logins.insert(pending);
    }

    /// Takes it out, so that a callback works once, also if it comes twice at the same time.
    pub(crate) fn take(&self, browser: &str, callback: &Callback) -> Result<PendingLogin, VerifyError> {
        match self.lock().get_mut(browser) {
            Some((_, logins)) => logins.take(callback),
            None => PendingLogins::default().take(callback),
        }
    }

    /// `false` if the browser has logged out.
    pub(crate) fn contains(&self, browser: &str) -> bool {
        self.lock().contains_key(browser)
    }

    /// Drops what the browser has begun besides the login that has finished. `false` if it has logged out.
    pub(crate) fn drop_logins(&self, browser: &str) -> bool {
        self.lock().get_mut(browser).map(|(_, logins)| logins.drop_logins()).is_some()
    }

    /// For a log-out: a login of this browser that is in progress must not finish.
    pub(crate) fn remove(&self, browser: &str) {
        self.lock().remove(browser);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Instant, PendingLogins)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
