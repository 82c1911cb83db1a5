//! Answers as event streams: what the server says while it works, and the answer at the end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::HttpWire;
use super::link::Link;
use super::read::{self, is_ours, piece};
use super::resume::Bookmark;
use crate::client::ask::Ask;
use crate::client::fault::{FaultKind, UpstreamFault};
use crate::client::notice::{self, Heard, as_event, pass_on};
use crate::client::question::{self, Open};
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

/// The outcome of a request, when it has come.
type Outcome = Option<Result<Json, RpcError>>;

/// What the stream of one request has done so far, over all reconnects.
#[derive(Default)]
struct Progress {
    bytes: usize,
    stretch: usize,
    requests: usize,
    questions: Open,
    bookmark: Bookmark,
}

impl HttpWire {
    /// Reads events until the answer comes. Everything that is not the answer is passed on or ignored.
    pub(super) async fn follow(
        self: &Arc<Self>,
        mut link: Link,
        mut body: Incoming,
        ask: &Ask<'_>,
    ) -> Result<Result<Json, RpcError>, UpstreamFault> {
        let mut so_far = Progress::default();
        loop {
            match self.read_on(&mut link, &mut body, ask, &mut so_far).await {
                Ok(outcome) => {
                    self.drain(link, body);
                    return Ok(outcome);
                }
                // Rare, and large: it must not make every request larger.
                Err(fault) => (link, body) = Box::pin(self.resume(fault, &mut so_far.bookmark, ask)).await?,
            }
        }
    }

    async fn read_on(
        self: &Arc<Self>,
        link: &mut Link,
        body: &mut Incoming,
        ask: &Ask<'_>,
        so_far: &mut Progress,
    ) -> Result<Result<Json, RpcError>, UpstreamFault> {
        let mut decoder = sse::Decoder::new(self.limits.event_bytes_max);
        loop {
            let read = next_piece(link, body, ask, so_far).await?;
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
            while let Some(mut event) = decoder.next_event().map_err(|error| UpstreamFault::too_large(error.to_string()))? {
                so_far.bookmark.note(event.id.take(), event.retry_ms);
                // The priming event of 2025-11-25 carries an id and nothing else; other kinds of events are none of ours.
                if event.data.is_empty() || !event.is_message() {
                    continue;
                }
                if let Some(outcome) = self.hear(event.data, ask, so_far)? {
                    return Ok(outcome);
                }
            }
        }
    }

    /// One event. Gives the outcome when the event is the answer.
    fn hear(self: &Arc<Self>, data: Bytes, ask: &Ask<'_>, so_far: &mut Progress) -> Result<Outcome, UpstreamFault> {
        let limits = Limits { bytes_max: self.limits.event_bytes_max, ..Limits::RESULT };
        if ask.dialect.has_batches()
            && let Some(batch) = read::batch(&data, &limits)
        {
            return Ok(self.take_all(batch?, ask, so_far));
        }
        match decode(data, &limits) {
            Ok(message) => Ok(self.take(message, ask, so_far)),
            Err(error) => Err(UpstreamFault::protocol(format!("an event is no JSON-RPC message: {}", error.message))),
        }
    }

    /// The outcome that a JSON body carries. An array may carry other messages besides.
    pub(super) fn answer_of(self: &Arc<Self>, body: Bytes, ask: &Ask<'_>) -> Result<Result<Json, RpcError>, UpstreamFault> {
        let bytes_max = self.limits.result_bytes_max;
        if ask.dialect.has_batches()
            && let Some(batch) = read::batch(&body, &Limits { bytes_max, ..Limits::RESULT })
        {
            let outcome = self.take_all(batch?, ask, &mut Progress::default());
            return outcome.ok_or_else(|| UpstreamFault::protocol("the batch holds no answer to the request"));
        }
        read::answer(body, ask.id, bytes_max)
    }

    /// All messages of a batch: what follows the answer is heard as well.
    fn take_all(self: &Arc<Self>, messages: Vec<Message>, ask: &Ask<'_>, so_far: &mut Progress) -> Outcome {
        let outcomes = messages.into_iter().map(|message| self.take(message, ask, so_far));
        outcomes.fold(None, Option::or)
    }

    fn take(self: &Arc<Self>, message: Message, ask: &Ask<'_>, so_far: &mut Progress) -> Outcome {
        match message {
            Message::Response(response) if is_ours(response.id.as_ref(), ask.id) => return Some(response.outcome),
            Message::Response(response) if response.id.is_none() && response.outcome.is_err() => return Some(response.outcome),
            // An answer to nobody's question.
            Message::Response(_) => {}
            Message::Notification(notification) => self.notice(notification, ask),
            Message::Request(request) => self.answer(request, ask, so_far),
        }
        None
    }

    fn notice(&self, notification: Notification, ask: &Ask<'_>) {
        match notice::sort(notification) {
            Heard::Progress(token, event) if token == ask.id => pass_on(ask.events.as_ref(), event),
            Heard::Log(event) => pass_on(ask.events.as_ref(), event),
            Heard::Notice(notice) => {
                if let Some(event) = as_event(&notice) {
                    pass_on(ask.events.as_ref(), event);
                }
                self.notices.tell(notice);
            }
            Heard::Acknowledged(_) => {
                if let Some(waiting) = &ask.acknowledged {
                    waiting.notify_one();
                }
            }
            Heard::Progress(..) | Heard::Other => {}
        }
    }

    /// A legacy server may ask back on the stream, and waits for an answer by POST. A modern one must not, and gets none.
    fn answer(self: &Arc<Self>, request: Request, ask: &Ask<'_>, so_far: &mut Progress) {
        so_far.requests += 1;
        if ask.dialect.is_modern() || so_far.requests > REQUESTS_MAX {
            return;
        }
        // What comes on the stream of the whole session is for the call that can be asked, if there is only one.
        let asker = if ask.standing { self.askers.only() } else { ask.questions.clone() };
        let declined = match &asker {
            Some(questions) if request.method != "ping" => {
                let (wire, dialect) = (Arc::clone(self), ask.dialect.clone());
                so_far.questions.ask(questions, request, move |answer| wire.reply(answer, dialect)).err()
            }
            _ => Some(request),
        };
        if let Some(request) = declined {
            self.aside(question::decline(&request), ask.dialect);
        }
    }
}

async fn next_piece(link: &mut Link, body: &mut Incoming, ask: &Ask<'_>, so_far: &mut Progress) -> Result<Option<Bytes>, UpstreamFault> {
    if !so_far.questions.is_empty() {
        // The silence is ours: a person may have to be asked. The deadline of the request ends it.
        return piece(link, body).await;
    }
    let idle = if ask.standing { STANDING_IDLE_DEADLINE } else { IDLE_DEADLINE };
    timeout(idle, piece(link, body)).await.map_err(|_| silent(idle))?
}

fn silent(idle: Duration) -> UpstreamFault {
    UpstreamFault::new(FaultKind::Timeout, true, format!("the event stream was silent for {} s", idle.as_secs()))
}

fn ended() -> UpstreamFault {
    UpstreamFault::new(FaultKind::Closed, true, "the event stream ended before the answer")
}
