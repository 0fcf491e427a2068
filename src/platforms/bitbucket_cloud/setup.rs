use super::{PLATFORM, scopes};
use crate::provider::setup::{
    AppOwner, LinkAddress, SetupCredentials, SetupField, SetupGuide, SetupLink, SetupRequest, SetupScope,
};
use crate::values::base_url::BaseUrl;
use crate::values::callback_url::CallbackUrl;

/// The pages at which to create the application. Its owner is always a workspace.
///
/// Bitbucket replaced "OAuth consumers" by "OAuth clients" during 2026, so the guide has both pages. The list of workspaces is
/// for administrators who do not know the ID of theirs.
///
/// Source: <https://support.atlassian.com/bitbucket-cloud/docs/use-oauth-on-bitbucket-cloud/>.
pub(crate) fn links(base: &BaseUrl, owner: &AppOwner) -> Vec<SetupLink> {
    let page = |segments: &[&str], label: &str, note: &str| {
        let (address, note) = match workspace(owner) {
            Some(workspace) => {
                let url = base.page(&[&[workspace, "workspace", "settings"], segments].concat());
                (LinkAddress::Url(url), note.to_owned())
            }
            None => {
                let template = format!("{base}/{WORKSPACE}/workspace/settings/{}", segments.join("/"));
                (LinkAddress::Template(template), format!("{note} Replace {WORKSPACE} with the workspace's ID."))
            }
        };
        SetupLink::new(address, label, "administrators of the workspace").note(note)
    };
    let workspaces = LinkAddress::Url(base.page(&["account", "workspaces", ""]));
    vec![
        page(&["oauth-clients"], "OAuth clients of the workspace", "The page since 2026."),
        page(
            &["oauth-consumers", "new"],
            "New OAuth consumer",
            "The older form. Use it if the first page does not exist.",
        ),
        SetupLink::new(workspaces, "Your workspaces", "anybody with a Bitbucket account")
            .note("Shows the workspace's ID, if you do not know it."),
    ]
}

pub(crate) fn guide(base: &BaseUrl, callback: &CallbackUrl, request: &SetupRequest) -> SetupGuide {
    let mut guide = SetupGuide::new(PLATFORM.id(), PLATFORM.name(), base.clone(), callback.clone());
    guide.title = format!("Create an OAuth client on Bitbucket Cloud for {}", request.name);
    guide.links = links(base, &request.owner);
    guide.steps = steps();
    guide.fields = fields(callback, request);
    guide.scopes = SetupScope::list(&scopes::required(&request.access), scopes::describe);
    guide.credentials = vec![
        SetupCredentials::new(
            "Client ID",
            "Secret",
            "In the dialog that opens when the OAuth client has been created.",
        ),
        SetupCredentials::new("Key", "Secret", "On the older page: click the name of the consumer."),
    ];
    guide.warnings = warnings(&guide);
    guide
}

/// The placeholder for the ID of a workspace that is not known yet.
const WORKSPACE: &str = "<WORKSPACE_NAME>";

/// The workspace, if there is one. Its text becomes one encoded path segment.
fn workspace(owner: &AppOwner) -> Option<&str> {
    match owner {
        AppOwner::Group(name) => Some(name.trim()).filter(|name| !matches!(*name, "" | "." | ".." | WORKSPACE)),
        AppOwner::User | AppOwner::Instance => None,
    }
}

