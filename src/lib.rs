//! Users log in to your app with the code host that they already use: GitHub, any GitLab, Forgejo, Gitea and Codeberg, Bitbucket
//! Cloud, or Bitbucket Data Center.
//!
//! An administrator enters the base URL of a code host. [`setup`] shows them how to create the OAuth application there,
//! [`check`] tests the result, and an [`Integration`] logs users in. [`keeper`] keeps their tokens valid afterwards, and
//! [`error`] says what went wrong, who must act, and the fix.
//!
//! # A login
//!
//! With the feature `axum`, whose [routes](router) begin and finish it. In [any other framework](guide::any_framework), an app calls
//! [`Integration::begin_login`] and [`Integration::finish_login`].
//!
#![cfg_attr(feature = "axum", doc = "```")]
#![cfg_attr(not(feature = "axum"), doc = "```ignore")]
//! use axum::response::{IntoResponse, Redirect, Response};
//! use codehost_oauth::router::{LoginHandler, LoginRoutes, RequestHead};
//! use codehost_oauth::transport::{HttpClient, Network};
//! use codehost_oauth::{Access, BaseUrl, Integration, IntegrationConfig, Login, PublicUrl, gitlab};
//!
//! struct App;
//!
//! #[async_trait::async_trait]
//! impl LoginHandler for App {
//!     async fn logged_in(&self, _: &mut RequestHead, _: &Integration, login: Login) -> Response {
//!         println!("{}", login.user.key); // find or create your user by this key, and put it into your session
//!         Redirect::to("/").into_response()
//!     }
//! }
//!
//! /// Your pages link to `/login/demo`. `keys` is a text such as `1:KEY`, where KEY is 32 random bytes in base64.
//! fn routes(client_id: &str, client_secret: &str, keys: &str) -> Result<axum::Router, Box<dyn std::error::Error>> {
//!     let public_url: PublicUrl = "https://packages.example.com".parse()?; // where browsers reach your app
//!     let http = HttpClient::builder(Network::public_only()).build()?; // one for the whole process
//!     let base_url = BaseUrl::parse("https://git.example.com", http.network())?;
//!     let config = IntegrationConfig {
//!         id: "demo".parse()?,
//!         name: "Our GitLab".to_owned(),
//!         public_url: public_url.clone(),
//!         client_id: client_id.to_owned(),
//!         client_secret: client_secret.to_owned(),
//!         access: Access::SignIn,
//!     };
//!     let integration = Integration::builder(gitlab::PLATFORM.provider(base_url)?, http, config).build()?;
//!     let logins = LoginRoutes::in_cookie(integration, App, &public_url, keys.parse()?);
//!     Ok(axum::Router::new().merge(logins.router()))
//! }
//! # assert!(routes("id", "secret", "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").is_ok());
//! # assert!(routes("id", "a secret", "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").is_err());
//! ```
//!
//! # What next
//!
//! - What to add before you ship it: [the login with axum](guide::axum#before-you-ship-it).
//! - A page on which administrators add code hosts: [`admin`], for a [self-hosted product](guide::self_hosted) or a
//!   [service for many organizations](guide::multi_tenant).
//! - [Call the code host's API](guide::call_the_api), [test your app](guide::test_your_app), [find out why a login
//!   failed](guide::errors), [operate it](guide::operate).
//! - All pages of [the guide](guide).
//!
//! # Modules
//!
//! | module | content |
//! | --- | --- |
//! | the crate root | settings ([`BaseUrl`], [`PublicUrl`], [`Access`]), the login ([`Integration`], [`PendingLogins`], [`Callback`]) and its result ([`Login`], [`User`], [`TokenSet`]) |
//! | [`setup`] | the setup guide: what the administrator enters and copies to create the OAuth application |
//! | [`check`] | checks an integration before it is saved |
//! | [`test_login`] | what a login of an administrator, which logs nobody in, has found out |
//! | [`error`] | the errors of settings, logins and stores, each with a code, who must act, and the fix. Those of routes, keeper and settings are in their modules |
//! | [`github`], [`gitlab`], [`forgejo`], [`bitbucket_cloud`], [`bitbucket_data_center`] | the built-in platforms |
//! | [`provider`] | the trait [`OAuthProvider`], for other code hosts |
//! | [`transport`] | the HTTP client, its network policy, and the trait for another client |
//! | [`web`] | helpers for the login's routes in any web framework |
//! | [`router`] | the login's routes for axum (feature `axum`) |
//! | [`admin`] | the routes of the integrations page for axum (feature `admin`) |
//! | [`keeper`] | refreshes tokens once on all nodes, with stores for them (feature `seal`) |
//! | [`seal`] | encryption of stored values (feature `seal`) |
//! | [`settings`] | integrations as data: what an administrator types, stores for it, and one cache for all nodes (features `seal` and `http-client`) |
//! | [`interop`] | an app's own `reqwest` client, and the crate `oauth2` (features `reqwest` and `oauth2`) |
//! | [`testing`] | fakes of code hosts, and conformance suites (feature `testing`) |
//! | [`guide`] | a page for each task |
//!
//! # Features
//!
//! - **`http-client`**: the [`HttpClient`](transport::HttpClient). Without one of the three features for TLS, which
//!   enable it too, it speaks plain HTTP only.
//! - **`rustls`** (default): TLS by rustls with aws-lc-rs, with the operating system's trusted certificates.
//! - **`rustls-no-provider`**: rustls with a crypto provider that the app installs before it builds an
//!   [`HttpClient`](transport::HttpClient).
//! - **`native-tls`**: TLS by the operating system's library. If `rustls` is on too, this one is used.
//! - **`encrypted-keys`**: keys of [client certificates](transport::ClientCertificate) that have a password.
//! - **`axum`**: [`router`]. **`admin`**: [`admin`].
//! - **`seal`**: [`keeper`], [`seal`], and pending logins in a cookie. **`sqlite`**, **`postgres`**, **`redis`** add stores of
//!   tokens, the first two also of integrations. An app that shares its pool or its transactions with them needs the same version of
//!   `sqlx`, 0.8.
//! - **`tracing`**: a span for each operation, with integration, platform, operation, outcome and duration, and an event for each
//!   failed login or refresh; never a URL, a header or a body.
//! - **`reqwest`**: [`interop::ReqwestTransport`], an app's own `reqwest` client as [`Transport`](transport::Transport).
//! - **`oauth2`**: [`HttpClient`](transport::HttpClient) under the crates `oauth2` and `openidconnect`, and conversions.
//! - **`testing`**: [`testing`].
//!
//! Without the first five, `reqwest` and `testing`, the crate depends on no HTTP library: implement [`Transport`](transport::Transport).
//!
//! Async functions need a Tokio runtime with its clock (`enable_time`), because every wait has a deadline.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "admin")]
#[cfg_attr(docsrs, doc(cfg(feature = "admin")))]
pub mod admin;
pub mod error;
// Only documentation: apps do not compile it. The doctests of its pages are those of the package in tests/, which has their crates.
#[cfg(all(doc, not(doctest)))]
pub mod guide;
mod integration;
#[cfg(any(feature = "oauth2", feature = "reqwest"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "oauth2", feature = "reqwest"))))]
pub mod interop;
#[cfg(feature = "seal")]
#[cfg_attr(docsrs, doc(cfg(feature = "seal")))]
pub mod keeper;
mod login;
mod observe;
mod platforms;
pub mod provider;
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub mod router;
#[cfg(feature = "seal")]
#[cfg_attr(docsrs, doc(cfg(feature = "seal")))]
pub mod seal;
#[cfg(all(feature = "http-client", feature = "seal"))]
#[cfg_attr(docsrs, doc(cfg(all(feature = "http-client", feature = "seal"))))]
pub mod settings;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
pub mod transport;
mod util;
mod values;

