//! Bytes in, bytes out: how requests leave the host, and where they may go.

mod answer;
mod bulkhead;
#[cfg(feature = "http-client")]
mod client;
#[cfg(feature = "http-client")]
mod connect;
mod limits;
#[cfg(feature = "http-client")]
mod meter;
#[cfg(feature = "http-client")]
mod pool;
#[cfg(feature = "http-client")]
mod resolve;
#[cfg(feature = "http-client")]
mod tls;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

use crate::error::TransportError;

pub(crate) use self::answer::MAX_TOKEN_BODY;
pub use self::answer::Reply;
pub(crate) use self::bulkhead::{Bulkhead, MAX_IN_FLIGHT};
#[cfg(feature = "http-client")]
#[cfg_attr(docsrs, doc(cfg(feature = "http-client")))]
pub use self::client::{HttpClient, HttpClientBuilder};
pub use self::limits::RequestLimits;
#[cfg(feature = "http-client")]
#[cfg_attr(docsrs, doc(cfg(feature = "http-client")))]
pub use self::resolve::Resolve;
pub use crate::network::{AddressClass, Cidr, Network, RefusedAddress};

/// Sends one request and brings back one answer.
///
/// [`HttpClient`] is the one to use. Bring another to record requests in a test, or to send them through a stack that
/// the host already has; it then owes what `HttpClient` gives:
///
/// # Contract
///
/// - It follows no redirect and decompresses nothing, and it sends a `POST` once: codes and refresh tokens work once.
/// - It sends nothing before the future is polled: an integration makes one and lets it out when there is room for it.
/// - It ends within a time of its own, and reads no more than `max_body` bytes of the body.
/// - It connects only where the host's policy allows, checked for the address that is really dialled.
/// - It logs neither headers nor bodies: they hold secrets.
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
///         Err(TransportError::Refused)
///     }
/// }
/// ```
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends `request` and reads at most `max_body` bytes of the answer's body.
    ///
    /// Signature: `async fn send(&self, request: http::Request<Vec<u8>>, max_body: usize)
    /// -> Result<http::Response<Vec<u8>>, TransportError>`
    ///
    /// # Errors
    ///
    /// [`TransportError`] if there is no complete answer. An answer of any status is `Ok`.
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError>;

    /// Sends `request` to `url`, whatever URI it has: providers keep their endpoints parsed. A transport gains by it only
    /// if it would parse the URI into a `Url` again.
    ///
    /// Signature: `async fn send_to(&self, url: &Url, request: http::Request<Vec<u8>>, max_body: usize)
    /// -> Result<http::Response<Vec<u8>>, TransportError>`
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    async fn send_to(
        &self,
        url: &Url,
        mut request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        *request.uri_mut() = url.as_str().parse().map_err(|_| TransportError::Protocol)?;
        self.send(request, max_body).await
    }

    /// Says that so many requests to the host of `url` follow at once, as soon as something else is known. A transport may
    /// open connections for them meanwhile; it sends nothing on them. The default does nothing.
    ///
    /// ```
    /// use codehost_oauth::testing::ScriptedTransport;
    /// use codehost_oauth::transport::Transport;
    ///
    /// let http = ScriptedTransport::new();
    /// http.prepare(&"https://api.example.com/user".parse()?, 2);
    /// assert!(http.requests().is_empty());
    /// # Ok::<(), url::ParseError>(())
    /// ```
    fn prepare(&self, _url: &Url, _requests: usize) {}

    /// What the integrations that use this transport have in common: how many requests of each are under way. With the
    /// default, `None`, each [`Integration`](crate::Integration) value counts for itself, and a tenant that saves its
    /// settings again gets new slots.
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
    ///         Err(TransportError::Refused)
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
}

/// What the methods of [`Transport`] give, written out. Those of the crate are on the way of every request: what they
/// make before the future does not have to be in it.
type Sending<'a> = Pin<Box<dyn Future<Output = Result<http::Response<Vec<u8>>, TransportError>> + Send + 'a>>;

impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn send<'a, 'b>(&'a self, request: http::Request<Vec<u8>>, max_body: usize) -> Sending<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        (**self).send(request, max_body)
    }

    fn send_to<'a, 'u, 'b>(&'a self, url: &'u Url, request: http::Request<Vec<u8>>, max_body: usize) -> Sending<'b>
    where
        'a: 'b,
        'u: 'b,
        Self: 'b,
    {
        (**self).send_to(url, request, max_body)
    }

    fn prepare(&self, url: &Url, requests: usize) {
        (**self).prepare(url, requests);
    }

    fn limits(&self) -> Option<&RequestLimits> {
        (**self).limits()
    }
}
