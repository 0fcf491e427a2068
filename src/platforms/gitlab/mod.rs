//! GitLab: Self-Managed, Dedicated and GitLab.com.

mod address;
mod check;
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
use crate::transport::{ApiRequest, Transport};
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
/// `GET /api/v4/groups/{group}/members/all/{user}`, after another `GET /api/v4/user`, and needs `read_api` (or `api`).
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
    issuer: Option<Box<str>>,
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
        Ok(Self::with_urls(base_url.clone(), base_url, None))
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
        Self::with_urls(self.base_url, api_url, self.issuer)
    }

    /// Sets the issuer that callbacks may name (RFC 9207), for an instance whose own URL differs from the base URL. No
    /// released version of GitLab names an issuer in callbacks.
    #[must_use]
    pub fn with_issuer(self, issuer: &str) -> Self {
        Self { issuer: Some(issuer.into()), ..self }
    }

    fn with_urls(base_url: BaseUrl, api_url: BaseUrl, issuer: Option<Box<str>>) -> Self {
        Self { base_url, api_url, endpoints: OnceLock::new(), issuer }
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
        scopes::required(access)
    }

    fn describe_scope(&self, scope: &Scope) -> ScopeDescription {
        scopes::describe(scope)
    }

    fn covered_scopes(&self, scope: &Scope) -> Scopes {
        scopes::covered(scope)
    }

    fn setup_guide(&self, request: &SetupRequest) -> SetupGuide {
        setup::guide(&self.base_url, &request.callback_url(PLATFORM.id()), request)
    }

    fn issuers(&self) -> Vec<&str> {
        vec![self.issuer.as_deref().unwrap_or(self.base_url.as_str())]
    }

    fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Url {
        request.on(self.base_url.page(&["oauth", "authorize"]))
    }

    async fn exchange_code(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        grant: VerifiedGrant,
    ) -> Result<TokenSet, Error> {
        self.token_endpoint().exchange(http, client, grant).await
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

    async fn check(&self, http: &dyn Transport, client: &ClientCredentials, request: &CheckRequest) -> CheckReport {
        check::check(self, http, client, request).await
    }
}
