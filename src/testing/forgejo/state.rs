use std::collections::HashMap;
use std::time::Duration;

use super::ledger::Ledger;
use super::user::FakeUser;
use super::version::ServerVersion;
use crate::testing::application::FakeApplication;

pub(super) struct State {
    /// Where the fake listens, with the sub-path.
    pub(super) base_url: String,
    pub(super) sub_path: String,
    /// What the server believes that its URL is.
    pub(super) root_url: String,
    pub(super) version: ServerVersion,
    pub(super) applications: Vec<FakeApplication>,
    pub(super) users: Vec<FakeUser>,
    pub(super) ledger: Ledger,
    pub(super) token_lifetime: Duration,
    pub(super) refresh_token_lifetime: Duration,
    pub(super) code_lifetime: Option<Duration>,
    pub(super) refresh_rotation: Option<bool>,
    pub(super) asks_again: bool,
    pub(super) remember_consent: bool,
    pub(super) unique_tokens: bool,
    pub(super) oauth: bool,
    pub(super) require_sign_in: bool,
    pub(super) email_confirmation: bool,
    pub(super) empty_scope_denies: bool,
    pub(super) max_response_items: usize,
    pub(super) bot_check: Option<u16>,
    /// The query of the consent page that each browser session has opened last.
    pub(super) pending_consents: HashMap<String, String>,
    pub(super) next_race_is_lost: bool,
    pub(super) next_authorization_fails: Option<String>,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            base_url: String::new(),
            sub_path: String::new(),
            root_url: String::new(),
            version: ServerVersion::new(false, None),
            applications: Vec::new(),
            users: FakeUser::presets(),
            ledger: Ledger::new(),
            token_lifetime: Duration::from_secs(3600),
            refresh_token_lifetime: Duration::from_secs(730 * 3600),
            code_lifetime: None,
            refresh_rotation: None,
            asks_again: false,
            remember_consent: false,
            unique_tokens: false,
            oauth: true,
            require_sign_in: false,
            email_confirmation: true,
            empty_scope_denies: false,
            max_response_items: 50,
            bot_check: None,
            pending_consents: HashMap::new(),
            next_race_is_lost: false,
            next_authorization_fails: None,
        }
    }

    pub(super) fn add_user(&mut self, user: FakeUser) {
        self.users.retain(|known| known.id != user.id);
        self.users.push(user);
    }

    pub(super) fn add_application(&mut self, application: FakeApplication) {
        self.applications.retain(|known| known.client_id != application.client_id);
        self.applications.push(application);
    }

    pub(super) fn application(&self, client_id: &str) -> Option<&FakeApplication> {
        self.applications.iter().find(|application| application.client_id == client_id)
    }

    /// Names are compared without regard to case.
    pub(super) fn user_named(&self, username: &str) -> Option<&FakeUser> {
        self.users.iter().find(|user| user.username.eq_ignore_ascii_case(username))
    }

    pub(super) fn user_with_id(&self, id: u64) -> Option<&FakeUser> {
        self.users.iter().find(|user| user.id == id)
    }

    pub(super) fn rotates(&self) -> bool {
        self.refresh_rotation.unwrap_or_else(|| self.version.at_least([9, 0, 0], super::version::NEVER))
    }

    /// The text of the refusal. The dummy is what the page of an application shows instead of its secret.
    pub(super) fn check_secret(application: &FakeApplication, secret: Option<&str>) -> Result<(), &'static str> {
        match secret {
            _ if !application.confidential => Ok(()),
            None => Err("invalid empty client secret"),
            Some(secret) if secret == application.client_secret && secret != "averysecuresecret" => Ok(()),
            Some(_) => Err("invalid client secret"),
        }
    }
}
