use std::fmt;

use async_trait::async_trait;
use url::Url;

use super::platform::Platform;
use crate::error::{ConfigError, Error};
use crate::provider::check::{CheckReport, CheckRequest};
use crate::provider::grant::{AuthorizationRequest, VerifiedGrant};
use crate::provider::membership::{Group, Membership};
use crate::provider::revocation::Revocation;
use crate::provider::setup::{AppOwner, SetupGuide, SetupLink, SetupRequest};
use crate::transport::Transport;
use crate::values::access::Access;
use crate::values::base_url::BaseUrl;
use crate::values::callback_url::CallbackUrl;
use crate::values::scope::{Scope, ScopeDescription, Scopes};
use crate::values::token::{AccessToken, ClientCredentials, RefreshToken, TokenSet};
use crate::values::user::User;

/// One platform at one base URL: everything that differs between code hosts, and nothing else.
///
/// A provider knows links, labels, scopes, endpoints and wire formats. It holds no credentials and opens no connection
/// by itself, so it exists while the administrator is still filling in the form. Most apps hold it as
/// `Arc<dyn OAuthProvider>`, from [`Platform::provider`], and call it through [`Integration`](crate::Integration).
///
/// # Contract
///
/// - Everything is built from [`base_url`](Self::base_url); no other host gets a secret.
/// - Secrets are taken out by `secret_for` and `expose_for`, which refuse those of another base URL.
/// - Each method sends the requests that it documents, once: no retries, no probing.
/// - Answers become typed values or an [`Error`]; no text of a peer gets into an error's `Display` or `Debug`.
///
/// `Arc<T>` and `Box<T>` are providers too. To change a method of another provider, see
/// [`ProviderWrapper`](crate::provider::ProviderWrapper).
#[async_trait]
pub trait OAuthProvider: fmt::Debug + Send + Sync {
    /// Which platform this is.
    fn platform(&self) -> Platform;

    /// Where it is.
    fn base_url(&self) -> &BaseUrl;

    /// Where its API is: the base URL, unless the platform has another server for it, as Bitbucket Cloud does. Call the API
    /// there with the access token; [`AccessToken::expose_for`] wants the base URL, which the token belongs to.
    fn api_url(&self) -> &BaseUrl {
        self.base_url()
    }

    /// Where an administrator creates the OAuth application, best first.
    fn setup_links(&self, owner: &AppOwner) -> Vec<SetupLink>;

    /// The scopes of an access level, in the order of the platform's form.
    fn required_scopes(&self, access: &Access) -> Scopes;

    /// What the platform's form says about a scope.
    fn describe_scope(&self, scope: &Scope) -> ScopeDescription;

    /// The scopes that a token with `scope` does not need any more, since it may do what they allow: those that come with
    /// the scope's check box, unless the platform knows of more.
    fn covered_scopes(&self, scope: &Scope) -> Scopes {
        self.describe_scope(scope).implies
    }

    /// Everything that an administrator must see and copy to create the OAuth application.
    fn setup_guide(&self, request: &SetupRequest) -> SetupGuide;

    /// Who sends the browser back, where the platform says so (RFC 9207): the base URL, unless set otherwise.
    fn issuer(&self) -> &str {
        self.base_url().as_str()
    }

    /// Where the browser goes to log in (RFC 6749 section 4.1.1). The integration appends `state` and `code_challenge`.
    fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Url;

    /// Exchanges a code for tokens: one request (RFC 6749 section 4.1.3).
    ///
    /// Signature: `async fn exchange_code(&self, http: &dyn Transport, client: &ClientCredentials, grant: VerifiedGrant)
    /// -> Result<TokenSet, Error>`
    ///
    /// # Errors
    ///
    /// [`Error::Token`] if the platform refuses, [`Error::Config`] if the secrets belong elsewhere.
    async fn exchange_code(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        grant: VerifiedGrant,
    ) -> Result<TokenSet, Error>;

    /// Renews tokens: one request (RFC 6749 section 6). Both old tokens may be dead afterwards, whatever comes back, so
    /// store the new ones before they are used.
    ///
    /// Signature: `async fn refresh(&self, http: &dyn Transport, client: &ClientCredentials, token: &RefreshToken)
    /// -> Result<TokenSet, Error>`
    ///
    /// # Errors
    ///
    /// As [`exchange_code`](Self::exchange_code).
    async fn refresh(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        token: &RefreshToken,
    ) -> Result<TokenSet, Error>;

