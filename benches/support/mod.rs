//! Shared by the benches: a fake code host, three ways to log in to it, and measurements.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    clippy::future_not_send,
    missing_docs,
    missing_debug_implementations,
    reason = "a bench stops at what it did not expect and builds clients of its own; each bench uses a part of this"
)]

pub mod connections;
pub mod floor;
pub mod logins;
pub mod measure;
pub mod plain_oauth2;
pub mod plot;
pub mod responses;
pub mod server;
pub mod table;
pub mod worker;
