//! Counts the bytes that a server sends, above and below TLS, so that no response is endless.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

/// How many bytes a server may still send, and whether it has sent any.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    remaining: AtomicUsize,
    any: AtomicBool,
    exceeded: AtomicBool,
}

impl Meter {
    /// Allows `limit` bytes from now on. Call it before a request is written.
    pub(super) fn allow(&self, limit: usize) {
        self.0.remaining.store(limit, Ordering::Relaxed);
        self.0.any.store(false, Ordering::Relaxed);
    }

    /// Whether a byte has come since the last [`allow`](Self::allow).
    pub(super) fn has_any(&self) -> bool {
        self.0.any.load(Ordering::Relaxed)
    }

    /// Whether more came than was allowed.
    pub(super) fn is_exceeded(&self) -> bool {
        self.0.exceeded.load(Ordering::Relaxed)
    }

    fn remaining(&self) -> usize {
        self.0.remaining.load(Ordering::Relaxed)
    }

    fn take(&self, count: usize) -> io::Result<()> {
        if count == 0 {
            return Ok(());
        }
        self.0.any.store(true, Ordering::Relaxed);
        match self.remaining().checked_sub(count) {
            Some(remaining) => {
                self.0.remaining.store(remaining, Ordering::Relaxed);
                Ok(())
            }
            None => {
                self.0.exceeded.store(true, Ordering::Relaxed);
                Err(io::Error::other("the response has more bytes than allowed"))
            }
        }
    }
}

/// A connection whose reads are counted and small. Other tasks can run between them.
pub(super) struct Metered<T> {
    inner: T,
    meter: Meter,
    buffer: Box<[u8]>,
    /// Bytes read since other tasks could run.
    since_yield: usize,
}

impl<T> Metered<T> {
    pub(super) fn new(inner: T, meter: Meter) -> Self {
        Self { inner, meter, buffer: vec![0; MAX_READ].into(), since_yield: 0 }
    }
}

impl<T: Read + Unpin> Read for Metered<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.since_yield >= MAX_READ {
            this.since_yield = 0;
            // `yield_now` wakes this task after the runtime has polled timers and sockets. Waking it directly would not be
            // enough: the runtime polls them only after some dozens of tasks.
            let yielding = pin!(tokio::task::yield_now());
            if yielding.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        // One byte more than is allowed is enough to know that there are too many.
        let most = buf.remaining().min(this.meter.remaining().saturating_add(1));
        let most = most.min(this.buffer.len());
        let Some(room) = this.buffer.get_mut(..most) else { return Poll::Ready(Ok(())) };
        let mut read = ReadBuf::new(room);
        ready!(Pin::new(&mut this.inner).poll_read(cx, read.unfilled()))?;
        let read = read.filled();
        this.meter.take(read.len())?;
        this.since_yield = this.since_yield.saturating_add(read.len());
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

/// How many bytes one read may have, and how many are read before other tasks run.
const MAX_READ: usize = 8 * 1024;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "the numbers of these tests are small")]
mod tests {
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Reads an endless stream, with `allowed` bytes allowed. Returns the bytes that were read, the last result and the meter.
    async fn read(allowed: usize) -> (usize, io::Result<usize>, Meter) {
        let (client, mut server) = tokio::io::duplex(1 << 20);
        let writer = tokio::spawn(async move { while server.write_all(&[b'a'; 4096]).await.is_ok() {} });
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
        writer.abort();
        (total, last, meter)
    }

    #[tokio::test]
    async fn no_more_is_read_than_is_allowed() {
        for allowed in [0, 1, MAX_READ - 1, MAX_READ, MAX_READ + 1, 320 * 1024] {
            let (total, last, meter) = read(allowed).await;
            assert!(total <= allowed && allowed - total < MAX_READ, "{total} of {allowed}");
            assert!(last.is_err() && meter.is_exceeded());
            assert!(meter.has_any());
            meter.allow(1);
            assert!(!meter.has_any());
        }
    }

    /// Another task runs between the reads of a connection that always has data.
    #[tokio::test]
    async fn other_tasks_run_between_reads() {
        let runs = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&runs);
        let other = tokio::spawn(async move {
            loop {
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        read(64 * MAX_READ).await.1.unwrap_err();
        other.abort();
        assert!(runs.load(Ordering::Relaxed) >= 60, "{runs:?}");
    }
}
