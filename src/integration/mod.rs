mod builder;

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use futures_util::future;
use tokio::time::Instant;
use url::Url;

pub use self::builder::IntegrationBuilder;
use crate::check::{CheckReport, CheckRequest};
use crate::error::{AccountError, ConfigError, Error, TransportError};
use crate::grant::{AuthorizationRequest, AuthorizationUrl};
use crate::host::{CallbackUrl, Host, IntegrationId};
use crate::login::{Callback, Expected, Login, PendingLogin, Purpose, ReturnTo};
use crate::membership::{Group, Membership};
use crate::oauth;
use crate::provider::{OAuthProvider, missing_scopes};
use crate::revocation::Revocation;
use crate::scope::{Access, Scopes};
use crate::token::{AccessToken, ClientCredentials, Origin, RefreshToken, TokenSet};
use crate::transport::Bulkhead;
use crate::user::{EmailTrust, User};

/// What an administrator has created: a provider with an id, a name, credentials and an access level, ready to log
/// people in.
///
/// There is no way to change one; build another when the settings change. Another code host is another integration, with an
/// id of its own (see [`AccountKey`](crate::AccountKey)). The client remembers by the id how its code host does: at most
/// four requests are under way at once, and after five in a row without an answer the next thirty seconds' worth of
/// them fail at once with the same error, except those of
/// [`check`](Self::check). One code host that is down does not slow the logins at the others.
///
/// ```
/// use codehost_oauth::{transport::{HttpClient, Network}, Access, BaseUrl, Integration, PendingLogins, Platform};
///
/// let network = Network::public_only();
/// let provider = Platform::find("gitlab")?.at(BaseUrl::parse("https://git.example.com", &network)?)?;
/// let integration = Integration::builder(provider)
///     .id("demo".parse()?)
///     .name("Our GitLab")
///     .host("https://packages.example.com".parse()?)
///     .client("application-id", "gloas-secret")
///     .access(Access::SignIn)
///     .transport(HttpClient::builder(network).build()?)
///     .build()?;
///
/// let start = integration.begin_login(None)?;
/// let mut session = PendingLogins::default();
/// session.insert(start.pending);
/// assert!(start.redirect_to.as_str().starts_with("https://git.example.com/oauth/authorize?client_id=application-id"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Integration {
    name: Box<str>,
    provider: Arc<dyn OAuthProvider>,
    client: ClientCredentials,
    host: Host,
    scopes: Scopes,
    access: Access,
    http: Bulkhead,
    login_deadline: Duration,
    origin: Origin,
    callback_url: CallbackUrl,
    /// What every authorization URL of this integration begins with. Made for the first login: a host may have a hundred
    /// thousand integrations that nobody uses today.
    #[allow(clippy::box_collection, reason = "a word instead of three while there is none")]
    authorization_url: OnceLock<Box<String>>,
    email_trust: EmailTrust,
    allow_bots: bool,
    required_group: Option<Group>,
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
    /// `{host}/login/{id}`.
    pub url: Url,
    /// "Log in with NAME".
    pub label: String,
    /// Platform and host name, to stand under the label: "GitLab: git.example.com".
    pub detail: String,
}

impl Integration {
    /// Begins to describe an integration of this provider.
    pub fn builder(provider: Arc<dyn OAuthProvider>) -> IntegrationBuilder {
        IntegrationBuilder::new(provider)
    }

    /// Begins a login: where to send the browser, and what to keep until it comes back. Sends nothing.
    ///
    /// Call it for a `POST` with a CSRF token, not for a `GET`: another site could start a login with a link.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Random`] if the system gives no random bytes.
    pub fn begin_login(&self, return_to: Option<ReturnTo>) -> Result<LoginStart, ConfigError> {
        self.begin(Purpose::LogIn, return_to)
    }

