//! The flags about the network between an example and its code host.

use std::path::Path;

use codehost_oauth::BaseUrl;
use codehost_oauth::transport::{Cidr, ClientCertificate, FixedHeaders, HttpClient, HttpClientBuilder, Network, Proxy};

use super::Failure;

/// The environment variable with the password of the proxy. It is not in a flag, since flags are shown in the list of processes.
const PROXY_PASSWORD: &str = "CODEHOST_PROXY_PASSWORD";

/// What an example may connect to.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct NetworkFlags {
    /// A private network that the code host is in, such as 10.0.0.0/8; can be repeated
    #[arg(long = "allow-network", value_name = "CIDR")]
    allow_networks: Vec<String>,
    /// The host name of a code host that may have any private address; can be repeated
    #[arg(long = "allow-name", value_name = "NAME")]
    allow_names: Vec<String>,
    /// Also allow loopback addresses, and plain http:// to them
    #[arg(long)]
    allow_http: bool,
}

/// The proxy through which an example connects.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ProxyFlags {
    /// The proxy, such as http://proxy.example.com:3128, https://…, socks5://… or socks5h://…; `env` for that of the variables
    /// https_proxy and no_proxy. The password of a user in the URL is read from CODEHOST_PROXY_PASSWORD
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// A file with the certificate of the private certificate authority that signed the certificate of an https:// proxy
    #[arg(long, value_name = "PEM", requires = "proxy")]
    proxy_ca_file: Option<std::path::PathBuf>,
}

impl NetworkFlags {
    /// The network policy: public addresses, and those that the flags allow.
    pub(crate) fn network(&self) -> Result<Network, Failure> {
        let networks = self.allow_networks.iter().map(|text| text.parse::<Cidr>()).collect::<Result<Vec<_>, _>>()?;
        let mut network = if networks.is_empty() { Network::public_only() } else { Network::public_and(networks) };
        for name in &self.allow_names {
            network = network.allow_name(name)?;
        }
        Ok(if self.allow_http { network.allow_loopback_http() } else { network })
    }
}

impl ProxyFlags {
    /// An HTTP client that uses the proxy, if there is one.
    pub(crate) fn http(&self, network: Network) -> Result<HttpClientBuilder, Failure> {
        let mut proxy = match self.proxy.as_deref() {
            Some("env") => Proxy::from_env()?,
            Some(url) => Some(with_password(url)?),
            None => None,
        };
        if let (Some(path), Some(plain)) = (&self.proxy_ca_file, &proxy) {
            proxy = Some(plain.clone().root_certificates(&read("--proxy-ca-file", path)?));
        }
        let http = HttpClient::builder(network);
        Ok(match proxy {
            Some(proxy) => http.proxy(proxy),
            None => http,
        })
    }
}

/// A client certificate and its key, from one file.
pub(crate) fn client_certificate(path: &Path) -> Result<ClientCertificate, Failure> {
    let pem = read("--client-certificate", path)?;
    Ok(ClientCertificate::from_pem(&pem, &pem)?)
}

/// Headers for a code host from a file, which has `Name: value` in each line.
pub(crate) fn fixed_headers(path: &Path, base_url: &BaseUrl) -> Result<FixedHeaders, Failure> {
    let text = read("--headers", path)?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let headers = lines.map(|line| line.split_once(':').unwrap_or((line, "")));
    Ok(FixedHeaders::new(base_url, headers.map(|(name, value)| (name.trim(), value.trim())))?)
}

/// Reads the file of a flag.
pub(crate) fn read(flag: &str, path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        let code = flag.trim_start_matches('-').replace('-', "_");
        let message = format!("the file in {flag} cannot be read: {error}");
        Failure::new(&code, message, "Check its path and permissions.")
    })
}

/// The proxy of a URL, with the password of the environment.
fn with_password(url: &str) -> Result<Proxy, Failure> {
    let before_host = url.rsplit_once('@').map_or("", |(before, _)| before);
    let user_info = before_host.split_once("://").map_or(before_host, |(_, after)| after);
    if user_info.contains(':') {
        let message = "the URL in --proxy has a password, which the list of processes would show";
        let hint = format!("Remove it from the URL, and set {PROXY_PASSWORD} to it.");
        return Err(Failure::new("proxy_password", message, &hint));
    }
    let proxy = Proxy::parse(url)?;
    Ok(match std::env::var(PROXY_PASSWORD) {
        Ok(password) if !user_info.is_empty() => proxy.password(password)?,
        _ => proxy,
    })
}
