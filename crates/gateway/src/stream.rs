//! The way back of a call over HTTP: JSON when the result comes first, an event stream when something comes before it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bailiwick_mcp::client::Event;
use bailiwick_mcp::{Frame, encode};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, header};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};

use crate::asking::CallQuestions;
use crate::body::AnswerBody;
use crate::call::encode::Answer;
use crate::detach::Detached;
use crate::exchange::{KEEP_ALIVE, finish};
use crate::mask::Mask;
use crate::progress::Wants;

/// What may come before the answer.
pub(crate) struct Side {
    pub(crate) events: Option<mpsc::Receiver<Event>>,
    pub(crate) questions: Option<CallQuestions>,
    pub(crate) wants: Wants,
    pub(crate) mask: Arc<Mask>,
}

/// Waits for whatever comes first: the answer, an event, a question, or the moment for a keep-alive.
pub(crate) async fn answer(mut work: Detached<Answer>, mut side: Side, minted: Option<HeaderValue>) -> Response<AnswerBody> {
    let first = tokio::select! {
        biased;
        frame = side.next() => frame.into_sse_event(None).into_parts().collect(),
        answer = &mut work => return ended(answer, side.rest(), minted),
        () = tokio::time::sleep(KEEP_ALIVE) => VecDeque::from([Bytes::from_static(encode::SSE_KEEP_ALIVE)]),
    };
    let stream = EventStream { work: Some(work), side, ready: first, keep_alive: Box::pin(tokio::time::sleep(KEEP_ALIVE)) };
    event_stream(AnswerBody::events(stream))
}

/// The answer was there first, perhaps with something that was said in the same moment.
fn ended(answer: Answer, before: Vec<Frame>, minted: Option<HeaderValue>) -> Response<AnswerBody> {
    if before.is_empty() {
        return finish(answer, minted);
    }
    let events = before.into_iter().chain([answer.into_frame()]);
    event_stream(AnswerBody::said(events.flat_map(|frame| frame.into_sse_event(None).into_parts())))
}

/// A response whose body is a stream of events.
pub(crate) fn event_stream(body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

impl Side {
    /// The next message for the caller; never, when nothing more can come.
    async fn next(&mut self) -> Frame {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// The next message for the caller; `None` when the call has ended and everything has been said.
    pub(crate) async fn next_until_closed(&mut self) -> Option<Frame> {
        std::future::poll_fn(|context| match self.poll(context) {
            Poll::Ready(frame) => Poll::Ready(Some(frame)),
            Poll::Pending if self.events.is_none() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Frame> {
        while let Some(events) = &mut self.events
            && let Poll::Ready(event) = events.poll_recv(context)
        {
            match event.map(|event| self.wants.notification(event, &self.mask)) {
                Some(Some(frame)) => return Poll::Ready(frame),
                Some(None) => {}
                None => self.events = None,
            }
        }
        while let Some(questions) = &mut self.questions
            && let Poll::Ready(question) = questions.poll_next(&self.mask, context)
        {
            match question {
                Some(frame) => return Poll::Ready(frame),
                None => self.questions = None,
            }
        }
        Poll::Pending
    }

    /// What was said before the answer and has not been sent yet.
    fn rest(&mut self) -> Vec<Frame> {
        let events = self.events.take().into_iter().flat_map(drain);
        events.filter_map(|event| self.wants.notification(event, &self.mask)).collect()
    }
}

/// Events, questions, keep-alives, and last the answer.
pub(crate) struct EventStream {
    work: Option<Detached<Answer>>,
    side: Side,
    ready: VecDeque<Bytes>,
    keep_alive: Pin<Box<Sleep>>,
}

impl EventStream {
    fn push(&mut self, frame: Frame) {
        self.ready.extend(frame.into_sse_event(None).into_parts());
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
            if let Poll::Ready(frame) = self.side.poll(context) {
                self.push(frame);
                continue;
            }
            if let Some(work) = self.work.as_mut()
                && let Poll::Ready(answer) = Pin::new(work).poll(context)
            {
                self.work = None;
                self.side.rest().into_iter().for_each(|frame| self.push(frame));
                // Questions of a call that has ended are of no use any more.
                self.side.questions = None;
                self.push(answer.into_frame());
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
