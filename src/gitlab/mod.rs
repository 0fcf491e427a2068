//! GitLab: Self-Managed, Dedicated and GitLab.com.

#[allow(dead_code, reason = "the provider calls it")]
mod scopes;
#[allow(dead_code, reason = "the provider calls it")]
mod setup;
