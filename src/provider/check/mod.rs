mod credentials;
mod finding;
mod render;
mod request;

pub use self::credentials::{OtherErrors, accepts_client, credential_findings};
pub use self::finding::{Finding, Level};
pub use self::request::CheckRequest;

use std::borrow::Cow;
use std::fmt;

use crate::transport::ConnectionReport;
use crate::values::base_url::BaseUrl;

/// The result of a check.
///
/// ```
/// use codehost_oauth::check::{CheckReport, Finding, Verdict};
/// use codehost_oauth::error::Audience;
/// use codehost_oauth::{BaseUrl, transport::Network};
///
/// let base_url = BaseUrl::parse("https://git.example.com", &Network::public_only())?;
/// let mut report = CheckReport::new("gitlab", "GitLab", &base_url);
/// report.push(Finding::ok("reachable", "GitLab can be reached."));
/// assert_eq!(report.verdict(), Verdict::AllRight);
///
/// let wrong = Finding::problem("client_rejected", "The secret is wrong.");
/// report.push(wrong.fix(Audience::Administrator, "Enter the secret again."));
/// assert_eq!(report.verdict(), Verdict::Wrong);
/// assert_eq!(serde_json::to_value(&report)?["findings"][1]["audience"], "administrator");
/// assert!(report.to_string().contains("Enter the secret again."));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// `Debug` shows the codes of the findings. [`Display`](fmt::Display), HTML and `serde` show their texts.
#[derive(Clone, PartialEq, Eq)]
#[must_use = "it says whether the integration may be saved"]
pub struct CheckReport {
    platform_id: &'static str,
    platform_name: &'static str,
    base_url: BaseUrl,
    findings: Vec<Finding>,
    not_checked: Vec<NotChecked>,
    connection: Option<ConnectionReport>,
}

/// The result of all findings of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// Everything that can be checked without a login is correct. There may be notes and warnings.
    AllRight,
    /// There is at least one problem: logins would fail.
    Wrong,
    /// No problem was found, but not everything could be checked, for example in an outage. Offer to save anyway.
    CouldNotTell,
}

/// Something that cannot be checked, and why. Every report lists these, so that readers do not take them for checked.
#[derive(Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct NotChecked {
    /// A stable name, `snake_case`.
    pub code: &'static str,
    /// What was not checked, and why.
    pub message: Cow<'static, str>,
}

impl CheckReport {
    /// An empty report about the code host at this base URL.
    pub fn new(platform_id: &'static str, platform_name: &'static str, base_url: &BaseUrl) -> Self {
        let (findings, not_checked) = (Vec::new(), Vec::new());
        Self { platform_id, platform_name, base_url: base_url.clone(), findings, not_checked, connection: None }
    }

    /// Adds a finding.
    pub fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Adds something that was not checked, and why.
    pub fn push_not_checked(&mut self, code: &'static str, message: impl Into<Cow<'static, str>>) {
        self.not_checked.push(NotChecked { code, message: message.into() });
    }

    /// The findings, in the order in which they were added.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What was not checked.
    pub fn not_checked(&self) -> &[NotChecked] {
        &self.not_checked
    }

    /// How the app connects to the code host: addresses, proxy and certificate. `None` in a [public](Self::public) report, and
    /// if the transport does not know it.
    pub fn connection(&self) -> Option<&ConnectionReport> {
        self.connection.as_ref()
    }

    pub(crate) fn extend(&mut self, findings: Vec<Finding>) {
        self.findings.extend(findings);
    }

    pub(crate) fn with_connection(self, connection: Option<ConnectionReport>) -> Self {
        Self { connection, ..self }
    }

    /// The finding with this code.
    pub fn finding(&self, code: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.code == code)
    }

    /// The result of all findings. It is [`Verdict::CouldNotTell`] if there are none.
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

    /// The report for somebody who must not learn about the app's network, such as a tenant who typed in the base URL. All
    /// findings about the network have the same text: refused, timed out, not found, not trusted, another kind of server. It
    /// contains no text from a server, and not the [connection](Self::connection). The full report is for the operator.
    ///
    /// The time that a check takes still tells something about the network. If that matters, respond after a fixed time.
    ///
    /// ```
    /// use codehost_oauth::check::{CheckReport, Finding};
    /// use codehost_oauth::{error::TransportError, transport::Network, BaseUrl};
    ///
    /// let base_url = BaseUrl::parse("https://git.example.com", &Network::public_only())?;
    /// let public = |cause: TransportError| {
    ///     let mut report = CheckReport::new("gitlab", "GitLab", &base_url);
    ///     report.push(Finding::from_error(&cause.into()));
    ///     report.public()
    /// };
    /// assert_eq!(public(TransportError::Unreachable), public(TransportError::TlsUntrusted));
    /// # Ok::<(), codehost_oauth::error::BaseUrlError>(())
    /// ```
    pub fn public(&self) -> Self {
        let mut findings: Vec<Finding> = Vec::with_capacity(self.findings.len());
        for finding in &self.findings {
            let finding = finding.to_public();
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        Self { findings, connection: None, ..self.clone() }
    }

    /// An HTML fragment: everything escaped, without script, style, class or id.
    pub fn to_html(&self) -> String {
        render::html(self)
    }
}

impl fmt::Debug for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckReport")
            .field("platform", &self.platform_id)
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
        let mut report = serializer.serialize_struct("CheckReport", 7)?;
        report.serialize_field("platform_id", self.platform_id)?;
        report.serialize_field("platform_name", self.platform_name)?;
        report.serialize_field("base_url", &self.base_url)?;
        report.serialize_field("verdict", &self.verdict())?;
        report.serialize_field("findings", &self.findings)?;
        report.serialize_field("not_checked", &self.not_checked)?;
        report.serialize_field("connection", &self.connection)?;
        report.end()
    }
}