fn steps() -> Vec<String> {
    [
        "Leave the form of this integration open, and do not save it yet.",
        "Open the first page and choose \"Create OAuth client\". If that page does not exist, open the second one, the \
         form of an OAuth consumer.",
        "Fill in the form: copy each value from below. The list has the fields of both forms; skip those that yours does not \
         have.",
        "Tick the scopes below, except those that another one includes.",
        "Save. The secret of an OAuth client is shown at once. On the older page, click the name of the new consumer to see it.",
        "Paste Client ID and Secret (Key and Secret on the older page) into the form of this integration and save it.",
        "Log in once yourself before you share the login link.",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The fields of both forms in one list: the dialog of an OAuth client, and the older form of an OAuth consumer. The note of a
/// field says if only one of them has it.
fn fields(callback: &CallbackUrl, request: &SetupRequest) -> Vec<SetupField> {
    let optional = |label| SetupField::set(label, "leave empty, or fill in as you like");
    vec![
        SetupField::copy("Name", &request.name)
            .note("Users see it when Bitbucket asks them to grant access. It must be unique in the workspace."),
        optional("Description"),
        SetupField::copy("Callback URL", callback.as_str())
            .note("The newer dialog shows this field only when \"Authorization code\" is ticked."),
        SetupField::copy("URL", request.public_url.as_str()).note("\"Learn more URL\" in the newer dialog. Optional."),
        optional("Privacy policy URL"),
        optional("End user license agreement URL"),
        SetupField::set("Authorization code", "on").note("Only in the newer dialog, under the supported grant types."),
        SetupField::set("Refresh token", "on")
            .note("Only in the newer dialog. It is ticked together with \"Authorization code\": leave it ticked."),
        SetupField::set("Client credentials", "off").note("Only in the newer dialog."),
        SetupField::set("This is a private consumer", "off").note("Only in the older form."),
    ]
}

fn warnings(guide: &SetupGuide) -> Vec<String> {
    let mut warnings = vec![
        "Only an administrator of a workspace can do this. A new Bitbucket account has no workspace: create one, or ask \
         to become an administrator of an existing one.",
        "Copy the callback URL exactly. If it differs, Bitbucket shows an error page and does not return to this app, so \
         this app cannot show you the error.",
        "An OAuth client has exactly one callback URL, and Bitbucket may accept every address that begins with it. Enter \
         the whole URL, never only its host name, and create an OAuth client for each integration.",
        "Leave \"This is a private consumer\" and \"Client credentials\" off: a login does not need them, and with them \
         the secret alone gives access, without a user.",
        "Bitbucket lets anybody with an account use an OAuth client, not only members of your workspace. If only they may \
         log in, this app must check the membership.",
        "If a scope is not ticked, it is missing from every token, or Bitbucket refuses the login.",
    ];
    if guide.scopes.iter().any(|scope| !scope.requested && scope.description.scope.as_str() == "repository:write") {
        warnings.push(
            "The scope pullrequest:write includes repository:write, so a token of this integration may push to every \
             repository that its user may push to.",
        );
    }
    if guide.callback_url.as_str().starts_with("http://") {
        warnings.push("This app's address begins with http://. Use that only for development on your own machine.");
    }
    warnings.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Network;

    fn addresses(owner: AppOwner) -> Result<Vec<(String, bool)>, crate::error::BaseUrlError> {
        let base = BaseUrl::parse("https://bitbucket.org", &Network::public_only())?;
        let links = links(&base, &owner);
        Ok(links.iter().map(|link| (link.address.as_str().to_owned(), link.url().is_some())).collect())
    }

    #[test]
    fn an_unknown_workspace_is_a_placeholder_and_not_a_link() -> Result<(), crate::error::BaseUrlError> {
        let expected = [
            ("https://bitbucket.org/<WORKSPACE_NAME>/workspace/settings/oauth-clients".to_owned(), false),
            ("https://bitbucket.org/<WORKSPACE_NAME>/workspace/settings/oauth-consumers/new".to_owned(), false),
            ("https://bitbucket.org/account/workspaces/".to_owned(), true),
        ];
        let unknown = ["", "  ", "..", "<WORKSPACE_NAME>"].map(|name| AppOwner::Group(name.to_owned()));
        for owner in unknown.into_iter().chain([AppOwner::User, AppOwner::Instance]) {
            assert_eq!(addresses(owner)?, expected);
        }
        Ok(())
    }

    #[test]
    fn a_workspace_is_one_encoded_segment() -> Result<(), crate::error::BaseUrlError> {
        for (workspace, segment) in [
            (" acme-dev_1 ", "acme-dev_1"),
            ("{8a4b6e0c-0c5d-4f0e-9d6a-0d8a4b6e0c5d}", "%7B8a4b6e0c-0c5d-4f0e-9d6a-0d8a4b6e0c5d%7D"),
            ("a/../b", "a%2F..%2Fb"),
            ("<script>\"", "%3Cscript%3E%22"),
        ] {
            let expected = [
                (format!("https://bitbucket.org/{segment}/workspace/settings/oauth-clients"), true),
                (format!("https://bitbucket.org/{segment}/workspace/settings/oauth-consumers/new"), true),
                ("https://bitbucket.org/account/workspaces/".to_owned(), true),
            ];
            assert_eq!(addresses(AppOwner::Group(workspace.to_owned()))?, expected);
        }
        Ok(())
    }
}
