use std::borrow::Cow;
use std::fmt;

use crate::base_url::is_host_name;
use crate::error::{AccountError, is_invisible};
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
    /// Whether these are all of their addresses.
    pub email_list: EmailList,
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
            email_list: EmailList::Complete,
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
    /// accepts. `None` if there is none, or more than one that claims to be primary;
    /// [`require_trusted_email`](Self::require_trusted_email) tells why.
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
        self.require_trusted_email(trust).ok()
    }

    /// The same, for apps that need an address.
    ///
    /// ```
    /// use codehost_oauth::{AccountKey, Email, EmailAuthority, EmailEvidence, EmailList, EmailTrust, User};
    ///
    /// let mut user = User::new(AccountKey::new("demo".parse()?, "bitbucket-cloud", "42"));
    /// user.email_list = EmailList::Incomplete;
    /// let why = |user: &User| user.require_trusted_email(EmailTrust::Vendor).unwrap_err().code();
    /// assert_eq!(why(&user), "emails_incomplete");
    /// let email = Email::new("jané@example.com", EmailEvidence::Confirmed, EmailAuthority::Vendor, true);
    /// user.emails.extend(email);
    /// assert_eq!(why(&user), "email_not_ascii");
    /// # Ok::<(), codehost_oauth::error::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`AccountError::EmailsIncomplete`] and [`AccountError::EmailScope`] if no primary address is known since the list
    /// is not complete; [`AccountError::EmailNotAscii`] for one that is never trusted; [`AccountError::EmailNotTrusted`] if
    /// the code host confirms the address and `trust` does not take its word; [`AccountError::NoTrustedEmail`] if the
    /// person must confirm one.
    pub fn require_trusted_email(&self, trust: EmailTrust) -> Result<&str, AccountError> {
        let mut primary = self.emails.iter().filter(|email| email.primary);
        let email = match (primary.next(), primary.next(), self.email_list) {
            (Some(email), None, _) => email,
            (None, _, EmailList::Incomplete) => return Err(AccountError::EmailsIncomplete),
            (None, _, EmailList::NotPermitted) => return Err(AccountError::EmailScope),
            (None, _, EmailList::Complete) | (Some(_), Some(_), _) => return Err(AccountError::NoTrustedEmail),
        };
        if !email.address.is_ascii() {
            return Err(AccountError::EmailNotAscii);
        }
        let confirmed = email.evidence == EmailEvidence::Confirmed;
        let vendor = email.authority == EmailAuthority::Vendor;
        match trust {
            EmailTrust::Vendor if confirmed && !vendor => Err(AccountError::EmailNotTrusted),
            EmailTrust::Vendor | EmailTrust::ThisInstance if !confirmed => Err(AccountError::NoTrustedEmail),
            EmailTrust::Vendor | EmailTrust::ThisInstance | EmailTrust::WithoutVerification => Ok(&email.address),
        }
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

/// What this crate has made of the answer: neither names, which are whatever somebody typed, nor [`raw`](User::raw).
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("key", &self.key)
            .field("emails", &self.emails)
            .field("email_list", &self.email_list)
            .field("state", &self.state)
            .field("two_factor", &self.two_factor)
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

/// Whether all of a person's addresses are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EmailList {
    /// Every address that the code host tells.
    Complete,
    /// There may be more: the code host did not give them, not all of them, or more than the crate reads.
    Incomplete,
    /// The OAuth application lacks the scope.
    NotPermitted,
}

/// An address that somebody says is the person's.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
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
    /// `@` with text on both sides, a local part that is no dot-string, an encoded word (`=?utf-8?…`), the routing marks
    /// `%` and `!`, marks that divide or wrap addresses (`,` `;` `<` `>` `(` `"`), control characters, white space,
    /// characters that nobody sees, or a domain that is no host name, such as an IP address.
    ///
    /// A domain outside ASCII becomes its A-label (`xn--…`); nothing else is changed. An address with a local part outside
    /// ASCII is taken, to be listed, and never [trusted](User::trusted_email): its letters could pass for others.
    ///
    /// Source: RFC 5321 sections 4.1.2 and 4.5.3.1, without quoted local parts and address literals; RFC 5891 for domains;
    /// RFC 6531 for local parts outside ASCII.
    ///
    /// ```
    /// use codehost_oauth::{Email, EmailAuthority::Vendor, EmailEvidence::Confirmed};
    ///
    /// assert!(Email::new("jane@example.com", Confirmed, Vendor, true).is_some());
    /// assert!(Email::new("jane@evil.test@example.com", Confirmed, Vendor, true).is_none());
    /// let email = Email::new("jane@bücher.example", Confirmed, Vendor, true).unwrap();
    /// assert_eq!(email.address, "jane@xn--bcher-kva.example");
    /// ```
    pub fn new(address: &str, evidence: EmailEvidence, authority: EmailAuthority, primary: bool) -> Option<Self> {
        if address.len() > MAX_ADDRESS {
            return None;
        }
        let (local, domain) = address.split_once('@')?;
        let domain = email_domain(domain)?;
        let address = [local, "@", &*domain].concat();
        (is_local_part(local) && address.len() <= MAX_ADDRESS).then_some(Self { address, evidence, authority, primary })
    }
}

const MAX_ADDRESS: usize = 254;

/// A dot-string: words of letters, digits and marks with single dots between them.
fn is_local_part(local: &str) -> bool {
    let mark = |c: char| "#$&'*+-/=?^_`{|}~".contains(c);
    let allowed = |c: char| c.is_ascii_alphanumeric() || mark(c) || is_plain_letter(c);
    let is_word = |word: &str| !word.is_empty() && word.chars().all(allowed);
    // An encoded word (RFC 2047) is another address to whoever decodes it.
    let is_encoded = local.contains("=?") || local.contains("?=");
    (1..=64).contains(&local.len()) && local.split('.').all(is_word) && !is_encoded
}

/// The domain in ASCII, where it is a host name. A parser of URLs finds the addresses among the names, in every notation.
fn email_domain(domain: &str) -> Option<Cow<'_, str>> {
    // Parsers also repair: what they would drop or replace is refused before.
    if !domain.chars().all(|c| c.is_ascii() || is_plain_letter(c)) || domain.contains(['_', '%']) {
        return None;
    }
    let Ok(url::Host::Domain(name)) = url::Host::parse(domain) else { return None };
    let domain = if domain.is_ascii() { Cow::Borrowed(domain) } else { Cow::Owned(name) };
    is_host_name(&domain).then_some(domain)
}

/// A character outside ASCII that is seen, and is no other form of an ASCII one (U+FF20 looks like `@`).
fn is_plain_letter(c: char) -> bool {
    let other_form = matches!(c, '\u{3002}' | '\u{FE00}'..='\u{FE0F}' | '\u{FE50}'..='\u{FE6F}' | '\u{FF00}'..='\u{FFEF}'
        | '\u{E0100}'..='\u{E01EF}' | '\u{34F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{3164}' | '\u{FFFD}');
    !c.is_ascii() && !c.is_control() && !c.is_whitespace() && !is_invisible(c) && !other_form
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
