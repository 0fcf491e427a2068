use std::fmt;

use crate::error::AccountError;
use crate::host::IntegrationId;
use crate::web_url::WebUrl;

/// The only thing to key a person's account by: the integration, and the immutable id of the person at the platform.
///
/// A user name or e-mail address can be given up and taken by somebody else; the numeric id 42 exists on every GitLab.
/// So another code host is another integration with another id: if the base URL of an integration comes to lead to another
/// server, the 42 there gets the account of the 42 here. Keep the id only where the same server has moved.
/// [`Display`](fmt::Display) gives a stable text for a database: lower-case ASCII, so no collation can fold two keys
/// into one, and injective.
///
/// ```
/// use codehost_oauth::AccountKey;
///
/// let key = AccountKey::new("demo".parse()?, "gitlab", "42");
/// assert_eq!(key.to_string(), "gitlab:demo:42");
/// assert_ne!(key, AccountKey::new("other".parse()?, "gitlab", "42"));
/// assert_eq!(AccountKey::new("demo".parse()?, "custom", "aB").to_string(), "custom:demo:a.42");
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountKey {
    platform: &'static str,
    integration: IntegrationId,
    subject: Box<str>,
}

impl AccountKey {
    /// The key of the person whose immutable id at the platform is `subject`.
    pub fn new(integration: IntegrationId, platform_id: &'static str, subject: impl Into<Box<str>>) -> Self {
        Self { platform: platform_id, integration, subject: subject.into() }
    }

    /// The integration that the person logged in through.
    pub fn integration(&self) -> &IntegrationId {
        &self.integration
    }

    /// The person's immutable id at the platform: GitLab's number, Bitbucket's UUID in lower case without braces.
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Display for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.platform, self.integration)?;
        for byte in self.subject.bytes() {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' => write!(f, "{}", char::from(byte))?,
                _ => write!(f, ".{byte:02x}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKey({self})")
    }
}

/// A person, as the code host describes them.
#[derive(Clone)]
#[non_exhaustive]
pub struct User {
    /// What to key their account by.
    pub key: AccountKey,
    /// To show, never to identify: it can change and be taken by somebody else.
    pub username: Option<String>,
    /// The name that they chose to show.
    pub display_name: Option<String>,
    /// Their addresses, each with its evidence; see [`trusted_email`](Self::trusted_email).
    pub emails: Vec<Email>,
    /// Whether the list of addresses was longer than the crate reads.
    pub emails_truncated: bool,
    /// Their picture.
    pub avatar_url: Option<WebUrl>,
    /// Their page at the code host.
    pub profile_url: Option<WebUrl>,
    /// Whether the account may be used.
    pub state: UserState,
    /// Whether they use two-factor authentication; `None` if the platform does not say.
    pub two_factor: Option<bool>,
    /// A bot, service account or app rather than a person.
    pub is_bot: bool,
    /// When the account was created, as the platform writes it (RFC 3339).
    pub created_at: Option<String>,
    /// The platform's answer, JSON, for members that this type does not have.
    pub raw: Box<str>,
}

impl User {
    /// An active person of whom nothing is known but the key.
    ///
    /// ```
    /// use codehost_oauth::{AccountKey, User, UserState};
    ///
    /// let user = User::new(AccountKey::new("demo".parse()?, "gitlab", "42"));
    /// assert_eq!(user.state, UserState::Active);
    /// # Ok::<(), codehost_oauth::error::ConfigError>(())
    /// ```
    pub fn new(key: AccountKey) -> Self {
        Self {
            key,
            username: None,
            display_name: None,
            emails: Vec::new(),
            emails_truncated: false,
            avatar_url: None,
            profile_url: None,
            state: UserState::Active,
            two_factor: None,
            is_bot: false,
            created_at: None,
            raw: Box::default(),
        }
    }

    /// The one address that may be used to reach or to recognize the person: primary, and with evidence that `trust`
    /// accepts. `None` if there is none, or more than one that claims to be primary.
    ///
    /// Even a trusted address is no key, and no reason to join two accounts.
    ///
    /// ```
    /// use codehost_oauth::{AccountKey, Email, EmailAuthority, EmailEvidence, EmailTrust, User};
    ///
    /// let mut user = User::new(AccountKey::new("demo".parse()?, "gitlab", "42"));
    /// let email = Email::new("jane@example.com", EmailEvidence::Confirmed, EmailAuthority::SelfManaged, true);
    /// user.emails.extend(email);
    /// // Whoever runs that GitLab can claim any address.
    /// assert_eq!(user.trusted_email(EmailTrust::Vendor), None);
    /// assert_eq!(user.trusted_email(EmailTrust::ThisInstance), Some("jane@example.com"));
    /// # Ok::<(), codehost_oauth::error::ConfigError>(())
    /// ```
    pub fn trusted_email(&self, trust: EmailTrust) -> Option<&str> {
        let mut primary = self.emails.iter().filter(|email| email.primary);
        let (Some(email), None) = (primary.next(), primary.next()) else {
            return None;
        };
        let confirmed = email.evidence == EmailEvidence::Confirmed;
        let trusted = match trust {
            EmailTrust::Vendor => confirmed && email.authority == EmailAuthority::Vendor,
            EmailTrust::ThisInstance => confirmed,
            EmailTrust::WithoutVerification => true,
        };
        trusted.then_some(email.address.as_str())
    }

