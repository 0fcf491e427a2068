use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::fake::FakeGitHub;
use super::options::{Issuer, ServerKind, TokenFormat};
use super::organization::FakeOrganization;
use super::route;
use super::state::State;
use super::user::FakeUser;
use crate::testing::application::FakeApplication;
use crate::testing::journal::Journal;
use crate::testing::server::Listener;

/// Settings of a [`FakeGitHub`].
#[must_use]
pub struct FakeGitHubBuilder {
    listen: SocketAddr,
    latency: Duration,
    state: State,
}

impl FakeGitHubBuilder {
    pub(super) fn new() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), latency: Duration::ZERO, state: State::new() }
    }

    /// Which GitHub to imitate.
    pub fn kind(mut self, kind: ServerKind) -> Self {
        self.state.options.kind = kind;
        self
    }

    /// The address of the site to listen at; port 0 takes a free one. An API with its own port takes a free one.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Delays every response.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Registers an OAuth App. Its `scopes` have no effect: GitHub knows none before the login.
    pub fn application(mut self, application: FakeApplication) -> Self {
        self.state.add_application(application, false);
        self
    }

    /// Registers a GitHub App. Its `scopes` are its permissions, such as `emails=read members=read`. Organizations that have
    /// installed it name it in [`FakeOrganization::apps`].
    pub fn github_app(mut self, application: FakeApplication) -> Self {
        self.state.add_application(application, true);
        self
    }

    /// Adds a user, or replaces the preset one with the same id.
    pub fn user(mut self, user: FakeUser) -> Self {
        self.state.add_user(user);
        self
    }

    /// Adds an organization, or replaces the preset one with the same id.
    pub fn organization(mut self, organization: FakeOrganization) -> Self {
        self.state.add_organization(organization);
        self
    }

    /// The version of an Enterprise Server. It is `3.19.0` unless built otherwise; OAuth Apps have refresh tokens since 3.23.
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.state.options.version);
        self
    }

    /// How long access tokens live. `None`: they do not expire and have no refresh token, unless the scope `offline_access`
    /// was requested. 8 hours unless built otherwise. No effect on OAuth Apps of an Enterprise Server before 3.23.
    pub fn token_lifetime(mut self, lifetime: Option<Duration>) -> Self {
        self.state.options.token_lifetime = Some(lifetime);
        self
    }

    /// The form of new tokens.
    pub fn token_format(mut self, format: TokenFormat) -> Self {
        self.state.options.token_format = format;
        self
    }

    /// Sends the numbers of token responses as strings, as old documentation shows them.
    pub fn numbers_as_text(mut self, as_text: bool) -> Self {
        self.state.options.numbers_as_text = as_text;
        self
    }

    /// Sets `iss` in callbacks, if it is not `<base>/login/oauth`.
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.state.options.issuer = Issuer::Other(issuer.to_owned());
        self
    }

    /// Sends no `iss` in callbacks, as github.com before August 2026.
    pub fn without_issuer(mut self) -> Self {
        self.state.options.issuer = Issuer::Omitted;
        self
    }

    /// `false`: ignores PKCE, as documented for Enterprise Servers. On by default.
    pub fn pkce(mut self, pkce: bool) -> Self {
        self.state.options.pkce = pkce;
        self
    }

    /// "Allow wildcard matching" of the redirect URIs of OAuth Apps: sub-domains, paths below, and any port at 127.0.0.1.
    pub fn wildcard_redirects(mut self, wildcard: bool) -> Self {
        self.state.options.wildcard_redirects = wildcard;
        self
    }

    /// Sends `redirect_uri_mismatch` to the first registered redirect URI, as documented, instead of showing a page.
    pub fn mismatch_callback(mut self, callback: bool) -> Self {
        self.state.options.mismatch_callback = callback;
        self
    }

    /// Skips the authorization page if the browser's user has granted the scopes before, as GitHub does, unless ten tokens
    /// were made in the last hour. Off by default, so that each login offers all users.
    pub fn remember_consent(mut self, remember: bool) -> Self {
        self.state.options.remember_consent = remember;
        self
    }

    /// Checks a code before the client's credentials, so that a wrong secret with a wrong code is a wrong code. The order of
    /// a real one is not known. Off by default.
    pub fn code_before_client(mut self, code_first: bool) -> Self {
        self.state.options.code_before_client = code_first;
        self
    }

    /// Revokes the oldest of ten tokens when there is an eleventh, as older documentation says. Otherwise the first is the
    /// oldest one that was never used and is older than a minute, then the least recently used one.
    pub fn evict_oldest(mut self, oldest: bool) -> Self {
        self.state.options.evict_oldest = oldest;
        self
    }

    /// Whether a login fails with `unverified_user_email` if the primary address was not verified. On by default, except at
    /// an Enterprise Server.
    pub fn require_verified_email(mut self, require: bool) -> Self {
        self.state.options.require_verified_email = Some(require);
        self
    }

    /// Sets `verified` of all addresses: Enterprise Servers do not verify, and report `true` or `false` for all.
    pub fn all_emails_verified(mut self, verified: bool) -> Self {
        self.state.options.override_verified = Some(verified);
        self
    }

    /// The status of calls for organizations and teams if the scope is missing: 404, the default, or 403.
    pub fn missing_scope_status(mut self, status: u16) -> Self {
        self.state.options.missing_scope_status = status;
        self
    }

    /// The status of `/applications/…` with wrong credentials: 404, the default, or 401.
    pub fn wrong_secret_status(mut self, status: u16) -> Self {
        self.state.options.wrong_secret_status = status;
        self
    }

    /// Whether the deletion of an access token leaves its refresh token valid. Off by default.
    pub fn keep_refresh_token(mut self, keep: bool) -> Self {
        self.state.options.keep_refresh_token = keep;
        self
    }

    /// Requests per user and hour; without credentials there are 60. `None`: no limit, the default of an Enterprise Server.
    /// Otherwise the default is 5,000.
    pub fn rate_limit(mut self, limit: Option<u64>) -> Self {
        self.state.options.rate_limit = Some(limit);
        self
    }

    /// The status of a response to too many requests: 403, the default, or 429.
    pub fn rate_limit_status(mut self, status: u16) -> Self {
        self.state.options.rate_limit_status = status;
        self
    }

    /// After this many calls with bad credentials the API refuses all calls for ten minutes. Off by default.
    pub fn failed_login_limit(mut self, limit: u32) -> Self {
        self.state.options.failed_logins = Some(limit);
        self
    }

    /// Private mode of an Enterprise Server: no call without credentials. Off by default.
    pub fn private_mode(mut self, private: bool) -> Self {
        self.state.options.private_mode = private;
        self
    }

    /// Removes all `X-GitHub-…` headers, as a proxy may do. Off by default.
    pub fn strip_headers(mut self, strip: bool) -> Self {
        self.state.options.strip_headers = strip;
        self
    }

    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// If an address cannot be bound.
    pub async fn start(self) -> io::Result<FakeGitHub> {
        let site = Listener::bind(self.listen).await?;
        let base_url = format!("http://{}", site.address);
        let api = match self.state.options.is_server() {
            true => None,
            false => Some(Listener::bind(SocketAddr::new(self.listen.ip(), 0)).await?),
        };
        let api_url =
            api.as_ref().map_or_else(|| format!("{base_url}/api/v3"), |api| format!("http://{}", api.address));
        let mut state = self.state;
        state.base_url.clone_from(&base_url);
        state.api_url.clone_from(&api_url);
        let journal = Arc::new(Journal::default());
        journal.set_latency(self.latency);
        let state = Arc::new(Mutex::new(state));
        let mut servers = vec![site.serve(Arc::clone(&journal), route::site(&state))];
        servers.extend(api.map(|api| api.serve(Arc::clone(&journal), route::api(&state))));
        Ok(FakeGitHub { base_url, api_url, journal, state, servers })
    }
}

impl fmt::Debug for FakeGitHubBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let applications: Vec<_> = self.state.applications.iter().map(|known| &known.application).collect();
        f.debug_struct("FakeGitHubBuilder")
            .field("kind", &self.state.options.kind)
            .field("listen", &self.listen)
            .field("applications", &applications)
            .finish_non_exhaustive()
    }
}
