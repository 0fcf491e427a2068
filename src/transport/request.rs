use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri};
use serde::Serialize;
use zeroize::Zeroizing;

use super::Transport;
use super::response::ApiResponse;
use crate::error::{ConfigError, Error};
use crate::values::base_url::BaseUrl;
use crate::values::secret::Secret;
use crate::values::token::{AccessToken, ClientCredentials};

/// A request to a platform. It asks for JSON, names this crate in `User-Agent` unless the transport names the app, and takes
/// secrets only for the URLs that they belong to.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use codehost_oauth::provider::ApiRequest;
/// use codehost_oauth::testing::ScriptedTransport;
/// use codehost_oauth::{transport::Network, AccessToken, BaseUrl, TokenBinding};
///
/// let base_url = BaseUrl::parse("https://git.example.com", &Network::public_only())?;
/// let token = AccessToken::new("s3cr3t".to_owned(), &TokenBinding::new("demo".parse()?, base_url.clone())).unwrap();
/// let http = ScriptedTransport::new();
/// http.json("/api/user", r#"{"id":42}"#);
/// let request = ApiRequest::get(&base_url.endpoint(&["api", "user"])).bearer(&token, &base_url)?;
/// assert_eq!(request.send(&http).await?.text(), r#"{"id":42}"#);
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[must_use]
pub struct ApiRequest {
    request: http::Request<Vec<u8>>,
    max_body: usize,
}

impl ApiRequest {
    /// A request without a body.
    pub fn new(method: Method, uri: &Uri) -> Self {
        let mut request = http::Request::new(Vec::new());
        *request.method_mut() = method;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = HeaderMap::with_capacity(USUAL_HEADERS);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(DEFAULT_USER_AGENT));
        Self { request, max_body: MAX_API_BODY }
    }

    /// A `GET`.
    pub fn get(uri: &Uri) -> Self {
        Self::new(Method::GET, uri)
    }

    /// A `POST`.
    pub fn post(uri: &Uri) -> Self {
        Self::new(Method::POST, uri)
    }

    /// Sends the access token in the `Authorization` header (RFC 6750 section 2.1).
    ///
    /// # Errors
    ///
    /// [`ConfigError::OtherBinding`] unless `url` is the base URL or the API URL that the token belongs to.
    pub fn bearer(self, token: &AccessToken, url: &BaseUrl) -> Result<Self, ConfigError> {
        let token = token.expose_for(url)?;
        let mut bearer = String::with_capacity(BEARER.len().saturating_add(token.len()));
        bearer.push_str(BEARER);
        bearer.push_str(token);
        // The header takes the text itself: there is no second copy to wipe.
        let value = HeaderValue::try_from(bearer).map_err(|_| ConfigError::OtherBinding { what: "access token" })?;
        Ok(self.header(AUTHORIZATION, secret(value)))
    }

    /// Sends client id and secret by HTTP Basic, both form-encoded first (RFC 6749 section 2.3.1).
    ///
    /// # Errors
    ///
    /// [`ConfigError::OtherBinding`] unless `url` is the base URL or the API URL that the credentials belong to.
    pub fn basic(self, client: &ClientCredentials, url: &BaseUrl) -> Result<Self, ConfigError> {
        let text = basic(client.client_id(), client.expose_for(url)?);
        let value = HeaderValue::try_from(text.expose());
        let value = value.map_err(|_| ConfigError::OtherBinding { what: "client credentials" })?;
        Ok(self.header(AUTHORIZATION, secret(value)))
    }

    /// Adds parameters to the query. They are encoded; never put a secret into a URL.
    ///
    /// ```
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use codehost_oauth::{provider::ApiRequest, testing::ScriptedTransport};
    ///
    /// let http = ScriptedTransport::new();
    /// http.json("/search", "[]");
    /// let uri = "https://git.example.com/search?page=1".parse()?;
    /// ApiRequest::get(&uri).query(&[("q", "a b&c")]).send(&http).await?;
    /// assert_eq!(http.requests()[0].url.query(), Some("page=1&q=a+b%26c"));
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
    /// ```
    pub fn query(mut self, parameters: &[(&str, &str)]) -> Self {
        if parameters.is_empty() {
            return self;
        }
        let mut parts = self.request.uri().clone().into_parts();
        let target = parts.path_and_query.as_ref().map_or("/", PathAndQuery::as_str);
        let separator = if target.contains('?') { '&' } else { '?' };
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        parts.path_and_query = PathAndQuery::try_from(format!("{target}{separator}{query}")).ok();
        // A query that is too long gives an empty URI, which every transport refuses.
        *self.request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        self
    }

    /// Sets a header, in place of the one that there was.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.request.headers_mut().insert(name, value);
        self
    }

    /// Sets the body to a form. Secrets in it are not copied a second time.
    pub fn form(mut self, fields: &[(&str, &str)]) -> Self {
        // Room for all of it, so that nothing moves and leaves a copy of a secret behind: a byte becomes three at most, and
        // each field has two signs.
        let lengths = fields.iter().flat_map(|(name, value)| [name.len(), value.len(), 2]);
        let room = lengths.fold(0, usize::saturating_add).saturating_mul(3);
        let form = form_urlencoded::Serializer::new(String::with_capacity(room)).extend_pairs(fields).finish();
        *self.request.body_mut() = form.into_bytes();
        self.header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
    }

    /// Sets the body to JSON.
    ///
    /// # Errors
    ///
    /// [`ConfigError::JsonBody`] if `body` cannot be written as JSON, for example a map whose keys are not strings.
    pub fn json(mut self, body: &impl Serialize) -> Result<Self, ConfigError> {
        *self.request.body_mut() = serde_json::to_vec(body).map_err(|_| ConfigError::JsonBody)?;
        Ok(self.header(CONTENT_TYPE, HeaderValue::from_static("application/json")))
    }

    /// The most bytes that the response's body may have: 512 KiB unless set.
    pub fn max_body(self, bytes: usize) -> Self {
        Self { max_body: bytes, ..self }
    }

    /// Sends the request and checks the response; see [`ApiResponse`].
    ///
    /// # Errors
    ///
    /// [`Error::Transport`] if there is no response, [`Error::Response`] if it does not pass the checks.
    pub async fn send(self, http: &dyn Transport) -> Result<ApiResponse, Error> {
        ApiResponse::check(http.send(self.request, self.max_body).await?)
    }
}

