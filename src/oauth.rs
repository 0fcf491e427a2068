//! The authorization code and refresh grants (RFC 6749 sections 4.1.3 and 6). The only file that names the oauth2 crate.
//!
//! `oauth2` builds the requests and decodes good answers. Everything around it is ours: the transport, which answers it
//! gets to see, and the errors, since its own error keeps the raw answer with the tokens in it.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AsyncHttpClient, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier,
    RequestTokenError, StandardRevocableToken,
};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroize as _;

use crate::base_url::BaseUrl;
use crate::error::{Answer, AnswerError, ConfigError, Error, TransportError};
use crate::grant::VerifiedGrant;
use crate::secret::Secret;
use crate::token::{AccessToken, ClientCredentials, Origin, RefreshToken, TokenSet};
use crate::transport::{MAX_TOKEN_BODY, Reply, Transport};

/// A platform's token endpoint: what a provider needs to exchange codes and to refresh tokens.
///
/// One request for each call, in one fixed style of client authentication: a code or refresh token works once, and a
/// second attempt would hide the first one's error.
#[allow(
    clippy::exhaustive_structs,
    reason = "a provider outside this crate fills it in, and a new member must be noticed"
)]
pub struct TokenEndpoint<'a> {
    /// Where the secrets belong.
    pub base_url: &'a BaseUrl,
    /// The endpoint.
    pub url: Url,
    /// How the client says who it is.
    pub authentication: ClientAuthentication,
    /// Reads the platform's refusals.
    pub refused: fn(&BaseUrl, &TokenRefusal<'_>) -> Error,
}

/// Where the client id and secret stand in a token request (RFC 6749 section 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientAuthentication {
    /// In the form.
    Body,
    /// In the `Authorization` header, both form-encoded first.
    Basic,
}

/// Which grant was refused: the same code can mean different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Grant {
    /// A code was to be exchanged.
    AuthorizationCode,
    /// Tokens were to be renewed.
    RefreshToken,
}

/// A refusal of the token endpoint (RFC 6749 section 5.2), for a provider to read.
#[derive(Debug)]
#[non_exhaustive]
pub struct TokenRefusal<'a> {
    /// Which grant was refused.
    pub grant: Grant,
    /// `error`, empty if there was none.
    pub error: &'a str,
    /// `error_description`, empty if there was none. Texts change from version to version.
    pub description: &'a str,
    /// The callback URL that was sent, if a code was exchanged.
    pub callback_url: Option<&'a str>,
    /// The whole answer.
    pub reply: &'a Reply,
}

impl TokenRefusal<'_> {
    /// The answer with what it said, to put into an error.
    pub fn answer(&self) -> Box<Answer> {
        let said = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
        Box::new(self.reply.answer().saying(said(self.error).as_deref(), said(self.description).as_deref()))
    }
}

