//! The routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Form, FromRequestParts, Path, Query, Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use codehost_oauth::admin::{AdminRoutes, Caller};
use codehost_oauth::error::{AppError, ConfigError};
use codehost_oauth::keeper::ConnectionId;
use codehost_oauth::router::{Failure, LoginRoutes, RequestHead, readable_cookies};
use codehost_oauth::seal::KeyRing;
use codehost_oauth::{Access, FindIntegration as _, IntegrationId, PublicUrl, User};
use serde::Deserialize;
use tower_sessions::cookie::SameSite;
use tower_sessions::cookie::time::Duration;
use tower_sessions::{Expiry, SessionManagerLayer};

use crate::app::{self, App, FOUNDER, session};
use crate::logins::{FailureNote, INVITATION, Logins};
use crate::pages::{self, Layout, Viewer};
use crate::sessions::Sessions;
use crate::store::{FIRST, Organization, Person};

/// The routes of the app, with sessions and security headers. Pending logins are in cookies, so that a stranger's request stores
/// nothing.
pub(crate) fn routes(app: Arc<App>, public_url: &PublicUrl, keys: KeyRing) -> Result<Router, ConfigError> {
    let logins = LoginRoutes::in_cookie(app.integrations.clone(), Logins(Arc::clone(&app)), public_url, keys);
    let layout = Layout { app: Arc::clone(&app), logins: logins.clone() };
    let access = app::Access(Arc::clone(&app));
    let admin = AdminRoutes::new(&logins, &app.integrations, access)?.preset_access(Access::Write).pages(layout);
    let secure = public_url.as_str().starts_with("https:");
    let sessions = SessionManagerLayer::new(Sessions(app.store.clone()))
        .with_name(if secure { "__Host-depot" } else { "depot" })
        .with_secure(secure)
        .with_same_site(SameSite::Lax)
        .with_expiry(Expiry::OnInactivity(Duration::hours(12)));
    let shared = Shared { app, logins: logins.clone(), public_url: public_url.clone() };
    let router = Router::new()
        .route("/", get(home))
        .route("/login", get(login))
        .route("/org/{slug}", get(organization_home))
        .route("/org/{slug}/login", get(organization_login))
        .route("/org/{slug}/people", get(people).post(change_people))
        .route("/setup/{token}", get(setup).post(begin_setup))
        .route("/invite/{token}", get(invitation))
        .route("/account", get(account).post(change_account))
        .route("/failed", get(failed))
        .route("/demo/application", get(demo_application).post(create_demo_application))
        .fallback(async || Fault::NotFound)
        .layer(from_fn_with_state(shared.clone(), show_faults))
        .with_state(shared)
        .merge(logins.router())
        .nest("/org/{owner}/integrations", admin.router())
        .layer(DefaultBodyLimit::max(256 * 1024))
        .layer(sessions)
        .layer(from_fn(readable_cookies))
        .route("/assets/style.css", get(|| async { ([(CONTENT_TYPE, "text/css; charset=utf-8")], STYLE) }))
        .layer(from_fn(secure_headers));
    Ok(router)
}

const STYLE: &str = include_str!("assets/style.css");

#[derive(Clone)]
struct Shared {
    app: Arc<App>,
    logins: LoginRoutes,
    public_url: PublicUrl,
}

/// What every handler needs from a request.
struct Visit {
    shared: Shared,
    app: Arc<App>,
    head: RequestHead,
}

impl FromRequestParts<Shared> for Visit {
    type Rejection = Fault;

    async fn from_request_parts(head: &mut RequestHead, shared: &Shared) -> Result<Self, Fault> {
        Ok(Self { shared: shared.clone(), app: Arc::clone(&shared.app), head: head.clone() })
    }
}

impl Visit {
    async fn viewer(&self) -> Viewer {
        Viewer::of(&self.app, &self.shared.logins, &self.head).await
    }

    async fn verify(&self, form: &Fields) -> Result<(), Fault> {
        let verified = self.shared.logins.verify_csrf(&self.head, &form.csrf_token).await;
        verified.map_err(|failure| Fault::Login(Arc::new(failure)))
    }

    async fn organization(&self, slug: &str) -> Result<Organization, Fault> {
        self.app.store.organization(slug).await?.ok_or(Fault::NotFound)
    }

    /// The organization, if this browser may manage it.
    async fn managed(&self, slug: &str) -> Result<Organization, Fault> {
        match self.app.asking(&self.head, slug).await? {
            Caller::Administrator(_) => self.organization(slug).await,
            _ => Err(Fault::Forbidden),
        }
    }

    async fn person(&self) -> Result<Person, Fault> {
        self.app.person(&self.head).await?.ok_or(Fault::LoggedOut)
    }
}

/// Why another page is shown.
#[derive(Clone)]
enum Fault {
    NotFound,
    Forbidden,
    LoggedOut,
    Login(Arc<Failure>),
    Broken(Arc<AppError>),
}

