use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::str::FromStr;

use crate::error::{ConfigError, TextFault};

/// One scope of a platform, such as `read_user` (RFC 6749 section 3.3).
///
/// What it means, and the label of its check box, is the platform's: see
/// [`OAuthProvider::describe_scope`](crate::OAuthProvider::describe_scope).
///
/// ```
/// use codehost_oauth::Scope;
///
/// assert_eq!("pullrequest:write".parse::<Scope>()?.as_str(), "pullrequest:write");
/// assert!("two words".parse::<Scope>().is_err());
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(Cow<'static, str>);

impl Scope {
    /// A scope of this crate's own, which is known to be valid.
    pub(crate) const fn known(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// The scope as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Scope {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // scope-token = 1*( %x21 / %x23-5B / %x5D-7E ); a comma would be a second separator at some clients.
        let valid = |byte: u8| byte.is_ascii_graphic() && !b"\"\\,".contains(&byte);
        match TextFault::of(text, MAX_LENGTH, valid) {
            Some(fault) => Err(ConfigError::Scope(fault)),
            None => Ok(Self(Cow::Owned(text.to_owned()))),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({})", self.0)
    }
}

impl serde::Serialize for Scope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A set of scopes, in the order in which they are shown and sent. Equality does not look at the order.
///
/// ```
/// use codehost_oauth::Scopes;
///
/// let a: Scopes = "account email account".parse()?;
/// assert_eq!(a.to_string(), "account email");
/// assert_eq!(a, "email account".parse()?);
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// The scopes in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Scope> {
        self.0.iter()
    }

    /// Whether all of these are in `other`. Uses a set, because a code host can name very many.
    pub(crate) fn is_subset(&self, other: &Self) -> bool {
        let other: HashSet<&Scope> = other.iter().collect();
        self.iter().all(|scope| other.contains(scope))
    }

    /// Whether the set contains this scope. A scope that implies it does not count.
    pub fn contains(&self, scope: &Scope) -> bool {
        self.0.contains(scope)
    }

    /// The valid scopes in a text from a code host, and whether all were valid.
    pub(crate) fn readable(text: &str) -> (Self, bool) {
        let mut all = true;
        let parts = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty());
        let scopes = parts.filter_map(|part| part.parse().inspect_err(|_| all = false).ok()).collect();
        (scopes, all)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Scopes {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.is_subset(other)
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        // A set: a response can contain 100,000 scopes.
        let mut seen = BTreeSet::new();
        Self(scopes.into_iter().filter(|scope| seen.insert(scope.clone())).collect())
    }
}

impl<'a> IntoIterator for &'a Scopes {
    type Item = &'a Scope;
    type IntoIter = std::slice::Iter<'a, Scope>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Separated by spaces, as in RFC 6749, or by commas, as some servers send them.
impl FromStr for Scopes {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split([' ', ',']).filter(|part| !part.is_empty()).map(str::parse).collect()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            scope.fmt(f)?;
        }
        Ok(())
    }
}

/// What the platform's form says about a scope.
///
/// ```
/// use codehost_oauth::{bitbucket_cloud::BitbucketCloud, OAuthProvider};
///
/// let account = BitbucketCloud::cloud().describe_scope(&"account".parse()?);
/// assert_eq!(account.label, "Account: Read");
/// assert_eq!(account.implies.to_string(), "email");
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct ScopeDescription {
    /// The scope.
    pub scope: Scope,
    /// The label of its check box.
    pub label: Cow<'static, str>,
    /// What it is needed for.
    pub reason: Cow<'static, str>,
    /// The scopes that come with it.
    pub implies: Scopes,
    /// Whether a token response never names it, even if it was granted, such as `offline_access` at GitHub. Then it is never
    /// missing.
    pub never_listed: bool,
}

impl ScopeDescription {
    /// A description with no implied scopes.
    pub fn new(scope: Scope, label: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { scope, label: label.into(), reason: reason.into(), implies: Scopes::default(), never_listed: false }
    }
}

/// How many scopes are implied, and no names: a code host may have written them.
impl fmt::Debug for ScopeDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopeDescription").field("implies", &self.implies.len()).finish_non_exhaustive()
    }
}

/// The longest scope, in bytes.
const MAX_LENGTH: usize = 256;
