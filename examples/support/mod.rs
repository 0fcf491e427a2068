//! Shared by the examples: how errors are printed, and the network policy from the flags.

#![allow(dead_code, reason = "not every example needs all of it")]

pub(crate) mod integration;
pub(crate) mod network;

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use codehost_oauth::error::Error;

pub(crate) use self::network::{NetworkFlags, ProxyFlags};

/// A failure, as the examples print it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Failure {
    pub(crate) fn new(code: &str, message: impl Display, hint: &str) -> Self {
        Self { code: code.to_owned(), message: message.to_string(), hint: hint.to_owned() }
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let (code, mut hint) = (error.code(), error.advice().hint.into_owned());
        if code.starts_with("base_url_") && hint.contains("allow") {
            hint.push_str(" Here: --allow-network, --allow-name or --allow-http.");
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

/// JSON to print.
pub(crate) fn json<E: Display>(text: Result<String, E>) -> Result<String, Failure> {
    text.map(|text| text + "\n").map_err(|error| Failure::new("json", error, ""))
}

/// Writes to stdout. A reader that stops early, such as `head`, is not a failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new("stdout", format!("the output cannot be written: {error}"), ""))
        }
        _ => Ok(()),
    }
}
