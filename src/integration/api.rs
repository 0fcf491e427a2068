use http::header::{HeaderName, HeaderValue};
use http::{Method, Uri};
use serde::Serialize;

use super::Integration;
use crate::error::{ApiError, ConfigError, Error};
use crate::transport::{ApiRequest, ApiResponse};
use crate::values::token::AccessToken;

/// One call of the code host's API, from [`Integration::api_get`] or [`Integration::api_call`]. Its URL is below the provider's
/// [`api_url`](crate::OAuthProvider::api_url), so the token goes to no other server.
///
/// ```
/// # use codehost_oauth::{transport::Network, Access, BaseUrl, Integration, IntegrationConfig, Platform};
/// # fn integration(http: codehost_oauth::testing::ScriptedTransport) -> Result<Integration, Box<dyn std::error::Error>> {
/// #     let provider = Platform::find("github")?.provider(BaseUrl::parse("https://github.com", &Network::public_only())?)?;
/// #     Ok(Integration::builder(provider, http, IntegrationConfig {
/// #         id: "demo".parse()?,
/// #         name: "GitHub".to_owned(),
/// #         public_url: "https://app.example.com".parse()?,
/// #         client_id: "id".to_owned(),
/// #         client_secret: "secret".to_owned(),
/// #         access: Access::Write,
/// #     }).build()?)
/// # }
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use codehost_oauth::AccessToken;
/// use codehost_oauth::testing::ScriptedTransport;
/// use http::Method;
///
/// let http = ScriptedTransport::new();
/// http.respond("/repos/acme/tools/hooks", 201, &[("content-type", "application/json")], r#"{"id":7}"#);
/// let integration = integration(http.clone())?;
/// let token = AccessToken::new("s3cr3t".to_owned(), integration.binding()).ok_or("no token")?;
///
/// let call = integration.api_call(Method::POST, &["repos", "acme", "tools", "hooks"]);
/// let body = std::collections::BTreeMap::from([("name", "web")]);
/// let response = call.json(&body)?.send(&token).await?;
///
/// assert_eq!(response.text(), r#"{"id":7}"#);
/// let sent = &http.requests()[0];
/// assert_eq!(sent.url.as_str(), "https://api.github.com/repos/acme/tools/hooks");
/// assert_eq!(sent.body, br#"{"name":"web"}"#);
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Debug)]
#[must_use]
pub struct ApiCall<'a> {
    integration: &'a Integration,
    request: ApiRequest,
}

impl<'a> ApiCall<'a> {
    pub(super) fn new(integration: &'a Integration, method: Method, uri: &Uri) -> Self {
        Self { integration, request: ApiRequest::new(method, uri) }
    }

    /// Adds parameters to the query. They are encoded; never put a secret into a URL. The pages of a list are asked for by a
    /// parameter too: take its value from the response, not the URL of the next page.
    pub fn query(self, parameters: &[(&str, &str)]) -> Self {
        Self { request: self.request.query(parameters), ..self }
    }

    /// Sets a header, in place of the one that there was. `Authorization` is always that of the token.
    pub fn header(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { request: self.request.header(name, value), ..self }
    }

    /// Sets the body to JSON.
    ///
    /// # Errors
    ///
    /// [`ConfigError::JsonBody`] if `body` cannot be written as JSON, for example a map whose keys are not strings.
    pub fn json(self, body: &impl Serialize) -> Result<Self, ConfigError> {
        Ok(Self { request: self.request.json(body)?, ..self })
    }

    /// The most bytes that the response's body may have: 512 KiB unless set.
    pub fn max_body(self, bytes: usize) -> Self {
        Self { request: self.request.max_body(bytes), ..self }
    }

    /// Sends the call once, as the other requests of the integration: with its transport, its
    /// [limit](crate::IntegrationBuilder::max_in_flight) of requests and its circuit breaker. It returns a response
    /// only if it is a success; its body is JSON or empty.
    ///
    /// Inside of [`TokenKeeper::with_token`](crate::keeper::TokenKeeper::with_token), `?` makes a refusal of the token the error
    /// that renews it and repeats the call.
    ///
    /// # Errors
    ///
    /// [`ConfigError::OtherBinding`](crate::error::ConfigError::OtherBinding) for a token of another integration, before anything
    /// is sent. [`Error::Api`] and [`Error::Account`] if the code host refuses the token or the user, and
    /// [`ApiError::ResourceNotFound`] for status 404: there is no such thing, or the user may not see it.
    /// [`Error::Response`] for a redirect, which is never followed, a rate limit, an outage, and every other status, also 304:
    /// [`Error::summary`] has it. [`Error::Transport`] if there is no response.
    pub async fn send(self, token: &AccessToken) -> Result<ApiResponse, Error> {
        let Self { integration, request } = self;
        integration.ensure_own(token.binding(), "access token")?;
        let provider = &*integration.0.provider;
        // The URL is below the API URL of the same provider, which belongs to this base URL.
        let request = request.bearer(token, provider.base_url())?;
        let work = async {
            let response = request.send(&integration.0.http.for_app()).await?;
            match provider.api_error(&response) {
                None => Ok(response),
                // The path is the app's own, so it says nothing about the base URL.
                Some(Error::Api { cause: ApiError::NotFound, response }) => {
                    Err(Error::Api { cause: ApiError::ResourceNotFound, response })
                }
                Some(error) => Err(error),
            }
        };
        integration.observe("api", work).await
    }
}
