use std::borrow::Cow;

use crate::error::{Answer, AnswerError, Audience, Error, TransportError};

/// One answer to one question about an integration.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
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
    pub(super) network: bool,
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

    /// What stands in for every finding about the network.
    pub(super) fn unreachable() -> Self {
        let text = Error::from(TransportError::Refused).public_message();
        Self::unknown("instance_unreachable", text)
            .fix(Audience::Operator, "The operator of this host sees the cause in the full report.")
    }

    fn new(level: Level, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, level, message: message.into(), audience: None, fix: None, network: false }
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
