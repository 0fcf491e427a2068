//! Forgejo and Gitea: the OAuth endpoints, the discovery document, and the API calls of a login and of a membership check.
//!
//! It is a Forgejo unless [`gitea`](FakeForgejoBuilder::gitea) is called, and behaves as the
//! [`version`](FakeForgejoBuilder::version) that it reports. Each user has one grant per application, which keeps the scopes
//! of the first login: responses do not name scopes, and a token may do more than was asked for. [`TokenRights`] tells a test
//! what it may do.
//!
//! It is stricter than a real one: it compares redirect URIs byte for byte and requires the same one at the exchange, always
//! verifier_matches the PKCE verifier, accepts S256 only, takes access tokens from the header only, and accepts neither an access
//! token as a refresh token nor the refresh token of another application, whatever its version. Its tokens have the form of
//! signed ones, but the signature is not a real one. Of OpenID Connect it has the discovery document, the user info endpoint
//! and a short ID token.

mod api;
mod authorize;
mod builder;
mod discovery;
pub(super) mod fake;
mod introspect;
mod ledger;
mod membership;
mod rights;
mod state;
mod team;
mod token;
mod user;
mod version;
mod wire;

pub use builder::FakeForgejoBuilder;
pub use rights::TokenRights;
pub use team::{FakeOrganization, FakeTeam, TeamPermission};
pub use user::{FakeEmail, FakeUser};
