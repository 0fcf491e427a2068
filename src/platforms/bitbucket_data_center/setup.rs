use url::Url;

use super::{PLATFORM, scopes};
use crate::provider::setup::{
    LinkAddress, SetupCredentials, SetupField, SetupGuide, SetupLink, SetupRequest, SetupScope,
};
use crate::values::base_url::BaseUrl;

/// The one page with application links. No address can fill in its form, and users cannot open it.
pub(super) fn links(base: &BaseUrl) -> Vec<SetupLink> {
    let who = "administrators; on some versions system administrators only";
    vec![SetupLink::new(LinkAddress::Url(applications(base)), "Application links", who)]
}

pub(super) fn applications(base: &BaseUrl) -> Url {
    base.page(&["plugins", "servlet", "applinks", "listApplicationLinks"])
}

/// Where a user finds the authorized applications.
pub(super) fn account(base: &BaseUrl) -> Url {
    base.page(&["account"])
}

pub(super) fn guide(base: &BaseUrl, request: &SetupRequest) -> SetupGuide {
    let callback_url = request.callback_url(PLATFORM.id());
    let mut guide = SetupGuide::new(PLATFORM.id(), PLATFORM.name(), base.clone(), callback_url.clone());
    guide.title = format!("Create an incoming application link on Bitbucket for {}", request.name);
    guide.links = links(base);
    guide.fields = vec![
        SetupField::set("Application type", "External application"),
        SetupField::set("Direction", "Incoming"),
        SetupField::copy("Name", &request.name).note("Users see it when Bitbucket asks them to authorize."),
        SetupField::copy("Redirect URL", callback_url.as_str())
            .note("One URL only: make a link for each callback URL."),
    ];
    let required = scopes::required(&request.access);
    guide.has_scope_boxes = required.iter().any(|scope| scope.as_str() != scopes::PUBLIC_REPOS);
    if !guide.has_scope_boxes {
        guide.fields.push(SetupField::set("Application permissions", "none"));
    }
    guide.steps = steps(guide.has_scope_boxes);
    guide.scopes = SetupScope::list(&required, scopes::describe);
    guide.credentials = vec![SetupCredentials::new(
        "Client ID",
        "Client secret",
        "On the page that opens after \"Save\", and later in the list, under \"More actions\", \"View credentials\".",
    )];
    guide.warnings = warnings(&guide);
    guide
}

fn warnings(guide: &SetupGuide) -> Vec<String> {
    let mut warnings = vec![
        "Bitbucket must be version 7.20 or later: older ones have no OAuth 2.0.",
        "The base URL in Bitbucket's own server settings must begin with https://, or its OAuth 2.0 does not work.",
        "Choose \"External application\". The other type, \"Atlassian product\", does not work for this app.",
        "Copy the redirect URL exactly. If it differs, Bitbucket shows an error page and does not return to this app, so this \
         app cannot show you the error.",
        "Only one administrator should work on application links at a time, since a new link has damaged others before.",
        "Atlassian ends all licences of Bitbucket Data Center on 28 March 2029: then it is read-only.",
    ];
    if guide.scopes.iter().any(|scope| scope.requested && scope.description.scope.as_str() == scopes::REPO_ADMIN) {
        warnings.push(
            "REPO_ADMIN also allows to change the settings of every repository that the user administers. Bitbucket has no \
             narrower scope for webhooks.",
        );
    }
    if guide.callback_url.as_str().starts_with("http://") {
        warnings.push(
            "This app's address begins with http://. Bitbucket accepts only https://, unless its property \
             atlassian.oauth2.provider.skip.redirect.url.https.requirement is true. Use that only for development.",
        );
    }
    if guide.base_url.as_str().starts_with("http://") {
        warnings.push(
            "This Bitbucket's address begins with http://. Its OAuth 2.0 works only with a base URL of https://, unless its \
             property atlassian.oauth2.provider.skip.base.url.https.requirement is true: then the secret and all tokens are \
             sent unencrypted.",
        );
    }
    warnings.into_iter().map(str::to_owned).collect()
}

fn steps(has_scope_boxes: bool) -> Vec<String> {
    let form = match has_scope_boxes {
        true => {
            "Fill in the form: copy each value from below. Under \"Application permissions\", tick the scopes as shown below."
        }
        false => "Fill in the form: copy each value from below, and leave the application permissions empty.",
    };
    let steps = [
        "Leave the form of this integration open, and do not save it yet.",
        "Open the page, and choose \"Create link\".",
        form,
        "Choose \"Save\". Copy Client ID and Client secret.",
        "Paste both into the form of this integration and save it.",
        "Log in once yourself before you share the login link.",
    ];
    steps.map(str::to_owned).to_vec()
}
