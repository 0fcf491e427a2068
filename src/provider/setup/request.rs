use crate::error::{ConfigError, TextFault};
use crate::util::text::controls_layout;
use crate::values::access::Access;
use crate::values::callback_url::CallbackUrl;
use crate::values::integration_id::IntegrationId;
use crate::values::public_url::PublicUrl;

/// Who will own the OAuth application at the code host. The guide links to the page of this owner.
///
/// ```
/// use codehost_oauth::setup::AppOwner;
///
/// assert_eq!(AppOwner::default(), AppOwner::User);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AppOwner {
    /// The user who creates it. On Bitbucket Cloud, where the owner is always a workspace: a workspace that is not known yet.
    #[default]
    User,
    /// On GitLab a group by its full path, such as `acme/tools`; on GitHub, Forgejo and Gitea an organization by its name; on
    /// Bitbucket Cloud a workspace by its id or `{uuid}`.
    Group(String),
    /// The whole server, on GitLab, Forgejo and Gitea. On other platforms the same as [`User`](Self::User).
    Instance,
}

/// The integration that a guide is for. It needs no credentials.
///
/// ```
/// use codehost_oauth::setup::{AppOwner, SetupRequest};
/// use codehost_oauth::{error::{ConfigError, TextFault}, Access};
///
/// let public_url = "https://packages.example.com".parse()?;
/// let request = SetupRequest::new(public_url, "demo".parse()?, " Demo ", Access::SignIn)?.owner(AppOwner::Instance);
/// assert_eq!(request.name, "Demo");
///
/// let again = SetupRequest::new(request.public_url, request.id, "two\nlines", Access::SignIn);
/// assert_eq!(again.unwrap_err(), ConfigError::Name(TextFault::Character));
/// # Ok::<(), ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetupRequest {
    /// The app's public URL.
    pub public_url: PublicUrl,
    /// The integration's id, a part of its callback URL.
    pub id: IntegrationId,
    /// The integration's name, proposed as the name of the OAuth application.
    pub name: String,
    /// What the tokens will be used for.
    pub access: Access,
    /// Who will own the OAuth application.
    pub owner: AppOwner,
    /// The callback URL at a path of the app's choice.
    callback: Option<CallbackUrl>,
    /// Other callback URLs of the same OAuth application.
    more_callback_urls: Vec<CallbackUrl>,
}

impl SetupRequest {
    /// A request with [`AppOwner::User`]. White space around the name is dropped.
    ///
    /// # Errors
    ///
    /// - [`ConfigError::Name`] if the name is empty, longer than 200 characters, or holds characters that control a
    ///   terminal or the direction of text.
    /// - [`ConfigError::NoScopes`] if `access` is custom and empty.
    pub fn new(public_url: PublicUrl, id: IntegrationId, name: &str, access: Access) -> Result<Self, ConfigError> {
        let name = parse_name(name)?;
        if matches!(&access, Access::Custom(scopes) if scopes.is_empty()) {
            return Err(ConfigError::NoScopes);
        }
        Ok(Self { public_url, id, name, access, owner: AppOwner::User, callback: None, more_callback_urls: Vec::new() })
    }

    /// The same for another owner of the OAuth application.
    ///
    /// ```
    /// # use codehost_oauth::{setup::{AppOwner, SetupRequest}, Access};
    /// # let public_url = "https://packages.example.com".parse()?;
    /// let request = SetupRequest::new(public_url, "demo".parse()?, "Demo", Access::Read)?;
    /// assert_eq!(request.owner, AppOwner::User);
    /// assert_eq!(request.owner(AppOwner::Instance).owner, AppOwner::Instance);
    /// # Ok::<(), codehost_oauth::error::ConfigError>(())
    /// ```
    #[must_use]
    pub fn owner(self, owner: AppOwner) -> Self {
        Self { owner, ..self }
    }

    /// The same with a callback URL at a path of the app's choice; see [`CallbackUrl::at`]. Give the same path to
    /// [`IntegrationBuilder::callback_path`](crate::IntegrationBuilder::callback_path).
    ///
    /// ```
    /// # use codehost_oauth::{setup::SetupRequest, Access};
    /// # let public_url = "https://packages.example.com".parse()?;
    /// let request = SetupRequest::new(public_url, "demo".parse()?, "Demo", Access::Read)?.callback_path("/auth/demo")?;
    /// let url = request.callback_url("gitlab");
    /// assert_eq!(url.as_str(), "https://packages.example.com/auth/demo");
    /// # Ok::<(), codehost_oauth::error::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::CallbackPath`] unless the path is as in [`CallbackUrl::at`].
    pub fn callback_path(self, path: &str) -> Result<Self, ConfigError> {
        Ok(Self { callback: Some(CallbackUrl::at(&self.public_url, path)?), ..self })
    }

    /// The same with another callback URL that the OAuth application is to have, for example that of a test system. Platforms that
    /// accept only one say so in their guide.
    ///
    /// ```
    /// # use codehost_oauth::{setup::SetupRequest, Access, CallbackUrl};
    /// # let public_url = "https://packages.example.com".parse()?;
    /// let test_system = CallbackUrl::at(&"https://test.example.com".parse()?, "/auth/demo")?;
    /// let request = SetupRequest::new(public_url, "demo".parse()?, "Demo", Access::Read)?.more_callback_url(test_system);
    /// assert_eq!(request.callback_urls("gitlab").len(), 2);
    /// # Ok::<(), codehost_oauth::error::ConfigError>(())
    /// ```
    #[must_use]
    pub fn more_callback_url(mut self, callback_url: CallbackUrl) -> Self {
        self.more_callback_urls.push(callback_url);
        self
    }

    /// All callback URLs of the OAuth application, first [`callback_url`](Self::callback_url).
    pub fn callback_urls(&self, platform_id: &str) -> Vec<CallbackUrl> {
        [self.callback_url(platform_id)].into_iter().chain(self.more_callback_urls.iter().cloned()).collect()
    }

    /// The callback URL at the platform with this id. It does not depend on the credentials.
    pub fn callback_url(&self, platform_id: &str) -> CallbackUrl {
        let chosen = self.callback.clone();
        chosen.unwrap_or_else(|| CallbackUrl::new(&self.public_url, platform_id, &self.id))
    }
}

/// The name of an integration, without white space around it.
pub(crate) fn parse_name(text: &str) -> Result<String, ConfigError> {
    let name = text.trim();
    let fault = match name.chars().count() {
        0 => TextFault::Empty,
        count if count > MAX_NAME => TextFault::TooLong { limit: MAX_NAME, unit: "characters" },
        _ if name.contains(controls_layout) => TextFault::Character,
        _ => return Ok(name.to_owned()),
    };
    Err(ConfigError::Name(fault))
}

/// The longest name, in characters.
const MAX_NAME: usize = 200;
