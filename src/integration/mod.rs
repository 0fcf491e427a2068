mod api;
mod builder;
mod find;
mod login;
mod policy;
mod test_login;
mod tokens;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use http::Method;
use url::Url;

pub use self::api::ApiCall;
pub use self::builder::{IntegrationBuilder, IntegrationConfig};
pub use self::find::{FindIntegration, LoginEnd};
pub use self::policy::LoginPolicy;
use crate::error::{ConfigError, Error};
use crate::login::{Callback, Login, PendingLogin, Purpose, ReturnTo};
use crate::provider::check::{CheckReport, CheckRequest};
use crate::provider::grant::AuthorizationUrl;
use crate::provider::oauth_provider::OAuthProvider;
use crate::transport::{Bulkhead, Transport};
use crate::values::access::Access;
use crate::values::callback_url::CallbackUrl;
use crate::values::email::EmailTrust;
use crate::values::integration_id::IntegrationId;
use crate::values::public_url::PublicUrl;
use crate::values::scope::Scopes;
use crate::values::token::{ClientCredentials, TokenBinding};

/// What an administrator has created: a provider with an id, a name, credentials and an access level, ready to log
/// users in.
///
/// Cheap to clone. It cannot be changed: build another one when the settings change. Another code host is another integration, with an
/// id of its own (see [`AccountKey`](crate::AccountKey)). An integration sends at most 32 requests at the same time, unless the
/// builder sets another number. After five in a row without a response, new requests fail for thirty seconds with the last error,
/// and nothing is sent; [`check`](Self::check) is not affected. So a code host that is down does not slow the logins at others.
///
/// ```
/// use codehost_oauth::{transport::{HttpClient, Network}, Access, BaseUrl, Integration, IntegrationConfig, PendingLogins, Platform};
///
/// let network = Network::public_only();
/// let provider = Platform::find("gitlab")?.provider(BaseUrl::parse("https://git.example.com", &network)?)?;
/// let integration = Integration::builder(provider, HttpClient::builder(network).build()?, IntegrationConfig {
///     id: "demo".parse()?,
///     name: "Our GitLab".to_owned(),
///     public_url: "https://packages.example.com".parse()?,
///     client_id: "application-id".to_owned(),
///     client_secret: "gloas-secret".to_owned(),
///     access: Access::SignIn,
/// })
///     .build()?;
///
/// let start = integration.begin_login(None)?;
/// let mut session = PendingLogins::default();
/// session.insert(start.pending);
/// assert!(start.redirect_to.as_str().starts_with("https://git.example.com/oauth/authorize?client_id=application-id"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Integration(Arc<Inner>);

struct Inner {
    name: Box<str>,
    provider: Arc<dyn OAuthProvider>,
    client: ClientCredentials,
    public_url: PublicUrl,
    /// The path of the login link, if the app has chosen one.
    login_path: Option<Box<str>>,
    scopes: Scopes,
    access: Access,
    http: Bulkhead,
    login_deadline: Duration,
    binding: TokenBinding,
    callback_url: CallbackUrl,
    email_trust: EmailTrust,
    policy: LoginPolicy,
    #[cfg_attr(not(feature = "seal"), expect(dead_code, reason = "for the keeper"))]
    former_base_urls: Box<[Box<str>]>,
}

/// Options of one login. A platform that does not support an option ignores it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LoginOptions {
    /// Where the user wants to go afterwards.
    pub return_to: Option<ReturnTo>,
    /// A user name or e-mail address to suggest on the code host's login page. It goes into a URL.
    pub login_hint: Option<String>,
    /// Whether the user must choose an account, also if they are logged in at the code host.
    pub select_account: bool,
}

/// A login that has begun.
#[derive(Debug)]
#[non_exhaustive]
pub struct LoginStart {
    /// Where to send the browser, with status 303.
    pub redirect_to: AuthorizationUrl,
    /// What to keep in this browser's session.
    pub pending: PendingLogin,
}

/// What to show on a login page, and the link to share with users.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct LoginLink {
    /// `{public_url}/login/{id}`, unless the app chose another path.
    pub url: Url,
    /// "Log in with NAME".
    pub label: String,
    /// Platform and host name, to stand under the label: "GitLab: git.example.com".
    pub detail: String,
}

impl Integration {
    /// Begins to build an integration of this provider, whose requests `http` sends; usually that is an
    /// [`HttpClient`](crate::transport::HttpClient).
    pub fn builder(
        provider: Arc<dyn OAuthProvider>,
        http: impl Transport + 'static,
        config: IntegrationConfig,
    ) -> IntegrationBuilder {
        IntegrationBuilder::new(provider, Arc::new(http), config)
    }

    /// Begins a login: where to send the browser, and what to keep until it comes back. Sends nothing.
    ///
    /// Call it for a `POST` with a CSRF token, not for a `GET`: another site could start a login with a link.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Random`] if the system gives no random bytes.
    pub fn begin_login(&self, return_to: Option<ReturnTo>) -> Result<LoginStart, ConfigError> {
        self.begin_login_with(LoginOptions { return_to, ..LoginOptions::default() })
    }

