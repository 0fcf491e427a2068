//! Users log in to an actix-web app with their code host, without the routes of the feature `axum`.
//!
//! ```text
//! cargo run -p login-actix
//! ```
//!
//! starts a fake GitLab and a fake Forgejo in the same process. For your own code host, give `--platform`, `--base-url` and
//! `--client-id`, set `CODEHOST_CLIENT_SECRET`, and register the callback URL that is printed.
//!
//! The session of actix-session has the user and the CSRF token. Pending logins are in a table on the server
//! (`pending.rs`): actix-session stores what has changed only after the response, but a pending login must be gone before
//! its code is exchanged. Also, several of them with paths to return to would be too long for its cookie. By the table, a
//! callback finds out that the user has logged out meanwhile. With the cookie store that is used here, a log-out cannot end
//! a copy of the session's cookie: with the store for Redis it can.

#![allow(clippy::future_not_send, reason = "actix-web handles a request on one thread")]

#[path = "../hyper/accounts.rs"]
mod accounts;
#[path = "../hyper/code_hosts.rs"]
mod code_hosts;
#[path = "../hyper/pages.rs"]
mod pages;
mod pending;
#[path = "../support/mod.rs"]
mod support;

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;

use accounts::Accounts;
use actix_session::storage::CookieSessionStore;
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::Key;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, LOCATION};
use actix_web::middleware::DefaultHeaders;
use actix_web::web::{Data, Form, Path, to};
use actix_web::{HttpRequest, HttpResponse, HttpServer, ResponseError, get, post, route};
use clap::Parser;
use code_hosts::{CodeHostFlags, failure};
use codehost_oauth::{Callback, Integration, LoginStart, PublicUrl, web};
use pages::Failed;
use pending::PendingTable;

/// An actix-web app that users log in to with their code host
#[derive(Parser)]
#[command(name = "login-actix")]
struct Flags {
    /// The address to listen on, which is the public URL too
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    #[command(flatten)]
    code_host: CodeHostFlags,
}

#[actix_web::main]
async fn main() -> ExitCode {
    support::exit(run(Flags::parse()).await)
}

async fn run(flags: Flags) -> Result<(), support::Failure> {
    let listener = TcpListener::bind(flags.listen).map_err(|error| failure("listen", &error))?;
    let address = listener.local_addr().map_err(|error| failure("listen", &error))?;
    let public_url: PublicUrl = format!("http://{address}").parse()?; // where browsers reach the app: https://… in production
    let code_hosts = flags.code_host.start(&public_url).await?;
    let app =
        App { integrations: code_hosts.integrations, accounts: Accounts::default(), pending: PendingTable::default() };
    let (app, key) = (Data::new(app), Key::generate()); // a restart ends every session: keep the key
    let is_secure = public_url.as_str().starts_with("https:");
    let server = HttpServer::new(move || {
        // The default is an encrypted cookie with `HttpOnly` and `SameSite=Lax`. `Strict` is not sent at the callback.
        let sessions = SessionMiddleware::builder(CookieSessionStore::default(), key.clone())
            .cookie_name(if is_secure { "__Host-session" } else { "session" }.to_owned())
            .cookie_secure(is_secure)
            .build();
        let headers = DefaultHeaders::new().add((CONTENT_SECURITY_POLICY, "frame-ancestors 'none'"));
        let headers = web::RESPONSE_HEADERS
            .into_iter()
            .fold(headers, |headers, (name, value)| headers.add((name.as_str(), value.as_bytes())));
        let app =
            actix_web::App::new().app_data(app.clone()).service(start_page).service(login_page).service(begin_login);
        let app = app.service(begin_connect).service(finish_login).service(log_out).default_service(to(not_found));
        app.wrap(sessions).wrap(headers)
    });
    let server = server.listen(listener).map_err(|error| failure("listen", &error))?;
    support::print(&format!("open: {public_url}\n"))?;
    server.run().await.map_err(|error| failure("serve", &error))
}

struct App {
    integrations: Vec<Integration>,
    accounts: Accounts,
    pending: PendingTable,
}

#[get("/")]
async fn start_page(app: Data<App>, session: Session) -> HttpResponse {
    let token = value(&session, CSRF_TOKEN).unwrap_or_default();
    let html = match value(&session, USER) {
        None => pages::welcome(&app.integrations),
        Some(user) => pages::accounts(&app.integrations, &app.accounts.keys_of(&user), &token),
    };
    page(StatusCode::OK, html)
}

#[get("/login/{id}")]
async fn login_page(app: Data<App>, id: Path<String>, session: Session) -> Result<HttpResponse, Failed> {
    let html = pages::login(app.integration(&id)?, &random_value(&session, CSRF_TOKEN)?);
    Ok(page(StatusCode::OK, html))
}

#[derive(serde::Deserialize)]
struct CsrfForm {
    csrf_token: String,
}

#[post("/login/{id}")]
async fn begin_login(
    app: Data<App>,
    id: Path<String>,
    session: Session,
    form: Option<Form<CsrfForm>>,
) -> Result<HttpResponse, Failed> {
    let begin = || {
        check_csrf(&session, form.as_deref())?;
        app.begin(&session, app.integration(&id)?.begin_login(None)?)
    };
    begin().map_err(|failed| app.lead_on(failed, &id, &session))
}

