//! The values that the crate takes and returns: parsed once, and valid from then on.

pub(crate) mod access;
pub(crate) mod account_key;
pub(crate) mod base_url;
pub(crate) mod callback_url;
pub(crate) mod email;
pub(crate) mod integration_id;
pub(crate) mod network;
pub(crate) mod public_url;
pub(crate) mod scope;
pub(crate) mod secret;
pub(crate) mod token;
pub(crate) mod user;
pub(crate) mod web_url;
