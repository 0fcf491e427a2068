//! Which user of the app an account belongs to. In your app, this is a table with the account key as its primary key.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use codehost_oauth::AccountKey;

/// The id of the user for each account key.
#[derive(Default)]
pub(crate) struct Accounts(Mutex<BTreeMap<String, String>>);

impl Accounts {
    /// The user of an account; a new one if it belongs to nobody. In your app, create one with an id of your own.
    pub(crate) fn user_of(&self, key: &AccountKey) -> String {
        self.lock().entry(key.to_string()).or_insert_with(|| key.to_string()).clone()
    }

    /// Whether the account belongs to the user now; `false` if it belongs to another one.
    pub(crate) fn connect(&self, key: &AccountKey, user: &str) -> bool {
        self.lock().entry(key.to_string()).or_insert_with(|| user.to_owned()) == user
    }

    pub(crate) fn keys_of(&self, user: &str) -> Vec<String> {
        self.lock().iter().filter(|(_, owner)| *owner == user).map(|(key, _)| key.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
