use std::fmt;

use super::token_endpoint;
use crate::error::ConfigError;
use crate::values::base_url::BaseUrl;
use crate::values::callback_url::CallbackUrl;
use crate::values::integration_id::IntegrationId;
use crate::values::scope::Scopes;
use crate::values::secret::Secret;
use crate::values::token::TokenBinding;

/// What a provider puts into the authorization URL (RFC 6749 section 4.1.1). [`Integration`](crate::Integration) appends the secrets
/// of the login: the state, the PKCE challenge with its method, and a nonce if the provider needs one.
#[derive(Debug)]
#[non_exhaustive]
pub struct AuthorizationRequest<'a> {
    /// The client id of the OAuth application.
    pub client_id: &'a str,
    /// The URL that the browser returns to, byte for byte as registered.
    pub callback_url: &'a CallbackUrl,
    /// The scopes that the login asks for.
    pub scopes: &'a Scopes,
    /// The user name or e-mail address that the user has probably typed in the app, for a platform that can suggest it.
    pub login_hint: Option<&'a str>,
    /// Whether the user must choose an account, for a platform that can ask for it.
    pub select_account: bool,
}

impl AuthorizationRequest<'_> {
    /// Appends the request, as a query for the authorization code flow, to a platform's authorization endpoint.
    pub fn on(&self, mut endpoint: url::Url) -> url::Url {
        endpoint
            .query_pairs_mut()
            .append_pair("client_id", self.client_id)
            .append_pair("redirect_uri", self.callback_url.as_str())
            .append_pair("response_type", "code")
            .append_pair("scope", &self.scopes.to_string());
        endpoint
    }
}

/// The URL to which a browser is sent to log in. It contains the state, which is only for this browser: `Debug` leaves out the
/// query, and there is no `Display`.
///
/// ```
/// # fn example(integration: &codehost_oauth::Integration) -> Result<(), codehost_oauth::error::ConfigError> {
/// let start = integration.begin_login(None)?;
/// assert!(start.redirect_to.as_str().contains("&state="));
/// assert!(!format!("{:?}", start.redirect_to).contains("state"));
/// # Ok(())
/// # }
/// ```
pub struct AuthorizationUrl(pub(crate) String);

impl AuthorizationUrl {
    /// The text, for a `Location` header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<AuthorizationUrl> for String {
    fn from(url: AuthorizationUrl) -> Self {
        url.0
    }
}

impl fmt::Debug for AuthorizationUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthorizationUrl({})", self.0.split('?').next().unwrap_or_default())
    }
}

/// An authorization code that came to the same browser, integration and callback URL that the login was started for.
///
/// Only the check of a callback makes one, and exchanging it consumes it:
///
/// ```compile_fail,E0451
/// fn other_code(grant: codehost_oauth::VerifiedGrant, other: codehost_oauth::VerifiedGrant) {
///     let _ = codehost_oauth::VerifiedGrant { code: other.code, ..grant };
/// }
/// ```
///
/// ```compile_fail,E0382
/// # use codehost_oauth::*;
/// async fn twice(p: &dyn OAuthProvider, t: &dyn transport::Transport, c: &ClientCredentials, grant: VerifiedGrant) {
///     let _ = p.exchange_code(t, c, grant).await;
///     let _ = p.exchange_code(t, c, grant).await;
/// }
/// ```
pub struct VerifiedGrant {
    pub(crate) code: Secret,
    pub(crate) verifier: Secret,
    pub(crate) callback_url: CallbackUrl,
    pub(crate) binding: TokenBinding,
}

impl VerifiedGrant {
    /// The integration that the code belongs to.
    pub fn integration(&self) -> &IntegrationId {
        self.binding.integration()
    }

    /// The nonce that the ID token must have, if the provider [needs one](crate::OAuthProvider::needs_nonce).
    pub fn nonce(&self) -> String {
        token_endpoint::nonce(&self.verifier)
    }

    /// What the tokens will be bound to; [`ConfigError::OtherBinding`] if the code was issued at another base URL.
    pub(crate) fn binding_for(&self, base_url: &BaseUrl) -> Result<&TokenBinding, ConfigError> {
        if self.binding.base_url() == base_url {
            Ok(&self.binding)
        } else {
            Err(ConfigError::OtherBinding { what: "authorization code" })
        }
    }
}

impl fmt::Debug for VerifiedGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedGrant").field("binding", &self.binding).finish_non_exhaustive()
    }
}
