//! The limit of requests per user: a bucket of tokens that fills up at intervals.

use std::time::Duration;

#[derive(Clone, Copy)]
pub(super) struct RateLimit {
    pub(super) capacity: u64,
    pub(super) fill_rate: u64,
    pub(super) interval: Duration,
}

/// The tokens of one user.
pub(super) struct Bucket {
    tokens: u64,
    filled: Duration,
}

/// What a request finds: how many are left, and how many seconds to wait if it is refused.
pub(super) struct Taken {
    pub(super) remaining: u64,
    pub(super) retry_after: Option<u64>,
}

impl RateLimit {
    pub(super) fn full(&self, now: Duration) -> Bucket {
        Bucket { tokens: self.capacity, filled: now }
    }

    pub(super) fn take(&self, bucket: &mut Bucket, now: Duration) -> Taken {
        let interval = self.interval.as_secs().max(1);
        let fills = now.saturating_sub(bucket.filled).as_secs().checked_div(interval).unwrap_or(0);
        bucket.tokens = bucket.tokens.saturating_add(fills.saturating_mul(self.fill_rate)).min(self.capacity);
        bucket.filled = bucket.filled.saturating_add(Duration::from_secs(fills.saturating_mul(interval)));
        match bucket.tokens.checked_sub(1) {
            Some(remaining) => {
                bucket.tokens = remaining;
                Taken { remaining, retry_after: None }
            }
            None => {
                let next = bucket.filled.saturating_add(Duration::from_secs(interval));
                let wait = next.saturating_sub(now).as_secs().saturating_add(1).min(interval);
                Taken { remaining: 0, retry_after: Some(wait) }
            }
        }
    }

    pub(super) fn headers(&self, taken: &Taken) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("X-RateLimit-Limit", self.capacity.to_string()),
            ("X-RateLimit-Remaining", taken.remaining.to_string()),
            ("X-RateLimit-Interval-Seconds", self.interval.as_secs().max(1).to_string()),
            ("X-RateLimit-FillRate", self.fill_rate.to_string()),
        ];
        headers.extend(taken.retry_after.map(|seconds| ("Retry-After", seconds.to_string())));
        headers
    }
}
