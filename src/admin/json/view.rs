//! What a client gets. No secret is in it.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::admin::actions::Outcome;
use crate::admin::fault::Fault;
use crate::admin::form::UNCHECKED;
use crate::admin::overview::{Overview, Problem, authority};
use crate::admin::pages::secure;
use crate::admin::test_login::KeptReport;
use crate::admin::time::rfc3339;
use crate::admin::visit::{Request, Visit};
use crate::provider::check::{CheckReport, Verdict};
use crate::provider::platform::Platform;
use crate::provider::setup::SetupGuide;
use crate::settings::{Draft, Health, MoveKind, Stamp, StoredIntegration, UnreadableIntegration};
use crate::values::integration_id::IntegrationId;

/// What a front end must know first.
pub(super) fn start(visit: &Visit) -> Value {
    let platforms: Vec<_> = visit.integrations().config().platforms().iter().map(|one| platform(visit, *one)).collect();
    json!({
        "api_version": 1,
        "csrf_token": visit.csrf_token,
        "me": {
            "user_id": visit.administrator.user_id,
            "name": visit.administrator.name,
            "is_operator": visit.administrator.is_operator,
        },
        "owner": visit.owner,
        "platforms": platforms,
        "access": {
            "preset": visit.admin.0.preset_access,
            "levels": ["sign-in", "read", "write"],
        },
        "email_trust": ["platform", "this-instance", "without-verification"],
    })
}

fn platform(visit: &Visit, platform: Platform) -> Value {
    let services = platform.services();
    let base_url = services.first().map_or(ANY_BASE_URL, |service| service.base_url);
    let mut draft = Draft::default();
    platform.id().clone_into(&mut draft.platform);
    base_url.clone_into(&mut draft.base_url);
    "sign-in".clone_into(&mut draft.access);
    let id: Option<IntegrationId> = "labels".parse().ok();
    let guide = draft.read(visit.integrations().config(), id.as_ref()).guide;
    let services: Vec<_> = services.iter().map(|one| json!({ "name": one.name, "base_url": one.base_url })).collect();
    json!({
        "id": platform.id(),
        "name": platform.name(),
        "services": services,
        "labels": labels(guide.as_ref()),
    })
}

/// The platform's own labels of the client id and secret.
fn labels(guide: Option<&SetupGuide>) -> Value {
    let labels = guide.and_then(|guide| guide.credentials.first());
    json!({
        "client_id": labels.map_or("Client ID", |labels| &labels.id),
        "client_secret": labels.map_or("Client secret", |labels| &labels.secret),
    })
}

pub(super) fn draft(id: &IntegrationId, signature: Option<&str>, outcome: &Outcome) -> Value {
    let reading = &outcome.reading;
    json!({
        "id": id.as_str(),
        "signature": signature,
        "name": reading.name,
        "guide": reading.guide,
        "links": reading.links,
        "scopes": reading.scopes,
        "labels": labels(reading.guide.as_ref()),
        "has_secret": outcome.kept.client_secret,
        "errors": outcome.errors,
    })
}

/// An integration in the list. Of one that cannot be read, only what is known without its settings.
pub(super) fn listed(visit: &Visit, one: &Result<Overview, UnreadableIntegration>) -> Value {
    match one {
        Ok(one) => overview(visit, one),
        Err(one) => json!({
            "id": one.id.as_str(),
            "version": one.version,
            "name": one.name,
            "problem": Problem::from(one),
            "changed": stamp(&one.changed),
        }),
    }
}

pub(super) fn overview(visit: &Visit, one: &Overview) -> Value {
    let mut view = stored(&one.stored, visit.administrator.is_operator);
    let guide = visit.guide(&one.stored);
    let name = visit.platform(&one.stored.settings.platform).map(|platform| platform.name());
    let more = json!({
        "platform_name": name,
        "authority": authority(&one.stored.settings.base_url),
        "callback_url": guide.as_ref().map(|guide| guide.callback_url.as_str()),
        "labels": labels(guide.as_ref()),
        "login_link": one.login_link(),
        "problem": one.built.as_ref().err(),
        "health": health(one),
    });
    if let (Some(view), Value::Object(more)) = (view.as_object_mut(), more) {
        view.extend(more);
    }
    view
}

