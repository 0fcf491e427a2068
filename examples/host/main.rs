//! A small web app that users log in to with their code host: organizations, users, roles, invitations and sessions. Everything
//! about integrations is the crate's.
//!
//! `cargo run -p host -- --demo` also starts a fake of each platform, so that nothing else is needed. Without `--demo`, users
//! log in with real code hosts, and `CODEHOST_KEYS` holds the keys that seal client secrets, tokens and pending logins.

mod account;
mod app;
#[path = "../support/fakes.rs"]
mod fakes;
#[path = "../support/keys.rs"]
mod keys;
mod logins;
mod pages;
mod people;
mod routes;
mod store;
#[path = "../support/mod.rs"]
mod support;

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use app::App;
use clap::Parser;
use codehost_oauth::PublicUrl;
use codehost_oauth::keeper::{SqliteStore, TokenKeeper};
use codehost_oauth::router::SqliteSessions;
use codehost_oauth::settings::{AppConfig, Integrations, SqliteIntegrations};
use fakes::Fake;
use keys::key_ring;
use store::Store;
use support::{Failure, NetworkFlags, ProxyFlags, exit, print};
use tokio::net::TcpListener;

/// A web app that users log in to with their code host
#[derive(Parser)]
#[command(name = "host")]
struct Flags {
    /// Also start a fake of each platform, to try the app without a code host
    #[arg(long)]
    demo: bool,
    /// The address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// The URL at which browsers reach the app; http://ADDR if left out
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// The SQLite file; if left out, host.sqlite, or a temporary one with --demo
    #[arg(long, value_name = "PATH")]
    database: Option<PathBuf>,
    /// Make the administrators of an organization members: a setup link, or those of the first organization, replace them
    #[arg(long, value_name = "SLUG", num_args = 0..=1, default_missing_value = store::FIRST)]
    reset_administrators: Option<String>,
    #[command(flatten)]
    network: NetworkFlags,
    #[command(flatten)]
    proxy: ProxyFlags,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut flags = Flags::parse();
    let folder = std::env::temp_dir().join(format!("codehost-oauth-demo-{}", store::token().unwrap_or_default()));
    if flags.demo && flags.database.is_none() && std::fs::create_dir(&folder).is_ok() {
        flags.database = Some(folder.join("host.sqlite"));
    }
    let outcome = run(flags).await;
    let _ = std::fs::remove_dir_all(folder);
    exit(outcome)
}

async fn run(flags: Flags) -> Result<(), Failure> {
    let not_listening = |error| {
        let hint = "Stop the program that uses the address, or choose another with --listen.";
        Failure::new("listen", format!("cannot listen on {}: {error}", flags.listen), hint)
    };
    let listener = TcpListener::bind(flags.listen).await.map_err(not_listening)?;
    let address = listener.local_addr().map_err(not_listening)?;
    let public_url: PublicUrl = flags.public_url.unwrap_or_else(|| format!("http://{address}")).parse()?;
    if public_url.path() != "/" {
        let message = "the public URL has a path, which this example does not serve";
        return Err(Failure::new("public_url_path", message, "Set --public-url to a URL without a path."));
    }
    let mut network = flags.network.network()?;
    let mut fakes = Vec::new();
    if flags.demo {
        network = network.allow_loopback_http();
        fakes = Fake::start_all(address).await.map_err(not_listening)?;
    }
    for fake in &fakes {
        print(&format!("fake {}: {}\n", fake.platform, fake.base_url))?;
    }

    let path = flags.database.unwrap_or_else(|| "host.sqlite".into());
    let demo_key = if flags.demo { Some(store::token().map_err(not_opened)?) } else { None };
    let demo_key = demo_key.map(|random| format!("1:{}", store::digest(&random)));
    let keys = || key_ring("CODEHOST_KEYS", demo_key.as_deref());
    let store = Store::open(&path).await.map_err(not_opened)?;
    let integrations = SqliteIntegrations::with_pool(store.0.clone()).await.map_err(not_opened)?;
    let tokens = SqliteStore::open(&path).await.map_err(not_opened)?;
    let config = AppConfig::new(public_url.clone(), flags.proxy.http(network)?.build()?);
    let integrations = Integrations::new(integrations, config, keys()?);
    let keeper = TokenKeeper::builder(tokens, keys()?, integrations.clone()).build();
    let resets = flags.reset_administrators.as_deref();
    if let Some(slug) = resets {
        let known = store.organization(slug).await.map_err(not_opened)?;
        let hint = "Use the part after /org/ in the URLs of its pages.";
        known.ok_or_else(|| Failure::new("organization", format!("there is no organization {slug:?}"), hint))?;
    }
    if let Some(token) = store.begin_setup(resets).await.map_err(not_opened)? {
        let how = "works once, in one browser: the first login in that browser makes its user the administrator";
        print(&format!("setup: {public_url}/setup/{token} ({how})\n"))?;
    }
    let sessions = SqliteSessions::with_pool(store.0.clone()).await.map_err(not_opened)?;
    let app = App { store, integrations, keeper: keeper.clone() };
    // Left if the program was killed before it revoked them. A code host may be slow.
    let left = app.clone();
    tokio::spawn(async move { left.end_tokens().await.map_err(|error| app::log(&error)) });
    let routes = routes::routes(app, sessions, keys()?)?;
    print(&format!("open: {public_url}\n"))?;
    tokio::select! {
        served = axum::serve(listener, routes) => served.map_err(|error| Failure::new("serve", error, ""))?,
        _ = tokio::signal::ctrl_c() => keeper.finish().await,
    }
    Ok(())
}

fn not_opened(error: impl Display) -> Failure {
    let hint = "Use --database to choose a file in a directory that this program can write to.";
    Failure::new("database", format!("the database cannot be opened: {error}"), hint)
}
