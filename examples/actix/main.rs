//! Users log in to an actix-web app with their code host, without the routes of the feature `axum`.
//!
//! ```text
//! cargo run -p login-actix
//! ```
//!
//! starts a fake GitLab and a fake Forgejo in the same process. For your own code host, give `--platform`, `--base-url` and
//! `--client-id`, set `CODEHOST_CLIENT_SECRET`, and register the callback URL that is printed.
//!
//! The session of actix-session has the user and the CSRF token. Pending logins are in a table on the server:
//! actix-session stores what has changed only after the response, but a pending login must be gone before its code is
//! exchanged, and eight of them are too long for its cookie. It also tells a callback that the user has logged out meanwhile.
//! With the cookie store that is used here, a log-out cannot end a copy of the session's cookie: with the store for Redis it
//! can.

#[path = "../hyper/code_hosts.rs"]
mod code_hosts;
#[path = "../support/mod.rs"]
mod support;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
use codehost_oauth::error::{Error, VerifyError};
use codehost_oauth::{Callback, Integration, LoginStart, PendingLogin, PendingLogins, PublicUrl, web};

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
    let app = App { integrations: code_hosts.integrations, accounts: Mutex::default(), pending: Mutex::default() };
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
    /// The user of each account key. In your app, a table with the key as its primary key.
    accounts: Mutex<BTreeMap<String, String>>,
    /// The logins that each browser has begun, and when it has begun the last one.
    pending: Mutex<HashMap<String, (Instant, PendingLogins)>>,
}

#[get("/")]
async fn start_page(app: Data<App>, session: Session) -> HttpResponse {
    let Some(user) = value(&session, USER) else {
        let links = app.integrations.iter().map(Integration::login_link);
        let links = links.map(|link| format!("<p><a href=\"{}\">{}</a></p>", link.url.path(), escape(&link.label)));
        return page(StatusCode::OK, "Welcome", &links.collect::<String>());
    };
    let accounts = app.accounts();
    let own = accounts.iter().filter(|(_, owner)| **owner == user).map(|(key, _)| format!("<li>{}</li>", escape(key)));
    let token = value(&session, CSRF_TOKEN).unwrap_or_default();
    let connect =
        |one: &Integration| form(&format!("/connect/{}", one.id()), &token, &format!("Connect {}", one.name()));
    let forms = app.integrations.iter().map(connect).chain([form("/logout", &token, "Log out")]);
    page(StatusCode::OK, "Your accounts", &format!("<ul>{}</ul>{}", own.collect::<String>(), forms.collect::<String>()))
}

#[get("/login/{id}")]
async fn login_page(app: Data<App>, id: Path<String>, session: Session) -> Result<HttpResponse, Failed> {
    let link = app.integration(&id)?.login_link();
    let form = form(link.url.path(), &random_value(&session, CSRF_TOKEN)?, &link.label);
    Ok(page(StatusCode::OK, &link.label, &format!("{form}<p>{}</p>", escape(&link.detail))))
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
    begin().map_err(|failed| failed.at(&app, &id, &session))
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
    begin().map_err(|failed| failed.at(&app, &id, &session))
}

#[route("/oauth/callback/{platform}/{id}", method = "GET", method = "HEAD")]
async fn finish_login(
    app: Data<App>,
    path: Path<(String, String)>,
    session: Session,
    request: HttpRequest,
) -> Result<HttpResponse, Failed> {
    if !web::is_deliberate(request.method(), request.headers()) {
        return Ok(page(StatusCode::SERVICE_UNAVAILABLE, "Not now", "Open this page to go on."));
    }
    let finished = app.finish(&path.1, &session, &request.uri().to_string()).await;
    finished.map_err(|failed| failed.at(&app, &path.1, &session))?;
    Ok(see_other("/"))
}

#[post("/logout")]
async fn log_out(app: Data<App>, session: Session, form: Option<Form<CsrfForm>>) -> Result<HttpResponse, Failed> {
    check_csrf(&session, form.as_deref())?;
    app.pending().remove(&value(&session, BROWSER).unwrap_or_default());
    session.purge();
    Ok(see_other("/"))
}

async fn not_found() -> Result<HttpResponse, Failed> {
    Err(Failed::NOT_FOUND)
}

impl App {
    /// Keeps the pending login, and sends the browser to the code host.
    fn begin(&self, session: &Session, start: LoginStart) -> Result<HttpResponse, Failed> {
        let browser = random_value(session, BROWSER)?;
        let mut all = self.pending();
        all.retain(|_, (last, _)| last.elapsed() < Duration::from_secs(3600));
        let (last, pending) = all.entry(browser).or_insert_with(|| (Instant::now(), PendingLogins::default()));
        *last = Instant::now();
        pending.insert(start.pending);
        Ok(see_other(start.redirect_to.as_str()))
    }

