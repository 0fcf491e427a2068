//! What all platforms do with a refusal of the token endpoint.

use crate::error::{Error, ResponseError};
use crate::provider::token_endpoint::TokenRefusal;

/// The meaning of a refusal that is not an OAuth error: an outage, a proxy, or a server without OAuth. `at_api` is what it would mean
/// at the API. It is not about the token, so users need not log in again because of it.
pub(super) fn no_oauth_error(refusal: &TokenRefusal<'_>, at_api: Error) -> Error {
    if at_api.is_unauthorized() { refusal.response.unusable(ResponseError::Status) } else { at_api }
}
