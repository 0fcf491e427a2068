//! The integrations page, as its visitors see it.

pub(crate) mod app;
pub(crate) mod screen;

mod form;
