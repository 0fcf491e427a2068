use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Integration, LoginPolicy};
use crate::error::ConfigError;
use crate::provider::oauth_provider::OAuthProvider;
use crate::provider::setup::parse_name;
use crate::transport::{Bulkhead, MAX_IN_FLIGHT_OF_INTEGRATION, Transport};
use crate::values::access::Access;
use crate::values::callback_url::CallbackUrl;
use crate::values::email::EmailTrust;
use crate::values::integration_id::IntegrationId;
use crate::values::public_url::PublicUrl;
use crate::values::token::{ClientCredentials, TokenBinding};

/// What every integration has: what the administrator has typed in, and where the app is.
///
/// ```
/// use codehost_oauth::{Access, IntegrationConfig};
///
/// let config = IntegrationConfig {
///     id: "demo".parse()?,
///     name: "Our GitLab".to_owned(),
///     public_url: "https://packages.example.com".parse()?,
///     client_id: "application-id".to_owned(),
///     client_secret: "gloas-secret".to_owned(),
///     access: Access::SignIn,
/// };
/// assert!(!format!("{config:?}").contains("gloas"));
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[allow(clippy::exhaustive_structs, reason = "an app fills it in, and a new field must be noticed")]
pub struct IntegrationConfig {
    /// The integration's id, a part of its callback URL and of every account key.
    pub id: IntegrationId,
    /// The name to show to users: 1 to 200 characters.
    pub name: String,
    /// Where browsers reach the app.
    pub public_url: PublicUrl,
    /// The client id of the OAuth application: "Application ID" at GitLab, "Key" at Bitbucket.
    pub client_id: String,
    /// The client secret of the OAuth application.
    pub client_secret: String,
    /// What the tokens are for.
    pub access: Access,
}

/// Without the secret.
impl fmt::Debug for IntegrationConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntegrationConfig")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("public_url", &self.public_url)
            .field("client_id", &self.client_id)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// An [`Integration`] to be, with its optional settings.
#[derive(Debug)]
pub struct IntegrationBuilder {
    provider: Arc<dyn OAuthProvider>,
    http: Arc<dyn Transport>,
    config: IntegrationConfig,
    callback_path: Option<String>,
    login_path: Option<String>,
    max_in_flight: usize,
    login_deadline: Duration,
    email_trust: EmailTrust,
    policy: LoginPolicy,
    former_base_urls: Vec<Box<str>>,
}

impl IntegrationBuilder {
    pub(super) fn new(provider: Arc<dyn OAuthProvider>, http: Arc<dyn Transport>, config: IntegrationConfig) -> Self {
        Self {
            provider,
            http,
            config,
            callback_path: None,
            login_path: None,
            max_in_flight: MAX_IN_FLIGHT_OF_INTEGRATION,
            login_deadline: LOGIN_DEADLINE,
            email_trust: EmailTrust::default(),
            policy: LoginPolicy::everyone(),
            former_base_urls: Vec::new(),
        }
    }

    /// The path of the callback URL, below the public URL: `/oauth/callback/{platform}/{id}` unless set. See
    /// [`CallbackUrl::at`] for what one path for several integrations means.
    ///
    /// ```
    /// # use codehost_oauth::{error::ConfigError, Integration, IntegrationBuilder};
    /// # fn example(builder: IntegrationBuilder) -> Result<Integration, ConfigError> {
    /// let integration = builder.callback_path("/auth/gitlab/callback").login_path("/auth/gitlab").build()?;
    /// assert!(integration.callback_url().as_str().ends_with("/auth/gitlab/callback"));
    /// assert_eq!(integration.login_link().url.path(), "/auth/gitlab");
    /// # Ok(integration)
    /// # }
    /// ```
    #[must_use]
    pub fn callback_path(mut self, path: &str) -> Self {
        self.callback_path = Some(path.to_owned());
        self
    }

    /// The path of the login link, below the public URL: `/login/{id}` unless set.
    #[must_use]
    pub fn login_path(mut self, path: &str) -> Self {
        self.login_path = Some(path.to_owned());
        self
    }

    /// How many requests of this integration may be under way at once: 32 unless set. A code host that stalls then cannot use up
    /// the requests of the others. More wait for up to five seconds, and then end with
    /// [`TransportError::Busy`](crate::error::TransportError::Busy).
    #[must_use]
    pub fn max_in_flight(mut self, limit: usize) -> Self {
        self.max_in_flight = limit;
        self
    }

    /// How long finishing a login may take in all, with every request, look-up and repetition: 30 seconds unless set. Each
    /// request has a time of its own beside it, see
    /// [`HttpClientBuilder::timeout`](crate::transport::HttpClientBuilder::timeout).
    #[must_use]
    pub fn login_deadline(mut self, deadline: Duration) -> Self {
        self.login_deadline = deadline;
        self
    }

