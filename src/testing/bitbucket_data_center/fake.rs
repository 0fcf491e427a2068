use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use url::Url;

use super::builder::FakeBitbucketDataCenterBuilder;
use super::project::FakeProject;
use super::state::{Maintenance, State};
use super::user::FakeUser;
use super::wire::{method_not_allowed, nothing_here, unavailable};
use super::{api, authorize, token};
use crate::testing::application::{FakeApplication, FakeError};
use crate::testing::journal::{Journal, journal_methods};
use crate::testing::new_application::NewApplicationPage;
use crate::testing::server::Server;
use crate::testing::traffic::shown_callback;
use crate::testing::wire::{FakeRequest, FakeResponse, Params};

/// A Bitbucket Data Center that runs in this process until it is dropped.
pub struct FakeBitbucketDataCenter {
    pub(super) base_url: String,
    pub(super) journal: Arc<Journal>,
    pub(super) state: Arc<Mutex<State>>,
    pub(super) server: Server,
}

impl FakeBitbucketDataCenter {
    /// A Bitbucket 9.4 below `/bitbucket`, on a free port, with all the preset users and projects and no application link.
    pub fn builder() -> FakeBitbucketDataCenterBuilder {
        FakeBitbucketDataCenterBuilder::new()
    }

    /// The URL to configure, for example `http://127.0.0.1:40123/bitbucket`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Creates another incoming link. Its first redirect URI is the link's redirect URL; without scopes no permission is
    /// ticked.
    pub fn add_application(&self, application: FakeApplication) {
        self.lock().applications.push(application);
    }

    /// Deletes the incoming link with this client ID. Its tokens end.
    pub fn remove_application(&self, client_id: &str) {
        self.lock().applications.retain(|application| application.client_id != client_id);
    }

    /// Adds a user, or replaces the one with the same id.
    pub fn add_user(&self, user: FakeUser) {
        self.lock().add_user(user);
    }

    /// Adds a project, or replaces the one with the same id.
    pub fn add_project(&self, project: FakeProject) {
        self.lock().add_project(project);
    }

    /// Signs in with this user name at an authorization URL and presses "Allow". Returns the callback URL.
    ///
    /// # Errors
    ///
    /// [`FakeError`] if the page shows an error instead.
    pub fn authorize(&self, url: &str, user: &str) -> Result<String, FakeError> {
        let params = self.authorization_params(url)?;
        shown_callback(authorize::grant(&mut self.lock(), &params, user))
    }

    /// Presses "Deny" at an authorization URL. Returns the callback URL.
    ///
    /// # Errors
    ///
    /// [`FakeError`] if the page shows an error instead.
    pub fn deny(&self, url: &str) -> Result<String, FakeError> {
        let params = self.authorization_params(url)?;
        shown_callback(authorize::denied(&self.lock(), &params))
    }

    /// Revokes every token.
    pub fn revoke_all(&self) {
        self.lock().grants.revoke_all();
    }

    /// Makes every access token expire now.
    pub fn expire_all_tokens(&self) {
        self.lock().grants.expire_all();
    }

    /// Moves this Bitbucket's clock: codes live 10 s, access tokens 3,600 s and refresh tokens 90 days unless built
    /// otherwise.
    pub fn advance(&self, by: Duration) {
        self.lock().grants.advance(by);
    }

    /// Deactivates a user, by user name.
    pub fn block(&self, user: &str) {
        self.change_user(user, |user| user.active = false);
    }

    /// Gives a user another user name, and with it another slug.
    pub fn rename(&self, user: &str, name: &str) {
        self.change_user(user, |user| user.rename(name));
    }

    /// Begins maintenance, or ends it.
    pub fn set_maintenance(&self, maintenance: Option<Maintenance>) {
        self.lock().options.maintenance = maintenance;
    }

    /// Stops the server, and returns when the port is free again.
    pub async fn stop(self) {
        self.server.stop().await;
    }

    journal_methods!();

    fn change_user(&self, name: &str, change: impl FnOnce(&mut FakeUser)) {
        if let Some(user) = self.lock().users.iter_mut().find(|user| user.name == name) {
            change(user);
        }
    }

    fn authorization_params(&self, url: &str) -> Result<Params, FakeError> {
        let url = Url::parse(url).map_err(|_| FakeError::Url)?;
        let params = Params::parse(url.query().unwrap_or_default().as_bytes());
        let mut page = url;
        page.set_query(None);
        let call = page.as_str().strip_prefix(self.base_url.as_str()).and_then(oauth_call);
        if call == Some("authorize") { Ok(params) } else { Err(FakeError::Url) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl fmt::Debug for FakeBitbucketDataCenter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FakeBitbucketDataCenter({})", self.base_url)
    }
}

pub(super) fn route(state: &mut State, request: &FakeRequest) -> FakeResponse {
    if let Some(kind) = state.options.maintenance {
        return unavailable(kind, &state.options);
    }
    let path = request.uri().path().strip_prefix(state.context_path.as_str()).map(str::to_owned);
    let Some(path) = path.filter(|path| path.starts_with('/')) else {
        return nothing_here();
    };
    if let Some(page) = NEW_APPLICATION.response(request, &path, |new| state.applications.push(new)) {
        return page;
    }
    match oauth_call(&path).filter(|_| state.has_oauth2()) {
        Some("authorize") => match *request.method() {
            Method::GET => authorize::page(state, request),
            Method::POST => authorize::pressed(state, request),
            _ => method_not_allowed().response(&state.options),
        },
        Some("token") => match *request.method() {
            Method::POST => token::token(state, request),
            _ => method_not_allowed().response(&state.options),
        },
        _ => api::call(state, request, &path),
    }
}

const NEW_APPLICATION: NewApplicationPage = NewApplicationPage {
    platform: "Bitbucket Data Center",
    paths: &["/plugins/servlet/applinks/listApplicationLinks"],
    scopes: &["ACCOUNT_WRITE", "REPO_READ", "REPO_WRITE", "REPO_ADMIN", "PROJECT_ADMIN", "ADMIN_WRITE", "SYSTEM_ADMIN"],
    labels: ["Client ID", "Client secret"],
};

/// What follows the path of the OAuth 2.0 provider, which has two names.
fn oauth_call(path: &str) -> Option<&str> {
    path.strip_prefix("/rest/oauth2/latest/").or_else(|| path.strip_prefix("/rest/oauth2/1.0/"))
}

pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
