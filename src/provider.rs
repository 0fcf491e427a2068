use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

use crate::base_url::BaseUrl;
use crate::check::{CheckReport, CheckRequest};
use crate::error::{BaseUrlError, ConfigError, Error};
use crate::grant::{AuthorizationRequest, VerifiedGrant};
use crate::host::{CallbackUrl, Host, IntegrationId};
use crate::membership::{Group, Membership};
use crate::revocation::Revocation;
use crate::scope::{Access, Scope, ScopeDescription, Scopes};
use crate::setup::{AppOwner, SetupGuide, SetupLink, SetupRequest};
use crate::token::{AccessToken, ClientCredentials, RefreshToken, TokenSet};
use crate::transport::Transport;
use crate::user::User;

/// One platform at one base URL: everything that differs between code hosts, and nothing else.
///
/// A provider knows links, labels, scopes, endpoints and wire formats. It holds no credentials and opens no connection
/// by itself, so it exists while the administrator is still filling in the form. Most hosts hold it as
/// `Arc<dyn OAuthProvider>`, from [`Platform::at`], and call it through [`Integration`](crate::Integration).
///
/// # Contract
///
/// - Everything is built from [`base_url`](Self::base_url); no other host gets a secret.
/// - Secrets are taken out by `secret_for` and `expose_for`, which refuse those of another base URL.
/// - Each method sends the requests that it documents, once: no retries, no probing.
/// - Answers become typed values or an [`Error`]; no text of a peer gets into an error's `Display` or `Debug`.
///
/// # Wrappers
///
/// `Arc<T>` and `Box<T>` forward every method.
#[async_trait]
pub trait OAuthProvider: fmt::Debug + Send + Sync {
    /// Which platform this is.
    fn platform(&self) -> Platform;

    /// Where it is.
    fn base_url(&self) -> &BaseUrl;

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

    /// Where the browser comes back to. It does not depend on any credentials.
    fn callback_url(&self, host: &Host, id: &IntegrationId) -> CallbackUrl {
        CallbackUrl::new(host, self.platform().id(), id)
    }

    /// Everything that an administrator must see and copy to create the OAuth application.
    fn setup_guide(&self, request: &SetupRequest) -> SetupGuide;

    /// Who sends the browser back, where the platform says so (RFC 9207): the base URL, unless set otherwise.
    fn issuer(&self) -> &str {
        self.base_url().as_str()
    }

    /// Where the browser goes to log in (RFC 6749 section 4.1.1). It is asked for once for each integration, which
    /// appends `state` and `code_challenge`.
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

    /// Ends the person's grant at the platform, as far as the platform lets a host do it: one request, or none.
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
    /// [`Error::Api`] if the token is not accepted, [`Error::Account`] if the platform refuses the person.
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

    /// Looks up whether the person is in a group, without having to know who they are. What is unclear is a no.
    ///
    /// Signature: `async fn membership(&self, http: &dyn Transport, token: &AccessToken, group: &Group)
    /// -> Result<Membership, Error>`
    ///
    /// # Errors
    ///
    /// [`Error::Api`] if the token is not accepted, [`Error::Account`] if the platform refuses the person,
    /// [`Error::Config`] for a group or role that the platform cannot have. An outage is
    /// [`Membership::Unavailable`].
    async fn membership(&self, http: &dyn Transport, token: &AccessToken, group: &Group) -> Result<Membership, Error> {
        let (_, _, _) = (http, token, group);
        Ok(Membership::Unavailable { cause: None })
    }

    /// Finds out what can be known about base URL, credentials and scopes without a person; see [`check`](crate::check).
    /// It takes no longer than the request's deadline. A provider that does not bring this reports that it could not
    /// tell.
    ///
    /// Signature: `async fn check(&self, http: &dyn Transport, client: &ClientCredentials, request: &CheckRequest)
    /// -> CheckReport`
    async fn check(&self, http: &dyn Transport, client: &ClientCredentials, request: &CheckRequest) -> CheckReport {
        let (_, _, _) = (http, client, request);
        CheckReport::unsupported(self.platform(), self.base_url())
    }
}

/// A kind of code host, such as Bitbucket Cloud or GitLab.
///
/// ```
/// use codehost_oauth::{transport::Network, BaseUrl, Platform};
///
/// let platform = Platform::find("gitlab")?;
/// assert_eq!(platform.name(), "GitLab");
/// let provider = platform.at(BaseUrl::parse("https://git.example.com", &Network::public_only())?)?;
/// assert_eq!(provider.platform(), platform);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Platform {
    id: &'static str,
    name: &'static str,
    at: fn(BaseUrl) -> Result<Arc<dyn OAuthProvider>, BaseUrlError>,
}

impl Platform {
    /// A platform. `id` stands in callback URLs and account keys for ever.
    ///
    /// # Panics
    ///
    /// When the constant is compiled, if `id` is not lower-case letters, digits and hyphens.
    #[allow(
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "evaluated by the compiler"
    )]
    pub const fn new(
        id: &'static str,
        name: &'static str,
        at: fn(BaseUrl) -> Result<Arc<dyn OAuthProvider>, BaseUrlError>,
    ) -> Self {
        let bytes = id.as_bytes();
        let mut at_byte = 0;
        assert!(!bytes.is_empty(), "a platform's id is empty");
        while at_byte < bytes.len() {
            let valid = matches!(bytes[at_byte], b'a'..=b'z' | b'0'..=b'9' | b'-');
            assert!(valid, "a platform's id has only lower-case letters, digits and hyphens");
            at_byte += 1;
        }
        Self { id, name, at }
    }

    /// The id.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// The name to show.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The provider at a base URL.
    ///
    /// # Errors
    ///
    /// [`BaseUrlError::OtherPlatform`] if the URL cannot be one of this platform's.
    pub fn at(&self, base_url: BaseUrl) -> Result<Arc<dyn OAuthProvider>, BaseUrlError> {
        (self.at)(base_url)
    }
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Platform({})", self.id)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Platform {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Platform {}

