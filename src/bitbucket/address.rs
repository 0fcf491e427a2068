use crate::base_url::BaseUrl;
use crate::error::BaseUrlError;

/// Refuses every address but the one of Bitbucket Cloud, in words for the person who typed it.
pub(super) fn check(base_url: &BaseUrl) -> Result<(), BaseUrlError> {
    let (reason, hint) = match base_url.host() {
        "bitbucket.org" if base_url.path().is_empty() && !base_url.as_str().starts_with("http:") => return Ok(()),
        "bitbucket.org" if base_url.path().is_empty() => {
            ("Bitbucket Cloud is not at http://", "Enter https://bitbucket.org.")
        }
        "bitbucket.org" => (
            "this is the address of a workspace or repository, not of Bitbucket Cloud itself",
            "Enter https://bitbucket.org; the workspace has a field of its own.",
        ),
        "www.bitbucket.org" | "api.bitbucket.org" => {
            ("this is not the address that Bitbucket Cloud is logged in to at", "Enter https://bitbucket.org.")
        }
        _ => (
            "this is not Bitbucket Cloud, which is only at https://bitbucket.org",
            "Enter https://bitbucket.org. Bitbucket Data Center and Server are another platform.",
        ),
    };
    Err(BaseUrlError::OtherPlatform { reason, hint })
}
