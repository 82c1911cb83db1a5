//! The body of an answer that reads a kept stream: its events under their ids, and a comment when there was nothing for a while.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bailiwick_mcp::encode;
use bytes::Bytes;
use tokio::time::{Instant, Sleep};

use super::Streams;
use super::cursor::StreamName;
use crate::exchange::KEEP_ALIVE;

/// How long a client of 2025-11-25 is told to wait before it comes back.
const RETRY_MS: u32 = 1000;

/// One connection's place at a stream. The stream is left when this is dropped.
pub(crate) struct Reader {
    streams: Arc<Streams>,
    name: StreamName,
    ticket: u64,
    ready: VecDeque<Bytes>,
    keep_alive: Pin<Box<Sleep>>,
    ended: bool,
}

impl Reader {
    pub(super) fn new(streams: Arc<Streams>, name: StreamName, ticket: u64) -> Self {
        Self { streams, name, ticket, ready: VecDeque::new(), keep_alive: Box::pin(tokio::time::sleep(KEEP_ALIVE)), ended: false }
    }

    /// Begins with the event that 2025-11-25 knows: an id without data, so that a client can come back before it has heard anything.
    pub(super) fn primed(mut self) -> Self {
        self.ready.extend(encode::priming_event(&self.name.at(0), Some(RETRY_MS)).into_parts());
        self
    }

    /// Begins with a comment, so that clients and proxies see at once that the stream stands.
    pub(super) fn greeted(mut self) -> Self {
        self.ready.push_back(Bytes::from_static(encode::SSE_KEEP_ALIVE));
        self
    }

    pub(crate) fn is_done(&self) -> bool {
        self.ended && self.ready.is_empty()
    }

    /// The next piece of the stream.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Poll::Ready(Some(piece));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match self.streams.take(self.name, self.ticket, context) {
                Poll::Ready(Some((position, said))) => {
                    self.ready.extend(said.frame.into_sse_event(Some(&self.name.at(position))).into_parts());
                    self.keep_alive.as_mut().reset(Instant::now() + KEEP_ALIVE);
                }
                Poll::Ready(None) => self.ended = true,
                Poll::Pending if self.keep_alive.as_mut().poll(context).is_ready() => {
                    self.keep_alive.as_mut().reset(Instant::now() + KEEP_ALIVE);
                    self.ready.push_back(Bytes::from_static(encode::SSE_KEEP_ALIVE));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.streams.detach(self.name, self.ticket);
    }
}
