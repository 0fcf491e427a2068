use crate::error::BaseUrlError;
use crate::platforms::address::{refuse_other_services, without_page};
use crate::values::base_url::BaseUrl;

/// The base URL of the Bitbucket whose address an administrator pasted. If it is one of Bitbucket's own pages, the page is
/// removed, and the context path is kept.
pub(super) fn root(pasted: &BaseUrl) -> Result<BaseUrl, BaseUrlError> {
    refuse_other_services(pasted, &[])?;
    Ok(pasted.with_path(without_page(pasted.path(), &PAGES)))
}

/// The paths of Bitbucket's own pages begin with these.
const PAGES: [&str; 13] = [
    "/projects",
    "/users",
    "/repos",
    "/scm",
    "/dashboard",
    "/login",
    "/profile",
    "/account",
    "/admin",
    "/plugins",
    "/rest",
    "/mvc",
    "/getting-started",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Network;

    #[test]
    fn pages_are_cut_and_other_addresses_refused() {
        for (pasted, expected) in [
            ("https://git.example.com", Some("https://git.example.com")),
            ("https://git.example.com:7990/bitbucket", Some("https://git.example.com:7990/bitbucket")),
            ("https://git.example.com/stash/projects/ACME/repos/web/browse", Some("https://git.example.com/stash")),
            ("https://git.example.com/scm/acme/web.git", Some("https://git.example.com")),
            (
                "https://git.example.com/bitbucket/plugins/servlet/applinks/listApplicationLinks",
                Some("https://git.example.com/bitbucket"),
            ),
            ("https://git.example.com/rest/api/latest", Some("https://git.example.com")),
            ("https://git.example.com/reposit", Some("https://git.example.com/reposit")),
            ("https://bitbucket.org", None),
            ("https://github.com/acme", None),
        ] {
            let root = root(&BaseUrl::parse(pasted, &Network::public_only()).unwrap());
            assert_eq!(root.ok().as_ref().map(BaseUrl::as_str), expected, "{pasted}");
        }
    }
}
