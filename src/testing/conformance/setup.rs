//! Checks what an administrator sees, before there are any credentials.

use super::{Conformance, Flow, Outcome, ensure, text_of};
use crate::provider::setup::{AppOwner, SetupRequest};
use crate::values::access::Access;
use crate::values::scope::Scopes;

pub(super) async fn platform(suite: &Conformance<'_>) -> Outcome {
    let (platform, provider) = (suite.provider.platform(), suite.provider);
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let id = platform.id();
    ensure(!id.is_empty() && id.bytes().all(is_allowed), || {
        format!("the platform id {id:?} is not valid: use only a-z, 0-9 and -")
    })?;
    ensure(!platform.name().trim().is_empty(), || {
        "Platform::name is empty: return the name that users know".to_owned()
    })?;
    ensure(!provider.issuers().is_empty(), || {
        "OAuthProvider::issuer is empty: return the URL that identifies the authorization server".to_owned()
    })?;
    let rebuilt = platform
        .provider(provider.base_url().clone())
        .map_err(|error| format!("Platform::provider must accept the provider's own base URL: {error}"))?;
    ensure(rebuilt.base_url() == provider.base_url(), || {
        "Platform::provider must keep the base URL that it is given".to_owned()
    })
}

pub(super) async fn scopes(suite: &Conformance<'_>) -> Outcome {
    for access in [Access::SignIn, Access::Read, Access::Write] {
        let required = suite.provider.required_scopes(&access);
        ensure(!required.is_empty(), || {
            format!("required_scopes is empty for Access::{access:?}: return at least one scope")
        })?;
        let mut labels = Vec::new();
        for scope in &required {
            let description = suite.provider.describe_scope(scope);
            ensure(description.scope == *scope, || {
                format!("describe_scope({scope}) must return that scope, but returned {}", description.scope)
            })?;
            ensure(!description.label.trim().is_empty(), || {
                format!("the label of the scope {scope} is empty: return the text of its check box")
            })?;
            ensure(!description.reason.trim().is_empty(), || {
                format!("the reason for the scope {scope} is empty: say why the app needs it")
            })?;
            ensure(!labels.contains(&description.label), || {
                format!("two scopes have the label {:?}: give each its own", description.label)
            })?;
            ensure(!description.implies.contains(scope), || {
                format!("the scope {scope} implies itself: remove it from `implies`")
            })?;
            labels.push(description.label);
        }
    }
    let custom: Scopes = "zeta:last alpha".parse().map_err(text_of)?;
    let required = suite.provider.required_scopes(&Access::Custom(custom.clone()));
    ensure(required.to_string() == custom.to_string(), || {
        format!("required_scopes must return custom scopes as they are: expected {custom}, found {required}")
    })
}

pub(super) async fn setup_guide(suite: &Conformance<'_>) -> Outcome {
    let provider = suite.provider;
    let flow = Flow::new(provider)?;
    for owner in [AppOwner::User, AppOwner::Group("acme".to_owned()), AppOwner::Instance] {
        for access in [Access::SignIn, Access::Read, Access::Write] {
            let request =
                SetupRequest::new(flow.public_url.clone(), flow.id.clone(), "Demo", access).map_err(text_of)?;
            let request = request.owner(owner.clone());
            let required = provider.required_scopes(&request.access);
            let guide = provider.setup_guide(&request);
            let callback = flow.callback_url.as_str();
            ensure(guide.callback_url.as_str() == callback, || {
                format!("the guide's callback_url must be {callback}, but is {}", guide.callback_url)
            })?;
            ensure(guide.fields.iter().any(|field| field.copy && field.value == callback), || {
                format!("the guide must have a field with `copy` and the value {callback}")
            })?;
            for (format, text) in
                [("text", guide.to_string()), ("Markdown", guide.to_markdown()), ("HTML", guide.to_html())]
            {
                ensure(text.contains(callback), || format!("the guide as {format} must contain {callback}"))?;
            }
            let requested: Scopes =
                guide.scopes.iter().filter(|row| row.requested).map(|row| row.description.scope.clone()).collect();
            ensure(requested == required, || {
                format!("the guide must list the scopes of required_scopes: expected {required}, found {requested}")
            })?;
            ensure(guide.platform_id == provider.platform().id(), || {
                "the guide's platform_id must be the platform's id".to_owned()
            })?;
            ensure(guide.base_url == *provider.base_url(), || {
                "the guide's base_url must be the provider's".to_owned()
            })?;
            ensure(!guide.steps.is_empty(), || "the guide has no steps: add at least one".to_owned())?;
            ensure(!guide.credentials.is_empty(), || {
                "the guide has no credentials: name those that the administrator must copy".to_owned()
            })?;
            ensure(!guide.links.is_empty(), || {
                "the guide has no link: add one to the page for new applications".to_owned()
            })?;
            ensure(guide.links == provider.setup_links(&request), || {
                "the guide's links must be those of setup_links".to_owned()
            })?;
        }
    }
    Ok(())
}
