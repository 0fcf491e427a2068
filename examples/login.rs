//! A whole login.
//!
//! Without flags, it starts a fake of each platform in this process and logs in to each. With flags, it logs you in with a
//! real code host: it prints the callback URL and the URL to open, waits for the callback, and prints the user.
//!
//! ```text
//! cargo run --example login
//! CODEHOST_CLIENT_SECRET=… cargo run --example login -- --platform gitlab --base-url https://git.example.com \
//!     --public-url http://127.0.0.1:9000 --id demo --client-id … --access sign-in
//! ```

mod support;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use codehost_oauth::error::Error;
use codehost_oauth::setup::SetupRequest;
use codehost_oauth::testing::github::ServerKind;
use codehost_oauth::testing::{
    FakeApplication, FakeBitbucket, FakeBitbucketDataCenter, FakeForgejo, FakeGitHub, FakeGitLab,
};
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{
    Access, BaseUrl, Callback, Integration, IntegrationConfig, Login, LoginStart, PendingLogins, Platform, PublicUrl,
};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use support::integration::IntegrationFlags;
use support::{Failure, exit, print};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Logs you in with a code host and prints the user; without flags, with a fake of each platform in this process
#[derive(Parser)]
#[command(
    name = "login",
    override_usage = "login\n       CODEHOST_CLIENT_SECRET=… login --platform PLATFORM --public-url URL --client-id CLIENT_ID --access ACCESS [OPTIONS]"
)]
struct Flags {
    #[command(flatten)]
    integration: IntegrationFlags,
    /// The address to listen on for the callback; that of --public-url if it is a loopback address, else 127.0.0.1:9000
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// How long to wait for the callback
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

/// The steps of an app, in a terminal instead of a browser session.
async fn log_in(flags: Flags) -> Result<(), Failure> {
    let integration = flags.integration.integration()?;
    let listen = flags.listen.or_else(|| address_of(flags.integration.public_url())).unwrap_or(DEFAULT_ADDRESS);
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        let hint = "Stop the program that uses the address, or choose another in --listen and --public-url.";
        Failure::new("listen", format!("cannot listen on {listen}: {error}"), hint)
    })?;

    let start = integration.begin_login(None)?;
    let mut session = PendingLogins::default();
    session.insert(start.pending);
    print(&format!("callback: {}\nopen: {}\n", integration.callback_url(), start.redirect_to.as_str()))?;

    let wait = Duration::from_secs(flags.timeout);
    let callback = tokio::time::timeout(wait, wait_for_callback(listener, integration.clone())).await;
    let callback = callback.map_err(|_| {
        let hint = "If the code host shows an error page, compare the OAuth application's callback URL and scopes with the \
                    setup guide. If the browser cannot open the callback, use the same port in --listen and --public-url.";
        Failure::new("no_callback", format!("no callback arrived within {} seconds", flags.timeout), hint)
    })??;
    let login = finish(&integration, &mut session, callback).await?;
    print(&format!("{}\n", describe(&integration, &login)))
}

/// Where a browser on this machine reaches a public URL with a loopback address.
fn address_of(public_url: &str) -> Option<SocketAddr> {
    let uri: http::Uri = public_url.parse().ok()?;
    let host = uri.host()?.trim_matches(['[', ']']);
    let ip: IpAddr = if host == "localhost" { Ipv4Addr::LOCALHOST.into() } else { host.parse().ok()? };
    ip.is_loopback().then_some(SocketAddr::new(ip, uri.port_u16()?))
}

const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9000);

async fn finish(integration: &Integration, session: &mut PendingLogins, callback: Callback) -> Result<Login, Error> {
    // An app stores its session here, before it sends anything, so that a callback works only once.
    let pending = session.take(&callback)?;
    integration.finish_login(pending, callback).await
}

