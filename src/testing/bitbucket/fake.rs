use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use url::Url;

use super::state::State;
use super::{api, authorize, scopes, token};

use super::state::RefreshRotation;
use super::user::FakeUser;
use crate::testing::application::{FakeApplication, FakeError};
use crate::testing::journal::{Journal, journal_methods};
use crate::testing::new_application::NewApplicationPage;
use crate::testing::server::{Handler, Listener, Server};
use crate::testing::traffic::shown_callback;
use crate::testing::wire::{FakeRequest, FakeResponse, Params, respond};

/// A Bitbucket Cloud that runs in this process until it is dropped.
pub struct FakeBitbucket {
    base_url: String,
    api_url: String,
    journal: Arc<Journal>,
    state: Arc<Mutex<State>>,
    servers: Vec<Server>,
}

impl FakeBitbucket {
    /// A Bitbucket on a free port that serves both the site and the API, rotates refresh tokens, and has all preset
    /// users and no application.
    pub fn builder() -> FakeBitbucketBuilder {
        FakeBitbucketBuilder {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            split: false,
            latency: Duration::ZERO,
            state: State::new(),
        }
    }

    /// The URL of the site, instead of `https://bitbucket.org`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The URL of the API, instead of `https://api.bitbucket.org`, without `/2.0`.
    pub fn api_url(&self) -> &str {
        &self.api_url
    }

    /// Registers another application.
    pub fn add_application(&self, application: FakeApplication) {
        self.lock().applications.push(application);
    }

    /// Adds a user, or replaces the one with the same UUID.
    pub fn add_user(&self, user: FakeUser) {
        self.lock().add_user(user);
    }

    /// Signs in with this user name at an authorization URL and grants access. Returns the callback URL.
    ///
    /// # Errors
    ///
    /// [`FakeError`] if the page shows an error instead.
    pub fn authorize(&self, url: &str, user: &str) -> Result<String, FakeError> {
        let params = self.authorization_params(url)?;
        shown_callback(authorize::grant(&mut self.lock(), &params, user))
    }

    /// Cancels at an authorization URL. Returns the callback URL.
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

    /// Sets this Bitbucket's clock forward. Codes are valid for 600 s, and access tokens for 7,200 s by default.
    pub fn advance(&self, by: Duration) {
        self.lock().grants.advance(by);
    }

    /// Makes a user's `account_status` `inactive`.
    pub fn block(&self, user: &str) {
        self.change_user(user, |user| "inactive".clone_into(&mut user.account_status));
    }

    /// Gives a user another user name.
    pub fn rename(&self, user: &str, username: &str) {
        self.change_user(user, |user| username.clone_into(&mut user.username));
    }

    /// Stops the server, and returns when the ports are free again.
    pub async fn stop(self) {
        for server in self.servers {
            server.stop().await;
        }
    }

    journal_methods!();

    fn change_user(&self, username: &str, change: impl FnOnce(&mut FakeUser)) {
        if let Some(user) = self.lock().users.iter_mut().find(|user| user.username == username) {
            change(user);
        }
    }

    fn authorization_params(&self, url: &str) -> Result<Params, FakeError> {
        let url = Url::parse(url).map_err(|_| FakeError::Url)?;
        let params = Params::parse(url.query().unwrap_or_default().as_bytes());
        let mut page = url;
        page.set_query(None);
        let expected = format!("{}/site/oauth2/authorize", self.base_url);
        if page.as_str() == expected { Ok(params) } else { Err(FakeError::Url) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl fmt::Debug for FakeBitbucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FakeBitbucket({}, {})", self.base_url, self.api_url)
    }
}

/// Settings of a [`FakeBitbucket`].
#[must_use]
pub struct FakeBitbucketBuilder {
    listen: SocketAddr,
    split: bool,
    latency: Duration,
    state: State,
}

impl FakeBitbucketBuilder {
    /// The address to listen on. Port 0 selects a free port.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Serves the API on its own port, like the real API with its own host name. Each port serves its own paths only.
    pub fn split_api_host(mut self) -> Self {
        self.split = true;
        self
    }

    /// Delays every response.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Registers an application.
    pub fn application(mut self, application: FakeApplication) -> Self {
        self.state.applications.push(application);
        self
    }

    /// Adds a user, or replaces the preset one with the same UUID.
    pub fn user(mut self, user: FakeUser) -> Self {
        self.state.add_user(user);
        self
    }

    /// How long access tokens are valid. `None`: they do not expire, and responses have no `expires_in`.
    pub fn token_lifetime(mut self, lifetime: Option<Duration>) -> Self {
        self.state.token_lifetime = lifetime;
        self
    }

    /// The back end of Bitbucket that this fake imitates.
    pub fn refresh_rotation(mut self, rotation: RefreshRotation) -> Self {
        self.state.rotation = rotation;
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub async fn start(self) -> io::Result<FakeBitbucket> {
        let site = Listener::bind(self.listen).await?;
        let base_url = format!("http://{}", site.address);
        let api = match self.split {
            true => Some(Listener::bind(SocketAddr::new(self.listen.ip(), 0)).await?),
            false => None,
        };
        let api_url = api.as_ref().map_or_else(|| base_url.clone(), |api| format!("http://{}", api.address));
        let mut state = self.state;
        state.base_url.clone_from(&base_url);
        state.api_url.clone_from(&api_url);
        let journal = Arc::new(Journal::default());
        journal.set_latency(self.latency);
        let state = Arc::new(Mutex::new(state));
        let has_api = api.is_none();
        let mut servers = vec![site.serve(Arc::clone(&journal), handler(&state, true, has_api))];
        servers.extend(api.map(|api| api.serve(Arc::clone(&journal), handler(&state, false, true))));
        Ok(FakeBitbucket { base_url, api_url, journal, state, servers })
    }
}

impl fmt::Debug for FakeBitbucketBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeBitbucketBuilder")
            .field("listen", &self.listen)
            .field("split", &self.split)
            .field("applications", &self.state.applications)
            .finish_non_exhaustive()
    }
}

fn handler(state: &Arc<Mutex<State>>, site: bool, api: bool) -> Arc<Handler> {
    let state = Arc::clone(state);
    Arc::new(move |request| {
        let path = request.uri().path();
        match path.strip_prefix("/2.0") {
            Some(call) if api => api::call(&lock(&state), request, call),
            None if site => site_call(&mut lock(&state), request, path),
            _ => not_found(),
        }
    })
}

fn site_call(state: &mut State, request: &FakeRequest, path: &str) -> FakeResponse {
    match (request.method(), path) {
        (&Method::GET, "/site/oauth2/authorize") => authorize::page(state, request),
        (&Method::POST, "/site/oauth2/authorize") => authorize::submitted(state, request),
        (&Method::POST, "/site/oauth2/access_token") => token::token(state, request),
        _ => {
            let page = NEW_APPLICATION.response(request, path, |new| state.applications.push(new));
            page.unwrap_or_else(not_found)
        }
    }
}

const NEW_APPLICATION: NewApplicationPage = NewApplicationPage {
    platform: "Bitbucket",
    paths: &["/workspace/settings/oauth-clients", "/workspace/settings/oauth-consumers/new"],
    scopes: scopes::BOXES,
    labels: ["Client ID", "Secret"],
};

fn not_found() -> FakeResponse {
    respond(404, &[("Content-Type", "text/html; charset=utf-8")], "<!DOCTYPE html>\n<title>Not found</title>\n")
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
