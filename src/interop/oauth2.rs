//! The crate `oauth2`: our HTTP client under it, and conversions from and into its types.

use std::sync::Mutex;
#[cfg(feature = "http-client")]
use std::{future::Future, pin::Pin};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use http::Uri;
use http::header::AUTHORIZATION;
use oauth2::basic::{BasicClient, BasicTokenResponse, BasicTokenType};
use oauth2::{
    AuthType, AuthUrl, ClientId, ClientSecret, EmptyExtraTokenFields, EndpointNotSet, EndpointSet, RedirectUrl,
    TokenResponse, TokenUrl,
};
use url::Url;

use crate::error::{ConfigError, TransportError};
use crate::integration::Integration;
use crate::provider::grant::AuthorizationRequest;
use crate::provider::token_endpoint::is_bearer;
#[cfg(feature = "http-client")]
use crate::transport::HttpClient;
use crate::transport::Transport;
use crate::values::base_url::BaseUrl;
use crate::values::scope::Scopes;
use crate::values::token::{AccessToken, RefreshToken, TokenBinding, TokenNote, TokenSet};

/// For `request_async(&http)` of the crates `oauth2` and `openidconnect`: with the network policy, the deadline and the other
/// checks of this client, and at most 512 KiB of a body. A redirect is a response like any other, and `oauth2` refuses it.
///
/// ```
/// use codehost_oauth::transport::{HttpClient, Network};
/// use oauth2::basic::BasicClient;
/// use oauth2::{ClientId, RequestTokenError, TokenUrl};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let http = HttpClient::builder(Network::public_only()).build()?;
/// let client = BasicClient::new(ClientId::new("my-id".to_owned()))
///     .set_token_uri(TokenUrl::new("https://169.254.169.254/token".to_owned())?);
/// let error = client.exchange_client_credentials().request_async(&http).await.unwrap_err();
/// assert!(matches!(error, RequestTokenError::Request(cause) if cause.code() == "address_not_allowed"));
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "http-client")]
#[cfg_attr(docsrs, doc(cfg(all(feature = "oauth2", feature = "http-client"))))]
impl<'c> oauth2::AsyncHttpClient<'c> for HttpClient {
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<oauth2::HttpResponse, TransportError>> + Send + 'c>>;

    fn call(&'c self, request: oauth2::HttpRequest) -> Self::Future {
        self.send(request, MAX_BODY)
    }
}

impl Integration {
    /// A client of the crate `oauth2` for this integration: client ID and secret, the way in which they are sent, both endpoints
    /// and the callback URL. The state and PKCE are up to the app, and the scopes are in [`oauth2_scopes`](Self::oauth2_scopes).
    /// Send its requests with [`HttpClient`](crate::transport::HttpClient), so that the secret goes through a checked connection.
    ///
    /// ```
    /// # use codehost_oauth::testing::ScriptedTransport;
    /// # use codehost_oauth::{transport::Network, Access, BaseUrl, Integration, IntegrationConfig, Platform};
    /// # let provider = Platform::find("gitlab")?.provider(BaseUrl::parse("https://git.example.com", &Network::public_only())?)?;
    /// # let integration = Integration::builder(provider, ScriptedTransport::new(), IntegrationConfig {
    /// #     id: "demo".parse()?,
    /// #     name: "Our GitLab".to_owned(),
    /// #     public_url: "https://packages.example.com".parse()?,
    /// #     client_id: "application-id".to_owned(),
    /// #     client_secret: "gloas-secret".to_owned(),
    /// #     access: Access::SignIn,
    /// # }).build()?;
    /// use oauth2::{CsrfToken, PkceCodeChallenge};
    ///
    /// let client = integration.oauth2_client()?;
    /// assert_eq!(client.token_uri().as_str(), "https://git.example.com/oauth/token");
    ///
    /// let (challenge, _verifier) = PkceCodeChallenge::new_random_sha256();
    /// let request = client.authorize_url(CsrfToken::new_random).add_scopes(integration.oauth2_scopes());
    /// let (url, _state) = request.set_pkce_challenge(challenge).url();
    /// assert!(url.as_str().starts_with("https://git.example.com/oauth/authorize?response_type=code&client_id=application-id&"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoTokenRequest`] if a provider outside this crate sends no request to refresh tokens, or another one first:
    /// then its token endpoint is not known.
    #[cfg_attr(docsrs, doc(cfg(feature = "oauth2")))]
    pub fn oauth2_client(
        &self,
    ) -> Result<BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>, ConfigError>
    {
        let TokenRequest { uri, is_basic } = TokenRequest::of(self)?;
        let token_uri = TokenUrl::new(uri.to_string()).map_err(|_| ConfigError::NoTokenRequest)?;
        // The same text, byte for byte.
        let callback_url = RedirectUrl::new(self.callback_url().as_str().to_owned());
        let client = BasicClient::new(ClientId::new(self.client().client_id().to_owned()))
            .set_client_secret(ClientSecret::new(self.client().expose_for(self.provider().base_url())?.to_owned()))
            .set_auth_type(if is_basic { AuthType::BasicAuth } else { AuthType::RequestBody })
            .set_auth_uri(AuthUrl::from_url(authorization_page(self)))
            .set_token_uri(token_uri)
            .set_redirect_uri(callback_url.map_err(|_| ConfigError::CallbackPath)?);
        Ok(client)
    }

