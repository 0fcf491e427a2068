use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::app_config::AppConfig;
use super::field::{Field, FieldError, FieldErrors};
use super::secrets::IntegrationSecrets;
use crate::error::ConfigError;
use crate::integration::{Integration, IntegrationConfig, LoginPolicy};
use crate::provider::oauth_provider::OAuthProvider;
use crate::provider::platform::Platform;
use crate::provider::setup::{SetupCredentials, SetupGuide, SetupRequest};
use crate::transport::{ClientCertificate, FixedHeaders, HttpClient};
use crate::values::access::Access;
use crate::values::base_url::BaseUrl;
use crate::values::email::EmailTrust;
use crate::values::integration_id::IntegrationId;

/// The settings of an integration as data, to store as JSON: everything but its id and its
/// [secrets](IntegrationSecrets).
///
/// The JSON has a version, and settings of another version are refused: a node that was not updated yet cannot overwrite what it
/// does not know.
///
/// ```
/// use codehost_oauth::settings::{AppConfig, IntegrationSecrets, IntegrationSettings};
/// use codehost_oauth::transport::{HttpClient, Network};
/// use codehost_oauth::Access;
///
/// let http = HttpClient::builder(Network::public_only()).build()?;
/// let app = AppConfig::new("https://packages.example.com".parse()?, http);
/// let settings = IntegrationSettings::new("gitlab", "https://git.example.com", Access::SignIn).named("Our GitLab").with_client_id("app-id");
///
/// let json = serde_json::to_string(&settings)?;
/// assert!(json.starts_with(r#"{"version":1,"platform":"gitlab""#));
/// let settings: IntegrationSettings = serde_json::from_str(&json)?;
/// let integration = settings.build(&"demo".parse()?, &IntegrationSecrets::new("s3cr3t"), &app)?;
/// assert_eq!(integration.login_link().label, "Log in with Our GitLab");
///
/// let errors = settings.build(&"demo".parse()?, &IntegrationSecrets::new(""), &app).unwrap_err();
/// assert!(errors.to_string().starts_with("Secret: The Secret is empty. Copy the Secret"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IntegrationSettings {
    version: Version,
    /// The platform's id.
    pub platform: String,
    /// The base URL of the code host.
    pub base_url: String,
    /// The name to show to users.
    pub name: String,
    /// Where the app reaches the code host, if not at the base URL. Only the operator of the app may set it: see
    /// [`Platform::provider_with_api_url`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_url: Option<String>,
    /// What the tokens are for.
    pub access: Access,
    /// The client id of the OAuth application.
    pub client_id: String,
    /// Certificates in PEM format that are trusted for this code host only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_certificates: Option<String>,
    /// The time limit of a request in seconds, 1 to 60; the app's own unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// Which e-mail addresses to trust. Only the operator of the app may set it: a tenant's server could claim any address.
    #[serde(default)]
    pub email_trust: EmailTrust,
    /// Who may log in.
    #[serde(default)]
    pub policy: LoginPolicy,
    /// The base URLs at which the same server was before. Tokens from there stay valid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_base_urls: Vec<String>,
    /// Only for proposed settings: see [`Proposal::is_by_operator`](super::Proposal::is_by_operator). It is a part of the JSON, so
    /// every store keeps it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_proposed_by_operator: bool,
}

impl IntegrationSettings {
    /// Settings with the defaults for everything else. Name and client ID are still missing.
    pub fn new(platform: &str, base_url: &str, access: Access) -> Self {
        Self {
            version: Version(VERSION),
            platform: platform.to_owned(),
            base_url: base_url.to_owned(),
            name: String::new(),
            api_url: None,
            access,
            client_id: String::new(),
            root_certificates: None,
            timeout_seconds: None,
            email_trust: EmailTrust::default(),
            policy: LoginPolicy::everyone(),
            former_base_urls: Vec::new(),
            is_proposed_by_operator: false,
        }
    }

    /// The name that users see: `Log in with NAME`.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// The ID of the OAuth application. Its secret is in [`IntegrationSecrets`](super::IntegrationSecrets).
    #[must_use]
    pub fn with_client_id(self, client_id: &str) -> Self {
        Self { client_id: client_id.to_owned(), ..self }
    }

    /// Reads settings that were stored as JSON.
    ///
    /// # Errors
    ///
    /// [`UnreadableSettings`], which quotes nothing.
    pub fn from_json(json: &str) -> Result<Self, UnreadableSettings> {
        // serde's own messages quote values.
        serde_json::from_str(json).map_err(|_| match serde_json::from_str::<AnyVersion>(json) {
            Ok(AnyVersion { version }) if version != u32::from(VERSION) => {
                UnreadableSettings::Version { found: version }
            }
            _ => UnreadableSettings::Malformed,
        })
    }

