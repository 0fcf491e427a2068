//! GitLab: Self-Managed, Dedicated and GitLab.com.

mod address;
mod application;
mod check;
mod id_token;
mod membership;
mod refusal;
mod scopes;
mod setup;
mod user;

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use http::Uri;
use url::Url;

use crate::error::{BaseUrlError, ConfigError, Error};
use crate::provider::check::{CheckReport, CheckRequest, OtherErrors, accepts_client};
use crate::provider::grant::{AuthorizationRequest, VerifiedGrant};
use crate::provider::membership::{Group, Membership};
use crate::provider::oauth_provider::OAuthProvider;
use crate::provider::platform::{Platform, Service};
use crate::provider::revocation::{self, Revocation};
use crate::provider::setup::{SetupGuide, SetupLink, SetupRequest};
use crate::provider::token_endpoint::TokenEndpoint;
use crate::transport::{ApiRequest, ApiResponse, Transport};
use crate::values::access::Access;
use crate::values::base_url::BaseUrl;
use crate::values::callback_url::CallbackUrl;
use crate::values::scope::{Scope, ScopeDescription, Scopes};
use crate::values::token::{AccessToken, ClientCredentials, RefreshToken, TokenSet};
use crate::values::user::User;

/// The platform, as [`Platform::find`] gives it.
pub const PLATFORM: Platform = Platform::new("gitlab", "GitLab", |base_url, api_url| {
    let provider = GitLab::new(base_url)?;
    Ok(Arc::new(match api_url {
        Some(api_url) => provider.with_api_url(api_url),
        None => provider,
    }))
})
.with_services(&[Service::new("GitLab.com", "https://gitlab.com")]);

/// The host of GitLab.com.
pub(super) const HOSTS: [&str; 1] = ["gitlab.com"];

/// One GitLab: any version since 15.0, at any URL, with a port and a sub-path if it has them.
///
/// Requests of a login: `POST /oauth/token` with the client's secret in the form and PKCE by S256, then
/// `GET /api/v4/user`. Needs the scope `read_user` (or `read_api`, or `api`). A membership is looked up by
/// `GET /api/v4/groups/{group}/members/all/{user}`, after `GET /api/v4/user` unless the user is known, and needs `read_api` (or
/// `api`).
/// Tokens are revoked by `POST /oauth/revoke`.
///
/// Source: docs.gitlab.com, "GitLab as an OAuth 2.0 authentication identity provider" and "Users API".
///
/// ```
/// use codehost_oauth::{gitlab::GitLab, transport::Network, BaseUrl, OAuthProvider};
///
/// let network = Network::public_only();
/// let gitlab = GitLab::new(BaseUrl::parse("https://git.example.com/gitlab/users/sign_in", &network)?)?;
/// assert_eq!(gitlab.base_url().as_str(), "https://git.example.com/gitlab");
/// assert!(GitLab::new(BaseUrl::parse("https://gitlab.com/my-group", &network)?).is_err());
/// # Ok::<(), codehost_oauth::error::BaseUrlError>(())
/// ```
#[derive(Clone, Debug)]
pub struct GitLab {
    base_url: BaseUrl,
    api_url: BaseUrl,
    /// Made for the first login, so that an idle integration stays small.
    endpoints: OnceLock<Box<Endpoints>>,
    options: Option<Box<Options>>,
}

/// What few integrations set, so that the others stay small.
#[derive(Clone, Debug, Default)]
struct Options {
    issuer: Option<Box<str>>,
    sign_on_group: Option<u64>,
    reads_id_token: bool,
}

#[derive(Clone, Debug)]
struct Endpoints {
    token: Uri,
    user: Uri,
}

impl GitLab {
    /// The GitLab at a base URL. If it is the address of one of its own pages, the page is removed.
    ///
    /// # Errors
    ///
    /// [`BaseUrlError::OtherPlatform`] for the address of a project or group, for GitLab.com with a path, and for the
    /// well-known addresses of other code hosts.
    pub fn new(base_url: BaseUrl) -> Result<Self, BaseUrlError> {
        let base_url = address::root(&base_url)?;
        let endpoints = OnceLock::new();
        Ok(Self { api_url: base_url.clone(), base_url, endpoints, options: None })
    }

