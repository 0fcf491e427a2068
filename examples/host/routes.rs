//! The routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Form, FromRequestParts, Path, Query, Request};
use axum::http::header::{CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use codehost_oauth::check::CheckReport;
use codehost_oauth::error::AppError;
use codehost_oauth::router::{Failure, LoginRoutes, RequestHead, readable_cookies};
use codehost_oauth::{CallbackUrl, FindIntegration, IntegrationId, Platform};
use serde::Deserialize;
use tower_sessions::cookie::SameSite;
use tower_sessions::cookie::time::Duration;
use tower_sessions::{Expiry, Session, SessionManagerLayer};

use crate::app::{App, OPERATOR, Right};
use crate::form::{Draft, KEPT_SECRET, KeptSecret, Typed};
use crate::logins::{AppLogins, FAILURE, FailureNote};
use crate::pages::account::{Connectable, ConnectedAccount};
use crate::pages::integrations::Form as Shape;
use crate::pages::{self, Viewer};
use crate::report::{Verdict, check};
use crate::sessions::Sessions;
use crate::store::{FIRST, IntegrationRow, Organization};

/// The routes of the app, with sessions and security headers.
pub(crate) fn routes(app: Arc<App>) -> Router {
    let logins = LoginRoutes::in_session(Arc::clone(&app), AppLogins(Arc::clone(&app)), &app.public_url);
    let secure = app.public_url.as_str().starts_with("https:");
    let sessions = SessionManagerLayer::new(Sessions(app.store.clone()))
        .with_name(if secure { "__Host-depot" } else { "depot" })
        .with_secure(secure)
        .with_same_site(SameSite::Lax)
        .with_expiry(Expiry::OnInactivity(Duration::hours(12)));
    let pages = Router::new()
        .route("/", get(home))
        .route("/login", get(login))
        .route("/org/{slug}", get(organization_home))
        .route("/org/{slug}/login", get(organization_login))
        .route("/org/{slug}/integrations", get(list))
        .route("/org/{slug}/integrations/new", get(new).post(create))
        .route("/org/{slug}/integrations/{id}/edit", get(edit).post(save))
        .route("/org/{slug}/integrations/{id}/delete", get(confirm_delete).post(delete))
        .route("/org/{slug}/people", get(people).post(make_administrator))
        .route("/organizations", get(organizations).post(add_organization))
        .route("/setup", get(token).post(enter_token))
        .route("/account", get(account))
        .route("/account/disconnect", post(disconnect))
        .route("/failed", get(failed))
        .route("/demo/application", get(demo_application))
        .fallback(not_found)
        .with_state(Shared { app, logins: logins.clone() });
    let assets = Router::new()
        .route("/assets/style.css", get(|| asset("text/css", include_str!("assets/style.css"))))
        .route("/assets/app.js", get(|| asset("text/javascript", include_str!("assets/app.js"))));
    pages
        .merge(logins.router())
        .layer(DefaultBodyLimit::max(256 * 1024))
        .layer(sessions)
        .layer(from_fn(readable_cookies))
        .merge(assets)
        .layer(from_fn(secure_headers))
}

#[derive(Clone)]
struct Shared {
    app: Arc<App>,
    logins: LoginRoutes,
}

/// What every handler needs from a request.
struct Visit {
    app: Arc<App>,
    logins: LoginRoutes,
    session: Session,
    head: RequestHead,
}

impl FromRequestParts<Shared> for Visit {
    type Rejection = Fault;

    async fn from_request_parts(head: &mut RequestHead, shared: &Shared) -> Result<Self, Fault> {
        let session = head.extensions.get::<Session>().cloned().ok_or_else(|| Fault::from("no session layer"))?;
        let Shared { app, logins } = shared.clone();
        Ok(Self { app, logins, session, head: head.clone() })
    }
}

impl Visit {
    async fn viewer(&self) -> Result<Viewer, Fault> {
        let token = self.logins.csrf_token(&self.head).await.map_err(Fault::Login)?;
        Ok(Viewer::of(&self.app, &self.session, token.as_str().to_owned()).await?)
    }

    async fn verify(&self, token: &str) -> Result<(), Fault> {
        self.logins.verify_csrf(&self.head, token).await.map_err(Fault::Login)
    }

    async fn organization(&self, slug: &str) -> Result<Organization, Fault> {
        self.app.store.organization(slug).await?.ok_or(Fault::NotFound)
    }

    /// The organization, if this browser may manage it.
    async fn managed(&self, slug: &str) -> Result<(Organization, Right), Fault> {
        let organization = self.organization(slug).await?;
        match self.app.right(&organization, &self.session).await? {
            Some(right) => Ok((organization, right)),
            None => Err(Fault::Forbidden),
        }
    }

    /// Repeats the checks after a slow operation: the browser is still logged in and may still manage the organization, and
    /// the integration has not been changed or deleted in the meantime.
    async fn still_managed(&self, slug: &str, existing: Option<&IntegrationRow>) -> Result<(), Fault> {
        self.session.load().await?;
        self.managed(slug).await?;
        match existing {
            Some(old) if self.app.store.integration(&old.id).await?.as_ref() != Some(old) => Err(Fault::Changed),
            _ => Ok(()),
        }
    }

    /// One integration of a managed organization.
    async fn managed_row(&self, slug: &str, id: &str) -> Result<(Organization, Right, IntegrationRow), Fault> {
        let (organization, right) = self.managed(slug).await?;
        let id: IntegrationId = id.parse().map_err(|_| Fault::NotFound)?;
        let row = self.app.store.integration(&id).await?.filter(|row| row.organization == organization.slug);
        Ok((organization, right, row.ok_or(Fault::NotFound)?))
    }

    fn is_fragment(&self) -> bool {
        self.head.headers.contains_key("x-fragment")
    }
}

/// Why an error page is shown.
enum Fault {
    NotFound,
    Forbidden,
    Changed,
    Login(Failure),
    Broken(AppError),
}

impl<E: Into<AppError>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let viewer = Viewer::anonymous();
        let (status, title, text) = match self {
            Self::NotFound => {
                (StatusCode::NOT_FOUND, "Page not found", "Check the address, or go back to the home page.")
            }
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "You do not have access to this page",
                "It is for administrators of this organization. Log in as one of them, or enter the one-time token at \
                 /setup; the app prints it when it starts.",
            ),
            Self::Changed => (
                StatusCode::CONFLICT,
                "The integration was changed or deleted in the meantime",
                "Nothing was saved. Open the list of integrations again, check what has changed and repeat your change.",
            ),
            Self::Login(failure) => {
                let text = failure.cause.advice().public_message;
                return pages::failure::plain(&viewer, failure.cause.status(), "Your request was not accepted", &text);
            }
            Self::Broken(error) => {
                // Never a secret: no error of the crate, of the store or of a form holds one.
                use std::io::Write as _;
                let _ = writeln!(std::io::stderr(), "error: {error}");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "Something went wrong",
                    "Try again later. If it keeps happening, tell the people who run this app.",
                )
            }
        };
        pages::failure::plain(&viewer, status, title, text)
    }
}

