//! HTML, JSON, text and random bytes: nothing that knows what they are used for.

pub(crate) mod html;
pub(crate) mod json;
pub(crate) mod random;
pub(crate) mod text;
