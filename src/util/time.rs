use std::time::{SystemTime, UNIX_EPOCH};

/// Whole seconds from 1970 until now.
pub(crate) fn unix_now() -> u64 {
    unix_seconds(SystemTime::now())
}

/// Whole seconds since 1970; 0 for an earlier time.
pub(crate) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
