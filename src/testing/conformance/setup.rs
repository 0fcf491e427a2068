//! Checks what an administrator sees, before there are any credentials.

use super::{Conformance, Flow, Outcome, ensure, text_of};
use crate::provider::setup::{AppOwner, SetupRequest};
use crate::values::access::Access;
use crate::values::scope::Scopes;

pub(super) async fn platform(suite: &Conformance<'_>) -> Outcome {
    let (platform, provider) = (suite.provider.platform(), suite.provider);
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let id = platform.id();
    ensure(!id.is_empty() && id.bytes().all(inside), || format!("{id:?} is not a platform id: use a-z, 0-9 and -"))?;
    ensure(!platform.name().trim().is_empty(), || "the platform has no name".to_owned())?;
    ensure(!provider.issuer().is_empty(), || "the issuer is empty".to_owned())?;
    let rebuilt = platform
        .provider(provider.base_url().clone())
        .map_err(|error| format!("Platform::provider refuses: {error}"))?;
    ensure(rebuilt.base_url() == provider.base_url(), || {
        "Platform::provider changes the provider's own base URL".to_owned()
    })
}

pub(super) async fn scopes(suite: &Conformance<'_>) -> Outcome {
    for access in [Access::SignIn, Access::Read, Access::Write] {
        let required = suite.provider.required_scopes(&access);
        ensure(!required.is_empty(), || format!("{access:?} asks for no scope"))?;
        let mut labels = Vec::new();
        for scope in &required {
            let description = suite.provider.describe_scope(scope);
            ensure(description.scope == *scope, || format!("{scope} is described as {}", description.scope))?;
            ensure(!description.label.trim().is_empty(), || format!("{scope} has no label"))?;
            ensure(!description.reason.trim().is_empty(), || format!("{scope} has no reason"))?;
            ensure(!labels.contains(&description.label), || format!("two scopes are labelled {}", description.label))?;
            ensure(!description.implies.contains(scope), || format!("{scope} implies itself"))?;
            labels.push(description.label);
        }
    }
    let custom: Scopes = "zeta:last alpha".parse().map_err(text_of)?;
    let required = suite.provider.required_scopes(&Access::Custom(custom.clone()));
    ensure(required.to_string() == custom.to_string(), || format!("custom scopes {custom} became {required}"))
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
                format!("the guide's callback is {}", guide.callback_url)
            })?;
            ensure(guide.fields.iter().any(|field| field.copy && field.value == callback), || {
                format!("no field to copy has the value {callback}")
            })?;
            for (format, text) in
                [("text", guide.to_string()), ("Markdown", guide.to_markdown()), ("HTML", guide.to_html())]
            {
                ensure(text.contains(callback), || format!("the {format} guide does not show {callback}"))?;
            }
            let requested: Scopes =
                guide.scopes.iter().filter(|row| row.requested).map(|row| row.description.scope.clone()).collect();
            ensure(requested == required, || format!("the guide lists {requested}, a login asks for {required}"))?;
            ensure(guide.platform_id == provider.platform().id(), || "the guide is of another platform".to_owned())?;
            ensure(guide.base_url == *provider.base_url(), || "the guide is of another base URL".to_owned())?;
            ensure(!guide.steps.is_empty(), || "the guide has no steps".to_owned())?;
            ensure(!guide.credentials.is_empty(), || "the guide does not name the credentials".to_owned())?;
            ensure(!guide.links.is_empty(), || "the guide has no link".to_owned())?;
            ensure(guide.links == provider.setup_links(&owner), || {
                "the guide has other links than setup_links".to_owned()
            })?;
        }
    }
    Ok(())
}