type Page = Result<Response, Fault>;

async fn home(visit: Visit) -> Page {
    if visit.app.person(&visit.session).await?.is_some() {
        return Ok(Redirect::to("/account").into_response());
    }
    let path = match (visit.app.has_token(&visit.session).await?, visit.app.store.has_administrator(FIRST).await?) {
        (true, _) => "/org/main/integrations",
        (false, true) => "/login",
        (false, false) => "/setup",
    };
    Ok(Redirect::to(path).into_response())
}

async fn login(visit: Visit) -> Page {
    organization_login(visit, Path(FIRST.to_owned())).await
}

async fn organization_home(Path(slug): Path<String>, visit: Visit) -> Page {
    let organization = visit.organization(&slug).await?;
    Ok(Redirect::to(&format!("/org/{}/login", organization.slug)).into_response())
}

async fn organization_login(visit: Visit, Path(slug): Path<String>) -> Page {
    let organization = visit.organization(&slug).await?;
    let mut links = Vec::new();
    for row in visit.app.store.integrations(&organization.slug).await? {
        // One that cannot be used is shown to administrators only.
        if let Ok(Some(integration)) = visit.app.find(&row.id).await {
            links.push(integration.login_link());
        }
    }
    let code_hosts = visit.app.code_hosts(&organization.slug).await?;
    Ok(pages::login::all(&visit.viewer().await?, &organization, &links, code_hosts))
}

