use crate::error::BaseUrlError;
use crate::values::base_url::BaseUrl;

/// Refuses every address except that of Bitbucket Cloud.
pub(super) fn check(base_url: &BaseUrl) -> Result<(), BaseUrlError> {
    let (reason, hint) = match base_url.authority() {
        "bitbucket.org" if base_url.path().is_empty() && !base_url.as_str().starts_with("http:") => return Ok(()),
        "bitbucket.org" if base_url.path().is_empty() => {
            ("Bitbucket Cloud cannot be reached by http://", "Enter https://bitbucket.org.")
        }
        "bitbucket.org" => (
            "this is the address of a workspace or repository, not of Bitbucket Cloud itself",
            "Enter https://bitbucket.org, and the workspace in its own field.",
        ),
        "www.bitbucket.org" | "api.bitbucket.org" => {
            ("this is not the address at which users log in to Bitbucket Cloud", "Enter https://bitbucket.org.")
        }
        _ => (
            "this is not Bitbucket Cloud, which is only at https://bitbucket.org",
            "Enter https://bitbucket.org. Bitbucket Data Center and Server are other products.",
        ),
    };
    Err(BaseUrlError::OtherPlatform { reason, hint })
}