    /// GitLab.com.
    ///
    /// ```
    /// use codehost_oauth::{gitlab::GitLab, OAuthProvider};
    ///
    /// assert_eq!(GitLab::dot_com().base_url().as_str(), "https://gitlab.com");
    /// ```
    pub fn dot_com() -> Self {
        let base_url = BaseUrl::constant(user::GITLAB_COM);
        let endpoints = OnceLock::new();
        Self { api_url: base_url.clone(), base_url, endpoints, options: None }
    }

    /// Sends users to the single sign-on of this top-level group first: for a group of GitLab.com that demands it. The number
    /// is the group's id, which its page shows. GitLab has it since 18.2; older versions ignore it.
    ///
    /// ```
    /// # use codehost_oauth::{transport::{HttpClient, Network}, Access, Integration, IntegrationConfig};
    /// use codehost_oauth::gitlab::GitLab;
    ///
    /// let provider = std::sync::Arc::new(GitLab::dot_com().with_sign_on_group(42));
    /// # let config = IntegrationConfig {
    /// #     id: "demo".parse()?,
    /// #     name: "GitLab".to_owned(),
    /// #     public_url: "https://packages.example.com".parse()?,
    /// #     client_id: "id".to_owned(),
    /// #     client_secret: "secret".to_owned(),
    /// #     access: Access::SignIn,
    /// # };
    /// # let http = HttpClient::builder(Network::public_only()).build()?;
    /// let integration = Integration::builder(provider, http, config).build()?;
    /// assert!(integration.begin_login(None)?.redirect_to.as_str().contains("&root_namespace_id=42&"));
    /// # Ok::<(), codehost_oauth::error::ConfigError>(())
    /// ```
    #[must_use]
    pub fn with_sign_on_group(mut self, id: u64) -> Self {
        self.options.get_or_insert_default().sign_on_group = Some(id);
        self
    }

    /// Sends the server-side calls to another URL of the same instance, if the app cannot reach the one that browsers use. The
    /// client secret goes there, so take the URL from the operator, never from a tenant.
    ///
    /// ```
    /// # use codehost_oauth::{gitlab::GitLab, transport::Network, BaseUrl, OAuthProvider};
    /// let intranet = Network::any();
    /// let gitlab = GitLab::new(BaseUrl::parse("https://git.example.com", &intranet)?)?
    ///     .with_api_url(BaseUrl::parse("https://gitlab.svc:8443", &intranet)?);
    /// assert_eq!(gitlab.base_url().as_str(), "https://git.example.com");
    /// # Ok::<(), codehost_oauth::error::BaseUrlError>(())
    /// ```
    #[must_use]
    pub fn with_api_url(self, api_url: BaseUrl) -> Self {
        Self { api_url, endpoints: OnceLock::new(), ..self }
    }

    /// Reads who the user is from an ID token (OpenID Connect), which comes with the tokens: a login then takes one round trip. The
    /// application needs the boxes `openid` and `email` too.
    ///
    /// The ID token has only id and e-mail address. [`User::state`](crate::User::state) is
    /// [`Unknown`](crate::UserState::Unknown), and two-factor authentication, names and links are not known: a
    /// [`LoginPolicy`](crate::LoginPolicy) that asks for them lets no one in. If GitLab's own URL is not the base URL, set it by
    /// [`with_issuer`](Self::with_issuer).
    ///
    /// Source: OpenID Connect Core section 3.1.3.7; docs.gitlab.com, "GitLab as OpenID Connect identity provider".
    #[must_use]
    pub fn with_id_token(mut self) -> Self {
        self.options.get_or_insert_default().reads_id_token = true;
        self
    }

    /// Sets the issuer that callbacks and ID tokens may name (RFC 9207), for an instance whose own URL differs from the base URL. No
    /// released version of GitLab names an issuer in callbacks.
    #[must_use]
    pub fn with_issuer(mut self, issuer: &str) -> Self {
        self.options.get_or_insert_default().issuer = Some(issuer.into());
        self
    }

    fn endpoints(&self) -> &Endpoints {
        self.endpoints.get_or_init(|| {
            Box::new(Endpoints {
                token: self.api_url.endpoint(&["oauth", "token"]),
                user: self.api_url.endpoint(&["api", "v4", "user"]),
            })
        })
    }

    fn token_endpoint(&self) -> TokenEndpoint<'_> {
        // Credentials go into the form: Doorkeeper, GitLab's OAuth library, does not form-decode Basic.
        TokenEndpoint::new(&self.base_url, &self.endpoints().token, refusal::token)
    }
}

