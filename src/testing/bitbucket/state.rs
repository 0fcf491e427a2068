use std::time::Duration;

use super::user::FakeUser;
use crate::testing::application::FakeApplication;
use crate::testing::grants::Grants;

/// One of Bitbucket's two back ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefreshRotation {
    /// The back end of 2026: tokens of more than 2,000 characters, the member `scope`, and a new refresh token with
    /// each refresh. A used refresh token is no longer accepted.
    Rotating,
    /// The older back end: short tokens, the members `scopes` and `state`, and always the same refresh token.
    Old,
}

pub(super) struct State {
    pub(super) base_url: String,
    pub(super) api_url: String,
    pub(super) applications: Vec<FakeApplication>,
    pub(super) users: Vec<FakeUser>,
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
            users: FakeUser::presets(),
            grants: Grants::default(),
            token_lifetime: Some(Duration::from_secs(7200)),
            rotation: RefreshRotation::Rotating,
        }
    }

    pub(super) fn add_user(&mut self, user: FakeUser) {
        self.users.retain(|known| known.uuid != user.uuid);
        self.users.push(user);
    }

    pub(super) fn application(&self, client_id: &str) -> Option<&FakeApplication> {
        self.applications.iter().find(|application| application.client_id == client_id)
    }
}
