use std::borrow::Cow;
use std::fmt;

use crate::error::{Answer, AnswerError, Audience, Error, TransportError};

/// One answer to one question about an integration.
#[derive(Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// A stable name, `snake_case`. What is wrong has the code of the [`Error`] that a login would end with, where there
    /// is one.
    pub code: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found, in a sentence.
    pub message: Cow<'static, str>,
    /// Who must act, if anybody must.
    pub audience: Option<Audience>,
    /// What they must do.
    pub fix: Option<Cow<'static, str>>,
    /// Whether the finding tells about the network behind the host.
    #[serde(skip)]
    network: bool,
    /// Message and fix for everybody but the operator, where the full ones repeat what a server wrote.
    #[serde(skip)]
    public: Option<Box<[Cow<'static, str>; 2]>>,
}

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing; nothing is to be done.
    Note,
    /// Logins work, and somebody should look at it.
    Warning,
    /// Logins would fail.
    Problem,
    /// The question got no answer, this time.
    Unknown,
}

impl Finding {
    /// As it should be.
    pub fn ok(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Level::Ok, code, message)
    }

    /// Worth knowing.
    pub fn note(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Level::Note, code, message)
    }

    /// To be looked at.
    pub fn warning(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Level::Warning, code, message)
    }

    /// Logins would fail.
    pub fn problem(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Level::Problem, code, message)
    }

    /// The question got no answer.
    pub fn unknown(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Level::Unknown, code, message)
    }

    /// What a failed call says about the integration: a problem, or an unknown if it may be an outage.
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
        let mut message = sentence(&error.to_string(), error.answer());
        if let Some(note) = error.operator_note() {
            // The finding is one about the network, which only the full report shows.
            message = format!("{message} {note}.");
        }
        let finding =
            if may_pass(error) { Self::unknown(error.code(), message) } else { Self::problem(error.code(), message) };
        let finding = finding.fix(error.audience(), error.hint());
        if matches!(error, Error::Transport(_) | Error::Answer { .. }) { finding.network() } else { finding }
    }

    /// Says it in other words.
    #[must_use]
    pub fn saying(self, message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), ..self }
    }

    /// Says who must do what.
    #[must_use]
    pub fn fix(self, audience: Audience, fix: impl Into<Cow<'static, str>>) -> Self {
        Self { audience: Some(audience), fix: Some(fix.into()), ..self }
    }

    /// Marks what [`CheckReport::public`](super::CheckReport::public) replaces.
    #[must_use]
    pub fn network(self) -> Self {
        Self { network: true, ..self }
    }

    /// Says what [`CheckReport::public`](super::CheckReport::public) shows instead of message and fix. Needed wherever they
    /// repeat what a server wrote: a tenant may run that server, and a text of theirs would look like one of the app's.
    ///
    /// ```
    /// use codehost_oauth::bitbucket::BitbucketCloud;
    /// use codehost_oauth::check::{CheckReport, Finding};
    ///
    /// let told = "https://git.example.net";
    /// let mut report = CheckReport::new(&BitbucketCloud::new());
    /// let finding = Finding::warning("issuer", format!("It says that its URL is {told}."));
    /// report.push(finding.publicly("It says that it has another URL.", "Compare the base URL with the code host's own."));
    /// assert!(report.to_string().contains(told));
    /// assert!(!report.public().to_string().contains(told));
    /// ```
    #[must_use]
    pub fn publicly(self, message: impl Into<Cow<'static, str>>, fix: impl Into<Cow<'static, str>>) -> Self {
        Self { public: Some(Box::new([message.into(), fix.into()])), ..self }
    }

    /// What may be shown to somebody who is not the operator.
    pub(super) fn to_public(&self) -> Self {
        match &self.public {
            _ if self.network => Self::unreachable(),
            Some(texts) => {
                let [message, fix] = (**texts).clone();
                Self { message, fix: Some(fix), public: None, ..self.clone() }
            }
            None => self.clone(),
        }
    }

    /// What stands in for every finding about the network.
    fn unreachable() -> Self {
        let text = Error::from(TransportError::Refused).public_message();
        Self::unknown("instance_unreachable", text)
            .fix(Audience::Operator, "The operator of this host sees the cause in the full report.")
    }

    fn new(level: Level, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, level, message: message.into(), audience: None, fix: None, network: false, public: None }
    }
}

/// Code, level and audience, which this crate or the provider made. The texts can repeat what a server wrote.
impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finding")
            .field("code", &self.code)
            .field("level", &self.level)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// Whether the same check may succeed later with the same integration.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::Transport(cause) => {
            use TransportError::{Busy, Interrupted, NameLookupTimedOut, TimedOut};
            matches!(cause, TimedOut | NameLookupTimedOut | Interrupted | Busy)
        }
        Error::Answer { cause, .. } => {
            matches!(cause, AnswerError::RateLimited { .. } | AnswerError::Unavailable { .. } | AnswerError::ReadOnly)
        }
        error => error.is_transient(),
    }
}

/// An error's text as a sentence, with the status of the answer if there was one.
fn sentence(text: &str, answer: Option<&Answer>) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    let status = answer.map(|answer| format!(" (HTTP {})", answer.status().as_u16())).unwrap_or_default();
    format!("{}{}{status}.", first.map(String::from).unwrap_or_default(), chars.as_str())
}
