use super::address::is_gitlab_com;
use super::{PLATFORM, scopes};
use crate::provider::setup::{
    AppOwner, LinkAddress, SetupCredentials, SetupField, SetupGuide, SetupLink, SetupRequest, SetupScope,
};
use crate::values::base_url::BaseUrl;
use crate::values::callback_url::CallbackUrl;
use crate::values::scope::Scopes;

/// The pages at which to create the application.
///
/// The page of a user's own applications moved in GitLab 16.7; the old address redirects for now. An administrator can
/// disable that page, so the pages of groups and of the instance follow.
///
/// Source: <https://docs.gitlab.com/integration/oauth_provider/>.
pub(crate) fn links(base: &BaseUrl, owner: &AppOwner) -> Vec<SetupLink> {
    match owner {
        AppOwner::Group(path) => vec![group(base, path)],
        // On GitLab.com, users are never administrators of the instance.
        AppOwner::Instance if !is_gitlab_com(base) => vec![instance(base)],
        AppOwner::Instance | AppOwner::User => {
            let mut links = vec![user(base)];
            if !is_gitlab_com(base) {
                links.push(older_user(base));
            }
            links.push(group(base, ""));
            if !is_gitlab_com(base) {
                links.push(instance(base));
            }
            links
        }
    }
}

/// `scopes` are those that logins ask for.
pub(crate) fn guide(base: &BaseUrl, request: &SetupRequest, scopes: &Scopes) -> SetupGuide {
    let callback = &request.callback_url(PLATFORM.id());
    let mut guide = SetupGuide::new(PLATFORM.id(), PLATFORM.name(), base.clone(), callback.clone());
    guide.title = format!("Create an OAuth application on GitLab for {}", request.name);
    guide.links = links(base, &request.owner);
    guide.steps = steps(&request.owner, guide.links.len());
    guide.fields = fields(callback, request);
    guide.scopes = SetupScope::list(scopes, scopes::describe);
    guide.credentials = vec![SetupCredentials::new(
        "Application ID",
        "Secret",
        "Both are on the page that opens after \"Save application\". The secret is shown only once.",
    )];
    guide.warnings = warnings(&guide, &request.owner);
    guide
}

fn user(base: &BaseUrl) -> SetupLink {
    let url = base.page(&["-", "user_settings", "applications"]);
    let note = match is_gitlab_com(base) {
        true => "What you create there is deleted with your account. For an organization, use the page of a group.",
        false => {
            "GitLab 16.7 and later. What you create there is deleted with your account. For an organization, use the page of a group \
             or of the whole instance."
        }
    };
    SetupLink::new(LinkAddress::Url(url), "Your own applications", "any user").note(note)
}

fn older_user(base: &BaseUrl) -> SetupLink {
    let url = base.page(&["-", "profile", "applications"]);
    SetupLink::new(LinkAddress::Url(url), "Your own applications, older address", "any user")
        .note("GitLab 13.5 to 16.6; later versions redirect to the address above.")
}

fn group(base: &BaseUrl, path: &str) -> SetupLink {
    let (label, who) = ("Applications of a group", "owners of the group");
    let segments: Vec<&str> = path.split('/').map(str::trim).filter(|part| !matches!(*part, "" | "." | "..")).collect();
    if segments.is_empty() {
        let template = format!("{base}/groups/{GROUP}/-/settings/applications");
        return SetupLink::new(LinkAddress::Template(template), label, who)
            .note(format!("Replace {GROUP} with the group's full path, such as acme/tools."));
    }
    let url = base.page(&[&["groups"], segments.as_slice(), &["-", "settings", "applications"]].concat());
    SetupLink::new(LinkAddress::Url(url), label, who)
}

fn instance(base: &BaseUrl) -> SetupLink {
    let url = base.page(&["admin", "applications", "new"]);
    SetupLink::new(LinkAddress::Url(url), "Applications of the whole instance", "administrators of the GitLab instance")
}

/// The placeholder for the full path of a group that is not known yet.
const GROUP: &str = "<GROUP_PATH>";

