//! The integrations of this example: yours from the flags, or two fake code hosts in this process.

use codehost_oauth::testing::{FakeApplication, FakeForgejo, FakeGitLab};
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{Access, BaseUrl, CallbackUrl, Integration, IntegrationConfig, Platform, PublicUrl};

use crate::support::integration::{base_url, platform};
use crate::support::{Failure, NetworkFlags, print};

#[derive(clap::Args)]
pub(crate) struct CodeHostFlags {
    /// The platform of your code host: bitbucket-cloud, bitbucket-data-center, forgejo, github or gitlab; if left out,
    /// a fake GitLab and a fake Forgejo run in this process
    #[arg(long, value_parser = platform, requires = "client_id")]
    platform: Option<Platform>,
    /// The URL of the code host; that of the platform's own service if left out
    #[arg(long, value_name = "URL", requires = "platform")]
    base_url: Option<String>,
    /// The client ID of the OAuth application; its secret is read from CODEHOST_CLIENT_SECRET
    #[arg(long, value_name = "CLIENT_ID", requires = "platform")]
    client_id: Option<String>,
    #[command(flatten)]
    network: NetworkFlags,
}

/// The integrations, and the fakes, which run until this value is dropped.
pub(crate) struct CodeHosts {
    pub(crate) integrations: Vec<Integration>,
    _fakes: Option<(FakeGitLab, FakeForgejo)>,
}

impl CodeHostFlags {
    /// The id of each integration is that of its platform.
    pub(crate) async fn start(self, public_url: &PublicUrl) -> Result<CodeHosts, Failure> {
        let Some(platform) = self.platform else {
            return fakes(public_url).await;
        };
        let http = HttpClient::builder(self.network.network()?).build()?; // one for all integrations: clones share it
        let base_url = base_url(self.base_url.as_deref(), platform, http.network())?;
        let secret = std::env::var("CODEHOST_CLIENT_SECRET").map_err(|_| {
            let message = "the environment variable CODEHOST_CLIENT_SECRET is not set";
            Failure::new("client_secret_missing", message, "Set it to the secret of the OAuth application.")
        })?;
        let client = (self.client_id.unwrap_or_default(), secret);
        let integration = integration(platform, base_url, client, http, public_url)?;
        print(&format!("callback: {}\n", integration.callback_url()))?;
        Ok(CodeHosts { integrations: vec![integration], _fakes: None })
    }
}

fn integration(
    platform: Platform,
    base_url: BaseUrl,
    (client_id, client_secret): (String, String),
    http: HttpClient,
    public_url: &PublicUrl,
) -> Result<Integration, Failure> {
    let config = IntegrationConfig {
        id: platform.id().parse()?,
        name: platform.name().to_owned(),
        public_url: public_url.clone(),
        client_id,
        client_secret,
        access: Access::SignIn,
    };
    Ok(Integration::builder(platform.provider(base_url)?, http, config).build()?)
}

async fn fakes(public_url: &PublicUrl) -> Result<CodeHosts, Failure> {
    let (gitlab, forgejo) = (Platform::find("gitlab")?, Platform::find("forgejo")?);
    let client = || ("demo-client".to_owned(), "demo-secret".to_owned());
    let application = |platform: Platform, scopes: &str| -> Result<FakeApplication, Failure> {
        let callback = CallbackUrl::new(public_url, platform.id(), &platform.id().parse()?);
        Ok(FakeApplication::new(&client().0, &client().1, callback.as_str(), scopes))
    };
    let fake_gitlab = FakeGitLab::builder().application(application(gitlab, "read_user")?).start();
    let fake_gitlab = fake_gitlab.await.map_err(|error| failure("listen", &error))?;
    let fake_forgejo = FakeForgejo::builder().application(application(forgejo, "")?).start();
    let fake_forgejo = fake_forgejo.await.map_err(|error| failure("listen", &error))?;

    let http = HttpClient::builder(Network::public_only().allow_loopback_http()).build()?;
    let at = |platform: Platform, url: &str| {
        let base_url = BaseUrl::parse(url, http.network())?;
        integration(platform, base_url, client(), http.clone(), public_url)
    };
    let integrations = vec![at(gitlab, fake_gitlab.base_url())?, at(forgejo, fake_forgejo.base_url())?];
    let urls = (fake_gitlab.base_url(), fake_forgejo.base_url());
    print(&format!("fake GitLab: {}\nfake Forgejo: {}\n", urls.0, urls.1))?;
    Ok(CodeHosts { integrations, _fakes: Some((fake_gitlab, fake_forgejo)) })
}

pub(crate) fn failure(code: &str, error: &dyn std::error::Error) -> Failure {
    Failure::new(code, error, "")
}
