use std::time::Duration;

use super::{Advice, ProxyError, advised};
use crate::values::network::RefusedAddress;

/// Why a request got no complete response.
///
/// All causes have the same [`public_message`](Self::advice): the cause would tell a stranger about the app's network.
///
/// ```
/// use codehost_oauth::error::TransportError;
///
/// let [a, b] = [TransportError::Unreachable, TransportError::NameNotAllowed];
/// assert_ne!(a.code(), b.code());
/// assert_eq!(a.advice().public_message, b.advice().public_message);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The network policy does not allow the host name, such as `localhost`. It is not looked up.
    #[error("the network policy does not allow the code host's name")]
    NameNotAllowed,
    /// The network policy does not allow an address: the one in the URL, or one that the host name resolves to. Only
    /// [`operator_note`](Self::operator_note) shows it.
    #[error("the network policy does not allow the code host's address")]
    AddressRefused(RefusedAddress),
    /// Plain HTTP, which the network policy does not allow.
    #[error("plain HTTP is not allowed by the network policy")]
    PlainHttp,
    /// The client was built without TLS.
    #[error("this build has no TLS")]
    NoTls,
    /// The name does not resolve.
    #[error("the code host's name was not found")]
    NameNotFound,
    /// The name servers gave no response in time.
    #[error("the name lookup of the code host timed out")]
    NameLookupTimedOut,
    /// Nothing listens at that port, or there is no route to the address.
    #[error("the app cannot connect to the code host")]
    Unreachable,
    /// No trusted authority signed the certificate: a private one did, or it is self-signed.
    #[error("the code host's certificate is not trusted: its authority is unknown")]
    TlsUntrusted,
    /// The server sent only its own certificate, and the certificate that signed it is unknown.
    #[error(
        "the code host's certificate is not trusted: the server did not send the certificates between it and a known authority"
    )]
    TlsMissingIntermediate,
    /// The certificate is no longer valid.
    #[error("the code host's certificate has expired")]
    TlsExpired,
    /// The certificate is not valid yet.
    #[error("the code host's certificate is not valid yet")]
    TlsNotYetValid,
    /// The certificate is for other names.
    #[error("the code host's certificate is for another host name")]
    TlsWrongName,
    /// The certificate has no subject alternative name; a common name is ignored (RFC 9525 section 2).
    #[error("the code host's certificate has no subject alternative name")]
    TlsCommonNameOnly,
    /// The certificate cannot be used for another reason, such as its purpose or its algorithm.
    #[error("the code host's certificate cannot be used")]
    TlsCertificate,
    /// TLS failed for another reason: too old a version, or no TLS at all at that port.
    #[error("no TLS connection could be made with the code host")]
    Tls,
    /// The code host demands a client certificate, or refuses the one of this integration.
    #[error("the code host refuses the connection without a client certificate that it accepts")]
    ClientCertificate,
    /// The system has no certificate authorities, and the integration brings none.
    #[error("no certificate authority is trusted: the system has none, and none was added")]
    NoAuthorities,
    /// The proxy gave no connection to the code host.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// No complete response in time.
    #[error("the code host did not respond in time")]
    TimedOut,
    /// Too many requests are under way, of this integration or of the whole app. Nothing was sent.
    #[error("too many requests to code hosts are under way")]
    Busy,
    /// The connection ended in the middle of the response.
    #[error("the connection ended before the response was complete")]
    Interrupted,
    /// The response was not HTTP.
    #[error("the response is not valid HTTP")]
    Protocol,
    /// More bytes than a response may have.
    #[error("the response is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A compressed response, which the request did not allow.
    #[error("the response is compressed, which the request did not allow")]
    Encoded,
    /// The app's own HTTP client has followed a redirect.
    #[error("the app's HTTP client has followed a redirect")]
    Redirected,
}

impl TransportError {
    /// Details for the operator only, since they are about the app's network: the refused address, and why it was refused.
    ///
    /// ```
    /// use codehost_oauth::error::TransportError;
    ///
    /// assert_eq!(TransportError::Unreachable.operator_note(), None);
    /// ```
    pub fn operator_note(&self) -> Option<String> {
        match self {
            Self::AddressRefused(refused) => Some(refused.to_string()),
            _ => None,
        }
    }

