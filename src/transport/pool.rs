//! The pool of open connections: which connection a request is sent on, and how long a connection stays idle.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::{self, Either};
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::bulkhead::is_repeatable;
use super::connect::{Connector, Stream};
use super::meter::Meter;
use super::origin::Origin;
use super::report::ConnectionReport;
use crate::error::TransportError;

pub(super) type Outgoing = Request<Full<Bytes>>;

/// The idle connections, by origin.
///
/// A server may close an idle connection at any time, even while a request is on its way. So a connection is idle for a shorter
/// time than common servers allow. A `POST`, whose code or refresh token works only once, is sent on a connection that was used
/// a moment ago, or on a new one. If the server is known to close connections early, a `POST` always gets a new one.
pub(super) struct Pool {
    connector: Connector,
    state: Mutex<State>,
}

impl Pool {
    pub(super) fn new(connector: Connector) -> Self {
        Self { connector, state: Mutex::default() }
    }

    /// A connection for a request with `method`: an idle one, one that another request returns meanwhile, or a new one.
    pub(super) async fn connection(
        self: &Arc<Self>,
        origin: &Origin,
        method: &Method,
    ) -> Result<Connection, TransportError> {
        loop {
            match self.take(origin, method) {
                Taken::Idle(mut connection) => {
                    // It is ready once its task has noticed the end of the last response.
                    if connection.sender.ready().await.is_ok() {
                        return Ok(connection);
                    }
                    if connection.idle_since.elapsed() <= MAX_IDLE_FOR_POST {
                        self.note_early_close(origin);
                    }
                }
                Taken::Opening { receiver } => {
                    return match receiver.await {
                        Ok(connection) => Ok(connection),
                        // The connection that was being opened for this request has failed.
                        Err(_) => self.connect(origin).await,
                    };
                }
                Taken::Waiting { receiver } => return self.connect_or_receive(origin, receiver).await,
                Taken::MustConnect => return self.connect(origin).await,
            }
        }
    }

    /// Opens a new connection.
    pub(super) async fn connect(&self, origin: &Origin) -> Result<Connection, TransportError> {
        // In a box: it is rare and large, and the future of every request would have room for it.
        Box::pin(async { Connection::handshake(self.connector.connect(origin).await?).await }).await
    }

    /// What the operator can know about connections to an origin.
    pub(super) async fn inspect(&self, origin: &Origin) -> ConnectionReport {
        self.connector.inspect(origin).await
    }

    /// Opens connections in advance, until `count` of them are idle or are being opened.
    pub(super) fn preconnect(self: &Arc<Self>, origin: &Origin, count: usize) {
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let missing = {
            let mut state = self.lock();
            let connections = state.of(origin);
            // Those that were used last: there may be many.
            let usable = connections.idle.iter().rev().take(count).filter(|connection| connection.is_usable()).count();
            let missing = count.saturating_sub(usable.saturating_add(connections.opening));
            connections.opening = connections.opening.saturating_add(missing);
            missing
        };
        for _ in 0..missing {
            let (pool, target) = (Arc::clone(self), origin.clone());
            tokio::spawn(async move {
                let guard = OpeningGuard(&pool, &target);
                if let Ok(connection) = pool.connect(&target).await {
                    pool.add(&target, connection);
                }
                drop(guard);
            });
        }
    }

    /// Adds a connection that no request uses: gives it to the first request that waits for one, or keeps it as idle. The
    /// last response on it must be read to its end.
    pub(super) fn add(self: &Arc<Self>, origin: &Origin, mut connection: Connection) {
        connection.idle_since = Instant::now();
        connection.was_idle = true;
        // Outside of the lock: a runtime that is being shut down drops the task at once, and the task locks the pool then.
        if self.keep(origin, connection) {
            tokio::spawn(CleanupTask(Arc::downgrade(self)).run());
        }
    }

