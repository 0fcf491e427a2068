mod guide;
mod link;
mod render;
mod request;
mod scope;

pub use self::guide::{SetupCredentials, SetupField, SetupGuide};
pub use self::link::{LinkAddress, SetupLink};
pub(crate) use self::request::parse_name;
pub use self::request::{AppOwner, SetupRequest};
pub use self::scope::SetupScope;
