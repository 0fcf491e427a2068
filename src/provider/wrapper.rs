use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

use super::oauth_provider::OAuthProvider;
use super::platform::Platform;
use crate::error::{ConfigError, Error, VerifyError};
use crate::provider::check::{CheckReport, CheckRequest};
use crate::provider::grant::{AuthorizationRequest, VerifiedGrant};
use crate::provider::membership::{Group, Membership};
use crate::provider::revocation::Revocation;
use crate::provider::setup::{SetupGuide, SetupLink, SetupRequest};
use crate::transport::{ApiResponse, Transport};
use crate::values::access::Access;
use crate::values::base_url::BaseUrl;
use crate::values::callback_url::CallbackUrl;
use crate::values::scope::{Scope, ScopeDescription, Scopes};
use crate::values::token::{AccessToken, ClientCredentials, RefreshToken, TokenSet};
use crate::values::user::User;

/// Changes some methods of a provider: those that you write replace those of [`inner`](Self::inner), all others are
/// forwarded to it. [`into_provider`](Self::into_provider) makes an [`OAuthProvider`] of it.
///
/// A method of the inner provider calls the inner provider's methods, never yours. So if you change the scopes, change the setup
/// guide too.
///
/// ```
/// use codehost_oauth::gitlab::GitLab;
/// use codehost_oauth::provider::ProviderWrapper;
/// use codehost_oauth::transport::Network;
/// use codehost_oauth::setup::{SetupGuide, SetupRequest, SetupScope};
/// use codehost_oauth::{Access, BaseUrl, OAuthProvider, Scopes};
///
/// /// Asks for one more scope than GitLab needs.
/// #[derive(Debug)]
/// struct WithProfile(GitLab);
///
/// impl ProviderWrapper for WithProfile {
///     type Inner = GitLab;
///
///     fn inner(&self) -> &GitLab {
///         &self.0
///     }
///
///     fn required_scopes(&self, access: &Access) -> Scopes {
///         self.0.required_scopes(access).iter().cloned().chain("profile".parse()).collect()
///     }
///
///     fn setup_guide(&self, request: &SetupRequest) -> SetupGuide {
///         let mut guide = self.0.setup_guide(request);
///         let scopes = self.required_scopes(&request.access);
///         guide.scopes = SetupScope::list(&scopes, |scope| self.0.describe_scope(scope));
///         guide
///     }
/// }
///
/// let gitlab = GitLab::new(BaseUrl::parse("https://git.example.com", &Network::public_only())?)?;
/// let provider = WithProfile(gitlab).into_provider();
/// assert_eq!(provider.required_scopes(&Access::SignIn).to_string(), "read_user profile");
/// assert_eq!(provider.platform().id(), "gitlab");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[async_trait]
pub trait ProviderWrapper: fmt::Debug + Send + Sync {
    /// The type of the provider inside.
    type Inner: OAuthProvider + ?Sized;

    /// The provider that all calls are forwarded to.
    fn inner(&self) -> &Self::Inner;

    /// See [`OAuthProvider::platform`].
    fn platform(&self) -> Platform {
        self.inner().platform()
    }

    /// See [`OAuthProvider::base_url`].
    fn base_url(&self) -> &BaseUrl {
        self.inner().base_url()
    }

    /// See [`OAuthProvider::api_url`].
    fn api_url(&self) -> &BaseUrl {
        self.inner().api_url()
    }

    /// See [`OAuthProvider::setup_links`].
    fn setup_links(&self, request: &SetupRequest) -> Vec<SetupLink> {
        self.inner().setup_links(request)
    }

    /// See [`OAuthProvider::required_scopes`].
    fn required_scopes(&self, access: &Access) -> Scopes {
        self.inner().required_scopes(access)
    }

    /// See [`OAuthProvider::describe_scope`].
    fn describe_scope(&self, scope: &Scope) -> ScopeDescription {
        self.inner().describe_scope(scope)
    }

    /// See [`OAuthProvider::covered_scopes`].
    fn covered_scopes(&self, scope: &Scope) -> Scopes {
        self.inner().covered_scopes(scope)
    }

    /// See [`OAuthProvider::ensure_scopes`].
    ///
    /// # Errors
    ///
    /// As [`OAuthProvider::ensure_scopes`].
    fn ensure_scopes(&self, scopes: &Scopes) -> Result<(), ConfigError> {
        self.inner().ensure_scopes(scopes)
    }

    /// See [`OAuthProvider::ensure_credentials`].
    ///
    /// # Errors
    ///
    /// As [`OAuthProvider::ensure_credentials`].
    fn ensure_credentials(&self, client: &ClientCredentials) -> Result<(), ConfigError> {
        self.inner().ensure_credentials(client)
    }

