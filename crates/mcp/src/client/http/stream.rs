//! Answers as event streams: what the server says while it works, and the answer at the end.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use tokio::time::timeout;

use super::HttpWire;
use super::link::Link;
use super::read::{is_ours, piece};
use crate::client::ask::Ask;
use crate::client::fault::{FaultKind, UpstreamFault};
use crate::client::notice::{self, Notice, pass_on, respond};
use crate::error::RpcError;
use crate::json::{Json, Limits};
use crate::message::{Message, Notification, Request, decode};
use crate::sse;

/// A stream without a byte for this long is dead; keep-alive comments are bytes (reference, security section 14).
const IDLE_DEADLINE: Duration = Duration::from_secs(60);
/// The same for a subscription, which may have nothing to say for long and costs little to open again.
const STANDING_IDLE_DEADLINE: Duration = Duration::from_secs(300);
/// All bytes of one stream, as a multiple of the largest result: progress is small, so that only a flood gets here.
const STREAM_RESULTS_MAX: usize = 4;
/// After so many bytes at a stretch the others have their turn.
const STRETCH_BYTES_MAX: usize = 256 << 10;
/// The server's own requests on one stream that are answered; it is told nothing new by more of them.
const REQUESTS_MAX: usize = 64;

/// What one stream has done so far.
struct Progress {
    bytes: usize,
    stretch: usize,
    requests: usize,
}

impl HttpWire {
    /// Reads events until the answer comes. Everything that is not the answer is passed on or ignored.
    pub(super) async fn follow(
        self: &Arc<Self>,
        mut link: Link,
        mut body: Incoming,
        ask: &Ask<'_>,
    ) -> Result<Result<Json, RpcError>, UpstreamFault> {
        let idle = if ask.standing { STANDING_IDLE_DEADLINE } else { IDLE_DEADLINE };
        let mut decoder = sse::Decoder::new(self.limits.event_bytes_max);
        let mut so_far = Progress { bytes: 0, stretch: 0, requests: 0 };
        loop {
            let read = timeout(idle, piece(&mut link, &mut body)).await.map_err(|_| silent(idle))??;
            let Some(bytes) = read else { return Err(ended()) };
            so_far.bytes += bytes.len();
            so_far.stretch += bytes.len();
            if so_far.stretch > STRETCH_BYTES_MAX {
                so_far.stretch = 0;
                tokio::task::yield_now().await;
            }
            if so_far.bytes > self.limits.result_bytes_max.saturating_mul(STREAM_RESULTS_MAX) {
                return Err(UpstreamFault::too_large("the event stream goes on without an answer"));
            }
            decoder.feed(&bytes);
            drop(bytes);
            while let Some(event) = decoder.next_event().map_err(|error| UpstreamFault::too_large(error.to_string()))? {
                // The priming event of 2025-11-25 carries an id and nothing else; other kinds of events are none of ours.
                if event.data.is_empty() || !event.is_message() {
                    continue;
                }
                if let Some(outcome) = self.hear(event.data, ask, &mut so_far)? {
                    self.drain(link, body);
                    return Ok(outcome);
                }
            }
        }
    }

    /// One event. Gives the outcome when the event is the answer.
    fn hear(
        self: &Arc<Self>,
        data: bytes::Bytes,
        ask: &Ask<'_>,
        so_far: &mut Progress,
    ) -> Result<Option<Result<Json, RpcError>>, UpstreamFault> {
        let limits = Limits { bytes_max: self.limits.event_bytes_max, ..Limits::RESULT };
        match decode(data, &limits) {
            Ok(Message::Response(response)) if is_ours(response.id.as_ref(), ask.id) => Ok(Some(response.outcome)),
            Ok(Message::Response(response)) if response.id.is_none() && response.outcome.is_err() => Ok(Some(response.outcome)),
            // An answer to nobody's question.
            Ok(Message::Response(_)) => Ok(None),
            Ok(Message::Notification(notification)) => {
                self.notice(notification, ask);
                Ok(None)
            }
            Ok(Message::Request(request)) => {
                self.answer(&request, ask, so_far);
                Ok(None)
            }
            Err(error) => Err(UpstreamFault::protocol(format!("an event is no JSON-RPC message: {}", error.message))),
        }
    }

    fn notice(&self, notification: Notification, ask: &Ask<'_>) {
        match notice::sort(notification) {
            Notice::Progress(token, event) if token == ask.id => pass_on(ask.events.as_ref(), event),
            Notice::Log(event) => pass_on(ask.events.as_ref(), event),
            Notice::ToolsChanged => {
                notice::count(&self.changes);
                pass_on(ask.events.as_ref(), crate::client::Event::ToolsChanged);
            }
            Notice::Progress(..) | Notice::Other => {}
        }
    }

    /// A legacy server may ask back on the stream, and waits for an answer by POST. A modern one must not, and gets none.
    fn answer(self: &Arc<Self>, request: &Request, ask: &Ask<'_>, so_far: &mut Progress) {
        so_far.requests += 1;
        if !ask.dialect.is_modern() && so_far.requests <= REQUESTS_MAX {
            self.aside(respond(request), ask.dialect);
        }
    }
}

fn silent(idle: Duration) -> UpstreamFault {
    UpstreamFault::new(FaultKind::Timeout, true, format!("the event stream was silent for {} s", idle.as_secs()))
}

fn ended() -> UpstreamFault {
    UpstreamFault::new(FaultKind::Closed, true, "the event stream ended before the answer")
}
