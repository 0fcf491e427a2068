use std::fmt;

use super::library::Identity;
use crate::error::ConfigError;

/// A client certificate with its private key, by which an app identifies itself to a code host that demands one (mutual TLS).
/// Give it to [`HttpClient::with_client_certificate`](crate::transport::HttpClient::with_client_certificate).
///
/// `Debug` shows nothing of it.
///
/// ```no_run
/// use codehost_oauth::transport::{ClientCertificate, HttpClient, Network};
///
/// let pem = std::fs::read_to_string("client.pem")?;
/// let key = std::fs::read_to_string("client.key")?;
/// let http = HttpClient::builder(Network::public_only()).build()?;
/// let http = http.with_client_certificate(ClientCertificate::from_pem(&pem, &key)?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ClientCertificate(Identity);

impl ClientCertificate {
    /// A certificate, with the intermediate certificates after it if there are any, and its private key, both in PEM format. The
    /// key begins with `-----BEGIN PRIVATE KEY-----` (PKCS #8), or with rustls also `RSA PRIVATE KEY` or `EC PRIVATE KEY`.
    ///
    /// ```
    /// use codehost_oauth::transport::ClientCertificate;
    ///
    /// assert_eq!(ClientCertificate::from_pem("", "").unwrap_err().code(), "client_certificate_missing");
    /// ```
    ///
    /// # Errors
    ///
    /// About the certificate: [`ConfigError::NoClientCertificate`], [`ConfigError::InvalidClientCertificate`] or
    /// [`ConfigError::ClientCertificateExpired`]. About the key: [`ConfigError::ClientKeyEncrypted`] if it has a password,
    /// [`ConfigError::ClientKey`] if it cannot be read, or [`ConfigError::ClientKeyMismatch`]. Without a feature for TLS:
    /// [`ConfigError::CertificatesNotSupported`].
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, ConfigError> {
        Identity::parse(certificate, key).map(Self)
    }

    /// The same, for a key that begins with `-----BEGIN ENCRYPTED PRIVATE KEY-----` (PKCS #8, as `openssl genpkey -aes256` writes it).
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Self::from_pem), and [`ConfigError::ClientKeyPassword`]. [`ConfigError::ClientKey`] also if the key is not
    /// encrypted, or in another way.
    #[cfg(feature = "encrypted-keys")]
    #[cfg_attr(docsrs, doc(cfg(feature = "encrypted-keys")))]
    pub fn from_encrypted_pem(certificate: &str, key: &str, password: &str) -> Result<Self, ConfigError> {
        Identity::parse(certificate, &decrypt(key, password)?).map(Self)
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.0
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").finish_non_exhaustive()
    }
}

/// The key in PEM format without encryption.
#[cfg(feature = "encrypted-keys")]
fn decrypt(key: &str, password: &str) -> Result<zeroize::Zeroizing<String>, ConfigError> {
    use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument};

    // Certificates may be in the same text.
    let start = key.find(ENCRYPTED_KEY).ok_or(ConfigError::ClientKey)?;
    let (_, document) =
        SecretDocument::from_pem(key.get(start..).unwrap_or_default()).map_err(|_| ConfigError::ClientKey)?;
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|_| ConfigError::ClientKey)?;
    let decrypted = encrypted.decrypt(password).map_err(|_| ConfigError::ClientKeyPassword)?;
    // With a wrong password, the result is rarely valid padding, but never a key.
    PrivateKeyInfoRef::try_from(decrypted.as_bytes()).map_err(|_| ConfigError::ClientKeyPassword)?;
    decrypted.to_pem("PRIVATE KEY", LineEnding::LF).map_err(|_| ConfigError::ClientKey)
}

#[cfg(feature = "encrypted-keys")]
const ENCRYPTED_KEY: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