    /// See [`OAuthProvider::needs_nonce`].
    fn needs_nonce(&self) -> bool {
        self.inner().needs_nonce()
    }

    /// See [`OAuthProvider::setup_guide`].
    fn setup_guide(&self, request: &SetupRequest) -> SetupGuide {
        self.inner().setup_guide(request)
    }

    /// See [`OAuthProvider::issuers`].
    fn issuers(&self) -> Vec<&str> {
        self.inner().issuers()
    }

    /// See [`OAuthProvider::callback_error`].
    fn callback_error(&self, error: &str, description: &str) -> Option<VerifyError> {
        self.inner().callback_error(error, description)
    }

    /// See [`OAuthProvider::authorization_url`].
    fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Url {
        self.inner().authorization_url(request)
    }

    /// See [`OAuthProvider::exchange_code`].
    ///
    /// # Errors
    ///
    /// As [`OAuthProvider::exchange_code`].
    async fn exchange_code(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        grant: VerifiedGrant,
    ) -> Result<TokenSet, Error> {
        self.inner().exchange_code(http, client, grant).await
    }

    /// See [`OAuthProvider::refresh`].
    ///
    /// # Errors
    ///
    /// As [`OAuthProvider::refresh`].
    async fn refresh(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        token: &RefreshToken,
        callback_url: &CallbackUrl,
    ) -> Result<TokenSet, Error> {
        self.inner().refresh(http, client, token, callback_url).await
    }

    /// See [`OAuthProvider::revoke`].
    ///
    /// # Errors
    ///
    /// As [`OAuthProvider::revoke`].
    async fn revoke(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        tokens: &TokenSet,
    ) -> Result<Revocation, Error> {
        self.inner().revoke(http, client, tokens).await
    }

    /// See [`OAuthProvider::revoke_pair`].
    ///
    /// # Errors
    ///
    /// As [`OAuthProvider::revoke_pair`].
    async fn revoke_pair(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        tokens: &TokenSet,
    ) -> Result<Revocation, Error> {
        self.inner().revoke_pair(http, client, tokens).await
    }

    /// See [`OAuthProvider::may_be_about_client`].
    fn may_be_about_client(&self, refusal: &Error) -> bool {
        self.inner().may_be_about_client(refusal)
    }

    /// See [`OAuthProvider::accepts_client`].
    ///
    /// # Errors
    ///
    /// As [`OAuthProvider::accepts_client`].
    async fn accepts_client(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        callback_url: &CallbackUrl,
    ) -> Result<bool, Error> {
        self.inner().accepts_client(http, client, callback_url).await
    }

    /// See [`OAuthProvider::user`].
    ///
    /// # Errors
    ///
    /// As [`OAuthProvider::user`].
    async fn user(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error> {
        self.inner().user(http, token).await
    }

    /// See [`OAuthProvider::ensure_group`].
    ///
    /// # Errors
    ///
    /// As [`OAuthProvider::ensure_group`].
    fn ensure_group(&self, group: &Group, scopes: &Scopes) -> Result<(), ConfigError> {
        self.inner().ensure_group(group, scopes)
    }

    /// See [`OAuthProvider::needs_user_for_membership`].
    fn needs_user_for_membership(&self, group: &Group) -> bool {
        self.inner().needs_user_for_membership(group)
    }

    /// See [`OAuthProvider::membership`].
    ///
    /// # Errors
    ///
    /// As [`OAuthProvider::membership`].
    async fn membership(
        &self,
        http: &dyn Transport,
        token: &AccessToken,
        group: &Group,
        user: Option<&User>,
    ) -> Result<Membership, Error> {
        self.inner().membership(http, token, group, user).await
    }

    /// See [`OAuthProvider::api_error`].
    fn api_error(&self, response: &ApiResponse) -> Option<Error> {
        self.inner().api_error(response)
    }

    /// See [`OAuthProvider::check`].
    async fn check(&self, http: &dyn Transport, client: &ClientCredentials, request: &CheckRequest) -> CheckReport {
        self.inner().check(http, client, request).await
    }

    /// Turns this wrapper into a provider.
    fn into_provider(self) -> Arc<dyn OAuthProvider>
    where
        Self: Sized + 'static,
    {
        Arc::new(Wrapped(self))
    }
}

/// It implements `OAuthProvider` but not `ProviderWrapper`, so that no call is ambiguous.
#[derive(Debug)]
pub(super) struct Wrapped<W>(W);

impl<W> Deref for Wrapped<W> {
    type Target = W;

    fn deref(&self) -> &W {
        &self.0
    }
}
