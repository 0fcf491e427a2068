use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::fake::{FakeBitbucketDataCenter, lock, route};
use super::project::FakeProject;
use super::rate_limit::RateLimit;
use super::state::{Licence, Maintenance, State};
use super::user::FakeUser;
use crate::testing::application::FakeApplication;
use crate::testing::journal::Journal;
use crate::testing::server::Listener;

/// Settings of a [`FakeBitbucketDataCenter`].
#[must_use]
pub struct FakeBitbucketDataCenterBuilder {
    listen: SocketAddr,
    latency: Duration,
    state: State,
}

/// Settings that change one field of the options.
macro_rules! options {
    ($($(#[$doc:meta])* $name:ident: $kind:ty;)*) => {
        $($(#[$doc])*
        pub fn $name(mut self, $name: $kind) -> Self {
            self.state.options.$name = $name;
            self
        })*
    };
}

impl FakeBitbucketDataCenterBuilder {
    pub(super) fn new() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), latency: Duration::ZERO, state: State::new() }
    }

    /// The context path, for example `/bitbucket`, or an empty text for none.
    pub fn sub_path(mut self, path: &str) -> Self {
        path.trim_end_matches('/').clone_into(&mut self.state.context_path);
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

    /// Creates an incoming link. Its first redirect URI is the link's redirect URL; without scopes no permission is ticked.
    pub fn application(mut self, application: FakeApplication) -> Self {
        self.state.applications.push(application);
        self
    }

    /// Adds a user, or replaces the preset one with the same id.
    pub fn user(mut self, user: FakeUser) -> Self {
        self.state.add_user(user);
        self
    }

    /// Adds a project, or replaces the preset one with the same id.
    pub fn project(mut self, project: FakeProject) -> Self {
        self.state.add_project(project);
        self
    }

    /// The version, `9.4.0` by default. One before 7.20 has no OAuth 2.0: the endpoints do not exist.
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.state.options.version);
        self
    }

    /// The name of the instance, `Bitbucket` by default.
    pub fn display_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.state.options.display_name);
        self
    }

    /// Limits the requests of each user: a bucket of `capacity` that gets `fill_rate` at each interval. Off by default.
    pub fn rate_limit(mut self, capacity: u64, fill_rate: u64, interval: Duration) -> Self {
        self.state.options.rate_limit = Some(RateLimit { capacity, fill_rate, interval });
        self
    }

    // The instance.
    options! {
        /// Starts in maintenance.
        maintenance: Option<Maintenance>;
        /// The licence: [`Licence::Valid`] by default.
        licence: Licence;
        /// Sends build number and date as JSON numbers. Off by default: as texts.
        numeric_build: bool;
        /// Refuses all REST calls of anonymous callers with 401, as some proxies do. Off by default.
        closed_to_anonymous: bool;
        /// Redirects all REST calls to a login page, as a single sign-on filter does. Off by default.
        login_redirect: bool;
        /// Adds `details` to API errors, as newer versions do. On by default.
        error_details: bool;
        /// Makes the messages of API errors `null`. Off by default.
        null_messages: bool;
    }

    // The authorization page.
    options! {
        /// Takes the link's redirect URL as a list, separated by commas. Off by default: it is one URL.
        several_redirect_urls: bool;
        /// Shows errors on the page, instead of sending them to the callback URL. Off by default.
        errors_on_page: bool;
        /// Replaces a scope above the link's permissions by what the link allows. Off by default: `invalid_scope`.
        narrow_scopes: bool;
        /// Grants all that the link allows if the request has no scope. Off by default: `PUBLIC_REPOS`.
        missing_scope_takes_all: bool;
        /// Lets `PROJECT_ADMIN` imply `REPO_ADMIN`, and `SYSTEM_ADMIN` imply `ADMIN_WRITE`. Off by default.
        wide_scopes: bool;
        /// Skips the page if the browser's user has a token of the same link for these scopes. Off by default: whether a real
        /// one remembers consent is not publicly known.
        remember_consent: bool;
        /// How long a code is valid: 10 s by default.
        code_lifetime: Duration;
    }

    // The token endpoint.
    options! {
        /// How long access tokens live: 3,600 s by default. `None`: they do not expire, and responses have no `expires_in`.
        token_lifetime: Option<Duration>;
        /// How long refresh tokens live: 90 days by default.
        refresh_token_lifetime: Duration;
        /// Lists implied scopes in token responses, too. Off by default.
        list_implied_scopes: bool;
        /// Adds `created_at` to token responses. On by default.
        created_at: bool;
        /// Ends the old pair of tokens at each refresh. On by default. Off: the refresh token stays the same.
        rotate_refresh_tokens: bool;
        /// Refuses a refresh without `redirect_uri`. On by default. A wrong one is always refused.
        refresh_needs_redirect_uri: bool;
        /// Checks the client secret. On by default. Off: any secret passes.
        validate_client_secret: bool;
        /// Looks at code or refresh token before the client's credentials. Off by default.
        grant_checked_first: bool;
        /// Makes a code useless if the redirect URL or the verifier is wrong. On by default.
        failed_exchange_spends_code: bool;
        /// The status of `invalid_client`: 401 by default, or 400.
        invalid_client_status: u16;
    }

    // The API.
    options! {
        /// Accepts access tokens. On by default. Off: all tokens are bad tokens.
        accept_access_tokens: bool;
        /// Refuses bad tokens with 401. Off by default: their callers are anonymous.
        reject_bad_tokens: bool;
        /// Ends the tokens of deactivated users. Off by default: the profile says `"active":false`.
        stop_inactive_users: bool;
        /// Sends the header `X-AUSERID`. On by default.
        user_id_header: bool;
        /// Writes `X-AUSERNAME` with `+` for a blank and `%7E` for `~`. Off by default: `%20` and `~`.
        form_encoded_user_name: bool;
        /// Closes the user list and the profiles to users who are not administrators, with 401. Off by default.
        closed_user_list: bool;
        /// Shows service users in the user list and by their slug. Off by default.
        list_service_users: bool;
        /// The largest `limit` of a list: 1,000 by default. A larger one is lowered.
        largest_page: usize;
        /// Refuses hidden projects and repositories with 401. Off by default: 404.
        hidden_is_unauthorized: bool;
        /// The status if the token's scope is too small: 401 by default, or 403.
        scope_refusal_status: u16;
    }

    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub async fn start(self) -> io::Result<FakeBitbucketDataCenter> {
        let listener = Listener::bind(self.listen).await?;
        let mut state = self.state;
        let base_url = format!("http://{}{}", listener.address, state.context_path);
        state.base_url.clone_from(&base_url);
        let journal = Arc::new(Journal::default());
        journal.set_latency(self.latency);
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let handler = Arc::new(move |request: &_| route(&mut lock(&shared), request));
        let server = listener.serve(Arc::clone(&journal), handler);
        Ok(FakeBitbucketDataCenter { base_url, journal, state, server })
    }
}

impl fmt::Debug for FakeBitbucketDataCenterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeBitbucketDataCenterBuilder")
            .field("listen", &self.listen)
            .field("context_path", &self.state.context_path)
            .field("applications", &self.state.applications)
            .finish_non_exhaustive()
    }
}