impl TokenEndpoint<'_> {
    /// Exchanges a code for tokens.
    ///
    /// # Errors
    ///
    /// What `refused` makes of a refusal; [`Error::Transport`] and [`Error::Answer`] as for every call.
    pub async fn exchange(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        grant: VerifiedGrant,
    ) -> Result<TokenSet, Error> {
        let origin = grant.origin_for(self.base_url)?.clone();
        let oauth = self.client(client)?;
        let redirect = oauth2::RedirectUrl::new(grant.callback_url.as_str().to_owned());
        let redirect = redirect.map_err(|_| ConfigError::Missing { what: "callback URL" })?;
        let callback_url = grant.callback_url.as_str();
        let adapter = self.adapter(http, Grant::AuthorizationCode, Some(callback_url));
        let answer = oauth
            .exchange_code(oauth2::AuthorizationCode::new(grant.code.expose().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(grant.verifier.expose().to_owned()))
            .set_redirect_uri(Cow::Owned(redirect))
            .request_async(&adapter)
            .await;
        adapter.finish(answer, &origin)
    }

    /// Renews tokens. A platform that does not rotate its refresh tokens leaves the old one in place.
    ///
    /// # Errors
    ///
    /// As [`exchange`](Self::exchange).
    pub async fn refresh(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        token: &RefreshToken,
    ) -> Result<TokenSet, Error> {
        let secret = oauth2::RefreshToken::new(token.expose_for(self.base_url)?.to_owned());
        let oauth = self.client(client)?;
        let adapter = self.adapter(http, Grant::RefreshToken, None);
        let answer = oauth.exchange_refresh_token(&secret).request_async(&adapter).await;
        let mut tokens = adapter.finish(answer, token.origin())?;
        if tokens.refresh_token.is_none() {
            tokens.refresh_token = Some(token.duplicate());
        }
        Ok(tokens)
    }

    fn client(&self, client: &ClientCredentials) -> Result<OauthClient, ConfigError> {
        let secret = client.secret_for(self.base_url)?;
        Ok(oauth2::Client::new(oauth2::ClientId::new(client.client_id().to_owned()))
            .set_client_secret(oauth2::ClientSecret::new(secret.to_owned()))
            .set_auth_type(match self.authentication {
                ClientAuthentication::Body => oauth2::AuthType::RequestBody,
                ClientAuthentication::Basic => oauth2::AuthType::BasicAuth,
            })
            .set_token_uri(oauth2::TokenUrl::from_url(self.url.clone())))
    }

    fn adapter<'a>(&'a self, http: &'a dyn Transport, grant: Grant, callback_url: Option<&'a str>) -> Adapter<'a> {
        Adapter { endpoint: self, http, grant, callback_url, answer: OnceLock::new() }
    }
}

impl fmt::Debug for TokenEndpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenEndpoint")
            .field("url", &self.url.as_str())
            .field("authentication", &self.authentication)
            .finish_non_exhaustive()
    }
}

/// The S256 challenge of a verifier (RFC 7636 section 4.2).
pub(crate) fn challenge(verifier: &Secret) -> String {
    let verifier = PkceCodeVerifier::new(verifier.expose().to_owned());
    PkceCodeChallenge::from_code_verifier_sha256(&verifier).as_str().to_owned()
}

/// Ten years: no platform means more, and every sum of it and a time of today exists.
const MAX_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

type OauthClient = oauth2::Client<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// Lets `oauth2` see good answers only.
struct Adapter<'a> {
    endpoint: &'a TokenEndpoint<'a>,
    http: &'a dyn Transport,
    grant: Grant,
    callback_url: Option<&'a str>,
    answer: OnceLock<Answer>,
}

impl Adapter<'_> {
    async fn send(&self, mut request: HttpRequest) -> Result<HttpResponse, Error> {
        // A transport that logs headers leaves out what says so.
        if let Some(authorization) = request.headers_mut().get_mut(http::header::AUTHORIZATION) {
            authorization.set_sensitive(true);
        }
        let reply = Reply::fetch(self.http, request, MAX_TOKEN_BODY).await?;
        let success = reply.status() == http::StatusCode::OK;
        let error = if success { reply.json::<ErrorAnswer>()? } else { reply.refusal::<ErrorAnswer>() };
        if success && error.error.is_none() {
            let _ = self.answer.set(reply.answer());
            let (parts, body) = reply.into_parts();
            return Ok(HttpResponse::from_parts(parts, body));
        }
        let text = |value: &Option<serde_json::Value>| {
            value.as_ref().and_then(|value| value.as_str()).unwrap_or_default().to_owned()
        };
        let (code, description) = (text(&error.error), text(&error.error_description));
        if success && code.is_empty() {
            return Err(reply.malformed("error"));
        }
        let refusal = TokenRefusal {
            grant: self.grant,
            error: &code,
            description: &description,
            callback_url: self.callback_url,
            reply: &reply,
        };
        Err((self.endpoint.refused)(self.endpoint.base_url, &refusal))
    }

    fn finish(
        self,
        answer: Result<TokenAnswer, RequestTokenError<Error, BasicErrorResponse>>,
        origin: &Origin,
    ) -> Result<TokenSet, Error> {
        let malformed = |field| match self.answer.get() {
            Some(answer) => Error::Answer { cause: AnswerError::Malformed { field }, answer: Box::new(answer.clone()) },
            None => TransportError::Protocol.into(),
        };
        match answer {
            Ok(answer) => answer.into_tokens(origin).map_err(malformed),
            Err(RequestTokenError::Request(error)) => Err(error),
            Err(RequestTokenError::Parse(error, mut body)) => {
                body.zeroize();
                let path = error.path().to_string();
                Err(malformed(MEMBERS.into_iter().find(|member| *member == path).unwrap_or("body")))
            }
            Err(RequestTokenError::ServerResponse(_) | RequestTokenError::Other(_)) => Err(malformed("body")),
        }
    }
}

