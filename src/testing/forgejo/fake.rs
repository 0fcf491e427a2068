use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use url::Url;

use super::builder::FakeForgejoBuilder;
use super::rights::TokenRights;
use super::state::State;
use super::user::FakeUser;
use super::{api, authorize, discovery, introspect, token, wire};
use crate::testing::application::{FakeApplication, FakeError};
use crate::testing::journal::{Journal, journal_methods};
use crate::testing::new_application::NewApplicationPage;
use crate::testing::server::Server;
use crate::testing::traffic::shown_callback;
use crate::testing::wire::{FakeRequest, FakeResponse, Params};

/// A Forgejo or Gitea that runs in this process until it is dropped.
pub struct FakeForgejo {
    pub(super) base_url: String,
    pub(super) journal: Arc<Journal>,
    pub(super) state: Arc<Mutex<State>>,
    pub(super) server: Server,
}

impl FakeForgejo {
    /// A Forgejo 15 below `/forgejo`, on a free port, with all the preset users and no application.
    pub fn builder() -> FakeForgejoBuilder {
        FakeForgejoBuilder::new()
    }

    /// The URL to configure, for example `http://127.0.0.1:40123/forgejo`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Registers another application, or replaces the one with the same client ID, as "Regenerate secret" does.
    pub fn add_application(&self, application: FakeApplication) {
        self.lock().add_application(application);
    }

    /// Deletes an application, and with it all its grants.
    pub fn remove_application(&self, client_id: &str) {
        let mut state = self.lock();
        state.applications.retain(|application| application.client_id != client_id);
        state.ledger.remove_grants(|grant| grant.client_id == client_id);
    }

    /// Adds a user, or replaces the one with the same id.
    pub fn add_user(&self, user: FakeUser) {
        self.lock().add_user(user);
    }

    /// Signs in with this user name at an authorization URL and presses "Authorize Application". Returns the callback URL,
    /// which may have an error. A user who has allowed the application before is not asked: see
    /// [`asks_again`](FakeForgejoBuilder::asks_again).
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

    /// What an access token may do; `None` if it is not valid. No response of the token endpoint tells it.
    pub fn token_rights(&self, access_token: &str) -> Option<TokenRights> {
        let state = self.lock();
        let token = state.ledger.token(access_token)?;
        let valid = !token.refresh && token.expires > state.ledger.now();
        let grant = state.ledger.grant(token.grant).filter(|_| valid)?;
        Some(TokenRights::of(&grant.scopes, &state))
    }

    /// Revokes every grant, and with it every token.
    pub fn revoke_all(&self) {
        self.lock().ledger.remove_grants(|_| true);
    }

    /// Revokes all grants of one user, as the user does in the settings. The next login asks for new scopes.
    pub fn revoke(&self, user: &str) {
        let mut state = self.lock();
        if let Some(id) = state.user_named(user).map(|user| user.id) {
            state.ledger.remove_grants(|grant| grant.user == id);
        }
    }

    /// Makes every access token expire now.
    pub fn expire_all_tokens(&self) {
        self.lock().ledger.expire_access_tokens();
    }

    /// Moves this server's clock: access tokens live 3,600 s and refresh tokens 730 hours, unless built otherwise.
    pub fn advance(&self, by: Duration) {
        self.lock().ledger.advance(by);
    }

    /// Locks a user, by user name.
    pub fn block(&self, user: &str) {
        self.change_user(user, |user| user.prohibit_login = true);
    }

    /// Gives a user another user name.
    pub fn rename(&self, user: &str, username: &str) {
        self.change_user(user, |user| username.clone_into(&mut user.username));
    }

    /// Puts a bot check before the API and the token endpoint, with this status, or removes it.
    pub fn set_bot_check(&self, status: Option<u16>) {
        self.lock().bot_check = status;
    }

    /// Lets the next exchange or refresh that is correct lose against another one at the same time. The code is used up, and
    /// the refresh token is no longer the newest.
    pub fn lose_next_race(&self) {
        self.lock().next_race_is_lost = true;
    }

    /// Lets the next authorization end with `server_error` and this description.
    pub fn fail_next_authorization(&self, description: &str) {
        self.lock().next_authorization_fails = Some(description.to_owned());
    }

    /// Stops the server, and returns when the port is free again.
    pub async fn stop(self) {
        self.server.stop().await;
    }

    journal_methods!();

    fn change_user(&self, username: &str, change: impl FnOnce(&mut FakeUser)) {
        if let Some(user) = self.lock().users.iter_mut().find(|user| user.username == username) {
            change(user);
        }
    }

    fn authorization_params(&self, url: &str) -> Result<Params, FakeError> {
        let mut page = Url::parse(url).map_err(|_| FakeError::Url)?;
        let params = Params::parse(page.query().unwrap_or_default().as_bytes());
        page.set_query(None);
        let expected = format!("{}/login/oauth/authorize", self.base_url);
        if page.as_str() == expected { Ok(params) } else { Err(FakeError::Url) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl fmt::Debug for FakeForgejo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FakeForgejo({})", self.base_url)
    }
}

pub(super) fn route(state: &mut State, request: &FakeRequest) -> FakeResponse {
    let Some(path) = request.uri().path().strip_prefix(&state.sub_path) else {
        return wire::nothing_here();
    };
    // A browser passes the check.
    if let Some(status) = state.bot_check.filter(|_| path != "/login/oauth/authorize") {
        return wire::bot_check(status);
    }
    match (request.method(), path) {
        (&Method::GET, "/login/oauth/authorize") => authorize::page(state, request),
        (&Method::POST, "/login/oauth/authorize") => authorize::pressed(state, request),
        (&Method::POST, "/login/oauth/access_token") => token::token(state, request),
        (&Method::POST, "/login/oauth/introspect") => introspect::introspect(state, request),
        (&Method::GET, "/login/oauth/userinfo") => introspect::userinfo(state, request),
        (&Method::GET, "/.well-known/openid-configuration") => discovery::discovery(state),
        (_, path) => match path.strip_prefix("/api/") {
            Some(call) => api::call(state, request, call),
            None => {
                let page = NEW_APPLICATION.response(request, path, |new| state.add_application(new));
                page.unwrap_or_else(wire::nothing_here)
            }
        },
    }
}

const NEW_APPLICATION: NewApplicationPage = NewApplicationPage {
    platform: "Forgejo",
    paths: &["/settings/applications", "/admin/applications"],
    scopes: &[],
    labels: ["Client ID", "Client secret"],
};

pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