    /// Whether their JSON could be read again.
    ///
    /// # Errors
    ///
    /// [`UnreadableSettings::Version`].
    pub(super) fn ensure_known_version(&self) -> Result<(), UnreadableSettings> {
        match self.version {
            Version(VERSION) => Ok(()),
            Version(found) => Err(UnreadableSettings::Version { found: found.into() }),
        }
    }

    /// The same as a later version of this crate would write them.
    #[cfg(feature = "testing")]
    pub(crate) fn of_later_version(self) -> Self {
        Self { version: Version(u8::MAX), ..self }
    }

    /// Builds the integration. Sends nothing.
    ///
    /// # Errors
    ///
    /// An error for each field that is wrong.
    pub fn build(
        &self,
        id: &IntegrationId,
        secrets: &IntegrationSecrets,
        app: &AppConfig,
    ) -> Result<Integration, FieldErrors> {
        let (platform, provider) = self.provider(app)?;
        let mut errors = FieldErrors::default();
        let labels = labels(&*provider, id, app);
        let http = self.http(provider.base_url(), secrets, app, &mut errors);
        let config = IntegrationConfig {
            id: id.clone(),
            name: self.name.clone(),
            public_url: app.public_url().clone(),
            client_id: self.client_id.clone(),
            client_secret: secrets.client_secret.to_string(),
            access: self.access.clone(),
        };
        // Each may be wrong, and `build` reports the first only.
        for (field, label, error) in self.credential_errors(&*provider, &labels, secrets) {
            errors.push(FieldError::new(field, label, &error.into()));
        }
        let Some(http) = http else { return Err(errors) };
        let builder = Integration::builder(provider, http, config)
            .email_trust(self.email_trust)
            .policy(self.policy.clone())
            .former_base_urls(self.former_base_urls.iter().map(String::as_str));
        match app.set_paths(builder, platform, id).build() {
            Ok(integration) if errors.is_empty() => return Ok(integration),
            Ok(_) => {}
            Err(error) => {
                let field = Field::of(&error);
                errors.push(FieldError::new(field, labels.of(field), &error.into()));
            }
        }
        Err(errors)
    }

    /// The platform and the provider.
    pub(super) fn provider(&self, app: &AppConfig) -> Result<(Platform, Arc<dyn OAuthProvider>), FieldErrors> {
        let mut errors = FieldErrors::default();
        let platform = app.platform(&self.platform);
        let api_url = self.api_url.as_deref().filter(|url| !url.trim().is_empty());
        let api_url = api_url.map(|url| BaseUrl::parse(url.trim(), app.http().network())).transpose();
        if let Err(error) = &api_url {
            errors.push(FieldError::new(Field::ApiUrl, None, &error.clone().into()));
        }
        let platform = match platform {
            Ok(platform) => platform,
            Err(error) => {
                errors.push(FieldError::new(Field::Platform, None, &error.into()));
                return Err(errors);
            }
        };
        match app.provider(platform, &self.base_url, api_url.ok().flatten()) {
            Ok(provider) if errors.is_empty() => Ok((platform, provider)),
            Ok(_) => Err(errors),
            Err(error) => {
                errors.push(FieldError::new(Field::BaseUrl, None, &error));
                Err(errors)
            }
        }
    }

    fn http(
        &self,
        base_url: &BaseUrl,
        secrets: &IntegrationSecrets,
        app: &AppConfig,
        errors: &mut FieldErrors,
    ) -> Option<HttpClient> {
        self.ensure_short(secrets, errors);
        let mut wrong = |field, error: ConfigError| errors.push(FieldError::new(field, None, &error.into()));
        let mut http = app.http_for(base_url).map_err(|error| wrong(Field::BaseUrl, error)).ok()?;
        if let Some(pem) = &self.root_certificates {
            http =
                http.with_root_certificates(pem).map_err(|error| wrong(Field::RootCertificates, error)).unwrap_or(http);
        }
        if let Some(pem) = &secrets.client_certificate {
            let added = ClientCertificate::from_pem(pem, pem).and_then(|one| http.with_client_certificate(one));
            http = added.map_err(|error| wrong(Field::ClientCertificate, error)).unwrap_or(http);
        }
        if let Some(lines) = &secrets.headers {
            let pairs = lines.lines().filter(|line| !line.trim().is_empty());
            let pairs = pairs.map(|line| line.split_once(':').unwrap_or((line, "")));
            match FixedHeaders::new(base_url, pairs.map(|(name, value)| (name.trim(), value.trim()))) {
                Ok(headers) => http = http.with_headers(headers),
                Err(error) => wrong(Field::Headers, error),
            }
        }
        match self.timeout_seconds {
            Some(0) | Some(61..) => errors.push(timeout_error()),
            Some(seconds) => http = http.with_timeout(Some(Duration::from_secs(seconds.into()))),
            None => {}
        }
        Some(http)
    }

