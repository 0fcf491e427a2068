//! Times, in UTC.

use std::time::{Duration, SystemTime};

use maud::{Markup, html};

/// As RFC 3339 writes it, to the second: `2026-11-28T07:00:00Z`.
pub(super) fn rfc3339(at: SystemTime) -> String {
    let text = http_date(at);
    let mut parts = text.split_ascii_whitespace().skip(1);
    let mut part = || parts.next().unwrap_or_default();
    let (day, month, year, clock) = (part(), part(), part(), part());
    let month = MONTHS.iter().zip(1..).find(|(name, _)| **name == month).map_or(0, |(_, number)| number);
    format!("{year}-{month:02}-{day}T{clock}Z")
}

/// For people, in digits that need no translation, with the exact time for programs.
pub(super) fn time(at: SystemTime) -> Markup {
    let exact = rfc3339(at);
    let minutes = exact.rsplit_once(':').map_or(exact.as_str(), |(minutes, _)| minutes).replace('T', " ");
    html! { time datetime=(exact) { (minutes) " UTC" } }
}

/// `Sat, 28 Nov 2026 07:00:00 GMT`. `httpdate` panics outside of the years 1970 to 9999.
fn http_date(at: SystemTime) -> String {
    let seconds = crate::util::time::unix_seconds(at).min(LAST_SECOND);
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    at.map(httpdate::fmt_http_date).unwrap_or_default()
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        let at =
            |seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::now());
        assert_eq!(rfc3339(at(1_795_849_205)), "2026-11-28T07:00:05Z");
        assert_eq!(rfc3339(at(0)), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(at(u64::MAX / 4)), "9999-12-31T23:59:59Z");
        assert_eq!(
            time(at(951_782_399)).into_string(),
            r#"<time datetime="2000-02-28T23:59:59Z">2000-02-28 23:59 UTC</time>"#
        );
    }
}
