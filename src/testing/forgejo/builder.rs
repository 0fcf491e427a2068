use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::fake::{FakeForgejo, lock, route};
use super::state::State;
use super::user::FakeUser;
use super::version::ServerVersion;
use crate::testing::application::FakeApplication;
use crate::testing::journal::Journal;
use crate::testing::server::Listener;

/// Settings of a [`FakeForgejo`].
#[must_use]
pub struct FakeForgejoBuilder {
    sub_path: String,
    root_url: Option<String>,
    gitea: bool,
    version: Option<String>,
    listen: SocketAddr,
    latency: Duration,
    state: State,
}

impl FakeForgejoBuilder {
    pub(super) fn new() -> Self {
        Self {
            sub_path: "/forgejo".to_owned(),
            root_url: None,
            gitea: false,
            version: None,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            latency: Duration::ZERO,
            state: State::new(),
        }
    }

    /// The path of the server, for example `/forgejo`, or an empty text for none.
    pub fn sub_path(mut self, path: &str) -> Self {
        path.trim_end_matches('/').clone_into(&mut self.sub_path);
        self
    }

    /// The `ROOT_URL` that the server has in its own links, in the discovery document and as its issuer, if it is not the URL
    /// that it is called by.
    pub fn root_url(mut self, url: &str) -> Self {
        self.root_url = Some(url.trim_end_matches('/').to_owned());
        self
    }

    /// Makes it a Gitea instead of a Forgejo, of version 1.27.2 unless told otherwise.
    pub fn gitea(mut self) -> Self {
        self.gitea = true;
        self
    }

    /// The version that it reports and behaves as, for example `16.0.0+gitea-1.22.0` or `1.22.6`. A Forgejo is a 15.0.3
    /// otherwise.
    ///
    /// On it depend: the issuer's trailing slash, what happens to the discovery document without OAuth, whether tokens have
    /// scopes at all, whether refresh tokens rotate, who may introspect, the texts of 401 and 403, and where a missing second
    /// factor matters.
    pub fn version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }

    /// The address to listen at; port 0 takes a free one.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Delays every response.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Registers an application, or replaces the one with the same client ID. Its scopes do not matter here.
    pub fn application(mut self, application: FakeApplication) -> Self {
        self.state.add_application(application);
        self
    }

    /// Adds a user, or replaces the preset one with the same id.
    pub fn user(mut self, user: FakeUser) -> Self {
        self.state.add_user(user);
        self
    }

    /// How long access tokens live: 3,600 s by default.
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.state.token_lifetime = lifetime;
        self
    }

    /// How long refresh tokens live: 730 hours by default.
    pub fn refresh_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.state.refresh_token_lifetime = lifetime;
        self
    }

    /// How long codes live. `None`, the default: until they are used.
    pub fn code_lifetime(mut self, lifetime: Option<Duration>) -> Self {
        self.state.code_lifetime = lifetime;
        self
    }

    /// Whether each exchange or refresh makes the refresh token useless that the same user and application got before
    /// (`INVALIDATE_REFRESH_TOKENS`). By default so at a Forgejo from 9.0, and not at a Gitea.
    pub fn refresh_rotation(mut self, on: bool) -> Self {
        self.state.refresh_rotation = Some(on);
        self
    }

    /// Asks a user again if a request has other scopes than the grant, and then changes those of the grant, as Gitea does from
    /// 2026-08. By default the grant silently keeps the scopes of the first login.
    pub fn asks_again(mut self, on: bool) -> Self {
        self.state.asks_again = on;
        self
    }

    /// Skips the authorization page if the browser's user has a grant, as the server does for confidential clients. Off by
    /// default, so that each login offers all users.
    pub fn remember_consent(mut self, on: bool) -> Self {
        self.state.remember_consent = on;
        self
    }

    /// Makes all tokens differ. By default two tokens of one grant and one second are the same text, as at a real server.
    pub fn unique_tokens(mut self, on: bool) -> Self {
        self.state.unique_tokens = on;
        self
    }

    /// Whether OAuth is switched on (`[oauth2] ENABLED`).
    pub fn oauth(mut self, on: bool) -> Self {
        self.state.oauth = on;
        self
    }

    /// Whether the API refuses anonymous requests, even for the version (`REQUIRE_SIGNIN_VIEW`).
    pub fn require_sign_in(mut self, on: bool) -> Self {
        self.state.require_sign_in = on;
        self
    }

    /// Whether new users must confirm their address (`REGISTER_EMAIL_CONFIRM`), on by default. Without it, an account that is
    /// not activated counts as locked.
    pub fn email_confirmation(mut self, on: bool) -> Self {
        self.state.email_confirmation = on;
        self
    }

    /// Whether a grant without a scope allows nothing, as in a development version of Gitea 1.23, and not everything.
    pub fn empty_scope_denies(mut self, on: bool) -> Self {
        self.state.empty_scope_denies = on;
        self
    }

    /// The longest page of a list (`MAX_RESPONSE_ITEMS`): 50 by default.
    pub fn max_response_items(mut self, count: usize) -> Self {
        self.state.max_response_items = count.max(1);
        self
    }

    /// Responds with the HTML page of a bot check and this status (200, 401 or 403 are common) instead of the API, the token
    /// endpoint, introspection and the discovery document.
    pub fn bot_check(mut self, status: u16) -> Self {
        self.state.bot_check = Some(status);
        self
    }

    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub async fn start(self) -> io::Result<FakeForgejo> {
        let listener = Listener::bind(self.listen).await?;
        let base_url = format!("http://{}{}", listener.address, self.sub_path);
        let mut state = self.state;
        state.base_url.clone_from(&base_url);
        state.sub_path.clone_from(&self.sub_path);
        state.root_url = self.root_url.unwrap_or_else(|| base_url.clone());
        state.version = ServerVersion::new(self.gitea, self.version.as_deref());
        let journal = Arc::new(Journal::default());
        journal.set_latency(self.latency);
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let handler = Arc::new(move |request: &_| route(&mut lock(&shared), request));
        let server = listener.serve(Arc::clone(&journal), handler);
        Ok(FakeForgejo { base_url, journal, state, server })
    }
}

impl fmt::Debug for FakeForgejoBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeForgejoBuilder")
            .field("sub_path", &self.sub_path)
            .field("listen", &self.listen)
            .field("gitea", &self.gitea)
            .field("version", &self.version)
            .field("applications", &self.state.applications)
            .finish_non_exhaustive()
    }
}
