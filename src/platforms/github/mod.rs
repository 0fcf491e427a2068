//! GitHub: github.com, Enterprise Server, and Enterprise Cloud with data residency (`SUB.ghe.com`).

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
use http::{Method, StatusCode, Uri};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::error::{ApiError, BaseUrlError, ConfigError, Error, TokenError, VerifyError};
use crate::platforms::at_api_url;
use crate::provider::check::{CheckReport, CheckRequest};
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
pub const PLATFORM: Platform = Platform::new("github", "GitHub", |base_url, api_url| {
    Ok(at_api_url(GitHub::new(base_url)?, api_url, GitHub::with_api_url))
})
.with_services(&[Service::new("GitHub", address::GITHUB_COM)]);

/// The hosts of github.com.
pub(super) const HOSTS: [&str; 3] = [address::HOST, "www.github.com", "api.github.com"];

/// One GitHub, with an OAuth App or a GitHub App.
///
/// Requests of a login: `POST /login/oauth/access_token` with the client's secret in the form and PKCE by S256 (an Enterprise
/// Server may ignore it), then `GET /user` and `GET /user/emails` at once. Needs the scope `user:email`. A membership is looked
/// up by one more request and needs `read:org`; that of a team after the user is known. A token is revoked by
/// `DELETE /applications/{client_id}/token`, which sends the client's secret to the API URL. It supports all
/// [`LoginOptions`](crate::LoginOptions).
///
/// GitHub keeps at most ten tokens for each user, application and set of scopes: each further login ends an older one. An app
/// that only logs users in can give the tokens back after a login, by [`Integration::revoke`](crate::Integration::revoke).
///
/// Source: docs.github.com, "Authorizing OAuth apps" and "REST API endpoints for users".
///
/// ```
/// use codehost_oauth::{github::GitHub, transport::Network, BaseUrl, OAuthProvider};
///
/// let network = Network::public_only();
/// let github = GitHub::new(BaseUrl::parse("https://github.com/settings/developers", &network)?)?;
/// assert_eq!(github.base_url().as_str(), "https://github.com");
/// assert_eq!(github.api_url().as_str(), "https://api.github.com");
/// let server = GitHub::new(BaseUrl::parse("https://git.example.com", &network)?)?;
/// assert_eq!(server.api_url().as_str(), "https://git.example.com/api/v3");
/// # Ok::<(), codehost_oauth::error::BaseUrlError>(())
/// ```
#[derive(Clone, Debug)]
pub struct GitHub {
    base_url: BaseUrl,
    api_url: BaseUrl,
    token: Uri,
    issuer: Box<str>,
}

impl GitHub {
    /// The GitHub at a base URL. The address of one of its pages, or of its API, is cut to the base URL.
    ///
    /// # Errors
    ///
    /// [`BaseUrlError::OtherPlatform`] for host names of GitHub that nobody can log in to, and for the well-known addresses of
    /// other code hosts.
    pub fn new(base_url: BaseUrl) -> Result<Self, BaseUrlError> {
        let base_url = address::root(&base_url)?;
        let api_url = address::api(&base_url);
        let token = base_url.endpoint(&["login", "oauth", "access_token"]);
        let issuer = base_url.page(&["login", "oauth"]).as_str().into();
        Ok(Self { base_url, api_url, token, issuer })
    }

    /// Sends the calls of the API to another URL: a fake, or a proxy of the operator. Access tokens are sent there, and the client secret
    /// when tokens are revoked, so take the URL from the operator, never from a tenant.
    #[must_use]
    pub fn with_api_url(self, api_url: BaseUrl) -> Self {
        Self { api_url, ..self }
    }

    /// Sets the issuer that callbacks may name (RFC 9207): `{base_url}/login/oauth` unless set.
    #[must_use]
    pub fn with_issuer(self, issuer: &str) -> Self {
        Self { issuer: issuer.into(), ..self }
    }

