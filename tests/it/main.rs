//! The integration tests: one binary, so that it links once.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that panics has found something"
)]

mod base_url;
mod network;
mod values;
