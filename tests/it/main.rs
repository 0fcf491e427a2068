//! The integration tests: one binary, since linking is what takes time; a module for each subject.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test stops at what it did not expect; clippy.toml reaches the test functions, not their helpers"
)]

mod keeper;
mod setup;
mod setup_guides;
