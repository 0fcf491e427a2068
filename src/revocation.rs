use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use crate::base_url::BaseUrl;
use crate::error::{AnswerError, Error, TransportError};
use crate::token::{ClientCredentials, TokenSet};
use crate::transport::{MAX_TOKEN_BODY, Reply, Transport};

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
    /// The platform has no way for a host to do it. Nothing was sent; the tokens live on until they expire or the person
    /// ends them.
    NotSupported {
        /// The page at which the person does it.
        where_to: Option<Url>,
        /// What they do there, in a sentence.
        how: &'static str,
    },
}

/// Revokes the refresh token, or the access token if there is no other: one request, with the client's secret in the
/// form, and the person's grant ends with either.
///
/// The refresh token comes first since an expired access token can be a handle to nothing, and a server says 200 to that
/// too (RFC 7009 section 2.2). The hint is sent in either case: a server may look among that kind only.
pub(crate) async fn revoke(
    http: &dyn Transport,
    client: &ClientCredentials,
    tokens: &TokenSet,
    base_url: &BaseUrl,
    endpoint: Url,
) -> Result<Option<Reply>, Error> {
    let (token, hint) = match &tokens.refresh_token {
        Some(token) => (token.expose_for(base_url)?, "refresh_token"),
        None => (tokens.access_token.expose_for(base_url)?, "access_token"),
    };
    let secret = client.secret_for(base_url)?;
    let pairs =
        [("token", token), ("token_type_hint", hint), ("client_id", client.client_id()), ("client_secret", secret)];
    let form = Zeroizing::new(form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish());
    let request = http::Request::post(String::from(endpoint))
        .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(http::header::ACCEPT, "application/json")
        .body(form.as_bytes().to_vec())
        .map_err(|_| TransportError::Protocol)?;
    match Reply::fetch(http, request, MAX_TOKEN_BODY).await {
        Ok(reply) if reply.status().is_success() => Ok(None),
        Ok(refusal) => Ok(Some(refusal)),
        // The standard asks for nothing but the status: an empty body has no media type.
        Err(Error::Answer { cause: AnswerError::NotJson | AnswerError::Status, answer })
            if answer.status().is_success() =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
