use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use http::{HeaderMap, Method};
use url::Url;

use super::journal::RecordedRequest;
use super::traffic::{Traffic, show, shown_response};
use super::wire::respond;
use crate::error::TransportError;
use crate::transport::Transport;

/// A [`Transport`] without connections: it gives the responses that a test defines, and records the requests.
///
/// There is a queue of responses for each path, so the order in which a provider requests two paths does not matter. A
/// path with an empty queue gets the response of [`otherwise`](Self::otherwise), or [`TransportError::Unreachable`] if
/// there is none. The limit of a body's size applies as for every transport. Clones share everything.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use codehost_oauth::{testing::ScriptedTransport, transport::Transport};
///
/// let http = ScriptedTransport::new();
/// http.json("/user", r#"{"id":42}"#);
///
/// let request = http::Request::get("https://git.example.com/user?page=1").body(Vec::new())?;
/// assert_eq!(http.send(request, 1024).await?.status(), 200);
/// assert_eq!(http.requests()[0].url.as_str(), "https://git.example.com/user?page=1");
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone, Default)]
pub struct ScriptedTransport(Arc<Mutex<Script>>);

impl ScriptedTransport {
    /// A transport without responses.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a response for `path` to the queue. A header that HTTP does not allow is left out.
    pub fn respond(&self, path: &str, status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> &Self {
        self.queue(path, Ok(respond(status, headers, body)))
    }

    /// Adds a response with status 200 and this JSON for `path`.
    pub fn json(&self, path: &str, body: impl Into<Vec<u8>>) -> &Self {
        self.respond(path, 200, &[("content-type", "application/json")], body)
    }

    /// Adds a failure for `path`.
    pub fn fail(&self, path: &str, error: TransportError) -> &Self {
        self.queue(path, Err(error))
    }

    /// The response to every request whose path has an empty queue.
    pub fn otherwise(&self, status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> &Self {
        self.lock().otherwise = Some(Ok(respond(status, headers, body)));
        self
    }

    /// The failure of every request whose path has an empty queue.
    pub fn otherwise_fail(&self, error: TransportError) -> &Self {
        self.lock().otherwise = Some(Err(error));
        self
    }

    /// The requests so far, in order.
    pub fn requests(&self) -> Vec<SentRequest> {
        self.lock().requests.clone()
    }

    fn queue(&self, path: &str, outcome: Outcome) -> &Self {
        self.lock().queue.push_back((path.to_owned(), outcome));
        self
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows the number of requests and of remaining responses.
impl fmt::Debug for ScriptedTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let script = self.lock();
        write!(f, "ScriptedTransport({} requests, {} responses left)", script.requests.len(), script.queue.len())
    }
}

#[async_trait]
impl Transport for ScriptedTransport {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let request = SentRequest::new(request)?;
        show(Traffic::Request(&request.recorded()));
        let mut script = self.lock();
        let at = script.queue.iter().position(|(path, _)| path == request.url.path());
        let outcome = at.and_then(|at| script.queue.remove(at)).map(|(_, outcome)| outcome);
        script.requests.push(request);
        let outcome = outcome.or_else(|| script.otherwise.clone()).unwrap_or(Err(TransportError::Unreachable));
        let response = shown_response(outcome?);
        if response.body().len() > max_body { Err(TransportError::TooLarge { limit: max_body }) } else { Ok(response) }
    }
}

/// A request that was sent through a [`ScriptedTransport`].
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use codehost_oauth::{testing::ScriptedTransport, transport::Transport};
///
/// let http = ScriptedTransport::new();
/// let request = http::Request::post("https://git.example.com/oauth/token").header("accept", "application/json");
/// let response = http.send(request.body(b"code=a%20b&code=c".to_vec())?, 1024).await;
///
/// let sent = &http.requests()[0];
/// assert!(response.is_err(), "the test defined no response");
/// assert_eq!(sent.header("accept"), Some("application/json"));
/// assert_eq!(sent.form(), [("code".to_owned(), "a b".to_owned()), ("code".to_owned(), "c".to_owned())]);
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct SentRequest {
    /// The method.
    pub method: Method,
    /// The complete URL.
    pub url: Url,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl SentRequest {
    /// The value of a header, if there is exactly one and it is visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        value.to_str().ok()
    }

    /// The parameters of the body, if it is a form, sorted.
    pub fn form(&self) -> Vec<(String, String)> {
        let mut form: Vec<_> = form_urlencoded::parse(&self.body).into_owned().collect();
        form.sort();
        form
    }

    fn new(request: http::Request<Vec<u8>>) -> Result<Self, TransportError> {
        let (parts, body) = request.into_parts();
        let url = Url::parse(&parts.uri.to_string()).map_err(|_| TransportError::Protocol)?;
        Ok(Self { method: parts.method, url, headers: parts.headers, body })
    }

    /// Converts it to the type that fakes record.
    fn recorded(&self) -> RecordedRequest {
        RecordedRequest {
            method: self.method.clone(),
            path: self.url[url::Position::BeforePath..url::Position::AfterQuery].to_owned(),
            headers: self.headers.clone(),
            body: String::from_utf8_lossy(&self.body).into_owned(),
        }
    }
}

/// Shows the method and path only: the rest contains secrets.
impl fmt::Debug for SentRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SentRequest({} {})", self.method, self.url.path())
    }
}

type Outcome = Result<http::Response<Vec<u8>>, TransportError>;

#[derive(Default)]
struct Script {
    queue: VecDeque<(String, Outcome)>,
    otherwise: Option<Outcome>,
    requests: Vec<SentRequest>,
}
