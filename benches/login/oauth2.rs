//! The plain `oauth2` crate's logins; `benches/login/main.rs` runs it.
#![allow(missing_docs, reason = "a bench")]

#[path = "../support/mod.rs"]
mod support;

fn main() {
    support::worker::work::<support::plain_oauth2::PlainOauth2>();
}