    /// The same with options.
    ///
    /// ```
    /// # fn example(integration: &codehost_oauth::Integration) -> Result<(), codehost_oauth::error::ConfigError> {
    /// use codehost_oauth::LoginOptions;
    ///
    /// let mut options = LoginOptions::default();
    /// options.login_hint = Some("jane".to_owned());
    /// options.select_account = true;
    /// let start = integration.begin_login_with(options)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`begin_login`](Self::begin_login).
    pub fn begin_login_with(&self, options: LoginOptions) -> Result<LoginStart, ConfigError> {
        self.begin(Purpose::LogIn, options)
    }

    /// Begins to connect another account to the app's user `user_id`, who is logged in. As
    /// [`begin_login`](Self::begin_login), and only [`finish_connect`](Self::finish_connect) finishes it.
    ///
    /// ```
    /// # fn example(integration: &codehost_oauth::Integration) -> Result<(), codehost_oauth::error::ConfigError> {
    /// let start = integration.begin_connect("user-7", None)?;
    /// assert_eq!(start.pending.purpose().user_id(), Some("user-7"));
    /// assert_eq!(integration.begin_login(None)?.pending.purpose().user_id(), None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Purpose::connect`], and as [`begin_login`](Self::begin_login).
    pub fn begin_connect(&self, user_id: &str, return_to: Option<ReturnTo>) -> Result<LoginStart, ConfigError> {
        self.begin(Purpose::connect(user_id)?, LoginOptions { return_to, ..LoginOptions::default() })
    }

