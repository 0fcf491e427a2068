//! What the stores in SQL share.

use super::{Revision, StoredTokens};
use crate::error::UntrustedText;
use crate::keeper::error::StoreError;

/// The version of the tables.
pub(super) const SCHEMA: i64 = 1;

/// A row of `revision, sealed`.
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

/// The driver's texts name no values of ours but sealed ones.
pub(super) fn failed(error: sqlx::Error) -> StoreError {
    let detail = UntrustedText::new(&error.to_string());
    match state(&error).as_deref() {
        Some(NOT_PRIMARY | STARTING) => return StoreError::NotPrimary { detail },
        Some(code) if is_end(code) => return StoreError::Unreachable { detail },
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

/// Whether the session is of no more use, since its server is shutting down, has been cut off or has become a replica.
#[cfg(feature = "postgres")]
pub(super) fn is_over(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_))
        || state(error).is_some_and(|code| code == NOT_PRIMARY || code == STARTING || is_end(&code))
}

/// Whether a statement was surely not done.
#[cfg(feature = "postgres")]
pub(super) fn is_undone(error: &sqlx::Error) -> bool {
    state(error).is_some_and(|code| code == NOT_PRIMARY || code == STARTING)
}

fn state(error: &sqlx::Error) -> Option<std::borrow::Cow<'_, str>> {
    error.as_database_error().and_then(|error| error.code())
}

/// PostgreSQL, appendix A: `read_only_sql_transaction`, `cannot_connect_now`.
const NOT_PRIMARY: &str = "25006";
const STARTING: &str = "57P03";

/// `admin_shutdown`, `crash_shutdown`, and the class "connection exception".
fn is_end(code: &str) -> bool {
    matches!(code, "57P01" | "57P02") || (code.len() == 5 && code.starts_with("08"))
}

/// Refuses tables that this version does not know.
pub(super) fn known(found: i64) -> Result<(), StoreError> {
    if found == SCHEMA { Ok(()) } else { Err(StoreError::Schema { found }) }
}

pub(super) fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.min(super::MAX_LEASE).as_millis()).unwrap_or(i64::MAX)
}
