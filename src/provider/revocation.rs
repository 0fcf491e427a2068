use http::Uri;
use url::Url;

use crate::error::{Error, ResponseError};
use crate::transport::{ApiRequest, ApiResponse, MAX_TOKEN_BODY, Transport};
use crate::values::base_url::BaseUrl;
use crate::values::token::{ClientCredentials, TokenSet};

/// The result of a request to revoke tokens (RFC 7009).
///
/// ```
/// # async fn example(integration: codehost_oauth::Integration, tokens: codehost_oauth::TokenSet)
/// # -> Result<(), codehost_oauth::error::Error> {
/// use codehost_oauth::Revocation;
///
/// match integration.revoke(&tokens).await? {
///     Revocation::NotSupported { where_to: Some(page), how, .. } => println!("{how} {page}"),
///     Revocation::NotSupported { how, .. } => println!("{how}"),
///     outcome => assert_eq!(outcome, Revocation::Revoked),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the tokens may still be valid"]
#[non_exhaustive]
pub enum Revocation {
    /// The code host accepted the request: the tokens are invalid now, or it did not know them.
    Revoked,
    /// An app cannot revoke tokens on this platform. Nothing was sent; the tokens stay valid until they expire or the user
    /// revokes them.
    NotSupported {
        /// The page on which the user can revoke them.
        where_to: Option<Url>,
        /// What the user must do there, in one sentence.
        how: &'static str,
    },
}

impl Revocation {
    /// For a platform of which nothing is known.
    pub(crate) fn not_supported() -> Self {
        Self::NotSupported { where_to: None, how: "Revoke the access in your settings at the code host." }
    }
}

/// Revokes the refresh token, or the access token if there is no refresh token: one request, with the client secret in the
/// form. The server revokes the other token too (RFC 7009 section 2.1). `None` if they are revoked, else the refusal.
///
/// A server may not know an expired access token, and then also responds with 200 (RFC 7009 section 2.2). So the refresh token is
/// sent. The hint is always sent: a server may search only tokens of that kind.
pub(crate) async fn revoke(
    http: &dyn Transport,
    client: &ClientCredentials,
    tokens: &TokenSet,
    base_url: &BaseUrl,
    uri: &Uri,
) -> Result<Option<ApiResponse>, Error> {
    let (token, hint) = match &tokens.refresh_token {
        Some(token) => (token.expose_for(base_url)?, "refresh_token"),
        None => (tokens.access_token.expose_for(base_url)?, "access_token"),
    };
    let secret = client.expose_for(base_url)?;
    let pairs =
        [("token", token), ("token_type_hint", hint), ("client_id", client.client_id()), ("client_secret", secret)];
    match ApiRequest::post(uri).form(&pairs).max_body(MAX_TOKEN_BODY).send(http).await {
        Ok(response) if response.status().is_success() => Ok(None),
        Ok(refusal) => Ok(Some(refusal)),
        // RFC 7009 requires only the status.
        Err(Error::Response { cause: ResponseError::NotJson, response }) if response.status().is_success() => Ok(None),
        Err(error) => Err(error),
    }
}
