//! The program, walked through by a browser.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at what it did not expect; clippy.toml reaches the test functions, not their helpers"
)]

mod walks;

const PROGRAM: &str = env!("CARGO_BIN_EXE_login-hyper");