/// Method and host: path, query, headers and body can hold secrets.
impl fmt::Debug for ApiRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiRequest")
            .field("method", self.request.method())
            .field("host", &self.request.uri().host().unwrap_or_default())
            .finish_non_exhaustive()
    }
}

/// What requests say in `User-Agent` if the app does not say anything else.
pub(crate) const DEFAULT_USER_AGENT: &str = concat!("codehost-oauth/", env!("CARGO_PKG_VERSION"));

/// HTTP libraries do not log a header that is marked in this way.
fn secret(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

fn basic(id: &str, secret: &str) -> Secret {
    // Room for all of it, so that nothing moves and leaves a copy behind that is not wiped.
    let room = id.len().saturating_add(secret.len()).saturating_add(1).saturating_mul(3);
    let mut pair = Zeroizing::new(String::with_capacity(room));
    pair.extend(form_urlencoded::byte_serialize(id.as_bytes()));
    pair.push(':');
    pair.extend(form_urlencoded::byte_serialize(secret.as_bytes()));
    let length = base64::encoded_len(pair.len(), true).unwrap_or_default();
    let mut text = String::with_capacity(BASIC.len().saturating_add(length));
    text.push_str(BASIC);
    STANDARD.encode_string(pair.as_bytes(), &mut text);
    Secret::unchecked(text)
}

/// With those that the client adds, so that the map does not grow.
const USUAL_HEADERS: usize = 8;
const BASIC: &str = "Basic ";
const BEARER: &str = "Bearer ";
const MAX_API_BODY: usize = 512 * 1024;
