//! TLS by the library that the features choose, as a layer over plain connections. Where both are on it is the operating
//! system's: rustls is the default, so it is the other one that somebody asked for.

pub(super) use self::library::{Tls, over, verdict};

/// Whether `https` can be spoken.
pub(super) const HAS_TLS: bool = cfg!(any(feature = "rustls-no-provider", feature = "native-tls"));

#[cfg(feature = "native-tls")]
mod library {
    use std::error::Error as StdError;

    use native_tls::{Certificate, Protocol, TlsConnector};

    use super::authorities;
    use crate::error::{ConfigError, TransportError};

    pub(in super::super) type Tls<T> = hyper_tls::HttpsConnector<T>;

    /// A layer that trusts the system's authorities and those in the PEM `bundles`.
    pub(in super::super) fn over<T>(http: T, bundles: &[Vec<u8>]) -> Result<Tls<T>, ConfigError> {
        let mut builder = TlsConnector::builder();
        builder.min_protocol_version(Some(Protocol::Tlsv12)).request_alpns(&["http/1.1"]);
        for authority in authorities(bundles)? {
            builder.add_root_certificate(Certificate::from_der(&authority).map_err(|_| ConfigError::Certificates)?);
        }
        let connector = builder.build().map_err(|_| ConfigError::HttpClient)?;
        Ok((http, connector.into()).into())
    }

    /// What `error` means if it is TLS's. The systems' libraries have no common type for the cause; they all name the
    /// certificate where it is to blame. In an alert it is one of ours, which we have not got.
    pub(in super::super) fn verdict(error: &(dyn StdError + 'static)) -> Option<TransportError> {
        let text = error.downcast_ref::<native_tls::Error>()?.to_string().to_ascii_lowercase();
        let untrusted = ["certificate", "self-signed", "self signed"].iter().any(|word| text.contains(word));
        Some(if untrusted && !text.contains("alert") { TransportError::TlsUntrusted } else { TransportError::Tls })
    }
}

#[cfg(all(feature = "rustls-no-provider", not(feature = "native-tls")))]
mod library {
    use std::error::Error as StdError;
    use std::sync::Arc;

    use rustls::ClientConfig;
    use rustls::crypto::CryptoProvider;
    use rustls_pki_types::{CertificateDer, InvalidDnsNameError};
    use rustls_platform_verifier::Verifier;

    use super::authorities;
    use crate::error::{ConfigError, TransportError};

    pub(in super::super) type Tls<T> = hyper_rustls::HttpsConnector<T>;

    /// A layer that trusts the system's authorities and those in the PEM `bundles`.
    pub(in super::super) fn over<T>(http: T, bundles: &[Vec<u8>]) -> Result<Tls<T>, ConfigError> {
        let provider = provider()?;
        let verifier = verifier(authorities(bundles)?, Arc::clone(&provider))?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| ConfigError::HttpClient)?
            // Nothing is left out: this is how a verifier is given that also knows authorities of our own.
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok((http, config).into())
    }

    /// The host's, or else ours.
    fn provider() -> Result<Arc<CryptoProvider>, ConfigError> {
        match CryptoProvider::get_default() {
            Some(provider) => Ok(Arc::clone(provider)),
            #[cfg(feature = "rustls")]
            None => Ok(Arc::new(rustls::crypto::aws_lc_rs::default_provider())),
            #[cfg(not(feature = "rustls"))]
            None => Err(ConfigError::CryptoProvider),
        }
    }

    fn verifier(
        authorities: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Verifier, ConfigError> {
        if authorities.is_empty() {
            // It is the system's store that cannot be read.
            return Verifier::new(provider).map_err(|_| ConfigError::HttpClient);
        }
        #[cfg(not(target_os = "android"))]
        return Verifier::new_with_extra_roots(authorities, provider).map_err(|_| ConfigError::Certificates);
        // There the system verifies, and takes no others.
        #[cfg(target_os = "android")]
        Err(ConfigError::Certificates)
    }

    /// What `error` means if it is TLS's.
    pub(in super::super) fn verdict(error: &(dyn StdError + 'static)) -> Option<TransportError> {
        if error.is::<InvalidDnsNameError>() {
            return Some(TransportError::NameNotFound);
        }
        match error.downcast_ref()? {
            rustls::Error::InvalidCertificate(_) => Some(TransportError::TlsUntrusted),
            _ => Some(TransportError::Tls),
        }
    }
}

#[cfg(not(any(feature = "rustls-no-provider", feature = "native-tls")))]
mod library {
    use std::error::Error as StdError;

    use crate::error::{ConfigError, TransportError};

    pub(in super::super) type Tls<T> = T;

    /// Nothing is laid over, and there is nobody to trust an authority.
    pub(in super::super) fn over<T>(http: T, bundles: &[Vec<u8>]) -> Result<Tls<T>, ConfigError> {
        if bundles.is_empty() { Ok(http) } else { Err(ConfigError::Certificates) }
    }

    pub(in super::super) fn verdict(_: &(dyn StdError + 'static)) -> Option<TransportError> {
        None
    }
}

/// The certificates of PEM texts, each of which must have one.
#[cfg(any(feature = "rustls-no-provider", feature = "native-tls"))]
fn authorities(
    bundles: &[Vec<u8>],
) -> Result<Vec<rustls_pki_types::CertificateDer<'static>>, crate::error::ConfigError> {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;

    use crate::error::ConfigError;

    let mut authorities = Vec::new();
    for pem in bundles {
        let before = authorities.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            authorities.push(certificate.map_err(|_| ConfigError::Certificates)?);
        }
        if authorities.len() == before {
            return Err(ConfigError::Certificates);
        }
    }
    Ok(authorities)
}
