//! Whether an integration would work, found out before it is saved and without any person.
//!
//! A [`CheckRequest`] goes into [`OAuthProvider::check`](crate::OAuthProvider::check) or
//! [`Integration::check`](crate::Integration::check), a [`CheckReport`] comes out. It can be shown as it is
//! ([`Display`](std::fmt::Display) for a terminal, [`to_html`](CheckReport::to_html)), sent to a front end (`serde`), or
//! read finding by finding.
//!
//! Each question is asked once, without retries, and all of them together within one deadline. The client secret is sent
//! only to what has shown itself to be a code host of the platform.

mod credentials;
mod finding;
mod render;
mod request;

pub(crate) use self::credentials::{WRONG_CREDENTIALS, acceptance, credentials};
pub use self::finding::{Finding, Level};
pub use self::request::{Bounded, CheckRequest};

use std::borrow::Cow;
use std::fmt;

use crate::base_url::BaseUrl;
use crate::provider::Platform;

/// What a check has found out.
///
/// ```
/// use codehost_oauth::check::{CheckReport, Finding, Verdict};
/// use codehost_oauth::error::Audience;
/// use codehost_oauth::{bitbucket::BitbucketCloud, OAuthProvider};
///
/// let mut report = CheckReport::new(&BitbucketCloud::new());
/// report.push(Finding::ok("reachable", "Bitbucket Cloud answers."));
/// assert_eq!(report.verdict(), Verdict::AllRight);
///
/// let wrong = Finding::problem("client_rejected", "The secret is wrong.");
/// report.push(wrong.fix(Audience::Administrator, "Enter the secret again."));
/// assert_eq!(report.verdict(), Verdict::Wrong);
/// assert_eq!(serde_json::to_value(&report)?["findings"][1]["audience"], "administrator");
/// assert!(report.to_string().contains("Enter the secret again."));
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// `Debug` shows the codes of the findings. Their texts are for people: [`Display`](fmt::Display), HTML, `serde`.
#[derive(Clone, PartialEq, Eq)]
pub struct CheckReport {
    platform: Platform,
    base_url: BaseUrl,
    findings: Vec<Finding>,
    not_checked: Vec<NotChecked>,
}

/// The sum of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// Everything that can be known without a person is right; there may be notes and warnings.
    AllRight,
    /// There is at least one problem: logins would fail.
    Wrong,
    /// No problem was found, and not every question was answered, such as in an outage. Offer to save all the same.
    CouldNotTell,
}

/// What no check can find out, and why: said in every report, so that "all right" promises no more than it can.
#[derive(Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct NotChecked {
    /// A stable name, `snake_case`.
    pub code: &'static str,
    /// What was not checked, and why.
    pub message: Cow<'static, str>,
}

impl CheckReport {
    /// An empty report about this provider.
    pub fn new(provider: &dyn crate::OAuthProvider) -> Self {
        let (platform, base_url) = (provider.platform(), provider.base_url().clone());
        Self { platform, base_url, findings: Vec::new(), not_checked: Vec::new() }
    }

    /// The report of a provider that has no check.
    pub(crate) fn unsupported(platform: Platform, base_url: &BaseUrl) -> Self {
        let mut report = Self { platform, base_url: base_url.clone(), findings: Vec::new(), not_checked: Vec::new() };
        report.push_not_checked("everything", "There is no check for this platform; only a login shows what is wrong.");
        report
    }

    /// Adds a finding.
    pub fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Says what was not checked, and why.
    pub fn push_not_checked(&mut self, code: &'static str, message: impl Into<Cow<'static, str>>) {
        self.not_checked.push(NotChecked { code, message: message.into() });
    }

    /// The findings, in the order of the questions.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What could not be checked at all.
    pub fn not_checked(&self) -> &[NotChecked] {
        &self.not_checked
    }

    /// The finding with this code.
    pub fn finding(&self, code: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.code == code)
    }

    /// The sum of the findings. A report without any could not tell.
    pub fn verdict(&self) -> Verdict {
        let any = |level| self.findings.iter().any(|finding| finding.level == level);
        if any(Level::Problem) {
            Verdict::Wrong
        } else if any(Level::Unknown) || self.findings.is_empty() {
            Verdict::CouldNotTell
        } else {
            Verdict::AllRight
        }
    }

    /// The report for somebody who must not learn about the network behind the host, such as a tenant who typed in the
    /// base URL: refused, timed out, not found, untrusted and answered by something else all read the same, whatever the
    /// level was. Nothing in it was written by a server. The report as it is, is for the operator.
    ///
    /// How long a check took still tells something; where that matters, answer after a fixed time.
    ///
    /// ```
    /// use codehost_oauth::check::{CheckReport, Finding};
    /// use codehost_oauth::{bitbucket::BitbucketCloud, error::TransportError};
    ///
    /// let public = |cause: TransportError| {
    ///     let mut report = CheckReport::new(&BitbucketCloud::new());
    ///     report.push(Finding::from_error(&cause.into()));
    ///     report.public()
    /// };
    /// assert_eq!(public(TransportError::Refused), public(TransportError::TlsUntrusted));
    /// ```
    #[must_use]
    pub fn public(&self) -> Self {
        let mut findings: Vec<Finding> = Vec::with_capacity(self.findings.len());
        for finding in &self.findings {
            let finding = finding.to_public();
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        Self { findings, ..self.clone() }
    }

    /// An HTML fragment: everything escaped, without script, style, class or id.
    pub fn to_html(&self) -> String {
        render::html(self)
    }
}

impl fmt::Debug for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckReport")
            .field("platform", &self.platform)
            .field("base_url", &self.base_url)
            .field("findings", &self.findings)
            .field("not_checked", &self.not_checked)
            .finish()
    }
}

/// The code only.
impl fmt::Debug for NotChecked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotChecked").field("code", &self.code).finish_non_exhaustive()
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render::text(self, f)
    }
}

impl serde::Serialize for CheckReport {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut report = serializer.serialize_struct("CheckReport", 6)?;
        report.serialize_field("platform_id", self.platform.id())?;
        report.serialize_field("platform_name", self.platform.name())?;
        report.serialize_field("base_url", &self.base_url)?;
        report.serialize_field("verdict", &self.verdict())?;
        report.serialize_field("findings", &self.findings)?;
        report.serialize_field("not_checked", &self.not_checked)?;
        report.end()
    }
}
