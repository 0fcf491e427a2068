//! Checks an integration before the first login.
//!
//! ```text
//! CODEHOST_CLIENT_SECRET=… cargo run --example check -- --platform gitlab --base-url https://git.example.com \
//!     --public-url https://packages.example.com --id demo --client-id … --access sign-in
//! ```
//!
//! Exit status: 0 if everything that was checked is correct, 1 if something is wrong or could not be checked, 2 for wrong
//! usage.

mod support;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use codehost_oauth::check::{CheckReport, Finding, Level, Verdict};
use support::integration::IntegrationFlags;
use support::{Failure, exit, json, print};

/// Checks an integration before it is saved: base URL, TLS, platform, credentials and scopes
#[derive(Parser)]
#[command(
    name = "check",
    override_usage = "CODEHOST_CLIENT_SECRET=… check --platform PLATFORM --public-url URL --client-id CLIENT_ID --access ACCESS [OPTIONS]"
)]
struct Flags {
    #[command(flatten)]
    integration: IntegrationFlags,
    /// How to print the report
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[tokio::main]
async fn main() -> ExitCode {
    exit(check(Flags::parse()).await)
}

async fn check(flags: Flags) -> Result<(), Failure> {
    let report = flags.integration.integration()?.check().await;
    print(&match flags.format {
        Format::Text => report.to_string(),
        Format::Json => json(serde_json::to_string_pretty(&report))?,
    })?;
    match report.verdict() {
        Verdict::AllRight => Ok(()),
        Verdict::Wrong => Err(failure(&report, Level::Problem)),
        _ => Err(failure(&report, Level::Unknown)),
    }
}

/// The first finding of a level, as a failure that is printed like that of every example: on stderr, for scripts.
fn failure(report: &CheckReport, level: Level) -> Failure {
    let finding = report.findings().iter().find(|finding| finding.level == level);
    let text = |part: fn(&Finding) -> String| finding.map(part).unwrap_or_default();
    Failure {
        code: text(|finding| finding.code.to_owned()),
        message: text(|finding| finding.message.to_string()),
        hint: text(|finding| finding.fix.as_deref().unwrap_or_default().to_owned()),
    }
}