    /// Begins to connect another account to the host's user `user_id`, who is signed in. As
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
    /// Also [`ConfigError::UserId`] if the id is empty or longer than 255 bytes.
    pub fn begin_connect(&self, user_id: &str, return_to: Option<ReturnTo>) -> Result<LoginStart, ConfigError> {
        self.begin(Purpose::connect(user_id)?, return_to)
    }

    /// Finishes a login: verifies the callback, exchanges the code, and looks up who the person is. Two round trips, within
    /// [one deadline](IntegrationBuilder::login_deadline). A look-up that is answered with 401 is repeated after one and
    /// after two seconds: a code host with several nodes may not know its new token everywhere yet.
    ///
    /// Take `pending` out of the session with [`PendingLogins::take`](crate::PendingLogins::take), and store the session
    /// before this is called, so that a callback works once.
    ///
    /// # Errors
    ///
    /// [`Error::Verify`] before anything is sent; [`Error::Token`] from the exchange; [`Error::Api`] and
    /// [`Error::Account`] from the look-up, among them [`AccountError::NotAMember`] if a group is required;
    /// [`Error::Transport`] and [`Error::Answer`] from either.
    pub async fn finish_login(&self, pending: PendingLogin, callback: Callback) -> Result<Login, Error> {
        self.observe("finish_login", pin!(self.finish(Purpose::LogIn, pending, callback))).await
    }

    /// Finishes a connection that `user_id`, who is signed in now, must have begun. Connect the account by its key;
    /// refuse it if the key is another user's already.
    ///
    /// # Errors
    ///
    /// As [`finish_login`](Self::finish_login); [`VerifyError::OtherUser`](crate::error::VerifyError::OtherUser) if
    /// somebody else began it, [`VerifyError::OtherPurpose`](crate::error::VerifyError::OtherPurpose) if it is a login.
    pub async fn finish_connect(
        &self,
        user_id: &str,
        pending: PendingLogin,
        callback: Callback,
    ) -> Result<Login, Error> {
        let purpose = Purpose::connect(user_id)?;
        self.observe("finish_connect", pin!(self.finish(purpose, pending, callback))).await
    }

    /// Renews tokens; see [`OAuthProvider::refresh`].
    ///
    /// # Errors
    ///
    /// As there, and [`ConfigError::OtherInstance`] for a token of another integration, before anything is sent.
    pub async fn refresh(&self, token: &RefreshToken) -> Result<TokenSet, Error> {
        self.ensure_own(token.origin(), "refresh token")?;
        self.observe("refresh", pin!((*self.provider).refresh(&self.http, &self.client, token))).await
    }

    /// Looks up whose token this is; see [`OAuthProvider::user`]. Unlike a login it does not refuse blocked accounts
    /// and bots that the platform itself lets through.
    ///
    /// # Errors
    ///
    /// As there, and [`ConfigError::OtherInstance`] for a token of another integration, before anything is sent.
    pub async fn user(&self, token: &AccessToken) -> Result<User, Error> {
        self.ensure_own(token.origin(), "access token")?;
        self.observe("user", pin!((*self.provider).user(&self.http, token))).await
    }

    /// Whether the person is in a group; see [`OAuthProvider::membership`]. Memberships end: ask again from time to time.
    ///
    /// ```
    /// # async fn example(integration: codehost_oauth::Integration, token: codehost_oauth::AccessToken)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// use codehost_oauth::{Group, Membership};
    ///
    /// match integration.membership(&token, &Group::path("acme/tools")?.at_least("maintainer")).await? {
    ///     Membership::Member { role } => println!("at least {role}"),
    ///     Membership::ScopeMissing { scope } => println!("tick {scope}"),
    ///     _ => println!("no"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there, and [`ConfigError::OtherInstance`] for a token of another integration, before anything is sent.
    pub async fn membership(&self, token: &AccessToken, group: &Group) -> Result<Membership, Error> {
        self.ensure_own(token.origin(), "access token")?;
        self.observe("membership", pin!((*self.provider).membership(&self.http, token, group))).await
    }

