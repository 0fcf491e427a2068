//! What the operator of an app can know about a connection to a code host.

use std::fmt;
use std::net::IpAddr;

use crate::values::network::AddressClass;

/// How an app connects to the API of a code host: for the operator, in the full report of a check. It describes the app's network, so
/// [`CheckReport::public`](crate::check::CheckReport::public) leaves it out.
///
/// `Debug` shows nothing of it.
///
/// ```
/// use codehost_oauth::transport::{AddressClass, HttpClient, Network, Transport as _};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let http = HttpClient::builder(Network::public_only()).build().unwrap();
/// let report = http.inspect(&"https://10.0.0.5/".parse().unwrap()).await.unwrap();
/// assert_eq!((report.addresses[0].class, report.addresses[0].is_allowed), (AddressClass::Private, false));
/// assert_eq!(report.to_string(), "Proxy: none\nAddress: 10.0.0.5 is a private address; the network policy refuses it\n");
/// # });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct ConnectionReport {
    /// The URL of the proxy, without user and password.
    pub proxy: Option<String>,
    /// The addresses of the code host. Empty if the proxy looks up its name, or the name is not found.
    pub addresses: Vec<ReportedAddress>,
    /// The certificate that the code host showed, whether it is trusted or not. With the feature `native-tls`: only if it is
    /// trusted.
    pub certificate: Option<CertificateSummary>,
}

/// An address of a code host.
#[derive(Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct ReportedAddress {
    /// The address.
    pub address: IpAddr,
    /// What kind of address it is.
    pub class: AddressClass,
    /// Whether the network policy allows it.
    pub is_allowed: bool,
}

/// What a certificate says. The texts are the server's words.
#[derive(Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct CertificateSummary {
    /// Whom it is for, such as `CN=git.example.com`.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// The names that it is for, at most 20.
    pub names: Vec<String>,
    /// When it ends, as in `Sun, 06 Nov 2033 08:49:37 GMT`.
    pub not_after: String,
}

impl fmt::Debug for ConnectionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionReport").finish_non_exhaustive()
    }
}

impl fmt::Debug for ReportedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportedAddress").field("class", &self.class).finish_non_exhaustive()
    }
}

impl fmt::Debug for CertificateSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateSummary").finish_non_exhaustive()
    }
}

/// One line for each fact.
impl fmt::Display for ConnectionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.proxy {
            Some(proxy) => writeln!(f, "Proxy: {proxy}")?,
            None => writeln!(f, "Proxy: none")?,
        }
        for row in &self.addresses {
            let refused = if row.is_allowed { "" } else { "; the network policy refuses it" };
            writeln!(f, "Address: {} is {}{refused}", row.address, row.class)?;
        }
        if let Some(certificate) = &self.certificate {
            let names = certificate.names.join(", ");
            let names = if names.is_empty() { "no host names" } else { &names };
            writeln!(f, "Certificate for: {} ({names})", certificate.subject)?;
            writeln!(f, "Certificate signed by: {}", certificate.issuer)?;
            writeln!(f, "Certificate valid until: {}", certificate.not_after)?;
        }
        Ok(())
    }
}
