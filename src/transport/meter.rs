//! Counts what a server sends, below HTTP and below TLS, so that no response is without end.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};

/// How many bytes a server may still send, and whether it has sent any.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    left: AtomicUsize,
    any: AtomicBool,
    exceeded: AtomicBool,
}

impl Meter {
    /// Before a request is written: from now on `limit` bytes may come.
    pub(super) fn allow(&self, limit: usize) {
        self.0.left.store(limit, Ordering::Relaxed);
        self.0.any.store(false, Ordering::Relaxed);
    }

    /// Whether a byte has come since then.
    pub(super) fn has_any(&self) -> bool {
        self.0.any.load(Ordering::Relaxed)
    }

    /// Whether more came than was allowed.
    pub(super) fn is_exceeded(&self) -> bool {
        self.0.exceeded.load(Ordering::Relaxed)
    }

    fn left(&self) -> usize {
        self.0.left.load(Ordering::Relaxed)
    }

    fn take(&self, count: usize) -> io::Result<()> {
        if count == 0 {
            return Ok(());
        }
        self.0.any.store(true, Ordering::Relaxed);
        match self.left().checked_sub(count) {
            Some(left) => {
                self.0.left.store(left, Ordering::Relaxed);
                Ok(())
            }
            None => {
                self.0.exceeded.store(true, Ordering::Relaxed);
                Err(io::Error::other("more bytes than a response may have"))
            }
        }
    }
}

/// A connection whose reads are counted, small, and let other tasks run in between.
pub(super) struct Metered<T> {
    inner: T,
    meter: Meter,
    buffer: Box<[u8]>,
    /// Bytes since other tasks could run.
    in_turn: usize,
}

impl<T> Metered<T> {
    pub(super) fn new(inner: T, meter: Meter) -> Self {
        Self { inner, meter, buffer: vec![0; TURN].into(), in_turn: 0 }
    }
}

impl<T: Read + Unpin> Read for Metered<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.in_turn >= TURN {
            this.in_turn = 0;
            // Its waker is called after the runtime has looked at timers and sockets. Waking the task here would not do:
            // the runtime looks at those only after some dozens of tasks.
            let yielding = pin!(tokio::task::yield_now());
            if yielding.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        // One byte more than is allowed is enough to know that there are too many.
        let most = buf.remaining().min(this.meter.left().saturating_add(1));
        let most = most.min(this.buffer.len());
        let Some(room) = this.buffer.get_mut(..most) else { return Poll::Ready(Ok(())) };
        let mut read = ReadBuf::new(room);
        ready!(Pin::new(&mut this.inner).poll_read(cx, read.unfilled()))?;
        let read = read.filled();
        this.meter.take(read.len())?;
        this.in_turn = this.in_turn.saturating_add(read.len());
        buf.put_slice(read);
        Poll::Ready(Ok(()))
    }
}

impl<T: Write + Unpin> Write for Metered<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, bufs)
    }
}

/// For the TLS layer, which asks for it.
impl<T: Connection> Connection for Metered<T> {
    fn connected(&self) -> Connected {
        self.inner.connected()
    }
}

/// Bytes of one read, and of all reads before other tasks run.
const TURN: usize = 8 * 1024;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "small numbers of tests")]
mod tests {
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A flood, of which `allowed` bytes may be read.
    async fn read(allowed: usize) -> (usize, io::Result<usize>, Meter) {
        let (client, mut server) = tokio::io::duplex(1 << 20);
        let flood = tokio::spawn(async move { while server.write_all(&[b'a'; 4096]).await.is_ok() {} });
        let meter = Meter::default();
        meter.allow(allowed);
        let mut metered = TokioIo::new(Metered::new(TokioIo::new(client), meter.clone()));
        let (mut total, mut buffer) = (0, vec![0; 1 << 16]);
        let last = loop {
            match metered.read(&mut buffer).await {
                Ok(count @ 1..) => total += count,
                other => break other,
            }
            assert!(total <= allowed);
        };
        flood.abort();
        (total, last, meter)
    }

    #[tokio::test]
    async fn no_more_is_read_than_is_allowed() {
        for allowed in [0, 1, TURN - 1, TURN, TURN + 1, 320 * 1024] {
            let (total, last, meter) = read(allowed).await;
            assert!(total <= allowed && allowed - total < TURN, "{total} of {allowed}");
            assert!(last.is_err() && meter.is_exceeded());
            assert!(meter.has_any());
            meter.allow(1);
            assert!(!meter.has_any());
        }
    }

    /// Between two turns of a read that never has to wait, another task has one.
    #[tokio::test]
    async fn other_tasks_have_turns() {
        let turns = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&turns);
        let other = tokio::spawn(async move {
            loop {
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        read(64 * TURN).await.1.unwrap_err();
        other.abort();
        assert!(turns.load(Ordering::Relaxed) >= 60, "{turns:?}");
    }
}