fn steps(owner: &AppOwner, pages: usize) -> Vec<String> {
    let open = match owner {
        AppOwner::Group(_) => "Open the group's page, and choose \"Add new application\".",
        AppOwner::Instance | AppOwner::User if pages == 1 => {
            "Open the page. If it has a button \"Add new application\", choose it."
        }
        AppOwner::Instance | AppOwner::User => {
            "Open one of the pages. If it has a button \"Add new application\", choose it."
        }
    };
    [
        "Leave the form of this integration open, and do not save it yet.",
        open,
        "Fill in the form: copy each value from below.",
        "Tick exactly the scopes below.",
        "Choose \"Save application\". Copy Application ID and Secret before you leave the page.",
        "Paste both into the form of this integration and save it.",
        "Log in once yourself before you share the login link.",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn fields(callback: &CallbackUrl, request: &SetupRequest) -> Vec<SetupField> {
    let mut fields = vec![
        SetupField::copy("Name", &request.name).note("Users see it when GitLab asks them to authorize."),
        SetupField::copy("Redirect URI", callback.as_str())
            .note("If you enter more than one, put each on its own line."),
    ];
    let more = request.callback_urls(PLATFORM.id()).into_iter().skip(1);
    fields
        .extend(more.map(|url| SetupField::copy("Redirect URI", url.as_str()).note("On the next line of that field.")));
    fields.extend([
        SetupField::set("Trusted", "off").note("Only in the admin area."),
        SetupField::set("Confidential", "on"),
        SetupField::set("Device authorization grant", "off").note("Only in newer versions."),
    ]);
    fields
}

fn warnings(guide: &SetupGuide, owner: &AppOwner) -> Vec<String> {
    let mut warnings = vec![
        "Copy the redirect URI exactly: with one more slash at the end, GitLab refuses every login.",
        "If a scope or the redirect URI is wrong, GitLab shows an error page and does not return to this app, so this \
         app cannot show you the error.",
        "The secret is shown only once. If you lose it, \"Renew secret\" creates a new one, and the old one stops working at \
         once.",
        "Leave \"Trusted\" off: with it, GitLab does not ask users to authorize this app.",
    ];
    let self_managed = !is_gitlab_com(&guide.base_url);
    if self_managed && matches!(owner, AppOwner::User) {
        warnings.push(
            "Administrators can forbid users' own applications. If you cannot open the page, ask for an application \
             of a group or of the instance.",
        );
    }
    let wide = |scope: &SetupScope| scope.requested && matches!(scope.description.scope.as_str(), "api" | "read_api");
    if self_managed && guide.scopes.iter().any(wide) {
        warnings.push(
            "A GitLab can be configured to refuse the scopes api and read_api to its administrators. They then see an \
             error page of GitLab.",
        );
    }
    if guide.callback_url.as_str().starts_with("http://") {
        warnings.push("This app's address begins with http://. Use that only for development on your own machine.");
    }
    if guide.base_url.as_str().starts_with("http://") {
        warnings.push("This GitLab's address begins with http://: the secret and all tokens are sent unencrypted.");
    }
    warnings.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Network;

    type Result = std::result::Result<(), crate::error::BaseUrlError>;

    fn addresses(base: &str, owner: &AppOwner) -> std::result::Result<Vec<String>, crate::error::BaseUrlError> {
        let base = BaseUrl::parse(base, &Network::public_only())?;
        Ok(links(&base, owner).iter().map(|link| link.address.as_str().to_owned()).collect())
    }

    #[test]
    fn the_user_s_own_page_comes_first() -> Result {
        let expected = [
            "https://git.example.com:8443/gitlab/-/user_settings/applications",
            "https://git.example.com:8443/gitlab/-/profile/applications",
            "https://git.example.com:8443/gitlab/groups/<GROUP_PATH>/-/settings/applications",
            "https://git.example.com:8443/gitlab/admin/applications/new",
        ];
        assert_eq!(addresses("https://git.example.com:8443/gitlab/", &AppOwner::User)?, expected);
        Ok(())
    }

    #[test]
    fn what_is_said_about_personal_applications_stands_at_their_link() -> Result {
        for base in ["https://gitlab.com", "https://git.example.com"] {
            let base = BaseUrl::parse(base, &Network::public_only())?;
            let links = links(&base, &AppOwner::User);
            let note = links.first().and_then(|link| link.note.as_deref()).unwrap_or_default();
            assert!(note.contains("For an organization, use the page of a group"), "{note}");
            assert_eq!(note.contains("instance"), !is_gitlab_com(&base), "{note}");
            assert!(!steps(&AppOwner::User, links.len()).concat().contains("your own"));
        }
        Ok(())
    }

    #[test]
    fn a_group_has_its_own_page_with_every_segment_encoded() -> Result {
        for (path, expected) in [
            ("acme", "https://git.example.com/gitlab/groups/acme/-/settings/applications"),
            ("/acme/tools/ ", "https://git.example.com/gitlab/groups/acme/tools/-/settings/applications"),
            ("acme/a b?#", "https://git.example.com/gitlab/groups/acme/a%20b%3F%23/-/settings/applications"),
            ("../..//evil", "https://git.example.com/gitlab/groups/evil/-/settings/applications"),
            (" ", "https://git.example.com/gitlab/groups/<GROUP_PATH>/-/settings/applications"),
        ] {
            assert_eq!(addresses("https://git.example.com/gitlab", &AppOwner::Group(path.to_owned()))?, [expected]);
        }
        Ok(())
    }

    #[test]
    fn gitlab_com_has_no_admin_area() -> Result {
        let own = addresses("https://git.example.com", &AppOwner::Instance)?;
        assert_eq!(own, ["https://git.example.com/admin/applications/new"]);
        let shared = [
            "https://gitlab.com/-/user_settings/applications",
            "https://gitlab.com/groups/<GROUP_PATH>/-/settings/applications",
        ];
        for owner in [AppOwner::User, AppOwner::Instance] {
            assert_eq!(addresses("https://gitlab.com", &owner)?, shared);
        }
        Ok(())
    }

    #[test]
    fn an_address_with_a_placeholder_is_not_a_link() -> Result {
        let base = BaseUrl::parse("https://git.example.com", &Network::public_only())?;
        for link in links(&base, &AppOwner::User) {
            assert_eq!(link.url().is_none(), link.address.as_str().contains('<'));
        }
        Ok(())
    }
}
