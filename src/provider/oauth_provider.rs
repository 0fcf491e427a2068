use std::fmt;

use async_trait::async_trait;
use url::Url;

use super::platform::Platform;
use crate::error::{ApiError, ConfigError, Error, ResponseError, VerifyError};
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

/// One platform at one base URL: everything that differs between code hosts, and nothing else.
///
/// A provider knows links, labels, scopes, endpoints and wire formats. It holds no credentials and opens no connection
/// by itself, so it can be used while the administrator is still filling in the form. Most apps hold it as
/// `Arc<dyn OAuthProvider>`, from [`Platform::provider`], and call it through [`Integration`](crate::Integration).
///
/// # Contract
///
/// - Every endpoint is below [`base_url`](Self::base_url) or [`api_url`](Self::api_url); no other server gets a secret.
/// - Secrets are read with `expose_for` and `expose_for`, which refuse every other URL.
/// - Each method sends the requests that it documents, and repeats one only where it says so.
/// - Responses become typed values or an [`Error`]; an error's `Display` and `Debug` contain no text from a server.
///
/// `Arc<T>` and `Box<T>` are providers too. To change a method of another provider, see
/// [`ProviderWrapper`](crate::provider::ProviderWrapper).
#[async_trait]
pub trait OAuthProvider: fmt::Debug + Send + Sync {
    /// Which platform this is.
    fn platform(&self) -> Platform;

    /// The base URL of the code host.
    fn base_url(&self) -> &BaseUrl;

    /// The base URL of the API: the same, unless the platform has another server for it, as Bitbucket Cloud does. Access tokens
    /// are sent there, and on some platforms the client secret, to revoke and to check. [`AccessToken::expose_for`] and
    /// [`ClientCredentials::expose_for`] accept both URLs.
    fn api_url(&self) -> &BaseUrl {
        self.base_url()
    }

    /// The pages at which an administrator creates the OAuth application, the best first. A platform whose form can be filled by
    /// its URL fills it from the request.
    fn setup_links(&self, request: &SetupRequest) -> Vec<SetupLink>;

    /// The scopes of an access level, in the order of the platform's form.
    fn required_scopes(&self, access: &Access) -> Scopes;

    /// What the platform's form says about a scope.
    fn describe_scope(&self, scope: &Scope) -> ScopeDescription;

    /// The scopes that `scope` includes, so that a token with `scope` does not need them. The default returns those that the
    /// platform's form ticks together with `scope`.
    fn covered_scopes(&self, scope: &Scope) -> Scopes {
        self.describe_scope(scope).implies
    }

    /// Whether logins can ask for these scopes. If the platform treats an unknown scope as full access, the provider must refuse
    /// it here.
    /// Sends nothing.
    ///
    /// # Errors
    ///
    /// [`ConfigError::UnknownScope`]; [`ConfigError::UnlimitedScopes`] if these scopes would allow everything that the user may do;
    /// [`ConfigError::UserScope`] if they do not allow to look up the user.
    fn ensure_scopes(&self, scopes: &Scopes) -> Result<(), ConfigError> {
        let _ = scopes;
        Ok(())
    }

    /// Whether these can be credentials of this platform, where more is known than that they are text. Sends nothing.
    ///
    /// # Errors
    ///
    /// [`ConfigError::SecretPlaceholder`].
    fn ensure_credentials(&self, client: &ClientCredentials) -> Result<(), ConfigError> {
        let _ = client;
        Ok(())
    }

    /// Everything that an administrator must see and copy to create the OAuth application.
    fn setup_guide(&self, request: &SetupRequest) -> SetupGuide;

    /// The issuers that a callback may name (RFC 9207): the base URL, unless set otherwise. A callback without an issuer is
    /// accepted too, one that names another issuer is refused.
    fn issuers(&self) -> Vec<&str> {
        vec![self.base_url().as_str()]
    }

    /// What `error` and `error_description` of a callback (RFC 6749 section 4.1.2.1) mean on this platform only. Return `None` for
    /// every other meaning: `access_denied`, `invalid_scope`, `server_error` and `temporarily_unavailable` are handled already.
    fn callback_error(&self, error: &str, description: &str) -> Option<VerifyError> {
        let _ = (error, description);
        None
    }

