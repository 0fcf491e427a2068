//! Log in with Bitbucket Cloud or any GitLab.

mod base_url;
mod bitbucket;
pub mod error;
mod gitlab;
mod host;
mod html;
mod network;
mod scope;
mod secret;
mod token;
mod user;

pub mod setup;
pub mod transport;

pub use base_url::BaseUrl;
pub use host::{CallbackUrl, Host, IntegrationId};
pub use scope::{Access, Scope, ScopeDescription, Scopes};
pub use token::{AccessToken, ClientCredentials, Origin, RefreshToken, TokenSet};
pub use user::{AccountKey, Email, EmailAuthority, EmailEvidence, EmailTrust, User, UserState};
