//! What certificates contain.

use std::time::{Duration, SystemTime};

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage};

use super::super::report::CertificateSummary;
use crate::error::ConfigError;

/// The certificates in PEM texts. Each text must contain at least one.
pub(super) fn authorities(texts: &[Vec<u8>]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let mut authorities = Vec::new();
    for pem in texts {
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

/// Reads the client's certificates. Checks what no TLS library reports clearly: that the first has not expired, and that the
/// key has no password.
pub(super) fn client_chain(certificate: &str, key: &str) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|_| ConfigError::InvalidClientCertificate)?;
    let own = chain.first().ok_or(ConfigError::NoClientCertificate)?;
    if not_after(own).ok_or(ConfigError::InvalidClientCertificate)? < SystemTime::now() {
        return Err(ConfigError::ClientCertificateExpired);
    }
    if key.contains("BEGIN ENCRYPTED PRIVATE KEY") || key.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(ConfigError::ClientKeyEncrypted);
    }
    Ok(chain)
}

/// When a certificate ends. `None` if it cannot be read.
pub(super) fn not_after(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    // `webpki` tells it in one way only: in the year 10000, each certificate has expired.
    let late = UnixTime::since_unix_epoch(YEAR_10000);
    match certificate.verify_for_usage(&[], &[], &[], late, KeyUsage::client_auth(), None, None) {
        Err(Error::CertExpired { not_after, .. }) => {
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(not_after.as_secs()))
        }
        _ => None,
    }
}

/// The summary of a server's certificate. `None` if it cannot be read.
pub(super) fn summary(certificate: &CertificateDer<'_>) -> Option<CertificateSummary> {
    let parsed = EndEntityCert::try_from(certificate).ok()?;
    Some(CertificateSummary {
        subject: name(parsed.subject()),
        issuer: name(parsed.issuer()),
        names: parsed.valid_dns_names().take(MAX_NAMES).map(str::to_owned).collect(),
        not_after: httpdate::fmt_http_date(not_after(certificate)?),
    })
}

/// A distinguished name as text, such as `CN=git.example.com, O=Example`: the usual attributes, of a DER `RDNSequence` without its
/// tag (RFC 5280 section 4.1.2.4).
fn name(rdn_sequence: &[u8]) -> String {
    let attributes = Values(rdn_sequence).flat_map(Values).filter_map(|attribute| {
        let mut parts = Values(attribute);
        let (oid, value) = (parts.next()?, parts.next()?);
        let (_, label) = ATTRIBUTES.iter().find(|(known, _)| *known == oid)?;
        let value: String = String::from_utf8_lossy(value).chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect();
        Some(format!("{label}={value}"))
    });
    attributes.take(MAX_NAMES).collect::<Vec<_>>().join(", ")
}

/// The contents of DER values that follow each other. It ends where something is not valid.
struct Values<'a>(&'a [u8]);

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (_tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            0x81 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
            0x82 => rest.split_first_chunk().map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))?,
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(value)
    }
}

/// The object identifiers of attributes in DER (RFC 5280 appendix A.1), and their labels (RFC 4514 section 3).
const ATTRIBUTES: [(&[u8], &str); 4] =
    [(&[0x55, 4, 3], "CN"), (&[0x55, 4, 10], "O"), (&[0x55, 4, 11], "OU"), (&[0x55, 4, 6], "C")];
const YEAR_10000: Duration = Duration::from_secs(253_402_300_800);
/// How many names and attributes a summary has at most.
const MAX_NAMES: usize = 20;
/// The longest value of an attribute, in characters.
const MAX_TEXT: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_names_and_the_end() {
        let certificate = CertificateDer::from_pem_slice(PEM.as_bytes()).unwrap();
        let summary = summary(&certificate).unwrap();
        assert_eq!((&*summary.subject, &*summary.issuer), ("CN=app, O=Example", "CN=app, O=Example"));
        assert!(summary.not_after.ends_with("2126 02:54:41 GMT"), "{}", summary.not_after);
        assert_eq!(not_after(&certificate).map(httpdate::fmt_http_date), Some(summary.not_after));
    }

    /// Each prefix, and each byte changed: the texts are a server's.
    #[test]
    fn no_bytes_make_it_panic() {
        let certificate = CertificateDer::from_pem_slice(PEM.as_bytes()).unwrap();
        for at in 0..certificate.len() {
            let _ = summary(&CertificateDer::from(&certificate[..at]));
            for value in [0, 1, 0x7f, 0x80, 0x81, 0x82, 0x83, 0xff] {
                let mut changed = certificate.to_vec();
                changed[at] = value;
                let _ = name(&changed[at..]);
                let _ = summary(&CertificateDer::from(changed));
            }
        }
    }

    #[test]
    fn a_name_is_cut_and_has_no_control_characters() {
        // SET { SEQUENCE { CN, UTF8String } }
        let rdn = |value: &[u8]| {
            let attribute = [&[6, 3, 0x55, 4, 3, 0x0c, u8::try_from(value.len()).unwrap()], value].concat();
            let sequence = [&[0x30, u8::try_from(attribute.len()).unwrap()], &*attribute].concat();
            [&[0x31, u8::try_from(sequence.len()).unwrap()], &*sequence].concat()
        };
        assert_eq!(name(&rdn(b"a\r\nb\x1b[31m")), "CN=ab[31m");
        assert_eq!(name(&rdn(&[b'a'; 110])).len(), "CN=".len() + MAX_TEXT);
        assert_eq!(name(&[rdn(b"a"), rdn(b"b")].concat()), "CN=a, CN=b");
        assert_eq!(name(&[0x31, 0x84, 0, 0, 0, 1]), "");
    }

    const PEM: &str = "\
        -----BEGIN CERTIFICATE-----\n\
        MIIBlzCCAT2gAwIBAgIUUyHshv6NAMEP2v/kWA2E31fog/QwCgYIKoZIzj0EAwIw\n\
        IDEMMAoGA1UEAwwDYXBwMRAwDgYDVQQKDAdFeGFtcGxlMCAXDTI2MTEyODAyNTQ0\n\
        MVoYDzIxMjYxMTA0MDI1NDQxWjAgMQwwCgYDVQQDDANhcHAxEDAOBgNVBAoMB0V4\n\
        YW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARhyOgWsG0z/wWfc8wTocDu\n\
        rgSsraoHCKUPOqCH1cPvp9OqE53Q+vLLjza6EDubAuZhZTncPM525wnJcSr/W3Aw\n\
        o1MwUTAdBgNVHQ4EFgQU82M9g+TWgPttM6G0emSrKxpTJZ8wHwYDVR0jBBgwFoAU\n\
        82M9g+TWgPttM6G0emSrKxpTJZ8wDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQD\n\
        AgNIADBFAiEAucnutOO/8hUNylRCWD2WqhzYy0/RU41OZNxGo45ZTpMCIDg/sJV0\n\
        L3Hm154BAegYFJ043gU4hvNJPeDL7fv+44x7\n\
        -----END CERTIFICATE-----\n\
    ";
}
