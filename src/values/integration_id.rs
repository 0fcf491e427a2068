use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::ConfigError;

/// Names one integration in the app, in its callback URL and in every account key: 1 to 63 of `a-z`, `0-9` and `-`,
/// beginning and ending with a letter or digit.
///
/// Never give a deleted integration's id to another one, and never keep an id for another code host: other users would get
/// the accounts of the earlier ones.
///
/// ```
/// use codehost_oauth::IntegrationId;
///
/// assert_eq!(IntegrationId::from_name("On-premise GitLab")?.as_str(), "onpremisegitlab");
/// assert_eq!(IntegrationId::random()?.as_str().len(), 26);
/// assert!("Demo".parse::<IntegrationId>().is_err());
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IntegrationId(Arc<str>);

impl IntegrationId {
    /// The slug of an integration's name: its ASCII letters and digits, in lower case.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoSlug`] if the name has no ASCII letter or digit, or more than 63.
    pub fn from_name(name: &str) -> Result<Self, ConfigError> {
        let slug: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        slug.parse().map_err(|_| ConfigError::NoSlug)
    }

    /// 26 random letters and digits. Use it where tenants create integrations: it cannot be guessed or chosen, and does not overlap with another.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Random`] if the system gives no random bytes.
    pub fn random() -> Result<Self, ConfigError> {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let mut bytes = [0_u8; 26];
        crate::util::random::fill(&mut bytes).map_err(|_| ConfigError::Random)?;
        let letter = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied().map_or('a', char::from);
        Ok(Self(bytes.iter().map(letter).collect::<String>().into()))
    }

    /// Stands for an id that is not known yet.
    #[cfg(all(feature = "seal", feature = "http-client"))]
    pub(crate) fn any() -> Self {
        Self("any".into())
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether one id begins with the other.
    ///
    /// Bitbucket accepts every callback URL that begins with the registered one, so refuse a new id that overlaps with
    /// one in use where OAuth applications are shared between integrations. Random ids never overlap.
    ///
    /// ```
    /// # use codehost_oauth::IntegrationId;
    /// let [a, b]: [IntegrationId; 2] = ["git".parse()?, "git-2".parse()?];
    /// assert!(a.overlaps(&b) && b.overlaps(&a));
    /// # Ok::<(), codehost_oauth::error::ConfigError>(())
    /// ```
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.starts_with(&*other.0) || other.0.starts_with(&*self.0)
    }
}

impl FromStr for IntegrationId {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let valid = (1..=63).contains(&text.len())
            && text.bytes().all(inside)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if valid { Ok(Self(text.into())) } else { Err(ConfigError::IntegrationId) }
    }
}

impl fmt::Display for IntegrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IntegrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IntegrationId({})", self.0)
    }
}

impl serde::Serialize for IntegrationId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
