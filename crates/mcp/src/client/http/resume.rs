//! Event streams that end before the answer: read on behind the last event (specification 2025-11-25, basic/transports, resumability).

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use tokio::time::sleep;

use super::HttpWire;
use super::link::Link;
use crate::client::ask::Ask;
use crate::client::fault::{FaultKind, UpstreamFault};

/// Reconnects for one answer.
const RESUMES_MAX: u32 = 1_000;
/// Reconnects in a row that brought no new event.
const RESUMES_BARREN_MAX: u32 = 4;
/// Before a reconnect, when the server names no time of its own, and at most.
const WAIT_DEFAULT: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Where a stream can be continued.
#[derive(Debug, Default)]
pub(super) struct Bookmark {
    last_event: Option<Box<str>>,
    retry: Option<Duration>,
    resumes: u32,
    barren: u32,
}

impl Bookmark {
    /// Notes an event. Its id may be empty: then there is nothing to continue behind.
    pub(super) fn note(&mut self, id: Option<Box<str>>, retry_ms: Option<u64>) {
        if let Some(id) = id {
            self.last_event = Some(id).filter(|id| !id.is_empty());
            self.barren = 0;
        }
        if let Some(retry) = retry_ms {
            self.retry = Some(Duration::from_millis(retry));
        }
    }

    /// How long to wait before the next reconnect; none when there shall be no more.
    fn next(&mut self) -> Option<(Box<str>, Duration)> {
        if self.resumes == RESUMES_MAX || self.barren == RESUMES_BARREN_MAX {
            return None;
        }
        self.resumes += 1;
        self.barren += 1;
        Some((self.last_event.clone()?, self.retry.unwrap_or(WAIT_DEFAULT).min(WAIT_MAX)))
    }
}

impl HttpWire {
    /// Opens the stream again that ended with `fault`. The error is that fault when this is not possible, so that it is clear that the
    /// request was sent: a refused GET says nothing of that.
    pub(super) async fn resume(
        self: &Arc<Self>,
        fault: UpstreamFault,
        bookmark: &mut Bookmark,
        ask: &Ask<'_>,
    ) -> Result<(Link, Incoming), UpstreamFault> {
        let resumable = matches!(fault.kind, FaultKind::Closed) && !ask.standing && !ask.dialect.is_modern();
        if !resumable {
            return Err(fault);
        }
        while let Some((last_event, wait)) = bookmark.next() {
            sleep(wait).await;
            match self.get(ask, Some(&last_event)).await {
                Ok(stream) => return Ok(stream),
                Err(refused) if matches!(refused.kind, FaultKind::Closed | FaultKind::Unreachable | FaultKind::Timeout) => {}
                Err(refused) => {
                    let detail = format!("{}; it cannot be continued: {}", fault.detail, refused.detail);
                    return Err(UpstreamFault { detail, ..fault });
                }
            }
        }
        Err(fault)
    }
}
