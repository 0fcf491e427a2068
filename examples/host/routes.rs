//! The routes.

use axum::extract::{Form, FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Extension, Router};
use codehost_oauth::admin::AdminRoutes;
use codehost_oauth::error::{AppError, ConfigError};
use codehost_oauth::router::{LoginRoutes, RequestHead, SqliteSessions, readable_cookies};
use codehost_oauth::seal::KeyRing;
use codehost_oauth::{Access, Integration, LoginLink};
use maud::html;
use serde::Deserialize;
use tower_sessions::cookie::SameSite;
use tower_sessions::cookie::time::Duration;
use tower_sessions::{Expiry, SessionManagerLayer};

use crate::app::{ACCOUNT, App, FOUNDER, Visit, log};
use crate::logins::INVITATION;
use crate::store::{self, FIRST, INVITATIONS, Invitation, exists, rows};
use crate::{account, pages, people};

/// The routes of the app, with sessions and security headers. Pending logins are in cookies, so that a stranger's request stores
/// nothing.
pub(crate) fn routes(app: App, sessions: SqliteSessions, keys: KeyRing) -> Result<Router, ConfigError> {
    let public_url = app.integrations.config().public_url();
    let logins = LoginRoutes::in_cookie(app.integrations.clone(), app.clone(), public_url, keys);
    let admin = AdminRoutes::new(&logins, &app.integrations, app.clone())?;
    let admin = admin.preset_access(Access::Write).pages(app.clone());
    let secure = public_url.as_str().starts_with("https:");
    let sessions = SessionManagerLayer::new(sessions)
        .with_name(if secure { "__Host-depot" } else { "depot" })
        .with_secure(secure)
        .with_same_site(SameSite::Lax)
        .with_expiry(Expiry::OnInactivity(Duration::hours(12)));
    let router = Router::new()
        .route("/", get(home))
        .route("/login", get(login))
        .route("/org/{slug}/login", get(login))
        .route("/org/{slug}/people", get(people::show).post(people::change))
        .route("/setup/{token}", get(setup).post(begin_setup))
        .route("/invite/{token}", get(invitation))
        .route("/account", get(account::show).post(account::change))
        .fallback(async |visit: Visit| visit.not_found())
        .with_state(app)
        .merge(logins.router())
        .nest("/org/{owner}/integrations", admin.router())
        .layer(Extension(logins))
        .layer(sessions)
        .layer(from_fn(readable_cookies))
        .route("/assets/style.css", get(|| async { ([(CONTENT_TYPE, "text/css; charset=utf-8")], STYLE) }));
    Ok(router)
}

const STYLE: &str = include_str!("assets/style.css");

/// A page, or another one in its place.
pub(crate) type Page = Result<Response, Fault>;
pub(crate) struct Fault(Box<Response>);

