//! A small web app that users log in to with their code host: organizations, users, roles, invitations and sessions. Everything
//! about integrations is the crate's.
//!
//! ```text
//! cargo run -p host -- --demo
//! ```
//!
//! also starts a fake of each platform, so that nothing else is needed. Without `--demo`, users log in with real
//! code hosts: `--public-url` is the URL at which browsers reach the app, `--database` the file with its data, and
//! `CODEHOST_KEYS` holds the keys that seal client secrets, tokens and sessions.

mod app;
mod code_hosts;
mod demo;
mod logins;
mod pages;
mod routes;
mod sessions;
mod store;
#[path = "../support/mod.rs"]
mod support;

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use app::App;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Parser;
use code_hosts::{CodeHostFlags, CodeHosts};
use codehost_oauth::PublicUrl;
use codehost_oauth::error::{ConfigError, SealError};
use codehost_oauth::keeper::{SqliteStore, TokenKeeper};
use codehost_oauth::seal::KeyRing;
use codehost_oauth::settings::{AppConfig, Integrations, SqliteIntegrations};
use demo::Demo;
use store::Store;
use support::{Failure, exit, print};
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
    /// Make the administrators of the first organization members, so that the setup link works again
    #[arg(long)]
    reset_administrators: bool,
    #[command(flatten)]
    code_hosts: CodeHostFlags,
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let temporary = match (flags.demo, &flags.database) {
        (true, None) => {
            store::token().ok().map(|name| std::env::temp_dir().join(format!("codehost-oauth-demo-{name}")))
        }
        _ => None,
    };
    let outcome = run(flags, temporary.as_ref()).await;
    if let Some(folder) = temporary {
        let _ = std::fs::remove_dir_all(folder);
    }
    exit(outcome)
}

async fn run(flags: Flags, temporary: Option<&PathBuf>) -> Result<(), Failure> {
    let listener = TcpListener::bind(flags.listen).await.map_err(|error| Failure {
        code: "listen".to_owned(),
        message: format!("cannot listen on {}: {error}", flags.listen),
        hint: "Stop the program that uses the address, or choose another with --listen.".to_owned(),
    })?;
    let address = listener.local_addr().map_err(|error| failure("listen", &error))?;
    let public_url: PublicUrl = flags.public_url.unwrap_or_else(|| format!("http://{address}")).parse()?;
    if public_url.path() != "/" {
        return Err(Failure {
            code: "public_url_path".to_owned(),
            message: "the public URL has a path, which this example does not serve".to_owned(),
            hint: "Set --public-url to a URL without a path.".to_owned(),
        });
    }

    let database = match temporary {
        Some(folder) => {
            std::fs::create_dir(folder).map_err(|error| database_failure(&error))?;
            folder.join("host.sqlite")
        }
        None => flags.database.unwrap_or_else(|| "host.sqlite".into()),
    };
    let keys = keys(flags.demo)?;
    let store = Store::open(&database, Arc::new(ring(&keys)?)).await.map_err(|error| database_failure(&error))?;
    if flags.reset_administrators {
        store.reset_administrators().await.map_err(|error| database_failure(&error))?;
    }
    let mut network = flags.code_hosts.network.network()?;
    let mut demo = None;
    if flags.demo {
        network = network.allow_loopback_http();
        demo = Some(Demo::start(address).await.map_err(|error| failure("demo", &error))?);
    }
    for (name, base_url, _) in demo.iter().flat_map(Demo::fakes) {
        print(&format!("fake {name}: {base_url}\n"))?;
    }

    let http = flags.code_hosts.proxy.http(network.clone())?.build()?;
    let config = AppConfig::new(public_url.clone(), http);
    let config = config.operator_settings(CodeHosts::new(&flags.code_hosts, &network)?);
    let integrations = SqliteIntegrations::with_pool(store.pool.clone()).await.map_err(|e| database_failure(&e))?;
    let integrations = Integrations::new(integrations, config, Arc::clone(&store.keys));
    let tokens = SqliteStore::open(&database).await.map_err(|error| database_failure(&error))?;
    let keeper = TokenKeeper::builder(tokens, ring(&keys)?, integrations.clone()).build();
    let setup_token = store::token().map_err(|error| failure("random", &error))?;
    print(&format!(
        "setup: {public_url}/setup/{setup_token} (works once, and only while no administrator can log in)\n"
    ))?;
    let app = Arc::new(App::new(store, integrations, keeper.clone(), demo, setup_token));
    let routes = routes::routes(app, &public_url, ring(&keys)?)?;
    print(&format!("open: {public_url}\n"))?;
    tokio::select! {
        served = axum::serve(listener, routes) => served.map_err(|error| failure("serve", &error))?,
        _ = tokio::signal::ctrl_c() => keeper.finish().await,
    }
    Ok(())
}

/// The keys that seal client secrets, tokens, pending logins and sessions. They are not a flag, since flags are shown in the list of
/// processes. The demo makes new ones if there are none.
fn keys(is_demo: bool) -> Result<String, Failure> {
    match std::env::var(KEYS) {
        Ok(text) => Ok(text),
        Err(_) if is_demo => {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(|_| ConfigError::Random)?;
            Ok(format!("1:{}", URL_SAFE_NO_PAD.encode(key)))
        }
        Err(_) => Err(Failure {
            code: "keys_missing".to_owned(),
            message: format!("the environment variable {KEYS} is not set"),
            hint: format!("Set {KEYS} to 1: and 32 random bytes in base64: `echo 1:$(openssl rand -base64 32)`."),
        }),
    }
}

const KEYS: &str = "CODEHOST_KEYS";

fn ring(text: &str) -> Result<KeyRing, Failure> {
    text.parse().map_err(|error: SealError| Failure {
        code: error.code().to_owned(),
        message: format!("{KEYS}: {error}"),
        hint: error.advice().hint.into_owned(),
    })
}

fn database_failure(error: &dyn Display) -> Failure {
    Failure {
        code: "database".to_owned(),
        message: format!("the database cannot be opened: {error}"),
        hint: "Use --database to choose a file in a directory that this program can write to.".to_owned(),
    }
}

fn failure(code: &str, error: &dyn Display) -> Failure {
    Failure { code: code.to_owned(), message: error.to_string(), hint: String::new() }
}
