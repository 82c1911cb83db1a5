//! One connection: the guarded stream under hyper, and the answer's body that ends a request.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::watch::{Phase, Watch};

/// Answer to a client whose request head did not arrive in time.
const HEAD_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// A TCP stream that ends itself when the phase of its connection lasts too long.
///
/// One timer serves the whole life: it is moved forward only when it fires too early, so a request costs no timer work.
pub(super) struct Guarded {
    stream: TcpStream,
    watch: Arc<Watch>,
    timer: Option<Pin<Box<Sleep>>>,
    stalled_since: Option<Instant>,
}

impl Guarded {
    pub(super) fn new(stream: TcpStream, watch: Arc<Watch>) -> Self {
        Self { stream, watch, timer: None, stalled_since: None }
    }

    /// Ready when `deadline` has passed; otherwise the task is woken no later than then.
    fn passed(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    fn expire(&mut self) {
        // Only a client that has begun a request, and to whom no answer is on its way, can make sense of this.
        if self.watch.phase() == Phase::Head && self.stalled_since.is_none() {
            let _ = self.stream.try_write(HEAD_TIMEOUT);
        }
    }

    fn wrote(&mut self, outcome: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if outcome.is_ready() {
            self.stalled_since = None;
            return outcome;
        }
        let since = *self.stalled_since.get_or_insert_with(Instant::now);
        match self.passed(since + self.watch.idle_max(), cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        if let Poll::Ready(outcome) = Pin::new(&mut this.stream).poll_read(cx, buffer) {
            if buffer.filled().len() > before && matches!(this.watch.phase(), Phase::Idle | Phase::Fresh) {
                this.watch.enter(Phase::Head);
            }
            return Poll::Ready(outcome);
        }
        let Some(deadline) = this.watch.deadline() else {
            // hyper does not ask again when the answer is out, so make sure of being asked before the idle limit.
            let _ = this.passed(Instant::now() + this.watch.idle_max(), cx);
            return Poll::Pending;
        };
        if this.passed(deadline, cx).is_pending() {
            return Poll::Pending;
        }
        this.expire();
        // Reads as the end of the stream: hyper closes without an error.
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(outcome, cx)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.wrote(outcome, cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// An answer's body; when it is dropped the request is over and the connection is idle again.
pub(super) struct AnswerBody<B> {
    body: B,
    watch: Arc<Watch>,
}

impl<B> AnswerBody<B> {
    pub(super) fn new(body: B, watch: Arc<Watch>) -> Self {
        Self { body, watch }
    }
}

impl<B> Drop for AnswerBody<B> {
    fn drop(&mut self) {
        self.watch.enter(Phase::Idle);
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for AnswerBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
