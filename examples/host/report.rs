//! The check before saving, and the words for its findings.

use codehost_oauth::Integration;
use codehost_oauth::check::{CheckReport, Level};
use codehost_oauth::error::Audience;

pub(crate) use codehost_oauth::check::Verdict;

/// Checks an integration. `detailed`: with causes that reveal the network behind the app.
pub(crate) async fn check(integration: &Integration, detailed: bool) -> CheckReport {
    let report = integration.check().await;
    if detailed { report } else { report.public() }
}

/// The level of a finding, as shown before it.
pub(crate) fn level(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Note => "note",
        Level::Warning => "warning",
        Level::Problem => "problem",
        _ => "unknown",
    }
}

/// Who must act on a finding.
pub(crate) fn who(audience: Audience) -> &'static str {
    match audience {
        Audience::User => "The user who logs in",
        Audience::Administrator => "You",
        Audience::CodeHost => "The administrator of the code host",
        _ => "The people who run this app",
    }
}
