use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::error::ConfigError;
use crate::util::text::is_invisible;
use crate::values::network::is_host_name;

/// An e-mail address of the user, and what is known about it.
#[derive(Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Email {
    address: Box<str>,
    /// What is known about its ownership.
    pub evidence: EmailEvidence,
    /// Who vouches for it.
    pub authority: EmailAuthority,
    /// Whether it is the account's main address.
    pub primary: bool,
}

impl Email {
    /// `None` unless every mail system reads it as the same single address. Refused: more than 254 bytes, not exactly one
    /// `@` with text on both sides, a local part that is not a dot-string, an encoded word (`=?utf-8?…`), the routing marks
    /// `%` and `!`, marks that divide or wrap addresses (`,` `;` `<` `>` `(` `"`), control characters, white space,
    /// invisible characters, and a domain that is not a host name, such as an IP address.
    ///
    /// A domain outside ASCII becomes its A-label (`xn--…`); nothing else is changed. An address with a local part outside
    /// ASCII is listed but never [trusted](crate::User::trusted_email): its letters may look like others.
    ///
    /// Source: RFC 5321 sections 4.1.2 and 4.5.3.1, without quoted local parts and address literals; RFC 5891 for domains;
    /// RFC 6531 for local parts outside ASCII.
    ///
    /// ```
    /// use codehost_oauth::{Email, EmailAuthority::Platform, EmailEvidence::Confirmed};
    ///
    /// assert!(Email::new("jane@example.com", Confirmed, Platform, true).is_some());
    /// assert!(Email::new("jane@evil.test@example.com", Confirmed, Platform, true).is_none());
    /// let email = Email::new("jane@bücher.example", Confirmed, Platform, true).unwrap();
    /// assert_eq!(email.address(), "jane@xn--bcher-kva.example");
    /// ```
    pub fn new(address: &str, evidence: EmailEvidence, authority: EmailAuthority, primary: bool) -> Option<Self> {
        if address.len() > MAX_ADDRESS {
            return None;
        }
        let (local, domain) = address.split_once('@')?;
        let domain = email_domain(domain)?;
        let address = [local, "@", &*domain].concat();
        (is_local_part(local) && address.len() <= MAX_ADDRESS).then_some(Self {
            address: address.into(),
            evidence,
            authority,
            primary,
        })
    }

    /// The address.
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// Shows what is known about the address, and not the address.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EmailEvidence {
    /// The code host says that the user has confirmed it.
    Confirmed,
    /// The code host says that the user has not.
    Unconfirmed,
    /// The code host does not say.
    Unknown,
}

impl EmailEvidence {
    /// By what the code host says; `None` if it does not say.
    pub(crate) fn by_code_host(is_confirmed: Option<bool>) -> Self {
        match is_confirmed {
            Some(true) => Self::Confirmed,
            Some(false) => Self::Unconfirmed,
            None => Self::Unknown,
        }
    }
}

/// Who vouches for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EmailAuthority {
    /// The platform's own service, the same for everyone, such as GitLab.com.
    Platform,
    /// An instance that its owner administers: it can claim any address.
    SelfManaged,
}

/// Which e-mail addresses an app trusts, for one integration; see [`User::trusted_email`](crate::User::trusted_email).
///
/// As a text, for a form, a setting or a table, it is `platform`, `this-instance` or `without-verification`:
///
/// ```
/// use codehost_oauth::EmailTrust;
///
/// assert_eq!("this-instance".parse::<EmailTrust>()?, EmailTrust::ThisInstance);
/// assert_eq!(EmailTrust::default().to_string(), "platform");
/// assert_eq!("everybody".parse::<EmailTrust>().unwrap_err().code(), "email_trust");
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EmailTrust {
    /// Confirmed addresses of the platform's own service, such as GitLab.com.
    #[default]
    Platform,
    /// Also confirmed addresses of this self-managed instance: its administrators are trusted like the app.
    ThisInstance,
    /// Also addresses that were not confirmed. For a closed instance whose accounts an administrator creates.
    WithoutVerification,
}

impl EmailTrust {
    fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::ThisInstance => "this-instance",
            Self::WithoutVerification => "without-verification",
        }
    }
}

impl FromStr for EmailTrust {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Platform, Self::ThisInstance, Self::WithoutVerification];
        all.into_iter().find(|trust| trust.as_str() == text).ok_or(ConfigError::EmailTrust)
    }
}

impl fmt::Display for EmailTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const MAX_ADDRESS: usize = 254;

/// A dot-string: words of letters, digits and marks with single dots between them.
fn is_local_part(local: &str) -> bool {
    let mark = |c: char| "#$&'*+-/=?^_`{|}~".contains(c);
    let allowed = |c: char| c.is_ascii_alphanumeric() || mark(c) || is_plain_letter(c);
    let is_word = |word: &str| !word.is_empty() && word.chars().all(allowed);
    // An encoded word (RFC 2047) is another address for a program that decodes it.
    let is_encoded = local.contains("=?") || local.contains("?=");
    (1..=64).contains(&local.len()) && local.split('.').all(is_word) && !is_encoded
}

/// The domain in ASCII; `None` unless it is a host name. The URL parser recognizes IP addresses in every notation.
fn email_domain(domain: &str) -> Option<Cow<'_, str>> {
    // A parser also repairs text, so characters that it would remove or replace are refused first.
    if !domain.chars().all(|c| c.is_ascii() || is_plain_letter(c)) || domain.contains(['_', '%']) {
        return None;
    }
    let Ok(url::Host::Domain(name)) = url::Host::parse(domain) else { return None };
    let domain = if domain.is_ascii() { Cow::Borrowed(domain) } else { Cow::Owned(name) };
    is_host_name(&domain).then_some(domain)
}

/// A visible character outside ASCII that is not another form of an ASCII one (U+FF20 looks like `@`).
fn is_plain_letter(c: char) -> bool {
    let other_form = matches!(c, '\u{3002}' | '\u{FE00}'..='\u{FE0F}' | '\u{FE50}'..='\u{FE6F}' | '\u{FF00}'..='\u{FFEF}'
        | '\u{E0100}'..='\u{E01EF}' | '\u{34F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{3164}' | '\u{FFFD}');
    !c.is_ascii() && !c.is_control() && !c.is_whitespace() && !is_invisible(c) && !other_form
}
