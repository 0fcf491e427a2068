//! The integration tests: one binary, since linking is what takes time.

mod setup;
mod setup_guides;
