use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use url::Url;

use super::state::State;
use super::{api, authorize, token, wire};

use super::user::{FakeUser, Refusal};
use crate::testing::application::{FakeApplication, FakeError};
use crate::testing::journal::{Journal, journal_methods};
use crate::testing::new_application::NewApplicationPage;
use crate::testing::server::{Listener, Server};
use crate::testing::traffic::shown_callback;
use crate::testing::wire::{FakeRequest, FakeResponse, Params};

/// A GitLab that runs in this process until it is dropped.
pub struct FakeGitLab {
    base_url: String,
    journal: Arc<Journal>,
    state: Arc<Mutex<State>>,
    server: Server,
}

impl FakeGitLab {
    /// A GitLab with the path `/gitlab`, on a free port, with all preset users and no application.
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

    /// Adds a user, or replaces the one with the same id.
    pub fn add_user(&self, user: FakeUser) {
        self.lock().add_user(user);
    }

    /// Signs in with this user name at an authorization URL and clicks "Authorize". Returns the callback URL.
    ///
    /// # Errors
    ///
    /// [`FakeError`] if the page shows an error instead.
    pub fn authorize(&self, url: &str, user: &str) -> Result<String, FakeError> {
        let params = self.authorization_params(url)?;
        let mut state = self.lock();
        authorize::check(&state, &params).map_err(FakeError::Page)?;
        shown_callback(authorize::grant(&mut state, &params, user))
    }

    /// Clicks "Deny" at an authorization URL. Returns the callback URL.
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

    /// Makes every access token expire now.
    pub fn expire_all_tokens(&self) {
        self.lock().grants.expire_all();
    }

    /// Sets this GitLab's clock forward. Codes are valid for 600 s, and access tokens for 7,200 s by default.
    pub fn advance(&self, by: Duration) {
        self.lock().grants.advance(by);
    }

    /// Blocks a user, by user name.
    pub fn block(&self, user: &str) {
        self.change_user(user, |user| user.refusal = Some(Refusal::Blocked));
    }

    /// Gives a user another user name.
    pub fn rename(&self, user: &str, username: &str) {
        self.change_user(user, |user| username.clone_into(&mut user.username));
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
    /// The relative URL root, for example `/gitlab`, or an empty string for none.
    pub fn sub_path(mut self, path: &str) -> Self {
        path.trim_end_matches('/').clone_into(&mut self.sub_path);
        self
    }

    /// The address to listen on. Port 0 selects a free port.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
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

    /// Adds a user, or replaces the preset one with the same id.
    pub fn user(mut self, user: FakeUser) -> Self {
        self.state.add_user(user);
        self
    }

    /// How long access tokens are valid. `None`: they do not expire, and responses have no `expires_in`, as before
    /// GitLab 15.
    pub fn token_lifetime(mut self, lifetime: Option<Duration>) -> Self {
        self.state.token_lifetime = lifetime;
        self
    }

    /// Skips the authorization page if the browser's user has an unrevoked token for the same application and scopes,
    /// as GitLab does. Off by default, so that each login offers all users.
    pub fn remember_consent(mut self, remember: bool) -> Self {
        self.state.remember_consent = remember;
        self
    }

    /// Sets the issuer of the discovery document. It is the base URL by default.
    pub fn issuer(mut self, url: &str) -> Self {
        self.state.issuer = Some(url.to_owned());
        self
    }

    /// Starts the server.
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

fn route(state: &mut State, root: &str, request: &FakeRequest) -> FakeResponse {
    let Some(path) = request.uri().path().strip_prefix(root) else {
        return wire::not_found();
    };
    let mut response = match (request.method(), path) {
        (&Method::GET, "/oauth/authorize") => authorize::page(state, request),
        (&Method::POST, "/oauth/authorize") => authorize::submitted(state, request),
        (&Method::POST, "/oauth/token") => token::token(state, request),
        (&Method::POST, "/oauth/revoke") => token::revoke(state, request),
        (&Method::GET, "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server") => {
            api::discovery(state)
        }
        (&Method::POST, path) if path.starts_with("/api/v4/") && path.ends_with("applications") => {
            api::create_application(state, request, path.trim_start_matches("/api/v4/"))
        }
        (method, path) => match path.strip_prefix("/api/v4/") {
            Some(call) => api::call(state, request, method, call),
            None => {
                let page = NEW_APPLICATION.response(request, path, |new| state.applications.push(new));
                page.unwrap_or_else(wire::not_found)
            }
        },
    };
    wire::add_request_id(&mut response);
    response
}

const NEW_APPLICATION: NewApplicationPage = NewApplicationPage {
    platform: "GitLab",
    paths: &[
        "/-/user_settings/applications",
        "/-/profile/applications",
        "/-/settings/applications",
        "/admin/applications/new",
    ],
    scopes: &[
        "api",
        "read_api",
        "read_user",
        "read_repository",
        "write_repository",
        "read_registry",
        "write_registry",
        "openid",
        "profile",
        "email",
    ],
    labels: ["Application ID", "Secret"],
};

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
