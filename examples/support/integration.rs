//! The flags that describe an integration, the same in every example.

use clap::ValueEnum;
use codehost_oauth::transport::Network;
use codehost_oauth::{Access, BaseUrl, Integration, IntegrationConfig, IntegrationId, Platform, PublicUrl};

use super::network::{client_certificate, fixed_headers, read};
use super::{Failure, NetworkFlags, ProxyFlags};

/// The environment variable with the client secret. It is not a flag, since flags are shown in the list of processes.
const SECRET: &str = "CODEHOST_CLIENT_SECRET";

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct IntegrationFlags {
    /// The platform of the code host: bitbucket-cloud, bitbucket-data-center, forgejo, github or gitlab
    #[arg(long, value_parser = platform)]
    platform: Platform,
    /// The URL of the code host; if left out, https://bitbucket.org, https://codeberg.org, https://github.com or
    /// https://gitlab.com
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The URL of the REST API, if it differs from the platform's default
    #[arg(long, value_name = "URL")]
    api_url: Option<String>,
    /// The public URL of the app that users log in to
    #[arg(long, value_name = "URL")]
    public_url: String,
    /// The integration's id, which is part of its callback URL, the same as for setup_guide; made from the name if left out
    #[arg(long)]
    id: Option<String>,
    /// The integration's name; the name of the platform if left out
    #[arg(long)]
    name: Option<String>,
    /// The path of the callback URL, below the public URL; /oauth/callback/PLATFORM/ID if left out
    #[arg(long, value_name = "PATH")]
    callback_path: Option<String>,
    /// The client ID of the OAuth application; its secret is read from CODEHOST_CLIENT_SECRET
    #[arg(long, value_name = "CLIENT_ID")]
    client_id: String,
    /// What the app may do with the tokens
    #[arg(long)]
    access: AccessFlag,
    /// A file with the certificate of the private certificate authority that signed the code host's certificate
    #[arg(long, value_name = "PEM")]
    ca_file: Option<std::path::PathBuf>,
    /// A file with the client certificate, and its key, that the code host demands
    #[arg(long, value_name = "PEM")]
    client_certificate: Option<std::path::PathBuf>,
    /// A file with the headers that an access gateway in front of the code host demands, one `Name: value` in each line
    #[arg(long, value_name = "FILE")]
    headers: Option<std::path::PathBuf>,
    #[command(flatten)]
    network: NetworkFlags,
    #[command(flatten)]
    proxy: ProxyFlags,
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

/// Reads a `--platform` flag.
pub(crate) fn platform(id: &str) -> Result<Platform, String> {
    Platform::find(id).map_err(|error| match id {
        "gitea" | "codeberg" => "use forgejo, which is for Gitea and Codeberg too".to_owned(),
        "bitbucket" => "use bitbucket-cloud or bitbucket-data-center".to_owned(),
        _ => error.to_string(),
    })
}

/// The base URL in the flag, or that of the platform's own service.
pub(crate) fn base_url(flag: Option<&str>, platform: Platform, network: &Network) -> Result<BaseUrl, Failure> {
    let service = platform.services().first().map(|service| service.base_url);
    let Some(text) = flag.or(service) else {
        let message = format!("--base-url is required: {platform} has no service of its own. See --help.\n");
        clap::Error::raw(clap::error::ErrorKind::MissingRequiredArgument, message).exit();
    };
    Ok(BaseUrl::parse(text, network)?)
}

impl IntegrationFlags {
    pub(crate) fn public_url(&self) -> &str {
        &self.public_url
    }

    /// Builds the integration.
    pub(crate) fn integration(&self) -> Result<Integration, Failure> {
        let network = self.network.network()?;
        let base_url = base_url(self.base_url.as_deref(), self.platform, &network)?;
        let provider = match &self.api_url {
            Some(api_url) => {
                self.platform.provider_with_api_url(base_url.clone(), BaseUrl::parse(api_url, &network)?)?
            }
            None => self.platform.provider(base_url.clone())?,
        };
        let name = self.name.as_deref().unwrap_or(self.platform.name());
        let id = match &self.id {
            Some(id) => id.parse()?,
            None => IntegrationId::from_name(name)?,
        };
        let public_url: PublicUrl = self.public_url.parse()?;
        let mut http = self.proxy.http(network)?;
        if let Some(path) = &self.ca_file {
            http = http.root_certificates(&read("--ca-file", path)?);
        }
        let mut http = http.build()?;
        if let Some(path) = &self.client_certificate {
            http = http.with_client_certificate(client_certificate(path)?)?;
        }
        if let Some(path) = &self.headers {
            http = http.with_headers(fixed_headers(path, &base_url)?);
        }
        let secret = std::env::var(SECRET).map_err(|_| {
            let message = format!("the environment variable {SECRET} is not set");
            let hint = format!("Set {SECRET} to the secret of the OAuth application.");
            Failure::new("client_secret_missing", message, &hint)
        })?;
        let mut builder = Integration::builder(
            provider,
            http,
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
