//! Bitbucket Data Center: its OAuth 2.0 provider, and the REST calls that a login and a membership test make.
//!
//! No endpoint names the user of a token: the headers `X-AUSERNAME` and `X-AUSERID` of every REST response do, and a bad
//! token gets the response of an anonymous visitor. What is not publicly known (errors of the token endpoint, the body of a
//! 429) is invented in the form of RFC 6749 or of the known errors. Where two behaviours are possible, the fake has a switch
//! and its default is the one that is harder for a client. It is stricter than a real one: it checks PKCE, takes
//! parameters of the token endpoint from the body only, and accepts tokens in the `Authorization` header only.

mod api;
mod authorize;
mod builder;
pub(super) mod fake;
mod page;
mod project;
mod project_api;
mod rate_limit;
mod scopes;
mod state;
mod token;
mod user;
mod users;
mod wire;

pub use builder::FakeBitbucketDataCenterBuilder;
pub use project::{FakeProject, FakeRepository, Level};
pub use state::{Licence, Maintenance};
pub use user::FakeUser;
