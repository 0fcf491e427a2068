//! Tests the code of the README, the guide and the pages for users, unchanged. The integration tests are in `it/`.

#[cfg(doctest)]
#[path = "../src/guide/mod.rs"]
mod guide;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../docs/integrations.md")]
struct Integrations;

#[cfg(doctest)]
#[doc = include_str!("../docs/tokens.md")]
struct Tokens;

#[cfg(doctest)]
#[doc = include_str!("../docs/stores.md")]
struct Stores;

#[cfg(doctest)]
#[doc = include_str!("../docs/admin-texts.md")]
struct AdminTexts;
