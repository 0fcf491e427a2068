//! The check before saving, as rows for a page.

use codehost_oauth::Integration;

/// What the check says.
#[derive(Clone)]
pub(crate) struct Report {
    pub(crate) verdict: Verdict,
    pub(crate) rows: Vec<Row>,
    pub(crate) not_checked: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    AllRight,
    Wrong,
    CouldNotTell,
}

#[derive(Clone)]
pub(crate) struct Row {
    /// `ok`, `note`, `warning`, `problem` or `unknown`.
    pub(crate) level: &'static str,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) who: Option<&'static str>,
    pub(crate) fix: Option<String>,
}

/// Checks an integration. `detailed`: with the causes that tell about the network behind the host.
pub(crate) async fn check(integration: &Integration, detailed: bool) -> Report {
    let _ = (integration, detailed);
    Report { verdict: Verdict::CouldNotTell, rows: Vec::new(), not_checked: vec!["Nothing was checked.".to_owned()] }
}
