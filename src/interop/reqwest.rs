//! An app's own `reqwest::Client` as [`Transport`].

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{ACCEPT_ENCODING, HeaderValue, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Body, Client, Request, Response, Url};

use crate::error::{ConfigError, TransportError};
use crate::transport::request::DEFAULT_USER_AGENT;
use crate::transport::{RequestLimits, Transport, is_encoded, tls_cause};

/// Sends requests with the app's own [`reqwest::Client`]. Cloning it is cheap, and clones share their [`RequestLimits`].
///
/// For code hosts that the app's operator chooses. Which addresses the client connects to is the app's choice: no
/// [`Network`](crate::transport::Network) is checked when it connects. If tenants type in base URLs, use
/// [`HttpClient`](crate::transport::HttpClient).
///
/// | promise of [`Transport`] | with this transport |
/// | --- | --- |
/// | no redirect is followed, no decompression, no cookies | checked by [`new`](Self::new). Then each response must come from the URL of its request, and must not be encoded |
/// | only a `GET` or `HEAD` is repeated | the body of other requests cannot be sent a second time, whatever the client's retry policy is. A `GET` may be repeated |
/// | a deadline and a limit for the body | ours: 15 seconds, see [`with_timeout`](Self::with_timeout). A shorter time-out of the client holds too |
/// | allowed addresses, proxies, TLS, interim responses and trailers | the app's client and reqwest; nothing is checked here |
///
/// Another crate in the app's tree can turn on a feature of reqwest, and with it a default of the client. So name all of these
/// settings, as here:
///
/// ```
/// use codehost_oauth::interop::ReqwestTransport;
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = reqwest::Client::builder()
///     .redirect(reqwest::redirect::Policy::none())
///     .no_gzip()
///     .no_brotli()
///     .no_deflate()
///     .no_zstd()
///     .retry(reqwest::retry::never())
///     .pool_idle_timeout(std::time::Duration::from_secs(4))
///     .build()?;
/// let http = ReqwestTransport::new(client)?;
///
/// let careless = reqwest::Client::builder().build()?;
/// assert_eq!(ReqwestTransport::new(careless).unwrap_err().code(), "reqwest_redirects");
/// # Ok(())
/// # }
/// # #[cfg(feature = "rustls")]
/// # example().unwrap();
/// ```
#[derive(Clone)]
pub struct ReqwestTransport {
    client: Client,
    /// Whether the client has a `User-Agent` of its own. It shows the administrators of a code host which app sends the requests.
    has_user_agent: bool,
    timeout: Duration,
    limits: RequestLimits,
}

impl ReqwestTransport {
    /// Checks the settings of the client. Sends nothing.
    ///
    /// # Errors
    ///
    /// [`ConfigError::ReqwestRedirects`], [`ConfigError::ReqwestDecompression`] or [`ConfigError::ReqwestCookies`]. The hint is the
    /// line that corrects the client.
    pub fn new(client: Client) -> Result<Self, ConfigError> {
        let settings = format!("{client:?}");
        check(&settings)?;
        let has_user_agent = settings.contains(r#""user-agent": "#);
        Ok(Self { client, has_user_agent, timeout: TIMEOUT, limits: RequestLimits::default() })
    }

    /// The same transport with another time limit for a whole request, from the name look-up to the last byte.
    ///
    /// ```
    /// # #[cfg(feature = "rustls")] {
    /// use std::time::Duration;
    ///
    /// use codehost_oauth::interop::ReqwestTransport;
    /// use reqwest::redirect::Policy;
    ///
    /// let client = reqwest::Client::builder().redirect(Policy::none()).no_gzip().no_brotli().no_deflate().no_zstd();
    /// let http = ReqwestTransport::new(client.build().unwrap()).unwrap().with_timeout(Duration::from_secs(60));
    /// assert!(format!("{http:?}").contains("60s"));
    /// # }
    /// ```
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    async fn exchange(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let mut request = outgoing(request)?;
        // reqwest adds its client's own, if there is none.
        if self.has_user_agent && request.headers().get(USER_AGENT).is_some_and(|named| named == DEFAULT_USER_AGENT) {
            request.headers_mut().remove(USER_AGENT);
        }
        let url = request.url().clone();
        let is_plain = url.scheme() == "http";
        let response = self.client.execute(request).await.map_err(|error| cause(&error, is_plain))?;
        // Defence in depth: `new` has refused clients that follow redirects.
        if *response.url() != url {
            return Err(TransportError::Redirected);
        }
        read_to_end(response, max_body).await
    }
}

#[async_trait]
impl Transport for ReqwestTransport {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let exchange = self.exchange(request, max_body);
        tokio::time::timeout(self.timeout, exchange).await.unwrap_or(Err(TransportError::TimedOut))
    }

    fn limits(&self) -> Option<&RequestLimits> {
        Some(&self.limits)
    }
}

