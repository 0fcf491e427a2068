//! No secret is in any output.

pub(crate) mod debug;
pub(crate) mod leak_check;
pub(crate) mod leaks;
pub(crate) mod logins;
pub(crate) mod search;
