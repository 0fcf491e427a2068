//! Shared by the SQL stores.

use super::{MAX_LEASE, Revision, StoredTokens};
use crate::error::StoreError;
use crate::sql::failed;

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

pub(super) fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.min(MAX_LEASE).as_millis()).unwrap_or(i64::MAX)
}