    /// The URL to which the browser is sent to log in (RFC 6749 section 4.1.1). The integration appends
    /// `state`, `code_challenge` and its method, and a nonce if [`needs_nonce`](Self::needs_nonce).
    fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Url;

    /// Whether the authorization URL needs a nonce (OpenID Connect Core section 3.1.2.1), because the provider reads an ID token. Then
    /// [`exchange_code`](Self::exchange_code) must compare its claims with [`VerifiedGrant::nonce`] and the rest of the login (section
    /// 3.1.3.7) before it sets [`TokenSet::user`].
    fn needs_nonce(&self) -> bool {
        false
    }

    /// Exchanges a code for tokens: one request (RFC 6749 section 4.1.3).
    ///
    /// Signature: `async fn exchange_code(&self, http: &dyn Transport, client: &ClientCredentials, grant: VerifiedGrant)
    /// -> Result<TokenSet, Error>`
    ///
    /// # Errors
    ///
    /// [`Error::Token`] if the platform refuses, [`Error::Config`] if the secrets are bound to another base URL.
    async fn exchange_code(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        grant: VerifiedGrant,
    ) -> Result<TokenSet, Error>;

    /// Renews tokens: one request (RFC 6749 section 6). Afterwards both old tokens may be invalid, even after an error. Store
    /// the new ones before they are used.
    ///
    /// Signature: `async fn refresh(&self, http: &dyn Transport, client: &ClientCredentials, token: &RefreshToken,
    /// callback_url: &CallbackUrl) -> Result<TokenSet, Error>`
    ///
    /// # Errors
    ///
    /// As [`exchange_code`](Self::exchange_code).
    async fn refresh(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        token: &RefreshToken,
        callback_url: &CallbackUrl,
    ) -> Result<TokenSet, Error>;

    /// Revokes these tokens, or everything that the user has allowed this application if the platform can revoke only that. No
    /// request if the platform has no way, mostly one, and up to four where it needs a valid access token for it.
    ///
    /// Signature: `async fn revoke(&self, http: &dyn Transport, client: &ClientCredentials, tokens: &TokenSet)
    /// -> Result<Revocation, Error>`
    ///
    /// # Errors
    ///
    /// As [`exchange_code`](Self::exchange_code).
    async fn revoke(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        tokens: &TokenSet,
    ) -> Result<Revocation, Error> {
        let _ = (http, client, tokens);
        Ok(Revocation::not_supported())
    }

    /// Revokes these tokens only, and sends nothing if the platform cannot do that. A `TokenKeeper` calls it for tokens that a new
    /// login has replaced, so a provider whose platform can only revoke all tokens of a user at once must not do it here.
    ///
    /// Signature: `async fn revoke_pair(&self, http: &dyn Transport, client: &ClientCredentials, tokens: &TokenSet)
    /// -> Result<Revocation, Error>`
    ///
    /// # Errors
    ///
    /// As [`exchange_code`](Self::exchange_code).
    async fn revoke_pair(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        tokens: &TokenSet,
    ) -> Result<Revocation, Error> {
        let _ = (http, client, tokens);
        Ok(Revocation::not_supported())
    }

    /// Whether this refusal of a [`refresh`](Self::refresh), which says
    /// [`RefreshRejected`](crate::error::TokenError::RefreshRejected), can also mean that the client secret is wrong: some platforms
    /// have the same error for both. Then
    /// [`accepts_client`](Self::accepts_client) is called before a user has to log in again. Sends nothing.
    fn may_be_about_client(&self, refusal: &Error) -> bool {
        let _ = refusal;
        false
    }

    /// Whether the platform is proved to accept the client id and secret, by a made-up code: one request. `false`, as the default
    /// returns, if the provider cannot prove it, or if the server gave tokens for that code.
    ///
    /// Signature: `async fn accepts_client(&self, http: &dyn Transport, client: &ClientCredentials,
    /// callback_url: &CallbackUrl) -> Result<bool, Error>`
    ///
    /// # Errors
    ///
    /// [`TokenError::ClientRejected`](crate::error::TokenError::ClientRejected) if it does not accept them; another error
    /// if the response proves neither.
    async fn accepts_client(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        callback_url: &CallbackUrl,
    ) -> Result<bool, Error> {
        let _ = (http, client, callback_url);
        Ok(false)
    }

