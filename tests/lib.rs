//! The README's code, tested as it stands there. The integration tests are in `it/`.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