    /// Whether the server speaks TLS, and only its certificate was refused.
    pub(crate) fn is_certificate(&self) -> bool {
        matches!(
            self,
            Self::TlsUntrusted
                | Self::TlsMissingIntermediate
                | Self::TlsExpired
                | Self::TlsNotYetValid
                | Self::TlsWrongName
                | Self::TlsCommonNameOnly
                | Self::TlsCertificate
        )
    }

    pub(crate) fn advice_row(&self) -> Advice {
        let advice = match self {
            Self::NameNotAllowed => Advice::operator(
                "name_not_allowed",
                "Allow the code host's name with `Network::allow_name`, or allow its private network. The names of cloud metadata \
                 services cannot be allowed.",
            ),
            Self::AddressRefused(_) => Advice::operator(
                "address_not_allowed",
                "Add the code host's network to the allow list, if it is a private one. The refused address is in the log \
                 and in the full report of a check.",
            ),
            Self::PlainHttp => Advice::administrator("plain_http", "Use the https:// address of the code host."),
            Self::NoTls => Advice::operator("no_tls", "Build with the feature `rustls`, or another one for TLS."),
            Self::NameNotFound => Advice::administrator(
                "name_not_found",
                "Check the spelling of the base URL, and that the app's name server knows it.",
            )
            .transient(),
            Self::Unreachable => Advice::administrator(
                "unreachable",
                "Check host name and port of the base URL, and that a firewall lets the app through.",
            )
            .transient(),
            Self::TlsUntrusted => Advice::administrator(
                "tls_untrusted",
                "Add the certificate (PEM) of the private authority, or the code host's own if it signed itself, to the \
                 integration. If a public authority signed it, let the code host send its whole chain (fullchain.pem).",
            ),
            Self::TlsMissingIntermediate => Advice::administrator(
                "tls_missing_intermediate",
                "Let the code host send its whole chain: for many servers that is the file fullchain.pem instead of \
                 cert.pem. If a private authority signed the certificate, add that authority's certificate (PEM) to the \
                 integration.",
            ),
            Self::TlsExpired => {
                Advice::administrator("tls_expired", "Renew the code host's certificate, and reload its web server.")
            }
            Self::TlsNotYetValid => Advice::administrator(
                "tls_not_yet_valid",
                "Check the clocks of the code host and of this app's machine; if both are right, wait until the certificate \
                 is valid, or create a new one.",
            ),
            Self::TlsWrongName => Advice::administrator(
                "tls_wrong_name",
                "Enter the base URL with the host name that the certificate is for, or give the code host a certificate \
                 for the name in the base URL.",
            ),
            Self::TlsCommonNameOnly => Advice::administrator(
                "tls_common_name_only",
                "Create a new certificate for the code host with the host name as a subject alternative name (with openssl: \
                 -addext subjectAltName=DNS:NAME); its common name is not enough.",
            ),
            Self::TlsCertificate => Advice::administrator(
                "tls_certificate",
                "Give the code host a certificate for a TLS server, with an RSA key of 2048 bits or more, or an ECDSA key.",
            ),
            Self::Tls => Advice::administrator(
                "tls_failed",
                "Check that the base URL's port speaks TLS 1.2 or newer, and whether it demands a client certificate.",
            ),
            Self::ClientCertificate => Advice::administrator(
                "client_certificate",
                "Give the integration a client certificate that the code host accepts, with its key, and with the certificates \
                 between it and the authority that the code host knows.",
            ),
            Self::NoAuthorities => Advice::operator(
                "no_authorities",
                "Install the system's CA certificates (for Debian and Alpine the package ca-certificates), or add the \
                 certificate of the code host's authority to the integration.",
            ),
            Self::Proxy(cause) => return cause.advice_row(),
            Self::NameLookupTimedOut => Advice::operator(
                "name_lookup_timed_out",
                "Check the name servers that this app uses, and that they know the host name of the base URL.",
            )
            .transient(),
            Self::TimedOut => Advice::code_host(
                "timed_out",
                "Try again. If it happens again, check that a firewall lets this app reach host name and port of the base \
                 URL. If the code host is slow, raise the time-out of the integration.",
            )
            .transient(),
            Self::Busy => {
                Advice::operator("busy", "Try again in a moment. If it happens again, allow more requests at once.").transient()
            }
            Self::Interrupted => Advice::code_host("interrupted", "Try again.").transient(),
            Self::Protocol => Advice::code_host("not_http", "Check that the base URL is that of a web server."),
            Self::TooLarge { .. } => Advice::code_host("too_large", "Check that the base URL is that of a code host."),
            Self::Encoded => Advice::code_host(
                "encoded",
                "Configure the proxy in front of the code host to honour `Accept-Encoding: identity`.",
            ),
            Self::Redirected => {
                Advice::operator("redirect_followed", "Build an HTTP client that follows no redirects, and pass that one.")
            }
        };
        advice.hide_cause()
    }
}

