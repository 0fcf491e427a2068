//! Bitbucket Cloud: the site's OAuth endpoints, and the API calls that a login makes.
//!
//! Bitbucket has two back ends, and each OAuth client uses one of them: see [`RefreshRotation`]. Some of Bitbucket's
//! responses are not publicly known (to a wrong code, a wrong verifier, a denial); there the fake's response is
//! invented in the form of the known ones. It is stricter than the real Bitbucket: it checks PKCE, and accepts the
//! client's credentials by HTTP Basic only.

mod api;
mod authorize;
pub(super) mod fake;
mod scopes;
mod state;
mod token;
mod user;
mod workspace;

pub use fake::FakeBitbucketBuilder;
pub use state::RefreshRotation;
pub use user::{FakeEmail, FakeUser};
pub use workspace::FakeWorkspace;