async fn list(Path(slug): Path<String>, visit: Visit) -> Page {
    let (organization, right) = visit.managed(&slug).await?;
    let mut rows = Vec::new();
    for row in visit.app.store.integrations(&organization.slug).await? {
        let link = match visit.app.find(&row.id).await {
            Ok(Some(integration)) => Ok(integration.login_link()),
            // Deleted since the list was read.
            Ok(None) => continue,
            Err(_) => Err(visit.app.why_unusable(&row)),
        };
        rows.push((row, link));
    }
    let may_add = visit.app.is_operator(&visit.session).await?;
    Ok(pages::integrations::list(&visit.viewer().await?, &organization, right, &rows, may_add))
}

async fn new(Path(slug): Path<String>, visit: Visit) -> Page {
    let (organization, right) = visit.managed(&slug).await?;
    let mut typed = Typed { platform: "gitlab".to_owned(), access: "sign-in".to_owned(), ..Typed::default() };
    if let Some(demo) = &visit.app.demo {
        demo.base_url("gitlab").clone_into(&mut typed.base_url);
    }
    let draft = typed.draft(&visit.app, &organization, None).await?;
    show_form(&visit, &organization, right, &typed, &draft, None, None, false).await
}

async fn create(Path(slug): Path<String>, visit: Visit, Form(typed): Form<Typed>) -> Page {
    visit.verify(&typed.csrf_token).await?;
    let (organization, right) = visit.managed(&slug).await?;
    submit(&visit, &organization, right, typed, None).await
}

async fn edit(Path((slug, id)): Path<(String, String)>, visit: Visit) -> Page {
    let (organization, right, row) = visit.managed_row(&slug, &id).await?;
    let typed = Typed::of(&row);
    let draft = typed.draft(&visit.app, &organization, Some(&row)).await?;
    show_form(&visit, &organization, right, &typed, &draft, Some(&row), None, false).await
}

async fn save(Path((slug, id)): Path<(String, String)>, visit: Visit, Form(typed): Form<Typed>) -> Page {
    visit.verify(&typed.csrf_token).await?;
    let (organization, right, row) = visit.managed_row(&slug, &id).await?;
    // Both are part of the callback URL and never change, whatever was sent.
    let typed = Typed { platform: row.platform.clone(), name: row.name.clone(), ..typed };
    submit(&visit, &organization, right, typed, Some(row)).await
}

