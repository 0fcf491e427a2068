use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::scope::Scopes;
use crate::error::ConfigError;

/// What an app wants to do with the tokens. The app always chooses; there is no default.
///
/// Which scopes a level stands for is the platform's:
/// [`OAuthProvider::required_scopes`](crate::OAuthProvider::required_scopes).
///
/// ```
/// use codehost_oauth::{gitlab::GitLab, transport::Network, Access, BaseUrl, OAuthProvider};
///
/// let gitlab = GitLab::new(BaseUrl::parse("https://git.example.com", &Network::public_only())?)?;
/// assert_eq!(gitlab.required_scopes(&Access::SignIn).to_string(), "read_user");
/// assert_eq!(gitlab.required_scopes(&Access::Write).to_string(), "api read_user");
/// # Ok::<(), codehost_oauth::error::BaseUrlError>(())
/// ```
///
/// As a text, for a form, a setting or a table, it is `sign-in`, `read`, `write`, or `scopes:` and the scopes:
///
/// ```
/// use codehost_oauth::Access;
///
/// assert_eq!("sign-in".parse::<Access>()?, Access::SignIn);
/// assert_eq!("scopes:read_user openid".parse::<Access>()?.to_string(), "scopes:read_user openid");
/// assert_eq!("admin".parse::<Access>().unwrap_err().code(), "access");
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub enum Access {
    /// Log users in, nothing else.
    SignIn,
    /// Also read groups, workspaces, projects, repositories and merge or pull requests.
    Read,
    /// Also write what a synchronizing integration writes: webhooks, and comments on merge or pull requests.
    Write,
    /// Exactly these scopes.
    Custom(Scopes),
}

impl FromStr for Access {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.strip_prefix(SCOPES)) {
            ("sign-in", _) => Ok(Self::SignIn),
            ("read", _) => Ok(Self::Read),
            ("write", _) => Ok(Self::Write),
            (_, Some(scopes)) => match scopes.parse::<Scopes>()? {
                scopes if scopes.is_empty() => Err(ConfigError::NoScopes),
                scopes => Ok(Self::Custom(scopes)),
            },
            (_, None) => Err(ConfigError::Access),
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignIn => f.write_str("sign-in"),
            Self::Read => f.write_str("read"),
            Self::Write => f.write_str("write"),
            Self::Custom(scopes) => write!(f, "{SCOPES}{scopes}"),
        }
    }
}

impl From<Access> for String {
    fn from(access: Access) -> Self {
        access.to_string()
    }
}

impl TryFrom<String> for Access {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

const SCOPES: &str = "scopes:";
