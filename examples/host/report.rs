//! The check before saving, as rows for a page.

use codehost_oauth::Integration;
use codehost_oauth::check::{CheckReport, Level};
use codehost_oauth::error::Audience;

pub(crate) use codehost_oauth::check::Verdict;

/// Checks an integration. `detailed`: with the causes that tell about the network behind the host.
pub(crate) async fn check(integration: &Integration, detailed: bool) -> CheckReport {
    let report = integration.check().await;
    if detailed { report } else { report.public() }
}

/// The word before a finding.
pub(crate) fn level(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Note => "note",
        Level::Warning => "warning",
        Level::Problem => "problem",
        _ => "unknown",
    }
}

/// Who must act, in the form.
pub(crate) fn who(audience: Audience) -> &'static str {
    match audience {
        Audience::User => "Whoever logs in",
        Audience::Administrator => "You",
        Audience::CodeHost => "Whoever runs the code host",
        _ => "Whoever runs this app",
    }
}
