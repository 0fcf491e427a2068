//! The integration tests: one binary, since linking is what takes time; a module for each subject.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test stops at what it did not expect, and may speak HTTP by itself; clippy.toml reaches the test functions, not their helpers"
)]

mod admin;
mod check;
mod example_app;
mod fakes;
mod interop;
mod keeper;
mod login;
mod platforms;
mod repository;
mod router;
mod secrets;
mod settings;
mod setup;
mod support;
mod transport;
mod values;

use support::port;
