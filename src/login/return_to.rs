use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::ConfigError;

/// A path on the app itself to return to after the login: `/projects?tab=1`.
///
/// It begins with one slash and holds nothing that a browser would read as the beginning of another address, so it
/// cannot lead away from the app (RFC 9700 section 4.11.1). It travels in the pending login, never in a URL.
///
/// ```
/// use codehost_oauth::ReturnTo;
///
/// assert_eq!("/projects?tab=1".parse::<ReturnTo>()?.as_str(), "/projects?tab=1");
/// for elsewhere in ["//evil.test", "/\\evil.test", "/\t/evil.test", "https://evil.test", ""] {
///     assert!(elsewhere.parse::<ReturnTo>().is_err());
/// }
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReturnTo(Box<str>);

impl ReturnTo {
    /// The path, with its query and fragment.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ReturnTo {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let one_slash = text.starts_with('/') && !text.starts_with("//");
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        if one_slash && plain && text.len() <= MAX_LENGTH { Ok(Self(text.into())) } else { Err(ConfigError::ReturnTo) }
    }
}

impl TryFrom<String> for ReturnTo {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ReturnTo> for String {
    fn from(path: ReturnTo) -> Self {
        path.0.into()
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Shows its length only: anyone can write the link that it comes from.
impl fmt::Debug for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReturnTo({} bytes)", self.0.len())
    }
}

const MAX_LENGTH: usize = 2048;
