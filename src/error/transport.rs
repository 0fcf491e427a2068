use std::time::Duration;

use super::{Advice, advised};
use crate::network::RefusedAddress;

/// Why a request got no answer.
///
/// All causes have the same [`public_message`](Self::public_message): which one it was would tell a stranger about the
/// network behind the host.
///
/// ```
/// use codehost_oauth::error::TransportError;
///
/// let [a, b] = [TransportError::Refused, TransportError::AddressNotAllowed];
/// assert_ne!(a.code(), b.code());
/// assert_eq!(a.public_message(), b.public_message());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The network policy refuses the name, or an address that is not to be told.
    #[error("the code host's address is not allowed by the network policy")]
    AddressNotAllowed,
    /// The network policy refuses an address: the one in the URL, or one of those that the name resolves to. It is named
    /// by [`operator_note`](Self::operator_note) and nowhere else.
    #[error("the code host's address is not allowed by the network policy")]
    AddressRefused(RefusedAddress),
    /// Plain HTTP, which was not asked for.
    #[error("plain HTTP is not allowed by the network policy")]
    PlainHttp,
    /// The client was built without TLS.
    #[error("this build has no TLS")]
    NoTls,
    /// The name does not resolve.
    #[error("the code host's name was not found")]
    NameNotFound,
    /// The name servers gave no answer in time.
    #[error("the name lookup of the code host timed out")]
    NameLookupTimedOut,
    /// Nothing listens there, or no way leads there.
    #[error("the code host refused the connection or cannot be reached")]
    Refused,
    /// Nobody that is trusted signed the certificate: a private authority did, or it signed itself.
    #[error("the code host's certificate is not trusted: its authority is unknown")]
    TlsUntrusted,
    /// The server sent only its own certificate, and the one that signed it is not known.
    #[error("the code host's certificate is not trusted: the server sent none that leads to a known authority")]
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
    /// The certificate has no subject alternative name; a common name is not looked at (RFC 9525 section 2).
    #[error("the code host's certificate has no subject alternative name")]
    TlsCommonNameOnly,
    /// The certificate cannot be used for another reason, such as its purpose or its algorithm.
    #[error("the code host's certificate cannot be used")]
    TlsCertificate,
    /// TLS failed for another reason: too old a version, or no TLS at all at that port.
    #[error("no TLS connection could be made with the code host")]
    Tls,
    /// No complete answer in time.
    #[error("the code host did not answer in time")]
    TimedOut,
    /// Too many requests are under way, of this integration or of the whole host. Nothing was sent.
    #[error("too many requests to code hosts are under way")]
    Busy,
    /// The connection ended in the middle of the answer.
    #[error("the connection ended before the answer was complete")]
    Interrupted,
    /// What came was not HTTP.
    #[error("the answer is not valid HTTP")]
    Protocol,
    /// More bytes than an answer may have.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The cap, in bytes.
        limit: usize,
    },
    /// A compressed answer, which was not asked for.
    #[error("the answer is compressed, which was not asked for")]
    Encoded,
}

impl TransportError {
    /// What only the operator may know, as it tells about the operator's network: the address that was refused, and why.
    ///
    /// ```
    /// use codehost_oauth::error::TransportError;
    ///
    /// assert_eq!(TransportError::Refused.operator_note(), None);
    /// ```
    pub fn operator_note(&self) -> Option<String> {
        match self {
            Self::AddressRefused(refused) => Some(refused.to_string()),
            _ => None,
        }
    }

    /// Whether TLS is spoken there, and only the certificate is not trusted.
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

