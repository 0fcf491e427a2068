//! Users log in to a plain hyper service with their code host, without the routes of the feature `axum`.
//!
//! ```text
//! cargo run -p login-hyper
//! ```
//!
//! starts a fake GitLab and a fake Forgejo in the same process. For your own code host, give `--platform`, `--base-url` and
//! `--client-id`, set `CODEHOST_CLIENT_SECRET`, and register the callback URL that is printed.
//!
//! The browser keeps everything in sealed cookies (`cookies.rs`), so any node can serve any request. The price: a log-out
//! cannot end a copy of the cookie, nor a login that is in progress, and only the code host makes sure that a copied callback
//! works once. `examples/actix` keeps pending logins on the server.

mod code_hosts;
mod cookies;
#[path = "../support/mod.rs"]
mod support;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::Parser;
use code_hosts::{CodeHostFlags, failure};
use codehost_oauth::error::{Error, VerifyError};
use codehost_oauth::{Callback, Integration, LoginStart, PublicUrl, web};
use cookies::{Browser, Cookies};
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Request, Response, StatusCode, request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

/// A hyper service that users log in to with their code host
#[derive(Parser)]
#[command(name = "login-hyper")]
struct Flags {
    /// The address to listen on, which is the public URL too
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    #[command(flatten)]
    code_host: CodeHostFlags,
}

#[tokio::main]
async fn main() -> ExitCode {
    support::exit(run(Flags::parse()).await)
}

async fn run(flags: Flags) -> Result<(), support::Failure> {
    let listener = TcpListener::bind(flags.listen).await.map_err(|error| failure("listen", &error))?;
    let address = listener.local_addr().map_err(|error| failure("listen", &error))?;
    let public_url: PublicUrl = format!("http://{address}").parse()?; // where browsers reach the app: https://… in production
    let code_hosts = flags.code_host.start(&public_url).await?;
    let app = Arc::new(App {
        integrations: code_hosts.integrations,
        accounts: Mutex::default(),
        cookies: Cookies::new(&public_url).map_err(|error| failure("keys", &*error))?,
    });
    support::print(&format!("open: {public_url}\n"))?;
    loop {
        let (stream, _) = listener.accept().await.map_err(|error| failure("accept", &error))?;
        let app = Arc::clone(&app);
        let service = service_fn(move |request| {
            let app = Arc::clone(&app);
            async move { Ok::<_, Infallible>(app.respond(request).await) }
        });
        // The browser may close the connection at any time.
        let mut http1 = hyper::server::conn::http1::Builder::new();
        let connection = http1.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move { _ = connection.await });
    }
}

type Page = Response<Full<Bytes>>;

struct App {
    integrations: Vec<Integration>,
    /// The user of each account key. In your app, a table with the key as its primary key.
    accounts: Mutex<BTreeMap<String, String>>,
    cookies: Cookies,
}

