//! Forgejo and Gitea: Codeberg, gitea.com, and any server.

mod address;
mod check;
mod membership;
mod refusal;
mod scopes;
mod setup;
mod user;

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future;
use http::Uri;
use tokio::time::timeout;
use url::Url;

use crate::error::{ApiError, BaseUrlError, ConfigError, Error, VerifyError};
use crate::platforms::at_api_url;
use crate::provider::check::{CheckReport, CheckRequest, OtherErrors, accepts_client};
use crate::provider::grant::{AuthorizationRequest, VerifiedGrant};
use crate::provider::membership::{Group, Membership};
use crate::provider::oauth_provider::OAuthProvider;
use crate::provider::platform::{Platform, Service};
use crate::provider::revocation::Revocation;
use crate::provider::setup::{SetupGuide, SetupLink, SetupRequest};
use crate::provider::token_endpoint::TokenEndpoint;
use crate::transport::{ApiRequest, ApiResponse, Transport};
use crate::values::access::Access;
use crate::values::base_url::BaseUrl;
use crate::values::callback_url::CallbackUrl;
use crate::values::email::Email;
use crate::values::scope::{Scope, ScopeDescription, Scopes};
use crate::values::token::{AccessToken, ClientCredentials, RefreshToken, TokenSet};
use crate::values::user::{EmailList, User};

/// The platform, as [`Platform::find`] gives it.
pub const PLATFORM: Platform = Platform::new("forgejo", "Forgejo or Gitea", |base_url, api_url| {
    Ok(at_api_url(Forgejo::new(base_url)?, api_url, Forgejo::with_api_url))
})
.with_services(&[Service::new("Codeberg", "https://codeberg.org"), Service::new("Gitea", "https://gitea.com")]);

/// The services that Forgejo's and Gitea's own organizations run.
pub(super) const HOSTS: [&str; 2] = ["codeberg.org", "gitea.com"];

/// One Forgejo or Gitea. Both have the same OAuth server.
///
/// Requests of a login: `POST /login/oauth/access_token` with the client's secret in the form and PKCE by S256 (some versions
/// ignore it), then `GET /api/v1/user` and `GET /api/v1/user/emails` at once, and for a required group
/// `GET /api/v1/user/teams` beside them. Each needs the scope `read:user` only.
///
/// A user has one grant for each application, which keeps the scopes of the first login, and no response names them. To widen
/// them, the user must revoke the access first: [`ApiError::ConsentTooNarrow`]. There is no endpoint to revoke tokens.
///
/// Source: the documentation and source of both servers, "OAuth2 provider".
///
/// ```
/// use codehost_oauth::{forgejo::Forgejo, transport::Network, BaseUrl, OAuthProvider};
///
/// let pasted = BaseUrl::parse("https://git.example.com/forgejo/user/settings/applications", &Network::public_only())?;
/// assert_eq!(Forgejo::new(pasted)?.base_url().as_str(), "https://git.example.com/forgejo");
/// # Ok::<(), codehost_oauth::error::BaseUrlError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Forgejo {
    base_url: BaseUrl,
    api_url: BaseUrl,
    token: Uri,
}

impl Forgejo {
    /// The server at a base URL. The address of one of its pages is cut to the base URL.
    ///
    /// # Errors
    ///
    /// [`BaseUrlError::OtherPlatform`] for the well-known addresses of other code hosts.
    pub fn new(base_url: BaseUrl) -> Result<Self, BaseUrlError> {
        let base_url = address::root(&base_url)?;
        Ok(Self { token: token(&base_url), api_url: base_url.clone(), base_url })
    }

    /// Sends all requests to another URL: a fake, or an address of the same server inside the operator's network. Tokens and the
    /// client secret go there, so take the URL from the operator, never from a tenant.
    #[must_use]
    pub fn with_api_url(self, api_url: BaseUrl) -> Self {
        Self { token: token(&api_url), api_url, ..self }
    }

