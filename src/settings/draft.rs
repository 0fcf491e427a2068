use serde::{Deserialize, Serialize};

use super::app_config::AppConfig;
use super::field::{Field, FieldError, FieldErrors};
use super::integration_settings::{IntegrationSettings, Labels, guide, timeout_error};
use crate::error::{ConfigError, TextFault};
use crate::integration::LoginPolicy;
use crate::provider::membership::Group;
use crate::provider::oauth_provider::OAuthProvider;
use crate::provider::platform::Platform;
use crate::provider::setup::{AppOwner, LinkAddress, SetupGuide, SetupLink, SetupRequest, SetupScope};
use crate::values::access::Access;
use crate::values::base_url::BaseUrl;
use crate::values::email::EmailTrust;
use crate::values::integration_id::IntegrationId;

/// What an administrator has typed so far, field by field, as text. Nothing that was typed is lost or changed, whether it is valid
/// or not. The secrets are not in it.
///
/// ```
/// use codehost_oauth::settings::{AppConfig, Draft, Field};
/// use codehost_oauth::transport::{HttpClient, Network};
/// use codehost_oauth::IntegrationId;
///
/// let http = HttpClient::builder(Network::public_only()).build()?;
/// let app = AppConfig::new("https://packages.example.com".parse()?, http);
///
/// let mut draft = Draft::default();
/// draft.platform = "gitlab".to_owned();
/// draft.base_url = "https://git.example.com".to_owned();
/// draft.access = "sign-in".to_owned();
/// let id: IntegrationId = "demo".parse()?;
/// let read = draft.read(&app, Some(&id));
/// let guide = read.guide.expect("platform and base URL are enough");
/// assert_eq!(guide.callback_url.as_str(), "https://packages.example.com/oauth/callback/gitlab/demo");
/// assert_eq!(read.name, "GitLab (git.example.com)");
/// let errors = read.settings.unwrap_err();
/// assert_eq!(errors.of(Field::ClientId).unwrap().label, "Application ID");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Draft {
    /// The platform's id.
    pub platform: String,
    /// The base URL.
    pub base_url: String,
    /// The name. If it is empty, the integration is called after platform and host name.
    pub name: String,
    /// Where the app reaches the code host; see [`IntegrationSettings::api_url`].
    pub api_url: String,
    /// The workspace, group or organization that is to own the OAuth application; empty for the administrator's own account. It is
    /// used for the guide only.
    pub owner: String,
    /// The access level, as [`Access`] is written.
    pub access: String,
    /// The client id.
    pub client_id: String,
    /// Certificates in PEM format.
    pub root_certificates: String,
    /// The time limit of a request in seconds.
    pub timeout: String,
    /// Which e-mail addresses to trust, as [`EmailTrust`] is written; see [`IntegrationSettings::email_trust`].
    pub email_trust: String,
    /// The accepted users: the paths or ids of groups, one in each line; empty for all users of the code host.
    pub groups: String,
    /// The lowest role in such a group.
    pub least_role: String,
    /// Whether members of subgroups may log in.
    pub with_subgroups: bool,
    /// Whether only users with two-factor authentication may log in.
    pub two_factor: bool,
    /// Whether external users may not log in.
    pub refuse_external: bool,
    /// Whether bots may log in.
    pub allow_bots: bool,
    /// The domains at one of which a user must have an e-mail address, separated by spaces, commas or lines.
    pub email_domains: String,
}

/// What follows from a [`Draft`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DraftReading {
    /// The setup guide, as soon as platform and base URL are valid and there is an id.
    pub guide: Option<SetupGuide>,
    /// Where to create the OAuth application, as soon as platform and base URL are valid. Those of the guide, if there is one.
    pub links: Vec<SetupLink>,
    /// The scopes that logins ask for, likewise.
    pub scopes: Vec<SetupScope>,
    /// The integration's name, typed or proposed. Empty if there is no valid base URL either.
    pub name: String,
    /// The settings, or what is wrong.
    pub settings: Result<IntegrationSettings, FieldErrors>,
}