impl Hash for Platform {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

/// The required scopes that were not granted, neither by name nor by one that covers them.
pub(crate) fn missing_scopes(
    provider: &dyn OAuthProvider,
    required: &Scopes,
    granted: &Scopes,
) -> Vec<ScopeDescription> {
    if required.iter().all(|scope| granted.contains(scope)) {
        return Vec::new();
    }
    let mut covered: Vec<Scope> = granted.iter().cloned().collect();
    let mut next = 0;
    while let Some(scope) = covered.get(next) {
        let more = provider.covered_scopes(scope);
        let new: Vec<Scope> = more.iter().filter(|scope| !covered.contains(scope)).cloned().collect();
        covered.extend(new);
        next = next.saturating_add(1);
    }
    required.iter().filter(|scope| !covered.contains(scope)).map(|scope| provider.describe_scope(scope)).collect()
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: OAuthProvider + ?Sized> OAuthProvider for $pointer<T> {
            fn platform(&self) -> Platform {
                (**self).platform()
            }

            fn base_url(&self) -> &BaseUrl {
                (**self).base_url()
            }

            fn setup_links(&self, owner: &AppOwner) -> Vec<SetupLink> {
                (**self).setup_links(owner)
            }

            fn required_scopes(&self, access: &Access) -> Scopes {
                (**self).required_scopes(access)
            }

            fn describe_scope(&self, scope: &Scope) -> ScopeDescription {
                (**self).describe_scope(scope)
            }

            fn covered_scopes(&self, scope: &Scope) -> Scopes {
                (**self).covered_scopes(scope)
            }

            fn callback_url(&self, host: &Host, id: &IntegrationId) -> CallbackUrl {
                (**self).callback_url(host, id)
            }

            fn setup_guide(&self, request: &SetupRequest) -> SetupGuide {
                (**self).setup_guide(request)
            }

            fn issuer(&self) -> &str {
                (**self).issuer()
            }

            fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Url {
                (**self).authorization_url(request)
            }

            async fn exchange_code(
                &self,
                http: &dyn Transport,
                client: &ClientCredentials,
                grant: VerifiedGrant,
            ) -> Result<TokenSet, Error> {
                (**self).exchange_code(http, client, grant).await
            }

            async fn refresh(
                &self,
                http: &dyn Transport,
                client: &ClientCredentials,
                token: &RefreshToken,
            ) -> Result<TokenSet, Error> {
                (**self).refresh(http, client, token).await
            }

            async fn revoke(
                &self,
                http: &dyn Transport,
                client: &ClientCredentials,
                tokens: &TokenSet,
            ) -> Result<Revocation, Error> {
                (**self).revoke(http, client, tokens).await
            }

            async fn revoke_pair(
                &self,
                http: &dyn Transport,
                client: &ClientCredentials,
                tokens: &TokenSet,
            ) -> Result<Revocation, Error> {
                (**self).revoke_pair(http, client, tokens).await
            }

            fn can_mean_client(&self, refusal: &Error) -> bool {
                (**self).can_mean_client(refusal)
            }

            async fn accepts_client(
                &self,
                http: &dyn Transport,
                client: &ClientCredentials,
                callback_url: &CallbackUrl,
            ) -> Result<bool, Error> {
                (**self).accepts_client(http, client, callback_url).await
            }

            async fn user(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error> {
                (**self).user(http, token).await
            }

            fn ensure_group(&self, group: &Group, scopes: &Scopes) -> Result<(), ConfigError> {
                (**self).ensure_group(group, scopes)
            }

            async fn membership(
                &self,
                http: &dyn Transport,
                token: &AccessToken,
                group: &Group,
            ) -> Result<Membership, Error> {
                (**self).membership(http, token, group).await
            }

            async fn check(
                &self,
                http: &dyn Transport,
                client: &ClientCredentials,
                request: &CheckRequest,
            ) -> CheckReport {
                (**self).check(http, client, request).await
            }
        }
    };
}

forward!(Arc);
forward!(Box);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitbucket::BitbucketCloud;

    #[test]
    fn what_any_granted_scope_implies_is_not_missing() {
        for (required, granted, missing) in [
            ("account email", "account", ""),
            ("account email", "webhook account", ""),
            ("pullrequest repository email", "webhook pullrequest:write account", ""),
            ("account email team", "email", "account team"),
            ("repository:write", "repository pullrequest", "repository:write"),
            ("account", "", "account"),
        ] {
            let [required, granted] = [required, granted].map(|text| text.parse::<Scopes>().unwrap());
            let found = missing_scopes(&BitbucketCloud::new(), &required, &granted);
            let found: Scopes = found.into_iter().map(|description| description.scope).collect();
            assert_eq!(found.to_string(), missing, "{required} / {granted}");
        }
    }
}
