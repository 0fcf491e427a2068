use super::HOSTS;
use crate::error::BaseUrlError;
use crate::platforms::address::refuse_other_services;
use crate::transport::Network;
use crate::values::base_url::BaseUrl;

/// Which kind of GitHub a base URL belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `github.com`.
    Public,
    /// `SUB.ghe.com`: GitHub Enterprise Cloud with data residency.
    DataResidency,
    /// GitHub Enterprise Server, at a host name of its own.
    EnterpriseServer,
}

pub(super) fn kind(base: &BaseUrl) -> Kind {
    match base.authority() {
        HOST => Kind::Public,
        host if host.ends_with(GHE_COM) => Kind::DataResidency,
        _ => Kind::EnterpriseServer,
    }
}

/// The base URL for the address that an administrator pasted. No GitHub has a sub-path, so every path is removed.
pub(super) fn root(pasted: &BaseUrl) -> Result<BaseUrl, BaseUrlError> {
    // With the port, and without it.
    let host = pasted.authority();
    let name = host.split(':').next().unwrap_or_default();
    refuse_other_services(pasted, &HOSTS)?;
    if HOSTS.contains(&host) {
        return Ok(BaseUrl::constant(GITHUB_COM));
    }
    let is_public = [HOST, "githubusercontent.com"].iter().any(|domain| is_or_below(name, domain));
    let is_enterprise = is_or_below(name, "ghe.com");
    if is_public || is_enterprise && enterprise_of(host).is_none() {
        return Err(BaseUrlError::OtherPlatform {
            reason: "no GitHub can be logged in to at this host name",
            hint: "Enter https://github.com, or https://SUBDOMAIN.ghe.com with your enterprise's subdomain.",
        });
    }
    match enterprise_of(host) {
        Some(subdomain) => BaseUrl::parse(&format!("https://{subdomain}{GHE_COM}"), &Network::public_only()),
        None => Ok(pasted.with_path("")),
    }
}

/// The enterprise's subdomain in `SUB.ghe.com` or `api.SUB.ghe.com`.
fn enterprise_of(authority: &str) -> Option<&str> {
    let subdomain = authority.strip_suffix(GHE_COM)?;
    let subdomain = subdomain.strip_prefix("api.").unwrap_or(subdomain);
    let is_one_label = !subdomain.is_empty() && !subdomain.contains('.');
    (is_one_label && !["api", "www"].contains(&subdomain)).then_some(subdomain)
}

fn is_or_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The URL of the REST API.
pub(super) fn api(base: &BaseUrl) -> BaseUrl {
    match kind(base) {
        Kind::Public => BaseUrl::constant("https://api.github.com"),
        Kind::DataResidency => {
            let url = format!("https://api.{}", base.authority());
            BaseUrl::parse(&url, &Network::public_only()).unwrap_or_else(|_| base.clone())
        }
        Kind::EnterpriseServer => base.with_path("/api/v3"),
    }
}

/// The base URL of GitHub.
pub(super) const GITHUB_COM: &str = "https://github.com";
/// The host of GitHub.
pub(super) const HOST: &str = "github.com";
const GHE_COM: &str = ".ghe.com";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pasted_address_has_its_base_url_and_api_url() {
        for (pasted, base, api_url) in [
            ("https://github.com", "https://github.com", "https://api.github.com"),
            ("https://www.github.com/settings/developers", "https://github.com", "https://api.github.com"),
            ("https://api.github.com/user", "https://github.com", "https://api.github.com"),
            ("https://acme.ghe.com/login", "https://acme.ghe.com", "https://api.acme.ghe.com"),
            ("https://api.acme.ghe.com", "https://acme.ghe.com", "https://api.acme.ghe.com"),
            ("https://git.example.com/api/v3", "https://git.example.com", "https://git.example.com/api/v3"),
            ("https://git.example.com/acme/repo", "https://git.example.com", "https://git.example.com/api/v3"),
            ("https://mygithub.com", "https://mygithub.com", "https://mygithub.com/api/v3"),
            ("https://git.example.com:8443", "https://git.example.com:8443", "https://git.example.com:8443/api/v3"),
        ] {
            let root = root(&BaseUrl::parse(pasted, &Network::public_only()).unwrap()).unwrap();
            assert_eq!((root.as_str(), api(&root).as_str()), (base, api_url), "{pasted}");
        }
        for refused in [
            "https://gist.github.com",
            "https://github.com:8443",
            "https://raw.githubusercontent.com",
            "https://ghe.com",
            "https://api.ghe.com",
            "https://a.b.ghe.com",
            "https://acme.ghe.com:8443",
            "https://gitlab.com/acme",
            "https://bitbucket.org",
        ] {
            assert!(root(&BaseUrl::parse(refused, &Network::public_only()).unwrap()).is_err(), "{refused}");
        }
    }
}
