//! Open connections: which request is sent on which, and for how long one waits for the next.

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
use super::place::Place;
use crate::error::TransportError;

pub(super) type Outgoing = Request<Full<Bytes>>;

/// The connections that wait for use, by scheme and authority.
///
/// A server may close a connection that waits at any time, also while a request is on its way to it. So none waits for longer
/// than common servers keep one, and a `POST`, whose code or refresh token works once, is sent only on one that has just been
/// used, or on a new one where the server was seen to close early.
pub(super) struct Pool {
    connector: Connector,
    origins: Mutex<Origins>,
}

impl Pool {
    pub(super) fn new(connector: Connector) -> Self {
        Self { connector, origins: Mutex::default() }
    }

    /// A connection for a request with `method`: one that waits, one that another request is done with meanwhile, or a new one.
    pub(super) async fn connection(
        self: &Arc<Self>,
        place: &Place,
        method: &Method,
    ) -> Result<Connection, TransportError> {
        let waiting = loop {
            let mut kept = match self.take(place, method) {
                Taken::Kept(kept) => kept,
                Taken::Waiting(waiting) => break Some(waiting),
                Taken::Nothing => break None,
            };
            // It is ready once its task has noticed the end of the last response.
            if kept.sender.ready().await.is_ok() {
                return Ok(kept);
            }
            if kept.since.elapsed() <= KEPT_FOR_POST {
                self.closes_early(place);
            }
        };
        match waiting {
            None => self.connect(place).await,
            Some((returned, true)) => match returned.await {
                Ok(connection) => Ok(connection),
                // The one that was being opened for it could not be.
                Err(_) => self.connect(place).await,
            },
            Some((returned, false)) => {
                let (pool, target) = (Arc::clone(self), place.clone());
                let connecting = Box::pin(async move { pool.connect(&target).await });
                match future::select(returned, connecting).await {
                    Either::Left((Ok(connection), connecting)) => {
                        self.keep_when_open(place, connecting);
                        Ok(connection)
                    }
                    Either::Left((Err(_), connecting)) => connecting.await,
                    Either::Right((connected, _)) => connected,
                }
            }
        }
    }

    /// A new connection.
    pub(super) async fn connect(&self, place: &Place) -> Result<Connection, TransportError> {
        Connection::over(self.connector.connect(place).await?).await
    }

    /// Opens connections, so that `count` of them wait or are about to.
    pub(super) fn preconnect(self: &Arc<Self>, place: &Place, count: usize) {
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let missing = {
            let mut origins = self.lock();
            let origin = origins.of(place);
            origin.waiting.retain(Connection::is_fit_for_get);
            let missing = count.saturating_sub(origin.waiting.len().saturating_add(origin.opening));
            origin.opening = origin.opening.saturating_add(missing);
            missing
        };
        for _ in 0..missing {
            let (pool, target) = (Arc::clone(self), place.clone());
            tokio::spawn(async move {
                let opening = Opening(&pool, &target);
                if let Ok(connection) = pool.connect(&target).await {
                    pool.keep(&target, connection);
                }
                drop(opening);
            });
        }
    }

    /// Takes back a connection whose response is read to its end.
    pub(super) fn keep(self: &Arc<Self>, place: &Place, mut connection: Connection) {
        connection.since = Instant::now();
        connection.is_kept = true;
        let mut origins = self.lock();
        let origin = origins.of(place);
        while let Some(waiter) = origin.waiters.pop_front() {
            match waiter.send(connection) {
                Ok(()) => return,
                // Whoever waited has given up.
                Err(unwanted) => connection = unwanted,
            }
        }
        origin.waiting.push(connection);
        if !origins.is_swept {
            origins.is_swept = true;
            tokio::spawn(Sweeper(Arc::downgrade(self)).run());
        }
    }

    /// Notes that the server closes connections soon after a response: `POST`s are sent on new ones for a while.
    pub(super) fn closes_early(&self, place: &Place) {
        self.lock().of(place).closes_early = Some(Instant::now());
    }

    fn take(&self, place: &Place, method: &Method) -> Taken {
        let mut origins = self.lock();
        let origin = origins.of(place);
        let is_post = !is_repeatable(method);
        if is_post && origin.closes_early() {
            return Taken::Nothing;
        }
        // The one that was used last is the last.
        let is_young = |connection: &Connection| connection.since.elapsed() <= KEPT_FOR_POST;
        while origin.waiting.last().is_some_and(|last| !is_post || is_young(last)) {
            let Some(connection) = origin.waiting.pop() else { break };
            if connection.sender.is_closed() && is_young(&connection) {
                origin.closes_early = Some(Instant::now());
                if is_post {
                    return Taken::Nothing;
                }
            }
            if connection.is_fit_for_get() {
                return Taken::Kept(connection);
            }
        }
        let (sender, receiver) = oneshot::channel();
        origin.waiters.retain(|waiter| !waiter.is_closed());
        // Each connection that is being opened in advance is for one request.
        let is_opening = origin.opening > origin.waiters.len();
        origin.waiters.push_back(sender);
        Taken::Waiting((receiver, is_opening))
    }

