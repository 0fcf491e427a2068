//! The authorization code and refresh grants (RFC 6749 sections 4.1.3 and 6), with PKCE (RFC 7636).

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::HeaderName;
use http::{HeaderValue, Uri};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::error::{Error, ResponseSummary};
use crate::provider::grant::{AuthorizationUrl, VerifiedGrant};
use crate::transport::{ApiRequest, ApiResponse, MAX_TOKEN_BODY, Transport};
use crate::util::json::Members;
use crate::values::base_url::BaseUrl;
use crate::values::callback_url::CallbackUrl;
use crate::values::scope::Scopes;
use crate::values::secret::Secret;
use crate::values::token::{AccessToken, ClientCredentials, RefreshToken, TokenBinding, TokenNote, TokenSet};

/// A platform's token endpoint: what a provider needs to exchange codes and to refresh tokens.
///
/// One request for each call, in one fixed way of client authentication: a code or refresh token works once, and a second
/// attempt would hide the first one's error.
///
/// ```
/// use codehost_oauth::error::{Error, TokenError};
/// use codehost_oauth::provider::{TokenEndpoint, TokenRefusal};
/// use codehost_oauth::{transport::Network, BaseUrl};
///
/// fn refused(_: &BaseUrl, refusal: &TokenRefusal<'_>) -> Error {
///     let cause = match refusal.error {
///         "invalid_client" => TokenError::ClientRejected { setup_link: None },
///         "invalid_grant" => TokenError::CodeRejected,
///         _ => TokenError::Refused,
///     };
///     Error::Token { cause, response: refusal.summary() }
/// }
///
/// let base_url = BaseUrl::parse("https://code.example.com", &Network::public_only())?;
/// let uri = base_url.endpoint(&["oauth", "token"]);
/// let endpoint = TokenEndpoint::new(&base_url, &uri, refused).basic();
/// assert!(format!("{endpoint:?}").contains("https://code.example.com/oauth/token"));
/// # Ok::<(), codehost_oauth::error::BaseUrlError>(())
/// ```
#[must_use]
pub struct TokenEndpoint<'a> {
    base_url: &'a BaseUrl,
    uri: &'a Uri,
    refused: Refused,
    is_basic: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
    refresh_callback: Option<&'a CallbackUrl>,
}

impl<'a> TokenEndpoint<'a> {
    /// The endpoint at `uri`, for the secrets of `base_url`. Client id and secret go into the form (RFC 6749 section 2.3.1).
    ///
    /// `refused` reads the platform's refusals: responses with an error status, and those with status 200 and a member
    /// `error`, as GitHub sends them.
    pub fn new(base_url: &'a BaseUrl, uri: &'a Uri, refused: Refused) -> Self {
        Self { base_url, uri, refused, is_basic: false, headers: Vec::new(), refresh_callback: None }
    }

    /// Sends client id and secret by HTTP Basic instead.
    pub fn basic(self) -> Self {
        Self { is_basic: true, ..self }
    }

    /// Sends another header with each request, in place of the usual one with this name.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sends `redirect_uri` at a refresh too. RFC 6749 section 6 does not have it; Bitbucket Data Center wants it.
    pub fn redirect_uri_at_refresh(self, callback_url: &'a CallbackUrl) -> Self {
        Self { refresh_callback: Some(callback_url), ..self }
    }

    /// Exchanges a code for tokens.
    ///
    /// # Errors
    ///
    /// The error that `refused` returns for a refusal; [`Error::Transport`] and [`Error::Response`] as for every call.
    pub async fn exchange(
        self,
        http: &dyn Transport,
        client: &ClientCredentials,
        grant: VerifiedGrant,
    ) -> Result<TokenSet, Error> {
        let binding = grant.binding_for(self.base_url)?.clone();
        let callback_url = grant.callback_url.as_str();
        let request = self.exchange_request(client, grant.code.expose(), grant.verifier.expose(), callback_url)?;
        let response = request.send(http).await?;
        let reader = self.reader(Grant::AuthorizationCode);
        let tokens = reader.read(&response, Some(callback_url), |members| tokens(members, &binding))?;
        // The API is called with a Bearer token (RFC 6750), so the user could not be looked up with another type.
        if tokens.notes.contains(&TokenNote::NotBearer) { Err(response.malformed("token_type")) } else { Ok(tokens) }
    }

