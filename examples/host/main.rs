//! A small web app that users log in to with their code host: everything in a browser, from "Add integration" to the
//! account page.
//!
//! ```text
//! cargo run -p host -- --demo
//! ```
//!
//! also starts a fake of each platform, so that nothing else is needed. Without `--demo`, users log in with real
//! code hosts: `--public-url` is the URL at which browsers reach the app, `--database` the file with its data, and
//! `CODEHOST_KEYS` holds the keys that seal client secrets and sessions.

mod app;
mod code_hosts;
mod demo;
mod form;
mod keys;
mod logins;
mod pages;
mod report;
mod routes;
mod sessions;
mod store;
#[path = "../support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use app::App;
use clap::Parser;
use code_hosts::{CodeHostFlags, CodeHosts};
use codehost_oauth::PublicUrl;
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
    /// The SQLite file; if left out, host.sqlite, or memory with --demo
    #[arg(long, value_name = "PATH")]
    database: Option<PathBuf>,
    #[command(flatten)]
    code_hosts: CodeHostFlags,
}

#[tokio::main]
async fn main() -> ExitCode {
    exit(run(Flags::parse()).await)
}

async fn run(flags: Flags) -> Result<(), Failure> {
    let listener = TcpListener::bind(flags.listen).await.map_err(|error| Failure {
        code: "listen".to_owned(),
        message: format!("cannot listen on {}: {error}", flags.listen),
        hint: "Stop the program that uses the address, or choose another with --listen.".to_owned(),
    })?;
    let address = listener.local_addr().map_err(|error| failure("listen", &error))?;
    let public_url: PublicUrl = match &flags.public_url {
        Some(url) => url.parse()?,
        None => format!("http://{address}").parse()?,
    };

    if url::Url::parse(public_url.as_str()).is_ok_and(|url| url.path() != "/") {
        return Err(Failure {
            code: "public_url_path".to_owned(),
            message: "the public URL has a path, which this example does not serve".to_owned(),
            hint: "Set --public-url to a URL without a path.".to_owned(),
        });
    }

    let database = match flags.database {
        None if flags.demo => None,
        database => Some(database.unwrap_or_else(|| "host.sqlite".into())),
    };
    let keys = Arc::new(keys::load(database.as_deref())?);
    let store = Store::open(database.as_deref(), Arc::clone(&keys)).await?;
    let mut network = flags.code_hosts.network.network()?;
    let demo = match flags.demo {
        true => {
            network = network.allow_loopback_http();
            Some(Demo::start(address, &public_url, &store).await?)
        }
        false => None,
    };
    if let Some(demo) = &demo {
        print(&demo.describe())?;
    }

    let code_hosts = CodeHosts::new(&flags.code_hosts, network)?;
    let app = Arc::new(App::new(public_url, store, demo, code_hosts)?);
    print(&format!(
        "administrators: enter the one-time token {} at {}/setup to set up the app, or if no administrator can log in\n",
        app.setup_token(),
        app.public_url
    ))?;
    print(&format!("open: {}\n", app.public_url))?;
    axum::serve(listener, routes::routes(app)).await.map_err(|error| failure("serve", &error))
}

fn failure(code: &str, error: &dyn std::error::Error) -> Failure {
    Failure { code: code.to_owned(), message: error.to_string(), hint: String::new() }
}
