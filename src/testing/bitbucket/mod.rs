//! Bitbucket Cloud: the site's OAuth endpoints, and the API calls that a login makes.
//!
//! Bitbucket has two back ends, and each OAuth client uses one of them: see [`RefreshRotation`]. Where Bitbucket's own
//! response is not publicly known (a wrong code, a wrong verifier, a denial), the fake's is invented in the form of the known
//! ones. It is stricter than a real one: it checks PKCE, and takes the client's credentials by HTTP Basic only.

mod api;
mod authorize;
pub(super) mod fake;
mod state;
mod token;
mod user;
mod workspace;

pub use fake::FakeBitbucketBuilder;
pub use state::RefreshRotation;
pub use user::{FakeEmail, FakeUser};
pub use workspace::FakeWorkspace;