    /// Returns whether a task must be started that closes the connection in time.
    fn keep(&self, origin: &Origin, mut connection: Connection) -> bool {
        let mut state = self.lock();
        let connections = state.of(origin);
        while let Some(waiter) = connections.waiters.pop_front() {
            match waiter.send(connection) {
                Ok(()) => return false,
                // The request that waited has ended.
                Err(unwanted) => connection = unwanted,
            }
        }
        connections.idle.push(connection);
        !std::mem::replace(&mut state.has_clean_up_task, true)
    }

    /// Notes that the server closes connections soon after a response. For some time, each `POST` gets a new one.
    pub(super) fn note_early_close(&self, origin: &Origin) {
        self.lock().of(origin).early_close = Some(Instant::now());
    }

    /// A new connection, or one that another request returns before the new one is open.
    async fn connect_or_receive(
        self: &Arc<Self>,
        origin: &Origin,
        receiver: oneshot::Receiver<Connection>,
    ) -> Result<Connection, TransportError> {
        let (pool, target) = (Arc::clone(self), origin.clone());
        let connecting = Box::pin(async move { pool.connect(&target).await });
        match future::select(receiver, connecting).await {
            Either::Left((Ok(connection), connecting)) => {
                self.add_when_open(origin, connecting);
                Ok(connection)
            }
            Either::Left((Err(_), connecting)) => connecting.await,
            Either::Right((connected, _)) => connected,
        }
    }

    fn take(&self, origin: &Origin, method: &Method) -> Taken {
        let mut state = self.lock();
        let connections = state.of(origin);
        let is_post = !is_repeatable(method);
        if is_post && connections.closes_early() {
            return Taken::MustConnect;
        }
        let is_recent = |connection: &Connection| connection.idle_since.elapsed() <= MAX_IDLE_FOR_POST;
        // The last one in the list is the one that was used last.
        while connections.idle.last().is_some_and(|last| !is_post || is_recent(last)) {
            let Some(connection) = connections.idle.pop() else { break };
            if connection.sender.is_closed() && is_recent(&connection) {
                connections.early_close = Some(Instant::now());
                if is_post {
                    return Taken::MustConnect;
                }
            }
            if connection.is_usable() {
                return Taken::Idle(connection);
            }
        }
        let (sender, receiver) = oneshot::channel();
        connections.waiters.retain(|waiter| !waiter.is_closed());
        // Each connection that is being opened in advance is for one request.
        let is_opening = connections.opening > connections.waiters.len();
        connections.waiters.push_back(sender);
        if is_opening { Taken::Opening { receiver } } else { Taken::Waiting { receiver } }
    }

