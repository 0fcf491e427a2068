//! TLS with rustls.

use std::error::Error as StdError;
use std::sync::{Arc, Mutex, PoisonError};

use http::Uri;
use hyper_rustls::HttpsConnector;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    AlertDescription, CertificateError as Cause, ClientConfig, DigitallySignedStruct, InconsistentKeys, OtherError,
    SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName, UnixTime};
use rustls_platform_verifier::Verifier;
use tower_service::Service;
use webpki::EndEntityCert;

use super::super::report::CertificateSummary;
use super::super::socket::{Opened, Socket};
use super::certificate::{self, client_chain};
use crate::error::{ConfigError, TransportError};

/// Certificates that are trusted in addition to the system's authorities.
pub(super) type Authorities = Vec<CertificateDer<'static>>;
pub(super) use super::certificate::authorities;

/// A configuration with the authorities that the system had when it was made.
#[derive(Clone)]
pub(super) struct Config {
    tls: Arc<ClientConfig>,
    verifier: Arc<SystemOrAdded>,
}

impl Config {
    /// `None` if the system has no authorities, and none were added.
    pub(super) fn new(added: &Authorities, client: Option<&Identity>) -> Result<Option<Self>, ConfigError> {
        let provider = provider()?;
        let Some(verifier) = verifier(added.clone(), Arc::clone(&provider))? else { return Ok(None) };
        let verifier = Arc::new(SystemOrAdded { verifier: Arc::new(verifier), added: added.clone(), seen: None });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| ConfigError::HttpClient)?
            // No check is left out. A verifier that trusts additional certificates can only be set in this way.
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as _);
        let mut tls = match client {
            Some(Identity(key)) => config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(key)))),
            None => config.with_no_client_auth(),
        };
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Some(Self { tls: Arc::new(tls), verifier }))
    }

    pub(super) async fn connect(&self, socket: Opened, uri: Uri) -> Result<Socket, Box<dyn StdError + Send + Sync>> {
        // `poll_ready` is not needed: the connector is always ready.
        Ok(Box::new(HttpsConnector::from((socket, Arc::clone(&self.tls))).call(uri).await?))
    }

    /// The server's certificate, whether it is trusted or not. Nothing is sent on the connection afterwards.
    pub(super) async fn inspect(&self, socket: Opened, uri: Uri) -> Option<CertificateSummary> {
        let SystemOrAdded { verifier, added, .. } = &*self.verifier;
        let seen = Arc::new(Mutex::new(None));
        let (verifier, added) = (Arc::clone(verifier), added.clone());
        let verifier = SystemOrAdded { verifier, added, seen: Some(Arc::clone(&seen)) };
        let mut tls = (*self.tls).clone();
        tls.dangerous().set_certificate_verifier(Arc::new(verifier));
        // Otherwise the server might continue an earlier session, without a certificate.
        tls.resumption = Resumption::disabled();
        drop(HttpsConnector::from((socket, Arc::new(tls))).call(uri).await);
        let certificate = seen.lock().unwrap_or_else(PoisonError::into_inner);
        certificate.as_ref().and_then(certificate::summary)
    }
}

/// A client certificate with its chain and its key.
#[derive(Clone)]
pub(super) struct Identity(Arc<CertifiedKey>);

impl Identity {
    pub(super) fn parse(certificate: &str, key: &str) -> Result<Self, ConfigError> {
        let chain = client_chain(certificate, key)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| ConfigError::ClientKey)?;
        let key = provider()?.key_provider.load_private_key(key).map_err(|_| ConfigError::ClientKey)?;
        let key = CertifiedKey::new(chain, key);
        match key.keys_match() {
            // Some keys cannot be compared; the handshake would fail then.
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(Self(Arc::new(key))),
            Err(_) => Err(ConfigError::ClientKeyMismatch),
        }
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

fn verifier(authorities: Authorities, provider: Arc<CryptoProvider>) -> Result<Option<Verifier>, ConfigError> {
    if authorities.is_empty() {
        // It fails if the system has no authorities, as in a slim container image.
        return Ok(Verifier::new(provider).ok());
    }
    #[cfg(not(target_os = "android"))]
    return Verifier::new_with_extra_roots(authorities, provider)
        .map(Some)
        .map_err(|_| ConfigError::InvalidCertificate);
    // On Android the system verifies, and accepts no additional certificates.
    #[cfg(target_os = "android")]
    Err(ConfigError::CertificatesNotSupported)
}

/// The operating system's verifier, and the self-signed certificates in `added`. The verifier does not accept a certificate
/// of an authority as that of a server, but `openssl req -x509` makes certificates that are both. If one of them
/// was added, it is trusted for its names and dates.
#[derive(Debug)]
struct SystemOrAdded {
    verifier: Arc<Verifier>,
    added: Authorities,
    /// For the operator's report: gets the server's certificate, whether it is trusted or not.
    seen: Option<Arc<Mutex<Option<CertificateDer<'static>>>>>,
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
        if let Some(seen) = &self.seen {
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(end_entity.clone().into_owned());
        }
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
pub(super) fn classify(error: &(dyn StdError + 'static)) -> Option<TransportError> {
    if error.is::<InvalidDnsNameError>() {
        return Some(TransportError::NameNotFound);
    }
    let cause = match error.downcast_ref()? {
        rustls::Error::InvalidCertificate(cause) => cause,
        rustls::Error::AlertReceived(alert) if is_about_client_certificate(*alert) => {
            return Some(TransportError::ClientCertificate);
        }
        _ => return Some(TransportError::Tls),
    };
    Some(match cause {
        Cause::Expired | Cause::ExpiredContext { .. } => TransportError::TlsExpired,
        Cause::NotValidYet | Cause::NotValidYetContext { .. } => TransportError::TlsNotYetValid,
        Cause::NotValidForNameContext { presented, .. } if presented.is_empty() => TransportError::TlsCommonNameOnly,
        Cause::NotValidForName | Cause::NotValidForNameContext { .. } => TransportError::TlsWrongName,
        Cause::UnknownIssuer => TransportError::TlsUntrusted,
        Cause::Other(other) if other.0.is::<IntermediateMissing>() => TransportError::TlsMissingIntermediate,
        Cause::Other(other) if is_authority(other) => TransportError::TlsUntrusted,
        _ => TransportError::TlsCertificate,
    })
}

/// Whether a server that sends this alert wants a client certificate, or another one (RFC 8446 section 6.2).
fn is_about_client_certificate(alert: AlertDescription) -> bool {
    use AlertDescription::{
        AccessDenied, BadCertificate, CertificateExpired, CertificateRequired, CertificateRevoked, CertificateUnknown,
        UnknownCA, UnsupportedCertificate,
    };
    matches!(
        alert,
        AccessDenied
            | BadCertificate
            | CertificateExpired
            | CertificateRequired
            | CertificateRevoked
            | CertificateUnknown
            | UnknownCA
            | UnsupportedCertificate
    )
}
