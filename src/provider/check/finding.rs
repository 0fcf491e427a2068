use std::borrow::Cow;
use std::fmt;

use crate::error::{Audience, Error, ProxyError, ResponseSummary, TransportError};
use crate::util::text::sentence;
use crate::values::base_url::BaseUrl;

/// One result of a check.
#[derive(Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// A stable name, `snake_case`. A problem has the code of the [`Error`] that a login would fail with, if there is one.
    pub code: &'static str,
    /// How bad it is.
    pub level: Level,
    /// The result, in a sentence.
    pub message: Cow<'static, str>,
    /// Who must act. `None` if no action is needed.
    pub audience: Option<Audience>,
    /// What to do.
    pub fix: Option<Cow<'static, str>>,
    /// Whether the finding is about the app's network.
    #[serde(skip)]
    network: bool,
    /// Message and fix for readers other than the operator, if the full ones repeat text from a server.
    #[serde(skip)]
    public_text: Option<Box<[Cow<'static, str>; 2]>>,
}

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Level {
    /// Correct.
    Ok,
    /// Information. No action is needed.
    Note,
    /// Logins work, but an action is recommended.
    Warning,
    /// Logins would fail.
    Problem,
    /// The check got no usable response this time.
    Unknown,
}

impl Finding {
    /// A finding of [`Level::Ok`].
    pub fn ok(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Level::Ok, code, message)
    }

    /// A finding of [`Level::Note`].
    pub fn note(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Level::Note, code, message)
    }

    /// A finding of [`Level::Warning`].
    pub fn warning(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Level::Warning, code, message)
    }

    /// A finding of [`Level::Problem`].
    pub fn problem(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Level::Problem, code, message)
    }

    /// A finding of [`Level::Unknown`].
    pub fn unknown(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Level::Unknown, code, message)
    }

    /// Turns a failed call into a finding: a problem, or an unknown if it may be an outage.
    ///
    /// ```
    /// use codehost_oauth::check::{Finding, Level};
    /// use codehost_oauth::error::TransportError;
    ///
    /// let finding = Finding::from_error(&TransportError::TlsUntrusted.into());
    /// assert_eq!((finding.code, finding.level), ("tls_untrusted", Level::Problem));
    /// assert_eq!(Finding::from_error(&TransportError::TimedOut.into()).level, Level::Unknown);
    /// ```
    pub fn from_error(error: &Error) -> Self {
        let mut message = sentence(&format!("{error}{}", status(error.summary())));
        if let Some(note) = error.operator_note() {
            // This finding is about the network, and only the full report shows its message.
            message = format!("{message} {note}.");
        }
        let finding = if may_succeed_later(error) {
            Self::unknown(error.code(), message)
        } else {
            Self::problem(error.code(), message)
        };
        let finding = finding.fix(error.advice().audience, error.advice().hint);
        if error.is_about_network() { finding.network() } else { finding }
    }

    /// Replaces the message.
    #[must_use]
    pub fn with_message(self, message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), ..self }
    }

    /// Sets who must act, and what they must do.
    #[must_use]
    pub fn fix(self, audience: Audience, fix: impl Into<Cow<'static, str>>) -> Self {
        Self { audience: Some(audience), fix: Some(fix.into()), ..self }
    }

    /// Marks a finding about the app's network, which [`CheckReport::public`](super::CheckReport::public) replaces.
    #[must_use]
    pub fn network(self) -> Self {
        Self { network: true, ..self }
    }

    /// Sets what [`CheckReport::public`](super::CheckReport::public) shows instead of message and fix. Needed if these
    /// repeat text from a server: a tenant may run that server, and its text would look like one of the app.
    ///
    /// ```
    /// use codehost_oauth::OAuthProvider as _;
    /// use codehost_oauth::bitbucket_cloud::BitbucketCloud;
    /// use codehost_oauth::check::{CheckReport, Finding};
    ///
    /// let own = "https://git.example.net";
    /// let mut report = CheckReport::new("bitbucket-cloud", "Bitbucket Cloud", BitbucketCloud::cloud().base_url());
    /// let finding = Finding::warning("issuer", format!("The server says that its URL is {own}."));
    /// report.push(finding.with_public_text("The server says that it has another URL.", "Compare the base URL with the code host's own."));
    /// assert!(report.to_string().contains(own));
    /// assert!(!report.public().to_string().contains(own));
    /// ```
    #[must_use]
    pub fn with_public_text(self, message: impl Into<Cow<'static, str>>, fix: impl Into<Cow<'static, str>>) -> Self {
        Self { public_text: Some(Box::new([message.into(), fix.into()])), ..self }
    }

    /// Whether the connection to a server that has responded is encrypted. `name` is the platform's.
    pub(crate) fn encryption(url: &BaseUrl, name: &str) -> Self {
        if url.as_str().starts_with("https:") {
            Self::ok("tls", "The certificate is trusted.")
        } else if url.is_loopback() {
            Self::note("no_encryption", "The connection is not encrypted; it does not leave this machine.")
        } else {
            Self::warning(
                "no_encryption",
                "The connection is not encrypted: everyone on the network path can read the secret and the tokens.",
            )
            .fix(Audience::CodeHost, format!("Configure {name} to use https://."))
        }
    }

    /// The finding for readers other than the operator.
    pub(super) fn to_public(&self) -> Self {
        if self.network {
            return Self::unreachable();
        }
        match &self.public_text {
            Some(texts) => {
                let [message, fix] = (**texts).clone();
                Self { message, fix: Some(fix), public_text: None, ..self.clone() }
            }
            None => self.clone(),
        }
    }

    /// The one finding that replaces every finding about the network.
    fn unreachable() -> Self {
        let text = Error::from(TransportError::Unreachable).advice().public_message;
        Self::unknown("instance_unreachable", text)
            .fix(Audience::Operator, "Look up the cause in the full report of this check.")
    }

    fn new(level: Level, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, level, message: message.into(), audience: None, fix: None, network: false, public_text: None }
    }
}

/// Code, level and audience only: the texts can repeat text from a server.
impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finding")
            .field("code", &self.code)
            .field("level", &self.level)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// Whether the same check may succeed later without a change. A name that is not found, or a port that does not respond, is most
/// likely a typing error in the base URL.
fn may_succeed_later(error: &Error) -> bool {
    use ProxyError::{CodeHostNotFound, CodeHostUnreachable};
    use TransportError::{NameNotFound, Proxy, Unreachable};

    let is_likely_typo =
        matches!(error, Error::Transport(NameNotFound | Unreachable | Proxy(CodeHostNotFound | CodeHostUnreachable)));
    error.advice().is_transient && !is_likely_typo
}

/// The status of the response, if there is one.
fn status(response: Option<&ResponseSummary>) -> String {
    response.map(|response| format!(" (HTTP {})", response.status().as_u16())).unwrap_or_default()
}
