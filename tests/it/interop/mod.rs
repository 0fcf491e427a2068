//! Apps with a `reqwest::Client` of their own, and apps on the crate `oauth2`.

mod oauth2;
mod reqwest;
