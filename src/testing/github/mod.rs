//! GitHub: github.com, an Enterprise Server, or Enterprise Cloud with data residency (`SUB.ghe.com`). It has the OAuth
//! endpoints, and the API calls of a login, of a membership check and of a revocation.
//!
//! Where versions differ and nothing is chosen, it does what github.com does at the end of 2026. It is stricter than a real
//! one: it verifier_matches PKCE on every kind of server, compares redirect URIs byte for byte, takes credentials from the body or
//! HTTP Basic but never from the URL, takes tokens from `Authorization: Bearer` only, and uses up a code even if the exchange
//! fails. Device flow, manifests, installation tokens and the discovery documents are missing.

mod api;
mod applications;
mod authorize;
mod builder;
mod caller;
mod email;
pub(super) mod fake;
mod grants;
mod limits;
mod membership;
mod membership_calls;
mod membership_json;
mod options;
mod organization;
mod presets;
mod route;
mod scopes;
mod state;
mod token;
mod token_format;
mod user;
mod wire;

pub use builder::FakeGitHubBuilder;
pub use email::FakeEmail;
pub use membership::{FakeMembership, FakeTeamMembership};
pub use options::{ServerKind, TokenFormat};
pub use organization::{FakeOrganization, FakeTeam};
pub use user::FakeUser;