/// Why a response cannot be used, whatever the platform is.
///
/// ```
/// use codehost_oauth::error::{ResponseError, Audience};
///
/// assert_eq!(ResponseError::Html.advice().audience, Audience::Administrator);
/// assert!(ResponseError::ReadOnly.advice().is_transient);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// A redirect. None is followed: it could send a secret to another server.
    #[error("the code host responded with a redirect{}", to.as_ref().map(|origin| format!(" to {origin}")).unwrap_or_default())]
    Redirect {
        /// Scheme, host and port of the target.
        to: Option<String>,
    },
    /// A web server's page that says that it demands a client certificate, or does not accept the one that it got.
    #[error("the web server of the code host demands a client certificate that it accepts")]
    ClientCertificate,
    /// A web page where JSON was expected.
    #[error("the code host responded with a web page")]
    Html,
    /// Neither JSON nor a web page.
    #[error("the code host's response is not JSON")]
    NotJson,
    /// JSON that lacks a required member, or has one of another type.
    #[error("the code host's response has no valid `{field}`")]
    Malformed {
        /// The member that is missing or wrong, or `body` if it is not JSON at all.
        field: &'static str,
    },
    /// Status 429.
    #[error("the code host limits the rate of requests")]
    RateLimited {
        /// What `Retry-After` asked for.
        retry_after: Option<Duration>,
    },
    /// A page of a bot protection in front of the code host, which asks for proof that a human is there.
    #[error("a bot protection in front of the code host asked for proof that a human is there")]
    BotChallenge,
    /// 5xx.
    #[error("the code host is down or overloaded")]
    Unavailable {
        /// What `Retry-After` asked for.
        retry_after: Option<Duration>,
    },
    /// Maintenance mode, or a read-only replica.
    #[error("the code host is read-only at the moment")]
    ReadOnly,
    /// Any other status that the call does not expect.
    #[error("the code host responded with an unexpected status")]
    Status,
}

impl ResponseError {
    pub(crate) fn advice_row(&self) -> Advice {
        let advice = match self {
            Self::Redirect { .. } => Advice::administrator(
                "redirect",
                "Ask the operator of the code host for its address, and use that as the base URL, with its sub-path if it has one.",
            ),
            Self::ClientCertificate => TransportError::ClientCertificate.advice_row(),
            Self::Html => Advice::administrator(
                "html",
                "Check that the base URL is the code host's start page, with its sub-path. If an access gateway with its own login \
                 is in front of it, let the gateway accept headers, and add them to the integration.",
            ),
            Self::NotJson => Advice::administrator("not_json", "Check that the base URL is that of a code host."),
            Self::Malformed { .. } => {
                Advice::code_host("malformed", "Check that the base URL is that of a code host of this platform.")
            }
            Self::RateLimited { retry_after } => {
                Advice::code_host("rate_limited", "Wait before the next request.").retry_after(*retry_after)
            }
            Self::BotChallenge => Advice::administrator(
                "bot_challenge",
                "Let this app's requests to the code host's API and token endpoint pass its bot protection without a \
                 challenge, for example by the app's IP address.",
            ),
            Self::Unavailable { retry_after } => {
                Advice::code_host("code_host_down", "Try again later.").retry_after(*retry_after)
            }
            Self::ReadOnly => Advice::code_host("read_only", "Try again when the maintenance is over.").transient(),
            Self::Status => Advice::code_host("unexpected_status", "Check that the base URL is that of a code host."),
        };
        advice.hide_cause()
    }
}

advised!(TransportError);
advised!(ResponseError);