    /// The scopes that a login asks for, for `add_scopes`.
    #[cfg_attr(docsrs, doc(cfg(feature = "oauth2")))]
    pub fn oauth2_scopes(&self) -> Vec<oauth2::Scope> {
        to_oauth2_scopes(self.scopes())
    }
}

impl TokenSet {
    /// The tokens of a response that the crate `oauth2` has read, bound to an integration: [`Integration::binding`]. They can be
    /// given to a `TokenKeeper`, and to [`OAuthProvider::user`](crate::OAuthProvider::user). `None` if the access token is not one
    /// that [`AccessToken::new`] accepts. [`TokenNote`]s are as for a response that this crate has read.
    ///
    /// ```
    /// use codehost_oauth::{transport::Network, BaseUrl, TokenBinding, TokenSet};
    /// use oauth2::basic::BasicTokenResponse;
    ///
    /// let base_url = BaseUrl::parse("https://git.example.com", &Network::public_only())?;
    /// let binding = TokenBinding::new("demo".parse()?, base_url.clone());
    /// let response: BasicTokenResponse =
    ///     serde_json::from_str(r#"{"access_token":"s3cr3t","token_type":"bearer","scope":"read_user"}"#)?;
    ///
    /// let tokens = TokenSet::from_oauth2(&response, &binding).ok_or("no valid access token")?;
    /// assert_eq!(tokens.access_token.expose_for(&base_url)?, "s3cr3t");
    /// assert_eq!(tokens.scopes, Some("read_user".parse()?));
    ///
    /// // And back, for the code host that they belong to only.
    /// assert_eq!(serde_json::to_value(tokens.to_oauth2(&base_url)?)?["access_token"], "s3cr3t");
    /// let other = BaseUrl::parse("https://evil.test", &Network::public_only())?;
    /// assert_eq!(tokens.to_oauth2(&other).unwrap_err().code(), "other_binding");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "oauth2")))]
    pub fn from_oauth2(response: &impl TokenResponse, binding: &TokenBinding) -> Option<Self> {
        let mut tokens = Self::new(AccessToken::new(response.access_token().secret().clone(), binding)?);
        let refresh_token = response.refresh_token();
        tokens.refresh_token = refresh_token.and_then(|token| RefreshToken::new(token.secret().clone(), binding));
        tokens.expires_in = response.expires_in().filter(|lifetime| lifetime.as_secs() > 0);
        let mut are_scopes_valid = true;
        tokens.scopes = response.scopes().map(|scopes| {
            // GitHub separates them by commas, so `oauth2` takes them for one.
            let text = scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ");
            let (scopes, all) = Scopes::readable(&text);
            are_scopes_valid = all;
            scopes
        });
        for (applies, note) in [
            (!is_bearer_type(response.token_type()), TokenNote::NotBearer),
            (refresh_token.is_some() && tokens.refresh_token.is_none(), TokenNote::RefreshToken),
            (!are_scopes_valid, TokenNote::Scopes),
            (response.expires_in().is_some() && tokens.expires_in.is_none(), TokenNote::Lifetime),
        ] {
            if applies {
                tokens.notes.push(note);
            }
        }
        Some(tokens)
    }

