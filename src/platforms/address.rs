//! What all platforms do with an address that an administrator pasted.

use super::{bitbucket_cloud, forgejo, github, gitlab};
use crate::error::BaseUrlError;
use crate::values::base_url::BaseUrl;

/// The hosts of each platform's own service.
const SERVICES: [&[&str]; 4] = [&bitbucket_cloud::HOSTS, &forgejo::HOSTS, &github::HOSTS, &gitlab::HOSTS];

/// Refuses the address of another platform's own service. `own` are the hosts of this platform's.
pub(super) fn refuse_other_services(pasted: &BaseUrl, own: &[&str]) -> Result<(), BaseUrlError> {
    let host = pasted.authority();
    if !own.contains(&host) && SERVICES.iter().any(|hosts| hosts.contains(&host)) {
        return Err(BaseUrlError::OtherPlatform {
            reason: "this is the address of another kind of code host",
            hint: "Choose the platform that fits the address, or enter the address of your code host.",
        });
    }
    Ok(())
}

/// The path before the first of the platform's own pages, which are given as whole segments.
pub(super) fn without_page<'a>(path: &'a str, pages: &[&str]) -> &'a str {
    let cut = pages.iter().filter_map(|page| find_segments(path, page)).min().unwrap_or(path.len());
    path.get(..cut).unwrap_or_default()
}

/// The position of `page` in `path`, as whole segments.
fn find_segments(path: &str, page: &str) -> Option<usize> {
    path.match_indices(page).map(|(at, _)| at).find(|at| {
        let rest = path.get(at.saturating_add(page.len())..).unwrap_or_default();
        rest.is_empty() || rest.starts_with('/')
    })
}