    async fn finish(&self, id: &str, session: &Session, url: &str) -> Result<(), Failed> {
        let integration = self.integration(id)?; // look it up again afterwards, if an administrator can change it
        let browser = value(session, BROWSER).unwrap_or_default();
        let callback = Callback::parse(url)?;
        let pending = self.take(&browser, &callback)?;
        let connecting_user = pending.purpose().user_id().map(|_| value(session, USER).ok_or(Failed::NOT_SIGNED_IN));
        let connecting_user = connecting_user.transpose()?;
        let login = match &connecting_user {
            None => integration.finish_login(pending, callback).await?,
            Some(user) => integration.finish_connect(user, pending, callback).await?,
        };
        let mut all = self.pending();
        let (_, pending) = all.get_mut(&browser).ok_or(Failed::LOGGED_OUT)?;
        // The user is named after the first account: in your app, create one with an id of your own.
        let key = login.user.key.to_string();
        let owner =
            self.accounts().entry(key.clone()).or_insert_with(|| connecting_user.clone().unwrap_or(key)).clone();
        if connecting_user.is_some_and(|user| user != owner) {
            return Err(Failed::OTHER_USER);
        }
        pending.drop_logins();
        session.renew();
        insert(session, USER, &owner)?;
        insert(session, CSRF_TOKEN, &web::csrf_token()?)
    }

    /// Takes a pending login out of the table, so that a callback works once.
    fn take(&self, browser: &str, callback: &Callback) -> Result<PendingLogin, VerifyError> {
        match self.pending().get_mut(browser) {
            Some((_, pending)) => pending.take(callback),
            None => PendingLogins::default().take(callback),
        }
    }

    fn integration(&self, id: &str) -> Result<&Integration, Failed> {
        self.integrations.iter().find(|one| one.id().as_str() == id).ok_or(Failed::NOT_FOUND)
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<String, (Instant, PendingLogins)>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
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
    session.insert(name, value).map_err(|error| Failed { log: Some(error.to_string()), ..Failed::APP })
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

/// What the user and the log are told when a request fails.
#[derive(Debug)]
struct Failed {
    status: u16,
    title: &'static str,
    text: Cow<'static, str>,
    onward: String,
    /// `None` if nothing is wrong.
    log: Option<String>,
}

impl Failed {
    const CSRF: Self = Self::new(403, "Open the page again and press the button once more.");
    const NOT_SIGNED_IN: Self = Self::new(403, "Log in first, then connect the account.");
    const LOGGED_OUT: Self =
        Self::new(400, "You logged out while the login was in progress. Log in again if you want to.");
    const OTHER_USER: Self = Self::new(409, "Another user of this app has connected this account.");
    const NOT_FOUND: Self = Self::new(404, "There is no such page. Check the link.");
    const APP: Self = Self::new(503, "This app has a problem at the moment. Please try again later.");

    const fn new(status: u16, text: &'static str) -> Self {
        Self { status, title: "This did not work", text: Cow::Borrowed(text), onward: String::new(), log: None }
    }

    /// Leads to the login page of the same integration, if nobody is signed in.
    fn at(self, app: &App, id: &str, session: &Session) -> Self {
        match app.integration(id) {
            Ok(integration) if value(session, USER).is_none() => {
                Self { onward: integration.login_link().url.path().to_owned(), ..self }
            }
            _ => self,
        }
    }
}

impl<E: Into<Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        let error = error.into();
        let advice = error.advice();
        if matches!(error, Error::Verify(VerifyError::Denied)) {
            return Self { title: "You were not logged in", text: advice.public_message, ..Self::new(200, "") };
        }
        let note = error.operator_note().unwrap_or_default();
        let log = format!("error[{}]: {error}. {:?}: {} {note}", advice.code, advice.audience, advice.hint);
        let status = error.status();
        Self { status, title: "Login failed", text: advice.public_message, log: Some(log), onward: String::new() }
    }
}

impl ResponseError for Failed {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        if let Some(log) = &self.log {
            eprintln!("{log}");
        }
        let onward = if self.onward.is_empty() { "/" } else { &self.onward };
        page(
            self.status_code(),
            self.title,
            &format!("<p>{}</p><p><a href=\"{onward}\">Try again</a></p>", escape(&self.text)),
        )
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A form with one button.
fn form(action: &str, csrf_token: &str, label: &str) -> String {
    let field = format!("<input type=\"hidden\" name=\"csrf_token\" value=\"{}\">", escape(csrf_token));
    format!("<form method=\"post\" action=\"{action}\">{field}<button>{}</button></form>", escape(label))
}

fn page(status: StatusCode, title: &str, body: &str) -> HttpResponse {
    let title = escape(title);
    let html = format!("<!DOCTYPE html><title>{title}</title><h1>{title}</h1>{body}");
    HttpResponse::build(status).content_type("text/html; charset=utf-8").body(html)
}

/// 303, since 307 would send the form again, to the code host.
fn see_other(location: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, location)).finish()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