    /// Finishes connecting in the background, and adds the connection for another request.
    fn add_when_open(
        self: &Arc<Self>,
        origin: &Origin,
        connecting: impl Future<Output = Result<Connection, TransportError>> + Send + 'static,
    ) {
        let (pool, target) = (Arc::clone(self), origin.clone());
        tokio::spawn(async move {
            if let Ok(connection) = connecting.await {
                pool.add(&target, connection);
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the pool has for a request.
enum Taken {
    Idle(Connection),
    /// A connection is being opened in advance for this request, which waits for it, or for one that another request returns.
    Opening {
        receiver: oneshot::Receiver<Connection>,
    },
    /// The request waits for a connection that another request returns.
    Waiting {
        receiver: oneshot::Receiver<Connection>,
    },
    /// The request needs a new connection.
    MustConnect,
}

#[derive(Default)]
struct State {
    by_origin: HashMap<Origin, Connections>,
    has_clean_up_task: bool,
}

/// The connections to one origin.
#[derive(Default)]
struct Connections {
    idle: Vec<Connection>,
    /// The requests that wait for a connection.
    waiters: VecDeque<oneshot::Sender<Connection>>,
    /// How many connections are being opened in advance.
    opening: usize,
    /// When the server was last seen to close a connection early.
    early_close: Option<Instant>,
}

impl State {
    fn of(&mut self, origin: &Origin) -> &mut Connections {
        self.by_origin.entry(origin.clone()).or_default()
    }

    /// Closes connections that were idle for too long, and removes empty entries. Returns whether any connection is idle.
    fn clean_up(&mut self) -> bool {
        self.by_origin.retain(|_, origin| {
            origin.idle.retain(Connection::is_usable);
            origin.waiters.retain(|waiter| !waiter.is_closed());
            !origin.idle.is_empty() || !origin.waiters.is_empty() || origin.opening > 0 || origin.closes_early()
        });
        self.has_clean_up_task = self.by_origin.values().any(|origin| !origin.idle.is_empty());
        self.has_clean_up_task
    }
}

impl Connections {
    fn closes_early(&self) -> bool {
        self.early_close.is_some_and(|noted| noted.elapsed() < EARLY_CLOSE_TTL)
    }
}

/// Counts a connection that is being opened in advance, until it is open or has failed.
struct OpeningGuard<'a>(&'a Pool, &'a Origin);

impl Drop for OpeningGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        let connections = state.of(self.1);
        connections.opening = connections.opening.saturating_sub(1);
        // Dropping a waiter makes its request connect by itself.
        while connections.waiters.len() > connections.opening {
            connections.waiters.pop_back();
        }
    }
}

/// Closes idle connections in time. It ends when there are none.
struct CleanupTask(Weak<Pool>);

impl CleanupTask {
    async fn run(self) {
        loop {
            tokio::time::sleep(CLEANUP_INTERVAL).await;
            let Some(pool) = self.0.upgrade() else { return };
            if !pool.lock().clean_up() {
                return;
            }
        }
    }
}

/// The task can also end because its runtime ends.
impl Drop for CleanupTask {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.lock().has_clean_up_task = false;
        }
    }
}

/// An open connection. Dropping it closes it.
pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// Counts the bytes above TLS.
    http: Meter,
    /// Counts the bytes below TLS.
    wire: Meter,
    task: AbortHandle,
    /// When it was opened or last used.
    idle_since: Instant,
    was_idle: bool,
}

impl Connection {
    async fn handshake(stream: Stream) -> Result<Self, TransportError> {
        let Stream { io, http, wire } = stream;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(MAX_HEAD);
        let (sender, connection) = builder.handshake(io).await.map_err(|_| TransportError::Interrupted)?;
        // The request gets the error too.
        let task = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        Ok(Self { sender, http, wire, task, idle_since: Instant::now(), was_idle: false })
    }

    /// Sends a request. The response may have a body of `max_body` bytes and a head.
    #[allow(clippy::result_large_err, reason = "the request, which is sent on another connection")]
    pub(super) async fn send(
        &mut self,
        request: Outgoing,
        max_body: usize,
    ) -> Result<Response<Incoming>, TrySendError<Outgoing>> {
        let limit = max_body.saturating_add(MAX_HEAD);
        self.http.allow(limit);
        // TLS adds some bytes to each record.
        self.wire.allow(limit.saturating_add(limit / 4));
        self.sender.try_send_request(request).await
    }

    /// Whether it has been in the pool, so that the server may have closed it.
    pub(super) fn was_idle(&self) -> bool {
        self.was_idle
    }

    /// Whether a byte of a response has come.
    pub(super) fn has_response(&self) -> bool {
        self.http.has_any()
    }

    /// Whether the response is longer than allowed.
    pub(super) fn is_exceeded(&self) -> bool {
        self.http.is_exceeded() || self.wire.is_exceeded()
    }

    fn is_usable(&self) -> bool {
        !self.sender.is_closed() && self.idle_since.elapsed() <= MAX_IDLE
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How long a connection may be idle. Common servers close an idle connection after five seconds or more.
const MAX_IDLE: Duration = Duration::from_secs(4);
/// How long a connection may be idle before a `POST`.
const MAX_IDLE_FOR_POST: Duration = Duration::from_secs(1);
const CLEANUP_INTERVAL: Duration = Duration::from_secs(2);
/// How long the pool remembers that a server closes connections early.
const EARLY_CLOSE_TTL: Duration = Duration::from_secs(10 * 60);
/// The longest head of a response, in bytes. Interim responses, chunk heads and trailers count against it too.
const MAX_HEAD: usize = 64 * 1024;

#[cfg(test)]
mod tests;