/// What is stored, without the secrets. The API URL tells about the app's network.
pub(super) fn stored(stored: &StoredIntegration, is_operator: bool) -> Value {
    let mut draft = Draft::of(&stored.settings);
    if !is_operator {
        draft.api_url.clear();
    }
    let proposed = stored.proposed.as_ref().map(|proposal| {
        json!({
            "base_url": proposal.settings.base_url,
            "proposed": stamp(&proposal.proposed),
            "valid_until": proposal.valid_until().map(rfc3339),
        })
    });
    json!({
        "id": stored.id.as_str(),
        "version": stored.version,
        "is_disabled": stored.is_disabled,
        "name": stored.settings.name,
        "draft": draft,
        "former_base_urls": stored.settings.former_base_urls,
        "proposed": proposed,
        "created": stamp(&stored.created),
        "changed": stamp(&stored.changed),
    })
}

fn stamp(stamp: &Stamp) -> Value {
    json!({ "by": stamp.by, "at": rfc3339(stamp.at) })
}

pub(super) fn health(one: &Overview) -> Value {
    let Health { last_login, last_failure, .. } = &one.health;
    json!({
        "accounts": one.accounts,
        "last_login": last_login.map(rfc3339),
        "last_failure": last_failure.as_ref().map(|failure| json!({ "code": failure.code, "at": rfc3339(failure.at) })),
    })
}

pub(super) fn test_report(kept: &KeptReport) -> Value {
    let at = std::time::SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(kept.at));
    json!({
        "at": at.map(rfc3339),
        "base_url": kept.base_url,
        "may_log_in": kept.report.may_log_in(),
        "report": kept.report,
        "proof": kept.proof,
        "is_shortened": kept.is_shortened,
    })
}

pub(super) fn check_failed(visit: &Visit, report: &CheckReport) -> Value {
    let (message, hint) = match report.verdict() {
        Verdict::Wrong => ("Users cannot log in with these settings.", "Fix what the report says, and send it again."),
        _ => ("Not everything could be checked.", "Send it again later, or save it anyway with `save_anyway`."),
    };
    let (message, mut hint) = (visit.text(message), visit.text(hint));
    if report.verdict() == Verdict::CouldNotTell {
        hint = format!("{hint} {}", visit.text(UNCHECKED)).into();
    }
    json!({ "error": "check_failed", "message": message, "hint": hint, "fields": [], "report": report })
}

pub(super) fn is_move(visit: &Visit, kind: MoveKind, accounts: Option<u64>) -> Value {
    let message = match kind {
        MoveKind::NewApplication => "The change leads to another OAuth application: users stay, connections end.",
        _ => "The change leads to another server: accounts and connections are forgotten.",
    };
    json!({
        "error": "is_move",
        "message": visit.text(message),
        "hint": visit.text("Send the same to `move`, or to `propose` if it is the same server under a new base URL."),
        "fields": [],
        "move": kind,
        "accounts": accounts,
    })
}

/// An error. `is_operator`: whether an operator has asked.
pub(super) fn fault(request: &Request, fault: Fault, is_operator: bool) -> Response {
    fault.log();
    let admin = &request.admin.0;
    let (code, message, hint) = fault.texts();
    let fields = match &fault {
        Fault::Fields(errors) => json!(errors),
        _ => json!([]),
    };
    let mut body =
        json!({ "error": code, "message": admin.text(&message), "hint": admin.text(&hint), "fields": fields });
    let more = match &fault {
        Fault::LoggedOut | Fault::NoAccess => Some(("login_path", json!(admin.access.login_path()))),
        Fault::Stale(newer) => Some(("stored", json!(newer.as_deref().map(|newer| stored(newer, is_operator))))),
        _ => None,
    };
    if let (Some((name, value)), Some(body)) = (more, body.as_object_mut()) {
        body.insert(name.to_owned(), value);
    }
    response(fault.status(), &body)
}

impl Visit {
    pub(super) fn json(self, status: StatusCode, body: &Value) -> Response {
        self.view.set_cookies(response(status, body))
    }
}

pub(super) fn response(status: StatusCode, body: &Value) -> Response {
    let kind = HeaderValue::from_static("application/json");
    let mut response = (status, [(CONTENT_TYPE, kind)], body.to_string()).into_response();
    secure(&mut response, &[]);
    response
}

/// Of a platform without a service of its own, whose labels do not depend on it.
const ANY_BASE_URL: &str = "https://git.example.com";
