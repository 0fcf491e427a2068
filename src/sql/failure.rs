use crate::error::{StoreError, UntrustedText};

/// The driver's messages are safe to keep: the only secrets among the app's values are sealed.
pub(crate) fn failed(error: sqlx::Error) -> StoreError {
    let detail = UntrustedText::new(&error.to_string());
    match sql_state(&error).as_deref() {
        Some(NOT_PRIMARY | STARTING) => return StoreError::NotPrimary { detail },
        Some(LOCK_NOT_AVAILABLE | QUERY_CANCELED) => return StoreError::TimedOut,
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
/// The app's time limits: `lock_timeout`, `statement_timeout`.
const LOCK_NOT_AVAILABLE: &str = "55P03";
const QUERY_CANCELED: &str = "57014";

/// `admin_shutdown`, `crash_shutdown`, and the class "connection exception".
fn is_connection_error(code: &str) -> bool {
    matches!(code, "57P01" | "57P02") || (code.len() == 5 && code.starts_with("08"))
}
