//! What TLS and HTTP are spoken over: a TCP connection, or a tunnel through a proxy.

use std::future;
use std::io;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tower_service::Service;

/// An open TCP connection, or a tunnel that is used like one.
pub(super) type Socket = Box<dyn Io>;

pub(super) trait Io: Read + Write + Send + Unpin {}

impl<T: Read + Write + Send + Unpin> Io for T {}

/// The TLS libraries need this trait.
impl Connection for Socket {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

/// A connector for a socket that is already open. TLS and SOCKS are layers over connectors.
pub(super) struct Opened(Option<Socket>);

impl Opened {
    pub(super) fn new(socket: Socket) -> Self {
        Self(Some(socket))
    }
}

impl Service<Uri> for Opened {
    type Response = Socket;
    type Error = io::Error;
    type Future = future::Ready<io::Result<Socket>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        future::ready(self.0.take().ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}
