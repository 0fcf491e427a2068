//! The parts of an [`OAuthProvider`](crate::OAuthProvider), for writing your own. The repository's
//! `examples/custom_provider/sourcehut.rs` is a complete provider, for SourceHut; `testing::conformance` checks yours.

pub(crate) mod check;
mod forward;
pub(crate) mod grant;
pub(crate) mod membership;
mod missing_scopes;
pub(crate) mod oauth_provider;
pub(crate) mod platform;
pub(crate) mod revocation;
pub(crate) mod setup;
pub(crate) mod token_endpoint;
mod wrapper;

pub(crate) use self::missing_scopes::missing_scopes;
#[cfg(feature = "seal")]
pub(crate) use self::missing_scopes::scopes_not_covered;
pub use self::platform::Service;
pub use self::token_endpoint::{Grant, TokenEndpoint, TokenRefusal};
pub use self::wrapper::ProviderWrapper;
pub use crate::transport::request::ApiRequest;
pub use crate::transport::response::ApiResponse;
pub use crate::util::text::display_text;
