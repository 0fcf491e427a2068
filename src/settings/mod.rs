//! Integrations as data: what an administrator types, how it is stored, and how it is shared by all nodes of an app.
//!
//! - [`Draft`]: what was typed so far. It gives the setup guide as soon as platform and base URL are valid, and says what is wrong
//!   with each field.
//! - [`IntegrationSettings`] and [`IntegrationSecrets`]: what is stored, as JSON and sealed. They build an
//!   [`Integration`](crate::Integration).
//! - [`IntegrationStore`]: where it is stored.
//! - [`Integrations`]: all of it together, for router, keeper and admin pages.

mod app_config;
mod draft;
mod editor;
mod error;
mod field;
mod health;
mod integration_settings;
mod integrations;
mod move_kind;
mod notes;
mod secrets;
mod store;

pub use self::app_config::{AppConfig, OperatorSettings};
pub use self::draft::{Draft, DraftReading};
pub use self::editor::IntegrationEditor;
pub use self::error::IntegrationsError;
pub use self::field::{Field, FieldError, FieldErrors};
pub use self::health::{Health, HealthNote, LoginFailure};
pub use self::integration_settings::{IntegrationSettings, UnreadableSettings};
pub use self::integrations::Integrations;
pub use self::move_kind::MoveKind;
pub use self::secrets::IntegrationSecrets;
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub use self::store::PostgresIntegrations;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use self::store::SqliteIntegrations;
pub use self::store::{
    IntegrationStore, IntegrationWrite, MemoryIntegrations, Proposal, Stamp, StoreTransaction, StoredBefore,
    StoredIntegration, UnreadableIntegration, WriteError, WriteHook, Written,
};
