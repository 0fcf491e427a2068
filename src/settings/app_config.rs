use std::fmt;
use std::sync::Arc;

use crate::error::{ConfigError, Error};
use crate::integration::IntegrationBuilder;
use crate::platforms;
use crate::provider::oauth_provider::OAuthProvider;
use crate::provider::platform::Platform;
use crate::provider::setup::SetupRequest;
use crate::transport::HttpClient;
use crate::values::base_url::BaseUrl;
use crate::values::callback_url::CallbackUrl;
use crate::values::integration_id::IntegrationId;
use crate::values::public_url::PublicUrl;

/// What all integrations of an app have in common: its public URL, its HTTP client, and what its operator has set about code
/// hosts. Cheap to clone.
///
/// ```
/// use codehost_oauth::settings::AppConfig;
/// use codehost_oauth::transport::{HttpClient, Network};
///
/// let http = HttpClient::builder(Network::public_only()).build()?;
/// let app = AppConfig::new("https://packages.example.com".parse()?, http).login_path("/sign-in/{id}")?;
/// assert_eq!(app.public_url().as_str(), "https://packages.example.com");
/// assert!(app.platforms().iter().any(|platform| platform.id() == "gitlab"));
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct AppConfig(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    public_url: PublicUrl,
    http: HttpClient,
    platforms: Vec<Platform>,
    callback_path: Option<String>,
    login_path: Option<String>,
    operator: Option<Arc<dyn OperatorSettings>>,
}

/// What the operator of an app sets about single code hosts, and no tenant may: a client with a client certificate or a
/// proxy, and the URL at which the app reaches a code host.
pub trait OperatorSettings: Send + Sync + 'static {
    /// The client for the code host at this base URL, made from the app's own.
    ///
    /// # Errors
    ///
    /// Those of [`HttpClient`].
    fn http(&self, base_url: &BaseUrl, http: HttpClient) -> Result<HttpClient, ConfigError> {
        let _ = base_url;
        Ok(http)
    }

    /// Where the app reaches the API of the code host at this base URL, if not there.
    fn api_url(&self, base_url: &BaseUrl) -> Option<BaseUrl> {
        let _ = base_url;
        None
    }
}

impl AppConfig {
    /// For integrations with any of the built-in platforms. `http` also has the network policy.
    pub fn new(public_url: PublicUrl, http: HttpClient) -> Self {
        let platforms = Platform::all().to_vec();
        let inner = Inner { public_url, http, platforms, callback_path: None, login_path: None, operator: None };
        Self(Arc::new(inner))
    }

    /// The same with these platforms, in this order: some of the built-in ones, or others.
    ///
    /// ```
    /// # use codehost_oauth::{settings::AppConfig, Platform};
    /// # fn example(app: AppConfig) -> Result<(), codehost_oauth::error::ConfigError> {
    /// let app = app.with_platforms([Platform::find("gitlab")?]);
    /// assert_eq!(app.platforms().len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_platforms(self, platforms: impl IntoIterator<Item = Platform>) -> Self {
        let platforms = platforms.into_iter().collect();
        self.with(|inner| inner.platforms = platforms)
    }

    /// The same with the path of each callback URL: `{id}` and `{platform}` in it are replaced. See
    /// [`CallbackUrl::at`](crate::CallbackUrl::at) for what a path without `{id}` means.
    ///
    /// # Errors
    ///
    /// [`ConfigError::CallbackPath`] if it is no path.
    pub fn callback_path(self, path: &str) -> Result<Self, ConfigError> {
        let example = path.replace("{id}", "id").replace("{platform}", "platform");
        CallbackUrl::at(&self.0.public_url, &example)?;
        Ok(self.with(|inner| inner.callback_path = Some(path.to_owned())))
    }

    /// The same with the path of each login link: `{id}` in it is replaced.
    ///
    /// # Errors
    ///
    /// [`ConfigError::LoginPath`] if it is no path.
    pub fn login_path(self, path: &str) -> Result<Self, ConfigError> {
        if self.0.public_url.join(&path.replace("{id}", "id")).is_none() {
            return Err(ConfigError::LoginPath);
        }
        Ok(self.with(|inner| inner.login_path = Some(path.to_owned())))
    }

    /// The same with the operator's settings about single code hosts.
    #[must_use]
    pub fn operator_settings(self, settings: impl OperatorSettings) -> Self {
        self.with(|inner| inner.operator = Some(Arc::new(settings)))
    }

    /// The app's public URL.
    pub fn public_url(&self) -> &PublicUrl {
        &self.0.public_url
    }

    /// The app's HTTP client.
    pub fn http(&self) -> &HttpClient {
        &self.0.http
    }

    /// The platforms that an administrator can choose.
    pub fn platforms(&self) -> &[Platform] {
        &self.0.platforms
    }

    /// The platform with this id.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Platform`] if the app has no such platform.
    pub fn platform(&self, id: &str) -> Result<Platform, ConfigError> {
        platforms::find_in(&self.0.platforms, id)
    }

    /// The provider of this platform at this base URL. `api_url`: where the app reaches it, if not there or where the operator's
    /// settings say.
    pub(super) fn provider(
        &self,
        platform: Platform,
        base_url: &str,
        api_url: Option<BaseUrl>,
    ) -> Result<Arc<dyn OAuthProvider>, Error> {
        let base_url = platform.provider(BaseUrl::parse(base_url.trim(), self.0.http.network())?)?.base_url().clone();
        let api_url = api_url.or_else(|| self.0.operator.as_ref()?.api_url(&base_url));
        Ok(match api_url {
            Some(api_url) => platform.provider_with_api_url(base_url, api_url)?,
            None => platform.provider(base_url)?,
        })
    }

    /// The app's client with the operator's settings for this code host.
    pub(super) fn http_for(&self, base_url: &BaseUrl) -> Result<HttpClient, ConfigError> {
        match &self.0.operator {
            Some(operator) => operator.http(base_url, self.0.http.clone()),
            None => Ok(self.0.http.clone()),
        }
    }

    /// Sets the paths of an integration's URLs.
    pub(super) fn set_paths(
        &self,
        mut builder: IntegrationBuilder,
        platform: Platform,
        id: &IntegrationId,
    ) -> IntegrationBuilder {
        if let Some(path) = &self.0.callback_path {
            builder = builder.callback_path(&fill(path, platform, id));
        }
        if let Some(path) = &self.0.login_path {
            builder = builder.login_path(&fill(path, platform, id));
        }
        builder
    }

    /// Sets the callback URL of a guide.
    pub(super) fn set_callback(&self, request: SetupRequest, platform: Platform) -> Result<SetupRequest, ConfigError> {
        match &self.0.callback_path {
            Some(path) => {
                let path = fill(path, platform, &request.id);
                request.callback_path(&path)
            }
            None => Ok(request),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl fmt::Debug for AppConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppConfig").field("public_url", &self.0.public_url).finish_non_exhaustive()
    }
}

fn fill(path: &str, platform: Platform, id: &IntegrationId) -> String {
    path.replace("{id}", id.as_str()).replace("{platform}", platform.id())
}
