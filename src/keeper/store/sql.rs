//! Shared by the SQL stores.

use super::{Revision, StoredTokens};
use crate::error::{StoreError, UntrustedText};

/// The version of the tables.
pub(super) const SCHEMA_VERSION: i64 = 1;

/// Reads a row with the columns `revision, sealed`.
pub(super) fn stored<'r, R>(row: &'r R) -> Result<StoredTokens, StoreError>
where
    R: sqlx::Row,
    usize: sqlx::ColumnIndex<R>,
    i64: sqlx::Type<R::Database> + sqlx::Decode<'r, R::Database>,
    Vec<u8>: sqlx::Type<R::Database> + sqlx::Decode<'r, R::Database>,
{
    let revision = row.try_get::<i64, _>(0).map_err(failed)?;
    let sealed = row.try_get::<Vec<u8>, _>(1).map_err(failed)?;
    Ok(StoredTokens::new(Revision::from_i64(revision), sealed))
}

/// The driver's messages are safe to keep: the only values of the app in them are sealed.
pub(super) fn failed(error: sqlx::Error) -> StoreError {
    let detail = UntrustedText::new(&error.to_string());
    match sql_state(&error).as_deref() {
        Some(NOT_PRIMARY | STARTING) => return StoreError::NotPrimary { detail },
        Some(code) if is_connection_error(code) => return StoreError::Unreachable { detail },
        _ => {}
    }
    match error {
        sqlx::Error::PoolTimedOut => StoreError::TimedOut,
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            StoreError::Unreachable { detail }
        }
        sqlx::Error::Configuration(_) => StoreError::Address { detail },
        _ => StoreError::Refused { detail },
    }
}

/// Whether the session cannot be used again: its server shuts down, cannot be reached, or has become a replica.
#[cfg(feature = "postgres")]
pub(super) fn is_session_lost(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_))
        || sql_state(error).is_some_and(|code| code == NOT_PRIMARY || code == STARTING || is_connection_error(&code))
}

/// Whether the statement was certainly not executed.
#[cfg(feature = "postgres")]
pub(super) fn was_not_executed(error: &sqlx::Error) -> bool {
    sql_state(error).is_some_and(|code| code == NOT_PRIMARY || code == STARTING)
}

fn sql_state(error: &sqlx::Error) -> Option<std::borrow::Cow<'_, str>> {
    error.as_database_error().and_then(|error| error.code())
}

/// PostgreSQL, appendix A: `read_only_sql_transaction`, `cannot_connect_now`.
const NOT_PRIMARY: &str = "25006";
const STARTING: &str = "57P03";

/// `admin_shutdown`, `crash_shutdown`, and the class "connection exception".
fn is_connection_error(code: &str) -> bool {
    matches!(code, "57P01" | "57P02") || (code.len() == 5 && code.starts_with("08"))
}

/// Refuses tables of another version.
pub(super) fn check_schema_version(found: i64) -> Result<(), StoreError> {
    if found == SCHEMA_VERSION { Ok(()) } else { Err(StoreError::Schema { found }) }
}

pub(super) fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.min(super::MAX_LEASE).as_millis()).unwrap_or(i64::MAX)
}
