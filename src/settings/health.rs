use std::time::SystemTime;

use super::store::Stamp;
use crate::values::integration_id::IntegrationId;

/// How the logins of an integration go: the last ones, not all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// When a login at the code host has last succeeded, to the second. The app may have refused the user afterwards.
    pub last_login: Option<SystemTime>,
    /// The last failure that was not the user's.
    pub last_failure: Option<LoginFailure>,
}

/// A login that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginFailure {
    /// The error's code.
    pub code: String,
    /// When, to the second.
    pub at: SystemTime,
}

/// A login that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthNote {
    /// The integration.
    pub id: IntegrationId,
    /// When, to the second.
    pub at: SystemTime,
    /// The code of the error; `None` if the login at the code host has succeeded.
    pub failure: Option<String>,
}

impl HealthNote {
    /// A login that has ended now.
    pub fn now(id: &IntegrationId, failure: Option<&str>) -> Self {
        Self::new(id, SystemTime::now(), failure)
    }

    /// A login that has ended at some time.
    pub(crate) fn new(id: &IntegrationId, at: SystemTime, failure: Option<&str>) -> Self {
        Self { id: id.clone(), at: Stamp::new("", at).at, failure: failure.map(str::to_owned) }
    }
}

impl Health {
    /// Adds a note, unless a later one is known.
    pub fn add(&mut self, note: &HealthNote) {
        match &note.failure {
            None if self.last_login.is_none_or(|at| at <= note.at) => self.last_login = Some(note.at),
            Some(code) if self.last_failure.as_ref().is_none_or(|failure| failure.at <= note.at) => {
                self.last_failure = Some(LoginFailure { code: code.clone(), at: note.at });
            }
            _ => {}
        }
    }
}