/// Waits for one request to the path of the callback URL. Other paths get status 404.
async fn wait_for_callback(listener: TcpListener, integration: Integration) -> Result<Callback, Failure> {
    let (found, mut callbacks) = mpsc::channel(1);
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted.map_err(|error| {
                Failure::new("listen", format!("cannot accept a connection: {error}"), "")
            })?,
            Some(callback) = callbacks.recv() => {
                // Give the browser time to read the page.
                tokio::time::sleep(Duration::from_millis(100)).await;
                return callback;
            }
        };
        let (found, integration) = (found.clone(), integration.clone());
        tokio::spawn(async move {
            let serve = service_fn(|request: http::Request<Incoming>| {
                let (found, integration) = (found.clone(), integration.clone());
                async move {
                    if request.method() != http::Method::GET || !integration.callback_url().is_at(request.uri().path())
                    {
                        return page(
                            http::StatusCode::NOT_FOUND,
                            "Page not found. Finish the login in the browser; it leads back to the callback URL.",
                        );
                    }
                    let callback = Callback::from_uri(request.uri()).map_err(Failure::from);
                    // If the channel is full, a callback has already arrived.
                    let _ = found.try_send(callback);
                    page(http::StatusCode::OK, "You can close this page and go back to the terminal.")
                }
            });
            // The browser may close the connection at any time.
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

/// Logs in to a fake of each platform, from the setup guide to refreshed tokens, without an account or network access.
async fn demo() -> Result<(), Failure> {
    let public_url: PublicUrl = "http://127.0.0.1:9000".parse()?;
    let network = Network::public_only().allow_loopback_http();
    let application = |platform: Platform, scopes: &str| -> Result<FakeApplication, Failure> {
        let callback = codehost_oauth::CallbackUrl::new(&public_url, platform.id(), &"demo".parse()?);
        Ok(FakeApplication::new("demo-client", "demo-secret", callback.as_str(), scopes))
    };
    let failed = |error: std::io::Error| {
        Failure::new("listen", format!("the fake code host cannot listen on a loopback address: {error}"), "")
    };

    let platform = Platform::find("gitlab")?;
    let gitlab = FakeGitLab::builder().application(application(platform, "read_user")?);
    let gitlab = gitlab.start().await.map_err(failed)?;
    let browser = |url: &str| gitlab.authorize(url, "alice").map_err(page_error);
    log_in_to_fake(platform, gitlab.base_url(), &public_url, &network, browser).await?;

    let platform = Platform::find("bitbucket-cloud")?;
    let bitbucket = FakeBitbucket::builder().application(application(platform, "account email")?);
    let bitbucket = bitbucket.start().await.map_err(failed)?;
    let browser = |url: &str| bitbucket.authorize(url, "jane").map_err(page_error);
    log_in_to_fake(platform, bitbucket.base_url(), &public_url, &network, browser).await?;

    let platform = Platform::find("github")?;
    let github = FakeGitHub::builder().kind(ServerKind::EnterpriseServer).version("3.23.0");
    let github = github.application(application(platform, "")?).start().await.map_err(failed)?;
    let browser = |url: &str| github.authorize(url, "janedoe").map_err(page_error);
    log_in_to_fake(platform, github.base_url(), &public_url, &network, browser).await?;

    let platform = Platform::find("forgejo")?;
    let forgejo = FakeForgejo::builder().application(application(platform, "")?).start().await.map_err(failed)?;
    let browser = |url: &str| forgejo.authorize(url, "jane").map_err(page_error);
    log_in_to_fake(platform, forgejo.base_url(), &public_url, &network, browser).await?;

    let platform = Platform::find("bitbucket-data-center")?;
    let bitbucket = FakeBitbucketDataCenter::builder().application(application(platform, "")?);
    let bitbucket = bitbucket.start().await.map_err(failed)?;
    let browser = |url: &str| bitbucket.authorize(url, "jdoe").map_err(page_error);
    log_in_to_fake(platform, bitbucket.base_url(), &public_url, &network, browser).await?;
    print(NEXT)
}

const NEXT: &str = "\
What to try next
  the same in a browser    cargo run -p host -- --demo
  with your code host      cargo run --example setup_guide -- --help    create the OAuth application
                           cargo run --example check -- --help          check the setup
                           cargo run --example login -- --help          log in
  in your app              README.md
";

/// `browser` opens the authorization URL, logs a user in there, and returns the URL of the callback.
async fn log_in_to_fake(
    platform: Platform,
    base_url: &str,
    public_url: &PublicUrl,
    network: &Network,
    browser: impl Fn(&str) -> Result<String, Failure>,
) -> Result<(), Failure> {
    print(&format!("{platform} (fake) at {base_url}\n"))?;
    let provider = platform.provider(BaseUrl::parse(base_url, network)?)?;

    let request = SetupRequest::new(public_url.clone(), "demo".parse()?, "Demo", Access::SignIn)?;
    let guide = provider.setup_guide(&request);
    step("1 setup", "the administrator creates the OAuth application with")?;
    step("", &format!("callback URL  {}", guide.callback_url))?;
    step("", &format!("scopes        {}", provider.required_scopes(&request.access)))?;

    let http = HttpClient::builder(network.clone()).build()?;
    let integration = Integration::builder(
        provider,
        http,
        IntegrationConfig {
            id: request.id,
            name: request.name.clone(),
            public_url: request.public_url,
            client_id: "demo-client".to_owned(),
            client_secret: "demo-secret".to_owned(),
            access: request.access,
        },
    )
    .build()?;
    let link = integration.login_link();
    step("2 link", &format!("\"{}\" ({}) at {}", link.label, link.detail, link.url))?;

    let LoginStart { redirect_to, pending, .. } = integration.begin_login(None)?;
    let mut session = PendingLogins::default();
    session.insert(pending);
    let (page, query) = redirect_to.as_str().split_once('?').unwrap_or((redirect_to.as_str(), ""));
    let parameters: Vec<_> = query.split('&').filter_map(|pair| pair.split('=').next()).collect();
    step("3 redirect", &format!("the browser goes to {page} with"))?;
    step("", &parameters.join(", "))?;

    let callback = browser(redirect_to.as_str())?;
    let uri = callback.parse::<http::Uri>();
    let uri = uri.map_err(|error| Failure::new("callback", format!("the callback is not a URI: {error}"), ""))?;
    step("4 callback", &format!("the user allows the login, and the browser is redirected to {}", uri.path()))?;

    let login = finish(&integration, &mut session, Callback::from_uri(&uri)?).await?;
    step("5 login", &format!("account key   {}", login.user.key))?;
    step("", &format!("username      {}", login.user.username.as_deref().unwrap_or("(unknown)")))?;
    step("", &format!("display name  {}", login.user.display_name.as_deref().unwrap_or("(unknown)")))?;
    for email in &login.user.emails {
        let trusted = if login.trusted_email() == Some(email.address()) { "trusted" } else { "not trusted" };
        step("", &format!("e-mail        {} ({trusted})", email.address()))?;
    }

    if let Some(token) = &login.tokens.refresh_token {
        let renewed = integration.refresh(token).await?;
        let user = integration.user(&renewed.access_token).await?;
        step("6 refresh", &format!("new tokens for {}", user.key))?;
    }
    print("\n")
}

fn step(name: &str, text: &str) -> Result<(), Failure> {
    print(&format!("  {name:<12}{text}\n"))
}

fn page_error(error: codehost_oauth::testing::FakeError) -> Failure {
    Failure::new("authorization_page", error, "")
}
