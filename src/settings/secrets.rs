use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::SealError;
use crate::seal::{KeyRing, SealContext};
use crate::values::integration_id::IntegrationId;

/// The secret part of an integration's settings: the client secret, and what some code hosts need beside it.
///
/// It is stored sealed, for one integration and one base URL, so that a secret is never sent to another server. `Debug` shows
/// nothing of it, and its memory is wiped.
///
/// ```
/// use codehost_oauth::seal::KeyRing;
/// use codehost_oauth::settings::IntegrationSecrets;
///
/// let keys = KeyRing::new([(1, [7; 32].as_slice())])?;
/// let sealed = IntegrationSecrets::new("s3cr3t").seal(&keys, &"demo".parse()?, "https://git.example.com")?;
/// assert!(IntegrationSecrets::open(&keys, &"demo".parse()?, "https://git.example.com", &sealed).is_ok());
/// assert!(IntegrationSecrets::open(&keys, &"demo".parse()?, "https://other.example", &sealed).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct IntegrationSecrets {
    pub(super) client_secret: Zeroizing<String>,
    /// A certificate and its key, in PEM format.
    pub(super) client_certificate: Option<Zeroizing<String>>,
    /// Lines of the form `Name: value`.
    pub(super) headers: Option<Zeroizing<String>>,
}

impl IntegrationSecrets {
    /// Only a client secret.
    pub fn new(client_secret: &str) -> Self {
        let client_secret = Zeroizing::new(client_secret.trim().to_owned());
        Self { client_secret, client_certificate: None, headers: None }
    }

    /// Whether there is a client secret, a client certificate, and headers.
    #[cfg(feature = "admin")]
    pub(crate) fn parts(&self) -> [bool; 3] {
        [!self.client_secret.is_empty(), self.client_certificate.is_some(), self.headers.is_some()]
    }

    /// The same with another client secret.
    #[cfg(feature = "admin")]
    pub(crate) fn with_client_secret(self, client_secret: &str) -> Self {
        Self { client_secret: Zeroizing::new(client_secret.trim().to_owned()), ..self }
    }

    /// The same with a client certificate and its key, both in this PEM text. Empty text: without one.
    #[must_use]
    pub fn client_certificate(self, pem: &str) -> Self {
        Self { client_certificate: filled(pem), ..self }
    }

    /// The same with headers for an access gateway, one `Name: value` in each line; see
    /// [`FixedHeaders`](crate::transport::FixedHeaders). Empty text: without any.
    #[must_use]
    pub fn headers(self, lines: &str) -> Self {
        Self { headers: filled(lines), ..self }
    }

    /// Seals it for an integration at this base URL.
    ///
    /// # Errors
    ///
    /// As [`KeyRing::seal`].
    pub fn seal(&self, keys: &KeyRing, id: &IntegrationId, base_url: &str) -> Result<Vec<u8>, SealError> {
        self.seal_in(keys, &context(id, base_url))
    }

    /// Seals it for another place than that of stored secrets.
    pub(super) fn seal_in(&self, keys: &KeyRing, context: &SealContext<'_>) -> Result<Vec<u8>, SealError> {
        let Self { client_secret, client_certificate, headers } = self.clone();
        let json = Json { version: VERSION, client_secret, client_certificate, headers };
        let json = crate::values::secret::to_zeroizing_json(&json).map_err(|_| SealError::Malformed)?;
        keys.seal(context, &json)
    }

    /// Opens what [`seal`](Self::seal) returned for the same integration at the same base URL.
    ///
    /// # Errors
    ///
    /// As [`KeyRing::open`].
    pub fn open(keys: &KeyRing, id: &IntegrationId, base_url: &str, sealed: &[u8]) -> Result<Self, SealError> {
        Self::open_in(keys, &context(id, base_url), sealed)
    }

    pub(super) fn open_in(keys: &KeyRing, context: &SealContext<'_>, sealed: &[u8]) -> Result<Self, SealError> {
        let json = keys.open(context, sealed)?;
        // serde's own messages quote values.
        let json: Json = serde_json::from_slice(&json).map_err(|_| SealError::Malformed)?;
        if json.version != VERSION {
            return Err(SealError::Malformed);
        }
        Ok(Self {
            client_secret: json.client_secret.clone(),
            client_certificate: json.client_certificate.clone(),
            headers: json.headers.clone(),
        })
    }
}

impl fmt::Debug for IntegrationSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntegrationSecrets([redacted])")
    }
}

/// The sealed JSON.
#[derive(Serialize, Deserialize)]
struct Json {
    #[serde(rename = "v")]
    version: u8,
    client_secret: Zeroizing<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_certificate: Option<Zeroizing<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    headers: Option<Zeroizing<String>>,
}

const VERSION: u8 = 1;

fn context<'a>(id: &'a IntegrationId, base_url: &'a str) -> SealContext<'a> {
    SealContext { purpose: "integration-secrets", integration: id.as_str(), connection: base_url }
}

fn filled(text: &str) -> Option<Zeroizing<String>> {
    let text = text.trim();
    (!text.is_empty()).then(|| Zeroizing::new(text.to_owned()))
}
