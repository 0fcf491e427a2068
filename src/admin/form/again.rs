//! The form once more, with what was typed: after the session or the right has ended, or if saving failed.

use axum::response::Response;
use http::HeaderValue;
use url::Url;

use super::page::{Form, Notice};
use super::stale;
use super::typed::Typed;
use crate::admin::actions::UsableSecrets;
use crate::admin::fault::Fault;
use crate::admin::visit::{Request, View};
use crate::router::FailureCause;
use crate::settings::FieldErrors;

pub(super) async fn show(request: Request, typed: &Typed, fault: Fault) -> Response {
    if !is_from_this_app(&request) {
        return request.fault(fault).await;
    }
    let sent = request.clone();
    match try_show(request, typed, &fault).await {
        Ok(Some(response)) => response,
        Ok(None) => sent.fault(fault).await,
        Err(other) => sent.fault(other).await,
    }
}

/// `None` if it is the form of no integration.
async fn try_show(request: Request, typed: &Typed, fault: &Fault) -> Result<Option<Response>, Fault> {
    let id_in_path = request.id.clone();
    // Nothing is stored for strangers: what they have typed is in the response only, and the secrets are not.
    let (mut view, administrator) = match request.clone().visit().await {
        Ok(visit) => (visit.view, Some(visit.administrator)),
        Err(_) => (request.view_of_stranger().await?, None),
    };
    let id = match &id_in_path {
        Some(id) => id.parse().ok(),
        None => view.new_id(typed),
    };
    let Some(id) = id else { return Ok(None) };
    if matches!(fault, Fault::NotFound) {
        return Ok(Some(stale::show_deleted(view, typed).await));
    }
    fault.log();
    let reading = typed.draft().read(view.integrations().config(), Some(&id));
    let UsableSecrets { kept, not_kept, .. } = match &administrator {
        // If they cannot be kept either, they are typed again.
        Some(administrator) => {
            view.secrets(&administrator.user_id, &id, &reading, typed.secrets(), None).await.unwrap_or_default()
        }
        None => UsableSecrets::default(),
    };
    let mut errors = match fault {
        Fault::Fields(errors) => errors.clone(),
        _ => FieldErrors::default(),
    };
    errors.extend(not_kept);
    let form = Form {
        view: &view,
        typed,
        id: &id,
        stored: None,
        is_edit: id_in_path.is_some(),
        is_operator: false,
        reading: &reading,
        errors,
        kept,
        report: None,
        notice: notice(&view, typed, fault),
    };
    let (title, body) = (form.title(), form.render());
    Ok(Some(view.page(fault.status(), &title, body, &[]).await))
}

fn notice(view: &View, typed: &Typed, fault: &Fault) -> Option<Notice> {
    let own = |message: &str, hint: &str| {
        let (message, hint) = (view.text(message).into_owned(), view.text(hint).into_owned());
        let login_path = fault.is_about_stranger().then(|| view.admin.0.access.login_path().to_owned());
        Some(Notice { message, hint, login_path })
    };
    match fault {
        Fault::Fields(_) => None,
        Fault::LoggedOut if typed.has_any_secret() => own(
            "You are not logged in any more. Nothing was saved, and what you typed is still here, except the secret.",
            "Log in in another tab, then come back to this page, enter the secret again, and press the button.",
        ),
        Fault::LoggedOut => own(
            "You are not logged in any more. Nothing was saved, and what you typed is still here.",
            "Log in in another tab, then come back to this page and press the button again.",
        ),
        Fault::NoAccess if typed.has_any_secret() => own(
            "You do not have access to these integrations. Nothing was saved, and what you typed is still here, except the secret.",
            "Log in as an administrator in another tab, then come back to this page, enter the secret again, and press the button.",
        ),
        Fault::NoAccess => own(
            "You do not have access to these integrations. Nothing was saved, and what you typed is still here.",
            "Log in as an administrator in another tab, then come back to this page and press the button again.",
        ),
        Fault::Login(failure) if matches!(failure.cause, FailureCause::Csrf) => own(
            "This page belonged to an older session. Nothing was saved, and what you typed is still here.",
            "Press the button once more.",
        ),
        fault => {
            let (_, message, hint) = fault.texts();
            own(&message, &hint)
        }
    }
}

/// Whether the browser says that a page of this app has sent the form (Fetch Metadata, or the `Origin` of older browsers and of plain
/// HTTP). Another site could fill in the form for the administrator otherwise.
fn is_from_this_app(request: &Request) -> bool {
    let header = |name| request.head.headers.get(name).map(HeaderValue::as_bytes);
    match (header("sec-fetch-site"), header("origin")) {
        (Some(site), _) => site == b"same-origin",
        (None, Some(origin)) => {
            let public_url = Url::parse(request.admin.0.integrations.config().public_url().as_str());
            public_url.is_ok_and(|url| url.origin().ascii_serialization().as_bytes() == origin)
        }
        (None, None) => false,
    }
}
