//! A GitLab: its OAuth endpoints, the discovery document, and the API calls that a login makes.
//!
//! Its answers follow recordings of Doorkeeper with GitLab's settings, apart from tokens and times; where versions
//! differ, it does what GitLab 18 does. It is stricter than a real one in four ways: token requests must be forms,
//! access tokens are taken from the header only, redirect URIs are compared byte for byte (as Doorkeeper 6 does), and
//! S256 is the only PKCE method. It has no OpenID Connect beyond the discovery document.

mod api;
mod authorize;
mod group;
mod person;
mod state;
mod token;
mod wire;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use url::Url;

pub use group::FakeGroup;
pub use person::{FakePerson, Refusal};
use state::State;

use super::application::{FakeApplication, FakeError};
use super::journal::{Journal, journal_methods};
use super::server::{Listener, Server};
use super::wire::Params;
use super::witness::shown_callback;

/// A GitLab that runs in this process until it is dropped.
pub struct FakeGitLab {
    base_url: String,
    journal: Arc<Journal>,
    state: Arc<Mutex<State>>,
    server: Server,
}

impl FakeGitLab {
    /// One below `/gitlab`, on a port of its own, with all the preset people and no application.
    pub fn builder() -> FakeGitLabBuilder {
        FakeGitLabBuilder {
            sub_path: "/gitlab".to_owned(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            latency: Duration::ZERO,
            state: State::new(),
        }
    }

    /// The URL to configure, for example `http://127.0.0.1:40123/gitlab`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Registers another application.
    pub fn add_application(&self, application: FakeApplication) {
        self.lock().applications.push(application);
    }

    /// Adds a person, or replaces the one with the same id.
    pub fn add_person(&self, person: FakePerson) {
        self.lock().add_person(person);
    }

    /// Signs in as `person` at this authorization URL and presses "Authorize": returns the callback URL.
    ///
    /// # Errors
    ///
    /// [`FakeError`] if the page shows an error instead.
    pub fn authorize(&self, url: &str, person: &str) -> Result<String, FakeError> {
        let params = self.authorization_params(url)?;
        let mut state = self.lock();
        authorize::check(&state, &params).map_err(FakeError::Page)?;
        shown_callback(authorize::grant(&mut state, &params, person))
    }

    /// Presses "Deny" at this authorization URL: returns the callback URL.
    ///
    /// # Errors
    ///
    /// [`FakeError`] if the page shows an error instead.
    pub fn deny(&self, url: &str) -> Result<String, FakeError> {
        let params = self.authorization_params(url)?;
        authorize::check(&self.lock(), &params).map_err(FakeError::Page)?;
        shown_callback(Ok(authorize::denied(&params)))
    }

    /// Revokes every token.
    pub fn revoke_all(&self) {
        self.lock().grants.revoke_all();
    }

    /// Lets every access token expire now.
    pub fn expire_all_tokens(&self) {
        self.lock().grants.expire_all();
    }

    /// Moves this GitLab's clock: codes live 600 s, access tokens 7,200 s unless built otherwise.
    pub fn advance(&self, by: Duration) {
        self.lock().grants.advance(by);
    }

    /// Blocks a person, by user name.
    pub fn block(&self, person: &str) {
        self.with_person(person, |person| person.refusal = Some(Refusal::Blocked));
    }

    /// Gives a person another user name.
    pub fn rename(&self, person: &str, username: &str) {
        self.with_person(person, |person| username.clone_into(&mut person.username));
    }

    /// Stops, and returns when the port is free again.
    pub async fn stop(self) {
        self.server.stop().await;
    }

    journal_methods!();

    fn with_person(&self, username: &str, change: impl FnOnce(&mut FakePerson)) {
        if let Some(person) = self.lock().people.iter_mut().find(|person| person.username == username) {
            change(person);
        }
    }

    fn authorization_params(&self, url: &str) -> Result<Params, FakeError> {
        let url = Url::parse(url).map_err(|_| FakeError::Url)?;
        let query = url.query().unwrap_or_default().to_owned();
        let mut page = url;
        page.set_query(None);
        if page.as_str() != format!("{}/oauth/authorize", self.base_url) {
            return Err(FakeError::Url);
        }
        Ok(Params::parse(query.as_bytes()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl fmt::Debug for FakeGitLab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FakeGitLab({})", self.base_url)
    }
}

/// Settings of a [`FakeGitLab`].
#[must_use]
pub struct FakeGitLabBuilder {
    sub_path: String,
    listen: SocketAddr,
    latency: Duration,
    state: State,
}

impl FakeGitLabBuilder {
    /// The relative URL root, for example `/gitlab`, or an empty text for none.
    pub fn sub_path(mut self, path: &str) -> Self {
        path.trim_end_matches('/').clone_into(&mut self.sub_path);
        self
    }

    /// Where to listen; port 0 takes any that is free.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Lets every answer wait.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Registers an application.
    pub fn application(mut self, application: FakeApplication) -> Self {
        self.state.applications.push(application);
        self
    }

    /// Adds a person, or replaces the preset one with the same id.
    pub fn person(mut self, person: FakePerson) -> Self {
        self.state.add_person(person);
        self
    }

    /// How long access tokens live. `None`: for ever, and answers have no `expires_in`, as before GitLab 15.
    pub fn token_lifetime(mut self, lifetime: Option<Duration>) -> Self {
        self.state.token_lifetime = lifetime;
        self
    }

    /// Skips the authorization page where the browser's person has an unrevoked token for the same application and
    /// scopes, as GitLab does. Off by default, so that each log-in offers all people.
    pub fn remember_consent(mut self, remember: bool) -> Self {
        self.state.remember_consent = remember;
        self
    }

    /// What this GitLab says its URL is, if not the one it is reached at.
    pub fn issuer(mut self, url: &str) -> Self {
        self.state.issuer = Some(url.to_owned());
        self
    }

    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub async fn start(self) -> io::Result<FakeGitLab> {
        let listener = Listener::bind(self.listen).await?;
        let base_url = format!("http://{}{}", listener.address, self.sub_path);
        let mut state = self.state;
        state.base_url.clone_from(&base_url);
        let journal = Arc::new(Journal::default());
        journal.set_latency(self.latency);
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let root = self.sub_path;
        let handler = Arc::new(move |request: &_| route(&mut lock(&shared), &root, request));
        let server = listener.serve(Arc::clone(&journal), handler);
        Ok(FakeGitLab { base_url, journal, state, server })
    }
}

impl fmt::Debug for FakeGitLabBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeGitLabBuilder")
            .field("sub_path", &self.sub_path)
            .field("listen", &self.listen)
            .field("applications", &self.state.applications)
            .finish_non_exhaustive()
    }
}

fn route(state: &mut State, root: &str, request: &super::wire::FakeRequest) -> super::wire::FakeResponse {
    let Some(path) = request.uri().path().strip_prefix(root) else {
        return wire::nothing_here();
    };
    let mut response = match (request.method(), path) {
        (&Method::GET, "/oauth/authorize") => authorize::page(state, request),
        (&Method::POST, "/oauth/authorize") => authorize::pressed(state, request),
        (&Method::POST, "/oauth/token") => token::token(state, request),
        (&Method::POST, "/oauth/revoke") => token::revoke(state, request),
        (&Method::GET, "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server") => {
            api::discovery(state)
        }
        (method, path) => match path.strip_prefix("/api/v4/") {
            Some(call) => api::call(state, request, method, call),
            None => wire::nothing_here(),
        },
    };
    wire::add_request_id(&mut response);
    response
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
