//! The flags that describe an integration, the same in every example.

use std::sync::Arc;

use clap::ValueEnum;
use codehost_oauth::bitbucket::{self, BitbucketCloud};
use codehost_oauth::gitlab::{self, GitLab};
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{Access, BaseUrl, Host, Integration, IntegrationId, OAuthProvider};

use super::{Failure, NetworkFlags};

/// Where the client secret comes from: a flag would show in the list of processes.
const SECRET: &str = "CODEHOST_CLIENT_SECRET";

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct IntegrationFlags {
    /// The kind of code host
    #[arg(long)]
    platform: PlatformFlag,
    /// Where the code host is; for Bitbucket Cloud https://bitbucket.org if left out
    #[arg(long, value_name = "URL", required_if_eq("platform", "gitlab"))]
    base_url: Option<String>,
    /// Where the server-side calls go, if that is another URL
    #[arg(long, value_name = "URL")]
    api_url: Option<String>,
    /// The public URL of the app that people log in to
    #[arg(long, value_name = "URL")]
    host: String,
    /// The integration's id, a part of its callback URL; the slug of the name if left out
    #[arg(long)]
    id: Option<String>,
    /// The integration's name; the platform's if left out
    #[arg(long)]
    name: Option<String>,
    /// The OAuth application's client id; its secret is read from CODEHOST_CLIENT_SECRET
    #[arg(long, value_name = "ID")]
    client_id: String,
    /// What the tokens will be used for
    #[arg(long)]
    access: AccessFlag,
    /// Certificates of the authority that signed the code host's certificate
    #[arg(long, value_name = "PEM")]
    ca_file: Option<std::path::PathBuf>,
    #[command(flatten)]
    network: NetworkFlags,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlatformFlag {
    BitbucketCloud,
    Gitlab,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum AccessFlag {
    /// Log people in, nothing else
    SignIn,
    /// Also read groups, projects, repositories and merge or pull requests
    Read,
    /// Also write webhooks and comments
    Integration,
}

impl From<AccessFlag> for Access {
    fn from(flag: AccessFlag) -> Self {
        match flag {
            AccessFlag::SignIn => Self::SignIn,
            AccessFlag::Read => Self::Read,
            AccessFlag::Integration => Self::Integration,
        }
    }
}

impl PlatformFlag {
    /// The provider at the URLs of the flags.
    pub(crate) fn provider(
        self,
        base_url: Option<&str>,
        api_url: Option<&str>,
        network: &Network,
    ) -> Result<Arc<dyn OAuthProvider>, Failure> {
        let parse = |text: &str| BaseUrl::parse(text, network);
        let api_url = api_url.map(parse).transpose()?;
        Ok(match self {
            Self::BitbucketCloud => {
                let bitbucket = match base_url {
                    Some(base_url) => BitbucketCloud::at(parse(base_url)?)?,
                    None => BitbucketCloud::new(),
                };
                Arc::new(match api_url {
                    Some(api_url) => bitbucket.with_api_url(api_url),
                    None => bitbucket,
                })
            }
            Self::Gitlab => {
                let gitlab = GitLab::new(parse(base_url.unwrap_or_default())?)?;
                Arc::new(match api_url {
                    Some(api_url) => gitlab.with_api_url(api_url),
                    None => gitlab,
                })
            }
        })
    }

    /// The platform's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BitbucketCloud => bitbucket::PLATFORM.name(),
            Self::Gitlab => gitlab::PLATFORM.name(),
        }
    }
}

impl IntegrationFlags {
    /// The integration.
    pub(crate) fn integration(&self) -> Result<Integration, Failure> {
        let network = self.network.network()?;
        let provider = self.platform.provider(self.base_url.as_deref(), self.api_url.as_deref(), &network)?;
        let name = self.name.as_deref().unwrap_or(self.platform.name());
        let id = match &self.id {
            Some(id) => id.parse()?,
            None => IntegrationId::from_name(name)?,
        };
        let host: Host = self.host.parse()?;
        let mut http = HttpClient::builder(network);
        if let Some(path) = &self.ca_file {
            let pem = std::fs::read_to_string(path).map_err(|error| Failure {
                code: "ca_file".to_owned(),
                message: format!("the file of --ca-file cannot be read: {error}"),
                hint: "Name a file of certificates in PEM.".to_owned(),
            })?;
            http = http.root_certificates(&pem);
        }
        let secret = std::env::var(SECRET).map_err(|_| Failure {
            code: "client_secret_missing".to_owned(),
            message: format!("the environment variable {SECRET} is not set"),
            hint: format!("Set {SECRET} to the OAuth application's secret."),
        })?;
        let integration = Integration::builder(provider)
            .id(id)
            .name(name)
            .host(host)
            .client(&self.client_id, &secret)
            .access(self.access.into())
            .transport(http.build()?)
            .build()?;
        Ok(integration)
    }
}