impl App {
    async fn respond(&self, request: Request<Incoming>) -> Page {
        let (head, body) = request.into_parts();
        let mut browser = self.cookies.read(&head.headers);
        let routed = self.route(&head, body, &mut browser).await;
        let mut response = routed.unwrap_or_else(|failed| failed.page(self.onward(head.uri.path(), &browser)));
        if let Err(error) = self.cookies.write(browser, response.headers_mut()) {
            response = Failed { log: Some(format!("the cookies cannot be sealed: {error}")), ..Failed::APP }
                .page("/".to_owned());
        }
        response.headers_mut().extend(web::RESPONSE_HEADERS);
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("frame-ancestors 'none'"));
        response
    }

    async fn route(&self, head: &request::Parts, body: Incoming, browser: &mut Browser) -> Result<Page, Failed> {
        let path: Vec<&str> = head.uri.path().split('/').skip(1).collect();
        match (head.method.as_str(), path.as_slice()) {
            ("GET", [""]) => Ok(self.start_page(browser)),
            ("GET", ["login", id]) => {
                let link = self.integration(id)?.login_link();
                let form = form(link.url.path(), browser.csrf_token()?, &link.label);
                Ok(page(StatusCode::OK, &link.label, &format!("{form}<p>{}</p>", escape(&link.detail))))
            }
            ("POST", ["login", id]) => {
                check_csrf(browser, body).await?;
                begin(browser, self.integration(id)?.begin_login(None)?)
            }
            ("POST", ["connect", id]) => {
                check_csrf(browser, body).await?;
                let user = browser.user().ok_or(Failed::NOT_SIGNED_IN)?;
                begin(browser, self.integration(id)?.begin_connect(&user, None)?)
            }
            ("GET" | "HEAD", ["oauth", "callback", _, id]) => self.callback(head, id, browser).await,
            ("POST", ["logout"]) => {
                check_csrf(browser, body).await?;
                browser.log_out();
                Ok(see_other("/"))
            }
            _ => Err(Failed::NOT_FOUND),
        }
    }

    async fn callback(&self, head: &request::Parts, id: &str, browser: &mut Browser) -> Result<Page, Failed> {
        if !web::is_deliberate(&head.method, &head.headers) {
            return Ok(page(StatusCode::SERVICE_UNAVAILABLE, "Not now", "Open this page to go on."));
        }
        let integration = self.integration(id)?; // look it up again afterwards, if an administrator can change it
        let callback = Callback::from_uri(&head.uri)?;
        let pending = browser.logins().take(&callback)?;
        match pending.purpose().user_id() {
            None => {
                let login = integration.finish_login(pending, callback).await?;
                let key = login.user.key.to_string();
                // The user is named after the first account: in your app, create one with an id of your own.
                let user = self.accounts().entry(key.clone()).or_insert(key).clone();
                browser.log_in(user)?;
            }
            Some(_) => {
                let user = browser.user().ok_or(Failed::NOT_SIGNED_IN)?;
                let login = integration.finish_connect(&user, pending, callback).await?;
                let key = login.user.key.to_string();
                if *self.accounts().entry(key).or_insert(user.clone()) != user {
                    return Err(Failed::OTHER_USER);
                }
            }
        }
        Ok(see_other("/"))
    }

    fn start_page(&self, browser: &Browser) -> Page {
        let links = self.integrations.iter().map(Integration::login_link);
        let Some(user) = browser.user() else {
            let links = links.map(|link| format!("<p><a href=\"{}\">{}</a></p>", link.url.path(), escape(&link.label)));
            return page(StatusCode::OK, "Welcome", &links.collect::<String>());
        };
        let accounts = self.accounts();
        let own =
            accounts.iter().filter(|(_, owner)| **owner == user).map(|(key, _)| format!("<li>{}</li>", escape(key)));
        let token = browser.kept_csrf_token();
        let connect =
            |one: &Integration| form(&format!("/connect/{}", one.id()), token, &format!("Connect {}", one.name()));
        let forms = self.integrations.iter().map(connect).chain([form("/logout", token, "Log out")]);
        page(
            StatusCode::OK,
            "Your accounts",
            &format!("<ul>{}</ul>{}", own.collect::<String>(), forms.collect::<String>()),
        )
    }

    /// Where a page about a failure leads: to the login page of the same integration, or to the start page.
    fn onward(&self, path: &str, browser: &Browser) -> String {
        match self.integration(path.rsplit('/').next().unwrap_or_default()) {
            Ok(integration) if browser.user().is_none() => integration.login_link().url.path().to_owned(),
            _ => "/".to_owned(),
        }
    }

    fn integration(&self, id: &str) -> Result<&Integration, Failed> {
        self.integrations.iter().find(|one| one.id().as_str() == id).ok_or(Failed::NOT_FOUND)
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the pending login, and sends the browser to the code host.
fn begin(browser: &mut Browser, start: LoginStart) -> Result<Page, Failed> {
    browser.logins().insert(start.pending);
    Ok(see_other(start.redirect_to.as_str()))
}

/// Whether the form came from a page of this app in this browser. A `GET` would let another site begin a login with a link.
async fn check_csrf(browser: &Browser, body: Incoming) -> Result<(), Failed> {
    #[allow(clippy::disallowed_methods, reason = "within the limit")]
    let form = Limited::new(body, 8 * 1024).collect().await.map_err(|_| Failed::CSRF)?.to_bytes();
    let token = form_urlencoded::parse(&form).find(|(name, _)| name == "csrf_token");
    let is_valid = token.is_some_and(|(_, token)| web::is_csrf_token(browser.kept_csrf_token(), &token));
    if is_valid { Ok(()) } else { Err(Failed::CSRF) }
}

/// What the user and the log are told when a request fails.
struct Failed {
    status: u16,
    title: &'static str,
    text: Cow<'static, str>,
    /// `None` if nothing is wrong.
    log: Option<String>,
}

impl Failed {
    const CSRF: Self = Self::new(403, "Open the page again and press the button once more.");
    const NOT_SIGNED_IN: Self = Self::new(403, "Log in first, then connect the account.");
    const OTHER_USER: Self = Self::new(409, "Another user of this app has connected this account.");
    const APP: Self = Self::new(503, "This app has a problem at the moment. Please try again later.");
    const NOT_FOUND: Self = Self::new(404, "There is no such page. Check the link.");

    const fn new(status: u16, text: &'static str) -> Self {
        Self { status, title: "This did not work", text: Cow::Borrowed(text), log: None }
    }

    fn page(self, onward: String) -> Page {
        if let Some(log) = self.log {
            eprintln!("{log}");
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        page(status, self.title, &format!("<p>{}</p><p><a href=\"{onward}\">Try again</a></p>", escape(&self.text)))
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
        Self { status: error.status(), title: "Login failed", text: advice.public_message, log: Some(log) }
    }
}

/// A form with one button.
fn form(action: &str, csrf_token: &str, label: &str) -> String {
    let field = format!("<input type=\"hidden\" name=\"csrf_token\" value=\"{csrf_token}\">");
    format!("<form method=\"post\" action=\"{action}\">{field}<button>{}</button></form>", escape(label))
}

fn page(status: StatusCode, title: &str, body: &str) -> Page {
    let title = escape(title);
    let mut page = Page::new(format!("<!DOCTYPE html><title>{title}</title><h1>{title}</h1>{body}").into());
    *page.status_mut() = status;
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    page
}

/// 303, since 307 would send the form again, to the code host.
fn see_other(location: &str) -> Page {
    let mut response = page(StatusCode::SEE_OTHER, "Go on", "");
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