/// A submitted form, new or edited, with any of its buttons.
async fn submit(
    visit: &Visit,
    organization: &Organization,
    right: Right,
    typed: Typed,
    existing: Option<IntegrationRow>,
) -> Page {
    let app = &visit.app;
    let existing = existing.as_ref();
    let mut draft = typed.draft(app, organization, existing).await?;
    keep_secret(visit, &typed, &draft).await?;
    if typed.act == "guide" {
        return show_form(visit, organization, right, &typed, &draft, existing, None, false).await;
    }
    let kept = kept_secret(visit, &draft, existing).await?;
    let Some((row, secret)) = typed.row(app, organization, &mut draft, kept.as_deref())? else {
        let moved = existing.is_some_and(|row| draft.base_url().is_some_and(|url| url.as_str() != row.base_url));
        if moved && kept.is_none() && typed.client_secret.trim().is_empty() {
            draft.complaints.retain(|complaint| complaint.field != "client_secret");
            draft.say(
                "client_secret",
                "The base URL has changed.",
                "Enter the secret again. The stored one belongs to the old URL and is never sent to another.",
            );
        }
        return show_form(visit, organization, right, &typed, &draft, existing, None, true).await;
    };
    if typed.act != "save-anyway" {
        let integration = app.build(&row, &secret).map_err(|error| Fault::Broken(error.into()))?;
        let detailed = app.is_operator(&visit.session).await?;
        // The check takes seconds, and the session is read again afterwards: save the typed secret first.
        visit.session.save().await?;
        let report = check(&integration, detailed).await;
        visit.still_managed(&organization.slug, existing).await?;
        if typed.act == "check" || report.verdict() != Verdict::AllRight {
            return show_form(visit, organization, right, &typed, &draft, existing, Some(&report), true).await;
        }
    }
    let moved = existing.is_some_and(|old| old.base_url != row.base_url);
    if !app.store.save(&row, existing, moved && typed.keep_accounts.is_none()).await? {
        return Err(Fault::Changed);
    }
    app.forget(&row.id);
    visit.session.remove_value(KEPT_SECRET).await?;
    pages::notify(&visit.session, &format!("The integration {} is saved.", row.name)).await?;
    Ok(Redirect::to(&format!("/org/{}/integrations", organization.slug)).into_response())
}

/// Keeps a typed secret in the session until the form is saved, so that it is typed only once.
async fn keep_secret(visit: &Visit, typed: &Typed, draft: &Draft) -> Result<(), Fault> {
    let secret = typed.client_secret.trim();
    if let (false, Some(id), Some(base_url)) = (secret.is_empty(), &draft.id, draft.base_url()) {
        let kept = KeptSecret { id: id.to_string(), base_url: base_url.as_str().to_owned(), secret: secret.to_owned() };
        visit.session.insert(KEPT_SECRET, kept).await?;
    }
    Ok(())
}

/// The secret if none was typed now: the one kept for this form, or the stored one, each for its own base URL only.
async fn kept_secret(visit: &Visit, draft: &Draft, existing: Option<&IntegrationRow>) -> Result<Option<String>, Fault> {
    let (Some(id), Some(base_url)) = (&draft.id, draft.base_url()) else {
        return Ok(None);
    };
    if let Some(kept) = visit.session.get::<KeptSecret>(KEPT_SECRET).await? {
        if kept.id == id.as_str() && kept.base_url == base_url.as_str() {
            return Ok(Some(kept.secret));
        }
    }
    Ok(match existing {
        Some(row) if row.base_url == base_url.as_str() => visit.app.store.open_secret(row).ok(),
        _ => None,
    })
}

#[allow(clippy::too_many_arguments, reason = "the parts of one page")]
async fn show_form(
    visit: &Visit,
    organization: &Organization,
    right: Right,
    typed: &Typed,
    draft: &Draft,
    existing: Option<&IntegrationRow>,
    report: Option<&CheckReport>,
    complain: bool,
) -> Page {
    let app = &visit.app;
    let demo = app.demo.as_ref().filter(|demo| {
        draft.guide.as_ref().is_some_and(|guide| guide.base_url.as_str() == demo.base_url(&typed.platform))
    });
    let demo_page =
        demo.and(draft.id.as_ref()).map(|id| format!("/demo/application?platform={}&id={id}", typed.platform));
    if visit.is_fragment() && typed.act == "guide" {
        return Ok(Html(pages::guide::guide(draft, demo_page.as_deref()).into_string()).into_response());
    }
    let count = match existing {
        Some(row) => app.store.count_accounts(&row.id).await?,
        None => 0,
    };
    let kept = kept_secret(visit, draft, existing).await?.is_some();
    let shape = Shape {
        organization,
        right,
        typed,
        draft,
        existing: existing.map(|row| (row, count)),
        report,
        secret_kept: kept,
        demo: app.demo.as_ref(),
        demo_page: demo_page.as_deref(),
        complain,
    };
    Ok(pages::integrations::form(&visit.viewer().await?, &shape))
}

