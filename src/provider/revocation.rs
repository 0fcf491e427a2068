use http::Uri;
use url::Url;

use crate::error::{Error, ResponseError};
use crate::transport::{ApiRequest, ApiResponse, MAX_TOKEN_BODY, Transport};
use crate::values::base_url::BaseUrl;
use crate::values::token::{ClientCredentials, TokenSet};

/// What became of tokens that were to be revoked (RFC 7009).
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
#[non_exhaustive]
pub enum Revocation {
    /// The code host has taken the request: the tokens are dead, unless they were unknown to it before.
    Revoked,
    /// The platform has no way for an app to do it. Nothing was sent; the tokens live on until they expire or the user
    /// ends them.
    NotSupported {
        /// The page at which the user does it.
        where_to: Option<Url>,
        /// What they do there, in a sentence.
        how: &'static str,
    },
}

/// Revokes the refresh token, or the access token if there is no other: one request, with the client's secret in the
/// form, and the user's grant ends with either.
///
/// The refresh token comes first since an expired access token can be a handle to nothing, and a server says 200 to that
/// too (RFC 7009 section 2.2). The hint is sent in either case: a server may look among that kind only.
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
    let secret = client.secret_for(base_url)?;
    let pairs =
        [("token", token), ("token_type_hint", hint), ("client_id", client.client_id()), ("client_secret", secret)];
    match ApiRequest::post(uri).form(&pairs).max_body(MAX_TOKEN_BODY).send(http).await {
        Ok(response) if response.status().is_success() => Ok(None),
        Ok(refusal) => Ok(Some(refusal)),
        // The standard asks for nothing but the status.
        Err(Error::Response { cause: ResponseError::NotJson, response }) if response.status().is_success() => Ok(None),
        Err(error) => Err(error),
    }
}