impl Draft {
    /// What was typed to get these settings.
    pub fn of(settings: &IntegrationSettings) -> Self {
        let policy = &settings.policy;
        let groups: Vec<&str> = policy.groups().iter().map(Group::as_str).collect();
        let first = policy.groups().first();
        Self {
            platform: settings.platform.clone(),
            base_url: settings.base_url.clone(),
            name: settings.name.clone(),
            api_url: settings.api_url.clone().unwrap_or_default(),
            owner: String::new(),
            access: settings.access.to_string(),
            client_id: settings.client_id.clone(),
            root_certificates: settings.root_certificates.clone().unwrap_or_default(),
            timeout: settings.timeout_seconds.map(|seconds| seconds.to_string()).unwrap_or_default(),
            email_trust: settings.email_trust.to_string(),
            groups: groups.join("\n"),
            least_role: first.and_then(Group::least_role).unwrap_or_default().to_owned(),
            with_subgroups: first.is_some_and(Group::includes_subgroups),
            two_factor: policy.needs_two_factor(),
            refuse_external: policy.refuses_external(),
            allow_bots: policy.allows_bots(),
            email_domains: policy.domains().join(" "),
        }
    }

    /// Reads what was typed, as far as it goes. `id` is the integration's id; without one there is no callback URL yet, and so no
    /// guide. Sends nothing.
    pub fn read(&self, app: &AppConfig, id: Option<&IntegrationId>) -> DraftReading {
        let (mut settings, mut errors) = self.settings();
        let provider = match settings.provider(app) {
            Ok((_, provider)) => provider,
            Err(found) => {
                errors.extend(found);
                let (name, settings) = (settings.name, Err(errors));
                return DraftReading { guide: None, links: Vec::new(), scopes: Vec::new(), name, settings };
            }
        };
        provider.base_url().as_str().clone_into(&mut settings.base_url);
        if settings.name.is_empty() {
            settings.name = proposed_name(provider.platform(), provider.base_url());
        }
        let guide = self.guide(&*provider, &settings, app, id);
        let guide = guide.map_err(|error| errors.push(FieldError::new(Field::of(&error), None, &error.into()))).ok();
        if settings.client_id.is_empty() {
            let labels = guide.as_ref().map(Labels::new).unwrap_or_default();
            let empty = ConfigError::ClientId(TextFault::Empty);
            errors.push(FieldError::new(Field::ClientId, labels.of(Field::ClientId), &empty.into()));
        }
        let mut links = guide.as_ref().map(|guide| guide.links.clone()).unwrap_or_default();
        if id.is_none() {
            links.iter_mut().for_each(remove_query);
        }
        DraftReading {
            name: settings.name.clone(),
            links,
            scopes: guide.as_ref().map(|guide| guide.scopes.clone()).unwrap_or_default(),
            guide: guide.filter(|_| id.is_some()),
            settings: if errors.is_empty() { Ok(settings) } else { Err(errors) },
        }
    }

    /// The settings, without a proposed name, and what is wrong with single fields. The platform and the URLs are not checked here.
    fn settings(&self) -> (IntegrationSettings, FieldErrors) {
        let mut errors = FieldErrors::default();
        let mut wrong = |field, error: ConfigError| errors.push(FieldError::new(field, None, &error.into()));
        let access = self.access.trim().parse::<Access>().map_err(|error| wrong(Field::Access, error)).ok();
        let email_trust = match self.email_trust.trim() {
            "" => Some(EmailTrust::default()),
            text => text.parse().map_err(|error| wrong(Field::EmailTrust, error)).ok(),
        };
        let policy = self.policy().map_err(|(field, error)| wrong(field, error)).ok();
        let timeout = match self.timeout.trim() {
            "" => None,
            text => {
                let seconds = text.parse().ok().filter(|seconds| (1..=60).contains(seconds));
                if seconds.is_none() {
                    errors.push(timeout_error());
                }
                seconds
            }
        };
        let access = access.unwrap_or(Access::SignIn);
        let mut settings = IntegrationSettings::new(&self.platform, self.base_url.trim(), access)
            .with_client_id(self.client_id.trim());
        self.name.trim().clone_into(&mut settings.name);
        settings.api_url = filled(&self.api_url);
        settings.root_certificates = filled(&self.root_certificates);
        settings.timeout_seconds = timeout;
        settings.email_trust = email_trust.unwrap_or_default();
        settings.policy = policy.unwrap_or_default();
        (settings, errors)
    }

