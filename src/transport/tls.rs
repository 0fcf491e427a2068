//! TLS with the library that the Cargo features select, as a layer over plain connections. If both are enabled, it is the
//! operating system's: rustls is the default, so the other one was enabled on purpose.

pub(super) use self::library::{Layer, Tls, classify};

/// Whether this build supports `https`.
pub(super) const HAS_TLS: bool = cfg!(any(feature = "rustls-no-provider", feature = "native-tls"));

#[cfg(feature = "native-tls")]
mod library {
    use std::error::Error as StdError;

    use native_tls::{Certificate, Protocol, TlsConnector};

    use super::authorities;
    use crate::error::{ConfigError, TransportError};

    pub(in super::super) type Tls<T> = hyper_tls::HttpsConnector<T>;

    /// A layer that trusts the system's authorities and the certificates in the PEM `bundles`.
    #[derive(Clone)]
    pub(in super::super) struct Layer(TlsConnector);

    impl Layer {
        pub(in super::super) fn new(bundles: &[Vec<u8>]) -> Result<Self, ConfigError> {
            let mut builder = TlsConnector::builder();
            builder.min_protocol_version(Some(Protocol::Tlsv12)).request_alpns(&["http/1.1"]);
            for authority in authorities(bundles)? {
                builder.add_root_certificate(
                    Certificate::from_der(&authority).map_err(|_| ConfigError::InvalidCertificate)?,
                );
            }
            builder.build().map(Self).map_err(|_| ConfigError::HttpClient)
        }

        pub(in super::super) fn over<T>(&self, http: T) -> Tls<T> {
            (http, self.0.clone().into()).into()
        }
    }

    /// The meaning of `error`, if it is an error of TLS. The systems' libraries have no common type for the cause, but if it is
    /// the server's certificate, the text of each of them says so. In an alert, "certificate" means a client certificate.
    pub(in super::super) fn classify(error: &(dyn StdError + 'static)) -> Option<TransportError> {
        let text = error.downcast_ref::<native_tls::Error>()?.to_string().to_ascii_lowercase();
        if text.contains("alert") {
            return Some(TransportError::Tls);
        }
        let named = CAUSES.iter().find(|(words, _)| text.contains(words));
        Some(named.map_or(TransportError::Tls, |(_, cause)| cause.clone()))
    }

    /// Texts of OpenSSL, and last a word in the texts of every library.
    const CAUSES: [(&str, TransportError); 9] = [
        ("certificate has expired", TransportError::TlsExpired),
        ("certificate is not yet valid", TransportError::TlsNotYetValid),
        ("hostname mismatch", TransportError::TlsWrongName),
        ("ip address mismatch", TransportError::TlsWrongName),
        ("unable to get local issuer", TransportError::TlsMissingIntermediate),
        ("unable to verify the first", TransportError::TlsMissingIntermediate),
        ("self-signed", TransportError::TlsUntrusted),
        ("self signed", TransportError::TlsUntrusted),
        ("certificate", TransportError::TlsCertificate),
    ];
}

#[cfg(all(feature = "rustls-no-provider", not(feature = "native-tls")))]
mod library {
    use std::error::Error as StdError;
    use std::sync::Arc;

    use rustls::CertificateError as Cause;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::CryptoProvider;
    use rustls::{ClientConfig, DigitallySignedStruct, OtherError, SignatureScheme};
    use rustls_pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime};
    use rustls_platform_verifier::Verifier;
    use webpki::EndEntityCert;

    use super::authorities;
    use crate::error::{ConfigError, TransportError};

    pub(in super::super) type Tls<T> = hyper_rustls::HttpsConnector<T>;

    /// A layer that trusts the system's authorities and the certificates in the PEM `bundles`.
    #[derive(Clone)]
    pub(in super::super) struct Layer(Arc<ClientConfig>);

    impl Layer {
        pub(in super::super) fn new(bundles: &[Vec<u8>]) -> Result<Self, ConfigError> {
            let (provider, added) = (provider()?, authorities(bundles)?);
            let verifier = verifier(added.clone(), Arc::clone(&provider))?;
            let mut config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(|_| ConfigError::HttpClient)?
                // No check is left out. A verifier that trusts additional certificates can only be set in this way.
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(SystemOrAdded { verifier, added }))
                .with_no_client_auth();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Ok(Self(Arc::new(config)))
        }