#[post("/connect/{id}")]
async fn begin_connect(
    app: Data<App>,
    id: Path<String>,
    session: Session,
    form: Option<Form<CsrfForm>>,
) -> Result<HttpResponse, Failed> {
    let begin = || {
        check_csrf(&session, form.as_deref())?;
        let user = value(&session, USER).ok_or(Failed::NOT_SIGNED_IN)?;
        app.begin(&session, app.integration(&id)?.begin_connect(&user, None)?)
    };
    begin().map_err(|failed| app.lead_on(failed, &id, &session))
}

#[route("/oauth/callback/{platform}/{id}", method = "GET", method = "HEAD")]
async fn finish_login(
    app: Data<App>,
    path: Path<(String, String)>,
    session: Session,
    request: HttpRequest,
) -> Result<HttpResponse, Failed> {
    if !web::is_deliberate(request.method(), request.headers()) {
        return Ok(page(StatusCode::SERVICE_UNAVAILABLE, pages::not_deliberate()));
    }
    let finished = app.finish(&path.1, &session, &request.uri().to_string()).await;
    finished.map_err(|failed| app.lead_on(failed, &path.1, &session))?;
    Ok(see_other("/"))
}

#[post("/logout")]
async fn log_out(app: Data<App>, session: Session, form: Option<Form<CsrfForm>>) -> Result<HttpResponse, Failed> {
    check_csrf(&session, form.as_deref())?;
    app.pending.remove(&value(&session, BROWSER).unwrap_or_default());
    session.purge();
    Ok(see_other("/"))
}

async fn not_found() -> Result<HttpResponse, Failed> {
    Err(Failed::NOT_FOUND)
}

impl App {
    /// Keeps the pending login, and sends the browser to the code host.
    fn begin(&self, session: &Session, start: LoginStart) -> Result<HttpResponse, Failed> {
        self.pending.insert(random_value(session, BROWSER)?, start.pending);
        Ok(see_other(start.redirect_to.as_str()))
    }

    async fn finish(&self, id: &str, session: &Session, url: &str) -> Result<(), Failed> {
        let integration = self.integration(id)?; // look it up again afterwards, if an administrator can change it
        let browser = value(session, BROWSER).unwrap_or_default();
        let callback = Callback::parse(url)?;
        let pending = self.pending.take(&browser, &callback)?;
        match pending.purpose().user_id() {
            None => {
                let login = integration.finish_login(pending, callback).await?;
                if !self.pending.drop_logins(&browser) {
                    return Err(LOGGED_OUT);
                }
                session.renew();
                insert(session, USER, &self.accounts.user_of(&login.user.key))?;
                insert(session, CSRF_TOKEN, &web::csrf_token()?)
            }
            Some(_) => {
                let user = value(session, USER).ok_or(Failed::NOT_SIGNED_IN)?;
                let login = integration.finish_connect(&user, pending, callback).await?;
                if !self.pending.contains(&browser) {
                    return Err(LOGGED_OUT);
                }
                if self.accounts.connect(&login.user.key, &user) { Ok(()) } else { Err(Failed::OTHER_USER) }
            }
        }
    }

    fn integration(&self, id: &str) -> Result<&Integration, Failed> {
        self.integrations.iter().find(|one| one.id().as_str() == id).ok_or(Failed::NOT_FOUND)
    }

    /// The page about a failure leads to the login page of the same integration, if nobody is logged in.
    fn lead_on(&self, failed: Failed, id: &str, session: &Session) -> Failed {
        match self.integration(id) {
            Ok(integration) if value(session, USER).is_none() => failed.at(integration.login_link().url.path()),
            _ => failed,
        }
    }
}

/// The values of a session.
const USER: &str = "user";
const CSRF_TOKEN: &str = "csrf_token";
/// The key of this browser's logins in the table.
const BROWSER: &str = "browser";

/// A value that cannot be read is none.
fn value(session: &Session, name: &str) -> Option<String> {
    session.get(name).ok().flatten()
}

fn insert(session: &Session, name: &str, value: &str) -> Result<(), Failed> {
    session.insert(name, value).map_err(|error| Failed::app(&error))
}

/// The value, made if there is none yet.
fn random_value(session: &Session, name: &str) -> Result<String, Failed> {
    if let Some(value) = value(session, name) {
        return Ok(value);
    }
    let value = web::csrf_token()?;
    insert(session, name, &value)?;
    Ok(value)
}

/// Whether the form came from a page of this app in this browser. A `GET` would let another site begin a login with a link.
fn check_csrf(session: &Session, form: Option<&CsrfForm>) -> Result<(), Failed> {
    let kept = value(session, CSRF_TOKEN).unwrap_or_default();
    let is_valid = form.is_some_and(|form| web::is_csrf_token(&kept, &form.csrf_token));
    if is_valid { Ok(()) } else { Err(Failed::CSRF) }
}

/// The user has logged out in another tab.
const LOGGED_OUT: Failed =
    Failed::new(400, "You logged out while the login was in progress. Log in again if you want to.");

impl ResponseError for Failed {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        page(self.status_code(), self.page())
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.status)
    }
}

fn page(status: StatusCode, html: String) -> HttpResponse {
    HttpResponse::build(status).content_type("text/html; charset=utf-8").body(html)
}

/// 303, since 307 would send the form again, to the code host.
fn see_other(location: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, location)).finish()
}