    fn token_endpoint(&self) -> TokenEndpoint<'_> {
        TokenEndpoint::new(&self.base_url, &self.token, refusal::token)
    }

    async fn account(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error> {
        let uri = self.api_url.endpoint(&["api", "v1", "user"]);
        let response = ApiRequest::get(&uri).bearer(token, &self.base_url)?.send(http).await?;
        if !response.status().is_success() {
            return Err(refusal::api(&self.base_url, &response));
        }
        user::parse(token.binding(), response)
    }

    /// The addresses. The user's identity does not depend on them, so only errors of the app are returned.
    async fn emails(&self, http: &dyn Transport, token: &AccessToken) -> Result<(Vec<Email>, EmailList), Error> {
        let uri = self.api_url.endpoint(&["api", "v1", "user", "emails"]);
        let request = ApiRequest::get(&uri).bearer(token, &self.base_url)?;
        let Ok(Ok(response)) = timeout(EMAILS_TIMEOUT, request.send(http)).await else {
            return Ok((Vec::new(), EmailList::Incomplete));
        };
        if !response.status().is_success() {
            let is_scope = |error| matches!(error, Error::Api { cause: ApiError::ConsentTooNarrow { .. }, .. });
            let is_not_permitted = is_scope(refusal::api(&self.base_url, &response));
            let list = if is_not_permitted { EmailList::NotPermitted } else { EmailList::Incomplete };
            return Ok((Vec::new(), list));
        }
        Ok(match user::parse_emails(&self.base_url, &response) {
            Some(emails) => (emails, EmailList::Complete),
            None => (Vec::new(), EmailList::Incomplete),
        })
    }
}

#[async_trait]
impl OAuthProvider for Forgejo {
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

    fn ensure_scopes(&self, scopes: &Scopes) -> Result<(), ConfigError> {
        scopes::ensure(scopes)
    }

    /// Refuses the placeholder that the application's page shows in place of its secret.
    fn ensure_credentials(&self, client: &ClientCredentials) -> Result<(), ConfigError> {
        match client.secret_for(&self.base_url)? {
            SECRET_PLACEHOLDER => Err(ConfigError::SecretPlaceholder { button: "Regenerate secret" }),
            _ => Ok(()),
        }
    }

    fn setup_guide(&self, request: &SetupRequest) -> SetupGuide {
        setup::guide(&self.base_url, request)
    }

    /// A user who has authorized other scopes before must revoke that first.
    fn callback_error(&self, error: &str, description: &str) -> Option<VerifyError> {
        (error == "server_error" && description.contains("grant exists with different scope"))
            .then(|| VerifyError::ConsentTooNarrow { where_to: Some(Box::new(setup::authorized(&self.base_url))) })
    }

    fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Url {
        request.on(self.base_url.page(&["login", "oauth", "authorize"]))
    }

    async fn exchange_code(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        grant: VerifiedGrant,
    ) -> Result<TokenSet, Error> {
        // One beside that of the exchange: the user and the addresses are requested at once.
        http.preconnect(&self.token, 1);
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

    /// Sends nothing: neither server has an endpoint to revoke tokens.
    async fn revoke(&self, _: &dyn Transport, _: &ClientCredentials, _: &TokenSet) -> Result<Revocation, Error> {
        Ok(Revocation::NotSupported {
            where_to: Some(setup::authorized(&self.base_url)),
            how: "Open \"Applications\" in your settings, and click \"Revoke\" under \"Authorized OAuth2 applications\".",
        })
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
        let (user, emails) = future::join(self.account(http, token), self.emails(http, token)).await;
        let mut user = user?;
        (user.emails, user.email_list) = emails?;
        Ok(user)
    }

    fn ensure_group(&self, group: &Group, _: &Scopes) -> Result<(), ConfigError> {
        membership::ensure(group)
    }

    async fn membership(
        &self,
        http: &dyn Transport,
        token: &AccessToken,
        group: &Group,
        _: Option<&User>,
    ) -> Result<Membership, Error> {
        membership::membership(self, http, token, group).await
    }

    fn api_error(&self, response: &ApiResponse) -> Option<Error> {
        (!response.status().is_success()).then(|| refusal::api(&self.base_url, response))
    }

    async fn check(&self, http: &dyn Transport, client: &ClientCredentials, request: &CheckRequest) -> CheckReport {
        check::check(self, http, client, request).await
    }
}

fn token(base: &BaseUrl) -> Uri {
    base.endpoint(&["login", "oauth", "access_token"])
}

const SECRET_PLACEHOLDER: &str = "averysecuresecret";
/// A login works without the addresses, so it does not wait longer for them.
const EMAILS_TIMEOUT: Duration = Duration::from_secs(10);