    /// These tokens as the crate `oauth2` has them, for code that expects its response. From then on they are no longer bound to
    /// their code host. See [`from_oauth2`](Self::from_oauth2) for an example.
    ///
    /// # Errors
    ///
    /// [`ConfigError::OtherBinding`] unless `url` is the base URL or the API URL that the tokens belong to.
    #[cfg_attr(docsrs, doc(cfg(feature = "oauth2")))]
    pub fn to_oauth2(&self, url: &BaseUrl) -> Result<BasicTokenResponse, ConfigError> {
        let access_token = oauth2::AccessToken::new(self.access_token.expose_for(url)?.to_owned());
        let refresh_token = match &self.refresh_token {
            Some(token) => Some(oauth2::RefreshToken::new(token.expose_for(url)?.to_owned())),
            None => None,
        };
        let mut response = BasicTokenResponse::new(access_token, BasicTokenType::Bearer, EmptyExtraTokenFields {});
        response.set_refresh_token(refresh_token);
        response.set_expires_in(self.expires_in.as_ref());
        response.set_scopes(self.scopes.as_ref().map(to_oauth2_scopes));
        Ok(response)
    }
}

/// The request of a provider that renews tokens. A provider does not say where its token endpoint is, and how it authenticates the
/// client: its request does.
#[derive(Debug)]
struct TokenRequest {
    uri: Uri,
    is_basic: bool,
}

impl TokenRequest {
    /// Takes the request from the provider before it is sent. Nothing is sent.
    fn of(integration: &Integration) -> Result<Self, ConfigError> {
        let recorder = Recorder::default();
        let token = RefreshToken::new("not-sent".to_owned(), integration.binding());
        let token = token.ok_or(ConfigError::NoTokenRequest)?;
        let (provider, client) = (integration.provider(), integration.client());
        // Ready at once, unless the provider waits for something else.
        drop((**provider).refresh(&recorder, client, &token, integration.callback_url()).now_or_never());
        let first = recorder.0.into_inner().ok().flatten();
        first.ok_or(ConfigError::NoTokenRequest)
    }
}

/// Records the first request, and sends none.
#[derive(Debug, Default)]
struct Recorder(Mutex<Option<TokenRequest>>);

#[async_trait]
impl Transport for Recorder {
    async fn send(&self, request: http::Request<Vec<u8>>, _: usize) -> Result<http::Response<Vec<u8>>, TransportError> {
        if let Ok(mut first) = self.0.lock() {
            let is_basic = request.headers().contains_key(AUTHORIZATION);
            first.get_or_insert(TokenRequest { uri: request.uri().clone(), is_basic });
        }
        Err(TransportError::Unreachable)
    }
}

/// The authorization URL with the platform's own parameters, but without those that `oauth2` adds.
fn authorization_page(integration: &Integration) -> Url {
    let mut url = integration.provider().authorization_url(&AuthorizationRequest {
        client_id: integration.client().client_id(),
        callback_url: integration.callback_url(),
        scopes: integration.scopes(),
        login_hint: None,
        select_account: false,
    });
    let added = ["response_type", "client_id", "redirect_uri", "scope"];
    let own: Vec<_> = url.query_pairs().into_owned().filter(|(name, _)| !added.contains(&name.as_str())).collect();
    url.set_query(None);
    if !own.is_empty() {
        url.query_pairs_mut().extend_pairs(own);
    }
    url
}

fn to_oauth2_scopes(scopes: &Scopes) -> Vec<oauth2::Scope> {
    scopes.iter().map(|scope| oauth2::Scope::new(scope.to_string())).collect()
}

/// Each crate has a token type of its own. All of them can be serialized.
fn is_bearer_type(kind: &impl serde::Serialize) -> bool {
    serde_json::to_value(kind).unwrap_or_default().as_str().is_some_and(is_bearer)
}

#[cfg(feature = "http-client")]
const MAX_BODY: usize = 512 * 1024;
