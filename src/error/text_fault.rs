/// What is wrong with a text that somebody typed or pasted.
///
/// ```
/// use codehost_oauth::error::{ConfigError, TextFault};
/// use codehost_oauth::Scope;
///
/// assert_eq!("".parse::<Scope>().unwrap_err(), ConfigError::Scope(TextFault::Empty));
/// assert_eq!("a b".parse::<Scope>().unwrap_err().to_string(), "the scope contains a character that is not allowed");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextFault {
    /// It is empty, or white space only.
    #[error("is empty")]
    Empty,
    /// It is too long.
    #[error("is longer than {limit} {unit}")]
    TooLong {
        /// The longest that is allowed.
        limit: usize,
        /// The unit of the limit: `bytes` or `characters`.
        unit: &'static str,
    },
    /// It contains a character that is not allowed. The message does not show which: the text may be a secret.
    #[error("contains a character that is not allowed")]
    Character,
}

impl TextFault {
    /// Checks a text of at most `limit` bytes, all of which must be `allowed`.
    pub(crate) fn of(text: &str, limit: usize, allowed: impl Fn(u8) -> bool) -> Option<Self> {
        match text {
            "" => Some(Self::Empty),
            _ if text.len() > limit => Some(Self::TooLong { limit, unit: "bytes" }),
            _ if !text.bytes().all(allowed) => Some(Self::Character),
            _ => None,
        }
    }
}
