//! Fakes of five code hosts, which run in the test's process and listen on real sockets.
//!
//! Each fake is at least as strict as the platform, and stricter where the platform would not reveal a mistake: it
//! verifies PKCE, accepts a code once, rotates refresh tokens, accepts access tokens in the `Authorization` header
//! only, and compares redirect URIs byte for byte. Its responses have the form of recorded ones. It has an
//! authorization page for a browser, and a page on which anybody can create an OAuth application: where the setup links
//! lead. In a test, one call replaces the user's actions on that page:
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use codehost_oauth::testing::{FakeApplication, FakeGitLab};
//!
//! let app = FakeApplication::new("id", "secret", "http://127.0.0.1:9000/callback", "read_user");
//! let gitlab = FakeGitLab::builder().application(app).start().await?;
//! let url = format!(
//!     "{}/oauth/authorize?client_id=id&response_type=code&scope=read_user&state=s\
//!      &redirect_uri=http%3A%2F%2F127.0.0.1%3A9000%2Fcallback",
//!     gitlab.base_url()
//! );
//! let callback = gitlab.authorize(&url, "alice")?;
//! assert!(callback.starts_with("http://127.0.0.1:9000/callback?code="));
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
//! ```
//!
//! Two tools need no socket: [`ScriptedTransport`] gives the responses that a test defines, and [`conformance`] checks
//! an implementation of [`OAuthProvider`](crate::OAuthProvider).
//!
//! Do not use a fake in production: it has no passwords, so any visitor can log in as any user.
//!
//! The fakes follow the platforms, so a builder's method about a behaviour of one platform may change in any release. Stable are starting
//! a fake, its base URL, `authorize` and `deny`, [`FakeApplication`], [`FakeClock`], [`ScriptedTransport`] and the conformance suites.

mod application;
pub mod bitbucket;
pub mod bitbucket_data_center;
pub mod conformance;
#[cfg(feature = "seal")]
mod fake_clock;
#[cfg(feature = "seal")]
mod fault;
#[cfg(all(feature = "http-client", feature = "seal"))]
mod faulty_integration_store;
#[cfg(feature = "seal")]
mod faulty_store;
pub mod forgejo;
pub mod github;
pub mod gitlab;
mod grants;
#[cfg(all(feature = "http-client", feature = "seal"))]
mod integration_store_conformance;
mod journal;
mod jwt;
#[cfg(feature = "seal")]
mod keeper_outcome;
mod new_application;
mod page;
mod scripted;
mod seeded_random;
mod server;
#[cfg(feature = "seal")]
mod store_conformance;
mod traffic;
mod verify;
mod wire;

pub use application::{FakeApplication, FakeError};
pub use bitbucket::fake::FakeBitbucket;
pub use bitbucket_data_center::fake::FakeBitbucketDataCenter;
#[cfg(feature = "seal")]
pub use fake_clock::FakeClock;
#[cfg(feature = "seal")]
pub use fault::Fault;
#[cfg(all(feature = "http-client", feature = "seal"))]
pub use faulty_integration_store::FaultyIntegrationStore;
#[cfg(feature = "seal")]
pub use faulty_store::FaultyStore;
pub use forgejo::fake::FakeForgejo;
pub use github::fake::FakeGitHub;
pub use gitlab::fake::FakeGitLab;
#[cfg(all(feature = "http-client", feature = "seal"))]
pub use integration_store_conformance::integration_store_conformance;
pub use journal::RecordedRequest;
#[cfg(feature = "seal")]
pub use keeper_outcome::Outcome;
pub use scripted::{ScriptedTransport, SentRequest};
pub use seeded_random::SeededRandom;
#[cfg(feature = "seal")]
pub use store_conformance::{Nonconformity, store_conformance};
pub use traffic::{Traffic, on_traffic};
pub use verify::verify;
