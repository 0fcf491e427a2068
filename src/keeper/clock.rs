use std::fmt;
use std::time::SystemTime;

/// Gives the wall-clock time. Tests can use another clock. Pauses are measured by tokio's clock instead.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use codehost_oauth::keeper::Clock;
///
/// #[derive(Debug)]
/// struct Stopped;
///
/// impl Clock for Stopped {
///     fn now(&self) -> SystemTime {
///         SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)
///     }
/// }
/// assert_eq!(Stopped.now(), Stopped.now());
/// ```
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time.
    fn now(&self) -> SystemTime;
}

#[derive(Debug)]
pub(super) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
