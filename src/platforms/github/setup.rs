use url::Url;

use super::address::{Kind, kind};
use super::{PLATFORM, scopes};
use crate::provider::setup::{
    AppOwner, LinkAddress, SetupCredentials, SetupField, SetupGuide, SetupLink, SetupRequest, SetupScope,
};
use crate::values::base_url::BaseUrl;
use crate::values::callback_url::CallbackUrl;

/// The forms for a new OAuth App, filled in as far as their URL can do that.
pub(super) fn links(base: &BaseUrl, request: &SetupRequest) -> Vec<SetupLink> {
    let user = || {
        let url = filled(base.page(&["settings", "applications", "new"]), request);
        SetupLink::new(LinkAddress::Url(url), "A new OAuth App of your own", "any user")
    };
    let group = |name: &str| {
        let (label, who) = ("A new OAuth App of an organization", "owners of the organization");
        let name = name.trim().trim_matches('/');
        if name.is_empty() || name.contains('/') {
            let template = format!("{base}/organizations/{ORGANIZATION}/settings/applications/new");
            return SetupLink::new(LinkAddress::Template(template), label, who)
                .note(format!("Replace {ORGANIZATION} with the organization's name in its address."));
        }
        let url = filled(base.page(&["organizations", name, "settings", "applications", "new"]), request);
        SetupLink::new(LinkAddress::Url(url), label, who)
    };
    match &request.owner {
        AppOwner::Group(name) => vec![group(name)],
        AppOwner::User | AppOwner::Instance => vec![group(""), user()],
    }
}

/// The list of a user's OAuth Apps, where an administrator finds the application later.
pub(super) fn applications(base: &BaseUrl) -> Url {
    base.page(&["settings", "developers"])
}

pub(super) fn guide(base: &BaseUrl, request: &SetupRequest) -> SetupGuide {
    let callback_urls = request.callback_urls(PLATFORM.id());
    let mut guide = SetupGuide::new(PLATFORM.id(), PLATFORM.name(), base.clone(), request.callback_url(PLATFORM.id()));
    guide.title = format!("Create an OAuth App on GitHub for {}", request.name);
    guide.links = links(base, request);
    guide.steps = steps(guide.links.len());
    guide.fields = vec![
        SetupField::copy("Application name", &request.name).note("Users see it when GitHub asks them to authorize."),
        SetupField::copy("Homepage URL", request.public_url.as_str()),
    ];
    let field = |(index, url): (usize, &CallbackUrl)| {
        let note = match index {
            0 => "In the newer form: \"Redirect URI\".",
            _ => "Choose \"Add redirect URI\" for it. The older form takes only one URL.",
        };
        SetupField::copy("Authorization callback URL", url.as_str()).note(note)
    };
    guide.fields.extend(callback_urls.iter().enumerate().map(field));
    guide.fields.push(SetupField::set("Allow wildcard matching", "off").note("Only in the newer form."));
    guide.fields.push(SetupField::set("Enable Device Flow", "off"));
    guide.scopes = SetupScope::list(&scopes::required(&request.access), scopes::describe);
    guide.has_scope_boxes = false;
    guide.credentials = vec![SetupCredentials::new(
        "Client ID",
        "Client secret",
        "On the page of the OAuth App. Choose \"Generate a new client secret\"; it is shown only once.",
    )];
    guide.warnings = warnings(&guide);
    guide
}

fn filled(mut url: Url, request: &SetupRequest) -> Url {
    url.query_pairs_mut()
        .append_pair("oauth_application[name]", &request.name)
        .append_pair("oauth_application[url]", request.public_url.as_str())
        .append_pair("oauth_application[callback_url]", request.callback_url(PLATFORM.id()).as_str());
    url
}

fn warnings(guide: &SetupGuide) -> Vec<String> {
    let kind = kind(&guide.base_url);
    let mut warnings = vec![
        "Copy the callback URL exactly. If it differs, GitHub shows an error page and does not return to this app, so this \
         app cannot show you the error.",
        "Leave \"Allow wildcard matching\" off: with it, GitHub sends codes to other addresses of this app's host too.",
        "A GitHub App works too: enter its Client ID, which begins with Iv, and a client secret of it. It has permissions in place of \
         scopes: allow it to read e-mail addresses, and members of organizations if this app asks for them.",
        "GitHub keeps at most ten tokens for each user, application and set of scopes. Each further login ends an older one, so \
         use one OAuth App for each integration.",
    ];
    if kind != Kind::EnterpriseServer {
        warnings.push(
            "An organization can restrict OAuth Apps. Then an owner of the organization must approve this one, unless the \
             organization itself owns it.",
        );
    }
    if guide.scopes.iter().any(|scope| scope.description.scope.as_str() == "repo") {
        warnings.push(
            "The scope repo allows this app to read and write every repository that its user may read and write. GitHub has no \
             scope that only reads private repositories.",
        );
    }
    if guide.callback_url.as_str().starts_with("http://") {
        warnings.push("This app's address begins with http://. Use that only for development on your own machine.");
    }
    if guide.base_url.as_str().starts_with("http://") {
        warnings.push("This GitHub's address begins with http://: the secret and all tokens are sent unencrypted.");
    }
    warnings.into_iter().map(str::to_owned).collect()
}

fn steps(pages: usize) -> Vec<String> {
    let open = match pages {
        1 => "Open the page. If the form is not filled in, copy each value from below.",
        _ => {
            "Open the first page that your account may open. If the form is not filled in, copy each value from below."
        }
    };
    [
        "Leave the form of this integration open, and do not save it yet.",
        open,
        "Choose \"Register application\".",
        "Choose \"Generate a new client secret\". Copy Client ID and Client secret before you leave the page.",
        "Paste both into the form of this integration and save it.",
        "Log in once yourself before you share the login link.",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The placeholder for an organization that is not known yet.
const ORGANIZATION: &str = "<ORGANIZATION>";
