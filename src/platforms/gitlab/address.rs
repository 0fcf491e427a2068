use super::HOSTS;
use crate::error::BaseUrlError;
use crate::platforms::address::{refuse_other_services, without_page};
use crate::values::base_url::BaseUrl;

/// The base URL of the GitLab whose address an administrator pasted. If it is one of GitLab's own pages, the page is removed.
///
/// Any other path counts as the sub-path that GitLab is installed under. It cannot be told apart from the page of a group,
/// unless it contains `/-/`.
pub(super) fn root(pasted: &BaseUrl) -> Result<BaseUrl, BaseUrlError> {
    refuse_other_services(pasted, &HOSTS)?;
    let root = without_page(pasted.path(), &PAGES);
    if root.contains("/-/") || root.ends_with("/-") {
        return Err(BaseUrlError::OtherPlatform {
            reason: "this is the address of a project's or group's page",
            hint: "Enter the address of GitLab's start page.",
        });
    }
    let root = pasted.with_path(root);
    if is_gitlab_com(&root) && root.as_str() != GITLAB_COM {
        return Err(BaseUrlError::OtherPlatform {
            reason: "this is not the address of GitLab.com",
            hint: "Enter https://gitlab.com.",
        });
    }
    Ok(root)
}

/// Whether the host is that of GitLab.com.
pub(super) fn is_gitlab_com(base: &BaseUrl) -> bool {
    base.authority() == HOST
}

/// The base URL of GitLab.com.
pub(super) const GITLAB_COM: &str = "https://gitlab.com";

/// The host of GitLab.com.
pub(super) const HOST: &str = "gitlab.com";

/// The paths of GitLab's own pages begin with these.
const PAGES: [&str; 8] = [
    "/api/v4",
    "/users/sign_in",
    "/oauth/applications",
    "/oauth/authorize",
    "/admin/applications",
    "/-/profile",
    "/-/user_settings",
    "/dashboard",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Network;

    #[test]
    fn pages_are_cut_and_other_addresses_refused() {
        for (pasted, expected) in [
            ("https://git.example.com", Some("https://git.example.com")),
            ("https://git.example.com/gitlab", Some("https://git.example.com/gitlab")),
            ("https://git.example.com/api/v4", Some("https://git.example.com")),
            ("https://git.example.com/api/v4/user", Some("https://git.example.com")),
            ("https://git.example.com/gitlab/users/sign_in", Some("https://git.example.com/gitlab")),
            ("https://git.example.com/gitlab/-/profile/applications", Some("https://git.example.com/gitlab")),
            ("https://git.example.com/-/user_settings/applications/7", Some("https://git.example.com")),
            ("https://git.example.com/admin/applications/new", Some("https://git.example.com")),
            ("https://git.example.com/api/v4x", Some("https://git.example.com/api/v4x")),
            ("https://gitlab.com/users/sign_in", Some("https://gitlab.com")),
            ("https://gitlab.com/my-group", None),
            ("https://git.example.com/groups/acme/-/settings/applications", None),
            ("https://git.example.com/acme/-", None),
            ("https://bitbucket.org", None),
            ("https://github.com/acme", None),
        ] {
            let base = BaseUrl::parse(pasted, &Network::public_only()).unwrap();
            let root = root(&base).map(|root| root.as_str().to_owned());
            assert_eq!(root.ok().as_deref(), expected, "{pasted}");
        }
    }
}
