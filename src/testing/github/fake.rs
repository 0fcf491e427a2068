use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use url::Url;

use super::authorize;
use super::builder::FakeGitHubBuilder;
use super::caller::user_key;
use super::organization::FakeOrganization;
use super::route::lock;
use super::state::State;
use super::user::FakeUser;
use crate::testing::application::{FakeApplication, FakeError};
use crate::testing::journal::{Journal, journal_methods};
use crate::testing::server::Server;
use crate::testing::traffic::shown_callback;
use crate::testing::wire::Params;

/// A GitHub that runs in this process until it is dropped.
pub struct FakeGitHub {
    pub(super) base_url: String,
    pub(super) api_url: String,
    pub(super) journal: Arc<Journal>,
    pub(super) state: Arc<Mutex<State>>,
    pub(super) servers: Vec<Server>,
}

impl FakeGitHub {
    /// A github.com on free ports, with all the preset users and organizations and no application.
    pub fn builder() -> FakeGitHubBuilder {
        FakeGitHubBuilder::new()
    }

    /// The URL to configure, for example `http://127.0.0.1:40123`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The root of the API: another port instead of `https://api.github.com` or `https://api.SUB.ghe.com`, or the base URL
    /// with `/api/v3` at an Enterprise Server.
    pub fn api_url(&self) -> &str {
        &self.api_url
    }

    /// Registers another OAuth App.
    pub fn add_application(&self, application: FakeApplication) {
        self.lock().add_application(application, false);
    }

    /// Registers another GitHub App: see [`FakeGitHubBuilder::github_app`].
    pub fn add_github_app(&self, application: FakeApplication) {
        self.lock().add_application(application, true);
    }

    /// Adds a user, or replaces the one with the same id.
    pub fn add_user(&self, user: FakeUser) {
        self.lock().add_user(user);
    }

    /// Adds an organization, or replaces the one with the same id.
    pub fn add_organization(&self, organization: FakeOrganization) {
        self.lock().add_organization(organization);
    }

    /// Signs in with this user name at an authorization URL and presses "Authorize". Returns the callback URL. Also an error
    /// that GitHub sends to the callback URL is such a URL.
    ///
    /// # Errors
    ///
    /// [`FakeError`] if the page shows an error instead.
    pub fn authorize(&self, url: &str, user: &str) -> Result<String, FakeError> {
        let params = self.authorization_params(url)?;
        shown_callback(authorize::grant(&mut self.lock(), &params, user))
    }

    /// Presses "Cancel" at an authorization URL. Returns the callback URL.
    ///
    /// # Errors
    ///
    /// [`FakeError`] if the page shows an error instead.
    pub fn deny(&self, url: &str) -> Result<String, FakeError> {
        let params = self.authorization_params(url)?;
        shown_callback(authorize::denied(&self.lock(), &params))
    }

    /// Installs a GitHub App that requests the user's authorization during installation. Returns the callback URL, which has a code and
    /// no `state`.
    ///
    /// # Errors
    ///
    /// [`FakeError`] if the application or the user is unknown.
    pub fn install(&self, client_id: &str, user: &str) -> Result<String, FakeError> {
        shown_callback(authorize::installed(&mut self.lock(), client_id, user))
    }

    /// Revokes every token, and forgets what users have granted.
    pub fn revoke_all(&self) {
        self.lock().grants.revoke_all();
    }

    /// Revokes what a user has granted to an application, as on the user's settings page.
    pub fn revoke_grant(&self, client_id: &str, user: &str) {
        let mut state = self.lock();
        if let Some(id) = state.user_named(user).map(|user| user.id) {
            state.grants.revoke_grant(client_id, id);
        }
    }

    /// Makes every access token expire now.
    pub fn expire_all_tokens(&self) {
        self.lock().grants.expire_all();
    }

    /// Moves this GitHub's clock: codes live 600 s, access tokens 8 hours unless built otherwise, refresh tokens 184 days.
    pub fn advance(&self, by: Duration) {
        self.lock().grants.advance(by);
    }

    /// Suspends a user, by user name.
    pub fn block(&self, user: &str) {
        self.change_user(user, |user| user.suspended = true);
    }

    /// Gives a user another user name.
    pub fn rename(&self, user: &str, login: &str) {
        self.change_user(user, |user| login.clone_into(&mut user.login));
    }

    /// Gives an organization another login. Its members stay.
    pub fn rename_organization(&self, organization: &str, login: &str) {
        let mut state = self.lock();
        let known = state.organizations.iter_mut().find(|known| known.login == organization);
        known.into_iter().for_each(|known| login.clone_into(&mut known.login));
        for user in &mut state.users {
            let memberships = user.memberships.iter_mut().map(|membership| &mut membership.organization);
            let teams = user.teams.iter_mut().map(|membership| &mut membership.organization);
            let sessions = user.saml_sessions.iter_mut();
            let names = memberships.chain(teams).chain(sessions).filter(|name| *name == organization);
            names.for_each(|name| login.clone_into(name));
        }
    }

    /// An owner approves an OAuth App for an organization, or installs a GitHub App there.
    pub fn approve_application(&self, organization: &str, client_id: &str) {
        let mut state = self.lock();
        if let Some(known) = state.organizations.iter_mut().find(|known| known.login == organization) {
            known.apps.push(client_id.to_owned());
        }
    }

    /// Suspends an application: the authorization page refuses it.
    pub fn suspend_application(&self, client_id: &str) {
        let mut state = self.lock();
        let known = state.applications.iter_mut().find(|known| known.application.client_id == client_id);
        known.into_iter().for_each(|known| known.suspended = true);
    }

    /// Uses up a user's requests for the next hour. No effect if there is no rate limit.
    pub fn exhaust_rate_limit(&self, user: &str) {
        let mut state = self.lock();
        let key = state.user_named(user).map(user_key);
        let now = state.grants.now();
        if let (Some(key), Some(limit)) = (key, state.options.rate_limit()) {
            state.limits.exhaust(key, limit, now);
        }
    }

    /// Starts a secondary limit at the API and the token endpoint, for this time. `None`: for a minute, and the responses have
    /// no `Retry-After`.
    pub fn start_secondary_limit(&self, retry_after: Option<Duration>) {
        let mut state = self.lock();
        let now = state.grants.now();
        state.limits.start_secondary(retry_after, now);
    }

    /// Starts or ends maintenance mode: every response has status 503.
    pub fn set_maintenance(&self, on: bool) {
        self.lock().maintenance = on;
    }

    /// Stops the server, and returns when the ports are free again.
    pub async fn stop(self) {
        for server in self.servers {
            server.stop().await;
        }
    }

    journal_methods!();

    fn change_user(&self, login: &str, change: impl FnOnce(&mut FakeUser)) {
        if let Some(user) = self.lock().users.iter_mut().find(|user| user.login == login) {
            change(user);
        }
    }

    fn authorization_params(&self, url: &str) -> Result<Params, FakeError> {
        let url = Url::parse(url).map_err(|_| FakeError::Url)?;
        let params = Params::parse(url.query().unwrap_or_default().as_bytes());
        let mut page = url;
        page.set_query(None);
        let expected = format!("{}/login/oauth/authorize", self.base_url);
        if page.as_str() == expected { Ok(params) } else { Err(FakeError::Url) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl fmt::Debug for FakeGitHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FakeGitHub({}, {})", self.base_url, self.api_url)
    }
}