impl<E: Into<AppError>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Broken(Arc::new(error.into()))
    }
}

/// Marks the response: `show_faults` makes the page.
impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The pages of faults, in the layout of the app and with the user.
async fn show_faults(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let visit = Visit { app: Arc::clone(&shared.app), shared, head: head.clone() };
    let mut response = next.run(Request::from_parts(head, body)).await;
    let Some(fault) = response.extensions_mut().remove::<Fault>() else { return response };
    let viewer = Viewer::without_forms(&visit.app, &visit.head).await;
    match fault {
        Fault::NotFound => {
            let text = "Check the address, or go back to the home page.";
            viewer.say(StatusCode::NOT_FOUND, "Page not found", text)
        }
        Fault::Forbidden => {
            let text = "It is for administrators of this organization. Log in as one of them.";
            viewer.say(StatusCode::FORBIDDEN, "You do not have access to this page", text)
        }
        Fault::LoggedOut => Redirect::to("/login").into_response(),
        Fault::Login(failure) => {
            let text = failure.cause.advice().public_message;
            viewer.say(failure.cause.status(), "Your request was not accepted", &text)
        }
        Fault::Broken(error) => {
            pages::log(&*error);
            let text = "Try again later. If it keeps happening, tell the people who run this app.";
            viewer.say(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong", text)
        }
    }
}

type Page = Result<Response, Fault>;

/// The fields of all forms.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    csrf_token: String,
    act: String,
    key: String,
    name: String,
    platform: String,
    callback: String,
    note: String,
    notice: String,
}

async fn home(visit: Visit) -> Page {
    if visit.app.person(&visit.head).await?.is_some() {
        return Ok(Redirect::to("/account").into_response());
    }
    if let Caller::Administrator(_) = visit.app.asking(&visit.head, FIRST).await? {
        return Ok(Redirect::to("/org/main/integrations").into_response());
    }
    if visit.app.store.has_administrator(FIRST).await? {
        return Ok(Redirect::to("/login").into_response());
    }
    let text = "There is no administrator who can log in. If you run this app, open the setup link that it printed when it started.";
    Ok(Viewer::without_forms(&visit.app, &visit.head).await.say(StatusCode::OK, "Setup mode", text))
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
    let links = visit.app.usable(&organization.slug).await?;
    Ok(pages::login(visit.viewer().await, &format!("Log in to {}", organization.name), "", &links, None))
}

async fn setup(Path(token): Path<String>, visit: Visit) -> Page {
    if visit.app.store.has_administrator(FIRST).await? || !visit.app.is_setup_token(&token) {
        return Ok(refuse_setup(&visit).await);
    }
    Ok(pages::setup(visit.viewer().await, &token))
}

/// A form, so that a program that only looks at the link does not use it up.
async fn begin_setup(Path(token): Path<String>, visit: Visit, Form(form): Form<Fields>) -> Page {
    visit.verify(&form).await?;
    if visit.app.store.has_administrator(FIRST).await? || !visit.app.take_setup_token(&token) {
        return Ok(refuse_setup(&visit).await);
    }
    let Some(mark) = visit.app.store.begin_setup().await? else { return Ok(refuse_setup(&visit).await) };
    let session = session(&visit.head)?;
    session.cycle_id().await?;
    session.insert(FOUNDER, mark).await?;
    Ok(Redirect::to("/org/main/integrations").into_response())
}

async fn refuse_setup(visit: &Visit) -> Response {
    let text = "It is wrong or has already been used, or an administrator can log in. The app prints a new link when it starts.";
    Viewer::without_forms(&visit.app, &visit.head).await.say(StatusCode::FORBIDDEN, "The setup link is not valid", text)
}

async fn invitation(Path(token): Path<String>, visit: Visit) -> Page {
    let Some((slug, is_admin)) = visit.app.store.invitation(&token).await? else {
        let text = "It has been used, is older than a week, or is not complete. Ask for a new one where you got it.";
        let viewer = Viewer::without_forms(&visit.app, &visit.head).await;
        return Ok(viewer.say(StatusCode::NOT_FOUND, "The invitation is not valid", text));
    };
    let organization = visit.organization(&slug).await?;
    let title = format!("You are invited to {}", organization.name);
    let intro = match is_admin {
        true => "Log in with one of these accounts. You will be an administrator.",
        false => "Log in with one of these accounts.",
    };
    let (links, return_to) = (visit.app.usable(&slug).await?, format!("{INVITATION}{token}"));
    Ok(pages::login(visit.viewer().await, &title, intro, &links, Some(&return_to)))
}

async fn people(Path(slug): Path<String>, visit: Visit) -> Page {
    show_people(&visit, &slug, "", None).await
}

