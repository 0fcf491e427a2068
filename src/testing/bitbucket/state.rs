use std::time::Duration;

use super::person::FakePerson;
use crate::testing::application::FakeApplication;
use crate::testing::grants::Grants;

/// Which of Bitbucket's two back ends answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefreshRotation {
    /// That of 2026: tokens of more than 2,000 characters, the member `scope`, and with each refresh a new
    /// refresh token. One that was used is dead.
    Rotating,
    /// The older one: short tokens, the members `scopes` and `state`, and the same refresh token for ever.
    Old,
}

pub(super) struct State {
    pub(super) base_url: String,
    pub(super) api_url: String,
    pub(super) applications: Vec<FakeApplication>,
    pub(super) people: Vec<FakePerson>,
    pub(super) grants: Grants,
    pub(super) token_lifetime: Option<Duration>,
    pub(super) rotation: RefreshRotation,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            base_url: String::new(),
            api_url: String::new(),
            applications: Vec::new(),
            people: FakePerson::presets(),
            grants: Grants::default(),
            token_lifetime: Some(Duration::from_secs(7200)),
            rotation: RefreshRotation::Rotating,
        }
    }

    pub(super) fn add_person(&mut self, person: FakePerson) {
        self.people.retain(|known| known.uuid != person.uuid);
        self.people.push(person);
    }

    pub(super) fn application(&self, client_id: &str) -> Option<&FakeApplication> {
        self.applications.iter().find(|application| application.client_id == client_id)
    }
}