#[async_trait]
impl OAuthProvider for GitLab {
    fn platform(&self) -> Platform {
        PLATFORM
    }

    fn base_url(&self) -> &BaseUrl {
        &self.base_url
    }

    fn api_url(&self) -> &BaseUrl {
        &self.api_url
    }

    fn setup_links(&self, request: &SetupRequest) -> Vec<SetupLink> {
        setup::links(&self.base_url, &request.owner)
    }

    fn required_scopes(&self, access: &Access) -> Scopes {
        let scopes = scopes::required(access);
        match access {
            Access::Custom(_) => scopes,
            _ if self.needs_nonce() => scopes.iter().cloned().chain(["openid", "email"].map(Scope::known)).collect(),
            _ => scopes,
        }
    }

    fn describe_scope(&self, scope: &Scope) -> ScopeDescription {
        scopes::describe(scope)
    }

    fn covered_scopes(&self, scope: &Scope) -> Scopes {
        scopes::covered(scope)
    }

    fn setup_guide(&self, request: &SetupRequest) -> SetupGuide {
        setup::guide(&self.base_url, request, &self.required_scopes(&request.access))
    }

    fn issuers(&self) -> Vec<&str> {
        let issuer = self.options.as_ref().and_then(|options| options.issuer.as_deref());
        vec![issuer.unwrap_or(self.base_url.as_str())]
    }

    fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Url {
        let mut url = request.on(self.base_url.page(&["oauth", "authorize"]));
        if let Some(group) = self.options.as_ref().and_then(|options| options.sign_on_group) {
            url.query_pairs_mut().append_pair("root_namespace_id", &group.to_string());
        }
        url
    }

    fn needs_nonce(&self) -> bool {
        self.options.as_ref().is_some_and(|options| options.reads_id_token)
    }

    async fn exchange_code(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        grant: VerifiedGrant,
    ) -> Result<TokenSet, Error> {
        let nonce = self.needs_nonce().then(|| grant.nonce());
        let mut tokens = self.token_endpoint().exchange(http, client, grant).await?;
        if let Some(nonce) = nonce {
            tokens.user = id_token::user(self, client, &nonce, &tokens)?.map(Box::new);
        }
        Ok(tokens)
    }

    async fn refresh(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        token: &RefreshToken,
        _: &CallbackUrl,
    ) -> Result<TokenSet, Error> {
        self.token_endpoint().refresh(http, client, token).await
    }

    async fn revoke(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        tokens: &TokenSet,
    ) -> Result<Revocation, Error> {
        let endpoint = self.api_url.endpoint(&["oauth", "revoke"]);
        match revocation::revoke(http, client, tokens, &self.base_url, &endpoint).await? {
            None => Ok(Revocation::Revoked),
            Some(refusal) => Err(refusal::revocation(&self.base_url, &refusal)),
        }
    }

    /// The same as [`revoke`](Self::revoke): GitLab revokes one pair at a time.
    async fn revoke_pair(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        tokens: &TokenSet,
    ) -> Result<Revocation, Error> {
        self.revoke(http, client, tokens).await
    }

    async fn accepts_client(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        callback_url: &CallbackUrl,
    ) -> Result<bool, Error> {
        accepts_client(self.token_endpoint().probe(http, client, callback_url).await, OtherErrors::ProveNothing)
    }

    async fn user(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error> {
        let response = ApiRequest::get(&self.endpoints().user).bearer(token, &self.base_url)?.send(http).await?;
        if !response.status().is_success() {
            return Err(refusal::api(&self.base_url, &response));
        }
        user::parse(&self.base_url, token.binding(), response)
    }

    fn ensure_group(&self, group: &Group, scopes: &Scopes) -> Result<(), ConfigError> {
        membership::ensure(group, scopes)
    }

    fn needs_user_for_membership(&self, _: &Group) -> bool {
        true
    }

    async fn membership(
        &self,
        http: &dyn Transport,
        token: &AccessToken,
        group: &Group,
        user: Option<&User>,
    ) -> Result<Membership, Error> {
        membership::membership(self, http, token, group, user).await
    }

    fn api_error(&self, response: &ApiResponse) -> Option<Error> {
        (!response.status().is_success()).then(|| refusal::api(&self.base_url, response))
    }

    async fn check(&self, http: &dyn Transport, client: &ClientCredentials, request: &CheckRequest) -> CheckReport {
        check::check(self, http, client, request).await
    }
}
