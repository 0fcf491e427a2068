use std::sync::Arc;

use codehost_oauth::testing::{FakeApplication, FakeGitHub, FakeGitLab};
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{Access, BaseUrl, Callback, Integration, IntegrationConfig, Login, OAuthProvider, Platform};

use crate::Result;

/// A user who has logged in.
#[derive(Debug)]
pub struct Demo<F> {
    /// The code host. It stops when it is dropped.
    pub fake: F,
    /// The client that the integration uses.
    pub http: HttpClient,
    /// The integration.
    pub integration: Integration,
    /// The login.
    pub login: Login,
}

/// Logs janedoe in at a fake GitHub.
///
/// # Errors
///
/// If the login fails.
pub async fn github() -> Result<Demo<FakeGitHub>> {
    let application = FakeApplication::new("id", "secret", &format!("{CALLBACK}/github/demo"), "user:email");
    let fake = FakeGitHub::builder().application(application).start().await?;
    let http = HttpClient::builder(Network::public_only().allow_loopback_http()).build()?;
    let base_url = BaseUrl::parse(fake.base_url(), http.network())?;
    let api_url = BaseUrl::parse(fake.api_url(), http.network())?;
    let provider = Platform::find("github")?.provider_with_api_url(base_url, api_url)?;
    let integration = integration(provider, &http)?;
    let start = integration.begin_login(None)?;
    let callback = Callback::parse(&fake.authorize(start.redirect_to.as_str(), "janedoe")?)?;
    let login = integration.finish_login(start.pending, callback).await?;
    Ok(Demo { fake, http, integration, login })
}

/// Logs alice in at a fake GitLab. `http` reaches it by the host name `host`.
///
/// # Errors
///
/// If the login fails.
pub async fn gitlab(http: HttpClient, host: &str) -> Result<Demo<FakeGitLab>> {
    let application = FakeApplication::new("id", "secret", &format!("{CALLBACK}/gitlab/demo"), "read_user");
    let fake = FakeGitLab::builder().application(application).start().await?;
    let base_url = BaseUrl::parse(&fake.base_url().replace("127.0.0.1", host), http.network())?;
    let integration = integration(Platform::find("gitlab")?.provider(base_url)?, &http)?;
    let start = integration.begin_login(None)?;
    // The browser knows the name too; the fake knows its address only.
    let in_browser = start.redirect_to.as_str().replace(host, "127.0.0.1");
    let callback = Callback::parse(&fake.authorize(&in_browser, "alice")?)?;
    let login = integration.finish_login(start.pending, callback).await?;
    Ok(Demo { fake, http, integration, login })
}

/// The integration `demo` of this provider.
///
/// # Errors
///
/// If the provider does not accept the settings.
pub fn integration(provider: Arc<dyn OAuthProvider>, http: &HttpClient) -> Result<Integration> {
    let config = IntegrationConfig {
        id: "demo".parse()?,
        name: "Demo".to_owned(),
        public_url: "http://127.0.0.1:3000".parse()?,
        client_id: "id".to_owned(),
        client_secret: "secret".to_owned(),
        access: Access::SignIn,
    };
    Ok(Integration::builder(provider, http.clone(), config).build()?)
}

const CALLBACK: &str = "http://127.0.0.1:3000/oauth/callback";
