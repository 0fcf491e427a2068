//! The integrations page, as its visitors see it.

pub(crate) mod app;
mod detail;
mod form;
mod json;
mod limits;
mod list;
mod requests;
mod rights;
pub(crate) mod screen;
mod test_logins;
mod texts;