    /// Ends the user's grant at the platform, as far as the platform lets an app do it: one request, or none.
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
        let (_, _, _) = (http, client, tokens);
        Ok(Revocation::NotSupported { where_to: None, how: "Revoke the access in your settings at the code host." })
    }

    /// Ends these tokens and no others of the same user: one request, or none. A keeper calls it for a pair that a new
    /// login has replaced, so a platform that can only end all of a user's tokens at once must not do it here.
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
        let (_, _, _) = (http, client, tokens);
        Ok(Revocation::NotSupported { where_to: None, how: "Revoke the access in your settings at the code host." })
    }

    /// Whether a refusal of [`refresh`](Self::refresh) that says
    /// [`RefreshRejected`](crate::error::TokenError::RefreshRejected) can also be about the client: some platforms answer
    /// a dead refresh token in the words of a wrong client secret. Then [`accepts_client`](Self::accepts_client) is
    /// asked before anybody has to log in again. Sends nothing.
    fn can_mean_client(&self, refusal: &Error) -> bool {
        let _ = refusal;
        false
    }

    /// Whether the platform accepts the client id and secret, found out by a code that was made up: one request. `false`
    /// if that cannot be told, as for every provider that does not bring this.
    ///
    /// Signature: `async fn accepts_client(&self, http: &dyn Transport, client: &ClientCredentials,
    /// callback_url: &CallbackUrl) -> Result<bool, Error>`
    ///
    /// # Errors
    ///
    /// [`TokenError::ClientRejected`](crate::error::TokenError::ClientRejected) if it does not accept them; others if the
    /// question got no response that says so or the opposite.
    async fn accepts_client(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        callback_url: &CallbackUrl,
    ) -> Result<bool, Error> {
        let (_, _, _) = (http, client, callback_url);
        Ok(false)
    }

    /// Looks up whose token this is, in one round trip.
    ///
    /// Signature: `async fn user(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error>`
    ///
    /// # Errors
    ///
    /// [`Error::Api`] if the token is not accepted, [`Error::Account`] if the platform refuses the user.
    async fn user(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error>;

    /// Whether [`membership`](Self::membership) can be asked for this group by tokens with these scopes. Sends nothing.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Group`] or [`ConfigError::Role`] for what the platform cannot have, [`ConfigError::GroupScope`] for
    /// a scope that is missing; [`ConfigError::NoGroups`] unless the provider has this method and
    /// [`membership`](Self::membership).
    fn ensure_group(&self, group: &Group, scopes: &Scopes) -> Result<(), ConfigError> {
        let (_, _) = (group, scopes);
        Err(ConfigError::NoGroups)
    }

    /// Looks up whether the user is in a group, without having to know who they are. A response that is not clear is an
    /// error, never a membership.
    ///
    /// Signature: `async fn membership(&self, http: &dyn Transport, token: &AccessToken, group: &Group)
    /// -> Result<Membership, Error>`
    ///
    /// # Errors
    ///
    /// [`Error::Api`] if the token is not accepted; [`Error::Account`] if the platform refuses the user, or if the token lacks
    /// the scope; [`Error::Config`] for a group or role that the platform cannot have, and [`ConfigError::NoGroups`] unless
    /// the provider has this method; [`Error::Transport`] and [`Error::Response`] if the code host does not answer.
    async fn membership(&self, http: &dyn Transport, token: &AccessToken, group: &Group) -> Result<Membership, Error> {
        let (_, _, _) = (http, token, group);
        Err(ConfigError::NoGroups.into())
    }

    /// Finds out what can be known about base URL, credentials and scopes without a user; see [`check`](crate::check).
    /// It takes no longer than the request's deadline. A provider that does not bring this reports that it could not
    /// tell.
    ///
    /// Signature: `async fn check(&self, http: &dyn Transport, client: &ClientCredentials, request: &CheckRequest)
    /// -> CheckReport`
    async fn check(&self, http: &dyn Transport, client: &ClientCredentials, request: &CheckRequest) -> CheckReport {
        let (_, _, _) = (http, client, request);
        let platform = self.platform();
        let mut report = CheckReport::new(platform.id(), platform.name(), self.base_url());
        report.push_not_checked("everything", "There is no check for this platform; only a login shows what is wrong.");
        report
    }
}
