use super::{Advice, advised};

/// Why a proxy gave no connection to a code host. The operator of the app must act on all of them.
///
/// ```
/// use codehost_oauth::error::{Audience, ProxyError, TransportError};
///
/// let error = TransportError::from(ProxyError::Forbidden);
/// assert_eq!((error.code(), error.advice().audience), ("proxy_forbidden", Audience::Operator));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The name of the proxy does not resolve.
    #[error("the proxy's name was not found")]
    NameNotFound,
    /// Nothing listens at the proxy's port, or there is no route to it.
    #[error("the app cannot connect to the proxy")]
    Unreachable,
    /// The certificate of an `https` proxy is not trusted.
    #[error("the proxy's certificate is not trusted")]
    Certificate,
    /// TLS with an `https` proxy failed for another reason.
    #[error("no TLS connection could be made with the proxy")]
    Tls,
    /// The proxy demands user and password.
    #[error("the proxy demands a user and a password")]
    CredentialsMissing,
    /// The proxy refuses user and password.
    #[error("the proxy does not accept the user and password")]
    CredentialsRefused,
    /// The proxy does not allow this code host or port.
    #[error("the proxy does not allow connections to the code host")]
    Forbidden,
    /// The proxy does not find the code host's name.
    #[error("the proxy did not find the code host's name")]
    CodeHostNotFound,
    /// The proxy cannot connect to the code host. Many proxies say the same of a name that they do not find.
    #[error("the proxy cannot connect to the code host")]
    CodeHostUnreachable,
    /// There was no tunnel in time.
    #[error("the proxy opened no connection to the code host in time")]
    TimedOut,
    /// The response is not that of a proxy of this kind.
    #[error("the server did not respond as a proxy of this kind")]
    Protocol,
}

impl ProxyError {
    pub(crate) fn advice_row(&self) -> Advice {
        let advice = match self {
            Self::NameNotFound => {
                Advice::operator("proxy_name_not_found", "Check the spelling of the proxy's host name.").transient()
            }
            Self::Unreachable => Advice::operator(
                "proxy_unreachable",
                "Check host name and port of the proxy, that it runs, and that a firewall lets the app through.",
            )
            .transient(),
            Self::Certificate => Advice::operator(
                "proxy_certificate",
                "Install the system's CA certificates, or give the authority that signed the proxy's certificate (PEM) to \
                 `Proxy::root_certificates`. Check that the certificate is valid and for the proxy's name.",
            ),
            Self::Tls => Advice::operator(
                "proxy_tls",
                "Check that the proxy's port speaks TLS. Most proxies do not: use http:// in the proxy's URL then.",
            ),
            Self::CredentialsMissing => {
                Advice::operator("proxy_credentials_missing", "Give the proxy's user and password to the app.")
            }
            Self::CredentialsRefused => Advice::operator(
                "proxy_credentials_refused",
                "Correct the proxy's user and password. `Basic` must be enabled for a proxy with `http` or `https`.",
            ),
            Self::Forbidden => Advice::operator(
                "proxy_forbidden",
                "Allow the code host's name and port in the proxy. Many proxies allow `CONNECT` to port 443 only.",
            ),
            Self::CodeHostNotFound => Advice::operator(
                "proxy_cannot_resolve",
                "Check the spelling of the base URL, and that the proxy's name server knows the name. A code host that only \
                 the app's network knows must be reached without the proxy.",
            )
            .transient(),
            Self::CodeHostUnreachable => Advice::operator(
                "proxy_cannot_connect",
                "Check host name and port of the base URL, and that a firewall lets the proxy through. A code host that only \
                 the app's network knows must be reached without the proxy.",
            )
            .transient(),
            Self::TimedOut => Advice::operator(
                "proxy_timed_out",
                "Check that the proxy responds, and that it reaches the code host.",
            )
            .transient(),
            Self::Protocol => Advice::operator(
                "not_a_proxy",
                "Check the port of the proxy, and whether its URL must begin with http, https, socks5 or socks5h. A proxy that demands \
                 a client certificate cannot be used.",
            ),
        };
        advice.hide_cause()
    }
}

advised!(ProxyError);
