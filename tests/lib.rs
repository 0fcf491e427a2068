//! Tests the code of the README and of the pages for users, unchanged. The integration tests are in `it/`.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../docs/login.md")]
struct Login;

#[cfg(doctest)]
#[doc = include_str!("../docs/integrations.md")]
struct Integrations;

#[cfg(doctest)]
#[doc = include_str!("../docs/from-oauth2.md")]
struct FromOauth2;

#[cfg(doctest)]
#[doc = include_str!("../docs/tokens.md")]
struct Tokens;

#[cfg(doctest)]
#[doc = include_str!("../docs/stores.md")]
struct Stores;

#[cfg(doctest)]
#[doc = include_str!("../docs/admin-texts.md")]
struct AdminTexts;