async fn confirm_delete(Path((slug, id)): Path<(String, String)>, visit: Visit) -> Page {
    let (organization, _, row) = visit.managed_row(&slug, &id).await?;
    let count = visit.app.store.count_accounts(&row.id).await?;
    Ok(pages::integrations::delete(&visit.viewer().await?, &organization, &row, count))
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Small {
    csrf_token: String,
    name: String,
    token: String,
    key: String,
}

async fn delete(Path((slug, id)): Path<(String, String)>, visit: Visit, Form(form): Form<Small>) -> Page {
    visit.verify(&form.csrf_token).await?;
    let (organization, _, row) = visit.managed_row(&slug, &id).await?;
    visit.app.store.delete(&row.id).await?;
    visit.app.forget(&row.id);
    pages::notify(&visit.session, &format!("The integration {} is deleted.", row.name)).await?;
    Ok(Redirect::to(&format!("/org/{}/integrations", organization.slug)).into_response())
}

async fn organizations(visit: Visit) -> Page {
    if !visit.app.is_operator(&visit.session).await? {
        return Err(Fault::Forbidden);
    }
    let rows = visit.app.store.organizations().await?;
    Ok(pages::people::organizations(&visit.viewer().await?, &rows, None))
}

async fn add_organization(visit: Visit, Form(form): Form<Small>) -> Page {
    visit.verify(&form.csrf_token).await?;
    if !visit.app.is_operator(&visit.session).await? {
        return Err(Fault::Forbidden);
    }
    let name = form.name.trim();
    // Letters and digits only, so that no id of one organization begins with an id of another.
    let complaint = match IntegrationId::from_name(name) {
        Err(_) => "The name has no letter from A to Z and no digit. Add one.",
        Ok(slug) if slug.as_str().len() > 20 || name.len() > 60 => "The name is too long. Shorten it.",
        Ok(slug) if visit.app.store.add_organization(slug.as_str(), name).await? => {
            return Ok(Redirect::to(&format!("/org/{slug}/integrations")).into_response());
        }
        Ok(_) => "Another organization has a name with the same letters and digits. Choose another name.",
    };
    let rows = visit.app.store.organizations().await?;
    Ok(pages::people::organizations(&visit.viewer().await?, &rows, Some(complaint)))
}

async fn people(Path(slug): Path<String>, visit: Visit) -> Page {
    let (organization, _) = visit.managed(&slug).await?;
    let rows = visit.app.store.people(&organization.slug).await?;
    Ok(pages::people::people(&visit.viewer().await?, &organization, &rows))
}

/// Only somebody who manages the organization can make a user its administrator.
async fn make_administrator(Path(slug): Path<String>, visit: Visit, Form(form): Form<Small>) -> Page {
    visit.verify(&form.csrf_token).await?;
    let (organization, _) = visit.managed(&slug).await?;
    if !visit.app.store.make_administrator(&organization.slug, &form.key).await? {
        return Err(Fault::NotFound);
    }
    // An administrator of the first organization loses access once this one has its own administrator.
    let path = match visit.app.right(&organization, &visit.session).await? {
        Some(_) => format!("/org/{}/people", organization.slug),
        None => "/organizations".to_owned(),
    };
    Ok(Redirect::to(&path).into_response())
}

async fn token(visit: Visit) -> Page {
    let fresh = !visit.app.store.has_administrator(FIRST).await?;
    Ok(pages::people::token(&visit.viewer().await?, fresh, None))
}

async fn enter_token(visit: Visit, Form(form): Form<Small>) -> Page {
    visit.verify(&form.csrf_token).await?;
    if let Err(complaint) = visit.app.take_setup_token(&form.token) {
        let fresh = !visit.app.store.has_administrator(FIRST).await?;
        return Ok(pages::people::token(&visit.viewer().await?, fresh, Some(complaint)));
    }
    visit.session.cycle_id().await?;
    visit.session.insert(OPERATOR, true).await?;
    Ok(Redirect::to("/org/main/integrations").into_response())
}

async fn account(visit: Visit) -> Page {
    let Some(person) = visit.app.person(&visit.session).await? else {
        return Ok(Redirect::to("/login").into_response());
    };
    let organization = visit.organization(&person.organization).await?;
    let rows = visit.app.store.integrations(&person.organization).await?;
    let mut connected = Vec::new();
    let mut used = Vec::new();
    for account in visit.app.store.accounts(&person.id).await? {
        let row = rows.iter().find(|row| row.id.as_str() == account.integration);
        let name = row.map_or_else(|| account.integration.clone(), |row| row.name.clone());
        let detail = row.map(|row| {
            format!("{}: {}", Platform::find(&row.platform).map_or("", |platform| platform.name()), row.base_url)
        });
        used.push(account.integration.clone());
        connected.push(ConnectedAccount { account, integration: name, detail: detail.unwrap_or_default() });
    }
    let mut more = Vec::new();
    for row in rows.iter().filter(|row| !used.iter().any(|id| id == row.id.as_str())) {
        if let Ok(Some(integration)) = visit.app.find(&row.id).await {
            more.push(Connectable { id: row.id.to_string(), link: integration.login_link(), name: row.name.clone() });
        }
    }
    let code_hosts = visit.app.code_hosts(&person.organization).await?;
    Ok(pages::account::page(&visit.viewer().await?, &person, &organization.name, &connected, &more, code_hosts))
}

async fn disconnect(visit: Visit, Form(form): Form<Small>) -> Page {
    visit.verify(&form.csrf_token).await?;
    let Some(person) = visit.app.person(&visit.session).await? else {
        return Ok(Redirect::to("/login").into_response());
    };
    let gone = visit.app.store.disconnect(&person.id, &form.key).await?;
    let text = if gone {
        "The account is disconnected."
    } else {
        "Your only account here cannot be disconnected. Connect another one first."
    };
    pages::notify(&visit.session, text).await?;
    Ok(Redirect::to("/account").into_response())
}

async fn failed(visit: Visit) -> Page {
    let viewer = visit.viewer().await?;
    match visit.session.remove::<FailureNote>(FAILURE).await? {
        Some(note) => Ok(pages::failure::page(&viewer, &note)),
        None => Ok(Redirect::to("/").into_response()),
    }
}

#[derive(Deserialize)]
struct DemoQuery {
    platform: String,
    id: String,
}

/// Demo only: the page on which an administrator creates the OAuth application at the code host.
async fn demo_application(visit: Visit, Query(query): Query<DemoQuery>) -> Page {
    let demo = visit.app.demo.as_ref().ok_or(Fault::NotFound)?;
    let id: IntegrationId = query.id.parse().map_err(|_| Fault::NotFound)?;
    let platform = Platform::find(&query.platform).map_err(|_| Fault::NotFound)?;
    let callback = CallbackUrl::new(&visit.app.public_url, platform.id(), &id);
    let made = demo.application(platform.id(), &callback, &id).ok_or(Fault::NotFound)?;
    let names = match platform.id() {
        "gitlab" => ("Application ID".to_owned(), "Secret".to_owned()),
        _ => ("Client ID".to_owned(), "Client secret".to_owned()),
    };
    Ok(pages::people::demo_application(&visit.viewer().await?, platform.name(), &names, callback.as_str(), &made))
}

async fn not_found() -> Fault {
    Fault::NotFound
}

async fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, format!("{kind}; charset=utf-8"))], text)
}

async fn secure_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers: &mut HeaderMap = response.headers_mut();
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