/// Without the client: its `Debug` shows the default headers.
impl fmt::Debug for ReqwestTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestTransport").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// reqwest shows the settings of a client in its `Debug` only. A text that is not understood is refused. Quotes in the value of a
/// default header are escaped there, so a header cannot imitate the redirect policy.
fn check(settings: &str) -> Result<(), ConfigError> {
    // Without this field, the client has reqwest's default policy: it follows ten redirects.
    if !settings.contains(&format!("redirect_policy: {:?}", format!("{:?}", Policy::none()))) {
        return Err(ConfigError::ReqwestRedirects);
    }
    // `accepts: Accepts` without features for decompression, else `accepts: Accepts { gzip: false, … }`.
    let encodings = settings.split_once("accepts: Accepts").map(|(_, rest)| match rest.strip_prefix(" {") {
        Some(fields) => fields.split('}').next().unwrap_or_default(),
        None => "",
    });
    if encodings.is_none_or(|encodings| encodings.contains("true")) {
        return Err(ConfigError::ReqwestDecompression);
    }
    if settings.contains("cookie_store: true") { Err(ConfigError::ReqwestCookies) } else { Ok(()) }
}

/// The request in the form that reqwest sends.
fn outgoing(request: http::Request<Vec<u8>>) -> Result<Request, TransportError> {
    let (parts, body) = request.into_parts();
    let url = Url::parse(&parts.uri.to_string()).map_err(|_| TransportError::Protocol)?;
    let mut outgoing = Request::new(parts.method, url);
    *outgoing.headers_mut() = parts.headers;
    outgoing.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if !outgoing.method().is_safe() {
        // reqwest can copy a `Body` of bytes, to send it again. It cannot copy one that is wrapped.
        *outgoing.body_mut() = Some(Body::wrap(Body::from(body)));
    }
    Ok(outgoing)
}

/// Reads a response to its end.
async fn read_to_end(mut response: Response, max_body: usize) -> Result<http::Response<Vec<u8>>, TransportError> {
    if is_encoded(response.headers()) {
        return Err(TransportError::Encoded);
    }
    let too_large = TransportError::TooLarge { limit: max_body };
    if response.content_length().is_some_and(|length| usize::try_from(length).map_or(true, |length| length > max_body))
    {
        return Err(too_large);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| cause(&error, false))? {
        if chunk.len() > max_body.saturating_sub(body.len()) {
            return Err(too_large);
        }
        body.extend_from_slice(&chunk);
    }
    let mut complete = http::Response::new(body);
    *complete.status_mut() = response.status();
    *complete.headers_mut() = std::mem::take(response.headers_mut());
    Ok(complete)
}

/// Why there is no complete response. The error itself is dropped: its text contains the URL.
fn cause(error: &reqwest::Error, is_plain: bool) -> TransportError {
    if error.is_timeout() {
        TransportError::TimedOut
    } else if error.is_builder() {
        // Nothing was sent: the client allows https only, or the URL is not one of a web server.
        if is_plain { TransportError::PlainHttp } else { TransportError::Protocol }
    } else if error.is_dns() {
        TransportError::NameNotFound
    } else if error.is_connect() {
        connect_cause(error)
    } else if sources(error).any(|source| source.downcast_ref().is_some_and(hyper::Error::is_parse)) {
        TransportError::Protocol
    } else {
        TransportError::Interrupted
    }
}

/// Why there is no connection: TLS, or no TCP connection.
fn connect_cause(error: &reqwest::Error) -> TransportError {
    // reqwest does not say that TLS failed: rustls gives `InvalidData`, and a server without TLS closes the connection.
    let is_tls = |source: &(dyn StdError + 'static)| {
        source.downcast_ref::<io::Error>().is_some_and(|io| {
            matches!(
                io.kind(),
                io::ErrorKind::InvalidData
                    | io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
            )
        })
    };
    match sources(error).find(|source| is_tls(*source)) {
        Some(source) => sources(source).last().and_then(tls_cause).unwrap_or(TransportError::Tls),
        None => TransportError::Unreachable,
    }
}

/// The error and its sources.
fn sources<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| source(*error))
}

/// `io::Error::source` leaves out the error that it wraps.
fn source<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

const TIMEOUT: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// No client that `new` accepts follows a redirect. If a later reqwest did, the response would be refused.
    #[tokio::test]
    async fn a_response_from_another_url_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            for response in [
                "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            ] {
                let (mut stream, _) = listener.accept().unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                assert!(lines.map_while(Result::ok).take_while(|line| !line.is_empty()).count() > 0);
                stream.write_all(response.as_bytes()).unwrap();
            }
        });
        let client = Client::builder().no_proxy().build().unwrap();
        let (timeout, limits) = (TIMEOUT, RequestLimits::default());
        let unchecked = ReqwestTransport { client, has_user_agent: false, timeout, limits };
        let request = http::Request::get(url).body(Vec::new()).unwrap();
        assert_eq!(unchecked.send(request, 1024).await.unwrap_err(), TransportError::Redirected);
        server.join().unwrap();
    }
}