        pub(in super::super) fn over<T>(&self, http: T) -> Tls<T> {
            (http, Arc::clone(&self.0)).into()
        }
    }

    /// The crypto provider that the app installed, or else the one of the feature `rustls`.
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
            // It fails if the system's certificate store cannot be read.
            return Verifier::new(provider).map_err(|_| ConfigError::HttpClient);
        }
        #[cfg(not(target_os = "android"))]
        return Verifier::new_with_extra_roots(authorities, provider).map_err(|_| ConfigError::InvalidCertificate);
        // On Android the system verifies, and accepts no additional certificates.
        #[cfg(target_os = "android")]
        Err(ConfigError::CertificatesNotSupported)
    }

    /// The operating system's verifier, and the self-signed certificates in `added`. The verifier does not accept a certificate
    /// of an authority as that of a server, but `openssl req -x509` makes certificates that are both. If one of them
    /// was added, it is trusted for its names and dates.
    #[derive(Debug)]
    struct SystemOrAdded {
        verifier: Verifier,
        added: Vec<CertificateDer<'static>>,
    }

    impl ServerCertVerifier for SystemOrAdded {
        fn verify_server_cert(
            &self,
            end_entity: &CertificateDer<'_>,
            intermediates: &[CertificateDer<'_>],
            name: &ServerName<'_>,
            ocsp_response: &[u8],
            now: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            let verified = self.verifier.verify_server_cert(end_entity, intermediates, name, ocsp_response, now);
            let Err(rustls::Error::InvalidCertificate(cause)) = &verified else { return verified };
            let is_self_issued = |certificate: &EndEntityCert<'_>| certificate.issuer() == certificate.subject();
            let certificate = EndEntityCert::try_from(end_entity).map_err(|_| Cause::BadEncoding)?;
            match cause {
                // The dates are valid: the verifier checks them first.
                Cause::Other(other) if is_authority(other) && self.added.contains(end_entity) => {
                    if !is_self_issued(&certificate) {
                        return verified;
                    }
                    let parsed = rustls::server::ParsedCertificate::try_from(end_entity)?;
                    rustls::client::verify_server_name(&parsed, name)?;
                    Ok(ServerCertVerified::assertion())
                }
                Cause::UnknownIssuer if intermediates.is_empty() && !is_self_issued(&certificate) => {
                    Err(Cause::Other(OtherError(Arc::new(IntermediateMissing))).into())
                }
                _ => verified,
            }
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            self.verifier.verify_tls12_signature(message, certificate, signed)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            self.verifier.verify_tls13_signature(message, certificate, signed)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.verifier.supported_verify_schemes()
        }
    }

    fn is_authority(OtherError(error): &OtherError) -> bool {
        error.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
    }

    /// The server sent only its own certificate, which an unknown authority signed: the intermediate certificates are missing.
    #[derive(Debug, thiserror::Error)]
    #[error("the server sent no intermediate certificate")]
    struct IntermediateMissing;

    /// The meaning of `error`, if it is an error of TLS.
    pub(in super::super) fn classify(error: &(dyn StdError + 'static)) -> Option<TransportError> {
        if error.is::<InvalidDnsNameError>() {
            return Some(TransportError::NameNotFound);
        }
        let rustls::Error::InvalidCertificate(cause) = error.downcast_ref()? else { return Some(TransportError::Tls) };
        Some(match cause {
            Cause::Expired | Cause::ExpiredContext { .. } => TransportError::TlsExpired,
            Cause::NotValidYet | Cause::NotValidYetContext { .. } => TransportError::TlsNotYetValid,
            Cause::NotValidForNameContext { presented, .. } if presented.is_empty() => {
                TransportError::TlsCommonNameOnly
            }
            Cause::NotValidForName | Cause::NotValidForNameContext { .. } => TransportError::TlsWrongName,
            Cause::UnknownIssuer => TransportError::TlsUntrusted,
            Cause::Other(other) if other.0.is::<IntermediateMissing>() => TransportError::TlsMissingIntermediate,
            Cause::Other(other) if is_authority(other) => TransportError::TlsUntrusted,
            _ => TransportError::TlsCertificate,
        })
    }
}

#[cfg(not(any(feature = "rustls-no-provider", feature = "native-tls")))]
mod library {
    use std::error::Error as StdError;

    use crate::error::{ConfigError, TransportError};

    pub(in super::super) type Tls<T> = T;

    /// There is no TLS in this build, so no certificates can be added.
    #[derive(Clone)]
    pub(in super::super) struct Layer;

    impl Layer {
        pub(in super::super) fn new(bundles: &[Vec<u8>]) -> Result<Self, ConfigError> {
            if bundles.is_empty() { Ok(Self) } else { Err(ConfigError::CertificatesNotSupported) }
        }

        pub(in super::super) fn over<T>(&self, http: T) -> Tls<T> {
            http
        }
    }

    pub(in super::super) fn classify(_: &(dyn StdError + 'static)) -> Option<TransportError> {
        None
    }
}

/// The certificates in PEM texts. Each text must contain at least one.
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
            authorities.push(certificate.map_err(|_| ConfigError::InvalidCertificate)?);
        }
        if authorities.len() == before {
            return Err(ConfigError::NoCertificate);
        }
    }
    Ok(authorities)
}
