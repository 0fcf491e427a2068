//! Fakes of both platforms in the test's own process, on real sockets.
//!
//! Each fake is strict where the platform is, and stricter where leniency would hide a mistake: it verifies PKCE,
//! spends a code once, rotates refresh tokens, takes a token from the `Authorization` header only, and compares
//! redirect URIs byte for byte. Its answers have the shape of recorded ones. It has an authorization page for a
//! browser, and does in one call what a person does there:
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
//! Two tools need no socket: [`ScriptedTransport`] gives answers that a test has written down, and [`conformance`] checks
//! what every [`OAuthProvider`](crate::OAuthProvider) must do, for those who write one.
//!
//! Nothing here is for production: everybody who reaches a fake can log in as anybody.

mod application;
pub mod bitbucket;
pub mod conformance;
#[cfg(feature = "seal")]
mod faulty_store;
pub mod gitlab;
mod grants;
mod journal;
mod page;
mod scripted;
mod seeded_random;
mod server;
#[cfg(feature = "seal")]
mod store_conformance;
mod wire;
mod witness;

pub use application::{FakeApplication, FakeError};
pub use bitbucket::FakeBitbucket;
#[cfg(feature = "seal")]
pub use faulty_store::{Fault, FaultyStore};
pub use gitlab::FakeGitLab;
pub use journal::RecordedRequest;
pub use scripted::{ScriptedTransport, SentRequest};
pub use seeded_random::SeededRandom;
#[cfg(feature = "seal")]
pub use store_conformance::{Nonconformity, store_conformance};
pub use witness::{Seen, witness};