    /// Ends the person's grant at the code host, as far as the platform lets a host do it; see
    /// [`OAuthProvider::revoke`]. Forget the tokens afterwards, whatever came of it.
    ///
    /// # Errors
    ///
    /// As there, and [`ConfigError::OtherInstance`] for tokens of another integration, before anything is sent.
    pub async fn revoke(&self, tokens: &TokenSet) -> Result<Revocation, Error> {
        self.ensure_own(tokens.access_token.origin(), "access token")?;
        if let Some(token) = &tokens.refresh_token {
            self.ensure_own(token.origin(), "refresh token")?;
        }
        self.observe("revoke", pin!((*self.provider).revoke(&self.http, &self.client, tokens))).await
    }

    /// Finds out what can be known about this integration without a person; see [`check`](crate::check). Building an
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
        let request = CheckRequest::new(self.callback_url.clone(), self.scopes.clone());
        (*self.provider).check(&self.http.checking(), &self.client, &request).await
    }

    /// The link to share with users.
    pub fn login_link(&self) -> LoginLink {
        LoginLink {
            url: self.host.url().endpoint(&["login", self.id().as_str()]),
            label: format!("Log in with {}", self.name),
            detail: format!("{}: {}", self.provider.platform().name(), self.provider.base_url().host()),
        }
    }

    /// What a login's callback must match, for hosts that call [`PendingLogin::verify`] themselves.
    pub fn expected(&self) -> Expected<'_> {
        Expected::new(&self.origin, &self.callback_url, self.provider.issuer())
    }

    /// The id.
    pub fn id(&self) -> &IntegrationId {
        self.origin.integration()
    }

    /// The name that the administrator gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The provider.
    pub fn provider(&self) -> &Arc<dyn OAuthProvider> {
        &self.provider
    }

    /// The access level.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Where the browser comes back to.
    pub fn callback_url(&self) -> &CallbackUrl {
        &self.callback_url
    }

    /// The path of the app's first page, where a login without a `return_to` can lead: [`Host::path`].
    ///
    /// ```
    /// # fn example(integration: codehost_oauth::Integration, login: codehost_oauth::Login) {
    /// let onward = login.return_to.as_ref().map_or(integration.app_path(), |path| path.as_str());
    /// # assert!(onward.starts_with('/'));
    /// # }
    /// ```
    pub fn app_path(&self) -> &str {
        self.host.path()
    }

    /// Whether a login that the other one has finished is one of this integration too: the same id, base URL, client id and
    /// callback URL. Look an integration up again after [`finish_login`](Self::finish_login), and log nobody in if it has
    /// been deleted or is bound otherwise by now: the code host that it had before would still create accounts.
    ///
    /// ```
    /// # fn example(used: codehost_oauth::Integration, now: Option<codehost_oauth::Integration>) {
    /// if !now.is_some_and(|now| now.is_bound_like(&used)) {
    ///     println!("nobody is logged in");
    /// }
    /// # }
    /// ```
    pub fn is_bound_like(&self, other: &Self) -> bool {
        self.origin == other.origin
            && self.client.client_id() == other.client.client_id()
            && self.callback_url == other.callback_url
    }

    fn authorization_url(&self) -> String {
        let request = AuthorizationRequest {
            client_id: self.client.client_id(),
            callback_url: &self.callback_url,
            scopes: &self.scopes,
        };
        AuthorizationUrl::beginning(&self.provider.authorization_url(&request))
    }

    fn begin(&self, purpose: Purpose, return_to: Option<ReturnTo>) -> Result<LoginStart, ConfigError> {
        let pending = PendingLogin::begin(&self.expected().purpose(purpose), return_to, SystemTime::now())?;
        let beginning = self.authorization_url.get_or_init(|| Box::new(self.authorization_url()));
        let redirect_to = oauth::authorization_url(beginning, pending.state(), pending.verifier());
        Ok(LoginStart { redirect_to, pending })
    }

    async fn finish(&self, purpose: Purpose, pending: PendingLogin, callback: Callback) -> Result<Login, Error> {
        let work = self.finish_by(Instant::now().checked_add(self.login_deadline), purpose, pending, callback);
        tokio::time::timeout(self.login_deadline, work).await.unwrap_or(Err(TransportError::TimedOut.into()))
    }

    async fn finish_by(
        &self,
        deadline: Option<Instant>,
        purpose: Purpose,
        pending: PendingLogin,
        callback: Callback,
    ) -> Result<Login, Error> {
        let return_to = pending.return_to().cloned();
        let grant = pending.verify(callback, &self.expected().purpose(purpose), SystemTime::now())?;
        // Not through the pointer, which forwards each call in a box of its own.
        let (provider, http) = (&*self.provider, &self.http);
        let tokens = provider.exchange_code(http, &self.client, grant).await?;
        let token = &tokens.access_token;
        let user = ask_again(deadline, || provider.user(http, token));
        let (user, membership) = match &self.required_group {
            Some(group) => {
                let membership = ask_again(deadline, || provider.membership(http, token, group));
                let (user, membership) = future::join(user, membership).await;
                (user?, Some(membership))
            }
            None => (user.await?, None),
        };
        match user.ensure_active_person() {
            Err(AccountError::NotAPerson) if self.allow_bots => {}
            checked => checked?,
        }
        if let Some(membership) = membership {
            membership?.require()?;
        }
        let granted = tokens.scopes.as_ref();
        let missing_scopes =
            granted.map(|granted| missing_scopes(&self.provider, &self.scopes, granted)).unwrap_or_default();
        Ok(Login { user, tokens, missing_scopes, return_to, email_trust: self.email_trust })
    }

    /// Ends these tokens and no others; see [`OAuthProvider::revoke_pair`].
    #[cfg(feature = "seal")]
    pub(crate) async fn revoke_pair(&self, tokens: &TokenSet) -> Result<Revocation, Error> {
        self.observe("revoke_pair", pin!((*self.provider).revoke_pair(&self.http, &self.client, tokens))).await
    }

    /// Whether the code host accepts the client; see [`OAuthProvider::accepts_client`].
    #[cfg(feature = "seal")]
    pub(crate) async fn accepts_client(&self) -> Result<bool, Error> {
        let call = (*self.provider).accepts_client(&self.http, &self.client, &self.callback_url);
        self.observe("accepts_client", pin!(call)).await
    }

    /// The scopes that a login asks for.
    #[cfg(feature = "seal")]
    pub(crate) fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// The client id and secret.
    #[cfg(feature = "seal")]
    pub(crate) fn client(&self) -> &ClientCredentials {
        &self.client
    }

    /// Runs one operation in a span of its own, if the feature `tracing` is on.
    fn observe<'a, T>(
        &'a self,
        operation: &'static str,
        work: Pin<&'a mut (impl Future<Output = Result<T, Error>> + Send)>,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        crate::observe::observed(self.id(), self.provider.platform(), operation, work)
    }

    fn ensure_own(&self, origin: &Origin, what: &'static str) -> Result<(), ConfigError> {
        if *origin == self.origin { Ok(()) } else { Err(ConfigError::OtherInstance { what }) }
    }
}

impl fmt::Debug for Integration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Integration").field("origin", &self.origin).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Asks with a token that was issued just now. What is refused with 401 is asked again, as long as there is time.
async fn ask_again<T, A>(deadline: Option<Instant>, ask: impl Fn() -> A) -> Result<T, Error>
where
    A: Future<Output = Result<T, Error>>,
{
    for pause in NEW_TOKEN_PAUSES {
        match ask().await {
            Err(error) if error.is_unauthorized() => {
                let next = Instant::now().checked_add(pause);
                if deadline.is_some_and(|deadline| next.is_none_or(|next| next >= deadline)) {
                    return Err(error);
                }
            }
            answered => return answered,
        }
        tokio::time::sleep(pause).await;
    }
    ask().await
}

/// How long to wait before a new token is tried once more: replicas are a second or two behind.
pub(crate) const NEW_TOKEN_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];
