//! The HTTP client, the trait that replaces it, and the policy for the addresses that requests may go to.

mod bulkhead;
#[cfg(feature = "http-client")]
mod client;
#[cfg(feature = "http-client")]
mod connect;
#[cfg(feature = "http-client")]
mod fixed_headers;
mod limits;
#[cfg(feature = "http-client")]
mod meter;
#[cfg(feature = "http-client")]
mod origin;
#[cfg(feature = "http-client")]
mod pool;
#[cfg(feature = "http-client")]
mod proxy;
mod report;
pub(crate) mod request;
#[cfg(feature = "http-client")]
mod resolve;
pub(crate) mod response;
#[cfg(feature = "http-client")]
mod socket;
#[cfg(feature = "http-client")]
mod tcp;
#[cfg(feature = "http-client")]
mod tls;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::Uri;
#[cfg(any(feature = "http-client", feature = "reqwest"))]
use http::{HeaderMap, header::CONTENT_ENCODING};

use crate::error::TransportError;

pub(crate) use self::bulkhead::{Bulkhead, MAX_IN_FLIGHT};
#[cfg(feature = "http-client")]
#[cfg_attr(docsrs, doc(cfg(feature = "http-client")))]
pub use self::client::{HttpClient, HttpClientBuilder};
#[cfg(feature = "http-client")]
#[cfg_attr(docsrs, doc(cfg(feature = "http-client")))]
pub use self::fixed_headers::FixedHeaders;
pub use self::limits::RequestLimits;
#[cfg(feature = "http-client")]
#[cfg_attr(docsrs, doc(cfg(feature = "http-client")))]
pub use self::proxy::Proxy;
pub use self::report::{CertificateSummary, ConnectionReport, ReportedAddress};
pub(crate) use self::request::ApiRequest;
#[cfg(feature = "http-client")]
#[cfg_attr(docsrs, doc(cfg(feature = "http-client")))]
pub use self::resolve::Resolve;
pub(crate) use self::response::{ApiResponse, MAX_TOKEN_BODY};
#[cfg(feature = "http-client")]
#[cfg_attr(docsrs, doc(cfg(feature = "http-client")))]
pub use self::tls::ClientCertificate;
pub use crate::values::network::{AddressClass, Cidr, Network, RefusedAddress};

/// Sends one request and returns one response.
///
/// Apps use [`HttpClient`], or, with the feature `reqwest`, a `ReqwestTransport` with a client that they already have. Write another
/// transport to record requests in a test, or to use another HTTP client. It must do what `HttpClient` does:
///
/// # Contract
///
/// - It follows no redirects and does not decompress. It repeats only a `GET` or `HEAD`: codes and refresh tokens work only once.
/// - It has a time limit of its own, and reads at most `max_body` bytes of the body.
/// - It connects only to addresses that the app's network policy allows. It checks the address that it connects to.
/// - It logs neither headers nor bodies: they contain secrets.
/// - Around another transport, it forwards all four methods: the defaults of the other three would switch off limits and reports.
///
/// ```
/// use codehost_oauth::{error::TransportError, transport::Transport};
///
/// #[derive(Debug)]
/// struct Offline;
///
/// #[async_trait::async_trait]
/// impl Transport for Offline {
///     async fn send(&self, _: http::Request<Vec<u8>>, _: usize) -> Result<http::Response<Vec<u8>>, TransportError> {
///         Err(TransportError::Unreachable)
///     }
/// }
/// ```
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends `request`, whose URI is absolute, and reads at most `max_body` bytes of the response's body.
    ///
    /// Signature: `async fn send(&self, request: http::Request<Vec<u8>>, max_body: usize)
    /// -> Result<http::Response<Vec<u8>>, TransportError>`
    ///
    /// # Errors
    ///
    /// [`TransportError`] if there is no complete response. A response of any status is `Ok`.
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError>;

    /// Opens connections in advance, for a number of requests that will soon be sent to this URI at the same time. It sends
    /// nothing on them, and closes those that are not used. The default does nothing.
    ///
    /// ```
    /// use codehost_oauth::testing::ScriptedTransport;
    /// use codehost_oauth::transport::Transport;
    ///
    /// let http = ScriptedTransport::new();
    /// http.preconnect(&"https://api.example.com/user".parse()?, 2);
    /// assert!(http.requests().is_empty());
    /// # Ok::<(), http::uri::InvalidUri>(())
    /// ```
    fn preconnect(&self, _uri: &Uri, _requests: usize) {}

    /// The limits that the integrations with this transport share: how many requests of each are under way. With the
    /// default, `None`, each [`Integration`](crate::Integration) value has its own limits, so a tenant that saves its settings
    /// again gets new slots.
    ///
    /// ```
    /// use codehost_oauth::{error::TransportError, transport::{RequestLimits, Transport}};
    ///
    /// #[derive(Debug, Default)]
    /// struct Own {
    ///     limits: RequestLimits,
    /// }
    ///
    /// #[async_trait::async_trait]
    /// impl Transport for Own {
    ///     async fn send(&self, _: http::Request<Vec<u8>>, _: usize) -> Result<http::Response<Vec<u8>>, TransportError> {
    ///         Err(TransportError::Unreachable)
    ///     }
    ///
    ///     fn limits(&self) -> Option<&RequestLimits> {
    ///         Some(&self.limits)
    ///     }
    /// }
    ///
    /// assert!(Own::default().limits().is_some());
    /// ```
    fn limits(&self) -> Option<&RequestLimits> {
        None
    }

    /// How this transport connects to the server of `uri`, for the operator's report of a check: addresses, proxy and
    /// certificate. It sends no request. The default, `None`, means that the transport does not know.
    ///
    /// Signature: `async fn inspect(&self, uri: &http::Uri) -> Option<ConnectionReport>`
    async fn inspect(&self, _uri: &Uri) -> Option<ConnectionReport> {
        None
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: Transport + ?Sized> Transport for Arc<T> {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        (**self).send(request, max_body).await
    }

    fn preconnect(&self, uri: &Uri, requests: usize) {
        (**self).preconnect(uri, requests);
    }

    fn limits(&self) -> Option<&RequestLimits> {
        (**self).limits()
    }

    async fn inspect(&self, uri: &Uri) -> Option<ConnectionReport> {
        (**self).inspect(uri).await
    }
}

/// Whether a response is compressed. Some proxies send the encoding `identity`, which RFC 9110 section 8.4 advises against.
#[cfg(any(feature = "http-client", feature = "reqwest"))]
pub(crate) fn is_encoded(headers: &HeaderMap) -> bool {
    let encodings =
        headers.get_all(CONTENT_ENCODING).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut encodings = encodings.map(<[u8]>::trim_ascii);
    encodings.any(|encoding| !encoding.is_empty() && !encoding.eq_ignore_ascii_case(b"identity"))
}

/// What an error of the TLS library means; `None` if this build of the crate does not have that library.
#[cfg(feature = "reqwest")]
pub(crate) fn tls_cause(error: &(dyn std::error::Error + 'static)) -> Option<TransportError> {
    #[cfg(feature = "http-client")]
    return tls::find_cause(error);
    #[cfg(not(feature = "http-client"))]
    {
        let _ = error;
        None
    }
}
