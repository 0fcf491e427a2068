//! A whole login.
//!
//! Without flags it starts a fake of each platform in this process and logs in to both. With flags it logs a person in
//! at a real code host: it prints the callback URL and the URL to open, waits for the browser to come back, and prints
//! who logged in.
//!
//! ```text
//! cargo run --example login
//! CODEHOST_CLIENT_SECRET=… cargo run --example login -- --platform gitlab --base-url https://git.example.com \
//!     --host http://127.0.0.1:9000 --id demo --client-id … --access sign-in
//! ```

mod support;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use codehost_oauth::error::Error;
use codehost_oauth::setup::SetupRequest;
use codehost_oauth::testing::{FakeApplication, FakeBitbucket, FakeGitLab};
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{Access, BaseUrl, Callback, Host, Integration, Login, LoginStart, PendingLogins, Platform};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use support::integration::IntegrationFlags;
use support::{Failure, exit, print};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Logs a person in and prints who they are; without any flag, at a fake of each platform in this process
#[derive(Parser)]
#[command(name = "login")]
struct Flags {
    #[command(flatten)]
    integration: IntegrationFlags,
    /// Where to wait for the browser to come back
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// How long to wait for it
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    timeout: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::args_os().len() == 1 {
        return exit(demo().await);
    }
    exit(log_in(Flags::parse()).await)
}

/// What a host does, with a terminal in place of its pages.
async fn log_in(flags: Flags) -> Result<(), Failure> {
    let integration = Arc::new(flags.integration.integration()?);
    let listener = TcpListener::bind(flags.listen).await.map_err(|error| Failure {
        code: "listen".to_owned(),
        message: format!("cannot listen on {}: {error}", flags.listen),
        hint: "Free the port, or choose another with --listen (and --host).".to_owned(),
    })?;

    let start = integration.begin_login(None)?;
    let mut session = PendingLogins::default();
    session.insert(start.pending);
    print(&format!("callback: {}\nopen: {}\n", integration.callback_url(), start.redirect_to.as_str()))?;

    let wait = Duration::from_secs(flags.timeout);
    let callback = tokio::time::timeout(wait, wait_for_callback(listener, Arc::clone(&integration))).await;
    let callback = callback.map_err(|_| Failure {
        code: "no_callback".to_owned(),
        message: format!("the browser did not come back within {} seconds", flags.timeout),
        hint: "If the code host shows an error page, compare the OAuth application's callback URL and scopes with the \
               setup guide. If the browser cannot open the callback, let --listen and --host name the same port."
            .to_owned(),
    })??;
    let login = finish(&integration, &mut session, callback).await?;
    print(&format!("{}\n", describe(&integration, &login)))
}

async fn finish(integration: &Integration, session: &mut PendingLogins, callback: Callback) -> Result<Login, Error> {
    // A host stores its session here, before anything is sent: a callback works once.
    let pending = session.take(&callback)?;
    integration.finish_login(pending, callback).await
}

/// Serves one callback; what comes to other paths is not it.
async fn wait_for_callback(listener: TcpListener, integration: Arc<Integration>) -> Result<Callback, Failure> {
    let (found, mut callbacks) = mpsc::channel(1);
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted.map_err(|error| Failure {
                code: "listen".to_owned(),
                message: format!("cannot accept a connection: {error}"),
                hint: String::new(),
            })?,
            Some(callback) = callbacks.recv() => {
                // Leave the browser a moment to read the page.
                tokio::time::sleep(Duration::from_millis(100)).await;
                return callback;
            }
        };
        let (found, integration) = (found.clone(), Arc::clone(&integration));
        tokio::spawn(async move {
            let serve = service_fn(|request: http::Request<Incoming>| {
                let (found, integration) = (found.clone(), Arc::clone(&integration));
                async move {
                    if request.method() != http::Method::GET || !integration.callback_url().is_at(request.uri().path())
                    {
                        return page(http::StatusCode::NOT_FOUND, "There is nothing here.");
                    }
                    let callback = Callback::from_uri(request.uri()).map_err(Failure::from);
                    // A second callback finds the channel full: one was waited for.
                    let _ = found.try_send(callback);
                    page(http::StatusCode::OK, "You can close this page and go back to the terminal.")
                }
            });
            // The browser may close the connection when it likes.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), serve).await;
        });
    }
}

