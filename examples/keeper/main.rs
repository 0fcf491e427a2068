//! Keeps the tokens of one connection valid, in a store that several processes can share.
//!
//! ```text
//! export CODEHOST_CLIENT_SECRET=… CODEHOST_SEAL_KEYS=1:$(head -c 32 /dev/urandom | base64)
//! flags="--platform gitlab --base-url https://git.example.com --public-url http://127.0.0.1:9000 --id demo \
//!     --client-id … --access sign-in --store sqlite:tokens.db --connection gitlab:demo:42"
//! cargo run -p keeper -- import $flags < token-response.json
//! cargo run -p keeper -- token $flags
//! ```

#[path = "../support/keys.rs"]
mod keys;
#[path = "../support/mod.rs"]
mod support;

use std::io::Read as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Parser, ValueEnum};
use codehost_oauth::error::StoreError;
use codehost_oauth::keeper::KeeperError;
use codehost_oauth::keeper::{ConnectionId, PostgresTokens, RedisTokens, SqliteTokens, TokenKeeper, TokenStore};
use codehost_oauth::{AccessToken, Integration, RefreshToken, TokenSet};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use support::integration::IntegrationFlags;
use support::{Failure, exit, print};
use zeroize::Zeroizing;

/// The environment variable with the sealing keys. It is not a flag, since flags are shown in the list of processes.
const KEYS: &str = "CODEHOST_SEAL_KEYS";

/// Stores the tokens of a connection, and refreshes the access token when necessary
#[derive(Parser)]
#[command(name = "keeper")]
struct Flags {
    /// What to do
    action: Action,
    #[command(flatten)]
    integration: IntegrationFlags,
    /// The token store: sqlite:PATH, postgres://… or redis://…; the keys that seal the tokens are read from
    /// CODEHOST_SEAL_KEYS, as ID:BASE64 of 32 bytes, the newest first, separated by commas
    #[arg(long, value_name = "URL")]
    store: String,
    /// The connection whose tokens they are: the account key that the example login prints, such as gitlab:demo:42
    #[arg(long, value_name = "ID")]
    connection: String,
    /// How many times to get the token
    #[arg(long = "loop", value_name = "N", default_value_t = 1)]
    times: u32,
    /// How long to wait between two of them
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    every: f64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Action {
    /// Store the token endpoint's JSON response from stdin
    Import,
    /// Print a digest of the valid access token; whether it was renewed is printed to stderr
    Token,
}

#[tokio::main]
async fn main() -> ExitCode {
    exit(run(Flags::parse()).await)
}

async fn run(flags: Flags) -> Result<(), Failure> {
    let integration = Arc::new(flags.integration.integration()?);
    let connection: ConnectionId = flags.connection.parse()?;
    let ring = keys::key_ring(KEYS, None)?;
    let store = open(&flags.store).await.map_err(|error| failure(KeeperError::Store(error)))?;
    let keeper = TokenKeeper::builder(store, ring, Arc::clone(&integration)).build();
    let done = act(&flags, &keeper, &integration, &connection).await;
    // Let a refresh that has begun finish: its new tokens must be stored.
    keeper.finish().await;
    done
}

async fn act(
    flags: &Flags,
    keeper: &TokenKeeper,
    integration: &Integration,
    connection: &ConnectionId,
) -> Result<(), Failure> {
    match flags.action {
        Action::Import => {
            keeper.import(connection, read_tokens(integration)?).await.map_err(failure)?;
            print(&format!("stored {connection}\n"))
        }
        Action::Token => {
            let every = Duration::try_from_secs_f64(flags.every).unwrap_or(Duration::from_secs(1));
            for n in 0..flags.times {
                if n > 0 {
                    tokio::time::sleep(every).await;
                }
                print_token(keeper, integration, connection).await?;
            }
            Ok(())
        }
    }
}

async fn print_token(
    keeper: &TokenKeeper,
    integration: &Integration,
    connection: &ConnectionId,
) -> Result<(), Failure> {
    let token = keeper.access_token(connection).await.map_err(failure)?;
    let digest = Sha256::digest(token.expose_for(integration.provider().base_url())?);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    print(&format!("sha256:{hex}\n"))
}

async fn open(url: &str) -> Result<Arc<dyn TokenStore>, StoreError> {
    Ok(if let Some(path) = url.strip_prefix("sqlite:") {
        Arc::new(SqliteTokens::open(path).await?)
    } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        Arc::new(PostgresTokens::connect(url).await?)
    } else {
        Arc::new(RedisTokens::connect(url).await?)
    })
}

/// Reads the token endpoint's response.
fn read_tokens(integration: &Integration) -> Result<TokenSet, Failure> {
    #[derive(Deserialize)]
    struct Response {
        access_token: String,
        refresh_token: Option<String>,
        expires_in: Option<u64>,
        /// The scopes, at GitLab.
        scope: Option<String>,
        /// The scopes, at Bitbucket.
        scopes: Option<String>,
        /// In seconds since 1970; GitLab only.
        created_at: Option<u64>,
    }
    let invalid = || {
        let hint = "Pass an object with access_token, refresh_token and expires_in.";
        Failure::new("tokens_invalid", "stdin is not the JSON response of a token endpoint", hint)
    };
    let mut text = Zeroizing::new(String::new());
    std::io::stdin().take(1 << 18).read_to_string(&mut text).map_err(|_| invalid())?;
    let response: Response = serde_json::from_str(&text).map_err(|_| invalid())?;
    let binding = integration.binding();
    let mut tokens = TokenSet::new(AccessToken::new(response.access_token, binding).ok_or_else(invalid)?);
    if let Some(token) = response.refresh_token {
        tokens.refresh_token = Some(RefreshToken::new(token, binding).ok_or_else(invalid)?);
    }
    tokens.expires_in = response.expires_in.map(Duration::from_secs);
    tokens.scopes = response.scope.or(response.scopes).and_then(|scopes| scopes.parse().ok());
    let created = response.created_at.and_then(|at| UNIX_EPOCH.checked_add(Duration::from_secs(at)));
    tokens.received_at = created.filter(|at| *at <= SystemTime::now()).unwrap_or(tokens.received_at);
    Ok(tokens)
}

fn failure(error: KeeperError) -> Failure {
    let detail = match &error {
        KeeperError::Store(
            StoreError::Unreachable { detail } | StoreError::Refused { detail } | StoreError::Address { detail },
        ) => format!(": {}", detail.sanitized()),
        KeeperError::Retry { cause: Some(cause), .. } => format!(": {cause}"),
        _ => String::new(),
    };
    Failure::new(error.code(), format!("{error}{detail}"), &error.advice().hint)
}
