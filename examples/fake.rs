//! Runs a fake code host until it is stopped, to try an app without an account.
//!
//! ```text
//! cargo run --example fake -- --platform gitlab --callback-url http://127.0.0.1:3000/oauth/callback/gitlab/demo
//! ```
//!
//! Prints the base URL, the client id, the secret and the names of users. The app must allow loopback addresses:
//! `Network::public_only().allow_loopback_http()`.

#[path = "support/fakes.rs"]
mod fakes;
mod support;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use codehost_oauth::testing::FakeApplication;
use codehost_oauth::{Platform, PublicUrl};
use fakes::Fake;
use support::integration::platform;
use support::{Failure, exit, print};

/// Runs a fake code host, with an OAuth application for your app and users to log in as
#[derive(Parser)]
#[command(name = "fake")]
struct Flags {
    /// The platform of the code host: bitbucket-cloud, bitbucket-data-center, forgejo, github or gitlab
    #[arg(long, value_parser = platform)]
    platform: Platform,
    /// The callback URL of your app's integration
    #[arg(long, value_name = "URL", value_parser = callback_url)]
    callback_url: String,
    /// The loopback address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3001")]
    listen: SocketAddr,
    /// The scopes that the OAuth application allows, where a platform has check boxes for them
    #[arg(long, value_name = "SCOPES")]
    scopes: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    exit(run(Flags::parse()).await)
}

async fn run(flags: Flags) -> Result<(), Failure> {
    let scopes = flags.scopes.as_deref().unwrap_or(match flags.platform.id() {
        "bitbucket-cloud" => "account email",
        "gitlab" => "read_user",
        _ => "",
    });
    let application = FakeApplication::new("fake-client", "fake-secret", &flags.callback_url, scopes);
    let fake = Fake::start(flags.platform, flags.listen, Some(application)).await.map_err(failure)?;
    let Fake { base_url, users, .. } = &fake;
    print(&format!("base URL: {base_url}\nclient ID: fake-client\nsecret: fake-secret\nusers: {users}\n"))?;
    print(&format!("It accepts the callback URL {} only.\n", flags.callback_url))?;
    print("Press Ctrl+C to stop.\n")?;
    std::future::pending().await
}

fn failure(error: std::io::Error) -> Failure {
    let message = format!("the fake code host cannot listen on this address: {error}");
    Failure::new("listen", message, "Name another loopback address in --listen.")
}

/// A callback URL is a path below a public URL, and a public URL has the same form.
fn callback_url(text: &str) -> Result<String, String> {
    text.parse::<PublicUrl>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}
