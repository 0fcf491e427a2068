use std::fmt;

#[cfg(feature = "admin")]
use crate::error::TextFault;
use crate::error::{Advice, ConfigError, Error};
#[cfg(feature = "admin")]
use crate::provider::setup::SetupGuide;
use crate::util::text::sentence;

/// A field of an integration's form, by its stable name: the name of the form's field and of the JSON member.
///
/// ```
/// use codehost_oauth::settings::Field;
///
/// assert_eq!(Field::BaseUrl.as_str(), "base_url");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Field {
    /// The platform.
    Platform,
    /// The base URL.
    BaseUrl,
    /// The integration's name.
    Name,
    /// Where the app reaches the code host, if not at the base URL.
    ApiUrl,
    /// What the tokens are for.
    Access,
    /// The client id.
    ClientId,
    /// The client secret.
    ClientSecret,
    /// The certificates of the code host's own authority.
    RootCertificates,
    /// The client certificate with its key.
    ClientCertificate,
    /// The headers that an access gateway demands.
    Headers,
    /// The time limit of a request.
    Timeout,
    /// Which e-mail addresses to trust.
    EmailTrust,
    /// The groups, one of which a user must be a member of.
    Groups,
    /// The lowest role in such a group.
    LeastRole,
    /// The domains, at one of which a user must have an e-mail address.
    EmailDomains,
}

