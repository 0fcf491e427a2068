//! GitLab: its OAuth endpoints, the discovery document, and the API calls that a login makes.
//!
//! Apart from tokens and times, its responses follow recordings of Doorkeeper with GitLab's settings. Where versions
//! differ, it does what GitLab 18 does. It is stricter than a real GitLab in four ways: token requests must be forms,
//! access tokens are accepted in the header only, redirect URIs are compared byte for byte (as Doorkeeper 6 does), and
//! S256 is the only PKCE method. Of OpenID Connect, only the discovery document is implemented.

mod api;
mod authorize;
pub(super) mod fake;
mod group;
mod state;
mod token;
mod user;
mod wire;

pub use fake::FakeGitLabBuilder;
pub use group::FakeGroup;
pub use user::{FakeUser, Refusal};
