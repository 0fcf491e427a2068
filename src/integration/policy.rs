use std::ops::Not;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{AccountError, ConfigError};
use crate::provider::membership::Group;
use crate::values::email::EmailTrust;
use crate::values::network::is_host_name;
use crate::values::user::User;

/// Who may log in to an integration, with [`IntegrationBuilder::policy`](crate::IntegrationBuilder::policy). A user must meet
/// every rule. What the code host does not say counts as a no, and each refusal has its own
/// [`AccountError`].
///
/// The default lets every active account in that is not a bot: at a public code host that is everyone.
///
/// ```
/// use codehost_oauth::{Group, LoginPolicy};
///
/// let policy = LoginPolicy::members_of([Group::path("acme/tools")?.at_least("developer"), Group::path("acme/ops")?])
///     .require_two_factor()
///     .email_domains(["acme.example"])?;
/// assert_eq!(policy.groups().len(), 2);
/// assert_eq!(LoginPolicy::everyone(), LoginPolicy::default());
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
///
/// As JSON, to store it: each rule is a member, and one that is not set is left out.
///
/// ```
/// use codehost_oauth::{Group, LoginPolicy};
///
/// let policy = LoginPolicy::members_of([Group::path("acme")?]).require_two_factor();
/// let json = serde_json::to_string(&policy)?;
/// assert_eq!(json, r#"{"groups":[{"path":"acme"}],"require_two_factor":true}"#);
/// assert_eq!(serde_json::from_str::<LoginPolicy>(&json)?, policy);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoginPolicy {
    /// `None` lets users in without a group. An empty list is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Box<[Group]>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "read_domains")]
    email_domains: Option<Domains>,
    #[serde(rename = "require_two_factor", skip_serializing_if = "Not::not")]
    needs_two_factor: bool,
    #[serde(rename = "refuse_external", skip_serializing_if = "Not::not")]
    refuses_external: bool,
    #[serde(rename = "allow_bots", skip_serializing_if = "Not::not")]
    allows_bots: bool,
}

impl LoginPolicy {
    /// Every active account that is not a bot.
    pub fn everyone() -> Self {
        Self::default()
    }

    /// Only members of at least one of these groups, at most 20. The memberships are looked up at the same time as the user; on
    /// platforms that need the user for it, after that: one more round trip.
    pub fn members_of(groups: impl IntoIterator<Item = Group>) -> Self {
        Self { groups: Some(groups.into_iter().collect()), ..Self::default() }
    }

    /// Only users with two-factor authentication. GitLab and GitHub say it, GitHub only to tokens with the scope `user`. Where
    /// the code host does not say it, nobody can log in.
    #[must_use]
    pub fn require_two_factor(self) -> Self {
        Self { needs_two_factor: true, ..self }
    }

    /// No external users: accounts of people outside the organization, as a GitLab administrator marks them. Where the code host
    /// does not say it, nobody can log in.
    #[must_use]
    pub fn refuse_external(self) -> Self {
        Self { refuses_external: true, ..self }
    }

    /// Lets bots, service accounts and apps log in too.
    #[must_use]
    pub fn allow_bots(self) -> Self {
        Self { allows_bots: true, ..self }
    }

    /// Only users with an e-mail address at one of these domains. It must be one that the integration
    /// [trusts](crate::IntegrationBuilder::email_trust), but need not be the primary one. Subdomains do not count.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoEmailDomains`] if there is none, [`ConfigError::EmailDomain`] if one is not a host name in ASCII.
    pub fn email_domains<'a>(self, domains: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        let domains: Domains = domains.into_iter().map(|domain| domain.to_ascii_lowercase().into()).collect();
        let is_domain = |domain: &str| domain.contains('.') && !domain.contains('_') && is_host_name(domain);
        if domains.is_empty() {
            return Err(ConfigError::NoEmailDomains);
        }
        if !domains.iter().all(|domain| is_domain(domain)) {
            return Err(ConfigError::EmailDomain);
        }
        Ok(Self { email_domains: Some(domains), ..self })
    }

    /// The groups, one of which the user must be a member of. Empty if none is required.
    pub fn groups(&self) -> &[Group] {
        self.groups.as_deref().unwrap_or_default()
    }

    /// The domains of e-mail addresses, one of which the user must have. Empty if none is required.
    pub fn domains(&self) -> Vec<&str> {
        self.email_domains.iter().flatten().map(|domain| &**domain).collect()
    }

    /// Whether only users with two-factor authentication may log in.
    pub fn needs_two_factor(&self) -> bool {
        self.needs_two_factor
    }

    /// Whether external users may not log in.
    pub fn refuses_external(&self) -> bool {
        self.refuses_external
    }

    /// Whether bots may log in.
    pub fn allows_bots(&self) -> bool {
        self.allows_bots
    }

    /// The same with the role and the subgroups that these groups have in another policy.
    #[cfg(feature = "admin")]
    pub(crate) fn with_roles_of(mut self, other: &Self) -> Self {
        for group in self.groups.iter_mut().flatten() {
            if let Some(known) = other.groups().iter().find(|known| known.as_str() == group.as_str()) {
                group.clone_from(known);
            }
        }
        self
    }

    /// Checks what does not depend on the platform.
    pub(super) fn ensure_valid(&self) -> Result<(), ConfigError> {
        match &self.groups {
            Some(groups) if groups.is_empty() || groups.len() > MAX_GROUPS => Err(ConfigError::GroupCount),
            _ => Ok(()),
        }
    }

    /// Checks everything but the groups.
    pub(super) fn ensure_user(&self, user: &User, trust: EmailTrust) -> Result<(), AccountError> {
        match user.ensure_active_person() {
            Err(AccountError::NotAPerson) if self.allows_bots => {}
            checked => checked?,
        }
        if self.needs_two_factor && !user.two_factor.ok_or(AccountError::TwoFactorUnknown)? {
            return Err(AccountError::TwoFactorRequired);
        }
        if self.refuses_external && user.is_external.ok_or(AccountError::ExternalUnknown)? {
            return Err(AccountError::External);
        }
        self.email_domains.as_ref().map_or(Ok(()), |domains| user.ensure_email_at(domains, trust))
    }
}

type Domains = Box<[Box<str>]>;

/// Checks them, as [`LoginPolicy::email_domains`] does.
fn read_domains<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Domains>, D::Error> {
    let Some(domains) = Option::<Vec<String>>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let checked = LoginPolicy::everyone().email_domains(domains.iter().map(String::as_str));
    Ok(checked.map_err(D::Error::custom)?.email_domains)
}

/// Each is a request at every login.
const MAX_GROUPS: usize = 20;
