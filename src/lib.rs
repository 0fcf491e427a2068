//! Log in with Bitbucket Cloud or any GitLab.

mod base_url;
pub mod error;
mod host;
mod html;
mod network;
mod scope;
mod secret;
mod token;
mod user;

#[cfg(feature = "testing")]
pub mod testing;
pub mod transport;

pub use base_url::BaseUrl;
pub use host::{CallbackUrl, Host, IntegrationId};
pub use scope::{Access, Scope, ScopeDescription, Scopes};
pub use token::{AccessToken, ClientCredentials, Origin, RefreshToken, TokenSet};
pub use user::{AccountKey, Email, EmailAuthority, EmailEvidence, EmailTrust, User, UserState};
