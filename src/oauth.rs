//! The authorization code and refresh grants (RFC 6749 sections 4.1.3 and 6), with PKCE (RFC 7636).

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderValue;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use sha2::{Digest as _, Sha256};
use url::Url;
use zeroize::Zeroizing;

use crate::base_url::BaseUrl;
use crate::error::{Answer, Error, TransportError};
use crate::grant::{AuthorizationUrl, VerifiedGrant};
use crate::host::CallbackUrl;
use crate::percent::{Plain, push_encoded};
use crate::scope::Scopes;
use crate::secret::Secret;
use crate::token::{AccessToken, ClientCredentials, Origin, RefreshToken, TokenNote, TokenSet};
use crate::transport::{MAX_TOKEN_BODY, Reply, Transport};
use crate::wire::Members;

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
    pub url: &'a Url,
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

impl<'e> TokenEndpoint<'e> {
    // Not `async`, so that what a request is made of is made before the future, which then has only what it is needed for.

    /// Exchanges a code for tokens.
    ///
    /// # Errors
    ///
    /// What `refused` makes of a refusal; [`Error::Transport`] and [`Error::Answer`] as for every call.
    pub fn exchange<'a>(
        self,
        http: &'a dyn Transport,
        client: &ClientCredentials,
        grant: VerifiedGrant,
    ) -> impl Future<Output = Result<TokenSet, Error>> + Send + use<'a, 'e>
    where
        'e: 'a,
    {
        let request = match grant.origin_for(self.base_url) {
            Ok(_) => {
                let (code, verifier) = (grant.code.expose(), grant.verifier.expose());
                self.exchange_request(client, code, verifier, grant.callback_url.as_str())
            }
            Err(error) => Err(error.into()),
        };
        let (origin, callback_url) = (grant.origin, grant.callback_url);
        let reading = Reading { base_url: self.base_url, refused: self.refused, grant: Grant::AuthorizationCode };
        let reply = Reply::fetch_from(http, self.url, request, MAX_TOKEN_BODY);
        async move {
            let reply = reply.await?;
            let tokens = reading.read(&reply, Some(callback_url.as_str()), |members| tokens(members, &origin))?;
            // Whoever wants another scheme than Bearer (RFC 6750) cannot be asked about the user.
            if tokens.notes.contains(&TokenNote::NotBearer) { Err(reply.malformed("token_type")) } else { Ok(tokens) }
        }
    }

    /// Renews tokens. A platform that does not rotate its refresh tokens leaves the old one in place.
    ///
    /// The old tokens are spent by now, so a response with an access token is good, whatever else is odd about it:
    /// [`TokenSet::notes`] tells.
    ///
    /// # Errors
    ///
    /// As [`exchange`](Self::exchange).
    pub fn refresh<'a>(
        self,
        http: &'a dyn Transport,
        client: &ClientCredentials,
        token: &'a RefreshToken,
    ) -> impl Future<Output = Result<TokenSet, Error>> + Send + use<'a, 'e>
    where
        'e: 'a,
    {
        let request = token.expose_for(self.base_url).map_err(Error::from);
        let request = request
            .and_then(|token| self.request(client, &[("grant_type", "refresh_token"), ("refresh_token", token)]));
        let reading = Reading { base_url: self.base_url, refused: self.refused, grant: Grant::RefreshToken };
        let reply = Reply::fetch_from(http, self.url, request, MAX_TOKEN_BODY);
        async move {
            let mut tokens = reading.read(&reply.await?, None, |members| tokens(members, token.origin()))?;
            if tokens.refresh_token.is_none() {
                tokens.refresh_token = Some(token.duplicate());
            }
            Ok(tokens)
        }
    }

    /// Asks whether the client id and secret are accepted, with a code that was made up: the error tells. What is wrong
    /// with the code is no more than that, and tokens, if any came, are dropped unseen.
    pub(crate) async fn probe(
        self,
        http: &dyn Transport,
        client: &ClientCredentials,
        callback_url: &CallbackUrl,
    ) -> Result<(), Error> {
        let [code, verifier] = Secret::random()?;
        let callback_url = callback_url.as_str();
        let request = self.exchange_request(client, code.expose(), verifier.expose(), callback_url);
        let reading = Reading { base_url: self.base_url, refused: self.refused, grant: Grant::AuthorizationCode };
        let reply = Reply::fetch_from(http, self.url, request, MAX_TOKEN_BODY).await?;
        reading.read(&reply, Some(callback_url), |_| Ok(()))
    }

    fn exchange_request(
        &self,
        client: &ClientCredentials,
        code: &str,
        verifier: &str,
        callback_url: &str,
    ) -> Result<http::Request<Vec<u8>>, Error> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", callback_url),
        ];
        self.request(client, &fields)
    }

    fn request(&self, client: &ClientCredentials, fields: &[(&str, &str)]) -> Result<http::Request<Vec<u8>>, Error> {
        let mut form = Vec::with_capacity(FORM_CAPACITY);
        fields.iter().for_each(|(name, value)| push_field(&mut form, name, value));
        let authorization = match self.authentication {
            ClientAuthentication::Body => {
                push_field(&mut form, "client_id", client.client_id());
                push_field(&mut form, "client_secret", client.secret_for(self.base_url)?);
                None
            }
            ClientAuthentication::Basic => {
                let basic = client.basic_for(self.base_url, basic)?.expose();
                let mut header = HeaderValue::try_from(basic).map_err(|_| TransportError::Protocol)?;
                header.set_sensitive(true);
                Some(header)
            }
        };
        let mut request = http::Request::new(form);
        *request.method_mut() = http::Method::POST;
        let headers = request.headers_mut();
        headers.append(ACCEPT, HeaderValue::from_static("application/json"));
        headers.append(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        if let Some(authorization) = authorization {
            headers.append(AUTHORIZATION, authorization);
        }
        Ok(request)
    }
}