impl<E: Into<AppError>> From<E> for Fault {
    fn from(error: E) -> Self {
        log(&error.into());
        let text = "Try again later. If it keeps happening, tell the people who run this app.";
        Self(Box::new(pages::say(None, StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong", text)))
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl FromRequestParts<App> for Visit {
    type Rejection = Fault;

    async fn from_request_parts(request: &mut RequestHead, app: &App) -> Result<Self, Fault> {
        let visit = Self::of(app, request).await?;
        let csrf = visit.logins()?.csrf_token(request).await.map_err(|failure| failure.cause)?;
        Ok(Self { csrf: Some(csrf), ..visit })
    }
}

impl Visit {
    pub(crate) async fn verify(&self, form: &Fields) -> Result<(), Fault> {
        let verified = self.logins()?.verify_csrf(&self.head, &form.csrf_token).await;
        verified.map_err(|failure| Fault(Box::new(pages::failure(Some(self), &failure))))
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Fields {
    pub(crate) csrf_token: String,
    pub(crate) act: String,
    pub(crate) key: String,
    pub(crate) name: String,
}

async fn home(visit: Visit) -> Page {
    let has_administrator = exists(&visit.app.store.0, store::HAS_ADMINISTRATOR, &[FIRST, ""]).await?;
    let path = match (&visit.person, &visit.founder) {
        (Some(_), _) => "/account",
        (None, Some(_)) => "/org/main/integrations",
        (None, None) if has_administrator => "/login",
        (None, None) => return Ok(visit.say(StatusCode::OK, "Setup mode", NO_ADMINISTRATOR)),
    };
    Ok(Redirect::to(path).into_response())
}

const NO_ADMINISTRATOR: &str = "There is no administrator who can log in. If you run this app, open the setup link that it printed when it started.";

async fn login(slug: Option<Path<String>>, visit: Visit) -> Page {
    let slug = slug.map_or_else(|| FIRST.to_owned(), |Path(slug)| slug);
    let Some(name) = visit.app.store.organization(&slug).await? else { return Ok(visit.not_found()) };
    let title = format!("Log in to {name}");
    let body = pages::login(&title, "", &links(&visit, &slug).await?, visit.token(), None);
    Ok(visit.form(&title, &body))
}

async fn invitation(Path(token): Path<String>, visit: Visit) -> Page {
    let sql = format!("{INVITATIONS} AND digest = ?");
    let found = rows::<Invitation>(&visit.app.store.0, &sql, &[&store::digest(&token)]).await?.pop();
    let Some(invitation) = found else {
        let text = "It was used or withdrawn, is older than a week, or is not complete. Ask for a new one.";
        return Ok(visit.say(StatusCode::NOT_FOUND, "The invitation is not valid", text));
    };
    let organization = visit.app.store.organization(&invitation.organization).await?;
    let title = format!("You are invited to {}", organization.unwrap_or_default());
    let role = if invitation.is_admin { "an administrator" } else { "a member" };
    let intro = format!("Log in with one of these accounts. You will be {role}.");
    let (links, return_to) = (links(&visit, &invitation.organization).await?, format!("{INVITATION}{token}"));
    let body = pages::login(&title, &intro, &links, visit.token(), Some(&return_to));
    Ok(visit.form(&title, &body))
}

async fn links(visit: &Visit, slug: &str) -> Result<Vec<LoginLink>, AppError> {
    Ok(visit.app.usable(slug).await?.iter().map(Integration::login_link).collect())
}

async fn setup(Path(token): Path<String>, visit: Visit) -> Page {
    let is_unused = "SELECT 1 FROM founders WHERE token = ? AND mark IS NULL";
    if !exists(&visit.app.store.0, is_unused, &[&store::digest(&token)]).await? {
        return no_setup(&visit, &token).await;
    }
    let body = html! {
        h1 { "Set up this app" }
        p { "There is no administrator who can log in. Press the button to add integrations in this browser. The first login in this browser makes its user the administrator." }
        form method="post" action={ "/setup/" (token) } { (pages::csrf(visit.token())) button { "Begin setup" } }
    };
    Ok(visit.form("Setup", &body))
}

/// A form, so that a program that only looks at the link does not use it up.
async fn begin_setup(Path(token): Path<String>, visit: Visit, Form(fields): Form<Fields>) -> Page {
    visit.verify(&fields).await?;
    let Some(mark) = visit.app.store.use_setup_token(&token).await? else { return no_setup(&visit, &token).await };
    visit.session.cycle_id().await?;
    // A browser that is logged in sets up the app as well.
    visit.session.remove_value(ACCOUNT).await?;
    visit.session.insert(FOUNDER, mark).await?;
    Ok(Redirect::to("/org/main/integrations").into_response())
}

/// Why a setup link does not begin the setup, and what to do.
async fn no_setup(visit: &Visit, token: &str) -> Page {
    let is_known = "SELECT 1 FROM founders WHERE token = ?";
    let (title, text) = if visit.founder.is_some() {
        return Ok(Redirect::to("/org/main/integrations").into_response());
    } else if exists(&visit.app.store.0, store::HAS_ADMINISTRATOR, &[FIRST, ""]).await? {
        ("The setup is finished", SETUP_FINISHED)
    } else if exists(&visit.app.store.0, is_known, &[&store::digest(token)]).await? {
        ("The setup link was used", SETUP_ELSEWHERE)
    } else {
        ("The setup link is not valid", SETUP_INVALID)
    };
    Ok(visit.say(StatusCode::FORBIDDEN, title, text))
}

const SETUP_FINISHED: &str = "An administrator can log in. Log in, or ask an administrator for an invitation link.";
const SETUP_INVALID: &str = "Copy all of it. Each time the app starts, it prints a new link, and the earlier ones end.";
const SETUP_ELSEWHERE: &str = "It works once, in one browser. Continue in the browser in which the setup was begun. If you cannot, or if it was not you, start the app again: it prints a new link, and the setup in the other browser ends.";