    fn token_endpoint(&self) -> TokenEndpoint<'_> {
        TokenEndpoint::new(&self.base_url, &self.token, refusal::token)
    }

    /// The token of a GitHub App has permissions instead of scopes, and its response says that no scope was granted.
    fn without_scopes_of_github_apps(
        &self,
        client: &ClientCredentials,
        mut tokens: TokenSet,
    ) -> Result<TokenSet, Error> {
        let is_github_app = client.client_id().starts_with("Iv");
        if is_github_app || tokens.access_token.expose_for(&self.base_url)?.starts_with("ghu_") {
            tokens.scopes = None;
        }
        Ok(tokens)
    }

    async fn account(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error> {
        let uri = self.api_url.endpoint(&["user"]);
        let response = ApiRequest::get(&uri).bearer(token, &self.base_url)?.send(http).await?;
        if !response.status().is_success() {
            return Err(refusal::api(&response));
        }
        user::parse(token.binding(), response)
    }

    async fn emails_page(&self, http: &dyn Transport, token: &AccessToken, page: usize) -> Result<ApiResponse, Error> {
        let query = [("per_page", &*PER_PAGE.to_string()), ("page", &page.to_string())];
        let uri = self.api_url.endpoint_with_query(&["user", "emails"], &query);
        let response = ApiRequest::get(&uri).bearer(token, &self.base_url)?.send(http).await?;
        match response.status().is_success() {
            true => Ok(response),
            false => Err(refusal::api(&response)),
        }
    }

    /// Adds all addresses to `emails`: those of the first page and of the pages after it. The user's identity does not depend on
    /// them, so no error ends the login.
    async fn emails(
        &self,
        http: &dyn Transport,
        token: &AccessToken,
        username: &str,
        first: Result<ApiResponse, Error>,
        emails: &mut Vec<Email>,
    ) -> EmailList {
        let mut first = Some(first);
        for page in 1..=MAX_PAGES {
            let response = match first.take() {
                Some(first) => first,
                None => self.emails_page(http, token, page).await,
            };
            let text = match &response {
                Ok(response) => response.text(),
                // Without the scope nothing is found; a GitHub App without the permission is refused.
                Err(Error::Api { cause: ApiError::NotFound | ApiError::Forbidden, .. }) => {
                    return EmailList::NotPermitted;
                }
                Err(_) => return EmailList::Incomplete,
            };
            let Some((mut found, entries)) = user::parse_emails(&self.base_url, username, text) else {
                return EmailList::Incomplete;
            };
            emails.append(&mut found);
            if entries < PER_PAGE {
                return EmailList::Complete;
            }
        }
        EmailList::Incomplete
    }

    /// Whether the API does not accept the token any more.
    async fn is_rejected(&self, http: &dyn Transport, token: &AccessToken) -> Result<bool, Error> {
        match self.account(http, token).await {
            Err(error) if error.is_unauthorized() => Ok(true),
            Err(error @ (Error::Transport(_) | Error::Response { .. })) => Err(error),
            _ => Ok(false),
        }
    }

    async fn delete(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        token: &AccessToken,
    ) -> Result<ApiResponse, Error> {
        let uri = self.api_url.endpoint(&["applications", client.client_id(), "token"]);
        let body = serde_json::json!({ "access_token": token.expose_for(&self.base_url)? });
        ApiRequest::new(Method::DELETE, &uri).basic(client, &self.base_url)?.json(&body)?.send(http).await
    }
}

