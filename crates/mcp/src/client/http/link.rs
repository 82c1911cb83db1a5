//! One HTTP/1.1 connection, driven by whoever uses it: no task of its own, so that a call costs no hop between tasks.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::parcel::Parcel;
use crate::client::dial::Connection;

/// Largest response head. Beyond it the connection is given up.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Largest read; what a connection keeps while it is idle is no more than this.
const READ_BYTES_MAX: usize = 128 << 10;
/// Turns between connection and user in one wake-up, before other tasks get their turn.
const TURNS_MAX: usize = 32;

/// An open connection to an upstream server.
pub(crate) struct Link {
    sender: http1::SendRequest<Parcel>,
    wire: Wire,
    /// When it was last given back to the pool.
    pub(super) idle_since: Instant,
}

type Driver = http1::Connection<TokioIo<Metered>, Parcel>;

/// hyper's side of the connection with the counters of its bytes.
struct Wire {
    /// `None` once it has ended; a finished future must not be polled again.
    connection: Option<Pin<Box<Driver>>>,
    meter: Arc<Meter>,
}

/// Bytes that have gone each way. The counters tell whether a request has left and whether there is progress.
#[derive(Debug, Default)]
struct Meter {
    read: AtomicU64,
    written: AtomicU64,
}

impl Link {
    pub(crate) async fn open(stream: Box<dyn Connection>) -> hyper::Result<Self> {
        let meter = Arc::new(Meter::default());
        let io = TokioIo::new(Metered { stream, meter: Arc::clone(&meter) });
        let (sender, connection) = http1::Builder::new().max_header_size(HEAD_BYTES_MAX).max_buf_size(READ_BYTES_MAX).handshake(io).await?;
        let wire = Wire { connection: Some(Box::pin(connection)), meter };
        Ok(Self { sender, wire, idle_since: Instant::now() })
    }

    /// Bytes written since the connection was opened.
    pub(crate) fn written(&self) -> u64 {
        self.wire.meter.written.load(Ordering::Relaxed)
    }

    /// Sends a request and waits for the head of the answer.
    pub(crate) async fn send(&mut self, request: Request<Parcel>) -> hyper::Result<Response<Incoming>> {
        let answer = self.sender.send_request(request);
        self.wire.drive(answer).await
    }

    /// Runs `work`, which waits for bytes of this connection, and moves the bytes meanwhile.
    pub(crate) async fn drive<F: Future>(&mut self, work: F) -> F::Output {
        self.wire.drive(work).await
    }

    /// Whether the connection can carry another request.
    pub(crate) async fn is_usable(&mut self) -> bool {
        if self.sender.is_ready() {
            return true;
        }
        // It may not have noticed yet that the answer is complete.
        poll_fn(|cx| {
            self.wire.turn(cx);
            Poll::Ready(())
        })
        .await;
        self.wire.connection.is_some() && self.sender.is_ready()
    }
}

impl Wire {
    async fn drive<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|cx| {
            for _ in 0..TURNS_MAX {
                if let Poll::Ready(output) = work.as_mut().poll(cx) {
                    return Poll::Ready(output);
                }
                if !self.turn(cx) {
                    // Nothing came, but the connection may have passed on what it had read before.
                    return work.as_mut().poll(cx);
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    /// Moves what can be moved without waiting. Returns whether anything came, which is what somebody may wait for.
    fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let before = self.meter.read.load(Ordering::Relaxed);
        if connection.as_mut().poll(cx).is_ready() {
            // The error, if there is one, has been handed to the request that waits.
            self.connection = None;
            return true;
        }
        self.meter.read.load(Ordering::Relaxed) != before
    }
}

/// A stream that counts.
struct Metered {
    stream: Box<dyn Connection>,
    meter: Arc<Meter>,
}

impl Metered {
    fn count_write(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = &written {
            self.meter.written.fetch_add(*count as u64, Ordering::Relaxed);
        }
        written
    }
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.meter.read.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.count_write(written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.count_write(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