/// What it takes to read an answer of the token endpoint.
struct Reading<'a> {
    base_url: &'a BaseUrl,
    refused: fn(&BaseUrl, &TokenRefusal<'_>) -> Error,
    grant: Grant,
}

impl Reading<'_> {
    /// Takes what `take` finds in a good response. It names the member that is wrong.
    fn read<T>(
        self,
        reply: &Reply,
        callback_url: Option<&str>,
        take: impl FnOnce(&Members<'_>) -> Result<T, &'static str>,
    ) -> Result<T, Error> {
        let is_success = reply.status().is_success();
        let members = match Members::parse(reply.text()) {
            Some(members) => members,
            None if is_success => return Err(reply.malformed("body")),
            None => Members::default(),
        };
        if is_success && !members.says("error") {
            return take(&members).map_err(|member| reply.malformed(member));
        }
        let text = |name| members.text(name).unwrap_or_default();
        let (error, description) = (text("error"), text("error_description"));
        if is_success && error.is_empty() {
            return Err(reply.malformed("error"));
        }
        let refusal = TokenRefusal { grant: self.grant, error: &error, description: &description, callback_url, reply };
        Err((self.refused)(self.base_url, &refusal))
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

/// An integration's authorization URL with what is new at each login: state, and PKCE by S256 (RFC 7636 section 4.3). Both
/// are base64url, so there is nothing to encode.
pub(crate) fn authorization_url(beginning: &str, state: &Secret, verifier: &Secret) -> AuthorizationUrl {
    let mut url = String::with_capacity(beginning.len().saturating_add(STATE_AND_CHALLENGE));
    url.push_str(beginning);
    url.push_str(state.expose());
    url.push_str("&code_challenge=");
    push_challenge(&mut url, verifier);
    url.push_str("&code_challenge_method=S256");
    AuthorizationUrl(url)
}

/// The S256 challenge of a verifier (RFC 7636 section 4.2).
pub(crate) fn push_challenge(text: &mut String, verifier: &Secret) {
    URL_SAFE_NO_PAD.encode_string(Sha256::digest(verifier.expose()), text);
}

/// Bytes behind what every authorization URL begins with.
const STATE_AND_CHALLENGE: usize = 43 + 16 + 43 + 27;

/// Ten years: no platform means more, and every sum of it and a time of today exists.
const MAX_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Enough for the form of a usual login, so that it is written without moving.
const FORM_CAPACITY: usize = 512;

/// Appends one field, form-encoded.
fn push_field(form: &mut Vec<u8>, name: &str, value: &str) {
    if !form.is_empty() {
        form.push(b'&');
    }
    form.extend_from_slice(name.as_bytes());
    form.push(b'=');
    push_encoded(form, value, &FORM);
}

/// What stands in a form as it is (WHATWG URL, "application/x-www-form-urlencoded percent-encode set").
static FORM: Plain = Plain::new(b"*-._");

/// Both are form-encoded before they are joined (RFC 6749 section 2.3.1).
fn basic(id: &str, secret: &str) -> Secret {
    // Room for all of it, so that nothing moves and leaves a copy behind that is not wiped.
    let room = id.len().saturating_add(secret.len()).saturating_add(1).saturating_mul(3);
    let mut pair = Zeroizing::new(Vec::with_capacity(room));
    push_encoded(&mut pair, id, &FORM);
    pair.push(b':');
    push_encoded(&mut pair, secret, &FORM);
    let length = base64::encoded_len(pair.len(), true).unwrap_or_default();
    let mut text = String::with_capacity(BASIC.len().saturating_add(length));
    text.push_str(BASIC);
    STANDARD.encode_string(&*pair, &mut text);
    Secret::untrusted(text)
}

const BASIC: &str = "Basic ";

/// The tokens of a response (RFC 6749 section 5.1), or the member that is wrong. Only the access token must be right:
/// what cannot be read of the rest is left out.
fn tokens(members: &Members<'_>, origin: &Origin) -> Result<TokenSet, &'static str> {
    let access_token = members.text("access_token").and_then(|text| AccessToken::new(text, origin));
    let mut tokens = TokenSet::new(access_token.ok_or("access_token")?);
    tokens.refresh_token = members.text("refresh_token").and_then(|text| RefreshToken::new(text, origin));
    tokens.expires_in = lifetime(members);
    let is_whole;
    (tokens.scopes, is_whole) = scopes(members);
    let is_bearer = |kind: String| kind.trim().is_empty() || kind.trim().eq_ignore_ascii_case("bearer");
    for (is_odd, note) in [
        (!members.text("token_type").is_none_or(is_bearer), TokenNote::NotBearer),
        (members.says("refresh_token") && tokens.refresh_token.is_none(), TokenNote::RefreshToken),
        (!is_whole, TokenNote::Scopes),
        (members.says("expires_in") && tokens.expires_in.is_none(), TokenNote::Lifetime),
    ] {
        if is_odd {
            tokens.notes.push(note);
        }
    }
    Ok(tokens)
}

/// The scopes that were granted, and whether all that the response says of them could be read. GitLab says `scope`,
/// Bitbucket `scopes` or `scope`; a list is what some servers send.
fn scopes(members: &Members<'_>) -> (Option<Scopes>, bool) {
    let mut is_whole = true;
    for name in ["scope", "scopes"] {
        let text = members
            .text(name)
            .or_else(|| members.texts(name).filter(|names| !names.is_empty()).map(|names| names.join(" ")));
        if let Some(text) = text {
            let (scopes, all) = Scopes::readable(&text);
            // Nothing at all is a statement, but not where there was something that could not be read.
            if all || !scopes.is_empty() {
                return (Some(scopes), is_whole && all);
            }
        }
        is_whole &= !members.says(name);
    }
    (None, is_whole)
}

/// How long the access token lives: a number of seconds, also as a text, up to ten years. What is no time tells nothing,
/// and then the token is used until the API refuses it.
fn lifetime(members: &Members<'_>) -> Option<Duration> {
    let digits = |text: &String| text.starts_with(|first: char| first.is_ascii_digit());
    let as_text = || members.text("expires_in").map(|text| text.trim().to_owned()).filter(digits)?.parse().ok();
    let seconds: f64 = members.read("expires_in").or_else(as_text)?;
    // A cast from a float saturates.
    (seconds.is_finite() && seconds >= 1.0).then(|| Duration::from_secs(seconds as u64).min(MAX_LIFETIME))
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
            let mut challenge = String::new();
            push_challenge(&mut challenge, &Secret::untrusted(verifier.to_owned()));
            assert_eq!(challenge, expected);
        }
    }
}