fn page(status: http::StatusCode, text: &'static str) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let mut response = http::Response::new(Full::from(text));
    *response.status_mut() = status;
    let headers = [
        ("content-type", "text/plain; charset=utf-8"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    Ok(response)
}

fn describe(integration: &Integration, login: &Login) -> serde_json::Value {
    json!({
        "account_key": login.user.key.to_string(),
        "platform": integration.provider().platform().id(),
        "username": login.user.username,
        "display_name": login.user.display_name,
        "emails": login.user.emails,
        "trusted_email": login.trusted_email(),
        "state": login.user.state,
        "two_factor": login.user.two_factor,
        "granted_scopes": login.tokens.scopes,
        "missing_scopes": login.missing_scopes,
        "expires_in": login.tokens.expires_in.map(|lifetime| lifetime.as_secs()),
    })
}

/// Both platforms, from the setup guide to a refreshed token, without an account or a network.
async fn demo() -> Result<(), Failure> {
    let host: Host = "http://127.0.0.1:9000".parse()?;
    let network = Network::public_only().allow_loopback_http();
    let application = |platform: Platform, scopes: &str| -> Result<FakeApplication, Failure> {
        let callback = codehost_oauth::CallbackUrl::new(&host, platform.id(), &"demo".parse()?);
        Ok(FakeApplication::new("demo-client", "demo-secret", callback.as_str(), scopes))
    };
    let failed = |error: std::io::Error| Failure {
        code: "listen".to_owned(),
        message: format!("a fake cannot listen on a loopback address: {error}"),
        hint: String::new(),
    };

    let platform = Platform::find("gitlab")?;
    let gitlab = FakeGitLab::builder().application(application(platform, "read_user")?);
    let gitlab = gitlab.start().await.map_err(failed)?;
    walk(platform, gitlab.base_url(), &host, &network, |url| gitlab.authorize(url, "alice").map_err(page_error))
        .await?;

    let platform = Platform::find("bitbucket-cloud")?;
    let bitbucket = FakeBitbucket::builder().application(application(platform, "account email")?);
    let bitbucket = bitbucket.start().await.map_err(failed)?;
    walk(platform, bitbucket.base_url(), &host, &network, |url| bitbucket.authorize(url, "jane").map_err(page_error))
        .await
}

async fn walk(
    platform: Platform,
    base_url: &str,
    host: &Host,
    network: &Network,
    person: impl Fn(&str) -> Result<String, Failure>,
) -> Result<(), Failure> {
    print(&format!("{platform}, a fake of it at {base_url}\n"))?;
    let provider = platform.at(BaseUrl::parse(base_url, network)?)?;

    let request = SetupRequest::new(host.clone(), "demo".parse()?, "Demo", Access::SignIn)?;
    let guide = provider.setup_guide(&request);
    print(&format!(
        "  1 setup     the administrator creates the OAuth application with\n              callback URL {}\n              scopes       {}\n",
        guide.callback_url,
        provider.required_scopes(&request.access),
    ))?;

    let integration = Integration::builder(provider)
        .id(request.id)
        .name(&request.name)
        .host(request.host)
        .client("demo-client", "demo-secret")
        .access(request.access)
        .transport(HttpClient::builder(network.clone()).build()?)
        .build()?;
    let link = integration.login_link();
    print(&format!("  2 link      \"{}\" ({}) at {}\n", link.label, link.detail, link.url))?;

    let LoginStart { redirect_to, pending, .. } = integration.begin_login(None)?;
    let mut session = PendingLogins::default();
    session.insert(pending);
    let (page, query) = redirect_to.as_str().split_once('?').unwrap_or((redirect_to.as_str(), ""));
    let parameters: Vec<_> = query.split('&').filter_map(|pair| pair.split('=').next()).collect();
    print(&format!("  3 begin     the browser goes to {} with\n              {}\n", page, parameters.join(", ")))?;

    let callback = person(redirect_to.as_str())?;
    let uri: http::Uri = callback.parse().map_err(|error| Failure {
        code: "callback".to_owned(),
        message: format!("the callback is no URI: {error}"),
        hint: String::new(),
    })?;
    print(&format!("  4 callback  the person authorizes; the browser comes back to {}\n", uri.path()))?;

    let login = finish(&integration, &mut session, Callback::from_uri(&uri)?).await?;
    print(&format!("  5 login     {}\n", describe(&integration, &login)))?;

    if let Some(token) = &login.tokens.refresh_token {
        let renewed = integration.refresh(token).await?;
        let user = integration.user(&renewed.access_token).await?;
        print(&format!("  6 refresh   new tokens, still {}\n\n", user.key))?;
    }
    Ok(())
}

fn page_error(error: codehost_oauth::testing::FakeError) -> Failure {
    Failure { code: "authorization_page".to_owned(), message: error.to_string(), hint: String::new() }
}
