use std::fmt;

use crate::error::AccountError;
use crate::util::text::display_text;
use crate::values::account_key::AccountKey;
use crate::values::email::{Email, EmailAuthority, EmailEvidence, EmailTrust};
use crate::values::web_url::WebUrl;

/// A user, as the code host describes them.
#[derive(Clone)]
#[non_exhaustive]
pub struct User {
    /// The key to store the user by.
    pub key: AccountKey,
    /// For display only: it can change, and another user can take it.
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
    /// Whether an administrator of the code host has marked the account as one of another organization; `None` if the platform
    /// does not say.
    pub is_external: Option<bool>,
    /// Whether it is a bot, a service account or an app.
    pub is_bot: bool,
    /// When the account was created, as the platform writes it (RFC 3339).
    pub created_at: Option<String>,
    /// The platform's response, JSON, for members that this type does not have.
    pub raw: Box<str>,
}

impl User {
    /// An active user with a key and nothing else.
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
            is_external: None,
            is_bot: false,
            created_at: None,
            raw: Box::default(),
        }
    }

    /// The same user with display texts that have no control characters and at most 512 characters, whatever the provider wrote.
    pub(crate) fn checked(mut self) -> Self {
        self.username = self.username.and_then(display_text);
        self.display_name = self.display_name.and_then(display_text);
        self.created_at = self.created_at.and_then(display_text);
        self
    }

    /// The one address that may be used to reach or to recognize the user: primary, and with evidence that `trust`
    /// accepts. `None` if there is none, or more than one that claims to be primary;
    /// [`require_trusted_email`](Self::require_trusted_email) tells why.
    ///
    /// Do not store users by it, and do not join two accounts because of it, even if it is trusted.
    ///
    /// ```
    /// use codehost_oauth::{AccountKey, Email, EmailAuthority, EmailEvidence, EmailTrust, User};
    ///
    /// let mut user = User::new(AccountKey::new("demo".parse()?, "gitlab", "42"));
    /// let email = Email::new("jane@example.com", EmailEvidence::Confirmed, EmailAuthority::SelfManaged, true);
    /// user.emails.extend(email);
    /// // The operator of that GitLab can claim any address.
    /// assert_eq!(user.trusted_email(EmailTrust::Platform), None);
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
    /// let why = |user: &User| user.require_trusted_email(EmailTrust::Platform).unwrap_err().code();
    /// assert_eq!(why(&user), "emails_incomplete");
    /// let email = Email::new("jané@example.com", EmailEvidence::Confirmed, EmailAuthority::Platform, true);
    /// user.emails.extend(email);
    /// assert_eq!(why(&user), "email_not_ascii");
    /// # Ok::<(), codehost_oauth::error::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`AccountError::EmailsIncomplete`] and [`AccountError::EmailScope`] if no primary address is known since the list
    /// is not complete; [`AccountError::EmailNotAscii`] for one that is never trusted; [`AccountError::EmailNotTrusted`] if
    /// the code host confirms the address and `trust` does not accept that; [`AccountError::EmailEvidenceUnknown`] if the
    /// code host does not say whether it is confirmed; [`AccountError::NoTrustedEmail`] if the user must confirm one.
    pub fn require_trusted_email(&self, trust: EmailTrust) -> Result<&str, AccountError> {
        let mut primary = self.emails.iter().filter(|email| email.primary);
        let email = match (primary.next(), primary.next(), self.email_list) {
            (Some(email), None, _) => email,
            (None, _, EmailList::Incomplete) => return Err(AccountError::EmailsIncomplete),
            (None, _, EmailList::NotPermitted) => return Err(AccountError::EmailScope),
            (None, _, EmailList::Complete) | (Some(_), Some(_), _) => return Err(AccountError::NoTrustedEmail),
        };
        if !email.address().is_ascii() {
            return Err(AccountError::EmailNotAscii);
        }
        ensure_trusted(email, trust)?;
        Ok(email.address())
    }

    /// Refuses accounts of which no trusted address, primary or not, is at one of these domains, which are in lower case. The
    /// error tells whether the user can do something about it.
    pub(crate) fn ensure_email_at(&self, domains: &[Box<str>], trust: EmailTrust) -> Result<(), AccountError> {
        let is_at = |email: &&Email| {
            let domain = email.address().rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
            email.address().is_ascii() && domains.iter().any(|accepted| **accepted == *domain)
        };
        let mut refusal = match self.email_list {
            EmailList::Complete => AccountError::EmailDomain,
            EmailList::Incomplete => AccountError::EmailsIncomplete,
            EmailList::NotPermitted => AccountError::EmailScope,
        };
        for email in self.emails.iter().filter(is_at) {
            match ensure_trusted(email, trust) {
                Ok(()) => return Ok(()),
                // Another address may be confirmed, so the error stays that of the list.
                Err(AccountError::NoTrustedEmail) => {}
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    /// Refuses accounts that are not an active user's.
    ///
    /// # Errors
    ///
    /// The [`AccountError`] that fits the state.
    pub fn ensure_active_person(&self) -> Result<(), AccountError> {
        match self.state {
            UserState::Active | UserState::Unknown if self.is_bot => Err(AccountError::NotAPerson),
            UserState::Active | UserState::Unknown => Ok(()),
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
            .field("email_list", &self.email_list)
            .field("state", &self.state)
            .field("is_bot", &self.is_bot)
            .finish_non_exhaustive()
    }
}

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UserState {
    /// It can be used. Also if the platform sends no state, where refused users get an error instead.
    Active,
    /// Blocked or banned by an administrator.
    Blocked,
    /// Deactivated, by the user or for lack of use.
    Deactivated,
    /// Not approved yet.
    PendingApproval,
    /// Locked after failed sign-ins.
    Locked,
    /// Something else that is not active.
    Other,
    /// The provider cannot know it, because it only reads an ID token. Users of this state may log in: a provider has it only where
    /// blocked users get no tokens.
    Unknown,
}

/// Whether all of a user's addresses are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EmailList {
    /// All addresses that the code host knows.
    Complete,
    /// There may be more: the code host did not give them, not all of them, or more than the crate reads.
    Incomplete,
    /// The OAuth application lacks the scope.
    NotPermitted,
}

/// Checks the evidence and the authority of an address.
fn ensure_trusted(email: &Email, trust: EmailTrust) -> Result<(), AccountError> {
    match (trust, email.evidence, email.authority) {
        (EmailTrust::WithoutVerification, ..) | (_, EmailEvidence::Confirmed, EmailAuthority::Platform) => Ok(()),
        (EmailTrust::ThisInstance, EmailEvidence::Confirmed, EmailAuthority::SelfManaged) => Ok(()),
        (EmailTrust::Platform, EmailEvidence::Confirmed, EmailAuthority::SelfManaged) => {
            Err(AccountError::EmailNotTrusted)
        }
        (_, EmailEvidence::Unconfirmed, _) => Err(AccountError::NoTrustedEmail),
        (_, EmailEvidence::Unknown, _) => Err(AccountError::EmailEvidenceUnknown),
    }
}
