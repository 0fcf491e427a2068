//! Prints what an administrator must do to create the OAuth application of an integration.
//!
//! ```text
//! cargo run --example setup_guide -- --platform gitlab --base-url https://git.example.com \
//!     --public-url https://packages.example.com --name "On-premise GitLab" --access sign-in
//! ```

mod support;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use codehost_oauth::setup::{AppOwner, SetupRequest};
use codehost_oauth::{IntegrationId, Platform};
use support::integration::{AccessFlag, base_url, platform};
use support::{Failure, NetworkFlags};

/// Prints the setup guide of an integration: links, steps, fields to copy, scopes and warnings
#[derive(Parser)]
#[command(name = "setup_guide")]
struct Flags {
    /// The platform of the code host: bitbucket-cloud, bitbucket-data-center, forgejo, github or gitlab
    #[arg(long, value_parser = platform)]
    platform: Platform,
    /// The URL of the code host; if left out, https://bitbucket.org, https://codeberg.org, https://github.com or
    /// https://gitlab.com
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The public URL of the app that users log in to
    #[arg(long, value_name = "URL")]
    public_url: String,
    /// The integration's id, which is part of its callback URL; made from the name if left out
    #[arg(long)]
    id: Option<String>,
    /// The name of your app or integration, proposed as the name of the OAuth application
    #[arg(long)]
    name: String,
    /// The path of the callback URL, below the public URL; /oauth/callback/PLATFORM/ID if left out
    #[arg(long, value_name = "PATH")]
    callback_path: Option<String>,
    /// What the app may do with the tokens
    #[arg(long)]
    access: AccessFlag,
    /// How to print the guide
    #[arg(long, default_value = "text")]
    format: Format,
    /// Bitbucket Cloud: the ID of the workspace that will own the application
    #[arg(long, value_name = "ID")]
    workspace: Option<String>,
    /// GitHub, Forgejo and Gitea: the organization, GitLab: the full path of the group that will own the application
    #[arg(long, value_name = "PATH", conflicts_with = "instance_owner")]
    group: Option<String>,
    /// GitLab, Forgejo and Gitea: the application will be that of the whole server, created by its administrator
    #[arg(long)]
    instance_owner: bool,
    #[command(flatten)]
    network: NetworkFlags,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Markdown,
    Html,
    Json,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let bitbucket = flags.platform.id() == "bitbucket-cloud";
    if bitbucket && (flags.group.is_some() || flags.instance_owner) {
        wrong_usage(
            ErrorKind::ArgumentConflict,
            "--group and --instance-owner are for other platforms; use --workspace for Bitbucket Cloud",
        );
    }
    if !bitbucket && flags.workspace.is_some() {
        wrong_usage(ErrorKind::ArgumentConflict, "--workspace is for Bitbucket Cloud only");
    }
    let has_instance_owner = matches!(flags.platform.id(), "forgejo" | "gitlab");
    if flags.instance_owner && !has_instance_owner {
        wrong_usage(ErrorKind::ArgumentConflict, "--instance-owner is for GitLab, Forgejo and Gitea only");
    }
    if flags.group.is_some() && !has_instance_owner && flags.platform.id() != "github" {
        wrong_usage(ErrorKind::ArgumentConflict, "--group is for GitHub, GitLab, Forgejo and Gitea only");
    }
    support::exit(run(flags))
}

fn run(flags: Flags) -> Result<(), Failure> {
    let base_url = base_url(flags.base_url.as_deref(), flags.platform, &flags.network.network()?)?;
    let provider = flags.platform.provider(base_url)?;

    let id = match &flags.id {
        Some(id) => id.parse()?,
        None => IntegrationId::from_name(&flags.name)?,
    };
    let owner = match flags.workspace.or(flags.group) {
        Some(group) => AppOwner::Group(group),
        None if flags.instance_owner => AppOwner::Instance,
        None => AppOwner::User,
    };
    let mut request = SetupRequest::new(flags.public_url.parse()?, id, &flags.name, flags.access.into())?.owner(owner);
    if let Some(path) = &flags.callback_path {
        request = request.callback_path(path)?;
    }

    let guide = provider.setup_guide(&request);
    support::print(&match flags.format {
        Format::Text => guide.to_string(),
        Format::Markdown => guide.to_markdown(),
        Format::Html => guide.to_html(),
        Format::Json => support::json(serde_json::to_string_pretty(&guide))?,
    })
}

/// Prints the message with the usage, and ends with exit status 2.
fn wrong_usage(kind: ErrorKind, message: &str) -> ! {
    Flags::command().error(kind, message).exit()
}
