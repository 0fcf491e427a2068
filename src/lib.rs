//! Log in with Bitbucket Cloud or any GitLab.

mod base_url;
pub mod bitbucket;
pub mod error;
pub mod gitlab;
mod grant;
mod host;
mod html;
mod integration;
#[cfg(feature = "seal")]
#[cfg_attr(docsrs, doc(cfg(feature = "seal")))]
pub mod keeper;
mod login;
mod network;
mod oauth;
mod platforms;
mod provider;
mod scope;
#[cfg(feature = "seal")]
#[cfg_attr(docsrs, doc(cfg(feature = "seal")))]
pub mod seal;
mod secret;
pub mod setup;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
mod token;
pub mod transport;
mod user;
mod wire;

pub use base_url::BaseUrl;
pub use grant::{AuthorizationRequest, VerifiedGrant};
pub use host::{CallbackUrl, Host, IntegrationId};
pub use integration::{Integration, IntegrationBuilder, LoginLink, LoginStart};
pub use login::{Callback, Expected, Login, PendingLogin, PendingLogins, ReturnTo};
pub use provider::{OAuthProvider, Platform};
pub use scope::{Access, Scope, ScopeDescription, Scopes};
pub use token::{AccessToken, ClientCredentials, Origin, RefreshToken, TokenSet};
pub use user::{AccountKey, Email, EmailAuthority, EmailEvidence, EmailTrust, User, UserState};

/// What a provider for another code host is made of; see [`OAuthProvider`].
pub mod custom {
    pub use crate::oauth::{ClientAuthentication, Grant, TokenEndpoint, TokenRefusal};
    pub use crate::transport::Reply;
}