impl<'c> AsyncHttpClient<'c> for Adapter<'_> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Error>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

/// The members of a good answer, for errors to name.
const MEMBERS: [&str; 6] = ["access_token", "token_type", "expires_in", "refresh_token", "scope", "scopes"];

/// A good answer. GitLab says `scope`, Bitbucket says `scopes` or `scope`; every other member may be missing too.
#[derive(Debug, Deserialize, Serialize)]
struct TokenAnswer {
    access_token: oauth2::AccessToken,
    #[serde(default = "unknown_type")]
    token_type: BasicTokenType,
    expires_in: Option<serde_json::Number>,
    refresh_token: Option<oauth2::RefreshToken>,
    scope: Option<String>,
    scopes: Option<String>,
}

impl TokenAnswer {
    /// The tokens, or the member that is wrong.
    fn into_tokens(self, origin: &Origin) -> Result<TokenSet, &'static str> {
        if !self.token_type.as_ref().eq_ignore_ascii_case("bearer") {
            return Err("token_type");
        }
        let access_token = self.access_token.into_secret();
        let access_token = AccessToken::new(access_token, origin).ok_or("access_token")?;
        let refresh_token = match self.refresh_token {
            Some(token) => Some(RefreshToken::new(token.into_secret(), origin).ok_or("refresh_token")?),
            None => None,
        };
        let scopes = match self.scope.or(self.scopes) {
            Some(text) => Some(text.parse().map_err(|_| "scope")?),
            None => None,
        };
        Ok(TokenSet {
            access_token,
            refresh_token,
            scopes,
            expires_in: self.expires_in.as_ref().map(lifetime),
            received_at: SystemTime::now(),
        })
    }
}

impl oauth2::TokenResponse for TokenAnswer {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &oauth2::AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        self.expires_in.as_ref().map(lifetime)
    }

    fn refresh_token(&self) -> Option<&oauth2::RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<oauth2::Scope>> {
        None
    }
}

/// A refusal. `error_description` is an object in some versions of GitLab.
#[derive(Default, Deserialize)]
struct ErrorAnswer {
    error: Option<serde_json::Value>,
    error_description: Option<serde_json::Value>,
}

fn unknown_type() -> BasicTokenType {
    BasicTokenType::Extension(String::new())
}

/// Any JSON number as a time between nothing and ten years.
fn lifetime(number: &serde_json::Number) -> Duration {
    let seconds = match (number.as_u64(), number.as_f64()) {
        (Some(seconds), _) => seconds,
        // A cast from a float saturates, and makes 0 of what is no number.
        (None, Some(seconds)) => seconds as u64,
        (None, None) => 0,
    };
    Duration::from_secs(seconds).min(MAX_LIFETIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636 appendix B, and the example of GitLab's documentation.
    #[test]
    fn challenges_are_those_of_the_published_examples() {
        for (verifier, expected) in [
            ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ("ks02i3jdikdo2k0dkfodf3m39rjfjsdk0wk349rj3jrhf", "2i0WFA-0AerkjQm4X4oDEhqA17QIAKNjXpagHBXmO_U"),
        ] {
            assert_eq!(challenge(&Secret::untrusted(verifier.to_owned())), expected);
        }
    }
}
