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
    /// encrypted, is encrypted in another way, or would cost too much to decrypt.
    ///
    /// It takes up to some seconds of CPU, as the key's file demands: call it where it may block, such as in
    /// `tokio::task::spawn_blocking`.
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
    if !is_affordable(&encrypted.encryption_algorithm) {
        return Err(ConfigError::ClientKey);
    }
    let decrypted = encrypted.decrypt(password).map_err(|_| ConfigError::ClientKeyPassword)?;
    // With a wrong password, the result is rarely valid padding, but never a key.
    PrivateKeyInfoRef::try_from(decrypted.as_bytes()).map_err(|_| ConfigError::ClientKeyPassword)?;
    decrypted.to_pem("PRIVATE KEY", LineEnding::LF).map_err(|_| ConfigError::ClientKey)
}

/// Whether the key is made from the password with a cost that a server can pay. The file says the cost, and somebody else may have
/// written it: an unlimited one would use up memory or time.
#[cfg(feature = "encrypted-keys")]
fn is_affordable(scheme: &pkcs8::pkcs5::EncryptionScheme) -> bool {
    use pkcs8::pkcs5::EncryptionScheme;
    use pkcs8::pkcs5::pbes2::Kdf;

    let EncryptionScheme::Pbes2(parameters) = scheme else { return false };
    match &parameters.kdf {
        Kdf::Pbkdf2(kdf) => (1..=MAX_PBKDF2_ROUNDS).contains(&kdf.iteration_count),
        Kdf::Scrypt(kdf) => {
            let cost = kdf.cost_parameter;
            cost.is_power_of_two()
                && (2..=MAX_SCRYPT_COST).contains(&cost)
                && (1..=MAX_SCRYPT_BLOCK_SIZE).contains(&kdf.block_size)
                && (1..=MAX_SCRYPT_PARALLELIZATION).contains(&kdf.parallelization)
        }
        _ => false,
    }
}

/// Ten times what OWASP's password storage cheat sheet asks for; OpenSSL uses 2,048 unless told otherwise.
#[cfg(feature = "encrypted-keys")]
const MAX_PBKDF2_ROUNDS: u32 = 6_000_000;
/// With these, scrypt uses 256 MiB at most; OpenSSL uses 16 MiB.
#[cfg(feature = "encrypted-keys")]
const MAX_SCRYPT_COST: u64 = 1 << 17;
#[cfg(feature = "encrypted-keys")]
const MAX_SCRYPT_BLOCK_SIZE: u16 = 16;
#[cfg(feature = "encrypted-keys")]
const MAX_SCRYPT_PARALLELIZATION: u16 = 4;
#[cfg(feature = "encrypted-keys")]
const ENCRYPTED_KEY: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
