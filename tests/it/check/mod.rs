//! The check of an integration.

mod example;
mod findings;
mod tls;
