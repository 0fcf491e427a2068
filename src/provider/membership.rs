use std::fmt;
use std::ops::Not;

use serde::{Deserialize, Serialize};

use crate::error::{AccountError, ConfigError};

/// A group of the code host, such as a group of GitLab, an organization of GitHub or a workspace of Bitbucket, and which
/// memberships count.
///
/// Prefer the id to the path: when a group is renamed, another user can create a group with the old path.
///
/// ```
/// use codehost_oauth::Group;
///
/// let developers = Group::path("acme/tools")?.at_least("developer");
/// assert_eq!(developers.to_string(), "acme/tools");
/// assert_eq!(developers.least_role(), Some("developer"));
/// let workspace = Group::id("{a15fb181-db1f-48f7-b41f-e1eff06929d6}")?;
/// assert!(workspace.is_id());
/// assert!(Group::path("../admin").is_err());
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
/// As JSON, it is `{"path":"acme/tools","at_least":"developer","with_subgroups":true}`, or with `id` in place of `path`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "Json", try_from = "Json")]
pub struct Group {
    name: Box<str>,
    is_id: bool,
    least_role: Option<Box<str>>,
    includes_subgroups: bool,
}

impl Group {
    /// The group at a path: GitLab's full path with every parent, Bitbucket's workspace ID. White space and slashes
    /// around it are removed. A `~` at its beginning is refused by the platform, which has the right hint.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Group`] if this cannot be a path on any platform.
    pub fn path(path: &str) -> Result<Self, ConfigError> {
        let path = path.trim().trim_matches('/');
        let valid = |segment: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !matches!(segment, "" | "." | "..") && segment.bytes().all(allowed)
        };
        let segments = path.strip_prefix('~').unwrap_or(path).split('/');
        if path.len() > MAX_LENGTH || !segments.clone().all(valid) {
            return Err(INVALID);
        }
        Ok(Self { name: path.into(), is_id: false, least_role: None, includes_subgroups: false })
    }

    /// The group with an immutable id: GitLab's number, Bitbucket's UUID in braces.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Group`] if this cannot be an id on any platform.
    pub fn id(id: &str) -> Result<Self, ConfigError> {
        let id = id.trim();
        let inner = id.strip_prefix('{').and_then(|id| id.strip_suffix('}')).unwrap_or(id);
        let allowed = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
        if inner.is_empty() || id.len() > MAX_LENGTH || !inner.bytes().all(allowed) {
            return Err(INVALID);
        }
        Ok(Self { name: id.into(), is_id: true, least_role: None, includes_subgroups: false })
    }

    /// Counts only members with this role or a higher one, as the platform calls it: `developer` at GitLab, `owner` at
    /// Bitbucket. Every member counts unless set.
    #[must_use]
    pub fn at_least(self, role: &str) -> Self {
        Self { least_role: Some(role.into()), ..self }
    }

    /// Also counts members of its subgroups, at any depth. Only on platforms with subgroups, such as GitLab. Members of a parent
    /// are members of its subgroups in any case.
    ///
    /// ```
    /// use codehost_oauth::Group;
    ///
    /// assert!(Group::path("acme")?.with_subgroups().includes_subgroups());
    /// # Ok::<(), codehost_oauth::error::ConfigError>(())
    /// ```
    #[must_use]
    pub fn with_subgroups(self) -> Self {
        Self { includes_subgroups: true, ..self }
    }

    /// The path or id.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Whether it is an id.
    pub fn is_id(&self) -> bool {
        self.is_id
    }

    /// Whether members of its subgroups count.
    pub fn includes_subgroups(&self) -> bool {
        self.includes_subgroups
    }

    /// The lowest role that counts. `None` if every member counts.
    pub fn least_role(&self) -> Option<&str> {
        self.least_role.as_deref()
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Whether a user is in a [`Group`].
///
/// ```
/// use codehost_oauth::Membership;
///
/// assert!(Membership::Member { role: "developer".to_owned() }.require().is_ok());
/// assert_eq!(Membership::NotMember.require().unwrap_err().code(), "not_a_member");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a look-up refuses nobody: call `require`"]
#[non_exhaustive]
pub enum Membership {
    /// The user is a member, with this role or a higher one.
    Member {
        /// The lowest role that the user is known to have, as the platform calls it.
        role: String,
    },
    /// The user is no member or has a lower role than the lowest that counts, or the group does not exist.
    NotMember,
}

impl Membership {
    /// Returns an error unless the user is a member.
    ///
    /// # Errors
    ///
    /// [`AccountError::NotAMember`] if the user is not a member.
    pub fn require(&self) -> Result<(), AccountError> {
        match self {
            Self::Member { .. } => Ok(()),
            Self::NotMember => Err(AccountError::NotAMember),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_least: Option<String>,
    #[serde(default, skip_serializing_if = "Not::not")]
    with_subgroups: bool,
}

impl From<Group> for Json {
    fn from(group: Group) -> Self {
        let name = Some(String::from(group.name));
        let (path, id) = if group.is_id { (None, name) } else { (name, None) };
        let at_least = group.least_role.map(String::from);
        Self { path, id, at_least, with_subgroups: group.includes_subgroups }
    }
}

impl TryFrom<Json> for Group {
    type Error = ConfigError;

    fn try_from(json: Json) -> Result<Self, Self::Error> {
        let group = match (&json.path, &json.id) {
            (Some(path), None) => Self::path(path)?,
            (None, Some(id)) => Self::id(id)?,
            _ => return Err(INVALID),
        };
        Ok(Self { least_role: json.at_least.map(String::into), includes_subgroups: json.with_subgroups, ..group })
    }
}

/// The platform is not known yet.
const INVALID: ConfigError =
    ConfigError::Group { hint: "Enter the group's full path or its ID, as the code host shows it." };

/// The longest path or id, in bytes.
const MAX_LENGTH: usize = 1024;