    /// Limits what a tenant can store.
    fn ensure_short(&self, secrets: &IntegrationSecrets, errors: &mut FieldErrors) {
        let length = |secret: &Option<Zeroizing<String>>| secret.as_ref().map_or(0, |text| text.len());
        for (field, length, limit) in [
            (Field::RootCertificates, self.root_certificates.as_ref().map_or(0, String::len), MAX_CERTIFICATES),
            (Field::ClientCertificate, length(&secrets.client_certificate), MAX_CERTIFICATES),
            (Field::Headers, length(&secrets.headers), MAX_HEADERS),
        ] {
            if length > limit {
                let message = format!("The text is longer than {limit} bytes.");
                let hint = "Enter only what the code host needs.";
                errors.push(FieldError::say(field, None, "text_too_long", &message, hint));
            }
        }
        if self.policy.domains().len() > MAX_DOMAINS {
            let message = format!("There are more than {MAX_DOMAINS} domains.");
            let hint = "Remove those at which nobody has an address.";
            errors.push(FieldError::say(Field::EmailDomains, None, "email_domain_count", &message, hint));
        }
    }

    fn credential_errors<'a>(
        &self,
        provider: &dyn OAuthProvider,
        labels: &'a Labels,
        secrets: &IntegrationSecrets,
    ) -> Vec<(Field, Option<&'a str>, ConfigError)> {
        use crate::values::token::ClientCredentials;

        // With valid text in place of the other, so that each is judged alone.
        let id = ClientCredentials::new(provider.base_url(), &self.client_id, "secret").err();
        let secret = ClientCredentials::new(provider.base_url(), "id", &secrets.client_secret).err();
        let id = id.map(|error| (Field::ClientId, labels.of(Field::ClientId), error));
        let secret = secret.map(|error| (Field::ClientSecret, labels.of(Field::ClientSecret), error));
        id.into_iter().chain(secret).collect()
    }
}

/// The platform's own labels of the client id and secret.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels(Option<SetupCredentials>);

impl Labels {
    pub(super) fn new(guide: &SetupGuide) -> Self {
        Self(guide.credentials.first().cloned())
    }

    pub(super) fn of(&self, field: Field) -> Option<&str> {
        let labels = self.0.as_ref()?;
        match field {
            Field::ClientId => Some(&labels.id),
            Field::ClientSecret => Some(&labels.secret),
            _ => None,
        }
    }
}

fn labels(provider: &dyn OAuthProvider, id: &IntegrationId, app: &AppConfig) -> Labels {
    let request = SetupRequest::new(app.public_url().clone(), id.clone(), "integration", Access::SignIn);
    let guide = request.and_then(|request| guide(provider, request, app));
    guide.map_or(Labels::default(), |guide| Labels::new(&guide))
}

/// The setup guide of an integration.
pub(super) fn guide(
    provider: &dyn OAuthProvider,
    request: SetupRequest,
    app: &AppConfig,
) -> Result<SetupGuide, ConfigError> {
    Ok(provider.setup_guide(&app.set_callback(request, provider.platform())?))
}

pub(super) fn timeout_error() -> FieldError {
    let message = "The time-out is not a number of seconds from 1 to 60.";
    FieldError::say(Field::Timeout, None, "timeout", message, "Leave it empty for the default.")
}

/// Why stored settings cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnreadableSettings {
    /// Their JSON has another version.
    #[error("the settings have version {found}, which this version of codehost-oauth does not know")]
    Version {
        /// The version that was found.
        found: u32,
    },
    /// The JSON of the settings cannot be read, or something else that is stored beside them.
    #[error("what is stored about the integration is damaged")]
    Malformed,
}

/// The JSON of any version.
#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

/// The version of the JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
struct Version(u8);

impl From<Version> for u8 {
    fn from(version: Version) -> Self {
        version.0
    }
}

impl TryFrom<u8> for Version {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        let message =
            || format!("settings of version {number}: this version of codehost-oauth reads version {VERSION}");
        if number == VERSION { Ok(Self(VERSION)) } else { Err(message()) }
    }
}

const VERSION: u8 = 1;

/// The longest texts that are stored, in bytes, and the largest number of domains: tenants choose them.
const MAX_CERTIFICATES: usize = 32 * 1024;
const MAX_HEADERS: usize = 8 * 1024;
const MAX_DOMAINS: usize = 100;
