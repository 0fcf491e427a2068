//! What the operator of the app sets about code hosts. None of it is in a form that a tenant fills in: a proxy would make the app
//! connect to any address, and with an API URL of its own a tenant could vouch for the users of GitLab.com.

use std::collections::HashMap;

use codehost_oauth::BaseUrl;
use codehost_oauth::error::ConfigError;
use codehost_oauth::settings::OperatorSettings;
use codehost_oauth::transport::{ClientCertificate, FixedHeaders, HttpClient, Network};

use crate::support::network::{client_certificate, fixed_headers};
use crate::support::{Failure, NetworkFlags, ProxyFlags};

#[derive(clap::Args, Debug)]
pub(crate) struct CodeHostFlags {
    /// Where the app reaches a code host, if not at the base URL that browsers use; can be repeated
    #[arg(long = "api-url", value_name = "BASE_URL=API_URL")]
    api_urls: Vec<String>,
    /// A file with the client certificate, and its key, that a code host demands; can be repeated
    #[arg(long = "client-certificate", value_name = "BASE_URL=PEM")]
    client_certificates: Vec<String>,
    /// A file with the headers, one `Name: value` in each line, that an access gateway in front of a code host demands; can be
    /// repeated
    #[arg(long = "headers", value_name = "BASE_URL=FILE")]
    headers: Vec<String>,
    #[command(flatten)]
    pub(crate) network: NetworkFlags,
    #[command(flatten)]
    pub(crate) proxy: ProxyFlags,
}

/// How the app reaches single code hosts, by base URL.
pub(crate) struct CodeHosts {
    api_urls: HashMap<String, BaseUrl>,
    client_certificates: HashMap<String, ClientCertificate>,
    headers: HashMap<String, FixedHeaders>,
}

impl CodeHosts {
    pub(crate) fn new(flags: &CodeHostFlags, network: &Network) -> Result<Self, Failure> {
        let mut hosts = Self { api_urls: HashMap::new(), client_certificates: HashMap::new(), headers: HashMap::new() };
        for pair in &flags.api_urls {
            let (base_url, api_url) = split(pair, network)?;
            hosts.api_urls.insert(base_url.as_str().to_owned(), BaseUrl::parse(api_url, network)?);
        }
        for pair in &flags.client_certificates {
            let (base_url, file) = split(pair, network)?;
            hosts.client_certificates.insert(base_url.as_str().to_owned(), client_certificate(file.as_ref())?);
        }
        for pair in &flags.headers {
            let (base_url, file) = split(pair, network)?;
            hosts.headers.insert(base_url.as_str().to_owned(), fixed_headers(file.as_ref(), &base_url)?);
        }
        Ok(hosts)
    }
}

impl OperatorSettings for CodeHosts {
    fn http(&self, base_url: &BaseUrl, mut http: HttpClient) -> Result<HttpClient, ConfigError> {
        if let Some(certificate) = self.client_certificates.get(base_url.as_str()) {
            http = http.with_client_certificate(certificate.clone())?;
        }
        if let Some(headers) = self.headers.get(base_url.as_str()) {
            http = http.with_headers(headers.clone());
        }
        Ok(http)
    }

    fn api_url(&self, base_url: &BaseUrl) -> Option<BaseUrl> {
        self.api_urls.get(base_url.as_str()).cloned()
    }
}

/// A base URL, and what belongs to it.
fn split<'a>(pair: &'a str, network: &Network) -> Result<(BaseUrl, &'a str), Failure> {
    let (base_url, rest) = pair.split_once('=').unwrap_or((pair, ""));
    Ok((BaseUrl::parse(base_url, network)?, rest))
}