    pub(crate) fn advice(&self) -> Advice {
        let advice = match self {
            Self::AddressNotAllowed | Self::AddressRefused(_) => Advice::operator(
                "address_not_allowed",
                "Add the code host's network to the allow list, if it is a private one. The operator finds the refused \
                 address in the log and in the full report of a check.",
            ),
            Self::PlainHttp => Advice::administrator("plain_http", "Use the https:// address of the code host."),
            Self::NoTls => Advice::operator("no_tls", "Build with the feature `rustls`, or another one for TLS."),
            Self::NameNotFound => Advice::administrator(
                "name_not_found",
                "Check the spelling of the base URL, and that the host's name server knows it.",
            )
            .transient(),
            Self::Refused => Advice::administrator(
                "unreachable",
                "Check host name and port of the base URL, and that a firewall lets the host through.",
            )
            .transient(),
            Self::TlsUntrusted => Advice::administrator(
                "tls_untrusted",
                "Add the certificate (PEM) of the private authority, or the code host's own if it signed itself, to the \
                 integration. If a public authority signed it, let the code host send its whole chain (fullchain.pem).",
            ),
            Self::TlsMissingIntermediate => Advice::administrator(
                "tls_missing_intermediate",
                "Let the code host send its whole chain: with many servers that is the file fullchain.pem in place of \
                 cert.pem. It can also be that a private authority signed the certificate; then add that authority's \
                 certificate (PEM) to the integration.",
            ),
            Self::TlsExpired => {
                Advice::administrator("tls_expired", "Renew the code host's certificate, and reload its web server.")
            }
            Self::TlsNotYetValid => Advice::administrator(
                "tls_not_yet_valid",
                "Check the clocks of the code host and of this app's machine; otherwise wait until the certificate is \
                 valid, or make a new one.",
            ),
            Self::TlsWrongName => Advice::administrator(
                "tls_wrong_name",
                "Enter the base URL with the host name that the certificate is for, or give the code host a certificate \
                 for the name in the base URL.",
            ),
            Self::TlsCommonNameOnly => Advice::administrator(
                "tls_common_name_only",
                "Make the code host's certificate anew with the host name as a subject alternative name (with openssl: \
                 -addext subjectAltName=DNS:NAME); its common name is not enough.",
            ),
            Self::TlsCertificate => Advice::administrator(
                "tls_certificate",
                "Give the code host a certificate for a TLS server, with an RSA key of 2048 bits or more, or an ECDSA key.",
            ),
            Self::Tls => Advice::administrator("tls_failed", "Check that the base URL's port speaks TLS 1.2 or newer."),
            Self::NameLookupTimedOut => Advice::operator(
                "name_lookup_timed_out",
                "Check the name servers that this app uses, and that they know the host name of the base URL: they gave no \
                 answer in time.",
            )
            .transient(),
            Self::TimedOut => Advice::code_host(
                "timed_out",
                "Try again; if it stays, check that a firewall lets this app reach host name and port of the base URL, \
                 and whether the code host is slow; then raise the time-out of the integration.",
            )
            .transient(),
            Self::Busy => {
                Advice::operator("busy", "Try again in a moment; if it stays, allow more requests at once.").transient()
            }
            Self::Interrupted => Advice::code_host("interrupted", "Try again.").transient(),
            Self::Protocol => Advice::code_host("not_http", "Check that the base URL leads to a web server."),
            Self::TooLarge { .. } => Advice::code_host("too_large", "Check that the base URL leads to a code host."),
            Self::Encoded => Advice::code_host(
                "encoded",
                "Let the proxy in front of the code host honour `Accept-Encoding: identity`.",
            ),
        };
        advice.unreachable()
    }
}

/// Why an answer is not one of the platform's.
///
/// ```
/// use codehost_oauth::error::{AnswerError, Audience};
///
/// assert_eq!(AnswerError::Html.audience(), Audience::Administrator);
/// assert!(AnswerError::ReadOnly.is_transient());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// A redirect, which is never followed: it could carry a secret elsewhere.
    #[error("the code host answered with a redirect{}", to.as_ref().map(|origin| format!(" to {origin}")).unwrap_or_default())]
    Redirect {
        /// Scheme, host and port of the target.
        to: Option<String>,
    },
    /// A web page where JSON was expected.
    #[error("the code host answered with a web page")]
    Html,
    /// Neither JSON nor a web page.
    #[error("the code host's answer is not JSON")]
    NotJson,
    /// JSON that lacks a required member, or has one of another type.
    #[error("the code host's answer has no valid `{field}`")]
    Malformed {
        /// The member that is missing or wrong, or `body` if it is not JSON at all.
        field: &'static str,
    },
    /// 429 of either platform, in any of its shapes.
    #[error("the code host limits the rate of requests")]
    RateLimited {
        /// What `Retry-After` asked for.
        retry_after: Option<Duration>,
    },
    /// A page that asks for proof of a human, of a bot protection in front of the code host.
    #[error("a bot protection in front of the code host asked for proof of a human")]
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
    /// A status that fits nothing above.
    #[error("the code host answered with an unexpected status")]
    Status,
}

impl AnswerError {
    pub(crate) fn advice(&self) -> Advice {
        let advice = match self {
            Self::Redirect { .. } => Advice::administrator(
                "redirect",
                "Ask whoever runs the code host for its address, and use that as the base URL, with its sub-path if it has one.",
            ),
            Self::Html => Advice::administrator(
                "html",
                "Check that the base URL is the code host's start page, with its sub-path, and that no login wall stands before its API.",
            ),
            Self::NotJson => Advice::administrator("not_json", "Check that the base URL leads to a code host."),
            Self::Malformed { .. } => {
                Advice::code_host("malformed", "Check that the base URL leads to a code host of this platform.")
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
            Self::Status => Advice::code_host("unexpected_status", "Check that the base URL leads to a code host."),
        };
        advice.unreachable()
    }
}

advised!(TransportError);
advised!(AnswerError);