    /// Which e-mail addresses to trust: those of the platform's own service, unless set.
    #[must_use]
    pub fn email_trust(mut self, trust: EmailTrust) -> Self {
        self.email_trust = trust;
        self
    }

    /// Who may log in: every active account that is not a bot, unless set. At a public code host that is everyone.
    ///
    /// ```
    /// # use codehost_oauth::{transport::{HttpClient, Network}, Access, BaseUrl, Integration, IntegrationConfig, Platform};
    /// use codehost_oauth::{Group, LoginPolicy};
    ///
    /// # let network = Network::public_only();
    /// let provider = Platform::find("gitlab")?.provider(BaseUrl::parse("https://git.example.com", &network)?)?;
    /// let builder = Integration::builder(provider, HttpClient::builder(network).build()?, IntegrationConfig {
    ///     // `read_user` is not enough to ask for the user's groups.
    ///     access: Access::SignIn,
    /// #     id: "demo".parse()?,
    /// #     name: "Demo".to_owned(),
    /// #     public_url: "https://example.com".parse()?,
    /// #     client_id: "id".to_owned(),
    /// #     client_secret: "secret".to_owned(),
    ///     // …
    /// });
    /// let refused = builder.policy(LoginPolicy::members_of([Group::path("acme")?])).build().unwrap_err();
    /// assert_eq!(refused.code(), "group_scope");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn policy(mut self, policy: LoginPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The base URLs at which the same server was before, exactly as they were. Tokens that a `TokenKeeper` has stored for one of
    /// them stay valid, and are sent to the new URL: so it must be proved that the server is the same.
    #[must_use]
    pub fn former_base_urls<'a>(mut self, urls: impl IntoIterator<Item = &'a str>) -> Self {
        self.former_base_urls = urls.into_iter().map(Box::from).collect();
        self
    }

    /// Builds the integration. Sends nothing.
    ///
    /// # Errors
    ///
    /// [`ConfigError::ClientId`] and [`ConfigError::ClientSecret`] if they are not valid; [`ConfigError::NoScopes`] if the
    /// access level has no scopes, [`ConfigError::UnknownScope`] if the platform does not know one;
    /// [`ConfigError::UnlimitedScopes`] if the platform would take them for everything that the user may do; [`ConfigError::SecretPlaceholder`] for a
    /// secret that the platform shows in place of the real one; for a policy, [`ConfigError::GroupCount`],
    /// [`ConfigError::GroupScope`] if the access level lacks the scope that a group needs, and [`ConfigError::Group`],
    /// [`ConfigError::Role`], [`ConfigError::NoSubgroups`] or [`ConfigError::NoGroups`] if the platform cannot have such a
    /// group; [`ConfigError::Name`] if the name is empty or too long; [`ConfigError::CallbackPath`] and
    /// [`ConfigError::LoginPath`] if they are not paths.
    pub fn build(self) -> Result<Integration, ConfigError> {
        let IntegrationConfig { id, name, public_url, client_id, client_secret, access } = self.config;
        let (base_url, api_url) = (self.provider.base_url(), self.provider.api_url());
        let client = ClientCredentials::new(base_url, &client_id, &client_secret)?.with_api_url(api_url);
        self.provider.ensure_credentials(&client)?;
        let callback_url = match &self.callback_path {
            Some(path) => CallbackUrl::at(&public_url, path)?,
            None => CallbackUrl::new(&public_url, self.provider.platform().id(), &id),
        };
        if self.login_path.as_ref().is_some_and(|path| public_url.join(path).is_none()) {
            return Err(ConfigError::LoginPath);
        }
        let scopes = self.provider.required_scopes(&access);
        if scopes.is_empty() {
            return Err(ConfigError::NoScopes);
        }
        self.provider.ensure_scopes(&scopes)?;
        self.policy.ensure_valid()?;
        for group in self.policy.groups() {
            self.provider.ensure_group(group, &scopes)?;
        }
        let binding = TokenBinding::new(id.clone(), base_url.clone()).with_api_url(api_url);
        Ok(Integration {
            name: parse_name(&name)?.into(),
            callback_url,
            http: Bulkhead::new(self.http, binding.clone(), self.max_in_flight),
            binding,
            provider: self.provider,
            client,
            public_url,
            login_path: self.login_path.map(String::into_boxed_str),
            scopes,
            access,
            login_deadline: self.login_deadline,
            email_trust: self.email_trust,
            policy: self.policy,
            former_base_urls: self.former_base_urls.into(),
        })
    }
}

const LOGIN_DEADLINE: Duration = Duration::from_secs(30);
