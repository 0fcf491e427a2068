//! Limits on requests, by the fake's clock.

use std::collections::HashMap;
use std::time::Duration;

#[derive(Default)]
pub(super) struct Limits {
    windows: HashMap<String, Window>,
    secondary: Option<Secondary>,
    failed_logins: u32,
    last_failure: Duration,
}

/// An hour of requests.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) limit: u64,
    pub(super) used: u64,
    /// Seconds since 1970.
    pub(super) reset: u64,
}

#[derive(Clone, Copy)]
pub(super) struct Secondary {
    pub(super) until: Duration,
    /// What the header `Retry-After` says.
    pub(super) retry_after: Option<Duration>,
}

impl Limits {
    /// Counts a request. The window's `used` is larger than its `limit` if the request is refused.
    pub(super) fn count(&mut self, key: String, limit: u64, now: Duration) -> Window {
        let fresh = Window { limit, used: 0, reset: now.as_secs().saturating_add(HOUR) };
        let window = self.windows.entry(key).or_insert(fresh);
        if window.reset <= now.as_secs() {
            *window = fresh;
        }
        window.used = window.used.saturating_add(1).min(window.limit.saturating_add(1));
        *window
    }

    pub(super) fn exhaust(&mut self, key: String, limit: u64, now: Duration) {
        self.windows.insert(key, Window { limit, used: limit, reset: now.as_secs().saturating_add(HOUR) });
    }

    pub(super) fn start_secondary(&mut self, retry_after: Option<Duration>, now: Duration) {
        let until = now.saturating_add(retry_after.unwrap_or(Duration::from_secs(60)));
        self.secondary = Some(Secondary { until, retry_after });
    }

    pub(super) fn secondary(&self, now: Duration) -> Option<Secondary> {
        self.secondary.filter(|secondary| secondary.until > now)
    }

    pub(super) fn failed_login(&mut self, now: Duration) {
        self.failed_logins = self.failed_logins.saturating_add(1);
        self.last_failure = now;
    }

    /// Whether there were so many failed logins, none longer than ten minutes ago.
    pub(super) fn locked_out(&mut self, limit: Option<u32>, now: Duration) -> bool {
        if now.saturating_sub(self.last_failure) > LOCK_OUT {
            self.failed_logins = 0;
        }
        limit.is_some_and(|limit| self.failed_logins >= limit)
    }
}

const HOUR: u64 = 60 * 60;
const LOCK_OUT: Duration = Duration::from_secs(600);
