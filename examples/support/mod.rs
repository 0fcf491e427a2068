//! Shared by the examples: how errors are printed, and the network policy from the flags.

#![allow(dead_code, reason = "not every example needs all of it")]

pub(crate) mod integration;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use codehost_oauth::error::Error;
use codehost_oauth::transport::{Cidr, Network};

/// A failure, as the examples print it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let (code, mut hint) = (error.code(), error.advice().hint.into_owned());
        if code.starts_with("base_url_") && hint.contains("allow") {
            hint.push_str(" Here: --allow-network or --allow-http.");
        }
        Self { code: code.to_owned(), message: error.to_string(), hint }
    }
}

/// Exit status 0, or `error[CODE]: message` and `hint: …` on stderr and exit status 1.
pub(crate) fn exit(outcome: Result<(), Failure>) -> ExitCode {
    let Err(failure) = outcome else {
        return ExitCode::SUCCESS;
    };
    let mut report = format!("error[{}]: {}\n", failure.code, failure.message);
    if !failure.hint.is_empty() {
        report.push_str(&format!("hint: {}\n", failure.hint));
    }
    // If stderr is closed, there is nothing left to do.
    let _ = std::io::stderr().write_all(report.as_bytes());
    ExitCode::FAILURE
}

/// Writes to stdout. A reader that stops early, such as `head`, is not a failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure {
            code: "stdout".to_owned(),
            message: format!("the output cannot be written: {error}"),
            hint: String::new(),
        }),
        _ => Ok(()),
    }
}

/// The addresses that an example may connect to.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct NetworkFlags {
    /// A private network that the code host is in, such as 10.0.0.0/8; can be repeated
    #[arg(long = "allow-network", value_name = "CIDR")]
    allow_networks: Vec<String>,
    /// Also allow loopback addresses, and plain http:// to them
    #[arg(long)]
    allow_http: bool,
}

impl NetworkFlags {
    /// The network policy: public addresses, and those that the flags allow.
    pub(crate) fn network(&self) -> Result<Network, Failure> {
        let networks = self.allow_networks.iter().map(|text| text.parse::<Cidr>()).collect::<Result<Vec<_>, _>>()?;
        let network = if networks.is_empty() { Network::public_only() } else { Network::public_and(networks) };
        Ok(if self.allow_http { network.allow_loopback_http() } else { network })
    }
}
