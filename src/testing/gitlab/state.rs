use std::time::Duration;

use super::person::FakePerson;
use crate::testing::application::FakeApplication;
use crate::testing::grants::Grants;
use crate::testing::wire::Credentials;

pub(super) struct State {
    pub(super) base_url: String,
    pub(super) issuer: Option<String>,
    pub(super) applications: Vec<FakeApplication>,
    pub(super) people: Vec<FakePerson>,
    pub(super) grants: Grants,
    pub(super) token_lifetime: Option<Duration>,
    pub(super) remember_consent: bool,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            base_url: String::new(),
            issuer: None,
            applications: Vec::new(),
            people: FakePerson::presets(),
            grants: Grants::default(),
            token_lifetime: Some(Duration::from_secs(7200)),
            remember_consent: false,
        }
    }

    pub(super) fn add_person(&mut self, person: FakePerson) {
        self.people.retain(|known| known.id != person.id);
        self.people.push(person);
    }

    pub(super) fn application(&self, client_id: &str) -> Option<&FakeApplication> {
        self.applications.iter().find(|application| application.client_id == client_id)
    }

    pub(super) fn client(&self, credentials: &Credentials) -> Option<&FakeApplication> {
        self.applications.iter().find(|application| application.accepts(credentials))
    }

    pub(super) fn person_called(&self, username: &str) -> Option<&FakePerson> {
        self.people.iter().find(|person| person.username == username)
    }

    /// The person that a token belongs to: tokens know people by their id.
    pub(super) fn person_with(&self, id: &str) -> Option<&FakePerson> {
        self.people.iter().find(|person| person.id.to_string() == id)
    }
}