pub use integration::{
    ApiCall, FindIntegration, Integration, IntegrationBuilder, IntegrationConfig, LoginEnd, LoginLink, LoginOptions,
    LoginPolicy, LoginStart,
};
pub use login::web;
pub use login::{Callback, Login, PendingLogin, PendingLogins, Purpose, ReturnTo};
pub use platforms::{bitbucket_cloud, bitbucket_data_center, forgejo, github, gitlab};
pub use provider::grant::{AuthorizationRequest, AuthorizationUrl, VerifiedGrant};
pub use provider::membership::{Group, Membership};
pub use provider::oauth_provider::OAuthProvider;
pub use provider::platform::Platform;
pub use provider::revocation::Revocation;
pub use values::access::Access;
pub use values::account_key::AccountKey;
pub use values::base_url::BaseUrl;
pub use values::callback_url::CallbackUrl;
pub use values::email::{Email, EmailAuthority, EmailEvidence, EmailTrust};
pub use values::integration_id::IntegrationId;
pub use values::public_url::PublicUrl;
pub use values::scope::{Scope, ScopeDescription, Scopes};
pub use values::token::{AccessToken, ClientCredentials, RefreshToken, TokenBinding, TokenNote, TokenSet};
pub use values::user::{EmailList, User, UserState};
pub use values::web_url::WebUrl;

pub mod setup {
    //! What an administrator must see, enter and copy to create the OAuth application, as data.
    //!
    //! Most code hosts have no link that fills in their form, so the guide has every value to copy. It needs no credentials: the
    //! administrator leaves the app's form open and unsaved while they create the application at the code host.
    //!
    //! A [`SetupRequest`] goes into [`OAuthProvider::setup_guide`](crate::OAuthProvider::setup_guide), a [`SetupGuide`]
    //! comes out. It can be shown as it is ([`Display`](std::fmt::Display) for a terminal,
    //! [`to_markdown`](SetupGuide::to_markdown), [`to_html`](SetupGuide::to_html)), sent to a front end (`serde`), or read
    //! field by field.

    pub use crate::provider::setup::{
        AppOwner, LinkAddress, SetupCredentials, SetupField, SetupGuide, SetupLink, SetupRequest, SetupScope,
    };
}

pub mod test_login {
    //! Test logins: an administrator logs in with an integration, and gets a report instead of a session.
    //!
    //! [`Integration::begin_test`](crate::Integration::begin_test) and [`finish_test`](crate::Integration::finish_test) make them. The
    //! [integrations page](crate::admin) has them already.

    pub use crate::login::{
        LoginReport, ReportedEmail, ReportedError, ReportedGroup, ReportedScope, ReportedUser, TestLogin,
    };
}

pub mod check {
    //! Checks whether an integration will work, before it is saved and without a login.
    //!
    //! A [`CheckRequest`] goes into [`OAuthProvider::check`](crate::OAuthProvider::check) or
    //! [`Integration::check`](crate::Integration::check), a [`CheckReport`] comes out. It can be shown as it is
    //! ([`Display`](std::fmt::Display) for a terminal, [`to_html`](CheckReport::to_html)), sent to a front end (`serde`), or
    //! read finding by finding.
    //!
    //! No request is repeated, and one deadline holds for all of them. The client secret is sent only to a server that is known
    //! to be a code host of the platform.

    pub use crate::provider::check::{
        CheckReport, CheckRequest, Finding, Level, NotChecked, OtherErrors, Verdict, accepts_client,
        credential_findings,
    };
}
