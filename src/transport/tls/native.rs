//! TLS with the library of the operating system.

use std::error::Error as StdError;

use http::Uri;
use hyper_tls::{HttpsConnector, MaybeHttpsStream};
use native_tls::{Certificate, Protocol, TlsConnector};
use rustls_pki_types::CertificateDer;
use tower_service::Service;

use super::super::report::CertificateSummary;
use super::super::socket::{Opened, Socket};
pub(super) use super::certificate::authorities;
use super::certificate::{self, client_chain};
use crate::error::{ConfigError, TransportError};

/// Certificates that are trusted in addition to the system's authorities.
pub(super) type Authorities = Vec<CertificateDer<'static>>;

/// A configuration with the authorities that the system had when it was made.
#[derive(Clone)]
pub(super) struct Config(TlsConnector);

impl Config {
    pub(super) fn new(added: &Authorities, client: Option<&Identity>) -> Result<Option<Self>, ConfigError> {
        let mut builder = TlsConnector::builder();
        builder.min_protocol_version(Some(Protocol::Tlsv12)).request_alpns(&["http/1.1"]);
        for authority in added {
            builder
                .add_root_certificate(Certificate::from_der(authority).map_err(|_| ConfigError::InvalidCertificate)?);
        }
        if let Some(Identity(identity)) = client {
            builder.identity(identity.clone());
        }
        builder.build().map(|connector| Some(Self(connector))).map_err(|_| ConfigError::HttpClient)
    }

    pub(super) async fn connect(&self, socket: Opened, uri: Uri) -> Result<Socket, Box<dyn StdError + Send + Sync>> {
        // `poll_ready` is not needed: the connector is always ready.
        Ok(Box::new(HttpsConnector::from((socket, self.0.clone().into())).call(uri).await?))
    }

    /// The server's certificate, if it is trusted: the systems' libraries do not tell it otherwise.
    pub(super) async fn inspect(&self, socket: Opened, uri: Uri) -> Option<CertificateSummary> {
        let connected = HttpsConnector::from((socket, self.0.clone().into())).call(uri).await.ok()?;
        let MaybeHttpsStream::Https(stream) = connected else { return None };
        let certificate = stream.inner().get_ref().peer_certificate().ok()??.to_der().ok()?;
        certificate::summary(&certificate.into())
    }
}

/// A client certificate with its chain and its key.
#[derive(Clone)]
pub(super) struct Identity(native_tls::Identity);

impl Identity {
    pub(super) fn parse(certificate: &str, key: &str) -> Result<Self, ConfigError> {
        client_chain(certificate, key)?;
        let identity = native_tls::Identity::from_pkcs8(certificate.as_bytes(), key.as_bytes());
        let identity = identity.map_err(|_| ConfigError::ClientKey)?;
        // The library compares certificate and key when it takes them.
        let taken = TlsConnector::builder().identity(identity.clone()).build();
        taken.map(|_| Self(identity)).map_err(|_| ConfigError::ClientKeyMismatch)
    }
}

/// The meaning of `error`, if it is an error of TLS. The systems' libraries have no common type for the cause, but if it is
/// the server's certificate, the text of each of them says so. In an alert, "certificate" means a client certificate.
pub(super) fn classify(error: &(dyn StdError + 'static)) -> Option<TransportError> {
    let text = error.to_string().to_ascii_lowercase();
    // With TLS 1.3 the alert comes with a read, whose error has another type.
    if text.contains("alert") && (text.contains("certificate") || text.contains("unknown ca")) {
        return Some(TransportError::ClientCertificate);
    }
    if !error.is::<native_tls::Error>() {
        return None;
    }
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
