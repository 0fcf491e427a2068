use url::Url;

use super::{HOSTS, PLATFORM, scopes};
use crate::provider::setup::{
    AppOwner, LinkAddress, SetupCredentials, SetupField, SetupGuide, SetupLink, SetupRequest, SetupScope,
};
use crate::values::base_url::BaseUrl;

/// The pages with the form for a new application. No address can fill it in.
pub(super) fn links(base: &BaseUrl, owner: &AppOwner) -> Vec<SetupLink> {
    let user = || SetupLink::new(LinkAddress::Url(applications(base)), "Your own applications", "any user");
    let instance = || {
        let url = base.page(&["admin", "applications"]);
        SetupLink::new(LinkAddress::Url(url), "Applications of the whole server", "site administrators")
    };
    let organization = |name: &str| {
        let (label, who) = ("Applications of an organization", "owners of the organization");
        let name = name.trim().trim_matches('/');
        if name.is_empty() || name.contains('/') {
            let template = format!("{base}/org/{ORGANIZATION}/settings/applications");
            return SetupLink::new(LinkAddress::Template(template), label, who)
                .note(format!("Replace {ORGANIZATION} with the organization's name in its address."));
        }
        SetupLink::new(LinkAddress::Url(base.page(&["org", name, "settings", "applications"])), label, who)
    };
    match owner {
        AppOwner::Group(name) => vec![organization(name)],
        AppOwner::Instance if !is_service(base) => vec![instance()],
        // Only the staff of a public service administrate it.
        AppOwner::Instance | AppOwner::User if is_service(base) => vec![organization(""), user()],
        AppOwner::Instance | AppOwner::User => vec![organization(""), instance(), user()],
    }
}

/// Where a user finds their own applications.
pub(super) fn applications(base: &BaseUrl) -> Url {
    base.page(&["user", "settings", "applications"])
}

/// Where a user revokes the access of an application: the same page, in another section.
pub(super) fn authorized(base: &BaseUrl) -> Url {
    applications(base)
}

pub(super) fn guide(base: &BaseUrl, request: &SetupRequest) -> SetupGuide {
    let mut guide = SetupGuide::new(PLATFORM.id(), PLATFORM.name(), base.clone(), request.callback_url(PLATFORM.id()));
    guide.title = format!("Create an OAuth2 application on Forgejo or Gitea for {}", request.name);
    guide.links = links(base, &request.owner);
    guide.steps = steps(guide.links.len());
    guide.fields = vec![
        SetupField::copy("Application name", &request.name)
            .note("Users see it when the server asks them to authorize."),
        SetupField::copy("Redirect URIs", guide.callback_url.as_str()).note("One on each line."),
    ];
    let more = request.callback_urls(PLATFORM.id()).into_iter().skip(1);
    guide.fields.extend(
        more.map(|url| SetupField::copy("Redirect URIs", url.as_str()).note("On the next line of that field.")),
    );
    guide.fields.extend([
        SetupField::set("Confidential client", "on"),
        SetupField::set("Skip authorization for public clients", "off").note("Only on Gitea."),
    ]);
    guide.scopes = SetupScope::list(&scopes::required(&request.access), scopes::describe);
    guide.has_scope_boxes = false;
    guide.credentials = vec![SetupCredentials::new(
        "Client ID",
        "Client secret",
        "On the page that opens after \"Create application\". The secret is shown only once.",
    )];
    guide.warnings = warnings(&guide, &request.owner);
    guide
}

/// Codeberg or gitea.com.
fn is_service(base: &BaseUrl) -> bool {
    HOSTS.contains(&base.authority())
}

fn warnings(guide: &SetupGuide, owner: &AppOwner) -> Vec<String> {
    let mut warnings = vec![
        "Copy the redirect URI exactly. If it differs, the server shows an error page and does not return to this app, so this \
         app cannot show you the error.",
        "If you open the application again, its secret field has a placeholder, \"averysecuresecret\". Do not copy that: choose \
         \"Regenerate secret\". The old secret stops working at once.",
        "The page on which users authorize this app says that it gets full access to the account. That is true only if no scopes are \
         listed below that sentence.",
        "A user who has authorized this app keeps the scopes of that time. If this app asks for more later, the user must first \
         revoke its access in the settings, under \"Authorized OAuth2 applications\".",
        "Use one application for each integration: with two that share one, each login of a user ends the tokens of the other.",
        "If you cannot see the section, OAuth2 is switched off on this server. Ask its administrator.",
    ];
    if matches!(owner, AppOwner::User) {
        warnings.push(match is_service(&guide.base_url) {
            true => {
                "Your own application belongs to your account and is deleted with it. For an organization, use an application of an \
                 organization."
            }
            false => {
                "Your own application belongs to your account and is deleted with it. For an organization, use an application of an \
                 organization or of the whole server."
            }
        });
    }
    if guide.callback_url.as_str().starts_with("http://") {
        warnings.push("This app's address begins with http://. Use that only for development on your own machine.");
    }
    if guide.base_url.as_str().starts_with("http://") {
        warnings.push("This server's address begins with http://: the secret and all tokens are sent unencrypted.");
    }
    warnings.into_iter().map(str::to_owned).collect()
}

fn steps(pages: usize) -> Vec<String> {
    let open = match pages {
        1 => "Open the page, and find the section \"Manage OAuth2 applications\".",
        _ => "Open the first page that your account may open, and find the section \"Manage OAuth2 applications\".",
    };
    [
        "Leave the form of this integration open, and do not save it yet.",
        open,
        "Fill in the form: copy each value from below.",
        "Choose \"Create application\". Copy Client ID and Client secret before you leave the page.",
        "Paste both into the form of this integration and save it.",
        "Log in once yourself before you share the login link.",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The placeholder for an organization that is not known yet.
const ORGANIZATION: &str = "<ORGANIZATION>";
