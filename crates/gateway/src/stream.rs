//! The way back of a call over HTTP: JSON when the result comes first, an event stream when something comes before it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bailiwick_mcp::client::Event;
use bailiwick_mcp::{Json, encode};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, header};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};

use crate::body::AnswerBody;
use crate::call::encode::Answer;
use crate::detach::Detached;
use crate::exchange::{KEEP_ALIVE, finish};
use crate::progress;

/// Waits for whatever comes first: the answer, an event, or the moment for a keep-alive.
pub(crate) async fn answer(
    mut work: Detached<Answer>,
    mut events: Option<mpsc::Receiver<Event>>,
    token: Option<Json>,
    minted: Option<HeaderValue>,
) -> Response<AnswerBody> {
    let first = tokio::select! {
        biased;
        answer = &mut work => return finish(answer, minted),
        event = next(&mut events) => Some(event),
        () = tokio::time::sleep(KEEP_ALIVE) => None,
    };
    let mut stream = EventStream::new(work, events, token);
    match first {
        Some(event) => stream.push(event),
        None => stream.ready.push_back(Bytes::from_static(encode::SSE_KEEP_ALIVE)),
    }
    let mut response = Response::new(AnswerBody::events(stream));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// The next event; never, when there is no channel or it is closed.
async fn next(events: &mut Option<mpsc::Receiver<Event>>) -> Event {
    if let Some(receiver) = events
        && let Some(event) = receiver.recv().await
    {
        return event;
    }
    std::future::pending().await
}

/// Events, keep-alives, and last the answer.
pub(crate) struct EventStream {
    work: Option<Detached<Answer>>,
    events: Option<mpsc::Receiver<Event>>,
    token: Option<Json>,
    ready: VecDeque<Bytes>,
    keep_alive: Pin<Box<Sleep>>,
}

impl EventStream {
    fn new(work: Detached<Answer>, events: Option<mpsc::Receiver<Event>>, token: Option<Json>) -> Self {
        let keep_alive = Box::pin(tokio::time::sleep(KEEP_ALIVE));
        Self { work: Some(work), events, token, ready: VecDeque::new(), keep_alive }
    }

    fn push(&mut self, event: Event) {
        if let Some(frame) = progress::notification(event, self.token.as_ref()) {
            self.ready.extend(frame.into_sse_event(None).into_parts());
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.work.is_none() && self.ready.is_empty()
    }

    /// The next piece of the stream.
    pub(crate) fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Poll::Ready(Some(piece));
            }
            if self.work.is_none() {
                return Poll::Ready(None);
            }
            // Events first: none may follow the answer.
            if let Some(events) = self.events.as_mut()
                && let Poll::Ready(event) = events.poll_recv(context)
            {
                match event {
                    Some(event) => self.push(event),
                    None => self.events = None,
                }
                continue;
            }
            if let Some(work) = self.work.as_mut()
                && let Poll::Ready(answer) = Pin::new(work).poll(context)
            {
                self.work = None;
                let drained: Vec<Event> = self.events.take().map(drain).unwrap_or_default();
                drained.into_iter().for_each(|event| self.push(event));
                self.ready.extend(answer.into_frame().into_sse_event(None).into_parts());
                continue;
            }
            if self.keep_alive.as_mut().poll(context).is_ready() {
                self.keep_alive.as_mut().reset(Instant::now() + KEEP_ALIVE);
                return Poll::Ready(Some(Bytes::from_static(encode::SSE_KEEP_ALIVE)));
            }
            return Poll::Pending;
        }
    }
}

fn drain(mut events: mpsc::Receiver<Event>) -> Vec<Event> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}
