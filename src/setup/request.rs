use crate::error::ConfigError;
use crate::host::{Host, IntegrationId};
use crate::scope::Access;

/// Who will own the OAuth application at the code host. It decides which page the administrator is sent to.
///
/// ```
/// use codehost_oauth::setup::AppOwner;
///
/// assert_eq!(AppOwner::default(), AppOwner::User);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AppOwner {
    /// Whoever creates it. On Bitbucket, where a workspace always owns it: a workspace that is not known yet.
    #[default]
    User,
    /// A group by its full path, such as `acme/tools`; on Bitbucket a workspace by its id or `{uuid}`.
    Group(String),
    /// The whole GitLab instance. On Bitbucket the same as [`User`](Self::User).
    Instance,
}

/// What a guide is made for: an integration that has no credentials yet.
///
/// ```
/// use codehost_oauth::setup::{AppOwner, SetupRequest};
/// use codehost_oauth::{error::ConfigError, Access};
///
/// let host = "https://packages.example.com".parse()?;
/// let request = SetupRequest::new(host, "demo".parse()?, " Demo ", Access::SignIn)?.owner(AppOwner::Instance);
/// assert_eq!(request.name, "Demo");
///
/// let again = SetupRequest::new(request.host, request.id, "two\nlines", Access::SignIn);
/// assert_eq!(again.unwrap_err(), ConfigError::Name);
/// # Ok::<(), ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetupRequest {
    /// The host that people will log in to.
    pub host: Host,
    /// The integration's id, a part of its callback URL.
    pub id: IntegrationId,
    /// The integration's name, proposed as the name of the OAuth application.
    pub name: String,
    /// What the tokens will be used for.
    pub access: Access,
    /// Who will own the OAuth application.
    pub owner: AppOwner,
}

impl SetupRequest {
    /// A request with [`AppOwner::User`]. White space around the name is dropped.
    ///
    /// # Errors
    ///
    /// - [`ConfigError::Name`] if the name is empty, longer than 200 characters, or holds characters that control a
    ///   terminal or the direction of text.
    /// - [`ConfigError::NoScopes`] if `access` is custom and empty.
    pub fn new(host: Host, id: IntegrationId, name: &str, access: Access) -> Result<Self, ConfigError> {
        let name = parse_name(name)?;
        if matches!(&access, Access::Custom(scopes) if scopes.is_empty()) {
            return Err(ConfigError::NoScopes);
        }
        Ok(Self { host, id, name, access, owner: AppOwner::User })
    }

    /// The same for another owner of the OAuth application.
    ///
    /// ```
    /// # use codehost_oauth::{setup::{AppOwner, SetupRequest}, Access};
    /// # let host = "https://packages.example.com".parse()?;
    /// let request = SetupRequest::new(host, "demo".parse()?, "Demo", Access::Read)?;
    /// assert_eq!(request.owner, AppOwner::User);
    /// assert_eq!(request.owner(AppOwner::Instance).owner, AppOwner::Instance);
    /// # Ok::<(), codehost_oauth::error::ConfigError>(())
    /// ```
    #[must_use]
    pub fn owner(self, owner: AppOwner) -> Self {
        Self { owner, ..self }
    }
}

/// The name of an integration, without white space around it.
pub(crate) fn parse_name(text: &str) -> Result<String, ConfigError> {
    let name = text.trim();
    let valid = (1..=MAX_NAME).contains(&name.chars().count()) && !name.contains(is_control);
    if valid { Ok(name.to_owned()) } else { Err(ConfigError::Name) }
}

/// The longest name, in characters.
const MAX_NAME: usize = 200;

/// Characters that change how their neighbours are shown: control characters, line and paragraph separators, and the
/// marks that turn the direction of text around.
pub(super) fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}
