use std::collections::HashMap;
use std::time::Duration;

use super::project::FakeProject;
use super::rate_limit::{Bucket, RateLimit};
use super::user::FakeUser;
use crate::testing::application::FakeApplication;
use crate::testing::grants::Grants;

/// The response to every request while the instance is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Maintenance {
    /// Status 503 with the JSON of an API error.
    Json,
    /// Status 503 with an HTML page.
    Html,
    /// Status 200 with an HTML page, as while an instance starts.
    HtmlOk,
}

/// The state of the instance's licence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Licence {
    /// Valid.
    Valid,
    /// Expired: the instance is read-only, and logins still work.
    Expired,
    /// Expired, and the authorization page shows an error.
    ExpiredWithoutLogin,
}

#[derive(Clone)]
pub(super) struct Options {
    pub(super) version: String,
    pub(super) display_name: String,
    pub(super) numeric_build: bool,
    pub(super) closed_to_anonymous: bool,
    pub(super) login_redirect: bool,
    pub(super) maintenance: Option<Maintenance>,
    pub(super) licence: Licence,
    pub(super) rate_limit: Option<RateLimit>,

    pub(super) several_redirect_urls: bool,
    pub(super) errors_on_page: bool,
    pub(super) narrow_scopes: bool,
    pub(super) missing_scope_takes_all: bool,
    pub(super) wide_scopes: bool,
    pub(super) remember_consent: bool,
    pub(super) list_implied_scopes: bool,

    pub(super) code_lifetime: Duration,
    pub(super) token_lifetime: Option<Duration>,
    pub(super) refresh_token_lifetime: Duration,
    pub(super) created_at: bool,
    pub(super) rotate_refresh_tokens: bool,
    pub(super) refresh_needs_redirect_uri: bool,
    pub(super) validate_client_secret: bool,
    pub(super) grant_checked_first: bool,
    pub(super) failed_exchange_spends_code: bool,
    pub(super) invalid_client_status: u16,

    pub(super) accept_access_tokens: bool,
    pub(super) reject_bad_tokens: bool,
    pub(super) stop_inactive_users: bool,
    pub(super) user_id_header: bool,
    pub(super) form_encoded_user_name: bool,
    pub(super) closed_user_list: bool,
    pub(super) list_service_users: bool,
    pub(super) largest_page: usize,
    pub(super) hidden_is_unauthorized: bool,
    pub(super) scope_refusal_status: u16,
    pub(super) error_details: bool,
    pub(super) null_messages: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            version: "9.4.0".to_owned(),
            display_name: "Bitbucket".to_owned(),
            numeric_build: false,
            closed_to_anonymous: false,
            login_redirect: false,
            maintenance: None,
            licence: Licence::Valid,
            rate_limit: None,
            several_redirect_urls: false,
            errors_on_page: false,
            narrow_scopes: false,
            missing_scope_takes_all: false,
            wide_scopes: false,
            remember_consent: false,
            list_implied_scopes: false,
            code_lifetime: Duration::from_secs(10),
            token_lifetime: Some(Duration::from_secs(3600)),
            refresh_token_lifetime: Duration::from_secs(7_776_000),
            created_at: true,
            rotate_refresh_tokens: true,
            refresh_needs_redirect_uri: true,
            validate_client_secret: true,
            grant_checked_first: false,
            failed_exchange_spends_code: true,
            invalid_client_status: 401,
            accept_access_tokens: true,
            reject_bad_tokens: false,
            stop_inactive_users: false,
            user_id_header: true,
            form_encoded_user_name: false,
            closed_user_list: false,
            list_service_users: false,
            largest_page: 1000,
            hidden_is_unauthorized: false,
            scope_refusal_status: 401,
            error_details: true,
            null_messages: false,
        }
    }
}

pub(super) struct State {
    pub(super) base_url: String,
    pub(super) context_path: String,
    pub(super) applications: Vec<FakeApplication>,
    pub(super) users: Vec<FakeUser>,
    pub(super) projects: Vec<FakeProject>,
    pub(super) grants: Grants,
    /// When each refresh token expires.
    pub(super) refresh_expiry: HashMap<String, Duration>,
    /// By user id.
    pub(super) buckets: HashMap<u64, Bucket>,
    pub(super) options: Options,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            base_url: String::new(),
            context_path: "/bitbucket".to_owned(),
            applications: Vec::new(),
            users: FakeUser::presets(),
            projects: FakeProject::presets(),
            grants: Grants::default(),
            refresh_expiry: HashMap::new(),
            buckets: HashMap::new(),
            options: Options::default(),
        }
    }

    pub(super) fn add_user(&mut self, user: FakeUser) {
        self.users.retain(|known| known.id != user.id);
        self.users.push(user);
    }

    pub(super) fn add_project(&mut self, project: FakeProject) {
        self.projects.retain(|known| known.id != project.id);
        self.projects.push(project);
    }

    pub(super) fn application(&self, client_id: &str) -> Option<&FakeApplication> {
        self.applications.iter().find(|application| application.client_id == client_id)
    }

    pub(super) fn user_named(&self, name: &str) -> Option<&FakeUser> {
        self.users.iter().find(|user| user.name == name)
    }

    /// The user with this id, which tokens contain as text.
    pub(super) fn user_with_id(&self, id: &str) -> Option<&FakeUser> {
        self.users.iter().find(|user| user.id.to_string() == id)
    }

    /// Whether the version has an OAuth 2.0 provider.
    pub(super) fn has_oauth2(&self) -> bool {
        self.version() >= [7, 20, 0]
    }

    /// Major, minor and patch. What is not a number counts as 0.
    pub(super) fn version(&self) -> [u64; 3] {
        let mut parts = self.options.version.split('.').map(|part| part.parse().unwrap_or(0));
        std::array::from_fn(|_| parts.next().unwrap_or(0))
    }

    /// The redirect URLs that the link accepts.
    pub(super) fn redirect_urls<'a>(&self, link: &'a FakeApplication) -> Vec<&'a str> {
        let field = link.redirect_uris.first().map_or("", String::as_str);
        let urls: Vec<&str> = match self.options.several_redirect_urls {
            true => field.split(',').map(str::trim).collect(),
            false => vec![field],
        };
        urls.into_iter().filter(|url| !url.is_empty()).collect()
    }
}