    /// Finishes a login: verifies the callback, exchanges the code, and looks up who the user is. Two round trips; three on Bitbucket
    /// Data Center, and for a group that can only be asked for with the user. All of it is within
    /// [one deadline](IntegrationBuilder::login_deadline). A look-up that gets 401 is repeated after one and
    /// after two seconds: a code host with several nodes may not know its new token everywhere yet.
    ///
    /// Take `pending` out of the session with [`PendingLogins::take`](crate::PendingLogins::take), and store the session
    /// before this is called, so that a callback works once. It cannot be finished twice:
    ///
    /// ```compile_fail,E0382
    /// # use codehost_oauth::{Callback, Integration, PendingLogin};
    /// async fn twice(integration: &Integration, pending: PendingLogin, [one, two]: [Callback; 2]) {
    ///     let _ = integration.finish_login(pending, one).await;
    ///     let _ = integration.finish_login(pending, two).await;
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Verify`] before anything is sent, or for an ID token that does not fit; [`Error::Token`] from the exchange; [`Error::Api`] and
    /// [`Error::Account`] from the look-up, among them those of the [`policy`](IntegrationBuilder::policy);
    /// [`Error::Transport`] and [`Error::Response`] from either.
    pub async fn finish_login(&self, pending: PendingLogin, callback: Callback) -> Result<Login, Error> {
        self.observe("finish_login", self.finish(Purpose::LogIn, pending, callback)).await
    }

    /// Finishes a connection that `user_id`, who is logged in now, must have begun. Connect the account by its key;
    /// refuse it if the key is another user's already.
    ///
    /// # Errors
    ///
    /// As [`finish_login`](Self::finish_login); [`VerifyError::OtherUser`](crate::error::VerifyError::OtherUser) if
    /// another user began it, [`VerifyError::OtherPurpose`](crate::error::VerifyError::OtherPurpose) if it is a login,
    /// [`ConfigError::UserId`] if no user can have this id.
    pub async fn finish_connect(
        &self,
        user_id: &str,
        pending: PendingLogin,
        callback: Callback,
    ) -> Result<Login, Error> {
        let purpose = Purpose::connect(user_id)?;
        self.observe("finish_connect", self.finish(purpose, pending, callback)).await
    }

    /// Begins a `GET` of the code host's API. `path` are the segments below the provider's
    /// [`api_url`](OAuthProvider::api_url), each of which is encoded as a whole.
    ///
    /// ```
    /// # async fn example(integration: codehost_oauth::Integration, token: codehost_oauth::AccessToken)
    /// # -> Result<(), codehost_oauth::error::Error> {
    /// let projects = integration.api_get(&["api", "v4", "projects"]).query(&[("membership", "true")]);
    /// println!("{}", projects.send(&token).await?.text());
    /// # Ok(())
    /// # }
    /// ```
    pub fn api_get(&self, path: &[&str]) -> ApiCall<'_> {
        self.api_call(Method::GET, path)
    }

    /// Begins a call of the code host's API with any method; see [`api_get`](Self::api_get).
    pub fn api_call(&self, method: Method, path: &[&str]) -> ApiCall<'_> {
        ApiCall::new(self, method, &self.0.provider.api_url().endpoint(path))
    }

    /// Finds out what can be known about this integration without a user; see [`check`](crate::check). Building an
    /// integration stores and sends nothing, so this is the check before it is saved too.
    ///
    /// ```
    /// # async fn example(integration: codehost_oauth::Integration) {
    /// use codehost_oauth::check::Verdict;
    ///
    /// let report = integration.check().await;
    /// if report.verdict() == Verdict::AllRight {
    ///     println!("saved");
    /// } else {
    ///     println!("{report}");
    /// }
    /// # }
    /// ```
    pub async fn check(&self) -> CheckReport {
        let request = CheckRequest::new(self.0.callback_url.clone(), self.0.scopes.clone());
        let http = self.0.http.past_breaker();
        let api = self.0.provider.api_url().endpoint(&[]);
        let inspected = tokio::time::timeout(request.deadline, self.0.http.inspect(&api));
        let checked = self.direct_provider().check(&http, &self.0.client, &request);
        let (report, connection) = future::join(checked, inspected).await;
        report.with_connection(connection.ok().flatten())
    }

    /// The link to share with users.
    pub fn login_link(&self) -> LoginLink {
        let chosen = self.0.login_path.as_ref().and_then(|path| self.0.public_url.join(path));
        let url = chosen.unwrap_or_else(|| self.0.public_url.url().page(&["login", self.id().as_str()]));
        LoginLink {
            url,
            label: format!("Log in with {}", self.0.name),
            detail: format!("{}: {}", self.0.provider.platform().name(), self.0.provider.base_url().authority()),
        }
    }

    /// What the tokens of this integration are bound to: its id and its base URL.
    pub fn binding(&self) -> &TokenBinding {
        &self.0.binding
    }

    /// The id.
    pub fn id(&self) -> &IntegrationId {
        self.0.binding.integration()
    }

    #[cfg(feature = "axum")]
    pub(crate) fn public_url(&self) -> &PublicUrl {
        &self.0.public_url
    }

    /// The name that the administrator gave it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The provider.
    pub fn provider(&self) -> &Arc<dyn OAuthProvider> {
        &self.0.provider
    }

    /// The same, for calls: by way of the `Arc`, which is a provider too, each future would be boxed twice.
    fn direct_provider(&self) -> &dyn OAuthProvider {
        &*self.0.provider
    }

    /// The access level.
    pub fn access(&self) -> &Access {
        &self.0.access
    }

    /// Who may log in.
    pub fn policy(&self) -> &LoginPolicy {
        &self.0.policy
    }

    /// Where the browser comes back to.
    pub fn callback_url(&self) -> &CallbackUrl {
        &self.0.callback_url
    }

    /// The path of the app's first page, where a login without a `return_to` can lead: [`PublicUrl::path`].
    ///
    /// ```
    /// # fn example(integration: codehost_oauth::Integration, login: codehost_oauth::Login) {
    /// let onward = login.return_to.as_ref().map_or(integration.app_path(), |path| path.as_str());
    /// # assert!(onward.starts_with('/'));
    /// # }
    /// ```
    pub fn app_path(&self) -> &str {
        self.0.public_url.path()
    }

    /// Whether both have the same id, base URL, client id and callback URL. After [`finish_login`](Self::finish_login), look
    /// the integration up again, and refuse the login if it was deleted or this is `false`: then the login came from the
    /// previous code host.
    ///
    /// ```
    /// # fn example(used: codehost_oauth::Integration, now: Option<codehost_oauth::Integration>) {
    /// if !now.is_some_and(|now| now.is_bound_like(&used)) {
    ///     println!("the login is refused");
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn is_bound_like(&self, other: &Self) -> bool {
        self.0.binding == other.0.binding
            && self.0.client.client_id() == other.0.client.client_id()
            && self.0.callback_url == other.0.callback_url
    }

    /// Whether it is proved that the code host accepts the client; see [`OAuthProvider::accepts_client`].
    #[cfg(feature = "seal")]
    pub(crate) async fn accepts_client(&self) -> Result<bool, Error> {
        let call = self.direct_provider().accepts_client(&self.0.http, &self.0.client, &self.0.callback_url);
        self.observe("accepts_client", call).await
    }

    /// Whether the same server was at this base URL before.
    #[cfg(feature = "seal")]
    pub(crate) fn was_at(&self, base_url: &str) -> bool {
        self.0.former_base_urls.iter().any(|url| **url == *base_url)
    }

    /// The scopes that a login asks for.
    #[cfg(any(feature = "oauth2", feature = "seal"))]
    pub(crate) fn scopes(&self) -> &Scopes {
        &self.0.scopes
    }

    /// The client id and secret.
    #[cfg(any(feature = "oauth2", feature = "seal"))]
    pub(crate) fn client(&self) -> &ClientCredentials {
        &self.0.client
    }

    /// Runs one operation in a span of its own, if the feature `tracing` is on. Not an `async fn`, which would have room for `work`
    /// twice.
    fn observe<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, Error>> + Send,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        crate::observe::observed(self.id(), self.0.provider.platform(), operation, work)
    }

    fn ensure_own(&self, binding: &TokenBinding, what: &'static str) -> Result<(), ConfigError> {
        if *binding == self.0.binding { Ok(()) } else { Err(ConfigError::OtherBinding { what }) }
    }
}

impl fmt::Debug for Integration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Integration")
            .field("binding", &self.0.binding)
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}
