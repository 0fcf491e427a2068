//! The sockets: HTTP/1.1 with keep-alive, one task per connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::journal::{Journal, Scripted};
use super::traffic::shown_response;
use super::wire::{FakeRequest, FakeResponse, respond};

/// Makes the response to a request.
pub(super) type Handler = dyn Fn(&FakeRequest) -> FakeResponse + Send + Sync;

/// A bound port on which no request is accepted yet, so that a fake can know its URL before it starts.
pub(super) struct Listener {
    socket: TcpListener,
    pub(super) address: SocketAddr,
}

impl Listener {
    pub(super) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    pub(super) fn serve(self, journal: Arc<Journal>, handler: Arc<Handler>) -> Server {
        let (stop_on_drop, stop) = watch::channel(());
        Server { stop_on_drop, task: tokio::spawn(accept(self.socket, journal, handler, stop)) }
    }
}

/// Runs until it is dropped. Requests that have started still get a response.
pub(super) struct Server {
    stop_on_drop: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    /// Stops, and returns when the port is free again.
    pub(super) async fn stop(self) {
        drop(self.stop_on_drop);
        let _ = self.task.await;
    }
}

async fn accept(socket: TcpListener, journal: Arc<Journal>, handler: Arc<Handler>, mut stop: watch::Receiver<()>) {
    loop {
        let stopped = stop.clone();
        let connection = match select(Box::pin(socket.accept()), Box::pin(stop.changed())).await {
            Either::Left((Ok((connection, _)), _)) => connection,
            // The client has closed the connection, or the process has too many files open.
            Either::Left((Err(_), _)) => {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
            Either::Right(_) => return,
        };
        journal.connected();
        tokio::spawn(serve(connection, Arc::clone(&journal), Arc::clone(&handler), stopped));
    }
}

async fn serve(socket: TcpStream, journal: Arc<Journal>, handler: Arc<Handler>, mut stop: watch::Receiver<()>) {
    // Without TCP_NODELAY the small responses would be delayed.
    let _ = socket.set_nodelay(true);
    let service = service_fn(move |request| {
        let (journal, handler) = (Arc::clone(&journal), Arc::clone(&handler));
        async move { respond_to(request, &journal, &*handler).await }
    });
    let connection = http1::Builder::new().title_case_headers(true).serve_connection(TokioIo::new(socket), service);
    if let Either::Right((_, mut connection)) = select(Box::pin(connection), Box::pin(stop.changed())).await {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// An error makes hyper close the connection.
async fn respond_to(
    request: hyper::Request<Incoming>,
    journal: &Journal,
    handler: &Handler,
) -> Result<hyper::Response<Full<Bytes>>, Lost> {
    let (head, body) = request.into_parts();
    #[allow(clippy::disallowed_methods, reason = "within the limit")]
    let response = match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Err(_) => respond(413, &[("Content-Type", "text/plain")], "Payload Too Large"),
        Ok(body) => {
            let request = FakeRequest::from_parts(head, body.to_bytes().into());
            journal.record(&request);
            let response = match journal.scripted(request.uri().path()) {
                Some(Scripted::Response(response)) => Ok(response),
                Some(Scripted::Lost) => {
                    shown_response(handler(&request));
                    Err(Lost)
                }
                None => Ok(handler(&request)),
            };
            let latency = journal.latency();
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            shown_response(response?)
        }
    };
    Ok(response.map(|body| Full::new(Bytes::from(body))))
}

const MAX_BODY_BYTES: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
#[error("the test discards this response")]
struct Lost;
