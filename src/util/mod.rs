//! Helpers for HTML, JSON, text and random bytes.

pub(crate) mod html;
pub(crate) mod json;
pub(crate) mod random;
pub(crate) mod text;
