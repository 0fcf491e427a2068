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

mod accounts;
mod code_hosts;
mod cookies;
mod pages;
#[path = "../support/mod.rs"]
mod support;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use accounts::Accounts;
use clap::Parser;
use code_hosts::{CodeHostFlags, failure};
use codehost_oauth::{Callback, Integration, LoginStart, PublicUrl, web};
use cookies::{Browser, Cookies};
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Request, Response, StatusCode, request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use pages::Failed;
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
        accounts: Accounts::default(),
        cookies: Cookies::new(&public_url).map_err(|error| failure("keys", &*error))?,
    });
    support::print(&format!("open: {public_url}\n"))?;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await; // the process has too many files open, for example
            continue;
        };
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
    accounts: Accounts,
    cookies: Cookies,
}

impl App {
    async fn respond(&self, request: Request<Incoming>) -> Page {
        let (head, body) = request.into_parts();
        let mut browser = self.cookies.read(&head.headers);
        let routed = self.route(&head, body, &mut browser).await;
        let mut response = match routed {
            Ok(response) => response,
            Err(failed) => failure_page(&self.lead_on(failed, head.uri.path(), &browser)),
        };
        if let Err(error) = self.cookies.write(browser, response.headers_mut()) {
            response = failure_page(&Failed::app(&error));
        }
        response.headers_mut().extend(web::RESPONSE_HEADERS);
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("frame-ancestors 'none'"));
        response
    }

    async fn route(&self, head: &request::Parts, body: Incoming, browser: &mut Browser) -> Result<Page, Failed> {
        let path: Vec<&str> = head.uri.path().split('/').skip(1).collect();
        match (head.method.as_str(), path.as_slice()) {
            ("GET", [""]) => Ok(page(200, self.start_page(browser))),
            ("GET", ["login", id]) => Ok(page(200, pages::login(self.integration(id)?, browser.csrf_token()?))),
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

    fn start_page(&self, browser: &Browser) -> String {
        match browser.user() {
            None => pages::welcome(&self.integrations),
            Some(user) => pages::accounts(&self.integrations, &self.accounts.keys_of(&user), browser.kept_csrf_token()),
        }
    }

    async fn callback(&self, head: &request::Parts, id: &str, browser: &mut Browser) -> Result<Page, Failed> {
        if !web::is_deliberate(&head.method, &head.headers) {
            return Ok(page(503, pages::not_deliberate()));
        }
        let integration = self.integration(id)?; // look it up again afterwards, if an administrator can change it
        let callback = Callback::from_uri(&head.uri)?;
        let pending = browser.logins().take(&callback)?;
        match pending.purpose().user_id() {
            None => {
                let login = integration.finish_login(pending, callback).await?;
                browser.log_in(self.accounts.user_of(&login.user.key))?;
            }
            Some(_) => {
                let user = browser.user().ok_or(Failed::NOT_SIGNED_IN)?;
                let login = integration.finish_connect(&user, pending, callback).await?;
                if !self.accounts.connect(&login.user.key, &user) {
                    return Err(Failed::OTHER_USER);
                }
            }
        }
        Ok(see_other("/"))
    }

    /// The page about a failure leads to the login page of the same integration, if nobody is logged in.
    fn lead_on(&self, failed: Failed, path: &str, browser: &Browser) -> Failed {
        match self.integration(path.rsplit('/').next().unwrap_or_default()) {
            Ok(integration) if browser.user().is_none() => failed.at(integration.login_link().url.path()),
            _ => failed,
        }
    }

    fn integration(&self, id: &str) -> Result<&Integration, Failed> {
        self.integrations.iter().find(|one| one.id().as_str() == id).ok_or(Failed::NOT_FOUND)
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

fn failure_page(failed: &Failed) -> Page {
    page(failed.status, failed.page())
}

fn page(status: u16, html: String) -> Page {
    let mut page = Page::new(html.into());
    *page.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    page
}

/// 303, since 307 would send the form again, to the code host.
fn see_other(location: &str) -> Page {
    let mut response = Page::default();
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}