    /// Refuses accounts that are not an active person's.
    ///
    /// # Errors
    ///
    /// The [`AccountError`] that fits the state.
    pub fn ensure_active_person(&self) -> Result<(), AccountError> {
        match self.state {
            UserState::Active if self.is_bot => Err(AccountError::NotAPerson),
            UserState::Active => Ok(()),
            UserState::Blocked => Err(AccountError::Blocked),
            UserState::Deactivated => Err(AccountError::Deactivated),
            UserState::PendingApproval => Err(AccountError::PendingApproval),
            UserState::Locked => Err(AccountError::Locked),
            UserState::Other => Err(AccountError::NotActive),
        }
    }
}

/// The account key and what this crate found out: no names, links or e-mail addresses, and not [`raw`](User::raw).
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("key", &self.key)
            .field("emails", &self.emails.len())
            .field("state", &self.state)
            .field("is_bot", &self.is_bot)
            .finish_non_exhaustive()
    }
}

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UserState {
    /// It may.
    Active,
    /// Blocked or banned by an administrator.
    Blocked,
    /// Deactivated, by the person or for lack of use.
    Deactivated,
    /// Not approved yet.
    PendingApproval,
    /// Locked after failed sign-ins.
    Locked,
    /// Something else that is not active.
    Other,
}

/// An address that somebody says is the person's.
#[derive(Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Email {
    /// The address.
    pub address: String,
    /// What is known about its ownership.
    pub evidence: EmailEvidence,
    /// Who says so.
    pub authority: EmailAuthority,
    /// Whether it is the account's main address.
    pub primary: bool,
}

impl Email {
    /// `None` for what not every mail system would take as the same one address: more than 254 bytes, not exactly one
    /// `@` with text on both sides, control characters, white space, letters outside ASCII that could pass for others,
    /// marks that divide or wrap addresses (`,` `;` `<` `>` `(` `"`), or a domain that is no host name.
    ///
    /// Source: RFC 5321 sections 4.1.2 and 4.5.3.1, without quoted local parts and address literals.
    ///
    /// ```
    /// use codehost_oauth::{Email, EmailAuthority::Vendor, EmailEvidence::Confirmed};
    ///
    /// assert!(Email::new("jane@example.com", Confirmed, Vendor, true).is_some());
    /// assert!(Email::new("jane@evil.test@example.com", Confirmed, Vendor, true).is_none());
    /// ```
    pub fn new(address: &str, evidence: EmailEvidence, authority: EmailAuthority, primary: bool) -> Option<Self> {
        let (local, domain) = address.split_once('@')?;
        let in_local = |byte: u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+-/=?^_`{|}~".contains(&byte);
        let valid = address.len() <= 254
            && (1..=64).contains(&local.len())
            && local.bytes().all(in_local)
            && !domain.contains('_')
            && crate::base_url::is_host_name(domain);
        valid.then(|| Self { address: address.to_owned(), evidence, authority, primary })
    }
}

/// What is known about the address, and not the address.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Email")
            .field("evidence", &self.evidence)
            .field("authority", &self.authority)
            .field("primary", &self.primary)
            .finish_non_exhaustive()
    }
}

/// What is known about the ownership of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EmailEvidence {
    /// The code host says that the person has confirmed it.
    Confirmed,
    /// The code host says that the person has not.
    Unconfirmed,
    /// The code host does not say.
    Unknown,
}

/// Who vouches for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EmailAuthority {
    /// The vendor's own service, the same for everybody.
    Vendor,
    /// An instance that its owner administers: it can claim any address.
    SelfManaged,
}

/// Whose word about e-mail addresses a host takes, for one integration.
///
/// See [`User::trusted_email`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EmailTrust {
    /// Confirmed addresses of the vendor's own service.
    #[default]
    Vendor,
    /// Also confirmed addresses of this self-managed instance: whoever administers it is trusted like the host.
    ThisInstance,
    /// Also addresses that nobody has confirmed. For a closed instance whose accounts an administrator creates.
    WithoutVerification,
}
