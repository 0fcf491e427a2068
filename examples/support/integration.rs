//! The flags that describe an integration, the same in every example.

use std::sync::Arc;

use clap::ValueEnum;
use codehost_oauth::bitbucket_cloud::{self, BitbucketCloud};
use codehost_oauth::github::{self, GitHub};
use codehost_oauth::gitlab::{self, GitLab};
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{Access, BaseUrl, Integration, IntegrationConfig, IntegrationId, OAuthProvider, PublicUrl};

use super::{Failure, NetworkFlags};

/// The environment variable with the client secret. It is not a flag, since flags are shown in the list of processes.
const SECRET: &str = "CODEHOST_CLIENT_SECRET";

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct IntegrationFlags {
    /// The platform of the code host
    #[arg(long)]
    platform: PlatformFlag,
    /// The URL of the code host; not needed for Bitbucket Cloud and github.com
    #[arg(long, value_name = "URL", required_if_eq("platform", "gitlab"))]
    base_url: Option<String>,
    /// The URL of the REST API, if it differs from the platform's default
    #[arg(long, value_name = "URL")]
    api_url: Option<String>,
    /// The public URL of the app that users log in to
    #[arg(long, value_name = "URL")]
    public_url: String,
    /// The integration's id, which is part of its callback URL; made from the name if left out
    #[arg(long)]
    id: Option<String>,
    /// The integration's name; the name of the platform if left out
    #[arg(long)]
    name: Option<String>,
    /// The path of the callback URL, below the public URL; /oauth/callback/PLATFORM/ID if left out
    #[arg(long, value_name = "PATH")]
    callback_path: Option<String>,
    /// The client ID of the OAuth application; its secret is read from CODEHOST_CLIENT_SECRET
    #[arg(long, value_name = "ID")]
    client_id: String,
    /// What the app may do with the tokens
    #[arg(long)]
    access: AccessFlag,
    /// A file with the certificate of the private certificate authority that signed the code host's certificate
    #[arg(long, value_name = "PEM")]
    ca_file: Option<std::path::PathBuf>,
    #[command(flatten)]
    network: NetworkFlags,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlatformFlag {
    BitbucketCloud,
    Github,
    Gitlab,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum AccessFlag {
    /// Only log users in
    SignIn,
    /// Also read groups, projects, repositories and merge or pull requests
    Read,
    /// Also write webhooks and comments
    Write,
}

impl From<AccessFlag> for Access {
    fn from(flag: AccessFlag) -> Self {
        match flag {
            AccessFlag::SignIn => Self::SignIn,
            AccessFlag::Read => Self::Read,
            AccessFlag::Write => Self::Write,
        }
    }
}

impl PlatformFlag {
    /// The provider at these URLs.
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
            Self::Github => {
                let github = GitHub::new(parse(base_url.unwrap_or("https://github.com"))?)?;
                Arc::new(match api_url {
                    Some(api_url) => github.with_api_url(api_url),
                    None => github,
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
            Self::BitbucketCloud => bitbucket_cloud::PLATFORM.name(),
            Self::Github => github::PLATFORM.name(),
            Self::Gitlab => gitlab::PLATFORM.name(),
        }
    }
}

impl IntegrationFlags {
    /// Builds the integration.
    pub(crate) fn integration(&self) -> Result<Integration, Failure> {
        let network = self.network.network()?;
        let provider = self.platform.provider(self.base_url.as_deref(), self.api_url.as_deref(), &network)?;
        let name = self.name.as_deref().unwrap_or(self.platform.name());
        let id = match &self.id {
            Some(id) => id.parse()?,
            None => IntegrationId::from_name(name)?,
        };
        let public_url: PublicUrl = self.public_url.parse()?;
        let mut http = HttpClient::builder(network);
        if let Some(path) = &self.ca_file {
            let pem = std::fs::read_to_string(path).map_err(|error| Failure {
                code: "ca_file".to_owned(),
                message: format!("the file in --ca-file cannot be read: {error}"),
                hint: "Check its path and permissions. It must contain certificates in PEM format.".to_owned(),
            })?;
            http = http.root_certificates(&pem);
        }
        let secret = std::env::var(SECRET).map_err(|_| Failure {
            code: "client_secret_missing".to_owned(),
            message: format!("the environment variable {SECRET} is not set"),
            hint: format!("Set {SECRET} to the secret of the OAuth application."),
        })?;
        let mut builder = Integration::builder(
            provider,
            http.build()?,
            IntegrationConfig {
                id,
                name: name.to_owned(),
                public_url,
                client_id: self.client_id.clone(),
                client_secret: secret,
                access: self.access.into(),
            },
        );
        if let Some(path) = &self.callback_path {
            builder = builder.callback_path(path);
        }
        Ok(builder.build()?)
    }
}
