use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::Integration;
use crate::error::ConfigError;
use crate::host::{Host, IntegrationId};
use crate::membership::Group;
use crate::provider::OAuthProvider;
use crate::scope::Access;
use crate::setup::parse_name;
use crate::token::{ClientCredentials, Origin};
use crate::transport::{Bulkhead, MAX_IN_FLIGHT, Transport};
use crate::user::EmailTrust;

/// Collects the parts of an [`Integration`].
#[derive(Debug)]
pub struct IntegrationBuilder {
    provider: Arc<dyn OAuthProvider>,
    id: Option<IntegrationId>,
    name: Option<String>,
    host: Option<Host>,
    client: Option<Result<ClientCredentials, ConfigError>>,
    access: Option<Access>,
    http: Option<Arc<dyn Transport>>,
    max_in_flight: usize,
    login_deadline: Duration,
    email_trust: EmailTrust,
    allow_bots: bool,
    required_group: Option<Group>,
}

impl IntegrationBuilder {
    pub(super) fn new(provider: Arc<dyn OAuthProvider>) -> Self {
        Self {
            provider,
            id: None,
            name: None,
            host: None,
            client: None,
            access: None,
            http: None,
            max_in_flight: MAX_IN_FLIGHT,
            login_deadline: LOGIN_DEADLINE,
            email_trust: EmailTrust::default(),
            allow_bots: false,
            required_group: None,
        }
    }

    /// The id, which stands in the callback URL. Required.
    #[must_use]
    pub fn id(mut self, id: IntegrationId) -> Self {
        self.id = Some(id);
        self
    }

    /// The name to show to users. Required.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// The host's public URL. Required.
    #[must_use]
    pub fn host(mut self, host: Host) -> Self {
        self.host = Some(host);
        self
    }

    /// The OAuth application's client id and secret. Required.
    #[must_use]
    pub fn client(mut self, client_id: &str, client_secret: &str) -> Self {
        self.client = Some(ClientCredentials::new(self.provider.base_url(), client_id, client_secret));
        self
    }

    /// What the tokens are for. Required.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = Some(access);
        self
    }

    /// What sends the requests, usually an [`HttpClient`](crate::transport::HttpClient). Required.
    #[must_use]
    pub fn transport(mut self, http: impl Transport + 'static) -> Self {
        self.http = Some(Arc::new(http));
        self
    }

    /// How many requests of this integration may be under way at once: 4 unless set. It keeps a code host that stalls
    /// from taking the room of all others. More wait for up to five seconds, and then end with
    /// [`TransportError::Busy`](crate::error::TransportError::Busy).
    ///
    /// Raise it where one integration logs in a whole company: a login is two or three requests.
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

    /// Whose word about e-mail addresses to take: the vendor's, unless set.
    #[must_use]
    pub fn email_trust(mut self, trust: EmailTrust) -> Self {
        self.email_trust = trust;
        self
    }

    /// Lets bots, service accounts and apps log in too.
    #[must_use]
    pub fn allow_bots(mut self) -> Self {
        self.allow_bots = true;
        self
    }

    /// Lets only members of a group log in. Without it, everybody with an account at the code host can, which at a
    /// public one is everybody. The membership is looked up beside the person.
    ///
    /// ```
    /// # use codehost_oauth::{transport::{HttpClient, Network}, Access, BaseUrl, Integration, Platform};
    /// use codehost_oauth::Group;
    ///
    /// # let network = Network::public_only();
    /// let provider = Platform::find("gitlab")?.at(BaseUrl::parse("https://git.example.com", &network)?)?;
    /// let builder = Integration::builder(provider).require_group(Group::path("acme")?);
    /// # let builder = builder.id("demo".parse()?).name("Demo").host("https://example.com".parse()?);
    /// # let builder = builder.client("id", "secret").transport(HttpClient::builder(network).build()?);
    /// // `read_user` is not enough to ask for the person's groups.
    /// assert_eq!(builder.access(Access::SignIn).build().unwrap_err().code(), "group_scope");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn require_group(mut self, group: Group) -> Self {
        self.required_group = Some(group);
        self
    }

    /// Builds the integration. Sends nothing.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Missing`] names a required part that was not given; [`ConfigError::ClientId`] and
    /// [`ConfigError::ClientSecret`] refuse what cannot be credentials; [`ConfigError::NoScopes`] an access level
    /// without scopes; [`ConfigError::GroupScope`] one that lacks what a required group needs; [`ConfigError::Group`] and
    /// [`ConfigError::Role`] a group that the platform cannot have; [`ConfigError::Name`] an empty or overlong name.
    pub fn build(self) -> Result<Integration, ConfigError> {
        let missing = |what| ConfigError::Missing { what };
        let id = self.id.ok_or(missing("id"))?;
        let name = self.name.ok_or(missing("name"))?;
        let host = self.host.ok_or(missing("host"))?;
        let client = self.client.ok_or(missing("client credentials"))??;
        let access = self.access.ok_or(missing("access level"))?;
        let http = self.http.ok_or(missing("transport"))?;
        let scopes = self.provider.required_scopes(&access);
        if scopes.is_empty() {
            return Err(ConfigError::NoScopes);
        }
        if let Some(group) = &self.required_group {
            self.provider.ensure_group(group, &scopes)?;
        }
        Ok(Integration {
            name: parse_name(&name)?.into(),
            callback_url: self.provider.callback_url(&host, &id),
            authorization_url: OnceLock::new(),
            origin: Origin::new(id, self.provider.base_url().clone()),
            provider: self.provider,
            client,
            host,
            scopes,
            access,
            http: Bulkhead::new(http, self.max_in_flight),
            login_deadline: self.login_deadline,
            email_trust: self.email_trust,
            allow_bots: self.allow_bots,
            required_group: self.required_group,
        })
    }
}

const LOGIN_DEADLINE: Duration = Duration::from_secs(30);