impl Field {
    /// The name: lower case, with underscores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::BaseUrl => "base_url",
            Self::Name => "name",
            Self::ApiUrl => "api_url",
            Self::Access => "access",
            Self::ClientId => "client_id",
            Self::ClientSecret => "client_secret",
            Self::RootCertificates => "root_certificates",
            Self::ClientCertificate => "client_certificate",
            Self::Headers => "headers",
            Self::Timeout => "timeout",
            Self::EmailTrust => "email_trust",
            Self::Groups => "groups",
            Self::LeastRole => "least_role",
            Self::EmailDomains => "email_domains",
        }
    }

    /// The label, where the platform has none of its own.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Platform => "Platform",
            Self::BaseUrl => "Base URL",
            Self::Name => "Name",
            Self::ApiUrl => "API URL",
            Self::Access => "Access",
            Self::ClientId => "Client ID",
            Self::ClientSecret => "Client secret",
            Self::RootCertificates => "Certificate authority",
            Self::ClientCertificate => "Client certificate",
            Self::Headers => "Headers",
            Self::Timeout => "Time-out",
            Self::EmailTrust => "Trusted e-mail addresses",
            Self::Groups => "Groups",
            Self::LeastRole => "Lowest role",
            Self::EmailDomains => "E-mail domains",
        }
    }

    /// The field that a setting's error is about.
    pub(super) fn of(error: &ConfigError) -> Self {
        match error {
            ConfigError::Platform { .. } => Self::Platform,
            ConfigError::NoScopes
            | ConfigError::Access
            | ConfigError::Scope(_)
            | ConfigError::UnknownScope { .. }
            | ConfigError::UnlimitedScopes { .. }
            | ConfigError::UserScope { .. }
            | ConfigError::GroupScope { .. } => Self::Access,
            ConfigError::ClientId(_) => Self::ClientId,
            ConfigError::ClientSecret(_) | ConfigError::SecretPlaceholder { .. } => Self::ClientSecret,
            ConfigError::NoCertificate | ConfigError::InvalidCertificate | ConfigError::CertificatesNotSupported => {
                Self::RootCertificates
            }
            ConfigError::NoClientCertificate
            | ConfigError::InvalidClientCertificate
            | ConfigError::ClientCertificateExpired
            | ConfigError::ClientKey
            | ConfigError::ClientKeyEncrypted
            | ConfigError::ClientKeyPassword
            | ConfigError::ClientKeyMismatch => Self::ClientCertificate,
            ConfigError::HeaderName { .. } | ConfigError::HeaderValue { .. } | ConfigError::HeaderReserved { .. } => {
                Self::Headers
            }
            ConfigError::EmailTrust => Self::EmailTrust,
            ConfigError::Group { .. } | ConfigError::GroupCount | ConfigError::NoSubgroups | ConfigError::NoGroups => {
                Self::Groups
            }
            ConfigError::Role { .. } => Self::LeastRole,
            ConfigError::NoEmailDomains | ConfigError::EmailDomain => Self::EmailDomains,
            _ => Self::Name,
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is wrong with one field of an integration's form. It contains nothing that was typed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct FieldError {
    /// The field.
    pub field: Field,
    /// The field's label, for the client id and secret in the platform's own words: "Application ID" at GitLab.
    pub label: String,
    /// A stable code, such as `base_url_scheme`.
    pub code: &'static str,
    /// What is wrong, as a sentence.
    pub message: String,
    /// What the administrator must do.
    pub hint: String,
}

impl FieldError {
    /// `label`: the platform's own, if there is one. Messages about id and secret name it too.
    pub(super) fn new(field: Field, label: Option<&str>, error: &Error) -> Self {
        let Advice { code, hint, .. } = error.advice();
        let label = label.unwrap_or(field.label()).to_owned();
        let (message, hint) = match error {
            Error::Config(ConfigError::ClientId(fault) | ConfigError::ClientSecret(fault)) => (
                format!("The {label} {fault}."),
                format!("Copy the {label} from the page of the OAuth application again, and nothing else."),
            ),
            error => (sentence(&error.to_string()), hint.into_owned()),
        };
        Self { field, label, code, message, hint }
    }

    pub(crate) fn say(field: Field, label: Option<&str>, code: &'static str, message: &str, hint: &str) -> Self {
        let label = label.unwrap_or(field.label()).to_owned();
        Self { field, label, code, message: message.to_owned(), hint: hint.to_owned() }
    }
}

/// What is wrong with an integration's settings: at least one field.
///
/// ```
/// use codehost_oauth::settings::{AppConfig, Draft, Field};
/// # use codehost_oauth::transport::{HttpClient, Network};
/// # let http = HttpClient::builder(Network::public_only()).build()?;
/// # let app = AppConfig::new("https://packages.example.com".parse()?, http);
///
/// let mut draft = Draft::default();
/// draft.platform = "gitlab".to_owned();
/// draft.base_url = "git.example".to_owned();
/// let errors = draft.read(&app, None).settings.unwrap_err();
/// assert!(errors.of(Field::BaseUrl).is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// The errors, in the order of the form.
    pub fn iter(&self) -> std::slice::Iter<'_, FieldError> {
        self.0.iter()
    }

    /// The error of this field.
    pub fn of(&self, field: Field) -> Option<&FieldError> {
        self.0.iter().find(|error| error.field == field)
    }

    /// The client secret is missing. `is_other_url`: there is one, which belongs to another base URL.
    #[cfg(feature = "admin")]
    pub(crate) fn push_missing_secret(&mut self, guide: Option<&SetupGuide>, is_other_url: bool) {
        let label = guide.and_then(|guide| guide.credentials.first()).map(|labels| labels.secret.as_str());
        self.push(if is_other_url {
            let hint = "Enter the secret again. The stored one belongs to the old URL and is never sent to another.";
            FieldError::say(Field::ClientSecret, label, "secret_of_other_url", "The base URL has changed.", hint)
        } else {
            FieldError::new(Field::ClientSecret, label, &ConfigError::ClientSecret(TextFault::Empty).into())
        });
    }

    pub(super) fn one(error: FieldError) -> Self {
        Self(vec![error])
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an error, unless the field has one already.
    pub(crate) fn push(&mut self, error: FieldError) {
        if self.of(error.field).is_none() {
            self.0.push(error);
            self.0.sort_by_key(|error| error.field);
        }
    }

    pub(crate) fn extend(&mut self, others: Self) {
        others.0.into_iter().for_each(|error| self.push(error));
    }
}

impl<'a> IntoIterator for &'a FieldErrors {
    type Item = &'a FieldError;
    type IntoIter = std::slice::Iter<'a, FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, FieldError { label, message, hint, .. }) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { " " };
            write!(f, "{separator}{label}: {message} {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for FieldErrors {}