    /// Looks up the user whose token this is: in one round trip, unless the platform needs more for it, or has a long list of
    /// addresses in pages.
    ///
    /// Signature: `async fn user(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error>`
    ///
    /// # Errors
    ///
    /// [`Error::Api`] if the token is not accepted, [`Error::Account`] if the platform refuses the user.
    async fn user(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error>;

    /// Checks whether tokens with these scopes can look up the [`membership`](Self::membership) in this group. Sends nothing.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Group`] or [`ConfigError::Role`] for a group or role that the platform cannot have,
    /// [`ConfigError::GroupScope`] for a missing scope; [`ConfigError::NoGroups`] unless the provider implements this method
    /// and [`membership`](Self::membership).
    fn ensure_group(&self, group: &Group, scopes: &Scopes) -> Result<(), ConfigError> {
        let _ = (group, scopes);
        Err(ConfigError::NoGroups)
    }

    /// Whether [`membership`](Self::membership) needs the user. Then it is called after [`user`](Self::user), which
    /// costs a round trip; else both are called at once.
    fn needs_user_for_membership(&self, group: &Group) -> bool {
        let _ = group;
        false
    }

    /// Looks up whether the token's user is in a group. An unclear response is an error, never a membership. `user` is the
    /// user of the token if [`needs_user_for_membership`](Self::needs_user_for_membership) says so, else `None`.
    ///
    /// Signature: `async fn membership(&self, http: &dyn Transport, token: &AccessToken, group: &Group, user: Option<&User>)
    /// -> Result<Membership, Error>`
    ///
    /// # Errors
    ///
    /// [`Error::Api`] if the token is not accepted; [`Error::Account`] if the platform refuses the user, or if the token lacks
    /// the scope; [`Error::Config`] for a group or role that the platform cannot have, [`ConfigError::UserNeeded`] without a
    /// user that it needs, and [`ConfigError::NoGroups`] unless the provider implements this method; [`Error::Transport`] and
    /// [`Error::Response`] if the code host does not respond.
    async fn membership(
        &self,
        http: &dyn Transport,
        token: &AccessToken,
        group: &Group,
        user: Option<&User>,
    ) -> Result<Membership, Error> {
        let _ = (http, token, group, user);
        Err(ConfigError::NoGroups.into())
    }

    /// Why a response of the API is no success, for the app's own [calls](crate::Integration::api_get); `None` for a success. The
    /// checks of [`ApiRequest::send`](crate::provider::ApiRequest::send) have passed. A token that is not accepted must be
    /// [`ApiError::TokenExpired`], [`ApiError::TokenRevoked`] or [`ApiError::TokenRejected`], so that it is renewed. The default
    /// goes by the status. Sends nothing.
    fn api_error(&self, response: &ApiResponse) -> Option<Error> {
        let cause = match response.status().as_u16() {
            200..=299 => return None,
            401 => ApiError::TokenRejected,
            403 => ApiError::Forbidden,
            404 => ApiError::NotFound,
            410 => ApiError::EndpointRemoved,
            _ => return Some(response.unusable(ResponseError::Status)),
        };
        Some(Error::Api { cause, response: Box::new(response.summary()) })
    }

    /// Checks base URL, credentials and scopes, as far as possible without a user; see [`check`](crate::check). It takes no
    /// longer than the request's deadline. The default reports that nothing was checked.
    ///
    /// Signature: `async fn check(&self, http: &dyn Transport, client: &ClientCredentials, request: &CheckRequest)
    /// -> CheckReport`
    async fn check(&self, http: &dyn Transport, client: &ClientCredentials, request: &CheckRequest) -> CheckReport {
        let _ = (http, client, request);
        let platform = self.platform();
        let mut report = CheckReport::new(platform.id(), platform.name(), self.base_url());
        report.push_not_checked(
            "everything",
            "There is no check for this platform. Log in to find out whether everything is correct.",
        );
        report
    }
}
