//! What an administrator must see, enter and copy to create the OAuth application, as data.
//!
//! Neither platform lets a link fill in its form, so the guide carries every value to copy. It exists before any
//! credentials do: the form of the host stays open and unsaved while the administrator is at the code host.
//!
//! A [`SetupRequest`] goes into [`OAuthProvider::setup_guide`](crate::OAuthProvider::setup_guide), a [`SetupGuide`]
//! comes out. It can be shown as it is ([`Display`](std::fmt::Display) for a terminal,
//! [`to_markdown`](SetupGuide::to_markdown), [`to_html`](SetupGuide::to_html)), sent to a front end (`serde`), or read
//! field by field.

mod guide;
mod link;
mod render;
mod request;
mod scope;

pub use self::guide::{SetupCredentials, SetupField, SetupGuide};
pub use self::link::{LinkAddress, SetupLink};
pub(crate) use self::render::one_line;
pub(crate) use self::request::parse_name;
pub use self::request::{AppOwner, SetupRequest};
pub use self::scope::SetupScope;
