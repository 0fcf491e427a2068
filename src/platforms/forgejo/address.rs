use super::{HOSTS, PLATFORM};
use crate::error::BaseUrlError;
use crate::platforms::address::{refuse_other_services, without_page};
use crate::values::base_url::BaseUrl;

/// The base URL of the server whose address an administrator pasted. If it is one of the server's own pages, or the address to
/// clone a repository, that is removed.
///
/// Any other path counts as the sub-path of the installation: it cannot be told apart from the page of a user.
pub(super) fn root(pasted: &BaseUrl) -> Result<BaseUrl, BaseUrlError> {
    refuse_other_services(pasted, &HOSTS)?;
    // Always over TLS: its e-mail addresses count as confirmed by the platform.
    let is_at = |url: &str| url.strip_prefix("https://") == Some(pasted.authority());
    if let Some(service) = PLATFORM.services().iter().find(|service| is_at(service.base_url)) {
        return Ok(BaseUrl::constant(service.base_url));
    }
    Ok(pasted.with_path(without_repository(without_page(pasted.path(), &PAGES))))
}

/// Removes `/OWNER/REPOSITORY.git` at the end.
fn without_repository(path: &str) -> &str {
    let parts = path.strip_suffix(".git").and_then(|path| path.rsplit_once('/'));
    let owner = parts.and_then(|(path, _)| path.rsplit_once('/'));
    owner.map_or(path, |(root, _)| root)
}

/// The paths of the servers' own pages begin with these.
const PAGES: [&str; 16] = [
    "/user/settings",
    "/user/login",
    "/user/sign_up",
    "/user/oauth2",
    "/login/oauth",
    "/admin",
    "/org",
    "/explore",
    "/api/v1",
    "/api/forgejo",
    "/api/swagger",
    "/-",
    "/.well-known",
    "/assets",
    "/notifications",
    "/repo/create",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Network;

    #[test]
    fn pages_are_cut_and_other_addresses_refused() {
        for (pasted, expected) in [
            ("https://git.example.com", Some("https://git.example.com")),
            ("https://git.example.com:3000/forgejo", Some("https://git.example.com:3000/forgejo")),
            ("https://git.example.com/forgejo/user/settings/applications", Some("https://git.example.com/forgejo")),
            ("https://git.example.com/org/acme/settings", Some("https://git.example.com")),
            ("https://git.example.com/git/-/admin/applications", Some("https://git.example.com/git")),
            ("https://git.example.com/admin/applications/oauth2/3", Some("https://git.example.com")),
            ("https://git.example.com/api/v1/version", Some("https://git.example.com")),
            ("https://git.example.com/git/acme/tools.git", Some("https://git.example.com/git")),
            ("https://git.example.com/acme/tools.git", Some("https://git.example.com")),
            ("https://git.example.com/organization", Some("https://git.example.com/organization")),
            ("https://codeberg.org/acme/tools", Some("https://codeberg.org")),
            ("https://gitea.com/user/login", Some("https://gitea.com")),
            ("https://github.com/acme", None),
            ("https://gitlab.com", None),
            ("https://bitbucket.org", None),
        ] {
            let root = root(&BaseUrl::parse(pasted, &Network::public_only()).unwrap());
            assert_eq!(root.ok().as_ref().map(BaseUrl::as_str), expected, "{pasted}");
        }
        let network = Network::public_only().danger_allow_http();
        let unencrypted = |url: &str| root(&BaseUrl::parse(url, &network).unwrap()).unwrap();
        assert_eq!(unencrypted("http://codeberg.org/acme").as_str(), "https://codeberg.org");
        assert_eq!(unencrypted("http://git.example.com").as_str(), "http://git.example.com");
    }
}