    /// Renews tokens. If the response has no refresh token, because the platform does not rotate them, the old one is kept.
    ///
    /// The old tokens may not work any more, so every response with an access token is accepted. [`TokenSet::notes`] says what
    /// is wrong with the rest of it.
    ///
    /// # Errors
    ///
    /// As [`exchange`](Self::exchange).
    pub async fn refresh(
        self,
        http: &dyn Transport,
        client: &ClientCredentials,
        token: &RefreshToken,
    ) -> Result<TokenSet, Error> {
        let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", token.expose_for(self.base_url)?)];
        fields.extend(self.refresh_callback.map(|callback_url| ("redirect_uri", callback_url.as_str())));
        let request = self.request(client, &fields)?;
        let response = request.send(http).await?;
        let reader = self.reader(Grant::RefreshToken);
        let mut tokens = reader.read(&response, None, |members| tokens(members, token.binding()))?;
        if tokens.refresh_token.is_none() {
            tokens.refresh_token = Some(token.duplicate());
        }
        Ok(tokens)
    }

    /// Asks whether client id and secret are accepted, by a made-up code: the error says what the platform refuses. Tokens, if
    /// there are any in the response, are dropped unread. [`credential_findings`](crate::check::credential_findings) turns the
    /// result into findings.
    ///
    /// # Errors
    ///
    /// As [`exchange`](Self::exchange). An error is the usual case: no code host should give tokens for a made-up code.
    pub async fn probe(
        self,
        http: &dyn Transport,
        client: &ClientCredentials,
        callback_url: &CallbackUrl,
    ) -> Result<(), Error> {
        let [code, verifier] = Secret::random()?;
        let callback_url = callback_url.as_str();
        let request = self.exchange_request(client, code.expose(), verifier.expose(), callback_url)?;
        let response = request.send(http).await?;
        self.reader(Grant::AuthorizationCode).read(&response, Some(callback_url), |_| Ok(()))
    }

    fn exchange_request(
        &self,
        client: &ClientCredentials,
        code: &str,
        verifier: &str,
        callback_url: &str,
    ) -> Result<ApiRequest, Error> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", callback_url),
        ];
        self.request(client, &fields)
    }

    fn request(&self, client: &ClientCredentials, fields: &[(&str, &str)]) -> Result<ApiRequest, Error> {
        let request = ApiRequest::post(self.uri).max_body(MAX_TOKEN_BODY);
        let request = if self.is_basic {
            request.form(fields).basic(client, self.base_url)?
        } else {
            let credentials = [("client_id", client.client_id()), ("client_secret", client.expose_for(self.base_url)?)];
            request.form(&[fields, &credentials].concat())
        };
        let headers = self.headers.iter().cloned();
        Ok(headers.fold(request, |request, (name, value)| request.header(name, value)))
    }

    fn reader(&self, grant: Grant) -> ResponseReader<'_> {
        ResponseReader { base_url: self.base_url, refused: self.refused, grant }
    }
}

impl fmt::Debug for TokenEndpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenEndpoint")
            .field("uri", &self.uri)
            .field("is_basic", &self.is_basic)
            .finish_non_exhaustive()
    }
}

type Refused = fn(&BaseUrl, &TokenRefusal<'_>) -> Error;

/// The grant that was refused: the same error code can have another meaning for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Grant {
    /// The exchange of an authorization code.
    AuthorizationCode,
    /// The renewal of tokens.
    RefreshToken,
}

/// A refusal of the token endpoint (RFC 6749 section 5.2), for a provider to read.
#[non_exhaustive]
pub struct TokenRefusal<'a> {
    /// The grant that was refused.
    pub grant: Grant,
    /// `error`, empty if there was none.
    pub error: &'a str,
    /// `error_description`, empty if there was none. Texts change from version to version.
    pub description: &'a str,
    /// The callback URL that was sent, if a code was exchanged.
    pub callback_url: Option<&'a str>,
    /// The whole response.
    pub response: &'a ApiResponse,
}

impl TokenRefusal<'_> {
    /// The response with `error` and `error_description`, to put into an error.
    pub fn summary(&self) -> Box<ResponseSummary> {
        Box::new(self.response.summary().with_error(non_empty(self.error), non_empty(self.description)))
    }
}

/// Only the grant and the status: the rest is text from the code host.
impl fmt::Debug for TokenRefusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRefusal")
            .field("grant", &self.grant)
            .field("response", &self.response)
            .finish_non_exhaustive()
    }
}

/// Reads a response of the token endpoint.
struct ResponseReader<'a> {
    base_url: &'a BaseUrl,
    refused: Refused,
    grant: Grant,
}

impl ResponseReader<'_> {
    /// Returns what `take` reads from a successful response. The error of `take` is the name of the wrong member.
    fn read<T>(
        self,
        response: &ApiResponse,
        callback_url: Option<&str>,
        take: impl FnOnce(&Members<'_>) -> Result<T, &'static str>,
    ) -> Result<T, Error> {
        let is_success = response.status().is_success();
        let members = match Members::parse(response.text()) {
            Some(members) => members,
            None if is_success => return Err(response.malformed("body")),
            None => Members::default(),
        };
        if is_success && !members.is_set("error") {
            return take(&members).map_err(|member| response.malformed(member));
        }
        let text = |name| members.text(name).unwrap_or_default();
        let (error, description) = (text("error"), text("error_description"));
        if is_success && error.is_empty() {
            return Err(response.malformed("error"));
        }
        let refusal =
            TokenRefusal { grant: self.grant, error: &error, description: &description, callback_url, response };
        Err((self.refused)(self.base_url, &refusal))
    }
}