    fn keep_when_open(
        self: &Arc<Self>,
        place: &Place,
        connecting: impl Future<Output = Result<Connection, TransportError>> + Send + 'static,
    ) {
        let (pool, target) = (Arc::clone(self), place.clone());
        tokio::spawn(async move {
            if let Ok(connection) = connecting.await {
                pool.keep(&target, connection);
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, Origins> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Taken {
    Kept(Connection),
    /// What another request gives back, and whether one is being opened in advance for this request.
    Waiting((oneshot::Receiver<Connection>, bool)),
    Nothing,
}

#[derive(Default)]
struct Origins {
    by_place: HashMap<Place, Origin>,
    is_swept: bool,
}

#[derive(Default)]
struct Origin {
    waiting: Vec<Connection>,
    waiters: VecDeque<oneshot::Sender<Connection>>,
    /// Connections that are being opened in advance.
    opening: usize,
    closes_early: Option<Instant>,
}

impl Origins {
    fn of(&mut self, place: &Place) -> &mut Origin {
        self.by_place.entry(place.clone()).or_default()
    }

    /// Closes what has waited for too long, and forgets origins of which nothing is left. Whether anything waits still.
    fn sweep(&mut self) -> bool {
        self.by_place.retain(|_, origin| {
            origin.waiting.retain(Connection::is_fit_for_get);
            origin.waiters.retain(|waiter| !waiter.is_closed());
            !origin.waiting.is_empty() || !origin.waiters.is_empty() || origin.opening > 0 || origin.closes_early()
        });
        self.is_swept = self.by_place.values().any(|origin| !origin.waiting.is_empty());
        self.is_swept
    }
}

impl Origin {
    fn closes_early(&self) -> bool {
        self.closes_early.is_some_and(|noted| noted.elapsed() < EARLY)
    }
}

/// Counts a connection that is being opened, until it is there or cannot be.
struct Opening<'a>(&'a Pool, &'a Place);

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        let mut origins = self.0.lock();
        let origin = origins.of(self.1);
        origin.opening = origin.opening.saturating_sub(1);
        // Whoever waits for more than is being opened must connect.
        while origin.waiters.len() > origin.opening {
            origin.waiters.pop_back();
        }
    }
}

/// Closes connections in time, for as long as there are any.
struct Sweeper(Weak<Pool>);

impl Sweeper {
    async fn run(self) {
        loop {
            tokio::time::sleep(SWEEP).await;
            let Some(pool) = self.0.upgrade() else { return };
            if !pool.lock().sweep() {
                return;
            }
        }
    }
}

/// Its runtime may end before it does.
impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.lock().is_swept = false;
        }
    }
}

/// An open connection, which is closed when this is dropped.
pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    http: Meter,
    wire: Meter,
    task: AbortHandle,
    /// When it was opened or used last.
    since: Instant,
    is_kept: bool,
}

impl Connection {
    async fn over(stream: Stream) -> Result<Self, TransportError> {
        let Stream { io, http, wire } = stream;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(MAX_HEAD);
        let (sender, connection) = builder.handshake(io).await.map_err(|_| TransportError::Interrupted)?;
        // What went wrong is told to the request.
        let task = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        Ok(Self { sender, http, wire, task, since: Instant::now(), is_kept: false })
    }

    /// Sends a request whose response may have `max_body` bytes and a head.
    #[allow(clippy::result_large_err, reason = "the request, which is sent on another connection")]
    pub(super) async fn send(
        &mut self,
        request: Outgoing,
        max_body: usize,
    ) -> Result<Response<Incoming>, TrySendError<Outgoing>> {
        let limit = max_body.saturating_add(MAX_HEAD);
        self.http.allow(limit);
        // Small records take some more.
        self.wire.allow(limit.saturating_add(limit / 4));
        self.sender.try_send_request(request).await
    }

    /// Whether it has waited for use, so that the server may have closed it.
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Whether a byte of a response has come.
    pub(super) fn has_answered(&self) -> bool {
        self.http.has_any()
    }

    /// Whether the response is longer than it may be.
    pub(super) fn is_exceeded(&self) -> bool {
        self.http.is_exceeded() || self.wire.is_exceeded()
    }

    fn is_fit_for_get(&self) -> bool {
        !self.sender.is_closed() && self.since.elapsed() <= KEPT
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How long a connection waits for its next use. Common servers keep one for five seconds at least.
const KEPT: Duration = Duration::from_secs(4);
/// The same for a `POST`.
const KEPT_FOR_POST: Duration = Duration::from_secs(1);
const SWEEP: Duration = Duration::from_secs(2);
/// How long it is remembered that a server closes early.
const EARLY: Duration = Duration::from_secs(10 * 60);
/// The longest head of a response, in bytes; interim responses, chunk heads and trailers come out of it too.
const MAX_HEAD: usize = 64 * 1024;