#[async_trait]
impl OAuthProvider for GitHub {
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
        setup::links(&self.base_url, request)
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
        setup::guide(&self.base_url, request)
    }

    fn issuers(&self) -> Vec<&str> {
        vec![&self.issuer]
    }

    fn callback_error(&self, error: &str, _: &str) -> Option<VerifyError> {
        match error {
            "redirect_uri_mismatch" => Some(VerifyError::CallbackUrlRejected),
            "application_suspended" => Some(VerifyError::ApplicationSuspended),
            _ => None,
        }
    }

    fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Url {
        let mut url = request.on(self.base_url.page(&["login", "oauth", "authorize"]));
        if let Some(hint) = request.login_hint {
            url.query_pairs_mut().append_pair("login", hint);
        }
        if request.select_account {
            url.query_pairs_mut().append_pair("prompt", "select_account");
        }
        url
    }

    async fn exchange_code(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        grant: VerifiedGrant,
    ) -> Result<TokenSet, Error> {
        http.preconnect(&self.api_url.endpoint(&["user"]), 2);
        let tokens = self.token_endpoint().exchange(http, client, grant).await?;
        self.without_scopes_of_github_apps(client, tokens)
    }

    async fn refresh(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        token: &RefreshToken,
        _: &CallbackUrl,
    ) -> Result<TokenSet, Error> {
        let tokens = self.token_endpoint().refresh(http, client, token).await?;
        self.without_scopes_of_github_apps(client, tokens)
    }

    /// Ends the access token, and with it the refresh token. GitHub takes only a valid access token for that, so one that it does
    /// not know any more is refreshed first. Other tokens of the user stay valid.
    async fn revoke(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        tokens: &TokenSet,
    ) -> Result<Revocation, Error> {
        let mut access_token = &tokens.access_token;
        let mut response = self.delete(http, client, access_token).await?;
        let fresh;
        if let (StatusCode::NOT_FOUND, Some(refresh_token)) = (response.status(), &tokens.refresh_token) {
            fresh = match self.token_endpoint().refresh(http, client, refresh_token).await {
                Err(Error::Token { cause: TokenError::RefreshRejected, .. }) => return Ok(Revocation::Revoked),
                fresh => fresh?,
            };
            access_token = &fresh.access_token;
            response = self.delete(http, client, access_token).await?;
        }
        match response.status() {
            status if status.is_success() => Ok(Revocation::Revoked),
            // The token is not valid any more, or the client secret is wrong. The API tells which.
            StatusCode::NOT_FOUND if self.is_rejected(http, access_token).await? => Ok(Revocation::Revoked),
            StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND => Err(Error::Token {
                cause: refusal::client_rejected(&self.base_url),
                response: Box::new(response.summary()),
            }),
            _ => Err(refusal::api(&response)),
        }
    }

    /// The same as [`revoke`](Self::revoke): GitHub ends one token at a time.
    async fn revoke_pair(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        tokens: &TokenSet,
    ) -> Result<Revocation, Error> {
        self.revoke(http, client, tokens).await
    }

    async fn user(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error> {
        let deadline = Instant::now().checked_add(EMAILS_TIMEOUT).unwrap_or_else(Instant::now);
        let first = timeout_at(deadline, self.emails_page(http, token, 1));
        let (user, first) = future::join(self.account(http, token), first).await;
        let mut user = user?;
        let username = user.username.clone().unwrap_or_default();
        user.email_list = match first {
            Ok(Err(error @ Error::Config(_))) => return Err(error),
            Ok(first) => {
                let all = self.emails(http, token, &username, first, &mut user.emails);
                timeout_at(deadline, all).await.unwrap_or(EmailList::Incomplete)
            }
            Err(_) => EmailList::Incomplete,
        };
        Ok(user)
    }

    fn ensure_group(&self, group: &Group, scopes: &Scopes) -> Result<(), ConfigError> {
        membership::ensure(group, scopes)
    }

    fn needs_user_for_membership(&self, group: &Group) -> bool {
        membership::is_team(group)
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
        (!response.status().is_success()).then(|| refusal::api(response))
    }

    async fn check(&self, http: &dyn Transport, client: &ClientCredentials, request: &CheckRequest) -> CheckReport {
        check::check(self, http, client, request).await
    }
}

const PER_PAGE: usize = 100;
const MAX_PAGES: usize = 10;
/// How long a login waits for all pages of addresses together. It works without them.
const EMAILS_TIMEOUT: Duration = Duration::from_secs(10);
