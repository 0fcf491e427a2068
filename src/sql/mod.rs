//! Connections to SQLite and PostgreSQL, their errors, and the migrations of tables.

mod failure;
mod migrations;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;

pub(crate) use self::failure::failed;
pub(crate) use self::migrations::Schema;
