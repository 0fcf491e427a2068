use std::time::Duration;

use super::user::FakeUser;
use crate::testing::application::FakeApplication;
use crate::testing::grants::Grants;
use crate::testing::wire::Credentials;

pub(super) struct State {
    pub(super) base_url: String,
    pub(super) issuer: Option<String>,
    pub(super) applications: Vec<FakeApplication>,
    pub(super) users: Vec<FakeUser>,
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
            users: FakeUser::presets(),
            grants: Grants::default(),
            token_lifetime: Some(Duration::from_secs(7200)),
            remember_consent: false,
        }
    }

    pub(super) fn add_user(&mut self, user: FakeUser) {
        self.users.retain(|known| known.id != user.id);
        self.users.push(user);
    }

    pub(super) fn application(&self, client_id: &str) -> Option<&FakeApplication> {
        self.applications.iter().find(|application| application.client_id == client_id)
    }

    pub(super) fn client(&self, credentials: &Credentials) -> Option<&FakeApplication> {
        self.applications.iter().find(|application| application.accepts(credentials))
    }

    pub(super) fn user_named(&self, username: &str) -> Option<&FakeUser> {
        self.users.iter().find(|user| user.username == username)
    }

    /// The user with this id, which tokens contain as text.
    pub(super) fn user_with_id(&self, id: &str) -> Option<&FakeUser> {
        self.users.iter().find(|user| user.id.to_string() == id)
    }
}
