//! Lets people log in with the code host that they already use: Bitbucket Cloud, or any GitLab.
//!
//! # The road
//!
//! ```text
//! Platform + BaseUrl ─▶ OAuthProvider ─▶ SetupGuide ─▶ (administrator creates the application) ─▶ id and secret
//!                             │                                                                      │
//!                             └───────────────────▶ Integration ◀────────────────────────────────────┘
//!                                                       │
//! POST login link ─▶ begin_login() ─▶ redirect, and a PendingLogin for the session
//! GET callback    ─▶ Callback ─▶ PendingLogins::take ─▶ finish_login() ─▶ Login
//! ```
//!
//! - [`Platform::at`] turns a form's select box and URL field into a provider.
//! - [`OAuthProvider::setup_guide`] says what the administrator must click and copy, before any credentials exist.
//! - [`Integration`] binds provider, credentials, host and transport; [`Integration::begin_login`] and
//!   [`Integration::finish_login`] are the login.
//! - [`Login::user`] is the person, keyed by [`AccountKey`]; [`Login::tokens`] are their tokens.
//! - [`error::Error`] says what happened, who must act, and the fix.
//!
//! # A login
//!
//! ```
//! use codehost_oauth::transport::{HttpClient, Network};
//! use codehost_oauth::{Access, BaseUrl, Callback, Integration, PendingLogins, Platform};
//!
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let network = Network::public_only();
//! let provider = Platform::find("bitbucket-cloud")?.at(BaseUrl::parse("https://bitbucket.org", &network)?)?;
//! let integration = Integration::builder(provider)
//!     .id("bitbucket".parse()?)
//!     .name("Bitbucket")
//!     .host("https://packages.example.com".parse()?)
//!     .client("key", "secret")
//!     .access(Access::SignIn)
//!     .transport(HttpClient::builder(network).build()?)
//!     .build()?;
//!
//! let mut session = PendingLogins::default();
//! let start = integration.begin_login(None)?;
//! session.insert(start.pending);
//! assert!(start.redirect_to.as_str().starts_with("https://bitbucket.org/site/oauth2/authorize?client_id=key&"));
//!
//! // A callback that this browser did not ask for is refused before anything is sent.
//! let forged = Callback::from_uri(&"/oauth/callback/bitbucket-cloud/bitbucket?code=x&state=y".parse()?)?;
//! assert_eq!(session.take(&forged).unwrap_err().code(), "state_unknown");
//! # Ok(())
//! # }
//! # example().unwrap();
//! ```
//!
//! # Features
//!
//! - **`http-client`**: the hardened [`HttpClient`](transport::HttpClient). The features for TLS turn it on; by itself it
//!   speaks plain HTTP only.
//! - **`rustls`** (default): TLS by rustls with aws-lc-rs, trusting the operating system's certificates.
//! - **`rustls-no-provider`**: rustls with a crypto provider that the host installs before it builds an
//!   [`HttpClient`](transport::HttpClient).
//! - **`native-tls`**: TLS by the operating system's library, also if `rustls` is on.
//! - **`axum`**: [`router`], the routes of a login for an axum host, with pending logins in its session or a sealed cookie.
//! - **`seal`**, **`sqlite`**, **`postgres`**, **`redis`**: [`keeper`], which keeps tokens alive, and stores for it; [`seal`] also puts
//!   pending logins into a cookie.
//! - **`tracing`**: a span for each operation, with integration, platform, operation, outcome and duration; never a URL, a
//!   header or a body.
//! - **`testing`**: in-process fakes of both platforms on real sockets, and the conformance suite for providers.
//!
//! Without any of the first four there is no HTTP library in the tree: bring a [`Transport`](transport::Transport).

#![cfg_attr(docsrs, feature(doc_cfg))]

mod base_url;
pub mod bitbucket;
pub mod check;
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
mod membership;
mod network;
mod oauth;
mod observe;
mod percent;
mod platforms;
mod provider;
mod random;
mod revocation;
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub mod router;
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
mod web_url;
mod wire;

pub use base_url::BaseUrl;
pub use grant::{AuthorizationRequest, AuthorizationUrl, VerifiedGrant};
pub use host::{CallbackUrl, Host, IntegrationId};
pub use integration::{Integration, IntegrationBuilder, LoginLink, LoginStart};
pub use login::{Callback, Expected, Login, PendingLogin, PendingLogins, Purpose, ReturnTo};
pub use membership::{Group, Membership};
pub use provider::{OAuthProvider, Platform};
pub use revocation::Revocation;
pub use scope::{Access, Scope, ScopeDescription, Scopes};
pub use token::{AccessToken, ClientCredentials, Origin, RefreshToken, TokenSet};
pub use user::{AccountKey, Email, EmailAuthority, EmailEvidence, EmailTrust, User, UserState};
pub use web_url::WebUrl;

pub mod custom {
    //! What a provider for another code host is made of; see [`OAuthProvider`](crate::OAuthProvider). The repository's
    //! `examples/custom_provider.rs` is a whole one, for Forgejo; `testing::conformance` checks yours.

    pub use crate::oauth::{ClientAuthentication, Grant, TokenEndpoint, TokenRefusal};
    pub use crate::transport::Reply;
}