/// Appends what is new at each login: the state, the PKCE challenge with S256 (RFC 7636 section 4.3), and a nonce if the provider
/// reads an ID token.
pub(crate) fn authorization_url(mut url: Url, state: &Secret, verifier: &Secret, with_nonce: bool) -> AuthorizationUrl {
    url.query_pairs_mut()
        .append_pair("state", state.expose())
        .append_pair("code_challenge", &challenge(verifier))
        .append_pair("code_challenge_method", "S256");
    if with_nonce {
        url.query_pairs_mut().append_pair("nonce", &nonce(verifier));
    }
    AuthorizationUrl(url.into())
}

/// The nonce of a login (OpenID Connect Core section 3.1.2.1): made from the verifier, so that nothing more has to be kept.
pub(crate) fn nonce(verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::new().chain_update("nonce:").chain_update(verifier.expose()).finalize())
}

/// The S256 challenge of a verifier (RFC 7636 section 4.2).
pub(crate) fn challenge(verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose()))
}

/// The tokens of a response (RFC 6749 section 5.1), or the member that is wrong. Only the access token must be
/// valid: other members that cannot be read are left out.
fn tokens(members: &Members<'_>, binding: &TokenBinding) -> Result<TokenSet, &'static str> {
    let access_token = members.text("access_token").and_then(|text| AccessToken::new(text, binding));
    let mut tokens = TokenSet::new(access_token.ok_or("access_token")?);
    tokens.refresh_token = members.text("refresh_token").and_then(|text| RefreshToken::new(text, binding));
    tokens.expires_in = lifetime(members, "expires_in");
    tokens.refresh_expires_in = lifetime(members, "refresh_token_expires_in");
    tokens.id_token = members.text("id_token").map(String::into_boxed_str);
    let are_scopes_complete;
    (tokens.scopes, are_scopes_complete) = scopes(members);
    for (applies, note) in [
        (!members.text("token_type").is_none_or(|kind| is_bearer(&kind)), TokenNote::NotBearer),
        (members.is_set("refresh_token") && tokens.refresh_token.is_none(), TokenNote::RefreshToken),
        (!are_scopes_complete, TokenNote::Scopes),
        (members.is_set("expires_in") && tokens.expires_in.is_none(), TokenNote::Lifetime),
    ] {
        if applies {
            tokens.notes.push(note);
        }
    }
    Ok(tokens)
}

/// Whether a token type is `Bearer`. Some servers leave it empty.
pub(crate) fn is_bearer(kind: &str) -> bool {
    kind.trim().is_empty() || kind.trim().eq_ignore_ascii_case("bearer")
}

/// The granted scopes, and whether all of them could be read. GitLab sends `scope`, Bitbucket `scopes` or `scope`. Some servers
/// send a list instead of a text.
fn scopes(members: &Members<'_>) -> (Option<Scopes>, bool) {
    let mut is_complete = true;
    for name in ["scope", "scopes"] {
        let text = members
            .text(name)
            .or_else(|| members.texts(name).filter(|names| !names.is_empty()).map(|names| names.join(" ")));
        if let Some(text) = text {
            let (scopes, all) = Scopes::readable(&text);
            // An empty text means that no scopes were granted. A text in which no scope could be read does not.
            if all || !scopes.is_empty() {
                return (Some(scopes), is_complete && all);
            }
        }
        is_complete &= !members.is_set(name);
    }
    (None, is_complete)
}

/// The lifetime of a token: a number of seconds, which may be a text, and at most ten years. With any other value it is
/// unknown, and an access token is used until the API refuses it.
fn lifetime(members: &Members<'_>, name: &'static str) -> Option<Duration> {
    let digits = |text: &String| text.starts_with(|first: char| first.is_ascii_digit());
    let as_text = || members.text(name).map(|text| text.trim().to_owned()).filter(digits)?.parse().ok();
    let seconds: f64 = members.read(name).or_else(as_text)?;
    // A cast from a float saturates.
    (seconds.is_finite() && seconds >= 1.0).then(|| Duration::from_secs(seconds as u64).min(MAX_LIFETIME))
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Ten years. No platform needs more, and the sum with the current time cannot overflow.
const MAX_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

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
            assert_eq!(challenge(&Secret::unchecked(verifier.to_owned())), expected);
        }
    }
}
