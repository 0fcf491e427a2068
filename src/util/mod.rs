//! Helpers for HTML, JSON, text, time and random bytes.

pub(crate) mod html;
pub(crate) mod json;
pub(crate) mod random;
pub(crate) mod text;
pub(crate) mod time;
