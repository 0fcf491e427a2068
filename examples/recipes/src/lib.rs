//! What the recipes of `src/bin/` share: [`send`], which an app can copy, and logins at the fakes, which need no account.

#![allow(clippy::exhaustive_structs, reason = "of a program, not of a library")]

mod demo;
mod send;

pub use self::demo::{Demo, github, gitlab, integration};
pub use self::send::{MAX_BODY, send};

/// As in a program: every error is shown and ends it.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;
