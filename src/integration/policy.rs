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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginPolicy {
    /// `None` lets users in without a group. An empty list is an error.
    groups: Option<Box<[Group]>>,
    email_domains: Option<Box<[Box<str>]>>,
    needs_two_factor: bool,
    refuses_external: bool,
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
    /// [`ConfigError::EmailDomain`] if one is not a host name in ASCII, or if there is none.
    pub fn email_domains<'a>(self, domains: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        let domains: Box<[Box<str>]> = domains.into_iter().map(|domain| domain.to_ascii_lowercase().into()).collect();
        let is_domain = |domain: &str| domain.contains('.') && !domain.contains('_') && is_host_name(domain);
        if domains.is_empty() || !domains.iter().all(|domain| is_domain(domain)) {
            return Err(ConfigError::EmailDomain);
        }
        Ok(Self { email_domains: Some(domains), ..self })
    }

    /// The groups, one of which the user must be a member of. Empty if none is required.
    pub fn groups(&self) -> &[Group] {
        self.groups.as_deref().unwrap_or_default()
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

/// Each is a request at every login.
const MAX_GROUPS: usize = 20;