async fn change_people(Path(slug): Path<String>, visit: Visit, Form(form): Form<Fields>) -> Page {
    visit.verify(&form).await?;
    visit.managed(&slug).await?;
    let store = &visit.app.store;
    let notice = match form.act.split_once(' ').unwrap_or((&form.act, "")) {
        ("invite" | "invite-admin", _) => {
            let token = store.invite(&slug, form.act == "invite-admin").await?;
            let link = format!("{}{INVITATION}{token}", visit.shared.public_url);
            return show_people(&visit, &slug, "The invitation is ready.", Some(&link)).await;
        }
        ("open" | "close", _) => {
            store.set_open(&slug, form.act == "open").await?;
            "The setting is saved."
        }
        ("add", _) if slug == FIRST => match IntegrationId::from_name(form.name.trim()) {
            Err(_) => "The name has no letter from A to Z and no digit, or is too long.",
            Ok(new) if store.add_organization(new.as_str(), form.name.trim()).await? => "The organization is added.",
            Ok(_) => "Another organization has a name with the same letters and digits. Choose another name.",
        },
        (act, id) => match store.change_person(&slug, id, act).await? {
            true => "The change is saved.",
            false => "Nothing was changed: no administrator of this organization could log in any more.",
        },
    };
    show_people(&visit, &slug, notice, None).await
}

/// Only if the browser may still manage the organization: the change may have ended that.
async fn show_people(visit: &Visit, slug: &str, notice: &str, link: Option<&str>) -> Page {
    let organization = visit.managed(slug).await?;
    let others = if slug == FIRST { visit.app.store.organizations().await? } else { Vec::new() };
    let rows = visit.app.store.people(slug).await?;
    Ok(pages::people(visit.viewer().await, &organization, &rows, &others, notice, link))
}

async fn account(visit: Visit, Query(query): Query<Fields>) -> Page {
    let notice = match query.notice.as_str() {
        "welcome" => Some("Welcome. You are logged in."),
        "founder" => Some("Welcome. You are the administrator from now on."),
        "connected" => Some("The account is connected. You can log in with it from now on."),
        "disconnected" => Some("The account is disconnected, and its tokens were revoked."),
        "only-account" => Some("Your only account here cannot be disconnected. Connect another one first."),
        "other-user" => Some(
            "Nothing was connected: the account is connected to another user of this app, or belongs to another organization.",
        ),
        _ => None,
    };
    show_account(&visit, notice, None).await
}

async fn change_account(visit: Visit, Form(form): Form<Fields>) -> Page {
    visit.verify(&form).await?;
    let person = visit.person().await?;
    let is_own = visit.app.store.accounts(&person.id).await?.iter().any(|account| account.key == form.key);
    let connection: ConnectionId = form.key.parse().map_err(|_| Fault::NotFound)?;
    if !is_own {
        return Err(Fault::NotFound);
    }
    if form.act != "disconnect" {
        let live = who_now(&visit.app, &connection).await?;
        return show_account(&visit, None, Some((form.key, live))).await;
    }
    let mut notice = "only-account";
    if visit.app.store.disconnect(&person.id, &form.key).await? {
        visit.app.keeper.disconnect(&connection).await?;
        notice = "disconnected";
    }
    Ok(Redirect::to(&format!("/account?notice={notice}")).into_response())
}

/// Asks the code host who the user is, with the stored tokens.
async fn who_now(app: &App, connection: &ConnectionId) -> Result<Result<User, String>, Fault> {
    let Some(integration) = app.integrations.find(connection.integration()).await? else {
        return Ok(Err("The integration is disabled.".to_owned()));
    };
    let token = match app.keeper.access_token(connection).await {
        Ok(token) => token,
        Err(error) => return Ok(Err(error.advice().public_message.into_owned())),
    };
    Ok(integration.user(&token).await.map_err(|error| error.advice().public_message.into_owned()))
}

async fn show_account(visit: &Visit, notice: Option<&str>, live: Option<(String, Result<User, String>)>) -> Page {
    let person = visit.person().await?;
    let accounts = visit.app.store.accounts(&person.id).await?;
    let usable = visit.app.usable(&person.organization).await?;
    Ok(pages::account(visit.viewer().await, &person, notice, &accounts, &usable, live.as_ref()))
}

async fn failed(visit: Visit, Query(query): Query<Fields>) -> Page {
    let Some(note) = FailureNote::open(&visit.app, &query.note) else { return Ok(Redirect::to("/").into_response()) };
    Ok(pages::failure(&Viewer::without_forms(&visit.app, &visit.head).await, &note))
}

async fn demo_application(visit: Visit, Query(query): Query<Fields>) -> Page {
    let demo = visit.app.demo.as_ref().ok_or(Fault::NotFound)?;
    Ok(pages::demo_application(visit.viewer().await, demo, &query.platform, None))
}

async fn create_demo_application(visit: Visit, Form(form): Form<Fields>) -> Page {
    visit.verify(&form).await?;
    let demo = visit.app.demo.as_ref().ok_or(Fault::NotFound)?;
    let made = demo.create(&form.platform, &form.callback)?;
    Ok(pages::demo_application(visit.viewer().await, demo, &form.platform, Some(&made)))
}

async fn secure_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
