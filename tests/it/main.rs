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

mod advice;
mod base_url;
mod bitbucket;
mod callback;
mod canary;
mod causes;
mod check;
mod check_example;
mod check_tls;
mod conformance;
mod conformance_requests;
mod corpora;
mod dns;
mod docs;
mod examples;
mod fakes;
mod fixture;
mod fuzz_smoke;
mod fuzz_targets;
mod gitlab;
mod host_app;
mod hostile;
mod isolation;
mod keeper;
mod login;
mod membership;
mod memory;
mod minimal;
mod needles;
mod network;
mod observe;
mod pending;
mod port;
mod prepare;
mod programs;
mod purpose;
mod return_to;
mod revoke;
mod router;
mod scripted;
mod second_opinion;
mod settings;
mod setup;
mod setup_guides;
mod shown;
mod stub;
mod support;
mod tenants;
mod transport;
mod values;
mod watch;
mod watch_bites;