    /// The guide. Without an id, it is of use only for what does not depend on the id: links and scopes.
    fn guide(
        &self,
        provider: &dyn OAuthProvider,
        settings: &IntegrationSettings,
        app: &AppConfig,
        id: Option<&IntegrationId>,
    ) -> Result<SetupGuide, ConfigError> {
        let owner = match self.owner.trim() {
            "" => AppOwner::User,
            owner => AppOwner::Group(owner.to_owned()),
        };
        let id = id.cloned().unwrap_or_else(IntegrationId::any);
        let request = SetupRequest::new(app.public_url().clone(), id, &settings.name, settings.access.clone())?;
        guide(provider, request.owner(owner), app)
    }

    /// Keeps the role of each group that is stored, unless the role was changed: the form has one for all groups. `settings` are what
    /// was read from this draft.
    #[cfg(feature = "admin")]
    pub(crate) fn keep_roles(&self, stored: &IntegrationSettings, settings: &mut IntegrationSettings) {
        let before = Self::of(stored);
        if self.least_role.trim() == before.least_role && self.with_subgroups == before.with_subgroups {
            settings.policy = std::mem::take(&mut settings.policy).with_roles_of(&stored.policy);
        }
    }

    fn policy(&self) -> Result<LoginPolicy, (Field, ConfigError)> {
        let mut groups = Vec::new();
        for text in self.groups.lines().map(str::trim).filter(|text| !text.is_empty()) {
            let group = if is_id(text) { Group::id(text) } else { Group::path(text) };
            let mut group = group.map_err(|error| (Field::Groups, error))?;
            if let Some(role) = filled(&self.least_role) {
                group = group.at_least(&role);
            }
            groups.push(if self.with_subgroups { group.with_subgroups() } else { group });
        }
        let mut policy = if groups.is_empty() { LoginPolicy::everyone() } else { LoginPolicy::members_of(groups) };
        if self.two_factor {
            policy = policy.require_two_factor();
        }
        if self.refuse_external {
            policy = policy.refuse_external();
        }
        if self.allow_bots {
            policy = policy.allow_bots();
        }
        let separators = |c: char| c.is_whitespace() || c == ',';
        let domains: Vec<&str> = self.email_domains.split(separators).filter(|text| !text.is_empty()).collect();
        if !domains.is_empty() {
            policy = policy.email_domains(domains).map_err(|error| (Field::EmailDomains, error))?;
        }
        Ok(policy)
    }
}

/// That of a public service, such as "Codeberg", or platform and host name.
fn proposed_name(platform: Platform, base_url: &BaseUrl) -> String {
    let service = platform.services().iter().find(|service| service.base_url == base_url.as_str());
    match service {
        Some(service) => service.name.to_owned(),
        None => format!("{} ({})", platform.name(), base_url.authority()),
    }
}

/// The query fills in the callback URL, which is not known yet.
fn remove_query(link: &mut SetupLink) {
    if let LinkAddress::Url(url) = &mut link.address {
        url.set_query(None);
    }
}

/// A number, or a UUID in braces: no group's path looks like that.
fn is_id(text: &str) -> bool {
    text.starts_with('{') || text.bytes().all(|byte| byte.is_ascii_digit())
}

fn filled(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
